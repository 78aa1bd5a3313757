-- Emergencies: found in what was said, or meant by a key; told once for each call and phrase.

CREATE OR REPLACE FUNCTION mulberry.emergency_words() RETURNS TABLE (language text, phrase text)
LANGUAGE c STABLE ROWS 300 AS 'MODULE_PATHNAME', 'mulberry_emergency_words';
COMMENT ON FUNCTION mulberry.emergency_words() IS
    'what is taken for an emergency when it is said, for tenants whose setting emergency_words does not name others';

CREATE OR REPLACE FUNCTION find_emergencies(text text, languages text[], phrases text[])
RETURNS TABLE (language text, phrase text, excerpt text)
LANGUAGE c STABLE ROWS 1 AS 'MODULE_PATHNAME', 'mulberry_find_emergencies';
COMMENT ON FUNCTION find_emergencies(text, text[], text[]) IS
    'phrases that a text has as whole words, in whatever spelling, and does not deny; languages and phrases belong together, null: those '
    'of emergency_words() (internal)';

CREATE OR REPLACE FUNCTION emergencies_in(tenant uuid, text text) RETURNS TABLE (language text, phrase text, excerpt text)
LANGUAGE sql STABLE ROWS 1
AS $$
    SELECT f.language, f.phrase, f.excerpt
      FROM (SELECT (mulberry_internal.telephony_version($1)).settings->'emergency_words' AS words) AS own
     CROSS JOIN LATERAL (SELECT array_agg(l.key ORDER BY l.key, w.n) AS languages, array_agg(w.phrase ORDER BY l.key, w.n) AS phrases
                           FROM jsonb_each(own.words) AS l
                          CROSS JOIN LATERAL jsonb_array_elements_text(l.value) WITH ORDINALITY AS w (phrase, n)) AS list
     CROSS JOIN LATERAL mulberry_internal.find_emergencies($2, CASE WHEN own.words IS NOT NULL THEN coalesce(list.languages, '{}') END,
                                                           CASE WHEN own.words IS NOT NULL THEN coalesce(list.phrases, '{}') END) AS f
$$;
COMMENT ON FUNCTION emergencies_in(uuid, text) IS 'what a tenant takes for an emergency in a text (internal)';

CREATE OR REPLACE FUNCTION mulberry.detect_emergency(text text, tenant text DEFAULT NULL)
RETURNS TABLE (language text, phrase text, excerpt text)
LANGUAGE mulberry STABLE ROWS 1
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT e.* FROM mulberry_internal.emergencies_in(
        mulberry_internal.resolve_tenant(detect_emergency.tenant, 'supervisor', 'operator', 'gateway', 'admin'),
            detect_emergency.text) AS e;
END
$$;
COMMENT ON FUNCTION mulberry.detect_emergency(text, text) IS
    'the phrases in a text that the tenant takes for an emergency: whole words in whatever spelling, not those that are denied ("it is not '
    'an emergency"), with what stands around them. What is stored of a call is looked through by itself. Needs supervisor, operator, '
    'gateway or admin access';

CREATE OR REPLACE FUNCTION has_emergency(tenant uuid, call_id text) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM mulberry_internal.emergencies e WHERE e.tenant = $1 AND e.call_id = $2)
$$;
COMMENT ON FUNCTION has_emergency(uuid, text) IS 'whether an emergency was found in a call (internal)';

CREATE OR REPLACE FUNCTION emergency_answer(tenant uuid, OUT sentence text, OUT number text)
LANGUAGE sql STABLE
AS $$
    SELECT mulberry_internal.ivr_sentence(s.settings, 'emergency'), s.settings->>'emergency_number'
      FROM (SELECT coalesce((mulberry_internal.telephony_version($1)).settings, '{}') AS settings) AS s
$$;
COMMENT ON FUNCTION emergency_answer(uuid) IS 'what is said in an emergency, and who is called (internal)';

