-- Where keys are used.  A copy (a restored dump, a promoted standby, a server recovered to a point in
-- time) may lack the last counters, which its place tells: a sender then jumps ahead, a receiver wants
-- challenges answered, because it may have forgotten what it has accepted.

CREATE OR REPLACE FUNCTION signing_place() RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_signing_place';
COMMENT ON FUNCTION signing_place() IS 'server, database and timeline that this session runs on (internal)';

CREATE OR REPLACE FUNCTION keys_have_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_keys_have_changed';
COMMENT ON FUNCTION keys_have_changed() IS 'has every process forget the keys that it keeps unsealed (internal)';

-- Counters change with each frame, and are not kept. For each row and always, because a subscription fires nothing else.
CREATE OR REPLACE TRIGGER keys_have_changed
    AFTER INSERT OR DELETE OR UPDATE OF tenant, role, agent, key_id, party_tenant, secret, enabled ON voice_keys
    FOR EACH ROW EXECUTE FUNCTION keys_have_changed();
COMMENT ON TRIGGER keys_have_changed ON voice_keys IS 'no process keeps a key that was disabled';
ALTER TABLE voice_keys ENABLE ALWAYS TRIGGER keys_have_changed;
CREATE OR REPLACE TRIGGER keys_have_changed AFTER INSERT OR DELETE OR UPDATE ON secrets FOR EACH ROW EXECUTE FUNCTION keys_have_changed();
COMMENT ON TRIGGER keys_have_changed ON secrets IS 'no process keeps a key whose bytes were replaced or destroyed';
ALTER TABLE secrets ENABLE ALWAYS TRIGGER keys_have_changed;
CREATE OR REPLACE TRIGGER keys_have_gone AFTER TRUNCATE ON secrets FOR EACH STATEMENT EXECUTE FUNCTION keys_have_changed();
COMMENT ON TRIGGER keys_have_gone ON secrets IS 'the same when all are removed at once';
ALTER TABLE secrets ENABLE ALWAYS TRIGGER keys_have_gone;

CREATE OR REPLACE FUNCTION voice_key_place() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT format('%s/%s', mulberry_internal.signing_place(),
                  (SELECT extract(epoch FROM max(i.since)) FROM mulberry_internal.installation i))
$$;
COMMENT ON FUNCTION voice_key_place() IS 'what voice_keys.place is compared with (internal)';

CREATE OR REPLACE FUNCTION voice_key_secret(role text, agent uuid, key_id integer) RETURNS text
LANGUAGE sql IMMUTABLE
-- the prefix is voice_keys.h's
RETURN format('voice-key-%s-%s-%s', left(role, 1), agent, lpad(key_id::text, 2, '0'));
COMMENT ON FUNCTION voice_key_secret(text, uuid, integer) IS 'name of the secret with a key''s bytes (internal)';

CREATE OR REPLACE FUNCTION make_voice_key(tenant uuid, secret text) RETURNS text
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_make_voice_key';
COMMENT ON FUNCTION make_voice_key(uuid, text) IS
    'draws 32 random bytes, stores them under that name and returns their fingerprint (internal)';

