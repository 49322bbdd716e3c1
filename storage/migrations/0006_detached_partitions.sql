-- What has left the ledger by detaching: how many operations of which chain a partition held. Gaps of this
-- size in the members' sequences are no loss. A row whose partition is still attached tells of a detachment
-- begun.
CREATE TABLE detached_partition (
    name text NOT NULL,
    chain_id integer NOT NULL,
    operations bigint NOT NULL,
    range_from timestamptz NOT NULL,
    range_to timestamptz NOT NULL,
    detached_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, chain_id)
);
