-- name: attached
SELECT count(*) FROM pg_inherits AS link
INNER JOIN pg_class AS child ON link.inhrelid = child.oid
WHERE link.inhparent = 'operation'::regclass AND child.relname = $1;

-- name: detached
-- What was counted when the partition left the ledger, chain by chain; no rows if it never did.
SELECT
    detached_partition.chain_id,
    chain.name,
    detached_partition.operations,
    detached_partition.range_from,
    detached_partition.range_to
FROM detached_partition
INNER JOIN chain ON detached_partition.chain_id = chain.chain_id
WHERE detached_partition.name = $1
ORDER BY detached_partition.chain_id;

-- name: exists
SELECT to_regclass(quote_ident($1)) IS NOT NULL;

-- name: hold
-- Readers may go on; whoever writes waits.
LOCK TABLE "{name}" IN SHARE MODE;

-- name: operations
SELECT
    chain_id,
    idempotency_key,
    occurred_at,
    recorded_at,
    member_id,
    member_sequence,
    kind,
    outcome,
    earned_points,
    redeemed_points,
    balance_points,
    total_minor,
    redeemed_minor,
    program_version,
    store_id,
    terminal_id,
    receipt_id,
    discount_minor,
    original_key,
    reason,
    receipt_lines,
    effects,
    fingerprint,
    response,
    entry_hash
FROM "{name}"
ORDER BY chain_id, member_id, member_sequence;

-- name: drop
DROP TABLE "{name}";