CREATE OR REPLACE FUNCTION remember_exported_voice_key(tenant uuid, agent uuid, key_id integer, challenge_extend boolean,
    fingerprint text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_remember_exported_voice_key';
COMMENT ON FUNCTION remember_exported_voice_key(uuid, uuid, integer, boolean, text) IS
    'lets this session take the line of a sender''s key once, when this transaction has been committed (internal)';

CREATE OR REPLACE FUNCTION mulberry.take_exported_voice_key() RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_take_exported_voice_key';
COMMENT ON FUNCTION mulberry.take_exported_voice_key() IS
    'second half of export_voice_key(): the line of the key that mark_voice_key_exported() has marked in this session, once';

CREATE OR REPLACE FUNCTION sync_mac(tenant uuid, role text, agent uuid, key_id integer, data bytea) RETURNS bytea
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'mulberry_sync_mac';
COMMENT ON FUNCTION sync_mac(uuid, text, uuid, integer, bytea) IS
    'HMAC-SHA256 by the key that is derived from an enabled voice key with the label mulberry/sync/1; null without such a key (internal)';

CREATE OR REPLACE FUNCTION check_key_id(key_id integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF key_id NOT BETWEEN 0 AND 99 THEN
        RAISE EXCEPTION 'key_id % is out of range', key_id
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = 'It can be 0 to 99.';
    END IF;
END
$$;
COMMENT ON FUNCTION check_key_id(integer) IS 'an error (22003) unless it is 0 to 99 or null (internal)';

CREATE OR REPLACE FUNCTION mulberry.create_voice_key(agent text, key_id integer DEFAULT NULL, challenge_extend boolean DEFAULT false,
                                 tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(create_voice_key.tenant, 'admin');
    target uuid := mulberry_internal.find_agent(owner, create_voice_key.agent);
    chosen integer := create_voice_key.key_id;
    name   text;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', create_voice_key.agent);
    PERFORM mulberry_internal.check_key_id(chosen);
    IF create_voice_key.challenge_extend IS NULL THEN
        RAISE EXCEPTION 'challenge_extend must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.hold_agent(owner, target);
    IF chosen IS NULL THEN
        -- one that was never used, then the one that has been disabled for longest
        SELECT n INTO chosen
          FROM generate_series(0, 99) AS n
          LEFT JOIN mulberry_internal.voice_keys k ON k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.key_id = n
         WHERE k.enabled IS NOT TRUE
         ORDER BY k.disabled_at NULLS FIRST, n = 0, n
         LIMIT 1;
        IF chosen IS NULL THEN
            RAISE EXCEPTION 'agent "%" has 100 voice keys', create_voice_key.agent
                USING ERRCODE = 'program_limit_exceeded', HINT = 'Disable one of them.';
        END IF;
    END IF;
    DELETE FROM mulberry_internal.voice_keys k
     WHERE k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.key_id = chosen AND NOT k.enabled;
    PERFORM FROM mulberry_internal.voice_keys k
      WHERE k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.key_id = chosen;
    IF FOUND THEN
        RAISE EXCEPTION 'agent "%" has a voice key % already', create_voice_key.agent, chosen
            USING ERRCODE = 'duplicate_object', HINT = 'Without a key_id the next free one is taken.';
    END IF;
    name := mulberry_internal.voice_key_secret('sender', target, chosen);
    INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, challenge_extend, fingerprint, place)
    VALUES (owner, 'sender', target, chosen, owner, name, create_voice_key.challenge_extend,
            mulberry_internal.make_voice_key(owner, name), mulberry_internal.voice_key_place());
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_CREATED', 'created', NULL, target, NULL, NULL,
                                  jsonb_build_object('key_id', chosen));
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION mulberry.create_voice_key(text, integer, boolean, text) IS
    'makes a key of an agent, of 32 random bytes that nobody sees, and returns its id (null: the next free of 0 to 99); '
    'challenge_extend: its edge wants a challenge answered before it extends a mandate. Export it, enter it on the edge. Needs admin '
    'access';

CREATE OR REPLACE FUNCTION mulberry.rotate_voice_key(agent text, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(rotate_voice_key.tenant, 'admin');
    target uuid := mulberry_internal.find_agent(owner, rotate_voice_key.agent);
    policy boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', rotate_voice_key.agent);
    SELECT k.challenge_extend INTO policy
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.enabled
     ORDER BY k.created_at DESC LIMIT 1;
    IF policy IS NULL THEN
        RAISE EXCEPTION 'agent "%" has no voice key to rotate', rotate_voice_key.agent
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Protocol error E002.',
                  HINT = 'Make one with create_voice_key().';
    END IF;
    RETURN mulberry.create_voice_key(rotate_voice_key.agent, NULL, policy, rotate_voice_key.tenant);
END
$$;
COMMENT ON FUNCTION mulberry.rotate_voice_key(text, text) IS
    'makes the successor of an agent''s key and returns its id. The old key goes on signing until confirm_voice_key() says that the edge '
    'has the new one; the first acknowledgement by the new one disables it. Needs admin access';

CREATE OR REPLACE FUNCTION voice_key_row(tenant uuid, agent uuid, key_id integer, role text) RETURNS voice_keys
LANGUAGE plpgsql AS $$
DECLARE
    found mulberry_internal.voice_keys;
BEGIN
    IF voice_key_row.key_id IS NULL THEN
        RAISE EXCEPTION 'key_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- those who sign have the agent before they look for a key
    PERFORM mulberry_internal.hold_agent(voice_key_row.tenant, voice_key_row.agent);
    SELECT k.* INTO found
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = voice_key_row.tenant AND k.agent = voice_key_row.agent AND k.key_id = voice_key_row.key_id
       AND (k.role = voice_key_row.role OR voice_key_row.role IS NULL)
     ORDER BY k.enabled DESC, k.role
     LIMIT 1 FOR NO KEY UPDATE;
    IF found.tenant IS NULL THEN
        RAISE EXCEPTION 'voice key % does not exist', voice_key_row.key_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION voice_key_row(uuid, uuid, integer, text) IS
    'the row of a key, locked after its agent; role null: either. 42704 when there is none (internal)';

CREATE OR REPLACE FUNCTION disable_voice_key_row(key voice_keys, cause text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mulberry_internal.voice_keys k
       SET enabled = false, disabled_at = clock_timestamp()
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    DELETE FROM mulberry_internal.secrets s WHERE s.tenant = key.tenant AND s.name = key.secret;
    PERFORM mulberry_internal.record_audit(key.tenant, 'VOICE_KEY_DISABLED', cause, NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id, 'role', key.role));
END
$$;
COMMENT ON FUNCTION disable_voice_key_row(voice_keys, text) IS 'disables a key for good and destroys its bytes (internal)';

CREATE OR REPLACE FUNCTION mulberry.disable_voice_key(agent text, key_id integer, role text DEFAULT NULL, tenant text DEFAULT NULL)
    RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', disable_voice_key.agent, 'role', disable_voice_key.role);
    IF role NOT IN ('sender', 'receiver') THEN
        RAISE EXCEPTION 'unknown role "%" of a voice key', role
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Roles are sender and receiver.';
    END IF;
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, agent), key_id, role);
    IF NOT key.enabled THEN
        RAISE EXCEPTION 'voice key % is disabled already', key_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM mulberry_internal.disable_voice_key_row(key, 'by hand');
    PERFORM mulberry_internal.require_durable_commit();
