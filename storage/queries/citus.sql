-- name: is_installed
SELECT count(*) FROM pg_extension
WHERE extname = 'citus';

-- name: distributed
SELECT logicalrelid::text FROM pg_dist_partition;

-- name: prepare
-- A setting of this transaction does not reach the connections to the workers, so the CHECK of COPY would
-- refuse each row there. On Citus it is the statements that keep to one chain.
SELECT set_config('citus.multi_shard_modify_mode', 'sequential', TRUE);
CREATE OR REPLACE FUNCTION current_chain_id() RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('loyalty.chain_id', TRUE), '')::integer;
ALTER TABLE card DROP CONSTRAINT card_chain_id_member_id_fkey;

-- name: distribute
-- A policy on a worker would hide every row, for the same reason.
ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY;
SELECT create_distributed_table('{table}', 'chain_id', colocate_with => '{neighbour}');

-- name: finish
-- Citus connects to the workers as the role that asks, which then plans as the service's sessions do.
ALTER TABLE card ADD CONSTRAINT card_chain_id_member_id_fkey
FOREIGN KEY (chain_id, member_id) REFERENCES account (chain_id, member_id);
ALTER ROLE loyalty_service LOGIN;
ALTER ROLE loyalty_service SET enable_seqscan = 'off';
ALTER ROLE loyalty_service SET enable_bitmapscan = 'off';
ALTER ROLE loyalty_service SET enable_hashjoin = 'off';
ALTER ROLE loyalty_service SET enable_mergejoin = 'off';
ALTER ROLE loyalty_service SET jit = 'off';
