-- name: holder
SELECT
    (found.account).member_id,
    (found.account).balance_points,
    (found.account).member_sequence,
    (found.account).entry_hash,
    (found.account).state,
    (found.account).segments,
    (found.account).status,
    found.card_status
FROM read_holder($1, $2, $3) AS found;

-- name: tallies
SELECT
    subject,
    hour,
    hour_operations,
    hour_earned_points,
    hour_redeemed_points,
    day,
    day_operations,
    day_earned_points,
    day_redeemed_points
FROM read_tallies($1, $2);

-- name: recorded
SELECT
    outcome,
    fingerprint,
    response,
    entry_hash,
    occurred_at
FROM read_recorded($1, $2);

-- name: operations
SELECT
    member_sequence,
    idempotency_key,
    outcome,
    fingerprint,
    response,
    entry_hash,
    occurred_at
FROM read_operations($1, $2, $3, $4);
