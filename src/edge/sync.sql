CREATE OR REPLACE FUNCTION sync_mac_fits(tenant uuid, role text, agent uuid, key_id integer, data bytea, mac bytea) RETURNS boolean
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'mulberry_sync_mac_fits';
COMMENT ON FUNCTION sync_mac_fits(uuid, text, uuid, integer, bytea, bytea) IS
    'whether mac is sync_mac() of data, compared in constant time; false without such a key (internal)';

CREATE OR REPLACE FUNCTION take_mandate(tenant uuid, agent uuid, told jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    m       mulberry_internal.mandates;
    id      CONSTANT text := told->>'mandate_id';
    wanted  CONSTANT text := told->>'status';
    until   CONSTANT timestamptz := least((told->>'expires_at')::timestamptz, mulberry_internal.latest_expiry());
    most    CONSTANT numeric := (told->>'max_amount')::numeric;
    cause   CONSTANT text := 'told by the registry';
BEGIN
    m := mulberry_internal.lock_mandate(tenant, id);
    IF m.id IS NULL THEN
        INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, status, max_amount, currency, expires_at)
        VALUES (tenant, id, agent, told->>'sponsor', wanted, most, told->>'currency', until);
        RETURN NULL;
    ELSIF m.agent <> agent THEN
        RETURN 'belongs to another agent here';
    ELSIF m.status = 'REVOKED' THEN
        RETURN CASE WHEN wanted <> 'REVOKED' THEN 'is REVOKED here and stays so' END;
    ELSIF m.currency <> told->>'currency' THEN
        RETURN 'has another currency here';
    END IF;
    IF m.status = 'EXPIRED' AND wanted IN ('ACTIVE', 'SUSPENDED') THEN
        IF until <= m.expires_at OR until <= mulberry_internal.mandate_now() THEN
            RETURN NULL;    -- its time is over by the clock of this edge
        END IF;
        PERFORM mulberry_internal.change_mandate(tenant, id, 'ACTIVE', until, NULL, NULL, cause, NULL);
        m.status := 'ACTIVE';
    END IF;
    -- what was spent here already is spent
    PERFORM mulberry_internal.change_mandate(tenant, id, CASE WHEN wanted <> m.status THEN wanted END, until,
                                    greatest(most, m.spent), told->>'sponsor', cause, NULL);
    PERFORM mulberry_internal.lock_mandate(tenant, id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION take_mandate(uuid, uuid, jsonb) IS
    'makes an edge''s copy of a mandate what the registry says, as far as the state machine lets it; returns what hinders, null: nothing '
    '(internal)';

CREATE OR REPLACE FUNCTION take_mandates(tenant uuid, agent uuid, updates jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    key      mulberry_internal.voice_keys;
    data     jsonb;
    known    bigint;
    told     jsonb;
    problem  text;
    problems jsonb := jsonb '[]';
    taken    integer := 0;
BEGIN
    SELECT k.* INTO key
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = take_mandates.tenant AND k.role = 'receiver' AND k.agent = take_mandates.agent AND k.enabled
       AND k.key_id = (updates->>'key_id')::integer;
    IF NOT coalesce(mulberry_internal.sync_mac_fits(tenant, 'receiver', agent, key.key_id, convert_to(updates->>'data', 'UTF8'),
                                           decode(updates->>'mac', 'hex')), false) THEN
        PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'forgery', NULL, agent, NULL, 'api',
                                      jsonb_build_object('key_id', updates->'key_id'));
        RETURN jsonb_build_object('problems', jsonb_build_array('the code over the updates is wrong'));
    END IF;
    data := (updates->>'data')::jsonb;
    IF data->>'protocol' <> 'mulberry/sync/1' OR data->>'tenant' <> key.party_tenant::text OR data->>'agent' <> agent::text
       OR data->>'key_id' <> key.key_id::text THEN
        PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'refused', NULL, agent, NULL, 'api', NULL);
        RETURN jsonb_build_object('problems', jsonb_build_array('the updates are for somebody else'));
    END IF;
    -- told before a command that has come since, which it would undo; what is asked for next knows that command
    IF coalesce((data->>'counter')::bigint < key.last_counter, true) THEN
        PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'stale', NULL, agent, NULL, 'api', jsonb_build_object('counter',
            data->'counter'));
        RETURN jsonb_build_object('problems', '[]'::jsonb);
    END IF;
    INSERT INTO mulberry_internal.sync_states (tenant, agent, upto) VALUES (tenant, agent, 0) ON CONFLICT DO NOTHING;
    SELECT s.upto INTO known FROM mulberry_internal.sync_states s
     WHERE s.tenant = take_mandates.tenant AND s.agent = take_mandates.agent FOR UPDATE;
    -- an answer that came twice, or one that was recorded long ago; and one that leaves something out
    IF (data->>'upto')::bigint <= known OR (data->>'since')::bigint > known THEN
        RETURN jsonb_build_object('problems', '[]'::jsonb);
    END IF;
    FOR told IN SELECT x.value FROM jsonb_array_elements(data->'mandates') WITH ORDINALITY AS x ORDER BY x.ordinality LOOP
        problem := mulberry_internal.take_mandate(tenant, agent, told);
        IF problem IS NOT NULL THEN
            problems := problems || to_jsonb(format('mandate %s %s', told->>'mandate_id', problem));
        ELSE
            taken := taken + 1;
        END IF;
    END LOOP;
    UPDATE mulberry_internal.sync_states s SET upto = (data->>'upto')::bigint, at = clock_timestamp()
     WHERE s.tenant = take_mandates.tenant AND s.agent = take_mandates.agent;
    PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'applied', NULL, agent, NULL, 'api',
                                  jsonb_build_object('upto', data->'upto', 'mandates', taken, 'problems', problems));
    RETURN jsonb_build_object('problems', problems, 'more', data->'more');
