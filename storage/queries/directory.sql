-- name: revision
SELECT directory_revision.revision FROM directory_revision;

-- name: chains
SELECT
    chain.chain_id,
    chain.name,
    chain.window_back_seconds,
    chain.window_ahead_seconds
FROM chain
ORDER BY chain.name;

-- name: live_keys
SELECT
    api_key.key_id,
    api_key.chain_id,
    api_key.secret_sha256,
    api_key.role
FROM api_key
WHERE api_key.revoked_at IS NULL;

-- name: live_key
SELECT api_key.secret_sha256 FROM api_key
WHERE api_key.key_id = $1 AND api_key.chain_id = $2 AND api_key.revoked_at IS NULL;

-- name: programs
SELECT
    program.chain_id,
    program.version,
    program.effective_from,
    program.document
FROM program
ORDER BY program.chain_id, program.version;

-- name: find_chain
SELECT chain.chain_id FROM chain
WHERE chain.name = $1;

-- name: lock_chain
-- Versions of a chain's program are counted one at a time.
SELECT chain.chain_id FROM chain
WHERE chain.chain_id = $1
FOR NO KEY UPDATE;

-- name: create_chain
INSERT INTO chain (name, window_back_seconds, window_ahead_seconds)
VALUES ($1, $2, $3)
RETURNING chain_id;

-- name: create_key
INSERT INTO api_key (key_id, chain_id, label, secret_sha256, role)
VALUES ($1, $2, $3, $4, $5);

-- name: revoke_key
-- A key that is revoked already keeps the time of it.
UPDATE api_key
SET revoked_at = coalesce(api_key.revoked_at, now())
WHERE api_key.key_id = $1
RETURNING api_key.key_id;

-- name: list_keys
SELECT
    api_key.key_id,
    api_key.label,
    api_key.role,
    api_key.created_at,
    api_key.revoked_at
FROM api_key
WHERE api_key.chain_id = $1
ORDER BY api_key.created_at, api_key.key_id;

-- name: add_program
-- A time that has passed means now, after the wait for the lock: so every version comes into force.
INSERT INTO program (chain_id, version, effective_from, document)
VALUES (
    $1,
    (
        SELECT coalesce(max(p.version), 0) + 1 FROM program AS p
        WHERE p.chain_id = $1
    ),
    greatest($2, clock_timestamp()),
    $3
)
RETURNING version, effective_from;

-- name: chain_programs
SELECT
    program.version,
    program.effective_from,
    program.document
FROM program
WHERE program.chain_id = $1
ORDER BY program.version;
