-- What later operations and the members' state need to know of an operation. Rows from before have nothing in
-- it, and their hashes stay what they were.
ALTER TABLE operation ADD COLUMN discount_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE operation ADD COLUMN original_key text NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN reason text NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN receipt_lines text NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN effects bytea NOT NULL DEFAULT '';

-- As before, and with an index of those operations that take an earlier one further.
CREATE OR REPLACE FUNCTION ensure_partition(moment timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    unit text := (SELECT p.unit FROM partitioning AS p);
    lower_bound timestamptz := date_trunc(unit, moment);
    upper_bound timestamptz := lower_bound + ('1 ' || unit)::interval;
    found text;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('loyalty.partitions'));
    SELECT p.name INTO found FROM ledger_partition AS p
    WHERE p.range_from <= moment AND moment < p.range_to;
    IF found IS NOT NULL THEN
        RETURN found;
    END IF;
    -- Neighbours of another length, from before the unit was changed, may reach into this range.
    SELECT coalesce(max(p.range_to), lower_bound) INTO lower_bound FROM ledger_partition AS p
    WHERE p.range_to > lower_bound AND p.range_to <= moment;
    SELECT coalesce(min(p.range_from), upper_bound) INTO upper_bound FROM ledger_partition AS p
    WHERE p.range_from > moment AND p.range_from < upper_bound;
    name := 'operation_' || to_char(lower_bound, 'YYYYMMDD');
    EXECUTE format('CREATE TABLE %I (LIKE operation INCLUDING DEFAULTS)', name);
    -- While a partition is empty all indexes cost the planner the same for a key, and it takes the latest one.
    EXECUTE format(
        'CREATE INDEX %I ON %I (chain_id, original_key) WHERE original_key <> ''''', name || '_original', name
    );
    EXECUTE format('CREATE INDEX %I ON %I (chain_id, member_id, member_sequence)', name || '_member', name);
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (chain_id, idempotency_key)', name || '_key', name);
    EXECUTE format(
        'ALTER TABLE %I ADD CONSTRAINT bounds CHECK (occurred_at >= %L AND occurred_at < %L)',
        name, lower_bound, upper_bound
    );
    -- COPY does not obey row-level security; this keeps a transaction's rows to its chain all the same.
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT own_chain CHECK (chain_id = current_chain_id())', name);
    EXECUTE format('GRANT INSERT ON %I TO loyalty_service', name);
    EXECUTE format(
        'ALTER TABLE operation ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, lower_bound, upper_bound
    );
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT bounds', name);
    RETURN name;
END
$$;
