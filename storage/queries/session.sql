-- name: enter_service
-- The role that owns nothing; and a COMMIT that is durable, whatever the database's own default is.
SET ROLE loyalty_service;
SELECT set_config('synchronous_commit', 'on', FALSE)
WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
