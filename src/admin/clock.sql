-- A server's clock that is set back.  What has happened is in the past: where something later waits for a time, or counts
-- from it, and that time lies ahead, the clock has been set back since, and all times of the row by as much.

CREATE OR REPLACE FUNCTION time_columns() RETURNS TABLE (relation text, name text, meaning text, live text, longest interval, remark text)
LANGUAGE sql STABLE AS $$
    SELECT c.relation, n.name, c.meaning, l.live, c.longest, c.remark
      FROM (VALUES
            ('agents', 'begun', 'seen_at forged_since', NULL::interval, NULL),
            ('agents', 'due', 'online_until', current_setting('mulberry.agent_online_time')::interval, NULL),
            ('calls', 'begun', 'updated_at', NULL, NULL),
            ('commands', 'begun', 'signed_at offered_at challenged_at escalated_at', NULL, NULL),
            ('commands', 'due', 'voice_at', NULL, NULL),
            ('edge_programs', 'begun', 'reported_at dropped_at', NULL, NULL),
            ('endpoint_state', 'begun', 'changed_at out_since', NULL, NULL),
            ('endpoint_state', 'due', 'retry_at', '2 hours', NULL),
            ('job_queue', 'begun', 'created_at started_at waits_since failed_at', NULL, NULL),
            ('job_queue', 'due', 'run_at', NULL, NULL),
            ('set_aside', 'begun', 'since', NULL, NULL),
            ('set_aside', 'due', 'retry_at', '1 hour', NULL),
            ('tracks', 'begun', 'updated_at', NULL, NULL),
            ('voice_calls', 'begun', 'created_at requested_at uncertain_since answered_at ended_at', NULL, NULL),
            ('voice_calls', 'due', 'due_at give_up_at successor_at', NULL, NULL),
            ('voice_keys', 'begun', 'created_at exported_at disabled_at confirmed_at', NULL, NULL),
            ('agents', 'record', 'created_at', NULL, 'tells when'),
            ('audit', 'record', 'at', NULL, 'tells when; the hash covers it'),
            ('audit_heads', 'record', 'linked_at', NULL, 'tells when'),
            ('calls', 'record', 'created_at completed_at finished_at started_at', NULL, 'tells when; kept longer by as much'),
            ('calls', 'record', 'grace_until', NULL, 'tells when: the job is due then'),
            ('challenges', 'record', 'drawn_at played_at', NULL, 'lockout.c counts the distance, ahead as well'),
            ('command_signatures', 'record', 'signed_at', NULL, 'tells when; later than its key'),
            ('commands', 'record', 'created_at finished_at', NULL, 'tells when'),
            ('edge_programs', 'record', 'started_at', NULL, 'tells when'),
            ('conversation_versions', 'record', 'created_at', NULL, 'tells when'),
            ('conversations', 'record', 'started_at ended_at', NULL, 'tells when; kept longer by as much'),
            ('conversation_lines', 'record', 'at', NULL, 'tells when'),
            ('call_orders', 'record', 'at', NULL, 'one that lies ahead is read for as much longer, by the stream that it names'),
            ('speech_cache', 'record', 'used_at', NULL, 'tells when; one that lies ahead is kept longer by as much'),
            ('endpoints', 'record', 'updated_at', NULL, 'tells when'),
            ('escalation_contacts', 'record', 'updated_at', NULL, 'tells when'),
            ('event_channels', 'record', 'created_at', NULL, 'tells when'),
            ('events', 'record', 'created_at', NULL, 'tells when; kept longer by as much'),
            ('emergencies', 'record', 'at', NULL, 'kept longer by as much'),
            ('inbound_calls', 'record', 'created_at ended_at', NULL, 'tells when; kept longer by as much'),
            ('installation', 'record', 'since', NULL, 'tells when'),
            ('media_sessions', 'record', 'begun_at ended_at', NULL, 'tells when'),
            ('prompts', 'record', 'created_at', NULL, 'tells when'),
            ('job_history', 'record', 'created_at started_at finished_at', NULL, 'tells when; kept longer by as much'),
            ('key_frames', 'record', 'accepted_at', NULL, 'tells when'),
            ('key_guard', 'record', 'forgeries challenge_until', NULL, 'lockout.c counts the distance, ahead as well'),
            ('mandate_versions', 'record', 'at expires_at', NULL, 'tells what was agreed'),
            ('mandates', 'record', 'created_at updated_at', NULL, 'tells when'),
            ('mandates', 'record', 'expires_at', NULL, 'agreed by people'),
            ('mandate_clock', 'record', 'at', NULL, 'is the latest that was known'),
            ('members', 'record', 'granted_at', NULL, 'tells when'),
            ('packets', 'record', 'sent_at', NULL, 'as the sender says'),
            ('packets', 'record', 'received_at', NULL, 'tells when; one that lies ahead keeps no call open'),
            ('received_calls', 'record', 'began_at', NULL, 'kept longer by as much'),
            ('phone_numbers', 'record', 'created_at', NULL, 'tells when'),
            ('secrets', 'record', 'created_at rotated_at', NULL, 'tells when'),
            ('spendings', 'record', 'at', NULL, 'tells when'),
            ('sync_states', 'record', 'at', NULL, 'tells when'),
            ('telephony_versions', 'record', 'created_at', NULL, 'tells when'),
            ('tenants', 'record', 'created_at', NULL, 'tells when'),
            ('token_uses', 'record', 'last_used_at', NULL, 'tells when'),
            ('tokens', 'record', 'created_at', NULL, 'tells when'),
            ('tokens', 'record', 'expires_at', NULL, 'agreed by people'),
            ('voice_calls', 'record', 'finished_at', NULL, 'tells when'),
            ('webhook_answers', 'record', 'at', NULL, 'kept longer by as much')
           ) AS c (relation, meaning, names, longest, remark)
     CROSS JOIN LATERAL string_to_table(c.names, ' ') AS n (name)
      LEFT JOIN (VALUES
            ('calls', $c$t.state = 'IN_PROGRESS'$c$),
            ('commands', $c$t.state IN ('waiting', 'outstanding', 'escalated')$c$),
            ('tracks', $c$t.call IN (SELECT c.id FROM mulberry_internal.calls c WHERE c.state = 'IN_PROGRESS')$c$),
            ('voice_calls', 't.finished_at IS NULL')
           ) AS l (relation, live) ON l.relation = c.relation
