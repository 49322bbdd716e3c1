-- name: ranges
SELECT
    name,
    range_from,
    range_to
FROM ledger_partition
ORDER BY range_from;

-- name: ensure
SELECT ensure_partition($1);

-- name: interval
SELECT partitioning.unit FROM partitioning;

-- name: set_interval
UPDATE partitioning SET unit = $1;

-- name: sizes
SELECT
    part.name,
    part.range_from,
    part.range_to,
    greatest(child.reltuples, 0)::bigint AS operations_estimate,
    pg_total_relation_size(child.oid) AS size_bytes
FROM ledger_partition AS part
INNER JOIN pg_class AS child ON part.name = child.relname
INNER JOIN pg_inherits AS link ON child.oid = link.inhrelid AND link.inhparent = 'operation'::regclass
ORDER BY part.range_from;

-- name: attached
-- A partition by name. One whose detachment was interrupted has no range.
SELECT
    link.inhdetachpending AS half_detached,
    part.range_to + make_interval(secs => longest.window_seconds) AS needed_until,
    part.range_to + make_interval(secs => longest.window_seconds) > now() AS is_needed
FROM pg_inherits AS link
INNER JOIN pg_class AS child ON link.inhrelid = child.oid
LEFT JOIN ledger_partition AS part ON child.relname = part.name
CROSS JOIN (SELECT coalesce(max(window_back_seconds), 0) AS window_seconds FROM chain) AS longest
WHERE link.inhparent = 'operation'::regclass AND child.relname = $1;

-- name: close
-- Nothing is added any more: whoever is adding is waited for, and nobody else may.
REVOKE INSERT ON "{name}" FROM loyalty_service;
LOCK TABLE "{name}" IN SHARE ROW EXCLUSIVE MODE;

-- name: record_detachment
INSERT INTO detached_partition (name, chain_id, operations, range_from, range_to)
SELECT
    part.name,
    held.chain_id,
    held.operations,
    part.range_from,
    part.range_to
FROM ledger_partition AS part
CROSS JOIN (
    SELECT
        chain_id,
        count(*) AS operations
    FROM "{name}"
    GROUP BY chain_id
) AS held
WHERE part.name = '{name}'
ON CONFLICT (name, chain_id) DO UPDATE SET operations = excluded.operations, detached_at = now();

-- name: detach
ALTER TABLE operation DETACH PARTITION "{name}" CONCURRENTLY;

-- name: finish_detaching
ALTER TABLE operation DETACH PARTITION "{name}" FINALIZE;
