-- When something of a member's state must be looked at: points that become active or expire, holds that end.
-- `times_noted` tells a row that was noted anew from the one that somebody read before.
CREATE TABLE due (
    chain_id integer NOT NULL,
    due_at timestamptz NOT NULL,
    member_id bigint NOT NULL,
    times_noted integer NOT NULL DEFAULT 1,
    PRIMARY KEY (chain_id, due_at, member_id)
)
-- Rows come and go, and dead ones lie where the next are looked for.
WITH (autovacuum_vacuum_scale_factor = 0.02);

ALTER TABLE due ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_chain ON due TO loyalty_service USING (chain_id = current_chain_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON due TO loyalty_service;

-- Rows of all chains that are due, the oldest first, after the row that the last three arguments name.
CREATE FUNCTION read_due(
    until timestamptz,
    rows_max integer,
    after_due_at timestamptz,
    after_chain_id integer,
    after_member_id bigint
)
RETURNS SETOF due
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    reading_chain_id integer;
BEGIN
    FOR reading_chain_id IN SELECT c.chain_id FROM chain AS c LOOP
        RETURN QUERY SELECT d.* FROM due AS d
        WHERE
            d.chain_id = reading_chain_id
            AND d.due_at BETWEEN after_due_at AND until
            AND (d.due_at, d.chain_id, d.member_id) > (after_due_at, after_chain_id, after_member_id)
        ORDER BY d.due_at, d.member_id
        LIMIT rows_max;
    END LOOP;
END
$$;

-- Deletes rows of a chain that nobody has noted anew since they were read; returns how many.
CREATE FUNCTION forget_due(
    forgetting_chain_id integer, times timestamptz[], member_ids bigint[], counts integer[]
)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    forgotten bigint;
BEGIN
    PERFORM set_config('loyalty.chain_id', forgetting_chain_id::text, TRUE);
    DELETE FROM due AS d
    USING unnest(times, member_ids, counts) AS done (due_at, member_id, times_noted)
    WHERE
        d.chain_id = forgetting_chain_id
        AND d.due_at = done.due_at
        AND d.member_id = done.member_id
        AND d.times_noted = done.times_noted;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

-- For how long the oldest row has been due; 0 if none is.
CREATE FUNCTION due_lag_seconds() RETURNS double precision
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT greatest(coalesce(max(extract(EPOCH FROM now() - oldest.due_at)), 0), 0)::double precision
    FROM chain
    CROSS JOIN LATERAL (SELECT min(d.due_at) AS due_at FROM due AS d WHERE d.chain_id = chain.chain_id) AS oldest
$$;

REVOKE ALL ON FUNCTION read_due, due_lag_seconds FROM public;
GRANT EXECUTE ON FUNCTION read_due, due_lag_seconds TO loyalty_service;

-- What a store or a terminal has done in the hour and the day of its last operation. A batch has the rows of
-- its subjects locked.
CREATE TABLE tally (
    chain_id integer NOT NULL,
    subject text NOT NULL,
    hour integer NOT NULL DEFAULT 0,
    hour_operations bigint NOT NULL DEFAULT 0,
    hour_earned_points bigint NOT NULL DEFAULT 0,
    hour_redeemed_points bigint NOT NULL DEFAULT 0,
    day integer NOT NULL DEFAULT 0,
    day_operations bigint NOT NULL DEFAULT 0,
    day_earned_points bigint NOT NULL DEFAULT 0,
    day_redeemed_points bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (chain_id, subject)
) WITH (fillfactor = 50);

ALTER TABLE tally ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_chain ON tally TO loyalty_service USING (chain_id = current_chain_id());
GRANT SELECT, INSERT, UPDATE ON tally TO loyalty_service;
