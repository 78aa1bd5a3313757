-- The language of functions that run as the owner of the extension and know who called them
-- (callers.c): what users call is in it.  Nobody but a superuser can write in it.

CREATE OR REPLACE FUNCTION call_as_owner() RETURNS language_handler
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_call_as_owner';
COMMENT ON FUNCTION call_as_owner() IS 'handler of the language mulberry (internal)';

CREATE OR REPLACE LANGUAGE mulberry HANDLER mulberry_internal.call_as_owner VALIDATOR pg_catalog.plpgsql_validator;
COMMENT ON LANGUAGE mulberry IS 'PL/pgSQL as the owner of the extension mulberry, on behalf of whoever calls';
