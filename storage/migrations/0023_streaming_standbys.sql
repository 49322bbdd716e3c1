-- Who streams from this server. To an owner without the rights of pg_read_all_stats PostgreSQL says no more
-- than that somebody does: lag and `is_sync` are NULL then, and else never. `standbys` stays for services of
-- before this version, which take no NULL.
CREATE FUNCTION streaming_standbys() RETURNS TABLE (
    name text, replay_lag_seconds double precision, is_sync boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT
        application_name,
        -- To those who may see it the lag is NULL, too, where nothing has been sent for a while.
        CASE WHEN sync_state IS NOT NULL THEN coalesce(extract(EPOCH FROM replay_lag), 0) END::double precision,
        sync_state IN ('sync', 'quorum')
    FROM pg_stat_replication
$$;

REVOKE ALL ON FUNCTION streaming_standbys FROM public;
GRANT EXECUTE ON FUNCTION streaming_standbys TO loyalty_service;
