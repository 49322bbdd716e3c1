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
-- OFFSET 0 keeps each look-up an index scan of its own, whatever the planner believes of a table that has not
-- been analysed yet.
SELECT
    account.member_id,
    account.balance_points,
    account.member_sequence,
    account.entry_hash,
    account.state,
    account.segments,
    account.status
FROM unnest($2::text::bigint[]) AS wanted (member_id)
CROSS JOIN LATERAL (
    SELECT * FROM account AS a
    WHERE a.chain_id = $1 AND a.member_id = wanted.member_id
    OFFSET 0
) AS account;

-- name: lock_accounts
-- Locks the accounts in the order of the array, which is sorted, so that every process locks them in the
-- same one. What it returns is of no use: rows that changed while it waited for their locks may be missing.
SELECT
FROM unnest($2::text::bigint[]) AS wanted (member_id)
CROSS JOIN LATERAL (
    SELECT FROM account AS a
    WHERE a.chain_id = $1 AND a.member_id = wanted.member_id
    OFFSET 0
    FOR NO KEY UPDATE
) AS account;

-- name: find_cards
SELECT
    card.card,
    card.member_id,
    card.status
FROM unnest($2::text::text[]) AS wanted (card)
CROSS JOIN LATERAL (
    SELECT * FROM card AS c
    WHERE c.chain_id = $1 AND c.card = wanted.card
    OFFSET 0
) AS card;

-- name: probe_keys
-- What the ledger has under the keys of a batch since a time, in whole partitions: the unique index of the
-- one that the time falls into binds older operations in it too. No end: another process's clock may be fast.
SELECT
    operation.idempotency_key,
    operation.outcome,
    operation.fingerprint,
    operation.response,
    operation.entry_hash,
    operation.occurred_at
FROM unnest($2::text::text[]) AS wanted (idempotency_key)
CROSS JOIN LATERAL (
    SELECT * FROM operation AS o
    WHERE o.chain_id = $1 AND o.idempotency_key = wanted.idempotency_key AND o.occurred_at >= $3
    OFFSET 0
) AS operation;

-- name: find_originals
-- Operations by their keys, however old they are.
SELECT
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
FROM unnest($2::text::text[]) AS wanted (idempotency_key)
CROSS JOIN LATERAL (
    SELECT * FROM operation AS o
    WHERE o.chain_id = $1 AND o.idempotency_key = wanted.idempotency_key
    OFFSET 0
) AS operation;

-- name: find_followers
-- What was done to those operations since, of the kinds of $3, in its order.
SELECT
    operation.original_key,
    operation.member_id,
    operation.member_sequence,
    operation.kind,
    operation.effects
FROM unnest($2::text::text[]) AS wanted (original_key)
CROSS JOIN LATERAL (
    SELECT * FROM operation AS o
    WHERE o.chain_id = $1 AND o.original_key = wanted.original_key AND o.original_key <> ''
    OFFSET 0
) AS operation
INNER JOIN unnest($3::smallint[]) AS following (kind) ON operation.kind = following.kind
WHERE operation.outcome = 0
ORDER BY operation.member_sequence;

-- name: lock_tallies
-- Locks the rows in the one order in which every process locks them, and makes those that are missing. A row
-- that is there is written as it is: only so is it returned as it is once the lock is had.
INSERT INTO tally (chain_id, subject)
SELECT
    $1 AS chain_id,
    wanted.subject
FROM unnest($2::text[]) AS wanted (subject)
ORDER BY wanted.subject
ON CONFLICT (chain_id, subject) DO UPDATE SET hour = tally.hour
RETURNING
    subject,
    hour,
    hour_operations,
    hour_earned_points,
    hour_redeemed_points,
    day,
    day_operations,
    day_earned_points,
    day_redeemed_points;

-- name: update_tallies
UPDATE tally
SET
    hour = changed.hour,
    hour_operations = changed.hour_operations,
    hour_earned_points = changed.hour_earned_points,
    hour_redeemed_points = changed.hour_redeemed_points,
    day = changed.day,
    day_operations = changed.day_operations,
    day_earned_points = changed.day_earned_points,
    day_redeemed_points = changed.day_redeemed_points
FROM unnest(
    $2::text[],
    $3::integer[],
    $4::bigint[],
    $5::bigint[],
    $6::bigint[],
    $7::integer[],
    $8::bigint[],
    $9::bigint[],
    $10::bigint[]
) AS changed (
    subject,
    hour,
    hour_operations,
    hour_earned_points,
    hour_redeemed_points,
    day,
    day_operations,
    day_earned_points,
    day_redeemed_points
)
WHERE tally.chain_id = $1 AND tally.subject = changed.subject;

-- name: enrol
SELECT
    card,
    member_id
FROM enrol_members($1, $2);

-- name: note_due
-- A row that is there already counts the note, lest it be taken for done by who has read it before.
INSERT INTO due (chain_id, due_at, member_id)
SELECT
    $1 AS chain_id,
    noted.due_at,
    noted.member_id
FROM unnest($2::timestamptz[], $3::bigint[]) AS noted (due_at, member_id)
ORDER BY noted.due_at, noted.member_id
ON CONFLICT (chain_id, due_at, member_id) DO UPDATE SET times_noted = due.times_noted + 1;

-- name: update_accounts
-- Leaves an account alone that has changed since it was read: its sequence is not the expected one. The
-- arrays are sorted by member, so that every process locks in the same order. It is kept because the last
-- two conditions, true of every row, let the planner expect so few rows that it looks each account up by
-- itself: of a table that was never analysed, it would else read all accounts of the chain.
UPDATE account
SET
    balance_points = changed.balance_points,
    member_sequence = changed.member_sequence,
    entry_hash = changed.entry_hash,
    state = changed.state
FROM unnest(
    $2::text::bigint[],
    $3::text::bigint[],
    $4::text::bigint[],
    $5::text::bytea[],
    $6::text::bytea[],
    $7::text::bigint[]
) AS changed (
    member_id, balance_points, member_sequence, entry_hash, state, expected_sequence
)
WHERE
    account.chain_id = $1
    AND account.member_id = changed.member_id
    AND account.member_sequence = changed.expected_sequence
    AND changed.member_id > 0
    AND changed.expected_sequence >= 0;

-- name: confirm
-- Gives a transaction that only reads something to commit, so that its COMMIT waits for synchronous standbys.
-- A commit whose wait was broken off can be read before they have it.
SELECT pg_logical_emit_message(TRUE, 'loyalty', '');
