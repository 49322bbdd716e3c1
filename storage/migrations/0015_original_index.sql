-- For each partition, outside a transaction:
-- What has been done to an operation since. Writers go on meanwhile. An attempt that was broken off may have
-- left an index that is of no use.
DROP INDEX CONCURRENTLY IF EXISTS "{partition}_original";
-- squawk-ignore prefer-robust-stmts, ban-concurrent-index-creation-in-transaction
CREATE INDEX CONCURRENTLY "{partition}_original" ON "{partition}" (chain_id, original_key)
WHERE original_key <> '';
