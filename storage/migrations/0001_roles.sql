-- The service's role: it owns nothing and reads and writes only what is granted below. Connections drop to it
-- with SET ROLE, so any login that is a member of it can run the service.
DO $$
BEGIN
    -- Roles belong to the server: another database's run, or somebody who may make roles, may have made it before.
    IF to_regrole('loyalty_service') IS NULL THEN
        CREATE ROLE loyalty_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- or at this moment
END
$$;

DO $$
DECLARE
    -- Before PostgreSQL 16 every member of a role may set it.
    may_set text := CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END;
BEGIN
    IF NOT pg_has_role(current_user, 'loyalty_service', may_set) THEN
        EXECUTE format('GRANT loyalty_service TO %I', current_user);
    END IF;
EXCEPTION
    WHEN unique_violation THEN NULL; -- another database's run granted it at this moment
END
$$;
