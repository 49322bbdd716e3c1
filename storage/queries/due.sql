-- name: take_turn
SELECT pg_try_advisory_lock(hashtext('loyalty.due'));

-- name: end_turn
SELECT pg_advisory_unlock(hashtext('loyalty.due'));

-- name: read
SELECT
    due_at,
    chain_id,
    member_id,
    times_noted
FROM read_due($1, $2, $3, $4, $5)
ORDER BY due_at, chain_id, member_id
LIMIT $2;

-- name: forget
SELECT forget_due($1, $2, $3, $4);
