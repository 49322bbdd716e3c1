-- The service's role: it owns nothing and reads and writes only what is granted below. Connections drop to it
-- with SET ROLE, so any login that is a member of it can run the service.
DO $$
BEGIN
    CREATE ROLE loyalty_service NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the server, so another database's run made it
END
$$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'loyalty_service', 'SET') THEN
        EXECUTE format('GRANT loyalty_service TO %I', current_user);
    END IF;
EXCEPTION
    WHEN unique_violation THEN NULL; -- another database's run granted it at this moment
END
$$;
