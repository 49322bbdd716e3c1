-- name: account
SELECT
    member_id,
    balance_points,
    member_sequence,
    entry_hash,
    state,
    segments,
    status
FROM read_account($1, $2, $3);

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
