-- The textual form of the original protocol, *#CC-MMMMMMMM-HHHH##, for its callers and for
-- logs: functions of their arguments alone.  It is not fit for the air.  The secret stands in the
-- statement's text, as it did in the original's calls; the keys of played frames do not.

CREATE OR REPLACE FUNCTION mulberry.command_generate(command text, mandate_id text, secret text,
                                 at timestamptz DEFAULT clock_timestamp(), include_timestamp boolean DEFAULT true,
                                 OUT dtmf_sequence text, OUT payload text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'mulberry_command_generate';
COMMENT ON FUNCTION mulberry.command_generate(text, text, text, timestamptz, boolean) IS
    'the textual form of a command (REVOKE, SUSPEND, EXTEND, QUERY, PING) for a mandate of eight digits, and the payload that its tag '
    'signs; without a timestamp it can never be verified';

CREATE OR REPLACE FUNCTION mulberry.command_verify(sequence text, secret text, window_minutes integer DEFAULT 5,
                               at timestamptz DEFAULT clock_timestamp(),
                               OUT valid boolean, OUT command text, OUT command_code text, OUT mandate_id text,
                               OUT minute bigint, OUT error text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 500 AS 'MODULE_PATHNAME', 'mulberry_command_verify';
COMMENT ON FUNCTION mulberry.command_verify(text, text, integer, timestamptz) IS
    'what a command in the textual form says, when it was signed in the minute of "at" or up to window_minutes (0 to 1440) before it; '
    '"minute" is Unix time / 60, the earliest that fits. Otherwise "error" begins with E001 (malformed) or E002 (not verified)';

-- What is played, taken apart.  Without the key nothing is known about who made it.

CREATE OR REPLACE FUNCTION mulberry.command_frame_parse(frame text,
                                    OUT valid boolean, OUT key_id integer, OUT command text, OUT command_code text,
                                    OUT mandate_id text, OUT argument integer, OUT counter integer, OUT tag text,
                                    OUT check_digits text, OUT error text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'mulberry_command_frame_parse';
COMMENT ON FUNCTION mulberry.command_frame_parse(text) IS
    'the fields of a command frame of 32 symbols whose check digits fit (ISO 7064 MOD 97-10); "counter" is modulo 10,000, "command" null '
    'for a code without a meaning. The tag is not verified. Otherwise "error" begins with E007';

CREATE OR REPLACE FUNCTION mulberry.ack_frame_parse(frame text,
                                OUT valid boolean, OUT key_id integer, OUT status text, OUT status_code text,
                                OUT mandate_state text, OUT state_code text, OUT counter integer, OUT tag text,
                                OUT check_digits text, OUT error text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'mulberry_ack_frame_parse';
COMMENT ON FUNCTION mulberry.ack_frame_parse(text) IS
    'the fields of an acknowledgement of 22 symbols whose check digits fit. The tag is not verified. Otherwise "error" begins with E007';
