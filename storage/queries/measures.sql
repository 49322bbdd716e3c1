-- name: allow_time
SELECT set_config('statement_timeout', $1, TRUE);

-- name: outstanding
SELECT
    measured_at_seconds,
    points_by_chain
FROM measure_outstanding($1);

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
FROM streaming_standbys();

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
