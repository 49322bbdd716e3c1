-- The append-only ledger, which is the idempotency record too. Each partition has its own unique index on
-- (chain_id, idempotency_key): see ensure_partition.
CREATE TABLE operation (
    chain_id integer NOT NULL,
    idempotency_key text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    member_id bigint NOT NULL,
    member_sequence bigint NOT NULL,
    kind smallint NOT NULL,
    outcome smallint NOT NULL,
    earned_points bigint NOT NULL,
    redeemed_points bigint NOT NULL,
    balance_points bigint NOT NULL,
    total_minor bigint NOT NULL,
    redeemed_minor bigint NOT NULL,
    program_version integer NOT NULL,
    store_id text NOT NULL,
    terminal_id text NOT NULL,
    receipt_id text NOT NULL,
    fingerprint bytea NOT NULL,
    response bytea NOT NULL,
    entry_hash bytea NOT NULL
) PARTITION BY RANGE (occurred_at);

CREATE INDEX operation_member ON operation (chain_id, member_id, member_sequence);

ALTER TABLE operation ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_chain ON operation TO loyalty_service USING (chain_id = current_chain_id());
GRANT SELECT ON operation TO loyalty_service;

-- How long a partition's range is. Existing partitions keep theirs when it is changed.
CREATE TABLE partitioning (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    unit text NOT NULL DEFAULT 'month' CHECK (unit IN ('day', 'week', 'month'))
);

INSERT INTO partitioning DEFAULT VALUES;
GRANT SELECT ON partitioning TO loyalty_service;

-- The ranges that have a partition, as the catalogue knows them.
CREATE VIEW ledger_partition AS
SELECT
    child.relname AS name,
    bounds.range_from::timestamptz AS range_from,
    bounds.range_to::timestamptz AS range_to
FROM pg_inherits AS link
INNER JOIN pg_class AS child ON link.inhrelid = child.oid
CROSS JOIN LATERAL (
    SELECT
        parts[1] AS range_from,
        parts[2] AS range_to
    FROM regexp_match(
        pg_get_expr(child.relpartbound, child.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)'
    ) AS parts
) AS bounds
WHERE link.inhparent = 'operation'::regclass AND NOT link.inhdetachpending;

GRANT SELECT ON ledger_partition TO loyalty_service;

-- Makes the partition that `moment` falls into, if there is none yet. The service may call it without owning
-- the ledger. CREATE and ATTACH leave the parent readable and writable throughout; the CHECK spares ATTACH
-- the scan.
CREATE FUNCTION ensure_partition(moment timestamptz) RETURNS text
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
    -- While a partition is empty both indexes cost the planner the same for a key, and it takes the later one.
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

REVOKE ALL ON FUNCTION ensure_partition FROM public;
GRANT EXECUTE ON FUNCTION ensure_partition TO loyalty_service;
