-- The unique index of one partition cannot see a key in another. Most batches touch only the partition of the
-- present, the chain's home, and share a lock; a batch that touches any other takes the lock alone. So two
-- batches that could put one key into two partitions never run at once, and the later one's probe finds the
-- key.
CREATE TABLE chain_home (
    chain_id integer PRIMARY KEY REFERENCES chain,
    partition_name text NOT NULL
);

ALTER TABLE chain_home ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_chain ON chain_home TO loyalty_service USING (chain_id = current_chain_id());
GRANT SELECT, INSERT, UPDATE ON chain_home TO loyalty_service;

-- Begins a batch of a chain: sets the chain for row-level security and takes the chain's lock, shared if all
-- rows go to `home`. Raises LP001 if the chain's home is another by now; the caller begins anew, alone.
CREATE FUNCTION enter_home(entering_chain_id integer, home text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', entering_chain_id::text, TRUE);
    PERFORM pg_advisory_xact_lock_shared(hashtext('loyalty.chain'), entering_chain_id);
    PERFORM 1 FROM chain_home AS h
    WHERE h.chain_id = entering_chain_id AND h.partition_name = home;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'home of chain % is not %', entering_chain_id, home USING ERRCODE = 'LP001';
    END IF;
END
$$;

-- Begins a batch that touches other partitions than the home, or moves the home to `new_home` if given.
CREATE FUNCTION enter_alone(entering_chain_id integer, new_home text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('loyalty.chain_id', entering_chain_id::text, TRUE);
    PERFORM pg_advisory_xact_lock(hashtext('loyalty.chain'), entering_chain_id);
    IF new_home IS NOT NULL THEN
        INSERT INTO chain_home VALUES (entering_chain_id, new_home)
        ON CONFLICT (chain_id) DO UPDATE SET partition_name = excluded.partition_name;
    END IF;
END
$$;
