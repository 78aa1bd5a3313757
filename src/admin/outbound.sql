CREATE OR REPLACE FUNCTION mulberry.resume_outbound() RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    held boolean;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin');
    LOCK TABLE mulberry_internal.installation IN SHARE ROW EXCLUSIVE MODE;
    held := NOT mulberry.outbound_allowed();
    IF held THEN
        DELETE FROM mulberry_internal.installation;
        INSERT INTO mulberry_internal.installation (system_identifier, database, approved_by)
        SELECT c.system_identifier, d.oid, mulberry_internal.outer_role_name()
          FROM pg_control_system() c, pg_database d
         WHERE d.datname = current_database();
    END IF;
    RETURN held;
END
$$;
COMMENT ON FUNCTION mulberry.resume_outbound() IS
    'lets the workers of this database do outgoing work although it is a copy; returns whether it was held. First cancel what the '
    'original does as well. Needs admin access to all tenants';
