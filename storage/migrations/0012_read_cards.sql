-- Whose cards these are; for the service's guess which lane a call belongs to.
CREATE FUNCTION read_cards(reading_chain_id integer, wanted_cards text[])
RETURNS SETOF card
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    RETURN QUERY SELECT c.* FROM card AS c
    WHERE c.chain_id = reading_chain_id AND c.card = ANY(wanted_cards);
END
$$;
