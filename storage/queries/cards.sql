-- name: members_by_card
SELECT
    card,
    member_id
FROM read_cards($1, $2);

-- name: add
SELECT
    card,
    member_id,
    status
FROM add_card($1, $2, $3);

-- name: set_status
SELECT
    card,
    member_id,
    status
FROM set_card_status($1, $2, $3);

-- name: replace
SELECT
    card,
    member_id,
    status
FROM replace_card($1, $2, $3);

-- name: of_member
SELECT
    card.card,
    card.member_id,
    card.status
FROM card
WHERE card.chain_id = $1 AND card.member_id = $2
ORDER BY card.card;
