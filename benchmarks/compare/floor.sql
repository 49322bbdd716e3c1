UPDATE account
SET
    balance_points = changed.balance_points,
    member_sequence = changed.member_sequence,
    entry_hash = changed.entry_hash,
    state = changed.state
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[]) AS changed (
    member_id, balance_points, member_sequence, entry_hash, state
)
WHERE account.chain_id = $1 AND account.member_id = changed.member_id;
