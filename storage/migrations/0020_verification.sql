-- What each `verify` of all chains found; the service shows the last one among its metrics.
CREATE TABLE verification (
    ended_at timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    operations bigint NOT NULL,
    differences bigint NOT NULL
);

GRANT SELECT ON verification TO loyalty_service;
