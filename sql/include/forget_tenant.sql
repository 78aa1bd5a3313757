-- Takes a test's tenant (its id in the psql variable "tenant") out of the database that all tests share, with
-- all it has.  Users cannot: the audit log is append-only and what is in use is not dropped, so triggers and
-- foreign keys are put out of action.
SELECT set_config('test.tenant', :'tenant', false) IS NOT NULL AS known;
SET session_replication_role = replica;
DO $$
DECLARE
    owned regclass;
BEGIN
    FOR owned IN
        SELECT c.oid FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
         WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    LOOP
        EXECUTE format('DELETE FROM %s WHERE tenant = %L', owned, current_setting('test.tenant'));
    END LOOP;
END
$$;
RESET session_replication_role;
DELETE FROM mulberry_internal.tenants WHERE id = :'tenant';
