CREATE OR REPLACE FUNCTION heard_frames(audio bytea, encoding text, sample_rate integer,
                             OUT frame text, OUT at_ms integer, OUT whole boolean) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 3 AS 'MODULE_PATHNAME', 'mulberry_heard_frames';
COMMENT ON FUNCTION heard_frames(bytea, text, integer) IS
    'what was played from * to # (whole), or to a pause of 3 s or the end, in the order of the audio; at_ms is where the * began '
    '(internal)';

CREATE OR REPLACE FUNCTION heard_challenge(audio bytea, encoding text, sample_rate integer, ack text, OUT digits text,
    OUT ms_to_end integer)
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'mulberry_heard_challenge';
COMMENT ON FUNCTION heard_challenge(bytea, text, integer, text) IS
    'the eight digits that follow an acknowledgement in audio, the last time that they were understood, and how long before the end of '
    'the audio it began; when their check digits never fit, what followed it last (internal)';

CREATE OR REPLACE FUNCTION take_frame(symbols text) RETURNS received_frame
LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'mulberry_take_frame';
COMMENT ON FUNCTION take_frame(text) IS 'takes the 32 symbols of a command frame apart (internal)';

CREATE OR REPLACE FUNCTION judge_frame(tenant uuid, frame received_frame, last_counter bigint, digests bytea[], challenge_all boolean,
                            challenge_extend boolean, challenge_command integer, challenge_mandate text,
                            challenge_argument integer, challenge_nonce text, challenge_counter bigint, challenge_expired boolean,
                            OUT verdict text, OUT error text, OUT meaningful boolean, OUT frame_digest bytea,
                            OUT duplicate_of integer, OUT counter bigint, OUT message_digest bytea,
                            OUT challenge_wanted boolean, OUT challenge_answered boolean)
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_judge_frame';
COMMENT ON FUNCTION judge_frame(uuid, received_frame, bigint, bytea[], boolean, boolean, integer, text, integer, text, bigint, boolean) IS
    'what a frame is worth to the receiver''s key that it names, given what is stored about it; one tag is computed, two in the place of '
    'a late answer (internal)';

CREATE OR REPLACE FUNCTION build_ack(tenant uuid, agent uuid, key_id integer, status integer, state integer, counter bigint,
    message_digest bytea)
RETURNS text
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_build_ack';
COMMENT ON FUNCTION build_ack(uuid, uuid, integer, integer, integer, bigint, bytea) IS
    'the 22 symbols of an acknowledgement, signed with a receiver''s key (internal)';

CREATE OR REPLACE FUNCTION ack_names(status integer, state integer, OUT status_name text, OUT state_name text)
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_ack_names';
COMMENT ON FUNCTION ack_names(integer, integer) IS 'what the numbers of an acknowledgement mean (internal)';

CREATE OR REPLACE FUNCTION draw_challenge() RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_draw_challenge';
COMMENT ON FUNCTION draw_challenge() IS 'six random digits (internal)';

CREATE OR REPLACE FUNCTION challenge_digits(nonce text) RETURNS text
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_digits';
COMMENT ON FUNCTION challenge_digits(text) IS 'the eight digits that are played for a challenge of six (internal)';
