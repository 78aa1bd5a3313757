CREATE OR REPLACE FUNCTION mulberry.outbound_allowed() RETURNS boolean
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_outbound_allowed';
COMMENT ON FUNCTION mulberry.outbound_allowed() IS
    'false in a copy of another database: its workers call nobody until resume_outbound()';

CREATE OR REPLACE FUNCTION library_version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_library_version_sql';
COMMENT ON FUNCTION library_version() IS 'the version of the library that runs; that of the SQL is in pg_extension';

CREATE OR REPLACE FUNCTION version_hint(version text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_version_hint_sql';
COMMENT ON FUNCTION version_hint(text) IS 'what to do about SQL of this version; null when it fits the library that runs';
