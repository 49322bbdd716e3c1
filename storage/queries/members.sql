-- name: create_incoming
CREATE TEMPORARY TABLE incoming (
    member_id bigint NOT NULL CHECK (member_id > 0),
    card text NOT NULL CHECK (length(card) <= 64)
) ON COMMIT DROP;

-- name: add_accounts
-- In the order in which batches lock them.
WITH added AS (
    INSERT INTO account (chain_id, member_id)
    SELECT DISTINCT
        $1::integer AS chain_id,
        member_id
    FROM incoming
    ORDER BY member_id
    ON CONFLICT (chain_id, member_id) DO NOTHING
    RETURNING member_id
)

SELECT count(*) FROM added;

-- name: add_cards
WITH added AS (
    INSERT INTO card (chain_id, card, member_id)
    SELECT
        $1 AS chain_id,
        card,
        member_id
    FROM incoming
    WHERE card <> ''
    ORDER BY card
    ON CONFLICT (chain_id, card) DO NOTHING
    RETURNING card
)

SELECT count(*) FROM added;

-- name: count_taken_cards
SELECT count(*) FROM incoming
INNER JOIN card ON card.chain_id = $1 AND incoming.card = card.card
WHERE incoming.member_id <> card.member_id;

-- name: count_members
SELECT
    chain.name,
    count(account.member_id) AS members
FROM chain
LEFT JOIN account ON chain.chain_id = account.chain_id
GROUP BY chain.name
ORDER BY chain.name;

-- name: analyse_accounts
-- The service keeps its plans for long: they must not be made for a table that seems to be empty.
ANALYZE account, card;
