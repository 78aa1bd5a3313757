CREATE OR REPLACE FUNCTION guard_mandate() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_mandate';
COMMENT ON FUNCTION guard_mandate() IS
    'lets the status of a mandate change as its state machine has it and fixed columns not at all, and has each change numbered and '
    'written down';
CREATE OR REPLACE TRIGGER guard_mandate BEFORE INSERT OR UPDATE OR DELETE ON mandates
    FOR EACH ROW EXECUTE FUNCTION guard_mandate();

CREATE OR REPLACE FUNCTION record_mandate_change(tenant uuid, mandate text, agent uuid, status text, max_amount numeric,
    expires_at timestamptz,
                                      sponsor text, version bigint, from_status text, cause text, command bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    facts jsonb := jsonb_build_object('mandate_id', mandate, 'from_status', from_status, 'to_status', status, 'version', version,
                                      'max_amount', max_amount, 'expires_at', to_char(expires_at AT TIME ZONE 'UTC',
                                          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                                      'cause', cause);
BEGIN
    INSERT INTO mulberry_internal.mandate_versions (tenant, mandate, version, role, from_status, status, max_amount, expires_at,
        sponsor, cause, command)
    VALUES (tenant, mandate, version, mulberry_internal.outer_role_name(), from_status, status, max_amount, expires_at, sponsor,
        cause, command);
    PERFORM mulberry_internal.record_audit(tenant, 'MANDATE_CHANGED', status, mandate, agent, command, NULL, facts
        || jsonb_build_object('sponsor', sponsor));
    PERFORM mulberry_internal.emit_event(tenant, 'mandate_changed', NULL, NULL,
                                facts || jsonb_build_object('agent', (SELECT a.name FROM mulberry_internal.agents a
                                    WHERE a.tenant = record_mandate_change.tenant AND a.id = agent),
                                                            'command_id', command));
END
$$;
COMMENT ON FUNCTION record_mandate_change(uuid, text, uuid, text, numeric, timestamptz, text, bigint, text, text, bigint) IS
    'history, audit row and event of a change; called by guard_mandate() (internal)';

CREATE OR REPLACE FUNCTION forget_mandate(tenant uuid, mandate text, agent uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    DELETE FROM mulberry_internal.spendings s WHERE s.tenant = forget_mandate.tenant AND s.mandate = forget_mandate.mandate;
    DELETE FROM mulberry_internal.mandate_versions v WHERE v.tenant = forget_mandate.tenant AND v.mandate = forget_mandate.mandate;
    PERFORM mulberry_internal.record_audit(tenant, 'MANDATE_REMOVED', 'applied', mandate, agent);
END
$$;
COMMENT ON FUNCTION forget_mandate(uuid, text, uuid) IS
    'removes what hangs on a mandate that is being deleted; called by guard_mandate() (internal)';

CREATE OR REPLACE FUNCTION change_mandate(tenant uuid, mandate text, status text, expires_at timestamptz, max_amount numeric, sponsor text,
                               cause text, command bigint) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_change_mandate';
COMMENT ON FUNCTION change_mandate(uuid, text, text, timestamptz, numeric, text, text, bigint) IS
    'changes what is not null of a mandate whose agent and which are locked; cause and command go to the history (internal)';

CREATE OR REPLACE FUNCTION check_amount(amount numeric, what text, zero boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    problem text;
BEGIN
    IF amount IS NULL THEN
        RAISE EXCEPTION '% must not be null', what USING ERRCODE = 'null_value_not_allowed';
    END IF;
    problem := CASE
        WHEN amount = 'NaN' THEN 'is not a number'
        WHEN amount IN ('Infinity', '-Infinity') THEN 'is infinite'
        WHEN amount < 0 THEN 'is negative'
        WHEN amount = 0 AND NOT zero THEN 'is zero'
        WHEN amount >= 1e16 THEN 'has more than 16 digits before the point'
        WHEN min_scale(amount) > 4 THEN 'has more than 4 decimals'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '% %', what, problem
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('Amounts are %s, with at most 16 digits before the point and 4 after it.',
                                  CASE WHEN zero THEN 'not negative' ELSE 'greater than 0' END);
    END IF;
END
$$;
COMMENT ON FUNCTION check_amount(numeric, text, boolean) IS 'raises an error that says what is wrong with an amount of money';

CREATE OR REPLACE FUNCTION check_mandate_id(mandate_id text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF mandate_id IS NULL THEN
        RAISE EXCEPTION 'mandate_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF mandate_id !~ '^[0-9]{8}$' OR mandate_id = '00000000' THEN
        RAISE EXCEPTION 'invalid mandate_id "%"', left(mandate_id, 40)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It has eight digits, not all of them 0.';
    END IF;
END
$$;
COMMENT ON FUNCTION check_mandate_id(text) IS 'raises an error unless it is eight digits, not all of them 0';

CREATE OR REPLACE FUNCTION latest_expiry() RETURNS timestamptz
LANGUAGE sql IMMUTABLE
RETURN timestamptz '9999-12-31 23:59:59Z';
COMMENT ON FUNCTION latest_expiry() IS
    'where the time of a mandate ends at the latest: years have four digits in all that is told of it (internal)';

CREATE OR REPLACE FUNCTION check_mandate_settings(sponsor text, currency text, expires_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF sponsor IS NULL OR currency IS NULL OR expires_at IS NULL THEN
        RAISE EXCEPTION 'sponsor, currency and expires_at must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF sponsor = '' OR length(sponsor) > 200 OR mulberry_internal.has_controls(sponsor) THEN
        RAISE EXCEPTION 'sponsor is 1 to 200 characters, none of them a control character' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF currency !~ '^[A-Z]{3}$' THEN
        RAISE EXCEPTION 'invalid currency "%"', left(currency, 40)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It is a code of ISO 4217: three capital letters.';
    END IF;
    IF NOT isfinite(expires_at) OR expires_at <= mulberry_internal.mandate_now()
       OR expires_at > mulberry_internal.latest_expiry() THEN
        RAISE EXCEPTION 'expires_at must be in the future and before the year 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION check_mandate_settings(text, text, timestamptz) IS 'raises an error that says which setting of a mandate is wrong';

CREATE OR REPLACE FUNCTION mulberry.create_mandate(mandate_id text, agent text, sponsor text, max_amount numeric, currency text,
    expires_at timestamptz,
                               tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(tenant, 'operator');
    holder uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', create_mandate.mandate_id, 'agent', create_mandate.agent,
        'sponsor', create_mandate.sponsor, 'currency', create_mandate.currency);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    PERFORM mulberry_internal.check_amount(max_amount, 'max_amount');
    PERFORM mulberry_internal.check_mandate_settings(sponsor, currency, expires_at);
    holder := mulberry_internal.find_agent(target, agent);
    PERFORM mulberry_internal.hold_agent(target, holder);
    IF EXISTS (SELECT FROM mulberry_internal.mandates m WHERE m.tenant = target AND m.id = mandate_id) THEN
        RAISE EXCEPTION 'mandate "%" already exists', mandate_id USING ERRCODE = 'unique_violation';
    END IF;
    BEGIN
        INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, max_amount, currency, expires_at)
        VALUES (target, mandate_id, holder, sponsor, max_amount, currency, expires_at);
    EXCEPTION WHEN unique_violation THEN   -- at the same time, for another agent
        RAISE EXCEPTION 'mandate "%" already exists', mandate_id USING ERRCODE = 'unique_violation';
    END;
    PERFORM mulberry_internal.require_durable_commit();
    RETURN mandate_id;
END
$$;
COMMENT ON FUNCTION mulberry.create_mandate(text, text, text, numeric, text, timestamptz, text) IS
    'lets an agent (by its name) spend max_amount of a sponsor''s money until expires_at; mandate_id has eight digits. Returns '
    'mandate_id. Needs operator access';

-- Both rows, in their order.  The agent of a mandate never changes.
CREATE OR REPLACE FUNCTION lock_mandate(tenant uuid, mandate text) RETURNS mandates
LANGUAGE plpgsql AS $$
DECLARE
    holder uuid;
    locked mulberry_internal.mandates;
BEGIN
    SELECT m.agent INTO holder FROM mulberry_internal.mandates m WHERE m.tenant = lock_mandate.tenant AND m.id = mandate;
    IF holder IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM mulberry_internal.hold_agent(tenant, holder);
    locked := mulberry_internal.hold_mandate(tenant, mandate);
    IF locked.status = 'ACTIVE' AND locked.expires_at <= mulberry_internal.mandate_now() THEN
        PERFORM mulberry_internal.change_mandate(tenant, mandate, 'EXPIRED', NULL, NULL, NULL, 'expired', NULL);
        SELECT * INTO locked FROM mulberry_internal.mandates m WHERE m.tenant = lock_mandate.tenant AND m.id = mandate;
    END IF;
    RETURN locked;
END
$$;
COMMENT ON FUNCTION lock_mandate(uuid, text) IS
    'locks a mandate after its agent, has it EXPIRED when its time is over, and returns it; null when there is none (internal)';

CREATE OR REPLACE FUNCTION set_mandate_status(tenant uuid, mandate text, status text, cause text, command bigint DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    target mulberry_internal.mandates;
BEGIN
    IF status IS NULL OR status NOT IN ('ACTIVE', 'SUSPENDED', 'REVOKED', 'EXPIRED') THEN
        RAISE EXCEPTION 'unknown status "%" of a mandate', coalesce(status, 'null')
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'There are ACTIVE, SUSPENDED, REVOKED and EXPIRED.';
    END IF;
    target := mulberry_internal.lock_mandate(tenant, mandate);
    CASE
        WHEN target.id IS NULL THEN
            RETURN 'E003';
        WHEN target.status = status THEN
            RETURN 'already so';
        WHEN target.status = 'REVOKED' THEN
            RETURN 'E004';
        WHEN target.status = 'EXPIRED' AND status <> 'REVOKED' THEN
            RETURN 'expired';
        ELSE
            PERFORM mulberry_internal.change_mandate(tenant, mandate, status, NULL, NULL, NULL, cause, command);
    END CASE;
    IF status = 'ACTIVE' THEN
        PERFORM mulberry_internal.lock_mandate(tenant, mandate);   -- its time may have come while it was suspended
    END IF;
    PERFORM mulberry_internal.require_durable_commit();
    RETURN 'changed';
END
$$;
COMMENT ON FUNCTION set_mandate_status(uuid, text, text, text, bigint) IS
    'changes the status of a mandate: "changed", "already so", "E003" (no such mandate), "E004" (REVOKED, which is final) or "expired" '
    '(only an extension or REVOKED changes that). A suspension that is lifted after expires_at leaves an EXPIRED mandate (internal)';

CREATE OR REPLACE FUNCTION extend_mandate_expiry(tenant uuid, mandate text, days integer, cause text, command bigint DEFAULT NULL)
    RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    target   mulberry_internal.mandates;
    extended timestamptz;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 1 AND 99 THEN
        RAISE EXCEPTION 'a mandate is extended by 1 to 99 days' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    target := mulberry_internal.lock_mandate(tenant, mandate);
    IF target.id IS NULL THEN
        RETURN 'E003';
    ELSIF target.status = 'REVOKED' THEN
        RETURN 'E004';
    END IF;
    -- days of 24 hours, whatever the session's time zone does meanwhile
    extended := least(greatest(target.expires_at, mulberry_internal.mandate_now()) + make_interval(hours => 24 * days),
                      mulberry_internal.latest_expiry());
    PERFORM mulberry_internal.change_mandate(tenant, mandate, CASE WHEN target.status = 'EXPIRED' THEN 'ACTIVE' END,
                                    extended, NULL, NULL, cause, command);
    PERFORM mulberry_internal.require_durable_commit();
    RETURN 'changed';
END
$$;
COMMENT ON FUNCTION extend_mandate_expiry(uuid, text, integer, text, bigint) IS
    'extends a mandate by 1 to 99 days of 24 hours from expires_at, or from now when that is over: "changed", "E003" (no such mandate) '
    'or "E004" (REVOKED); to the end of the year 9999 at most. EXPIRED becomes ACTIVE, SUSPENDED stays (internal)';

CREATE OR REPLACE FUNCTION mulberry.alter_mandate(mandate_id text, max_amount numeric DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
                              sponsor text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(tenant, 'operator');
    target mulberry_internal.mandates;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', alter_mandate.mandate_id, 'sponsor', alter_mandate.sponsor);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    IF max_amount IS NOT NULL THEN
        PERFORM mulberry_internal.check_amount(max_amount, 'max_amount');
    END IF;
    PERFORM mulberry_internal.check_mandate_settings(coalesce(sponsor, 'as it is'), 'EUR', coalesce(expires_at,
        mulberry_internal.mandate_now() + interval '1 day'));
    target := mulberry_internal.lock_mandate(owner, mandate_id);
    IF target.id IS NULL THEN
        RAISE EXCEPTION 'mandate "%" does not exist', mandate_id
            USING ERRCODE = 'undefined_object', DETAIL = 'Protocol error E003.';
    END IF;
    IF max_amount < target.spent THEN
        RAISE EXCEPTION 'max_amount of mandate "%" cannot be less than what is spent', mandate_id
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = format('Spent are %s %s.', trim_scale(target.spent), target.currency);
    END IF;
    PERFORM mulberry_internal.change_mandate(owner, mandate_id,
                                    CASE WHEN target.status = 'EXPIRED' AND expires_at > target.expires_at THEN 'ACTIVE' END,
                                    expires_at, max_amount, sponsor, 'altered', NULL);
    PERFORM mulberry_internal.require_durable_commit();
END
$$;
COMMENT ON FUNCTION mulberry.alter_mandate(text, numeric, timestamptz, text, text) IS
    'changes what is not null of a mandate that is not REVOKED; a later expires_at makes an EXPIRED one ACTIVE. Agents learn of it on '
    'the online path. Needs operator access';

CREATE OR REPLACE FUNCTION mandate_ack_state(tenant uuid, agent uuid, mandate text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT CASE WHEN m.status <> 'REVOKED' AND m.expires_at <= mulberry_internal.mandate_now() THEN 'EXPIRED'
                                 ELSE m.status END
                       FROM mulberry_internal.mandates m WHERE m.tenant = $1 AND m.agent = $2 AND m.id = $3), 'NONE')
$$;
COMMENT ON FUNCTION mandate_ack_state(uuid, uuid, text) IS
    'state of an agent''s mandate as an acknowledgement names it; NONE: it has no such mandate (internal)';
