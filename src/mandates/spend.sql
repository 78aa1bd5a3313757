CREATE OR REPLACE FUNCTION utc_text(at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
COMMENT ON FUNCTION utc_text(timestamptz) IS 'a time for messages, to the second, whatever the session''s settings (ISO 8601)';

-- Why a mandate does not allow an amount; null: it does.
CREATE OR REPLACE FUNCTION mandate_refusal(target mandates, amount numeric, at timestamptz,
                                OUT reason text, OUT error text, OUT message text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    reason := CASE
        WHEN target.id IS NULL THEN 'unknown'
        WHEN target.status = 'REVOKED' THEN 'revoked'
        WHEN target.status = 'EXPIRED' OR target.expires_at <= at THEN 'expired'
        WHEN target.status = 'SUSPENDED' THEN 'suspended'
        WHEN target.spent + amount > target.max_amount THEN 'limit'
    END;
    error := CASE reason WHEN 'unknown' THEN 'E003' WHEN 'revoked' THEN 'E004' END;
    message := CASE reason
        WHEN 'unknown' THEN 'there is no such mandate'
        WHEN 'revoked' THEN 'the mandate is revoked'
        WHEN 'suspended' THEN 'the mandate is suspended'
        WHEN 'expired' THEN format('the mandate expired at %s', mulberry_internal.utc_text(target.expires_at))
        WHEN 'limit' THEN format('%s %s are more than the %s that are left',
                                    trim_scale(amount), target.currency, trim_scale(target.max_amount - target.spent))
    END;
END
$$;
COMMENT ON FUNCTION mandate_refusal(mandates, numeric, timestamptz) IS
    'why a mandate does not allow an amount at a time; nulls: it does (internal)';

CREATE OR REPLACE FUNCTION mulberry.check_mandate(mandate_id text, amount numeric DEFAULT 0, tenant text DEFAULT NULL,
                              OUT allowed boolean, OUT error text, OUT message text, OUT status text, OUT remaining numeric,
                              OUT expires_at timestamptz, OUT reason text)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner   uuid := mulberry_internal.resolve_tenant(tenant, 'operator', 'gateway');
    target  mulberry_internal.mandates;
    now     timestamptz;
    refusal record;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', check_mandate.mandate_id);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    PERFORM mulberry_internal.check_amount(amount, 'amount', true);
    SELECT * INTO target FROM mulberry_internal.mandates m WHERE m.tenant = owner AND m.id = mandate_id;
    now := mulberry_internal.mandate_now();
    IF target.status = 'ACTIVE' AND target.expires_at <= now AND current_setting('transaction_read_only') = 'off' THEN
        target := mulberry_internal.lock_mandate(owner, mandate_id);
    END IF;
    IF target.status = 'ACTIVE' AND target.expires_at <= now THEN
        target.status := 'EXPIRED';   -- and nothing can be stored here
    END IF;
    refusal := mulberry_internal.mandate_refusal(target, amount, now);
    allowed := refusal.reason IS NULL;
    error := refusal.error;
    message := coalesce(refusal.message, 'the mandate allows it');
    status := target.status;
    remaining := target.max_amount - target.spent;
    expires_at := target.expires_at;
    reason := refusal.reason;
END
$$;
COMMENT ON FUNCTION mulberry.check_mandate(text, numeric, text) IS
    'whether a mandate allows to spend an amount (0 or more) now: not revoked, suspended or expired, and within the limit; otherwise '
    'reason is unknown (error E003), revoked (E004), suspended, expired or limit. A mandate whose time is over becomes EXPIRED, where '
    'something can be stored. Only spend() reserves anything. Needs operator or gateway access';

CREATE OR REPLACE FUNCTION mulberry.spend(mandate_id text, amount numeric, reference text, tenant text DEFAULT NULL,
                      OUT accepted boolean, OUT duplicate boolean, OUT error text, OUT message text, OUT remaining numeric,
                      OUT status text, OUT reason text)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    uuid := mulberry_internal.resolve_tenant(tenant, 'operator', 'gateway');
    target   mulberry_internal.mandates;
    earlier  mulberry_internal.spendings;
    now      timestamptz;
    refusal  record;
    evidence jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', spend.mandate_id, 'reference', spend.reference);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    PERFORM mulberry_internal.check_amount(amount, 'amount');
    IF reference IS NULL THEN
        RAISE EXCEPTION 'reference must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF reference = '' OR length(reference) > 200 OR mulberry_internal.has_controls(reference) THEN
        RAISE EXCEPTION 'a reference is 1 to 200 characters, none of them a control character' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- What expires changes its agent's row too, which is locked first.
    SELECT * INTO target FROM mulberry_internal.mandates m WHERE m.tenant = owner AND m.id = mandate_id;
    IF target.status = 'ACTIVE' AND target.expires_at <= mulberry_internal.mandate_now() THEN
        target := mulberry_internal.lock_mandate(owner, mandate_id);
    ELSE
        SELECT * INTO target FROM mulberry_internal.mandates m WHERE m.tenant = owner AND m.id = mandate_id FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            target := mulberry_internal.hold_mandate(owner, mandate_id);
        END IF;
    END IF;
    now := mulberry_internal.mandate_now();   -- after what had to be waited for

    SELECT * INTO earlier FROM mulberry_internal.spendings s
     WHERE s.tenant = owner AND s.mandate = mandate_id AND s.reference = spend.reference;
    IF earlier.amount <> amount THEN
        RAISE EXCEPTION 'reference "%" of mandate "%" has been used for another amount', reference, mandate_id
            USING ERRCODE = 'unique_violation',
                  DETAIL = format('%s %s were spent at %s.', trim_scale(earlier.amount), target.currency,
                      mulberry_internal.utc_text(earlier.at)),
                  HINT = 'Each payment needs a reference of its own.';
    END IF;
    refusal := mulberry_internal.mandate_refusal(target, amount, now);
    accepted := earlier.amount IS NOT NULL OR refusal.reason IS NULL;
    duplicate := earlier.amount IS NOT NULL;
    status := CASE WHEN target.status = 'ACTIVE' AND target.expires_at <= now THEN 'EXPIRED' ELSE target.status END;
    remaining := CASE WHEN duplicate THEN earlier.remaining ELSE target.max_amount - target.spent END;
    IF duplicate THEN
        message := format('this was accepted at %s', mulberry_internal.utc_text(earlier.at));
        PERFORM mulberry_internal.require_durable_commit();
        RETURN;
    END IF;

    evidence := jsonb_build_object('amount', amount::numeric(20, 4), 'currency', target.currency, 'reference', reference);
    IF NOT accepted THEN
        error := refusal.error;
        message := refusal.message;
        reason := refusal.reason;
        PERFORM mulberry_internal.record_audit(owner, 'SPEND', 'refused', mandate_id, target.agent, NULL, NULL,
                                      evidence || jsonb_build_object('reason', reason, 'remaining', remaining));
        RETURN;
    END IF;
    remaining := (remaining - amount)::numeric(20, 4);
    message := 'accepted';
    INSERT INTO mulberry_internal.spendings (tenant, mandate, reference, amount, remaining, role)
    VALUES (owner, mandate_id, reference, amount, remaining, mulberry_internal.outer_role_name());
    UPDATE mulberry_internal.mandates m SET spent = m.spent + amount WHERE m.tenant = owner AND m.id = mandate_id;
    PERFORM mulberry_internal.record_audit(owner, 'SPEND', 'accepted', mandate_id, target.agent, NULL, NULL,
                                  evidence || jsonb_build_object('remaining', remaining));
    PERFORM mulberry_internal.keep_mandate_time();
    PERFORM mulberry_internal.require_durable_commit();
END
$$;
COMMENT ON FUNCTION mulberry.spend(text, numeric, text, text) IS
    'spends an amount from a mandate, once for each reference: the same reference and amount again is answered as the first time and '
    'marked duplicate, with another amount it is an error (23505). Never exceeds max_amount; refused as check_mandate() says, and a '
    'refusal is not remembered. Needs operator or gateway access';
