-- name: outstanding_points
SELECT
    chain,
    points
FROM outstanding_points();

-- name: table_sizes
SELECT
    relation,
    partitions,
    table_bytes,
    index_bytes,
    dead_rows
FROM table_sizes();

-- name: due_lag_seconds
SELECT due_lag_seconds();

-- name: standbys
SELECT
    name,
    replay_lag_seconds,
    is_sync
FROM standbys();

-- name: sync_standbys_wanted
SELECT sync_standbys_wanted();

-- name: last_verification
SELECT
    extract(EPOCH FROM ended_at)::double precision AS ended_at_seconds,
    operations,
    differences
FROM verification
ORDER BY ended_at DESC
LIMIT 1;
