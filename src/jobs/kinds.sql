-- The kinds of jobs and of endpoints: what src/jobs/kinds.c defines.

CREATE OR REPLACE FUNCTION mulberry.job_kinds()
RETURNS TABLE (kind text, purpose text, subject text, text_is_result boolean, retriable boolean, persistent boolean, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'mulberry_job_kinds';
COMMENT ON FUNCTION mulberry.job_kinds() IS
    'the kinds of jobs: purpose of the endpoints that serve them; subject (a call that is processed and fails with its job, a voice_call '
    'that we placed, a command, a recording, or an endpoint); text_is_result: of a text call only an endpoint is asked that takes text; '
    'retriable: retry_job() takes them; persistent: tried again every few minutes';

CREATE OR REPLACE FUNCTION job_kind(kind text,
    OUT purpose text, OUT subject text, OUT text_is_result boolean, OUT retriable boolean, OUT persistent boolean)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_job_kind_sql';
COMMENT ON FUNCTION job_kind(text) IS 'properties of a kind of job, as job_kinds() has them; 22023: there is no such kind (internal)';

CREATE OR REPLACE FUNCTION mulberry.job_purpose(kind text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_job_purpose';
COMMENT ON FUNCTION mulberry.job_purpose(text) IS 'purpose of the endpoints that serve a kind of job; null: there is no such kind';

CREATE OR REPLACE FUNCTION mulberry.endpoint_kinds()
RETURNS TABLE (kind text, purpose text, default_url text, takes_text boolean, needs_model boolean, options text[], meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'mulberry_endpoint_kinds';
COMMENT ON FUNCTION mulberry.endpoint_kinds() IS
    'the kinds of endpoints with each purpose that they serve, and what set_endpoint() takes for it';

CREATE OR REPLACE FUNCTION endpoint_kind(kind text, purpose text,
    OUT default_url text, OUT takes_text boolean, OUT needs_model boolean, OUT options text[])
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_endpoint_kind_sql';
COMMENT ON FUNCTION endpoint_kind(text, text) IS
    'properties of a kind of endpoint for a purpose, or for none (null), as endpoint_kinds() has them; 22023: there is no such kind or '
    'purpose, or it cannot serve it (internal)';

CREATE OR REPLACE FUNCTION endpoint_serves(kind text, purpose text) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_endpoint_serves';
COMMENT ON FUNCTION endpoint_serves(text, text) IS
    'whether endpoint_kind() takes these, for the table''s constraint (internal)';
