-- Publications: every table can say which of its rows was changed or deleted.
\set VERBOSITY terse
\getenv srcdir PG_ABS_SRCDIR
SELECT c.oid::regclass AS without_replica_identity
  FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind = 'r'
   AND NOT CASE c.relreplident
               WHEN 'f' THEN true
               WHEN 'i' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)
               WHEN 'd' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
               ELSE false END
 ORDER BY 1;

-- With a publication of everything, what changes and deletes rows works as without one.
SET client_min_messages = error;        -- about wal_level
CREATE PUBLICATION regress_everything FOR ALL TABLES;
CREATE ROLE regress_replicated;
SELECT mulberry.grant_access('regress_replicated', 'ingest');
SELECT mulberry.revoke_access('regress_replicated', 'ingest');
SELECT mulberry.create_tenant('replicated') IS NOT NULL AS made;
SELECT status FROM mulberry.ingest_packet('replicated', 0, 'hello', encoding => 'text', tenant => 'replicated');
SELECT status FROM mulberry.ingest_packet('replicated', 2, 'hello', encoding => 'text', tenant => 'replicated');
SELECT status FROM mulberry.ingest_packet('replicated', 1, 'hello', encoding => 'text', tenant => 'replicated');
SELECT mulberry.erase_call('replicated', tenant => 'replicated');
INSERT INTO mulberry_internal.installation (system_identifier, database, approved_by) VALUES (0, 0, 'regress');
SELECT mulberry.resume_outbound();
SELECT mulberry.maintenance() IS NOT NULL AS maintained;
DROP PUBLICATION regress_everything;
SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'replicated' \gset
\set include :srcdir '/sql/include/forget_tenant.sql'
\i :include
DROP ROLE regress_replicated;
