-- What begins an update script, before the step's own DDL and the functions.

\echo Use "ALTER EXTENSION mulberry UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;
-- as ALTER EXTENSION has it anyway: bodies may name what a later file makes
SET LOCAL check_function_bodies = off;

-- The rules of open.sql held when the extension was created. Since then somebody may have been given
-- CREATE on a schema of ours, or have put there what the names in this script would mean.
DO $$
DECLARE
    schema  record;
    problem text;
BEGIN
    FOR schema IN
        SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace n WHERE n.nspname IN ('mulberry', 'mulberry_internal')
    LOOP
        SELECT format('%s has CREATE on it', CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END)
          INTO problem
          FROM aclexplode(schema.nspacl) AS a
         WHERE a.privilege_type = 'CREATE' AND a.grantee <> schema.nspowner
         LIMIT 1;
        IF problem IS NULL THEN
            SELECT format('%s in it does not belong to the extension', pg_describe_object(o.class, o.object, 0))
              INTO problem
              FROM (SELECT 'pg_proc'::regclass, p.oid, p.pronamespace FROM pg_proc p
                    UNION ALL
                    SELECT 'pg_operator'::regclass, o.oid, o.oprnamespace FROM pg_operator o
                    UNION ALL
                    -- partitions of packets are none of its members, nor are indexes
                    SELECT 'pg_class'::regclass, c.oid, c.relnamespace FROM pg_class c
                     WHERE c.relkind NOT IN ('i', 'I', 'c') AND NOT c.relispartition
                    UNION ALL
                    SELECT 'pg_type'::regclass, t.oid, t.typnamespace FROM pg_type t
                     WHERE NOT (t.typcategory = 'A' AND t.typelem <> 0)
                       AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
                   ) AS o (class, object, namespace)
             WHERE o.namespace = schema.oid
               AND NOT EXISTS (SELECT FROM pg_depend d
                                WHERE d.classid = o.class AND d.objid = o.object AND d.deptype = 'e')
             LIMIT 1;
        END IF;
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION 'schema "%" cannot be used for an update: %', schema.nspname, problem
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Revoke the right, or move the object to another schema.';
        END IF;
    END LOOP;
END
$$;

SET LOCAL search_path = mulberry_internal, mulberry, pg_catalog, pg_temp;
