-- Texts that enter are bounded and can be said in UTF-8; texts.c says how long each may be, by the name of the
-- argument.

CREATE OR REPLACE FUNCTION check_texts(VARIADIC pairs text[]) RETURNS void
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'mulberry_check_texts';
COMMENT ON FUNCTION check_texts(text[]) IS
    'name and value of each argument: raises 22001 when one is longer than text_limits() says, 22P05 when one cannot be said in UTF-8, '
    'or in a database in SQL_ASCII is none; nulls are fine (internal)';

CREATE OR REPLACE FUNCTION check_json(argument text, value jsonb) RETURNS void
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mulberry_check_json';
COMMENT ON FUNCTION check_json(text, jsonb) IS 'check_texts() for JSON (internal)';

CREATE OR REPLACE FUNCTION text_limits() RETURNS TABLE (argument text, max_bytes integer)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mulberry_text_limits';
COMMENT ON FUNCTION text_limits() IS 'how many bytes the text or JSON in an argument of that name may have (internal)';

CREATE OR REPLACE FUNCTION has_controls(value text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mulberry_has_controls';
COMMENT ON FUNCTION has_controls(text) IS 'whether a text has a control character, in whatever encoding (internal)';

CREATE OR REPLACE FUNCTION whole_number(value jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (value #>> '{}')::numeric::integer;
COMMENT ON FUNCTION whole_number(jsonb) IS
    'a number in JSON that was checked to be a whole one: JSON may write it as 700.0, and jsonb keeps that (internal)';
