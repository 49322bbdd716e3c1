-- name: prepare
-- The whole result is wanted, not the first rows of it.
SELECT
    set_config('cursor_tuple_fraction', '1', TRUE),
    set_config('work_mem', '64MB', TRUE),
    set_config('jit', 'off', TRUE);

-- name: share_snapshot
-- Other connections read the same moment for as long as this transaction lasts, which may have nothing to do
-- meanwhile.
SELECT
    pg_export_snapshot() AS snapshot,
    set_config('idle_in_transaction_session_timeout', '0', TRUE);

-- name: chain_names
SELECT
    chain_id,
    name
FROM chain;

-- name: totals
SELECT
    (SELECT count(*) FROM account WHERE $1::integer IS NULL OR chain_id = $1) AS members,
    (SELECT count(*) FROM operation WHERE $1::integer IS NULL OR chain_id = $1) AS operations;

-- name: members
-- The accounts of a part with their operations in order; without any, the operation's columns are null.
-- Accounts that have none and hold nothing are as they must be, and are left out. Of a part the planner
-- expects a third of the rows; by an operator instead of int4eq it would be a two-hundredth.
SELECT
    account.chain_id AS account_chain_id,
    account.member_id AS account_member_id,
    account.balance_points AS account_balance_points,
    account.member_sequence AS account_member_sequence,
    account.entry_hash AS account_entry_hash,
    account.state AS account_state,
    account.segments AS account_segments,
    account.status AS account_status,
    operation.chain_id,
    operation.idempotency_key,
    operation.occurred_at,
    operation.recorded_at,
    operation.member_id,
    operation.member_sequence,
    operation.kind,
    operation.outcome,
    operation.earned_points,
    operation.redeemed_points,
    operation.balance_points,
    operation.total_minor,
    operation.redeemed_minor,
    operation.program_version,
    operation.store_id,
    operation.terminal_id,
    operation.receipt_id,
    operation.discount_minor,
    operation.original_key,
    operation.reason,
    operation.receipt_lines,
    operation.effects,
    operation.fingerprint,
    operation.response,
    operation.entry_hash
FROM account
LEFT JOIN operation
    ON
        account.chain_id = operation.chain_id
        AND account.member_id = operation.member_id
        AND int4eq((hashint8(operation.member_id) & 2147483647) % $2, $3)
WHERE
    ($1::integer IS NULL OR account.chain_id = $1)
    AND int4eq((hashint8(account.member_id) & 2147483647) % $2, $3)
    AND (
        operation.chain_id IS NOT NULL
        OR account.balance_points <> 0
        OR account.member_sequence <> 0
        OR account.entry_hash <> ''
        OR account.state <> ''
    )
ORDER BY account.chain_id, account.member_id, operation.member_sequence;

-- name: orphans
SELECT
    operation.chain_id,
    operation.member_id,
    count(*) AS operations
FROM operation
LEFT JOIN account ON operation.chain_id = account.chain_id AND operation.member_id = account.member_id
WHERE account.member_id IS NULL AND ($1::integer IS NULL OR operation.chain_id = $1)
GROUP BY operation.chain_id, operation.member_id
ORDER BY operation.chain_id, operation.member_id;

-- name: earliest_dues
-- The accounts of a part that have a state, and the earliest time that is noted for each; null if none is.
SELECT
    account.chain_id,
    account.member_id,
    account.state,
    noted.due_at
FROM account
LEFT JOIN (
    SELECT
        due.chain_id,
        due.member_id,
        min(due.due_at) AS due_at
    FROM due
    GROUP BY due.chain_id, due.member_id
) AS noted ON account.chain_id = noted.chain_id AND account.member_id = noted.member_id
WHERE
    account.state <> ''
    AND ($1::integer IS NULL OR account.chain_id = $1)
    AND int4eq((hashint8(account.member_id) & 2147483647) % $2, $3)
ORDER BY account.chain_id, account.member_id;

-- name: repeated_keys
-- A key is free again once its operation lies before the window, reckoned from the later one.
WITH repeated AS (
    SELECT
        chain_id,
        idempotency_key
    FROM operation
    WHERE $1::integer IS NULL OR chain_id = $1
    GROUP BY chain_id, idempotency_key
    HAVING count(*) > 1
)

SELECT
    later.chain_id,
    later.member_id,
    later.idempotency_key,
    earlier.occurred_at AS earlier_occurred_at,
    later.occurred_at AS later_occurred_at
FROM repeated
INNER JOIN chain ON repeated.chain_id = chain.chain_id
INNER JOIN operation AS earlier
    ON repeated.chain_id = earlier.chain_id AND repeated.idempotency_key = earlier.idempotency_key
INNER JOIN operation AS later
    ON
        repeated.chain_id = later.chain_id
        AND repeated.idempotency_key = later.idempotency_key
        AND (earlier.recorded_at, earlier.occurred_at) < (later.recorded_at, later.occurred_at)
WHERE earlier.occurred_at >= later.recorded_at - make_interval(secs => chain.window_back_seconds)
ORDER BY later.chain_id, later.member_id, later.recorded_at;

-- name: detached
-- What may be missing from the ledger: the operations of partitions that are no longer in it.
SELECT
    detached_partition.chain_id,
    sum(detached_partition.operations)::bigint AS operations
FROM detached_partition
WHERE
    ($1::integer IS NULL OR detached_partition.chain_id = $1)
    AND NOT EXISTS (SELECT FROM ledger_partition AS part WHERE part.name = detached_partition.name)
GROUP BY detached_partition.chain_id;

-- name: record
INSERT INTO verification (operations, differences) VALUES ($1, $2);

-- name: enter_snapshot
SET TRANSACTION SNAPSHOT '{snapshot}'; -- noqa: PRS
