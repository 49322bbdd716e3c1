-- Members that nobody has given a number get one from here, above those by which operators count theirs.
CREATE SEQUENCE member_number AS bigint START 1000000000000;

-- A new member for each of the cards. A card that is somebody's already is a unique violation.
CREATE FUNCTION enrol_members(enrolling_chain_id integer, new_cards text[])
RETURNS TABLE (card text, member_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    numbers bigint[] := '{}';
    added bigint[];
BEGIN
    -- An operator may have given one of the numbers to a member.
    WHILE cardinality(numbers) < cardinality(new_cards) LOOP
        WITH inserted AS (
            INSERT INTO account (chain_id, member_id)
            SELECT enrolling_chain_id, nextval('member_number')
            FROM generate_series(1, cardinality(new_cards) - cardinality(numbers))
            ON CONFLICT (chain_id, member_id) DO NOTHING
            RETURNING member_id
        )
        SELECT coalesce(array_agg(member_id), '{}') INTO added FROM inserted;
        numbers := numbers || added;
    END LOOP;
    RETURN QUERY INSERT INTO card (chain_id, card, member_id)
    SELECT enrolling_chain_id, enrolled.new_card, enrolled.number
    FROM unnest(new_cards, numbers) AS enrolled (new_card, number)
    ORDER BY enrolled.new_card
    RETURNING card, member_id;
END
$$;

-- The card as it is then; a replaced one stays replaced.
CREATE FUNCTION set_card_status(changing_chain_id integer, wanted_card text, new_status smallint)
RETURNS SETOF card
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE card AS c SET status = new_status
    WHERE c.chain_id = changing_chain_id AND c.card = wanted_card AND c.status NOT IN (2, new_status);
    RETURN QUERY SELECT c.* FROM card AS c
    WHERE c.chain_id = changing_chain_id AND c.card = wanted_card;
END
$$;

-- The card as it is then: of the member if it was free, else of whom it was before.
CREATE FUNCTION add_card(adding_chain_id integer, owner_member_id bigint, new_card text)
RETURNS SETOF card
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO card (chain_id, card, member_id) VALUES (adding_chain_id, new_card, owner_member_id)
    ON CONFLICT (chain_id, card) DO NOTHING;
    RETURN QUERY SELECT c.* FROM card AS c
    WHERE c.chain_id = adding_chain_id AND c.card = new_card;
END
$$;

-- Gives the member of a card another one in its place, unless that is somebody else's or no longer in use.
-- Returns both as they are then, the old one first; the new one is missing if the old was replaced before.
CREATE FUNCTION replace_card(replacing_chain_id integer, old_card text, new_card text)
RETURNS SETOF card
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    replaced card;
BEGIN
    SELECT * INTO replaced FROM card AS c
    WHERE c.chain_id = replacing_chain_id AND c.card = old_card
    FOR UPDATE;
    IF replaced.status <> 2 THEN
        INSERT INTO card (chain_id, card, member_id) VALUES (replacing_chain_id, new_card, replaced.member_id)
        ON CONFLICT (chain_id, card) DO NOTHING;
        UPDATE card AS c SET status = 2
        FROM card AS replacement
        WHERE
            c.chain_id = replacing_chain_id
            AND c.card = old_card
            AND replacement.chain_id = replacing_chain_id
            AND replacement.card = new_card
            AND replacement.member_id = c.member_id
            AND replacement.status = 0;
    END IF;
    RETURN QUERY SELECT c.* FROM card AS c
    WHERE c.chain_id = replacing_chain_id AND c.card IN (old_card, new_card)
    ORDER BY c.card = new_card;
END
$$;

REVOKE ALL ON FUNCTION enrol_members, set_card_status, add_card, replace_card FROM public;
GRANT EXECUTE ON FUNCTION enrol_members, set_card_status, add_card, replace_card TO loyalty_service;
