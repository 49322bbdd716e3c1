-- name: is_read_only
-- True on a standby, and on a primary that has been fenced off.
SELECT current_setting('transaction_read_only')::boolean
