-- name: take_turn
-- Held until the connection ends.
SELECT pg_advisory_lock(hashtext('loyalty.migrate'));

-- name: create_history
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: history_exists
SELECT to_regclass('schema_migration') IS NOT NULL;

-- name: history_readable
SELECT has_table_privilege('schema_migration', 'SELECT');

-- name: history
SELECT
    version,
    name,
    sha256
FROM schema_migration
ORDER BY version;

-- name: enter_step
-- Functions keep the search path of their creation (FROM CURRENT), and temporary tables must not come first.
SELECT
    set_config('lock_timeout', $1, TRUE),
    set_config('search_path', quote_ident(current_schema()) || ', pg_temp', TRUE);

-- name: partitions
SELECT part.name FROM ledger_partition AS part
ORDER BY part.range_from;

-- name: record
INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3);
