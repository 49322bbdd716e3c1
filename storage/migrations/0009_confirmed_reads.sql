-- As before, and what is found can't be lost: with something to commit, COMMIT waits for synchronous
-- standbys. A commit whose wait was broken off can be read before they have it.
CREATE OR REPLACE FUNCTION read_recorded(reading_chain_id integer, wanted_key text)
RETURNS SETOF operation
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    RETURN QUERY SELECT o.* FROM operation AS o
    WHERE o.chain_id = reading_chain_id AND o.idempotency_key = wanted_key
    ORDER BY o.recorded_at DESC
    LIMIT 1;
    IF FOUND THEN
        PERFORM pg_logical_emit_message(TRUE, 'loyalty', '');
    END IF;
END
$$;
