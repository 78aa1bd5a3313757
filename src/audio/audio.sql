-- Functions of their arguments alone.  Audio is raw: one channel, without header,
-- in one of the encodings mulaw, alaw (ITU-T G.711) and s16le (linear, 16 bits, little
-- endian).  Levels in dBFS are relative to a square wave of full scale
-- (ITU-T P.56 calls them dBov), levels in dBm0 to the network's reference (G.711).
-- Empty audio is an error, but nothing to aggregates, as are nulls.

CREATE OR REPLACE FUNCTION mulberry.audio_convert(audio bytea, from_encoding text, from_rate integer, to_encoding text, to_rate integer)
RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'mulberry_audio_convert';
COMMENT ON FUNCTION mulberry.audio_convert(bytea, text, integer, text, integer) IS
    'audio in another encoding and at another sample rate (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000); aliases are at '
    'least 80 dB down';

CREATE OR REPLACE FUNCTION mulberry.wav_encode(audio bytea, encoding text, sample_rate integer, channels integer DEFAULT 1) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'mulberry_wav_encode';
COMMENT ON FUNCTION mulberry.wav_encode(bytea, text, integer, integer) IS
    'a WAV file of the audio, which has interleaved samples where there are several channels';

CREATE OR REPLACE FUNCTION mulberry.wav_decode(wav bytea, channel integer DEFAULT NULL, allow_truncated boolean DEFAULT false,
                           OUT audio bytea, OUT encoding text, OUT sample_rate integer,
                           OUT channels integer, OUT duration_ms bigint, OUT truncated boolean)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5000 AS 'MODULE_PATHNAME', 'mulberry_wav_decode';
COMMENT ON FUNCTION mulberry.wav_decode(bytea, integer, boolean) IS
    'the audio in a WAV file: one channel (from 1), or the mean of all for null; 16-bit PCM, mu-law and A-law of one channel as they '
    'are, everything else as s16le';

CREATE OR REPLACE FUNCTION mulberry.audio_level(audio bytea, encoding text) RETURNS loudness
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS 'MODULE_PATHNAME', 'mulberry_audio_level';
COMMENT ON FUNCTION mulberry.audio_level(bytea, text) IS 'how loud the audio is';

