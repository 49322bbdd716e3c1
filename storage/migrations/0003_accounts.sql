-- The chain whose rows this transaction may see. Every statement of the service runs with it set.
CREATE FUNCTION current_chain_id() RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('loyalty.chain_id', TRUE), '')::integer;

-- One row per member. No index holds a column that a call changes, and pages keep room, so that every update
-- stays on its page (HOT).
CREATE TABLE account (
    chain_id integer NOT NULL,
    member_id bigint NOT NULL CHECK (member_id > 0),
    balance_points bigint NOT NULL DEFAULT 0 CHECK (balance_points >= 0),
    member_sequence bigint NOT NULL DEFAULT 0,
    entry_hash bytea NOT NULL DEFAULT '',
    PRIMARY KEY (chain_id, member_id)
) PARTITION BY HASH (member_id);

DO $$
BEGIN
    FOR remainder IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE account_%s PARTITION OF account FOR VALUES WITH (MODULUS 16, REMAINDER %s)'
            ' WITH (fillfactor = 70)',
            lpad(remainder::text, 2, '0'), remainder
        );
    END LOOP;
END
$$;

ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_chain ON account TO loyalty_service USING (chain_id = current_chain_id());
GRANT SELECT, UPDATE ON TABLE account TO loyalty_service;

CREATE TABLE card (
    chain_id integer NOT NULL,
    card text NOT NULL CHECK (length(card) BETWEEN 1 AND 64),
    member_id bigint NOT NULL,
    PRIMARY KEY (chain_id, card),
    FOREIGN KEY (chain_id, member_id) REFERENCES account (chain_id, member_id)
);

ALTER TABLE card ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_chain ON card TO loyalty_service USING (chain_id = current_chain_id());
GRANT SELECT ON card TO loyalty_service;
