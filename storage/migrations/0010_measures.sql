-- What an operator's gauges show of the database. The functions run as the owner, since row-level security
-- keeps the service to one chain at a time; they tell sums and sizes, nobody's rows.
CREATE FUNCTION outstanding_points() RETURNS TABLE (chain text, points numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = 'on' AS $$
    SELECT chain.name, coalesce(sum(account.balance_points), 0)
    FROM chain LEFT JOIN account USING (chain_id)
    GROUP BY chain.name
$$;

CREATE FUNCTION table_sizes() RETURNS TABLE (
    relation text, partitions bigint, table_bytes bigint, index_bytes bigint, dead_rows bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = 'on' AS $$
    SELECT
        root.name,
        count(*),
        sum(pg_table_size(tree.relid))::bigint,
        sum(pg_indexes_size(tree.relid))::bigint,
        coalesce(sum(pg_stat_get_dead_tuples(tree.relid)), 0)::bigint
    FROM unnest(ARRAY['operation', 'account', 'card']) AS root (name)
    CROSS JOIN LATERAL pg_partition_tree(root.name::regclass) AS tree
    WHERE tree.isleaf
    GROUP BY root.name
    UNION ALL
    SELECT 'card', 1, pg_table_size('card'), pg_indexes_size('card'), pg_stat_get_dead_tuples('card'::regclass)
$$;

-- Without the rights of pg_monitor an owner sees that there are standbys, but not how far behind they are.
CREATE FUNCTION standbys() RETURNS TABLE (name text, replay_lag_seconds double precision, is_sync boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT
        application_name,
        coalesce(extract(EPOCH FROM replay_lag), 0)::double precision,
        coalesce(sync_state IN ('sync', 'quorum'), FALSE)
    FROM pg_stat_replication
$$;

-- How many standbys COMMIT waits for, by synchronous_standby_names: FIRST n (...), ANY n (...), n (...), or
-- names, of which it waits for one.
CREATE FUNCTION sync_standbys_wanted() RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN names.setting = '' THEN 0
        ELSE coalesce((regexp_match(names.setting, '^\s*(?:FIRST|ANY)?\s*(\d+)\s*\(', 'i'))[1]::integer, 1)
    END
    FROM current_setting('synchronous_standby_names') AS names (setting)
$$;

REVOKE ALL ON FUNCTION outstanding_points, table_sizes, standbys FROM public;
GRANT EXECUTE ON FUNCTION outstanding_points, table_sizes, standbys TO loyalty_service;
