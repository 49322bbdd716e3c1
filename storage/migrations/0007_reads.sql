-- Reads beside the hot path. Each sets the chain for row-level security and reads in one statement: one round
-- trip, and a transaction of its own.
CREATE FUNCTION read_account(reading_chain_id integer, wanted_member_id bigint, wanted_card text)
RETURNS SETOF account
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    IF wanted_card <> '' THEN
        SELECT c.member_id INTO wanted_member_id FROM card AS c
        WHERE c.chain_id = reading_chain_id AND c.card = wanted_card;
    END IF;
    RETURN QUERY SELECT a.* FROM account AS a
    WHERE a.chain_id = reading_chain_id AND a.member_id = wanted_member_id;
END
$$;

-- A key may be in several partitions if the first use of it left the window before the next.
CREATE FUNCTION read_recorded(reading_chain_id integer, wanted_key text)
RETURNS SETOF operation
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    RETURN QUERY SELECT o.* FROM operation AS o
    WHERE o.chain_id = reading_chain_id AND o.idempotency_key = wanted_key
    ORDER BY o.recorded_at DESC
    LIMIT 1;
END
$$;

CREATE FUNCTION read_operations(
    reading_chain_id integer, wanted_member_id bigint, before_sequence bigint, operations_max integer
)
RETURNS SETOF operation
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    RETURN QUERY SELECT o.* FROM operation AS o
    WHERE
        o.chain_id = reading_chain_id
        AND o.member_id = wanted_member_id
        AND o.member_sequence < before_sequence
    ORDER BY o.member_sequence DESC
    LIMIT operations_max;
END
$$;
