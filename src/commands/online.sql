CREATE OR REPLACE FUNCTION mandate_updates(a agents, since bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    most   CONSTANT integer := 500;
    key    CONSTANT integer := mulberry_internal.signing_key(a.tenant, a.id);
    latest bigint := a.mandates_version;
    after  bigint := since;
    upto   bigint;
    rows   jsonb;
    data   text;
BEGIN
    IF key IS NULL THEN
        RETURN NULL;
    END IF;
    IF since > latest THEN
        -- The agent knows of changes that we have forgotten (a restored dump): all mandates again, by a
        -- number that is new to it.
        after := 0;
        latest := since + 1;
        UPDATE mulberry_internal.agents x SET mandates_version = latest WHERE x.tenant = a.tenant AND x.id = a.id;
    END IF;
    SELECT jsonb_agg(x.row ORDER BY x.number), max(x.number) INTO rows, upto
      FROM (SELECT t.number,
                   jsonb_build_object('mandate_id', m.id, 'sponsor', m.sponsor, 'status', m.status, 'max_amount', m.max_amount,
                                      'currency', m.currency, 'expires_at', m.expires_at, 'version', m.version) AS row
              FROM mulberry_internal.mandates m
              LEFT JOIN mulberry_internal.mandate_retellings r ON r.tenant = m.tenant AND r.mandate = m.id
             CROSS JOIN LATERAL (SELECT greatest(m.agent_version, r.number) AS number) AS t
             WHERE m.tenant = a.tenant AND m.agent = a.id AND t.number > after
               -- see mandate_retellings
               AND NOT EXISTS (SELECT FROM mulberry_internal.commands c
                                WHERE c.tenant = m.tenant AND c.mandate = m.id AND (mulberry_internal.command_kind(c.command)).adds_up
                                  AND (c.state IN ('waiting', 'outstanding') OR c.state = 'escalated' AND c.retold_as IS NULL))
             ORDER BY t.number LIMIT CASE WHEN after = since THEN most END) AS x;
    IF rows IS NULL THEN
        RETURN NULL;
    END IF;
    IF after <> since THEN
        upto := latest;
    END IF;
    -- As text, because what is signed are these bytes and not what some parser makes of them.
    data := jsonb_build_object('protocol', 'mulberry/sync/1', 'tenant', a.tenant, 'agent', a.id, 'key_id', key,
                               -- commands up to this one are in it: an agent that knows a later one wants no older news
                               'counter', mulberry_internal.present_counter(mulberry_internal.voice_key_row(a.tenant, a.id, key, 'sender')),
                               'since', after, 'upto', upto, 'more', after = since AND jsonb_array_length(rows) = most, 'mandates',
                                   rows)::text;
    RETURN jsonb_build_object('key_id', key, 'data', data,
                              'mac', encode(mulberry_internal.sync_mac(a.tenant, 'sender', a.id, key, convert_to(data, 'UTF8')), 'hex'));
END
$$;
COMMENT ON FUNCTION mandate_updates(agents, bigint) IS
    'what has changed in the registry of an agent''s mandates after a number (mandates.agent_version), at most 500 of them and none that '
    'a command is about to extend, and the code over it; null: nothing (internal)';

-- The tag of an acknowledgement has eight digits, and whoever has the credentials of a gateway could try them all in
-- hours.  With this many tries an hour it takes a century, and the telephone is there meanwhile.
CREATE OR REPLACE FUNCTION sync_acks(a agents, acks jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    most      CONSTANT integer := 100;
    since     timestamptz := a.forged_since;
    forged    integer := a.forged_acks;
    item      jsonb;
    settled   record;
    challenge text;
    verdicts  jsonb := '[]'::jsonb;
BEGIN
    IF since IS NULL OR since < clock_timestamp() - interval '1 hour' THEN
        since := clock_timestamp();
        forged := 0;
    END IF;
    FOR item IN SELECT x.value FROM jsonb_array_elements(acks) WITH ORDINALITY AS x ORDER BY x.ordinality LOOP
        IF forged >= most THEN
            verdicts := verdicts || jsonb_build_array(jsonb_build_object('ack', item->'ack', 'verdict', 'not judged'));
            CONTINUE;
        END IF;
        SELECT x.* INTO settled FROM mulberry_internal.settle_ack(a.tenant, a.id, item->>'ack', 'api', NULL, NULL) AS x;
        challenge := NULL;
        IF settled.command IS NOT NULL AND item->>'challenge' IS NOT NULL THEN
            challenge := mulberry_internal.accept_challenge(settled.command, item->>'challenge');
        END IF;
        IF settled.verdict = 'forgery' THEN
            forged := forged + 1;
            UPDATE mulberry_internal.agents x SET forged_acks = forged, forged_since = since WHERE x.tenant = a.tenant AND x.id = a.id;
        END IF;
        verdicts := verdicts || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
            'ack', item->'ack', 'verdict', settled.verdict, 'command_id', settled.command, 'challenge', challenge)));
    END LOOP;
    RETURN verdicts;
