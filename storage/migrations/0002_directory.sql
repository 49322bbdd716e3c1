-- What every process keeps in memory: chains, their keys and their rules. `directory_revision` tells that
-- something in it has changed.
CREATE TABLE directory_revision (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    revision bigint NOT NULL DEFAULT 1
);

INSERT INTO directory_revision DEFAULT VALUES;

CREATE TABLE chain (
    chain_id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    window_back_seconds bigint NOT NULL DEFAULT 45 * 86400 CHECK (window_back_seconds > 0),
    window_ahead_seconds bigint NOT NULL DEFAULT 600 CHECK (window_ahead_seconds >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    key_id text PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{12}$'),
    chain_id integer NOT NULL REFERENCES chain,
    label text NOT NULL DEFAULT '',
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE program (
    chain_id integer NOT NULL REFERENCES chain,
    version integer NOT NULL CHECK (version > 0),
    effective_from timestamptz NOT NULL,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, version)
);

CREATE FUNCTION bump_directory_revision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE directory_revision SET revision = revision + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER chain_changed AFTER INSERT OR UPDATE OR DELETE ON chain
FOR EACH STATEMENT EXECUTE FUNCTION bump_directory_revision();

CREATE TRIGGER api_key_changed AFTER INSERT OR UPDATE OR DELETE ON api_key
FOR EACH STATEMENT EXECUTE FUNCTION bump_directory_revision();

CREATE TRIGGER program_changed AFTER INSERT OR UPDATE OR DELETE ON program
FOR EACH STATEMENT EXECUTE FUNCTION bump_directory_revision();

GRANT SELECT ON directory_revision, chain, api_key, program TO loyalty_service;
