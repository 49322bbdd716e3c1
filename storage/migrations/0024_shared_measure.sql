-- As before, but the accounts are added up in one pass, whatever the session's planner settings.
CREATE OR REPLACE FUNCTION outstanding_points() RETURNS TABLE (chain text, points numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = 'on' AS $$
    SELECT chain.name, coalesce(owed.points, 0)
    FROM chain
    LEFT JOIN (
        SELECT a.chain_id, sum(a.balance_points) AS points FROM account AS a GROUP BY a.chain_id
    ) AS owed USING (chain_id)
$$;

-- What the chains owe, as it was last added up. That reads every account, so one process of all does it at a
-- time, and the others show what it has found.
CREATE TABLE outstanding (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    measured_at timestamptz NOT NULL,
    points_by_chain jsonb NOT NULL
);

-- The row, added up anew if it is older than that and nobody else is at it; none before the first time.
CREATE FUNCTION measure_outstanding(age_seconds_max double precision)
RETURNS TABLE (measured_at_seconds double precision, points_by_chain jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    IF
        NOT EXISTS (
            SELECT FROM outstanding WHERE measured_at > now() - make_interval(secs => age_seconds_max)
        )
        AND pg_try_advisory_xact_lock(hashtext('loyalty.outstanding'))
    THEN
        -- It can be added up again at any time, so COMMIT must not wait for a standby that may be gone.
        PERFORM set_config('synchronous_commit', 'off', TRUE);
        INSERT INTO outstanding (measured_at, points_by_chain)
        SELECT now(), coalesce(jsonb_object_agg(owed.chain, owed.points), '{}') FROM outstanding_points() AS owed
        ON CONFLICT (singleton) DO UPDATE
        SET measured_at = excluded.measured_at, points_by_chain = excluded.points_by_chain;
    END IF;
    RETURN QUERY SELECT extract(EPOCH FROM o.measured_at)::double precision, o.points_by_chain
    FROM outstanding AS o;
END
$$;

REVOKE ALL ON FUNCTION measure_outstanding FROM public;
GRANT EXECUTE ON FUNCTION measure_outstanding TO loyalty_service;
