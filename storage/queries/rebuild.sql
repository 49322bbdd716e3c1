-- name: prepare
-- The whole result is wanted, not the first rows of it.
SELECT
    set_config('cursor_tuple_fraction', '1', TRUE),
    set_config('work_mem', '64MB', TRUE),
    set_config('jit', 'off', TRUE);

-- name: count_members
SELECT count(*) FROM account;

-- name: lock
-- Nobody adds an account, or changes one, until all are there.
LOCK TABLE account IN EXCLUSIVE MODE;

-- name: has_accounts
SELECT exists(SELECT FROM account);