END
$$;
COMMENT ON FUNCTION sync_acks(agents, jsonb) IS
    'takes the acknowledgements that an agent has sent on the online path, and says what each was worth: not judged once 100 were forged '
    'within an hour (internal)';

CREATE OR REPLACE FUNCTION revive_command(a agents) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    again bigint;
BEGIN
    -- not what an agent may have carried out already and would do twice
    SELECT x.id INTO again FROM mulberry_internal.commands x
     WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'escalated' AND NOT x.force_voice
       AND (NOT (mulberry_internal.command_kind(x.command)).adds_up OR NOT mulberry_internal.command_has_left(x))
       AND mulberry_internal.command_obsolete(x) IS NULL
       AND NOT EXISTS (SELECT FROM mulberry_internal.commands y
                        WHERE y.tenant = x.tenant AND y.mandate = x.mandate AND y.id > x.id AND y.state <> 'cancelled'
                          AND mulberry_internal.command_reversible(x.command)
                          AND (mulberry_internal.command_kind(y.command)).sets_status IS NOT NULL)
     ORDER BY (mulberry_internal.command_kind(x.command)).urgent DESC, x.id LIMIT 1 FOR NO KEY UPDATE;
    IF NOT FOUND OR mulberry_internal.voice_key_problem(a.tenant, a.id) IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.commands x SET state = 'waiting' WHERE x.id = again;
    PERFORM mulberry_internal.send_command(a, again, online_only => true);
END
$$;
COMMENT ON FUNCTION revive_command(agents) IS
    'an agent is back online and has nothing to do: sends it what was handed to a person, by this path alone (internal)';

