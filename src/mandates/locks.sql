-- The rows of an agent and of a mandate are what commands and payments queue for.  Who must wait long for one
-- hears who has it.

CREATE OR REPLACE FUNCTION hold_agent(tenant uuid, agent uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before text;
BEGIN
    PERFORM FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND OR NOT EXISTS (SELECT FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent) THEN
        RETURN;
    END IF;
    before := mulberry_internal.limit_wait_for_row();
    BEGIN
        PERFORM FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent FOR NO KEY UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        PERFORM mulberry_internal.refuse_to_wait(format('agent "%s"', a.name), a.xmax)
           FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent;
        RAISE;
    END;
    PERFORM set_config('lock_timeout', before, true);
END
$$;
COMMENT ON FUNCTION hold_agent(uuid, uuid) IS
    'locks the row of an agent until the end of the transaction; 55P03 when another transaction keeps it, which is named (internal)';

CREATE OR REPLACE FUNCTION hold_mandate(tenant uuid, mandate text) RETURNS mandates
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before text;
    held   mulberry_internal.mandates;
BEGIN
    SELECT * INTO held FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate
       FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND OR NOT EXISTS (SELECT FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate) THEN
        RETURN held;
    END IF;
    before := mulberry_internal.limit_wait_for_row();
    BEGIN
        SELECT * INTO held FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate FOR NO KEY UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        PERFORM mulberry_internal.refuse_to_wait(format('mandate "%s"', mandate), m.xmax)
           FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate;
        RAISE;
    END;
    PERFORM set_config('lock_timeout', before, true);
    RETURN held;
END
$$;
COMMENT ON FUNCTION hold_mandate(uuid, text) IS
    'locks the row of a mandate until the end of the transaction and returns it, null when there is none; 55P03 when another transaction '
    'keeps it, which is named (internal)';