END
$$;
COMMENT ON FUNCTION mulberry.disable_voice_key(text, integer, text, text) IS
    'disables a key for good and destroys its bytes; what it has signed and is not acknowledged cannot be acknowledged any more. role: '
    'sender or receiver where a database has both. Needs admin access';

-- A line that was seen cannot be taken back, so that it is given out is on disk before it is: by a procedure that
-- commits in between.  Whatever the caller does then, the key counts as exported, and the audit log says so.

CREATE OR REPLACE FUNCTION mulberry.mark_voice_key_exported(agent text, key_id integer, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(mark_voice_key_exported.tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', mark_voice_key_exported.agent);
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, mark_voice_key_exported.agent),
                                  mark_voice_key_exported.key_id, 'sender');
    IF NOT key.enabled THEN
        RAISE EXCEPTION 'voice key % is disabled', key.key_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one with create_voice_key().';
    END IF;
    IF key.exported_at IS NOT NULL THEN
        RAISE EXCEPTION 'voice key % was exported at %', key.key_id, key.exported_at
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'A key is exported once.',
                  HINT = CASE WHEN key.confirmed_at IS NULL
                                  THEN 'When the line did not arrive: allow_voice_key_export(agent, key_id, reason).'
                                  ELSE 'The edge has it. For another one there is rotate_voice_key().' END;
    END IF;
    UPDATE mulberry_internal.voice_keys k
       SET exported_at = clock_timestamp()
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_EXPORTED', 'exported', NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id));
    PERFORM mulberry_internal.require_durable_commit();
    PERFORM mulberry_internal.remember_exported_voice_key(owner, key.agent, key.key_id, key.challenge_extend, key.fingerprint);
END
$$;
COMMENT ON FUNCTION mulberry.mark_voice_key_exported(text, integer, text) IS
    'first half of export_voice_key(): the key counts as exported, and its line can be taken by this session once this has been '
    'committed. Needs admin access';

