-- What begins the install script.  Rules for every file of src/SUBJECT/:
--
--  * tables.sql holds what exists once and is changed by hand-written updates only: tables,
--    sequences, types, indexes.  All other files can be run again: they say CREATE OR REPLACE.
--  * A table belongs to the owner of the extension; nobody else gets DML on it.
--    Users get EXECUTE on functions and SELECT on views, through
--    grant_access() only; close.sql takes everything from PUBLIC.
--  * Views and functions filter by current_tenants() themselves, because row
--    level security does nothing for the usual owner, a superuser.  Row level
--    security is the second barrier: every table that carries a tenant has it.
--  * What users call and needs the owner's rights is LANGUAGE mulberry, which is PL/pgSQL as
--    the owner that still knows who calls (access/callers.c); SECURITY DEFINER is for triggers.
--    Both pin search_path to pg_catalog, mulberry, mulberry_internal, pg_temp.
--  * mulberry holds what users see, mulberry_internal tables and everything else.
--  * Every table and sequence is registered with pg_extension_config_dump.
--  * Every object carries a COMMENT.

\echo Use "CREATE EXTENSION mulberry" to load this file. \quit

-- CREATE EXTENSION has the schemas of required extensions in the search path, and
-- those may be open to others, whose operators for odd pairs of types would run as
-- the superuser who installs us.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Whoever may create objects in a schema of ours, or has put some there before us,
-- could capture what SECURITY DEFINER functions call.  CREATE EXTENSION has made the
-- first schema unless it was there; the second is always ours to make.
DO $$
DECLARE
    problem text;
    taken   text := 'mulberry';
BEGIN
    SELECT CASE
               WHEN n.nspowner <> CURRENT_USER::pg_catalog.regrole AND NOT o.rolsuper
                   THEN pg_catalog.format('it belongs to "%s"', o.rolname)
               WHEN EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) a
                             WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner)
                   THEN 'others have CREATE on it'
               WHEN EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = n.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_operator WHERE oprnamespace = n.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace = n.oid)
                   THEN 'it is not empty'
           END
      INTO problem
      FROM pg_catalog.pg_namespace n
      JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner
     WHERE n.oid = 'mulberry'::pg_catalog.regnamespace;
    IF problem IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'mulberry_internal') THEN
        taken := 'mulberry_internal';
        problem := 'it exists already';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'schema "%" cannot be used: %', taken, problem
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename the schema; CREATE EXTENSION makes its own.';
    END IF;
END
$$;

CREATE SCHEMA mulberry_internal;
COMMENT ON SCHEMA mulberry_internal IS
    'tables of mulberry and functions that no user calls; nothing in it is granted but through the access "worker"';

-- What is written without a schema is internal; what users see says "mulberry."
SET LOCAL search_path = mulberry_internal, mulberry, pg_catalog, pg_temp;
