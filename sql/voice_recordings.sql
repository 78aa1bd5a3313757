-- Recordings of calls, and audio of callers, that are full of frames: what is made of them is bounded, and what is above the bound is said.
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT mulberry.create_tenant('recording') IS NOT NULL AND mulberry.create_tenant('recording-edge') IS NOT NULL AS made;
SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'recording' \gset
SELECT mulberry.create_agent('listener', '+15550001111', tenant => 'recording') IS NOT NULL AS made;
SELECT mulberry.create_voice_key('listener', 7, tenant => 'recording');
SELECT mulberry.create_mandate('40000001', 'listener', 'sponsor', 100, 'EUR', '2999-01-01', 'recording');
CALL mulberry.export_voice_key('listener', 7, 'recording') \gset
\set ECHO none
SELECT format('COPY mulberry.voice_key_entry (tenant, key) FROM PROGRAM %L', format(E'printf ''recording-edge\t%%s\\n'' %s', :'line')) \gexec
\set ECHO all
SELECT id AS edge FROM mulberry_internal.tenants WHERE name = 'recording-edge' \gset

-- symbols with check digits that fit
CREATE FUNCTION pg_temp.checked(digits text) RETURNS text LANGUAGE sql AS $$
    SELECT '*' || digits || lpad((98 - (digits || '00')::numeric % 97)::text, 2, '0') || '#'
$$;
-- an acknowledgement for that counter whose tag is made up
CREATE FUNCTION pg_temp.forged_ack(counter bigint, n integer) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.checked(format('070003%s%s', lpad((counter % 10000)::text, 4, '0'), lpad(n::text, 8, '0')))
$$;
CREATE FUNCTION pg_temp.played(symbols text) RETURNS bytea LANGUAGE sql AS $$ SELECT mulberry.dtmf_synthesize(symbols, 'mulaw', 8000, 45, 45) $$;
-- a query of the mandate that is on its way
CREATE FUNCTION pg_temp.ordered() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    ordered bigint;
BEGIN
    UPDATE mulberry_internal.commands c SET state = 'cancelled' FROM mulberry_internal.tenants t WHERE t.id = c.tenant AND t.name = 'recording' AND c.state = 'outstanding';
    INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate, online_only)
    SELECT a.tenant, a.id, 'QUERY', '40000001', true FROM mulberry_internal.agents a WHERE a.name = 'listener' RETURNING id INTO ordered;
    PERFORM mulberry_internal.sign_command(ordered);
    RETURN ordered;
END $$;
-- what becomes of a call for it that is over and has this recording
CREATE FUNCTION pg_temp.recorded(ordered bigint, audio bytea, channels integer DEFAULT 1) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v mulberry_internal.voice_calls;
BEGIN
    UPDATE mulberry_internal.voice_calls x SET finished_at = now() WHERE x.command = ordered AND x.finished_at IS NULL;
    INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number, frame, state, sid, recording_sid, ended_at)
    SELECT c.tenant, c.id, 1, '+15550001111', '+15550002222', c.frame, 'completed', 'CA' || md5(random()::text), 'RE1', clock_timestamp()
      FROM mulberry_internal.commands c WHERE c.id = ordered RETURNING * INTO v;
    PERFORM mulberry_internal.judge_recording(v, mulberry.wav_encode(audio, 'mulaw', 8000, channels));
    RETURN (SELECT concat_ws(' | ', x.outcome, x.detail) FROM mulberry_internal.voice_calls x WHERE x.id = v.id);
END $$;
CREATE FUNCTION pg_temp.rejected(since bigint) RETURNS TABLE (outcome text, "rows" bigint, judged bigint, not_judged bigint) LANGUAGE sql AS $$
    SELECT m.outcome, count(*), sum((m.evidence->>'judged')::bigint), sum((m.evidence->>'not_judged')::bigint)
      FROM mulberry_internal.audit m WHERE m.id > since AND m.action IN ('ACKNOWLEDGEMENT_REJECTED', 'VOICE_FRAME') GROUP BY 1 ORDER BY 1
$$;
CREATE FUNCTION pg_temp.genuine_ack(edge uuid, ordered bigint, status integer) RETURNS text LANGUAGE sql AS $$
    SELECT mulberry_internal.build_ack(edge, c.agent, 7, status, 3, c.counter, c.message_digest) FROM mulberry_internal.commands c WHERE c.id = ordered
$$;

