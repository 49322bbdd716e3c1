-- name: begin_homes
-- The statements of a transaction of several chains: those of `ledger`, with the chain beside each value.
BEGIN;
SELECT enter_homes('{{{chain_ids}}}', '{home}');

-- name: read_accounts
SELECT
    account.chain_id,
    account.member_id,
    account.balance_points,
    account.member_sequence,
    account.entry_hash,
    account.state,
    account.segments,
    account.status
FROM unnest($1::text::integer[], $2::text::bigint[]) AS wanted (chain_id, member_id)
CROSS JOIN LATERAL (
    SELECT * FROM account AS a
    WHERE a.chain_id = wanted.chain_id AND a.member_id = wanted.member_id
    OFFSET 0
) AS account;

-- name: lock_accounts
SELECT
FROM unnest($1::text::integer[], $2::text::bigint[]) AS wanted (chain_id, member_id)
CROSS JOIN LATERAL (
    SELECT FROM account AS a
    WHERE a.chain_id = wanted.chain_id AND a.member_id = wanted.member_id
    OFFSET 0
    FOR NO KEY UPDATE
) AS account;

-- name: find_cards
SELECT
    card.chain_id,
    card.card,
    card.member_id,
    card.status
FROM unnest($1::text::integer[], $2::text::text[]) AS wanted (chain_id, card)
CROSS JOIN LATERAL (
    SELECT * FROM card AS c
    WHERE c.chain_id = wanted.chain_id AND c.card = wanted.card
    OFFSET 0
) AS card;

-- name: probe_keys
-- Since one time for all, so that partitions before it are left out once and not for each key.
SELECT
    operation.chain_id,
    operation.idempotency_key,
    operation.outcome,
    operation.fingerprint,
    operation.response,
    operation.entry_hash,
    operation.occurred_at
FROM unnest($1::text::integer[], $2::text::text[]) AS wanted (chain_id, idempotency_key)
CROSS JOIN LATERAL (
    SELECT * FROM operation AS o
    WHERE o.chain_id = wanted.chain_id AND o.idempotency_key = wanted.idempotency_key AND o.occurred_at >= $3
    OFFSET 0
) AS operation;

-- name: find_originals
SELECT
    operation.chain_id,
    operation.idempotency_key,
    operation.member_id,
    operation.kind,
    operation.outcome,
    operation.occurred_at,
    operation.recorded_at,
    operation.earned_points,
    operation.redeemed_points,
    operation.total_minor,
    operation.redeemed_minor,
    operation.discount_minor,
    operation.receipt_lines,
    operation.effects,
    operation.member_sequence
FROM unnest($1::text::integer[], $2::text::text[]) AS wanted (chain_id, idempotency_key)
CROSS JOIN LATERAL (
    SELECT * FROM operation AS o
    WHERE o.chain_id = wanted.chain_id AND o.idempotency_key = wanted.idempotency_key
    OFFSET 0
) AS operation;

-- name: find_followers
SELECT
    operation.chain_id,
    operation.original_key,
    operation.member_id,
    operation.member_sequence,
    operation.kind,
    operation.effects
FROM unnest($1::text::integer[], $2::text::text[]) AS wanted (chain_id, original_key)
CROSS JOIN LATERAL (
    SELECT * FROM operation AS o
    WHERE o.chain_id = wanted.chain_id AND o.original_key = wanted.original_key AND o.original_key <> ''
    OFFSET 0
) AS operation
INNER JOIN unnest($3::smallint[]) AS following (kind) ON operation.kind = following.kind
WHERE operation.outcome = 0
ORDER BY operation.member_sequence;

-- name: note_due
INSERT INTO due (chain_id, due_at, member_id)
SELECT
    noted.chain_id,
    noted.due_at,
    noted.member_id
FROM unnest($1::integer[], $2::timestamptz[], $3::bigint[]) AS noted (chain_id, due_at, member_id)
ORDER BY noted.chain_id, noted.due_at, noted.member_id
ON CONFLICT (chain_id, due_at, member_id) DO UPDATE SET times_noted = due.times_noted + 1;

-- name: update_accounts
-- The arrays are sorted by chain and member.
UPDATE account
SET
    balance_points = changed.balance_points,
    member_sequence = changed.member_sequence,
    entry_hash = changed.entry_hash,
    state = changed.state
FROM unnest(
    $1::text::integer[],
    $2::text::bigint[],
    $3::text::bigint[],
    $4::text::bigint[],
    $5::text::bytea[],
    $6::text::bytea[],
    $7::text::bigint[]
) AS changed (
    chain_id, member_id, balance_points, member_sequence, entry_hash, state, expected_sequence
)
WHERE
    account.chain_id = changed.chain_id
    AND account.member_id = changed.member_id
    AND account.member_sequence = changed.expected_sequence
    AND changed.member_id > 0
    AND changed.expected_sequence >= 0;
