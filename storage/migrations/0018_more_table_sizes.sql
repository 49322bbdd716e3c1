-- As before, of the new tables too.
CREATE OR REPLACE FUNCTION table_sizes() RETURNS TABLE (
    relation text, partitions bigint, table_bytes bigint, index_bytes bigint, dead_rows bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = 'on' AS $$
    SELECT
        root.name,
        count(*),
        sum(pg_table_size(tree.relid))::bigint,
        sum(pg_indexes_size(tree.relid))::bigint,
        coalesce(sum(pg_stat_get_dead_tuples(tree.relid)), 0)::bigint
    FROM unnest(ARRAY['operation', 'account']) AS root (name)
    CROSS JOIN LATERAL pg_partition_tree(root.name::regclass) AS tree
    WHERE tree.isleaf
    GROUP BY root.name
    UNION ALL
    SELECT
        single.name,
        1,
        pg_table_size(single.name::regclass),
        pg_indexes_size(single.name::regclass),
        pg_stat_get_dead_tuples(single.name::regclass)
    FROM unnest(ARRAY['card', 'due', 'tally']) AS single (name)
$$;
