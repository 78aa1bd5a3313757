-- What ends every install and every update: the rules that hold for all objects, those that an
-- update adds as well.  Only what lacks them is touched, because the rights that an object has after
-- an ALTER inside a script count as the extension's own from then on, and pg_dump leaves them out:
-- members would lose theirs by a restore. Partitions of packets, which are no members of the extension,
-- get their row security when they are made and have no rights of their own.

-- The second barrier.  There are no policies: who is granted a table by mistake
-- sees nothing of it, not even rows of the own tenant that the access does not
-- cover.  (And pg_dump before 15.6 writes policies that a script makes, so that
-- the restored copy would make them twice.)
DO $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT c.oid::regclass AS name
          FROM pg_class c
         WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
           AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT c.relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target.name);
    END LOOP;
END
$$;

-- Nothing is for everybody: grant_access() decides.
DO $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT o.object
          FROM (
            SELECT format('%s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure) AS object,
                   p.pronamespace AS namespace, p.proacl AS acl
              FROM pg_proc p
            UNION ALL
            SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass),
                   c.relnamespace, c.relacl
              FROM pg_class c
             WHERE c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
            UNION ALL
            SELECT format('TYPE %s', t.oid::regtype), t.typnamespace, t.typacl
              FROM pg_type t
             WHERE NOT (t.typcategory = 'A' AND t.typelem <> 0)
               -- row types of tables follow their tables
               AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
            UNION ALL
            SELECT format('SCHEMA %s', n.nspname), n.oid, n.nspacl
              FROM pg_namespace n
          ) AS o
         WHERE o.namespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
           AND (o.acl IS NULL OR EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = 0))
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target.object);
    END LOOP;
END
$$;