-- SECURITY INVOKER and without SET, because it commits.
CREATE OR REPLACE PROCEDURE mulberry.export_voice_key(agent text, key_id integer, tenant text DEFAULT NULL, INOUT line text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
BEGIN
    IF mulberry.in_transaction_block() THEN
        RAISE EXCEPTION 'export_voice_key() cannot run inside a transaction block' USING ERRCODE = 'active_sql_transaction',
            DETAIL = 'A rollback would take back that it has happened.';
    END IF;
    PERFORM mulberry.mark_voice_key_exported(agent, key_id, tenant);
    COMMIT;
    line := mulberry.take_exported_voice_key();
END
$$;
COMMENT ON PROCEDURE mulberry.export_voice_key(text, integer, text, text) IS
    'CALL export_voice_key(agent, key_id): the line with which a key enters its edge through voice_key_entry, given out once; afterwards '
    '55000. It commits, and so cannot run inside a transaction block (25001). Needs admin access';

CREATE OR REPLACE FUNCTION mulberry.allow_voice_key_export(agent text, key_id integer, reason text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(allow_voice_key_export.tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', allow_voice_key_export.agent, 'reason', allow_voice_key_export.reason);
    IF coalesce(allow_voice_key_export.reason, '') = '' THEN
        RAISE EXCEPTION 'a reason is needed' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'The audit log keeps why a key was given out twice.';
    END IF;
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, allow_voice_key_export.agent),
                                  allow_voice_key_export.key_id, 'sender');
    IF NOT key.enabled OR key.exported_at IS NULL OR key.confirmed_at IS NOT NULL THEN
        RAISE EXCEPTION 'voice key % %', key.key_id,
            CASE WHEN NOT key.enabled THEN 'is disabled' WHEN key.exported_at IS NULL THEN 'was not exported'
                 ELSE 'is in use by the edge' END
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Only a key that was exported and has not arrived can be exported again.';
    END IF;
    UPDATE mulberry_internal.voice_keys k
       SET exported_at = NULL
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_EXPORTED', 'allowed again', NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id, 'reason', allow_voice_key_export.reason,
                                                     'exported_at', key.exported_at));
END
$$;
COMMENT ON FUNCTION mulberry.allow_voice_key_export(text, integer, text, text) IS
    'lets export_voice_key() give out a key once more whose line did not arrive, with the reason in the audit log. Needs admin access. '
    'Errors: 55000 the key was not exported, or the edge has confirmed or used it, or it is disabled';

CREATE OR REPLACE FUNCTION mulberry.confirm_voice_key(agent text, key_id integer, fingerprint text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(confirm_voice_key.tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', confirm_voice_key.agent, 'fingerprint', confirm_voice_key.fingerprint);
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, confirm_voice_key.agent),
                                  confirm_voice_key.key_id, 'sender');
    IF NOT key.enabled OR key.exported_at IS NULL THEN
        RAISE EXCEPTION 'voice key % %', key.key_id, CASE WHEN key.enabled THEN 'was not exported' ELSE 'is disabled' END
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF confirm_voice_key.fingerprint <> key.fingerprint THEN
        RAISE EXCEPTION 'the fingerprint is not that of voice key %', key.key_id
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('The key''s is %s; the edge''s is in its view voice_key_status.', key.fingerprint);
    END IF;
    UPDATE mulberry_internal.voice_keys k
       SET confirmed_at = clock_timestamp()
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_CONFIRMED', 'by hand', NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id));
END
$$;
COMMENT ON FUNCTION mulberry.confirm_voice_key(text, integer, text, text) IS
    'says that the edge has entered a key: commands are signed with it from now on. With the fingerprint that the edge shows, a mistake '
    'is noticed. Needs admin access';

CREATE OR REPLACE VIEW mulberry.voice_key_entry WITH (security_barrier) AS
    SELECT NULL::text AS tenant, NULL::text AS agent, NULL::secret_value AS key WHERE false;
COMMENT ON VIEW mulberry.voice_key_entry IS
    E'where keys enter an edge: \\copy mulberry.voice_key_entry (key) FROM ...; needs admin access to the tenant, and always looks empty';
