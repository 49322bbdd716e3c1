-- name: members_by_card
SELECT
    card,
    member_id
FROM read_cards($1, $2);