END
$$;
COMMENT ON FUNCTION take_mandates(uuid, uuid, jsonb) IS
    'takes the "updates" of an answer of agent_sync(), if their code is right and they are news (internal)';

CREATE OR REPLACE FUNCTION mulberry.apply_agent_sync(answer jsonb, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway', 'operator');
    a      mulberry_internal.agents;
    item   jsonb;
    one    mulberry.command_answer;
    acks   jsonb := jsonb '[]';
    taken  jsonb := jsonb '{}';
BEGIN
    PERFORM mulberry_internal.check_json('answer', apply_agent_sync.answer);
    IF answer IS NULL THEN
        RAISE EXCEPTION 'answer must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF jsonb_typeof(answer) <> 'object' OR jsonb_typeof(answer->'agent') IS DISTINCT FROM 'string'
       OR jsonb_typeof(answer->'commands') IS DISTINCT FROM 'array'
       OR EXISTS (SELECT FROM jsonb_path_query(answer, '$.commands[*]') AS c
                   WHERE jsonb_typeof(c) <> 'object' OR jsonb_typeof(c->'frame') IS DISTINCT FROM 'string')
       OR (answer ? 'updates'
           AND (jsonb_typeof(answer->'updates'->'data') IS DISTINCT FROM 'string'
                OR coalesce(answer->'updates'->>'mac' !~ '^([0-9a-f]{2}){32}$', true)
                OR coalesce(answer->'updates'->>'key_id' !~ '^[0-9]{1,2}$', true))) THEN
        RAISE EXCEPTION 'this is no answer of agent_sync()'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'It is an object with "agent", "commands", an array of objects with "frame", and perhaps "updates" with '
                      '"key_id", "data" and "mac".';
    ELSIF jsonb_array_length(answer->'commands') > 100 THEN
        RAISE EXCEPTION '% commands are too many', jsonb_array_length(answer->'commands')
            USING ERRCODE = 'program_limit_exceeded', DETAIL = 'At most 100 are taken at once.';
    END IF;
    SELECT x.* INTO a FROM mulberry_internal.agents x WHERE x.tenant = owner AND x.id::text = lower(answer->>'agent' COLLATE "C");
    IF a.id IS NULL THEN
        RAISE EXCEPTION 'agent "%" does not exist', left(answer->>'agent', 80) USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM mulberry_internal.hold_agent(a.tenant, a.id);
    -- the registry first: a command is about what it knows
    IF answer ? 'updates' THEN
        taken := mulberry_internal.take_mandates(a.tenant, a.id, answer->'updates');
    END IF;
    FOR item IN SELECT x.value FROM jsonb_array_elements(answer->'commands') WITH ORDINALITY AS x ORDER BY x.ordinality LOOP
        one := mulberry_internal.receive_frame(a.tenant, mulberry_internal.take_frame(item->>'frame'), NULL, NULL, NULL, 'sync');
        IF one.verdict IN ('accepted', 'duplicate') THEN
            acks := acks || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('ack', one.ack_digits, 'challenge', one.challenge)));
        END IF;
    END LOOP;
    UPDATE mulberry_internal.agents x SET seen_at = clock_timestamp() WHERE x.tenant = a.tenant AND x.id = a.id;
    PERFORM mulberry_internal.keep_mandate_time();
    PERFORM mulberry_internal.require_durable_commit();
    RETURN jsonb_build_object('acks', acks,
                              'since', coalesce((SELECT s.upto FROM mulberry_internal.sync_states s WHERE s.tenant = a.tenant
                                  AND s.agent = a.id), 0),
                              'more', coalesce((taken->>'more')::boolean, false) OR jsonb_array_length(acks) > 0,
                              'problems', coalesce(taken->'problems', '[]'));
END
$$;
COMMENT ON FUNCTION mulberry.apply_agent_sync(jsonb, text) IS
    'on the edge: takes an answer of the cloud''s agent_sync(). Frames are judged and applied as those from the telephone, mandates are '
    'taken over when the code over them is right. Returns "acks" and "since" for the next agent_sync(), "more" when that should be at '
    'once, and "problems". An answer may come twice. Needs gateway or operator access. Errors: 22023 no such answer, 42704 another '
    'agent''s, 54000';
