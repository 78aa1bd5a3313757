-- What a command does to a mandate.

CREATE OR REPLACE FUNCTION apply_mandate_command(tenant uuid, command text, mandate text, argument integer, cause text, command_id bigint,
                                      OUT ack_status integer, OUT ack_state integer)
LANGUAGE plpgsql AS $$
DECLARE
    kind   record;
    answer text;
    result text;
BEGIN
    ack_state := mulberry_internal.mandate_state_code('NONE');
    SELECT k.* INTO kind FROM mulberry.command_kinds() k WHERE k.command = apply_mandate_command.command;
    IF NOT kind.has_mandate THEN
        ack_status := mulberry_internal.ack_status_code(
            CASE WHEN mandate = '00000000' AND argument BETWEEN kind.least_argument AND kind.most_argument THEN 'applied'
                 ELSE 'refused' END);
        RETURN;
    END IF;
    CASE
    WHEN kind.command IS NULL OR (argument BETWEEN kind.least_argument AND kind.most_argument) IS NOT TRUE THEN
        answer := 'meaningless';
    WHEN kind.sets_status IS NOT NULL THEN
        answer := mulberry_internal.set_mandate_status(tenant, mandate, kind.sets_status, cause, command_id);
    WHEN command = 'EXTEND' THEN
        answer := mulberry_internal.extend_mandate_expiry(tenant, mandate, argument, cause, command_id);
    WHEN kind.asks THEN
        answer := CASE WHEN (mulberry_internal.lock_mandate(tenant, mandate)).id IS NULL THEN 'E003' ELSE 'changed' END;
    END CASE;
    SELECT m.status INTO result FROM mulberry_internal.mandates m
     WHERE m.tenant = apply_mandate_command.tenant AND m.id = mandate;
    ack_state := mulberry_internal.mandate_state_code(coalesce(result, 'NONE'));
    ack_status := mulberry_internal.ack_status_code(CASE answer WHEN 'changed' THEN 'applied' WHEN 'already so' THEN 'already so'
                                                                WHEN 'E003' THEN 'unknown mandate' ELSE 'refused' END);
END
$$;
COMMENT ON FUNCTION apply_mandate_command(uuid, text, text, integer, text, bigint) IS
    'does to a mandate what REVOKE, SUSPEND, RESUME, EXTEND (argument: days), QUERY or PING say, and returns status and state of the '
    'acknowledgement; what means nothing is refused (internal)';