COMMENT ON COLUMN mulberry.voice_key_entry.tenant IS 'name of the tenant on the edge; null: the role''s only one, or "default"';
COMMENT ON COLUMN mulberry.voice_key_entry.agent IS
    'name for the agent where there is none yet; null: edge- and the first 8 digits of its uuid';
COMMENT ON COLUMN mulberry.voice_key_entry.key IS 'the line that export_voice_key() gave';

CREATE OR REPLACE FUNCTION enter_voice_key() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_enter_voice_key';
COMMENT ON FUNCTION enter_voice_key() IS 'stores a row of voice_key_entry';
CREATE OR REPLACE TRIGGER enter_voice_key INSTEAD OF INSERT ON mulberry.voice_key_entry
    FOR EACH ROW EXECUTE FUNCTION enter_voice_key();

CREATE OR REPLACE FUNCTION import_voice_key(tenant uuid, agent_name text, party_tenant uuid, agent uuid, key_id integer,
                                 challenge_extend boolean, fingerprint text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    known mulberry_internal.voice_keys;
    name  text := mulberry_internal.voice_key_secret('receiver', import_voice_key.agent, import_voice_key.key_id);
    called text := coalesce(import_voice_key.agent_name, 'edge-' || left(import_voice_key.agent::text, 8));
BEGIN
    PERFORM mulberry_internal.check_agent_settings(called, NULL, '{}');
    BEGIN
        INSERT INTO mulberry_internal.agents (tenant, id, name)
        VALUES (import_voice_key.tenant, import_voice_key.agent, called)
        ON CONFLICT ON CONSTRAINT agents_pkey DO NOTHING;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'there is another agent "%"', called USING ERRCODE = 'duplicate_object';
    END;
    PERFORM mulberry_internal.hold_agent(import_voice_key.tenant, import_voice_key.agent);
    SELECT k.* INTO known
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = import_voice_key.tenant AND k.role = 'receiver' AND k.key_id = import_voice_key.key_id
       FOR UPDATE;
    IF known.enabled THEN
        RAISE EXCEPTION 'there is a voice key % already', known.key_id
            USING ERRCODE = 'duplicate_object',
                  DETAIL = format('Its fingerprint is %s, that of the line is %s.', known.fingerprint, import_voice_key.fingerprint),
                  HINT = 'Disable that one first. A tenant of an edge is one agent: the key of another agent goes into another tenant '
                      'or database.';
    ELSIF known.fingerprint = import_voice_key.fingerprint
          -- the row makes way to another key of that id, and goes with its agent; the audit log remains
          OR EXISTS (SELECT FROM mulberry_internal.audit u
                      WHERE u.tenant = import_voice_key.tenant AND u.mandate IS NULL AND u.action = 'VOICE_KEY_IMPORTED'
                        AND u.evidence->>'fingerprint' = import_voice_key.fingerprint) THEN
        RAISE EXCEPTION 'voice key % was disabled here and cannot come back', import_voice_key.key_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'What was once played for it could be played again.',
                  HINT = 'Make a new one with rotate_voice_key() in the cloud.';
    END IF;
    DELETE FROM mulberry_internal.voice_keys k
     WHERE k.tenant = import_voice_key.tenant AND k.role = 'receiver' AND k.key_id = import_voice_key.key_id;
    INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, challenge_extend, fingerprint, place)
    VALUES (import_voice_key.tenant, 'receiver', import_voice_key.agent, import_voice_key.key_id,
            import_voice_key.party_tenant, name, import_voice_key.challenge_extend, import_voice_key.fingerprint,
            mulberry_internal.voice_key_place());
    PERFORM mulberry_internal.record_audit(import_voice_key.tenant, 'VOICE_KEY_IMPORTED', 'imported', NULL, import_voice_key.agent,
                                  NULL, NULL, jsonb_build_object('key_id', import_voice_key.key_id,
                                                                 'fingerprint', import_voice_key.fingerprint));
    RETURN name;
END
$$;
COMMENT ON FUNCTION import_voice_key(uuid, text, uuid, uuid, integer, boolean, text) IS
    'makes the rows of a key that enters an edge, and returns the name for its bytes (internal)';
