-- The service compares the history with what its program knows before it serves.
GRANT SELECT ON schema_migration TO loyalty_service;
