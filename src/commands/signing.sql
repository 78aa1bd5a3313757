-- Signing.  The key of an agent is the one that was confirmed last, as long as none was the
-- one that was exported first.

CREATE OR REPLACE FUNCTION signing_key(tenant uuid, agent uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT k.key_id
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = $1 AND k.role = 'sender' AND k.agent = $2 AND k.enabled AND k.exported_at IS NOT NULL
     ORDER BY k.confirmed_at DESC NULLS LAST, k.exported_at, k.key_id
     LIMIT 1
$$;
COMMENT ON FUNCTION signing_key(uuid, uuid) IS
    'id of the key that an agent''s commands are signed with; null: none was exported (internal)';

CREATE OR REPLACE FUNCTION voice_key_problem(tenant uuid, agent uuid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
               WHEN mulberry_internal.signing_key($1, $2) IS NOT NULL THEN NULL
               WHEN EXISTS (SELECT FROM mulberry_internal.voice_keys k
                             WHERE k.tenant = $1 AND k.role = 'sender' AND k.agent = $2 AND k.enabled)
                   THEN 'its voice key was not exported to the edge'
               ELSE 'it has no voice key'
           END
$$;
COMMENT ON FUNCTION voice_key_problem(uuid, uuid) IS 'why no command to an agent can be signed; null: one can (internal)';

CREATE OR REPLACE FUNCTION sign_frame(tenant uuid, agent uuid, key_id integer, command text, mandate text, argument integer,
                           counter bigint, nonce text, OUT frame text, OUT message_digest bytea)
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_sign_frame';
COMMENT ON FUNCTION sign_frame(uuid, uuid, integer, text, text, integer, bigint, text) IS 'signs a command with a sender''s key (internal)';

CREATE OR REPLACE FUNCTION advanced_counter(key voice_keys, by integer) RETURNS bigint
LANGUAGE sql IMMUTABLE
-- with room for what is signed next
RETURN least(key.last_counter + by, greatest(key.last_counter, key.acked_counter + mulberry_internal.counter_window() - 100));
COMMENT ON FUNCTION advanced_counter(voice_keys, integer) IS
    'a sender''s counter after a jump, which stays inside the receiver''s window as far as is known (internal)';

CREATE OR REPLACE FUNCTION present_counter(key voice_keys) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    here    CONSTANT text := mulberry_internal.voice_key_place();
    counter bigint := key.last_counter;
BEGIN
    -- what a copy signs would use up counters that the original uses as well
    IF key.place <> here AND counter > 0 AND mulberry.outbound_allowed() THEN
        counter := mulberry_internal.advanced_counter(key, 1000);
        UPDATE mulberry_internal.voice_keys k SET last_counter = counter, place = here
         WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
        PERFORM mulberry_internal.record_audit(key.tenant, 'VOICE_KEY_ADVANCED', 'another server signs', NULL, key.agent, NULL, NULL,
                                      jsonb_build_object('key_id', key.key_id, 'counter', counter));
        PERFORM mulberry_internal.require_durable_commit();
    END IF;
    RETURN counter;
END
$$;
COMMENT ON FUNCTION present_counter(voice_keys) IS
    'the last counter of a sender''s key, whose row is locked; it jumps ahead first when another server used the key last (internal)';

CREATE OR REPLACE FUNCTION sign_command(command_id bigint, nonce text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    ordered mulberry_internal.commands;
    key     mulberry_internal.voice_keys;
    chosen  integer;
    here    text := mulberry_internal.voice_key_place();
    signed  record;
BEGIN
    SELECT c.* INTO ordered FROM mulberry_internal.commands c WHERE c.id = sign_command.command_id;
    IF ordered.id IS NULL THEN
        RAISE EXCEPTION 'command % does not exist', sign_command.command_id USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM mulberry_internal.hold_agent(ordered.tenant, ordered.agent);
    SELECT c.* INTO ordered FROM mulberry_internal.commands c WHERE c.id = sign_command.command_id FOR NO KEY UPDATE;
    IF ordered.state NOT IN ('waiting', 'outstanding') THEN
        RAISE EXCEPTION 'command % is %', ordered.id, ordered.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- what a copy signs would use up counters that the original uses as well
    IF NOT mulberry.outbound_allowed() THEN
        RETURN false;
    END IF;
    chosen := mulberry_internal.signing_key(ordered.tenant, ordered.agent);
    IF chosen IS NULL THEN
        RAISE EXCEPTION 'no command to agent "%" can be signed: %',
                (SELECT a.name FROM mulberry_internal.agents a WHERE a.tenant = ordered.tenant AND a.id = ordered.agent),
                mulberry_internal.voice_key_problem(ordered.tenant, ordered.agent)
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'create_voice_key() makes one; export_voice_key() gives its line for the edge.';
    END IF;
    key := mulberry_internal.voice_key_row(ordered.tenant, ordered.agent, chosen, 'sender');
    key.last_counter := mulberry_internal.present_counter(key);
    -- The number after a frame belongs to the answer to its challenge, of which we may not have heard.
    IF sign_command.nonce IS NULL
       AND EXISTS (SELECT FROM mulberry_internal.command_signatures s
                     JOIN mulberry_internal.commands c ON c.id = s.command
                    WHERE s.tenant = key.tenant AND s.agent = key.agent AND s.key_id = key.key_id
                      AND mulberry_internal.frame_counter(s.counter) = mulberry_internal.frame_counter(key.last_counter)
                      AND s.counter = key.last_counter AND s.nonce IS NULL
                      AND c.state NOT IN ('confirmed', 'refused')
                      AND c.command = ordered.command AND c.argument = ordered.argument
                      AND c.mandate IS NOT DISTINCT FROM ordered.mandate) THEN
        key.last_counter := key.last_counter + 1;
    END IF;
    key.last_counter := key.last_counter + 1;
    signed := mulberry_internal.sign_frame(key.tenant, key.agent, key.key_id, ordered.command, ordered.mandate, ordered.argument,
                                  key.last_counter, sign_command.nonce);
    UPDATE mulberry_internal.voice_keys k
       SET last_counter = key.last_counter, place = here
     WHERE k.tenant = key.tenant AND k.role = 'sender' AND k.agent = key.agent AND k.key_id = key.key_id;
    UPDATE mulberry_internal.commands c
       SET state = 'outstanding', key_id = key.key_id, counter = key.last_counter, frame = signed.frame,
           nonce = sign_command.nonce, message_digest = signed.message_digest, signed_at = clock_timestamp(),
           signatures = c.signatures + 1
     WHERE c.id = ordered.id;
    -- a frame whose counter a crash forgets would be followed by another with the same one
    PERFORM mulberry_internal.require_durable_commit();
    RETURN true;
END
$$;
COMMENT ON FUNCTION sign_command(bigint, text) IS
    'gives a command the next counter of its agent''s key and the frame that carries it; nonce: the six digits of a challenge that its '
    'frame was answered with. Without, the counter after its last frame is left out, which only such an answer has. False, and nothing '
    'is done, while this database is a copy that resume_outbound() has not let loose (internal)';

CREATE OR REPLACE FUNCTION mulberry.command_frame(command_id bigint) RETURNS text
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    ordered mulberry_internal.commands;
BEGIN
    SELECT c.* INTO ordered
      FROM mulberry_internal.commands c
     WHERE c.id = command_id AND c.tenant = ANY (mulberry.current_tenants('operator', 'gateway'));
    IF ordered.id IS NULL THEN
        RAISE EXCEPTION 'command % does not exist', command_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN CASE WHEN ordered.state = 'outstanding' THEN ordered.frame END;
END
$$;
COMMENT ON FUNCTION mulberry.command_frame(bigint) IS
    'the 32 symbols to play for a command that is outstanding; null before its turn and after its end. Needs operator or gateway access';

CREATE OR REPLACE FUNCTION take_ack(symbols text) RETURNS received_ack
LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'mulberry_take_ack';
COMMENT ON FUNCTION take_ack(text) IS 'takes the 22 symbols of an acknowledgement apart (internal)';

CREATE OR REPLACE FUNCTION verify_ack_frame(tenant uuid, agent uuid, key_id integer, counter bigint, message_digest bytea,
                                 ack received_ack,
                                 OUT verdict text, OUT status integer, OUT state integer, OUT status_name text, OUT state_name text)
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_verify_ack_frame';
COMMENT ON FUNCTION verify_ack_frame(uuid, uuid, integer, bigint, bytea, received_ack) IS
    'what an acknowledgement is worth, judged with a sender''s key (internal)';

CREATE OR REPLACE FUNCTION note_acked_key(tenant uuid, agent uuid, key_id integer, counter bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    key   mulberry_internal.voice_keys;
    older mulberry_internal.voice_keys;
BEGIN
    -- the edge has this key: those before it have done their service
    key := mulberry_internal.voice_key_row(note_acked_key.tenant, note_acked_key.agent, note_acked_key.key_id, 'sender');
    UPDATE mulberry_internal.voice_keys k
       SET acked_counter = greatest(k.acked_counter, note_acked_key.counter),
           confirmed_at = coalesce(k.confirmed_at, clock_timestamp())
     WHERE k.tenant = key.tenant AND k.role = 'sender' AND k.agent = key.agent AND k.key_id = key.key_id;
    FOR older IN
        SELECT k.* FROM mulberry_internal.voice_keys k
         WHERE k.tenant = key.tenant AND k.role = 'sender' AND k.agent = key.agent AND k.enabled
           AND k.created_at < key.created_at
         ORDER BY k.key_id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.disable_voice_key_row(older, 'succeeded');
    END LOOP;
END
$$;
COMMENT ON FUNCTION note_acked_key(uuid, uuid, integer, bigint) IS
    'the edge has acknowledged a counter of a key, and so has the key (internal)';

CREATE OR REPLACE FUNCTION mulberry.advance_counters(by integer DEFAULT 1000, tenant text DEFAULT NULL) RETURNS bigint
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    uuid := mulberry_internal.resolve_tenant(advance_counters.tenant, 'admin');
    advanced bigint;
BEGIN
    IF by IS NULL THEN
        RAISE EXCEPTION 'by must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF by NOT BETWEEN 1 AND mulberry_internal.counter_window() - 1000 THEN
        RAISE EXCEPTION 'by % is out of range', by
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('It can be 1 to %s: a receiver takes a counter %s ahead for an old one.',
                                  mulberry_internal.counter_window() - 1000, mulberry_internal.counter_window());
    END IF;
    PERFORM FROM mulberry_internal.agents a WHERE a.tenant = owner ORDER BY a.id FOR NO KEY UPDATE;
    UPDATE mulberry_internal.voice_keys k
       SET last_counter = mulberry_internal.advanced_counter(k, advance_counters.by), place = mulberry_internal.voice_key_place()
     WHERE k.tenant = owner AND k.role = 'sender' AND k.enabled AND k.last_counter > 0;
    GET DIAGNOSTICS advanced = ROW_COUNT;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_ADVANCED', 'by hand', NULL, NULL, NULL, NULL,
                                  jsonb_build_object('by', by, 'keys', advanced));
    PERFORM mulberry_internal.require_durable_commit();
    RETURN advanced;
END
$$;
COMMENT ON FUNCTION mulberry.advance_counters(integer, text) IS
    'has the sender''s keys of a tenant that have signed something jump ahead, and returns their number. Restored dumps, promoted '
    'standbys and recovered servers do it by themselves when they sign; after the return of a file system or machine to an earlier state '
    'somebody must. Needs admin access';

CREATE OR REPLACE FUNCTION keep_signature() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    INSERT INTO mulberry_internal.command_signatures
           (command, signature, tenant, agent, key_id, counter, frame, nonce, message_digest, signed_at)
    SELECT new.id, 1 + count(*), new.tenant, new.agent, new.key_id, new.counter, new.frame, new.nonce,
           new.message_digest, new.signed_at
      FROM mulberry_internal.command_signatures s WHERE s.command = new.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION keep_signature() IS 'trigger: writes the new frame of a command into command_signatures';
CREATE OR REPLACE TRIGGER keep_signature AFTER UPDATE OF frame ON commands
    FOR EACH ROW WHEN (new.frame IS NOT NULL AND new.frame IS DISTINCT FROM old.frame)
    EXECUTE FUNCTION keep_signature();