-- An extension that was overtaken may have been carried out before, and cannot be from the moment in which
-- the agent has acknowledged a later counter.  From then on the mandate itself can be told, whose expiry is right either way.
CREATE OR REPLACE FUNCTION retell_extensions(a agents, since bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    FOR c IN
        SELECT x.* FROM mulberry_internal.commands x
         WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'escalated' AND (mulberry_internal.command_kind(x.command)).adds_up
         ORDER BY x.id FOR NO KEY UPDATE
    LOOP
        IF c.retold_as <= since THEN
            UPDATE mulberry_internal.commands x
               SET method = 'api', evidence = coalesce(x.evidence, '{}') || jsonb_build_object('told_as', x.retold_as)
             WHERE x.id = c.id;
            PERFORM mulberry_internal.finish_command(c.id, 'confirmed', 'confirmed', 'command_confirmed', NULL,
                                            jsonb_build_object('told_as', c.retold_as));
        ELSIF c.retold_as IS NULL AND EXISTS (SELECT FROM mulberry_internal.voice_keys k
                                               WHERE k.tenant = a.tenant AND k.role = 'sender' AND k.agent = a.id
                                                 AND k.key_id = c.key_id AND k.acked_counter > c.counter) THEN
            UPDATE mulberry_internal.commands x SET retold_as = mulberry_internal.retell_mandate(c) WHERE x.id = c.id;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION retell_extensions(agents, bigint) IS
    'settles escalated extensions of an agent that is online by telling it the mandates, up to a number that it knows (internal)';

CREATE OR REPLACE FUNCTION mulberry.agent_sync(agent text, acks jsonb DEFAULT '[]', since bigint DEFAULT 0, tenant text DEFAULT NULL)
    RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'agent');
    most     CONSTANT integer := 100;
    most_ahead CONSTANT bigint := 1000000;
    asked    uuid;
    a        mulberry_internal.agents;
    c        mulberry_internal.commands;
    verdicts jsonb;
    updates  jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', agent_sync.agent);
    PERFORM mulberry_internal.check_json('acks', agent_sync.acks);
    IF acks IS NULL OR since IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN acks IS NULL THEN 'acks' ELSE 'since' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF since NOT BETWEEN 0 AND 1000000000000000 THEN
        RAISE EXCEPTION 'since % is out of range', since
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = 'It is the "upto" of the last answer that was applied, 0 for none.';
    END IF;
    IF jsonb_typeof(acks) <> 'array' OR EXISTS (SELECT FROM jsonb_array_elements(acks) AS x
                                                 WHERE jsonb_typeof(x) <> 'object' OR jsonb_typeof(x->'ack') IS DISTINCT FROM 'string') THEN
        RAISE EXCEPTION 'acks must be an array of objects with "ack"' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'As apply_agent_sync() returns it: [{"ack": symbols, "challenge": digits}, ...], challenge where one was made.';
    ELSIF jsonb_array_length(acks) > most THEN
        RAISE EXCEPTION '% acknowledgements are too many', jsonb_array_length(acks)
            USING ERRCODE = 'program_limit_exceeded', DETAIL = format('At most %s are taken at once.', most);
    END IF;

    asked := mulberry_internal.name_or_id_of_agent(owner, agent);
    -- A token is that of the agent of its name: one that somebody takes from a device is no other one's.
    IF mulberry_internal.acting_token() IS NOT NULL
       AND NOT EXISTS (SELECT FROM mulberry_internal.agents x
                        WHERE x.tenant = owner AND x.id = asked AND mulberry_internal.acting_token() IN (x.name, x.id::text)) THEN
        RAISE EXCEPTION 'token "%" is not that of agent "%"', mulberry_internal.acting_token(), left(agent, 80)
            USING ERRCODE = 'insufficient_privilege', HINT = 'A token of an agent is called as the agent, or by its uuid.';
    END IF;
    a := mulberry_internal.lock_agent(owner, asked);
    -- What is ahead of us raises our own number, which must not be driven to its end in one step.
    IF since > a.mandates_version + most_ahead THEN
        RAISE EXCEPTION 'since % is out of range', since
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('The registry''s changes are numbered up to %s; a restored one may have forgotten %s.',
                                  a.mandates_version, most_ahead);
    END IF;
    verdicts := mulberry_internal.sync_acks(a, acks);
    UPDATE mulberry_internal.agents x
       SET seen_at = clock_timestamp(),
           online_until = clock_timestamp() + current_setting('mulberry.agent_online_time')::interval
     WHERE x.tenant = a.tenant AND x.id = a.id RETURNING x.* INTO a;
    PERFORM mulberry_internal.retell_extensions(a, since);
    PERFORM mulberry_internal.tend_queue(a.tenant, a.id);
    IF NOT EXISTS (SELECT FROM mulberry_internal.commands x
                    WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state IN ('waiting', 'outstanding')) THEN
        PERFORM mulberry_internal.revive_command(a);
    END IF;
    -- Whatever the telephone does meanwhile carries the same frame.  Only force_voice keeps it off this path.
    UPDATE mulberry_internal.commands x SET offered_at = coalesce(x.offered_at, clock_timestamp())
     WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'outstanding' AND NOT x.force_voice
    RETURNING x.* INTO c;
    SELECT x.* INTO a FROM mulberry_internal.agents x WHERE x.tenant = a.tenant AND x.id = a.id;
    updates := mulberry_internal.mandate_updates(a, since);
    PERFORM mulberry_internal.require_durable_commit();
    RETURN jsonb_build_object(
               'agent', a.id, 'online_until', a.online_until, 'acks', verdicts,
               'commands', CASE WHEN c.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('command_id', c.id, 'frame',
                   c.frame)) END)
           || CASE WHEN updates IS NULL THEN '{}' ELSE jsonb_build_object('updates', updates) END;
END
$$;
COMMENT ON FUNCTION mulberry.agent_sync(text, jsonb, bigint, text) IS
    'what an agent (name or uuid) calls, through the gateway, as long as it is online: hands over its acknowledgements, [{"ack": '
    'symbols, "challenge": digits}, ...], and says up to which number it knows the registry. The answer has the verdict on each '
    'acknowledgement, "commands" with the frame that is outstanding, and "updates": the changes of its mandates after "since", as text '
    'with a code over it (sync_mac()). It may be repeated at will, and answers may be lost. Needs agent access, and '
    'with a token one that is called as the agent or by its uuid. Errors: 42704 unknown agent, 22023 and 54000 acks, 22003 since';
