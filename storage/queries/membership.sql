-- name: member
-- In one statement, so that a card is not missing while it takes another one's place.
SELECT
    (found.account).member_id,
    (found.account).status,
    (found.account).segments,
    own.card,
    own.status AS card_status
FROM read_holder($1, $2, $3) AS found
LEFT JOIN LATERAL read_cards_of($1, (found.account).member_id) AS own ON TRUE
ORDER BY own.card;

-- name: holders
SELECT
    card,
    member_id,
    status
FROM read_cards($1, $2);

-- name: enrol
SELECT
    card,
    member_id
FROM enrol_members($1, $2);

-- name: add_card
SELECT
    member_id,
    status
FROM add_card($1, $2, $3);

-- name: replace_card
SELECT
    card,
    member_id,
    status
FROM replace_card($1, $2, $3);

-- name: set_card_status
SELECT
    member_id,
    status
FROM set_card_status($1, $2, $3);
