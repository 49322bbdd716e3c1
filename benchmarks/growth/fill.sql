-- Rows of about the size of real ones, evenly over a time; what they say adds up to nothing, and their hashes
-- are none.
INSERT INTO "{partition}" (
    chain_id,
    idempotency_key,
    occurred_at,
    recorded_at,
    member_id,
    member_sequence,
    kind,
    outcome,
    earned_points,
    redeemed_points,
    balance_points,
    total_minor,
    redeemed_minor,
    program_version,
    store_id,
    terminal_id,
    receipt_id,
    discount_minor,
    original_key,
    reason,
    receipt_lines,
    effects,
    fingerprint,
    response,
    entry_hash
)
SELECT
    $1 AS chain_id,
    gen_random_uuid()::text AS idempotency_key,
    filler.occurred_at,
    filler.occurred_at AS recorded_at,
    1 + floor(random() * $2::bigint)::bigint AS member_id,
    filler.number AS member_sequence,
    1 AS kind,
    0 AS outcome,
    20 AS earned_points,
    0 AS redeemed_points,
    20 AS balance_points,
    2000 AS total_minor,
    0 AS redeemed_minor,
    1 AS program_version,
    'store-' || filler.number % 400 AS store_id,
    'till-' || filler.number % 20 AS terminal_id,
    'receipt-' || filler.number AS receipt_id,
    0 AS discount_minor,
    '' AS original_key,
    '' AS reason,
    '' AS receipt_lines,
    '' AS effects,
    decode(repeat('ab', {fingerprint_bytes}), 'hex') AS fingerprint,
    decode(repeat('cd', {response_bytes}), 'hex') AS response,
    decode(repeat('ef', {hash_bytes}), 'hex') AS entry_hash
FROM (
    SELECT
        series.number,
        $3::timestamptz + ($4::timestamptz - $3::timestamptz) * random() AS occurred_at
    FROM generate_series(1, $5::bigint) AS series (number)
) AS filler;