-- Five hundred acknowledgements, forged one and all: twenty are judged.
SELECT pg_temp.ordered() AS command \gset
SELECT counter FROM mulberry_internal.commands WHERE id = :command \gset
SELECT max(id) AS before FROM mulberry_internal.audit \gset
SELECT pg_temp.recorded(:command, pg_temp.played(string_agg(pg_temp.forged_ack(:counter, n), ''))) <> 'acknowledged' AS done FROM generate_series(1, 500) AS n;
SELECT * FROM pg_temp.rejected(:before);
-- the same one five hundred times is one
SELECT max(id) AS before FROM mulberry_internal.audit \gset
SELECT pg_temp.recorded(:command, pg_temp.played(repeat(pg_temp.forged_ack(:counter, 1), 500))) <> 'acknowledged' AS done;
SELECT * FROM pg_temp.rejected(:before);
-- those of other commands, and what has no check, do not keep the genuine one at the end from being judged
SELECT max(id) AS before FROM mulberry_internal.audit \gset
SELECT pg_temp.recorded(:command, pg_temp.played(string_agg(pg_temp.forged_ack(:counter + n, n), '') || pg_temp.genuine_ack(:'edge', :command, 0))) FROM generate_series(1, 200) AS n;
SELECT state FROM mulberry_internal.commands WHERE id = :command;
SELECT * FROM pg_temp.rejected(:before);
-- on two channels together
SELECT pg_temp.ordered() AS command \gset
SELECT max(id) AS before FROM mulberry_internal.audit \gset
CREATE FUNCTION pg_temp.both(one bytea, other bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT string_agg(substr(one, i, 1) || substr(other, i, 1), '' ORDER BY i) FROM generate_series(1, length(one)) AS i
$$;
SELECT pg_temp.recorded(:command, pg_temp.both(pg_temp.played(string_agg(pg_temp.forged_ack(9000 + n, n), '')), pg_temp.played(string_agg(pg_temp.forged_ack(8000 + n, n), ''))), 2) <> 'acknowledged' AS done
  FROM generate_series(1, 15) AS n;
SELECT * FROM pg_temp.rejected(:before);

-- A challenge among many: the last that was understood, or else the last; and it is found in one passage.
SELECT pg_temp.checked('070401004260297750') AS ack \gset
SELECT d.what, h.digits, h.ms_to_end
  FROM (VALUES ('none', '123'), ('nothing after it', :'ack'), ('one', '1' || :'ack' || '49381731'), ('cut off', :'ack' || '493817'), ('wrong check', :'ack' || '49381799'),
               ('twice', :'ack' || '49381731' || 'W' || :'ack' || '00000098'), ('the second not understood', :'ack' || '49381731' || 'W' || :'ack' || '00000099'),
               ('the first not understood', :'ack' || '49381700' || :'ack' || '00000098'), ('broken off by another', :'ack' || '4938' || :'ack' || '00000098'),
               ('another acknowledgement', translate(:'ack', '42', '24') || '49381731')) AS d (what, symbols),
       mulberry_internal.heard_challenge(pg_temp.played(d.symbols), 'mulaw', 8000, :'ack') AS h;
-- a challenge in a recording is answered, whatever surrounds it
SELECT pg_temp.ordered() AS command \gset
SELECT counter FROM mulberry_internal.commands WHERE id = :command \gset
SELECT pg_temp.recorded(:command, pg_temp.played(string_agg(pg_temp.forged_ack(7000 + n, n), '') || pg_temp.genuine_ack(:'edge', :command, 4) || '49381731')) FROM generate_series(1, 100) AS n;
SELECT nonce, counter - :counter AS further FROM mulberry_internal.commands WHERE id = :command;

-- It is looked for in one passage however many there are: blocks of a stored recording that are read, counted.
CREATE TEMP TABLE stored (acks integer, audio bytea);
ALTER TABLE stored ALTER audio SET STORAGE EXTERNAL;
INSERT INTO stored SELECT acks, pg_temp.played(repeat(:'ack' || '49381731', acks)) FROM unnest(ARRAY[50, 200]) AS acks;
CREATE FUNCTION pg_temp.blocks_read(acks integer, call text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) SELECT h.* FROM stored s, LATERAL %s h WHERE s.acks = %s', call, acks) INTO plan;
    RETURN (plan->0->'Plan'->>'Local Hit Blocks')::integer + (plan->0->'Plan'->>'Local Read Blocks')::integer;
END $$;
SELECT pg_temp.blocks_read(200, call) < 5 * pg_temp.blocks_read(50, call) AS linear, pg_temp.blocks_read(50, call) > 40 AS "all of it",
       pg_temp.blocks_read(200, call) = pg_temp.blocks_read(200, $$mulberry_internal.heard_frames(s.audio, 'mulaw', 8000)$$) AS once
  FROM format('mulberry_internal.heard_challenge(s.audio, ''mulaw'', 8000, %L)', :'ack') AS call;
-- of one that is longer five minutes are stored and sent to be transcribed
SELECT pg_temp.ordered() AS command \gset
SELECT counter FROM mulberry_internal.commands WHERE id = :command \gset
SELECT pg_temp.recorded(:command, pg_temp.played(repeat(pg_temp.forged_ack(:counter, 1), 200)));
SELECT length(recording) FROM mulberry_internal.voice_calls WHERE command = :command;

-- An edge judges a hundred frames of one audio, in whatever order its keys come, and says how many more there were.
SELECT max(id) AS before FROM mulberry_internal.audit \gset
SELECT pg_temp.played(string_agg(pg_temp.checked(format('070400000001%s%s%s', '00', lpad((5001 + n)::text, 4, '0'), lpad(n::text, 10, '0'))), '')) AS stale
  FROM generate_series(1, 150) AS n \gset
SELECT verdict, frames, hang_up FROM mulberry.handle_call_audio(:'stale', 'mulaw', 8000, call_ref => 'CA-full', tenant => 'recording-edge');
SELECT * FROM pg_temp.rejected(:before);

-- for the tests after this one
UPDATE mulberry_internal.commands SET state = 'cancelled' WHERE tenant = :'tenant' AND state = 'outstanding';
UPDATE mulberry_internal.voice_calls SET finished_at = now() WHERE tenant = :'tenant' AND finished_at IS NULL;
DELETE FROM mulberry_internal.job_queue WHERE tenant = :'tenant';
