-- name: count
SELECT count(*) FROM operation
WHERE chain_id = $1 AND occurred_at >= $2 AND outcome = 0 AND kind = any($3::smallint[]);

-- name: history
-- What was applied, member by member in order; segments as they are now.
SELECT
    account.member_id,
    account.segments,
    operation.kind,
    operation.idempotency_key,
    operation.occurred_at,
    operation.recorded_at,
    operation.earned_points,
    operation.redeemed_points,
    operation.total_minor,
    operation.original_key,
    operation.receipt_lines,
    operation.effects
FROM operation
INNER JOIN account ON operation.chain_id = account.chain_id AND operation.member_id = account.member_id
WHERE
    operation.chain_id = $1 AND operation.occurred_at >= $2 AND operation.outcome = 0
    AND operation.kind = any($3::smallint[])
ORDER BY operation.member_id, operation.member_sequence;
