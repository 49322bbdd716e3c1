-- Who has which cards. Up to this version nothing added cards while it served, so nothing waits for the lock.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX card_member ON card (chain_id, member_id);

-- The account of a member, by number or by card, and the status of that card (0 if none is named).
CREATE FUNCTION read_holder(reading_chain_id integer, wanted_member_id bigint, wanted_card text)
RETURNS TABLE (account account, card_status smallint)
LANGUAGE plpgsql AS $$
DECLARE
    found_status smallint := 0;
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    IF wanted_card <> '' THEN
        SELECT c.member_id, c.status INTO wanted_member_id, found_status FROM card AS c
        WHERE c.chain_id = reading_chain_id AND c.card = wanted_card;
    END IF;
    RETURN QUERY SELECT a, found_status FROM account AS a
    WHERE a.chain_id = reading_chain_id AND a.member_id = wanted_member_id;
END
$$;

-- All cards of a member.
CREATE FUNCTION read_cards_of(reading_chain_id integer, wanted_member_id bigint)
RETURNS SETOF card
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    RETURN QUERY SELECT c.* FROM card AS c
    WHERE c.chain_id = reading_chain_id AND c.member_id = wanted_member_id
    ORDER BY c.card;
END
$$;

-- What stores and terminals have done, as far as anything is known of them.
CREATE FUNCTION read_tallies(reading_chain_id integer, subjects text[])
RETURNS SETOF tally
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', reading_chain_id::text, TRUE);
    RETURN QUERY SELECT t.* FROM unnest(subjects) AS wanted (subject)
    INNER JOIN tally AS t ON t.chain_id = reading_chain_id AND t.subject = wanted.subject;
END
$$;
