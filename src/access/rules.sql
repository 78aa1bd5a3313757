-- What each access may use: an object (all functions of that name, or the view)
-- and the accesses that need it, without those that include them
-- (access_includes).  Each folder says it in a function access_rules_...() beside the
-- objects; what is not named is for the owner alone.

CREATE OR REPLACE FUNCTION access_rules() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    part name;
BEGIN
    FOR part IN
        SELECT p.proname FROM pg_proc p
         WHERE p.pronamespace = 'mulberry_internal'::regnamespace AND p.proname ~ '^access_rules_' AND p.pronargs = 0
         ORDER BY p.proname
    LOOP
        RETURN QUERY EXECUTE format('SELECT object, privilege, accesses FROM mulberry_internal.%I()', part);
    END LOOP;
END
$$;
COMMENT ON FUNCTION access_rules() IS 'which access needs which object, of all folders, before included accesses are added';

CREATE OR REPLACE FUNCTION mulberry.access_objects() RETURNS TABLE (access text, privilege text, object text)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN QUERY
        WITH named AS (
            SELECT p.proname AS name, 'EXECUTE' AS privilege,
                   format('%s %I.%I(%s)', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                          s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS object
              FROM pg_proc p
              JOIN pg_namespace s ON s.oid = p.pronamespace AND s.nspname IN ('mulberry', 'mulberry_internal')
            UNION ALL
            SELECT c.relname, w.privilege, format('%I.%I', 'mulberry', c.relname)
              FROM pg_class c, (VALUES ('SELECT'), ('INSERT')) AS w (privilege)
             WHERE c.relnamespace = 'mulberry'::regnamespace AND c.relkind = 'v'
        )
        SELECT DISTINCT a.access, n.privilege, n.object
          FROM mulberry_internal.access_rules() r
          JOIN named n ON n.name = r.object AND n.privilege = r.privilege
          JOIN unnest(mulberry_internal.access_names()) AS a (access)
            ON string_to_array(r.accesses, ' ') && mulberry_internal.access_includes(a.access)
         UNION ALL
        SELECT a.access, 'USAGE', s.object
          FROM unnest(mulberry_internal.access_names()) AS a (access)
          JOIN (VALUES ('SCHEMA mulberry', NULL), ('SCHEMA mulberry_internal', 'worker')) AS s (object, access)
            ON s.access IS NULL OR s.access = a.access;
END
$$;
COMMENT ON FUNCTION mulberry.access_objects() IS
    'what each access may do with which object, included accesses counted: "privilege" ON "object"';
