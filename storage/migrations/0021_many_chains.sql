-- Transactions of several chains. They set `loyalty.chain_ids` to those chains, between commas (`,3,14,15,`),
-- beside the `loyalty.chain_id` of those of one chain.
CREATE FUNCTION current_chain_ids() RETURNS integer[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(trim(BOTH ',' FROM current_setting('loyalty.chain_ids', TRUE)), ',')::integer[];

-- For each row that is written, so it takes no array apart. As current_chain_id, it is NULL for who restores.
CREATE FUNCTION is_own_chain(row_chain_id integer) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN row_chain_id = current_chain_id()
OR strpos(coalesce(current_setting('loyalty.chain_ids', TRUE), ''), ',' || row_chain_id || ',') > 0;

-- In the order in which batches come to the tables. The sub-select is evaluated once a statement.
CREATE POLICY own_chains ON chain_home TO loyalty_service
USING (chain_id = any((SELECT current_chain_ids())::integer[]));
CREATE POLICY own_chains ON card TO loyalty_service
USING (chain_id = any((SELECT current_chain_ids())::integer[]));
CREATE POLICY own_chains ON account TO loyalty_service
USING (chain_id = any((SELECT current_chain_ids())::integer[]));
CREATE POLICY own_chains ON operation TO loyalty_service
USING (chain_id = any((SELECT current_chain_ids())::integer[]));
CREATE POLICY own_chains ON due TO loyalty_service
USING (chain_id = any((SELECT current_chain_ids())::integer[]));

-- As enter_home, for a batch of several chains all of whose rows go to `home`. Chain 0 is nobody's: no row
-- needs to be asked for the role that looks at it.
CREATE FUNCTION enter_homes(entering_chain_ids integer[], home text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    at_home bigint;
BEGIN
    PERFORM set_config('loyalty.chain_id', '0', TRUE);
    PERFORM set_config('loyalty.chain_ids', ',' || array_to_string(entering_chain_ids, ',') || ',', TRUE);
    PERFORM pg_advisory_xact_lock_shared(hashtext('loyalty.chain'), entering.chain_id)
    FROM (SELECT e.chain_id FROM unnest(entering_chain_ids) AS e (chain_id) ORDER BY e.chain_id OFFSET 0) AS entering;
    SELECT count(*) INTO at_home
    FROM unnest(entering_chain_ids) AS entering (chain_id)
    INNER JOIN chain_home AS h ON entering.chain_id = h.chain_id AND h.partition_name = home;
    IF at_home < cardinality(entering_chain_ids) THEN
        RAISE EXCEPTION 'home of a chain is not %', home USING ERRCODE = 'LP001';
    END IF;
END
$$;

-- As before, but for the chains that a transaction may write for.
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
    -- COPY does not obey row-level security; this keeps a transaction's rows to its chains all the same.
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT own_chain CHECK (is_own_chain(chain_id))', name);
    EXECUTE format('GRANT INSERT ON %I TO loyalty_service', name);
    EXECUTE format(
        'ALTER TABLE operation ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, lower_bound, upper_bound
    );
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT bounds', name);
    RETURN name;
END
$$;