CREATE OR REPLACE FUNCTION note_emergency(tenant uuid, call_id text, call bigint, phrase text, language text, source text, excerpt text,
    track text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    report_attempts CONSTANT integer := 12;    -- over half an hour
    answer  record;
    report  jsonb;
    told    text;
    job     bigint;
BEGIN
    INSERT INTO mulberry_internal.emergencies (tenant, call_id, phrase, language, source, track)
    VALUES (note_emergency.tenant, note_emergency.call_id, note_emergency.phrase, note_emergency.language, note_emergency.source,
            note_emergency.track)
    ON CONFLICT ON CONSTRAINT emergencies_pkey DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    answer := mulberry_internal.emergency_answer(note_emergency.tenant);
    report := jsonb_strip_nulls(jsonb_build_object('reference', note_emergency.call_id, 'phrase', phrase, 'language', language,
        'source', source, 'track', track, 'excerpt', excerpt, 'answer', answer.sentence, 'emergency_number', answer.number));
    PERFORM mulberry_internal.emit_event(note_emergency.tenant, 'emergency_detected', c.id,
                                         coalesce(c.call_id, note_emergency.call_id), report)
       FROM (SELECT) AS one
       LEFT JOIN mulberry_internal.calls c ON c.tenant = note_emergency.tenant AND c.call_id = note_emergency.call_id;
    PERFORM mulberry_internal.record_audit(note_emergency.tenant, 'EMERGENCY', 'detected', evidence => report - 'excerpt' - 'answer');
    -- who acts on what machines cannot: the same contact that is told of commands nobody confirmed
    SELECT x.endpoint INTO told FROM mulberry_internal.escalation_contacts x WHERE x.tenant = note_emergency.tenant;
    IF told IS NOT NULL THEN
        job := mulberry_internal.enqueue_job('escalate', note_emergency.tenant, NULL, told, jsonb_build_object('report',
            report || jsonb_build_object('event', 'emergency_detected', 'at', to_char(clock_timestamp() AT TIME ZONE 'UTC',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))));
        UPDATE mulberry_internal.job_queue q SET max_attempts = report_attempts WHERE q.id = job;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION note_emergency(uuid, text, bigint, text, text, text, text, text) IS
    'stores an emergency of a call with its event, audit row and report to the contact; false when it is known (internal)';

CREATE OR REPLACE FUNCTION note_emergencies(tenant uuid, call_id text, call bigint, said text, source text, track text DEFAULT NULL)
RETURNS integer
LANGUAGE sql
AS $$
    SELECT count(*) FILTER (WHERE mulberry_internal.note_emergency($1, $2, $3, e.phrase, e.language, $5, e.excerpt, $6))::integer
      FROM mulberry_internal.emergencies_in($1, $4) AS e
$$;
COMMENT ON FUNCTION note_emergencies(uuid, text, bigint, text, text, text) IS
    'looks through what was said in a call, and returns how many emergencies were new (internal)';

CREATE OR REPLACE FUNCTION segments_said() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    -- What our side says is no emergency.  A phrase may go on in the next segment, and what one denies is not in the other.
    PERFORM mulberry_internal.note_emergencies(c.tenant, c.call_id, c.id, s.said, 'segment', k.name)
       FROM (SELECT n.call, n.track, string_agg(n.text, ' ' ORDER BY n.number) || E'\n' || string_agg(n.text,
           E'\n' ORDER BY n.number) AS said
               FROM new_segments n GROUP BY n.call, n.track) AS s
       JOIN mulberry_internal.calls c ON c.id = s.call
       JOIN mulberry_internal.all_tracks k ON k.call = s.call AND k.number = s.track
      WHERE k.name <> 'agent'
      ORDER BY c.id, k.number;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    -- what passes has the whole stored once more; anything else would cost the transcript, each time
    IF SQLSTATE ~ '^(40|53|55)' THEN
        RAISE;
    END IF;
    GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
    RAISE WARNING 'what was said was not looked through for emergencies: %', problem USING ERRCODE = SQLSTATE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION segments_said() IS 'trigger: looks for emergencies in what is stored of a call';
CREATE OR REPLACE TRIGGER segments_said AFTER INSERT ON segments REFERENCING NEW TABLE AS new_segments
    FOR EACH STATEMENT EXECUTE FUNCTION segments_said();

CREATE OR REPLACE FUNCTION mulberry.note_partial(call_id text, text text, track text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(note_partial.tenant, 'gateway');
    found mulberry_internal.calls;
    known boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', note_partial.call_id, 'text', note_partial.text, 'track', note_partial.track);
    SELECT c.* INTO found FROM mulberry_internal.calls c WHERE c.tenant = owner AND c.call_id = note_partial.call_id;
    known := found.id IS NOT NULL
        OR EXISTS (SELECT FROM mulberry_internal.inbound_calls i WHERE i.tenant = owner AND i.sid = note_partial.call_id);
    IF note_partial.call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT known THEN
        RAISE EXCEPTION 'call "%" does not exist', note_partial.call_id USING ERRCODE = 'undefined_object';
    END IF;
    IF mulberry_internal.note_emergencies(owner, note_partial.call_id, found.id, note_partial.text, 'partial', nullif(note_partial.track,
        '')) > 0
    THEN
        RETURN (mulberry_internal.emergency_answer(owner)).sentence;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mulberry.note_partial(text, text, text, text) IS
    'looks through what has been heard so far of somebody who is still speaking: null, or what is to be said because it is an emergency, '
    'once for each phrase of a call. The text is not kept. Needs gateway access. Errors: 42704 no such call, 22004';

CREATE OR REPLACE VIEW mulberry.emergency_status WITH (security_barrier) AS
    SELECT t.name AS tenant, e.call_id, e.phrase, e.language, e.source, e.track, e.at
      FROM mulberry_internal.emergencies e
      JOIN mulberry_internal.tenants t ON t.id = e.tenant
     WHERE e.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.emergency_status IS 'emergencies that were found in calls, or meant by a key';
