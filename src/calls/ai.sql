-- Input and results of the AI kinds; requests and answers are in src/worker, a file a kind of service.

CREATE OR REPLACE FUNCTION next_track(call bigint, after integer) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    SELECT min(t.number) FROM mulberry_internal.all_tracks t
     WHERE t.call = $1 AND t.number > $2 AND EXISTS (SELECT FROM mulberry_internal.packets p WHERE p.call = t.id)
$$;
COMMENT ON FUNCTION next_track(bigint, integer) IS
    'the number of the next track of a call, behind that number, in which anything was sent; null: there is none (internal)';

CREATE OR REPLACE FUNCTION track_of_job(j job_queue) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT coalesce((j.payload->>'track')::integer, mulberry_internal.next_track(j.call, -1), 0)
$$;
COMMENT ON FUNCTION track_of_job(job_queue) IS
    'which track a job of kind transcribe is about: what its payload says, or the first (internal)';

CREATE OR REPLACE FUNCTION transcription_input(call bigint, track integer DEFAULT NULL,
    OUT call_id text, OUT encoding text, OUT sample_rate integer, OUT audio bytea, OUT content text, OUT facts jsonb)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS 'MODULE_PATHNAME', 'mulberry_transcription_input';
COMMENT ON FUNCTION transcription_input(bigint, integer) IS
    'what is transcribed of a track of a call (null: the first in which anything was sent): audio as WAV (PCM16, gaps as silence), or the '
    'content of a text call; both null when it has no packets';

CREATE OR REPLACE FUNCTION read_transcription(kind text, answer jsonb, seconds double precision DEFAULT 60,
    OUT transcription text, OUT sentiment text, OUT confidence double precision, OUT language text,
    OUT dropped_segments integer, OUT ignored text, OUT segments jsonb)
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mulberry_read_transcription';
COMMENT ON FUNCTION read_transcription(text, jsonb, double precision) IS
    'what a worker makes of an answer of a transcription endpoint of this kind to so many seconds of audio: segments that the model '
    'itself takes for silence are dropped and counted, what cannot be used is named, times that cannot be right are mended; 08P01 when it '
    'is not of the endpoint''s form. For whoever sets up a service (internal)';

CREATE OR REPLACE FUNCTION read_sentiment(answer jsonb, OUT sentiment text, OUT confidence double precision)
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mulberry_read_sentiment_sql';
COMMENT ON FUNCTION read_sentiment(jsonb) IS
    'what a worker makes of the answer of a chat endpoint, in which JSON may be wrapped in prose or fences (08P01 when it is not of that '
    'form, P0002 when the model refused). For whoever sets up a service (internal)';

CREATE OR REPLACE FUNCTION finish_transcription(job bigint, token bigint, transcription text, sentiment text,
                                     confidence double precision, facts jsonb) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j        mulberry_internal.job_queue;
    track    integer;
    upcoming integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN false;
    END IF;
    facts := facts || jsonb_strip_nulls(jsonb_build_object(
        'attempts', j.attempts,
        'endpoint', (SELECT e.name FROM mulberry_internal.endpoints e WHERE e.id = j.route)));
    PERFORM mulberry_internal.settle_job(job, 'done', NULL);
    IF NOT mulberry_internal.start_processing(j.call) THEN
        RETURN false;
    END IF;
    track := mulberry_internal.track_of_job(j);
    PERFORM mulberry_internal.require_segments(j.call, track, transcription);
    -- each track has a job of its own, one after the other; the last one has the whole
    upcoming := mulberry_internal.next_track(j.call, track);
    IF upcoming IS NOT NULL OR j.payload ? 'earlier' THEN
        facts := jsonb_build_object('tracks', coalesce(j.payload->'earlier', '[]') || jsonb_build_array(facts || jsonb_build_object(
            'track', (SELECT t.name FROM mulberry_internal.all_tracks t WHERE t.call = j.call AND t.number = track))));
        IF upcoming IS NOT NULL THEN
            PERFORM mulberry_internal.enqueue_job('transcribe', j.tenant, j.call, j.endpoint,
                jsonb_build_object('track', upcoming, 'earlier', facts->'tracks'));
            RETURN true;
        END IF;
        transcription := coalesce((SELECT string_agg(t.text, E'\n') FROM mulberry_internal.turns(j.call) AS t), '');
        sentiment := NULL;
        confidence := NULL;
    END IF;
    IF sentiment IS NULL AND transcription <> ''
       AND mulberry_internal.endpoint_for(j.tenant, mulberry.job_purpose('sentiment')) IS NOT NULL THEN
        PERFORM mulberry_internal.enqueue_job('sentiment', j.tenant, j.call, NULL,
            jsonb_build_object('transcription', transcription, 'facts', facts));
        RETURN true;
    END IF;
    IF sentiment IS NULL THEN
        SELECT s.sentiment, s.confidence INTO sentiment, confidence
          FROM mulberry.sentiment(transcription) AS s;
        facts := facts || jsonb_build_object('sentiment', jsonb_build_object('engine', 'lexicon'));
    END IF;
    PERFORM mulberry_internal.finish_call(j.call, transcription, sentiment, confidence, facts);
    RETURN true;
END
$$;
COMMENT ON FUNCTION finish_transcription(bigint, bigint, text, text, double precision, jsonb) IS
    'stores a transcript and finishes its job; without a sentiment, asks the chat endpoint or else the lexicon; false when the token is '
    'no longer the job''s or the call is gone';

CREATE OR REPLACE FUNCTION finish_sentiment(job bigint, token bigint, sentiment text, confidence double precision,
                                 model text, request_id text, request_ms integer) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j mulberry_internal.job_queue;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM mulberry_internal.settle_job(job, 'done', NULL);
    RETURN mulberry_internal.start_processing(j.call) AND mulberry_internal.finish_call(j.call, j.payload->>'transcription', sentiment,
        confidence,
        (j.payload->'facts') || jsonb_build_object('sentiment', jsonb_strip_nulls(jsonb_build_object(
            'engine', 'chat', 'endpoint', (SELECT e.name FROM mulberry_internal.endpoints e WHERE e.id = j.route),
            'model', model, 'attempts', j.attempts, 'request_id', request_id, 'request_ms', request_ms))));
END
$$;
COMMENT ON FUNCTION finish_sentiment(bigint, bigint, text, double precision, text, text, integer) IS
    'stores a transcript with the sentiment that a chat endpoint found, and finishes the job; false when the token is no longer the '
    'job''s or the call is gone';

-- A transcript that is there is worth more than a sentiment that is not.
CREATE OR REPLACE FUNCTION finish_without_chat(job job_queue, error text) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.finish_call((job).call, (job).payload->>'transcription', s.sentiment, s.confidence,
               ((job).payload->'facts') || jsonb_build_object('sentiment', jsonb_strip_nulls(jsonb_build_object(
                   'engine', 'lexicon', 'endpoint', (SELECT e.name FROM mulberry_internal.endpoints e WHERE e.id = (job).route),
                   'error', error))))
      FROM mulberry.sentiment((job).payload->>'transcription') AS s
$$;
COMMENT ON FUNCTION finish_without_chat(job_queue, text) IS
    'stores the transcript of a call whose sentiment no chat endpoint would judge, with the lexicon''s sentiment and the error; the call '
    'is in PROCESSING_AI (internal)';
