-- Without a chain set, the service may neither see nor add a row of any. For the owner it is NULL, which no
-- CHECK (chain_id = current_chain_id()) refuses: who restores a dump sets no chain.
CREATE OR REPLACE FUNCTION current_chain_id() RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    nullif(current_setting('loyalty.chain_id', TRUE), '')::integer,
    CASE WHEN row_security_active('operation'::regclass) THEN 0 END
);