CREATE OR REPLACE FUNCTION audio_level_transition(state internal, audio bytea, encoding text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'mulberry_audio_level_transition';
COMMENT ON FUNCTION audio_level_transition(internal, bytea, text) IS 'part of audio_level_agg()';

CREATE OR REPLACE FUNCTION audio_level_combine(state internal, other internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_combine';
COMMENT ON FUNCTION audio_level_combine(internal, internal) IS 'part of audio_level_agg()';

CREATE OR REPLACE FUNCTION audio_level_serialize(state internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_serialize';
COMMENT ON FUNCTION audio_level_serialize(internal) IS 'part of audio_level_agg()';

CREATE OR REPLACE FUNCTION audio_level_deserialize(serialized bytea, state internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_deserialize';
COMMENT ON FUNCTION audio_level_deserialize(bytea, internal) IS 'part of audio_level_agg()';

CREATE OR REPLACE FUNCTION audio_level_final(state internal) RETURNS loudness
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_final';
COMMENT ON FUNCTION audio_level_final(internal) IS 'part of audio_level_agg()';

CREATE OR REPLACE AGGREGATE mulberry.audio_level_agg(audio bytea, encoding text) (
    SFUNC = audio_level_transition,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = audio_level_combine,
    SERIALFUNC = audio_level_serialize,
    DESERIALFUNC = audio_level_deserialize,
    FINALFUNC = audio_level_final,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE mulberry.audio_level_agg(bytea, text) IS 'audio_level() of all pieces together';

CREATE OR REPLACE FUNCTION mulberry.speech_segments(audio bytea, encoding text, sample_rate integer,
                                on_db double precision DEFAULT NULL, off_db double precision DEFAULT NULL,
                                min_dbfs double precision DEFAULT NULL, min_speech_ms integer DEFAULT NULL,
                                hangover_ms integer DEFAULT NULL)
RETURNS TABLE (start_ms integer, duration_ms integer, level_dbfs double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 100 AS 'MODULE_PATHNAME', 'mulberry_speech_segments';
COMMENT ON FUNCTION mulberry.speech_segments(bytea, text, integer, double precision, double precision, double precision, integer,
    integer) IS
    'where somebody speaks: of what is above 250 Hz, energy over an adaptive noise floor (on_db above it, null: 9, starts, off_db, 6, '
    'goes on) or pitch; below min_dbfs (-50) nothing is speech; segments have at least min_speech_ms (100) and are joined over pauses up '
    'to hangover_ms (250)';

CREATE OR REPLACE FUNCTION mulberry.waveform_svg(audio bytea, encoding text, sample_rate integer,
                             width integer DEFAULT 1000, height integer DEFAULT 260, title text DEFAULT NULL)
RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'mulberry_waveform_svg';
COMMENT ON FUNCTION mulberry.waveform_svg(bytea, text, integer, integer, integer, text) IS
    'the audio as an SVG picture in which digits and speech are marked';

CREATE OR REPLACE FUNCTION mulberry.dtmf_decode(audio bytea, encoding text, sample_rate integer, floor_dbm0 real DEFAULT NULL) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'mulberry_dtmf_decode';
COMMENT ON FUNCTION mulberry.dtmf_decode(bytea, text, integer, real) IS
    'the DTMF digits in the audio (0-9, A-D, *, #), in order; pairs of tones below floor_dbm0 (null: -47) are ignored';

CREATE OR REPLACE FUNCTION mulberry.dtmf_detect(audio bytea, encoding text, sample_rate integer, floor_dbm0 real DEFAULT NULL)
RETURNS TABLE (digit text, start_ms integer, duration_ms integer, level_dbm0 real, twist_db real)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 20 AS 'MODULE_PATHNAME', 'mulberry_dtmf_detect';
COMMENT ON FUNCTION mulberry.dtmf_detect(bytea, text, integer, real) IS
    'the DTMF digits in the audio with times, level of both tones together, and twist (low tone over high tone)';

CREATE OR REPLACE FUNCTION dtmf_decode_transition(state internal, audio bytea, encoding text, sample_rate integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'mulberry_dtmf_decode_transition';
COMMENT ON FUNCTION dtmf_decode_transition(internal, bytea, text, integer) IS 'part of dtmf_decode_agg()';

CREATE OR REPLACE FUNCTION dtmf_decode_final(state internal) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_dtmf_decode_final';
COMMENT ON FUNCTION dtmf_decode_final(internal) IS 'part of dtmf_decode_agg()';

CREATE OR REPLACE AGGREGATE mulberry.dtmf_decode_agg(audio bytea, encoding text, sample_rate integer) (
    SFUNC = dtmf_decode_transition,
    STYPE = internal,
    SSPACE = 80000,
    FINALFUNC = dtmf_decode_final,
    FINALFUNC_MODIFY = READ_WRITE,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE mulberry.dtmf_decode_agg(bytea, text, integer) IS
    'the DTMF digits in the pieces of one signal, given in order: dtmf_decode_agg(data, ''mulaw'', 8000 ORDER BY sequence)';

CREATE OR REPLACE FUNCTION mulberry.dtmf_synthesize(digits text, encoding text DEFAULT 'mulaw', sample_rate integer DEFAULT 8000,
                                on_ms integer DEFAULT NULL, off_ms integer DEFAULT NULL,
                                level_dbm0 double precision DEFAULT NULL, twist_db double precision DEFAULT NULL,
                                ramp_ms integer DEFAULT NULL)
RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5000 AS 'MODULE_PATHNAME', 'mulberry_dtmf_synthesize';
COMMENT ON FUNCTION mulberry.dtmf_synthesize(text, text, integer, integer, integer, double precision, double precision, integer) IS
    'the tones of digits (0-9, A-D, *, #; w and W are pauses of half a second and a second): each on_ms (null: 80) long and followed by '
    'off_ms (80) of silence, both tones together at level_dbm0 (-10), the low one twist_db (0) stronger, with ramps of ramp_ms (2)';
