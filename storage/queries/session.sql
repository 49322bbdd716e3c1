-- name: enter_service
-- The role that owns nothing; and a COMMIT that is durable, whatever the database's own default is.
SET ROLE loyalty_service;
SELECT set_config('synchronous_commit', 'on', FALSE)
WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
-- Citus finds a statement's shard by the value of chain_id, which a generic plan does not know.
SELECT set_config('plan_cache_mode', 'force_custom_plan', FALSE) FROM pg_extension
WHERE extname = 'citus';
