-- name: begin_home
-- Sent as one simple query, so that a batch begins in a single round trip.
BEGIN;
SELECT enter_home('{chain_id}', '{home}');

-- name: begin_alone
BEGIN;
SELECT enter_alone('{chain_id}', NULL);

-- name: begin_moving_home
BEGIN;
SELECT enter_alone('{chain_id}', '{home}');

-- name: read_accounts
SELECT
    account.member_id,
    account.balance_points,
    account.member_sequence,
    account.entry_hash
FROM unnest($2::bigint[]) AS wanted (member_id)
INNER JOIN account ON account.chain_id = $1 AND account.member_id = wanted.member_id;

-- name: lock_accounts
-- Locks them in the one order in which every process does. To be read by the next statement, for this one
-- leaves out rows that changed while it waited for their locks: it checks them again in a plan whose run-time
-- pruning then passes over their partitions.
SELECT account.member_id
FROM unnest($2::bigint[]) AS wanted (member_id)
INNER JOIN account ON account.chain_id = $1 AND account.member_id = wanted.member_id
ORDER BY account.member_id
FOR NO KEY UPDATE OF account;

-- name: find_cards
SELECT
    card.card,
    card.member_id
FROM unnest($2::text[]) AS wanted (card)
INNER JOIN card ON card.chain_id = $1 AND card.card = wanted.card;

-- name: probe_keys
-- What the ledger has under the keys of a batch, in the partitions that the chain's window touches.
SELECT
    operation.idempotency_key,
    operation.outcome,
    operation.fingerprint,
    operation.response,
    operation.entry_hash
FROM unnest($2::text[]) AS wanted (idempotency_key)
INNER JOIN operation
    ON
        operation.chain_id = $1
        AND operation.idempotency_key = wanted.idempotency_key
        AND operation.occurred_at >= $3
        AND operation.occurred_at <= $4;

-- name: update_accounts
-- Leaves an account alone that has changed since it was read: its sequence is not the expected one. The
-- arrays are sorted by member, so that every process locks in the same order.
UPDATE account
SET
    balance_points = changed.balance_points,
    member_sequence = changed.member_sequence,
    entry_hash = changed.entry_hash
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[]) AS changed (
    member_id, balance_points, member_sequence, entry_hash, expected_sequence
)
WHERE
    account.chain_id = $1
    AND account.member_id = changed.member_id
    AND account.member_sequence = changed.expected_sequence;

-- name: confirm
-- Gives a transaction that only reads something to commit, so that its COMMIT waits for synchronous standbys.
-- A commit whose wait was broken off can be read before they have it.
SELECT pg_logical_emit_message(TRUE, 'loyalty', '');
