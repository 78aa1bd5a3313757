-- The language of functions that run as the owner of the extension and know who called them
-- (callers.c): what users call is in it.  Nobody but a superuser can write in it.

CREATE OR REPLACE FUNCTION call_as_owner() RETURNS language_handler
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_call_as_owner';
COMMENT ON FUNCTION call_as_owner() IS 'handler of the language mulberry (internal)';

-- Not the validator of PL/pgSQL itself: pg_upgrade makes languages anew with functions of the same extension only.
CREATE OR REPLACE FUNCTION validate_as_plpgsql(oid) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_validate_as_plpgsql';
COMMENT ON FUNCTION validate_as_plpgsql(oid) IS 'validator of the language mulberry (internal)';

CREATE OR REPLACE LANGUAGE mulberry HANDLER mulberry_internal.call_as_owner VALIDATOR mulberry_internal.validate_as_plpgsql;
COMMENT ON LANGUAGE mulberry IS 'PL/pgSQL as the owner of the extension mulberry, on behalf of whoever calls';
