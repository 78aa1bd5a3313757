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
         WHERE c.relnamespace = 'mulberry'::regnamespace AND c.relkind IN ('r', 'p')
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
        SELECT format('%s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                      p.oid::regprocedure) AS object
          FROM pg_proc p
         WHERE p.pronamespace = 'mulberry'::regnamespace
        UNION ALL
        SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass)
          FROM pg_class c
         WHERE c.relnamespace = 'mulberry'::regnamespace
           AND c.relkind IN ('r', 'p', 'v', 'S')
        UNION ALL
        SELECT format('TYPE %s', t.oid::regtype)
          FROM pg_type t
         WHERE t.typnamespace = 'mulberry'::regnamespace
           AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
           -- row types of tables follow their tables
           AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
        UNION ALL
        SELECT 'SCHEMA mulberry'
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target.object);
    END LOOP;
END
$$;
