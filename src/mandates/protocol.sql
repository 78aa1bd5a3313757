-- The numbers of the protocol, which stand in the core alone.

CREATE OR REPLACE FUNCTION ack_status_code(name text) RETURNS integer
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_ack_status_code';
COMMENT ON FUNCTION ack_status_code(text) IS
    'SS of an acknowledgement: applied, already so, unknown mandate, refused, challenge wanted (internal)';

CREATE OR REPLACE FUNCTION mandate_state_code(name text) RETURNS integer
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_mandate_state_code';
COMMENT ON FUNCTION mandate_state_code(text) IS 'QQ of an acknowledgement: NONE, REVOKED, SUSPENDED, ACTIVE, EXPIRED (internal)';

CREATE OR REPLACE FUNCTION counter_window() RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_counter_window';
COMMENT ON FUNCTION counter_window() IS 'a counter further ahead of the last accepted one is taken for an old one (internal)';

CREATE OR REPLACE FUNCTION frames_remembered() RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_frames_remembered';
COMMENT ON FUNCTION frames_remembered() IS 'accepted frames of a key that are kept, to tell a repeated one from a new one (internal)';

CREATE OR REPLACE FUNCTION challenge_lifetime() RETURNS interval
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_lifetime';
COMMENT ON FUNCTION challenge_lifetime() IS 'for how long an edge waits for the answer to a challenge (internal)';

CREATE OR REPLACE FUNCTION alarm_forgeries() RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_alarm_forgeries';
COMMENT ON FUNCTION alarm_forgeries() IS 'so many forgeries in a row raise an alarm (internal)';