$$;
COMMENT ON FUNCTION time_columns() IS
    'what each time in our tables means: begun (never ahead), due (waited for, at most so long) or only a record, and why; '
    '"live": of which rows t. A column that is not here fails the test of the catalog (internal)';

-- Where the rows are whose times lie ahead, as SQL: alias t, "by" how far.
CREATE OR REPLACE FUNCTION times_ahead() RETURNS TABLE (relation text, query text, shifted text, due text[])
LANGUAGE sql STABLE AS $$
    SELECT c.relation,
           format('SELECT t.ctid AS place, make_interval(secs => extract(epoch FROM greatest(%1$s) - clock_timestamp())::float8) AS by '
                  'FROM mulberry_internal.%2$I AS t WHERE (%3$s) AND greatest(%1$s) > clock_timestamp() + interval ''1 minute''',
                  string_agg(format('t.%I', c.name), ', ') FILTER (WHERE c.meaning = 'begun'), c.relation, coalesce(min(c.live), 'true')),
           string_agg(format('%1$I = t.%1$I - a.by', c.name), ', '),
           array_agg(format('UPDATE mulberry_internal.%1$I AS x SET %2$I = clock_timestamp() WHERE x.ctid = ANY (ARRAY('
                            'SELECT t.ctid FROM mulberry_internal.%1$I AS t WHERE (%3$s) AND isfinite(t.%2$I) '
                            'AND t.%2$I > clock_timestamp() + %4$L::interval + interval ''1 minute'' FOR UPDATE SKIP LOCKED))',
                            c.relation, c.name, coalesce(c.live, 'true'), c.longest)) FILTER (WHERE c.longest IS NOT NULL)
      FROM mulberry_internal.time_columns() c
     WHERE c.meaning <> 'record'
     GROUP BY c.relation
$$;
COMMENT ON FUNCTION times_ahead() IS
    'per table the query that finds rows whose past lies ahead, what sets them right, and what does so for times that lie '
    'further ahead than anything sets them (internal)';

CREATE OR REPLACE FUNCTION mend_due_times() RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ahead   record;
    command text;
    n       bigint;
    mended  bigint := 0;
BEGIN
    FOR ahead IN SELECT * FROM mulberry_internal.times_ahead() LOOP
        EXECUTE format('WITH a AS (%s FOR UPDATE OF t SKIP LOCKED) UPDATE mulberry_internal.%I AS t SET %s FROM a WHERE t.ctid = a.place',
                       ahead.query, ahead.relation, ahead.shifted);
        GET DIAGNOSTICS n = ROW_COUNT;
        mended := mended + n;
        FOREACH command IN ARRAY coalesce(ahead.due, '{}') LOOP
            EXECUTE command;
            GET DIAGNOSTICS n = ROW_COUNT;
            mended := mended + n;
        END LOOP;
    END LOOP;
    IF mended > 0 THEN
        RAISE LOG 'mulberry: the clock was set back: the times of % rows lay ahead and were set back as well', mended;
        PERFORM mulberry_internal.wake_workers();
    END IF;
    RETURN mended;
END
$$;
COMMENT ON FUNCTION mend_due_times() IS
    'sets times back that lie ahead because the clock was set back, so that what waits for them waits no longer than it would have, and '
    'returns of how many rows; part of maintenance (internal)';

CREATE OR REPLACE FUNCTION health_clock() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    ahead record;
    n     bigint;
    rows  bigint := 0;
BEGIN
    FOR ahead IN SELECT * FROM mulberry_internal.times_ahead() LOOP
        EXECUTE format('SELECT count(*) FROM (%s) AS a', ahead.query) INTO n;
        rows := rows + n;
    END LOOP;
    item := 'clock';
    status := CASE WHEN rows > 0 THEN 'warning' ELSE 'ok' END;
    detail := CASE WHEN rows > 0 THEN format('%s rows tell of what happened later than now', rows)
                   ELSE 'nothing happened later than now' END;
    hint := CASE WHEN rows > 0 THEN 'The clock was set back. maintenance() sets what is due back as well; workers call it.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_clock() IS 'health of the clock: whether it was set back';
