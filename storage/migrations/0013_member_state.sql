-- What a member has beside the balance. `state` is what the ledger's effects add up to; `segments` (names
-- between commas) and `status` (0 open, 1 closed) are the operator's.

-- A balance below zero is a debt.
-- squawk-ignore ban-drop-constraint
ALTER TABLE account DROP CONSTRAINT account_balance_points_check;

ALTER TABLE account ADD COLUMN state bytea NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN segments text NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN status smallint NOT NULL DEFAULT 0;

-- 0 open, 1 blocked, 2 replaced.
ALTER TABLE card ADD COLUMN status smallint NOT NULL DEFAULT 0;

-- What its bearer may do: till or operator.
ALTER TABLE api_key ADD COLUMN role text NOT NULL DEFAULT 'till';
