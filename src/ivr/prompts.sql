-- How sentences sound: audio that tenants have had spoken, for calls that are a stream and no TwiML.

CREATE OR REPLACE FUNCTION mulberry.set_prompt(text text, wav bytea, tenant text DEFAULT NULL) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    seconds_max CONSTANT integer := 120;
    owner       CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    file        record;
    spoken      bytea;
BEGIN
    PERFORM mulberry_internal.check_texts('text', set_prompt.text);
    IF set_prompt.text IS NULL OR set_prompt.text = '' THEN
        RAISE EXCEPTION 'text must not be empty' USING ERRCODE = 'null_value_not_allowed';
    ELSIF wav IS NULL THEN
        DELETE FROM mulberry_internal.prompts p WHERE p.tenant = owner AND p.digest = sha256(convert_to(set_prompt.text, 'UTF8'));
        RETURN FOUND;
    END IF;
    file := mulberry.wav_decode(wav);
    IF file.duration_ms > seconds_max * 1000 THEN
        RAISE EXCEPTION 'the prompt is too long' USING ERRCODE = 'program_limit_exceeded',
            DETAIL = format('It may last %s seconds and lasts %s.', seconds_max, file.duration_ms / 1000);
    END IF;
    spoken := mulberry.audio_convert(file.audio, file.encoding, file.sample_rate, 'mulaw', 8000);
    INSERT INTO mulberry_internal.prompts (tenant, digest, text, audio)
    VALUES (owner, sha256(convert_to(set_prompt.text, 'UTF8')), set_prompt.text, spoken)
    ON CONFLICT ON CONSTRAINT prompts_pkey DO UPDATE SET audio = excluded.audio, created_at = excluded.created_at
     WHERE prompts.audio <> excluded.audio;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION mulberry.set_prompt(text, bytea, text) IS
    'how a sentence sounds when it is said in a stream: a WAV file of two minutes at most, of any rate; null takes it away. The sentence '
    'is written as settings have it, or as it is built in. True when that is new. Needs admin access. Errors: 22023 no WAV file, 54000 '
    'too long';

CREATE OR REPLACE FUNCTION prompt_of(tenant uuid, text text) RETURNS bytea
LANGUAGE sql STABLE
AS $$
    SELECT p.audio FROM mulberry_internal.prompts p WHERE p.tenant = $1 AND p.digest = sha256(convert_to($2, 'UTF8'))
$$;
COMMENT ON FUNCTION prompt_of(uuid, text) IS 'the audio of a sentence of a tenant; null: there is none (internal)';

CREATE OR REPLACE VIEW mulberry.prompt_status WITH (security_barrier) AS
    SELECT t.name AS tenant, p.text, length(p.audio) / 8000.0 AS seconds, p.created_at
      FROM mulberry_internal.prompts p
      JOIN mulberry_internal.tenants t ON t.id = p.tenant
     WHERE p.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.prompt_status IS 'sentences of a tenant that have audio';
