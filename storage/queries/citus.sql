-- name: is_installed
SELECT count(*) FROM pg_extension
WHERE extname = 'citus';

-- name: is_distributed
SELECT count(*) FROM pg_dist_partition
WHERE logicalrelid = 'account'::regclass;

-- name: prepare
-- A setting of this transaction does not reach the connections to the workers, so a policy there would hide
-- every row, and the CHECK of COPY refuse each. On Citus it is the statements that keep to one chain.
SELECT set_config('citus.multi_shard_modify_mode', 'sequential', TRUE);
ALTER TABLE account DISABLE ROW LEVEL SECURITY;
ALTER TABLE card DISABLE ROW LEVEL SECURITY;
ALTER TABLE operation DISABLE ROW LEVEL SECURITY;
CREATE OR REPLACE FUNCTION current_chain_id() RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('loyalty.chain_id', TRUE), '')::integer;
ALTER TABLE card DROP CONSTRAINT card_chain_id_member_id_fkey;

-- name: distribute_accounts
SELECT create_distributed_table('account', 'chain_id');

-- name: distribute_cards
SELECT create_distributed_table('card', 'chain_id', colocate_with => 'account');

-- name: distribute_operations
SELECT create_distributed_table('operation', 'chain_id', colocate_with => 'account');

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
