-- As before, chain by chain: so each look-up is of one node where `due` is distributed.
CREATE OR REPLACE FUNCTION due_lag_seconds() RETURNS double precision
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    looking_chain_id integer;
    oldest_due_at timestamptz := now();
BEGIN
    FOR looking_chain_id IN SELECT c.chain_id FROM chain AS c LOOP
        oldest_due_at := least(
            oldest_due_at, (SELECT min(d.due_at) FROM due AS d WHERE d.chain_id = looking_chain_id)
        );
    END LOOP;
    RETURN extract(EPOCH FROM now() - oldest_due_at);
END
$$;
