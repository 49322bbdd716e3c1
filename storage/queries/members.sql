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

-- name: enrol
SELECT enrolled.member_id FROM enrol_members($1, ARRAY[$2::text]) AS enrolled;

-- name: find
SELECT
    account.member_id,
    account.balance_points,
    account.member_sequence,
    account.entry_hash,
    account.state,
    account.segments,
    account.status
FROM account
WHERE account.chain_id = $1 AND account.member_id = $2;

-- name: set_status
UPDATE account SET status = $3
WHERE account.chain_id = $1 AND account.member_id = $2
RETURNING account.member_id;

-- name: lock
SELECT account.member_id
FROM unnest($2::bigint[]) AS wanted (member_id)
INNER JOIN account ON account.chain_id = $1 AND account.member_id = wanted.member_id
ORDER BY account.member_id
FOR NO KEY UPDATE OF account;

-- name: set_segments
UPDATE account SET segments = wanted.segments
FROM unnest($2::bigint[], $3::text[]) AS wanted (member_id, segments)
WHERE
    account.chain_id = $1
    AND account.member_id = wanted.member_id
    AND account.segments <> wanted.segments
RETURNING account.member_id;
