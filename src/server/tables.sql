-- Where this database lives.  A copy of it (a restored dump, CREATE DATABASE ...
-- TEMPLATE, an upgraded server) finds something else than itself here, and its
-- workers leave outgoing work alone.

CREATE TABLE installation (
    system_identifier bigint NOT NULL,
    database          oid NOT NULL,
    since             timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by       name NOT NULL
);
-- installation.c reads columns by position: add new ones at the end
COMMENT ON TABLE installation IS 'the server and database whose outgoing work may be done; more than one row: a dump was restored';
COMMENT ON COLUMN installation.system_identifier IS 'as pg_control_system() says; 0: a dump was restored here';
COMMENT ON COLUMN installation.database IS 'pg_database.oid; 0: a dump was restored here';
COMMENT ON COLUMN installation.approved_by IS 'who created the extension, called resume_outbound() or restored the dump';
INSERT INTO installation (system_identifier, database, approved_by)
SELECT c.system_identifier, d.oid, SESSION_USER
  FROM pg_control_system() c, pg_database d
 WHERE d.datname = current_database();
ALTER TABLE installation REPLICA IDENTITY FULL;
SELECT pg_catalog.pg_extension_config_dump('installation', '');

CREATE TABLE set_aside (
    unit     text COLLATE "C",
    item     text COLLATE "C",
    tenant   uuid,
    sqlstate text COLLATE "C" NOT NULL,
    error    text COLLATE "C" NOT NULL,
    times    integer NOT NULL DEFAULT 1,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    retry_at timestamptz NOT NULL,
    PRIMARY KEY (unit, item)
);
COMMENT ON TABLE set_aside IS 'what shared work could not do, so that the rest goes on: tried again at retry_at';
COMMENT ON COLUMN set_aside.unit IS 'which work: linking, numbering, maintenance, ...';
COMMENT ON COLUMN set_aside.item IS 'a row by its key, a tenant, or a step';
SELECT pg_catalog.pg_extension_config_dump('set_aside', 'WHERE false');
