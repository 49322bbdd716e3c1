-- For each partition, outside a transaction:
-- Of a partition from before, which transactions of several chains may write into from now on. Every row was
-- checked as it came, so none is read again. Whoever waits for the lock here makes the service wait.
SET lock_timeout = '5s';
ALTER TABLE "{partition}"
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT IF EXISTS own_chain,
ADD CONSTRAINT own_chain CHECK (is_own_chain(chain_id)) NOT VALID;
