CREATE OR REPLACE FUNCTION mulberry.set_escalation_contact(phone text DEFAULT NULL, endpoint text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
BEGIN
    PERFORM mulberry_internal.check_texts('phone', set_escalation_contact.phone, 'endpoint', set_escalation_contact.endpoint);
    IF NOT mulberry_internal.phone_valid(phone) THEN
        PERFORM mulberry_internal.refuse_phone(phone);
    END IF;
    IF endpoint IS NOT NULL
       AND NOT EXISTS (SELECT FROM mulberry_internal.endpoints e
                        WHERE e.id = mulberry_internal.endpoint_for(owner, 'escalation', set_escalation_contact.endpoint)
                            AND (e.kind, 'escalation') IN (SELECT k.kind, k.purpose FROM mulberry.endpoint_kinds() k)) THEN
        RAISE EXCEPTION 'endpoint "%" of kind json does not exist', endpoint USING ERRCODE = 'undefined_object';
    END IF;
    IF phone IS NULL AND endpoint IS NULL THEN
        DELETE FROM mulberry_internal.escalation_contacts x WHERE x.tenant = owner;
    ELSE
        INSERT INTO mulberry_internal.escalation_contacts AS x (tenant, phone, endpoint)
        VALUES (owner, set_escalation_contact.phone, set_escalation_contact.endpoint)
        ON CONFLICT ON CONSTRAINT escalation_contacts_pkey DO UPDATE
           SET phone = excluded.phone, endpoint = excluded.endpoint, updated_at = clock_timestamp();
    END IF;
    PERFORM mulberry_internal.record_audit(owner, 'ESCALATION_CONTACT', CASE WHEN phone IS NULL AND endpoint IS NULL THEN 'removed'
        ELSE 'set' END,
        evidence => jsonb_strip_nulls(jsonb_build_object('phone', phone, 'endpoint', endpoint)));
END
$$;
COMMENT ON FUNCTION mulberry.set_escalation_contact(text, text, text) IS
    'who is told when a command was confirmed by nobody: a person by telephone (E.164), an endpoint of kind json by POST, or both; both '
    'null: nobody. Needs admin access. Errors: 22023 no such form of a number, 42704 no such endpoint';

CREATE OR REPLACE VIEW mulberry.escalation_contact_status WITH (security_barrier) AS
    SELECT t.name AS tenant, x.phone, x.endpoint, x.updated_at
      FROM mulberry_internal.escalation_contacts x
      JOIN mulberry_internal.tenants t ON t.id = x.tenant
     WHERE x.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.escalation_contact_status IS 'who is told when a command was confirmed by nobody';

-- Escalation: a person must act.

CREATE OR REPLACE FUNCTION escalation_sentence(command bigint) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT format('This is Mulberry. %s by agent %s. Calls placed: %s. Please act.',
               CASE WHEN NOT (mulberry_internal.command_kind(c.command)).has_mandate THEN 'A line test was not answered'
                    ELSE format('The command %s for mandate %s was not confirmed', lower(c.command COLLATE "C"),
                        coalesce(mulberry_internal.spaced(c.mandate), 'unknown')) END,
               left(regexp_replace(a.name, '[_.-]+', ' ', 'g'), 80), c.attempts)
      FROM mulberry_internal.commands c
      JOIN mulberry_internal.agents a ON a.tenant = c.tenant AND a.id = c.agent
     WHERE c.id = $1
$$;
COMMENT ON FUNCTION escalation_sentence(bigint) IS 'what a person is told by telephone of a command that nobody confirmed (internal)';

CREATE OR REPLACE FUNCTION escalation_report(command bigint) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('event', 'command_escalated', 'command_id', c.id, 'command', c.command, 'mandate_id', c.mandate,
               'agent', a.name, 'tenant', t.name, 'reason', c.reason, 'requester', c.requester, 'created_at', c.created_at,
               'error', c.error, 'message', mulberry_internal.escalation_sentence(c.id),
               'calls', coalesce((SELECT jsonb_agg(jsonb_build_object('attempt', v.attempt, 'call_sid', v.sid, 'state', v.state,
                                             'outcome', v.outcome, 'detail', v.detail, 'requested_at', v.requested_at, 'ended_at',
                                                 v.ended_at)
                                         ORDER BY v.id)
                                    FROM mulberry_internal.voice_calls v WHERE v.command = c.id AND v.purpose = 'command'), '[]'))
      FROM mulberry_internal.commands c
      JOIN mulberry_internal.agents a ON a.tenant = c.tenant AND a.id = c.agent
      JOIN mulberry_internal.tenants t ON t.id = c.tenant
     WHERE c.id = $1
$$;
COMMENT ON FUNCTION escalation_report(bigint) IS 'what an endpoint is sent of a command that nobody confirmed (internal)';

CREATE OR REPLACE FUNCTION place_escalation_call(command bigint, phone text, attempt integer, run_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    owner  uuid;
    placed bigint;
BEGIN
    SELECT c.tenant INTO STRICT owner FROM mulberry_internal.commands c WHERE c.id = place_escalation_call.command;
    INSERT INTO mulberry_internal.voice_calls (tenant, command, purpose, attempt, to_number, from_number, due_at)
    VALUES (owner, place_escalation_call.command, 'escalation', place_escalation_call.attempt, phone,
            coalesce((mulberry_internal.telephony_endpoint(owner)).options->>'from', ''), run_at)
    ON CONFLICT DO NOTHING
    RETURNING id INTO placed;
    IF placed IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls v
           SET job = mulberry_internal.enqueue_job('call', owner, NULL, NULL, jsonb_build_object('voice_call', placed), run_at)
         WHERE v.id = placed;
    END IF;
END
$$;
COMMENT ON FUNCTION place_escalation_call(bigint, text, integer, timestamptz) IS
    'plans a call to the person who must act on a command (internal)';

CREATE OR REPLACE FUNCTION place_escalation(command bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    report_attempts CONSTANT integer := 12;    -- over half an hour
    x      mulberry_internal.escalation_contacts;
    report bigint;
BEGIN
    SELECT k.* INTO x FROM mulberry_internal.escalation_contacts k
      JOIN mulberry_internal.commands c ON c.tenant = k.tenant WHERE c.id = place_escalation.command;
    IF x.phone IS NOT NULL AND mulberry_internal.telephony_problem(x.tenant) IS NULL THEN
        PERFORM mulberry_internal.place_escalation_call(place_escalation.command, x.phone, 1, clock_timestamp());
    END IF;
    IF x.endpoint IS NOT NULL THEN
        report := mulberry_internal.enqueue_job('escalate', x.tenant, NULL, x.endpoint, jsonb_build_object('command',
            place_escalation.command));
        UPDATE mulberry_internal.job_queue q SET max_attempts = report_attempts WHERE q.id = report;
    END IF;
END
$$;
COMMENT ON FUNCTION place_escalation(bigint) IS
    'tells the tenant''s contact, if there is one, that nobody confirmed a command: by telephone, by POST, or both (internal)';

CREATE OR REPLACE FUNCTION resume_escalation(c commands) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.place_escalation_call(c.id, x.phone, 1, clock_timestamp())
      FROM mulberry_internal.escalation_contacts x
     WHERE x.tenant = c.tenant AND x.phone IS NOT NULL AND mulberry_internal.telephony_problem(x.tenant) IS NULL
       AND (SELECT bool_or(v.outcome = 'superseded') AND NOT bool_or(coalesce(v.outcome, '') IN ('delivered', 'acknowledged'))
              FROM mulberry_internal.voice_calls v
             WHERE v.command = c.id AND v.purpose = 'escalation' AND v.created_at >= c.escalated_at)
$$;
COMMENT ON FUNCTION resume_escalation(commands) IS
    'a command is escalated again whose agent was back for a moment: calls the contact once more, if the call was broken off by that and '
    'nobody was reached (internal)';

CREATE OR REPLACE FUNCTION escalation_call_ended(voice_call bigint, wanted boolean) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    attempts_max CONSTANT integer := 3;
    pause        CONSTANT interval := interval '1 minute';
    v            mulberry_internal.voice_calls;
    heard        boolean;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    heard := v.outcome IN ('delivered', 'acknowledged');
    IF NOT heard AND wanted AND v.outcome NOT IN ('refused', 'canceled') AND v.attempt < attempts_max THEN
        PERFORM mulberry_internal.place_escalation_call(v.command, v.to_number, v.attempt + 1, clock_timestamp() + pause);
        RETURN;
    END IF;
    PERFORM mulberry_internal.emit_event(v.tenant, CASE WHEN heard THEN 'escalation_delivered' ELSE 'escalation_failed' END, NULL, NULL,
        jsonb_strip_nulls(jsonb_build_object('command_id', v.command, 'phone', v.to_number, 'outcome', v.outcome, 'error', v.detail)));
END
$$;
COMMENT ON FUNCTION escalation_call_ended(bigint, boolean) IS
    'what follows a call to the contact: another one a minute later, up to three, or an event (internal)';
