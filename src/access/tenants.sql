CREATE OR REPLACE FUNCTION mulberry.create_tenant(
    name                text,
    default_encoding    text DEFAULT 's16le',
    default_sample_rate integer DEFAULT 16000,
    retention           interval DEFAULT NULL,
    language            text DEFAULT 'english'
) RETURNS uuid
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    made uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('name', create_tenant.name, 'default_encoding', create_tenant.default_encoding,
                                          'language', create_tenant.language);
    PERFORM mulberry_internal.require_access_everywhere('admin');
    PERFORM mulberry_internal.check_tenant_settings(name, default_encoding, default_sample_rate, retention, language);
    INSERT INTO mulberry_internal.tenants (name, default_encoding, default_sample_rate, retention, language)
    VALUES (name, default_encoding, default_sample_rate, retention, language)
    ON CONFLICT DO NOTHING
    RETURNING id INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION 'tenant "%" already exists', name USING ERRCODE = 'duplicate_object';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.create_tenant(text, text, integer, interval, text) IS
    'makes a tenant; retention null: mulberry.retention; '
    'language: the text search configuration for its transcripts. Needs admin access to all tenants';

CREATE OR REPLACE FUNCTION mulberry.alter_tenant(
    name                text,
    default_encoding    text DEFAULT NULL,
    default_sample_rate integer DEFAULT NULL,
    retention           interval DEFAULT NULL,
    reset_retention     boolean DEFAULT false,
    language            text DEFAULT NULL
) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(name, 'admin');
BEGIN
    PERFORM mulberry_internal.check_texts('name', alter_tenant.name, 'default_encoding', alter_tenant.default_encoding,
                                          'language', alter_tenant.language);
    IF retention IS NOT NULL AND reset_retention THEN
        RAISE EXCEPTION 'retention cannot be set and reset at once' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.check_tenant_settings(coalesce(name, 'default'), coalesce(default_encoding, 's16le'),
                                           coalesce(default_sample_rate, 16000), retention,
                                           coalesce(language, 'english'));
    UPDATE mulberry_internal.tenants t
       SET default_encoding    = coalesce(alter_tenant.default_encoding, t.default_encoding),
           default_sample_rate = coalesce(alter_tenant.default_sample_rate, t.default_sample_rate),
           retention           = CASE WHEN reset_retention THEN NULL
                                      ELSE coalesce(alter_tenant.retention, t.retention) END,
           language            = coalesce(alter_tenant.language, t.language)
     WHERE t.id = target;
END
$$;
COMMENT ON FUNCTION mulberry.alter_tenant(text, text, integer, interval, boolean, text) IS
    'changes what is not null of a tenant; reset_retention goes back to mulberry.retention; calls that are transcribed from then on '
    'are indexed in the new language. Needs admin access to it';

-- The limits are the CHECK constraints of tenants; this only says more clearly
-- what is wrong, and with which SQLSTATE.
CREATE OR REPLACE FUNCTION check_tenant_settings(
    name text, default_encoding text, default_sample_rate integer, retention interval, language text
) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    broken text;
BEGIN
    IF name IS NULL OR default_encoding IS NULL OR default_sample_rate IS NULL OR language IS NULL THEN
        RAISE EXCEPTION 'name, default_encoding, default_sample_rate and language of a tenant must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    FOR broken IN
        SELECT m.message
          FROM (VALUES
                (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$',
                 'a tenant''s name is 1 to 63 lower case letters, digits, dots, hyphens and underscores and begins with a letter or digit'),
                (default_encoding IN ('mulaw', 'alaw', 's16le', 'text'),
                 'default_encoding is mulaw, alaw, s16le or text'),
                (default_sample_rate IN (8000, 16000, 44100, 48000),
                 'default_sample_rate is 8000, 16000, 44100 or 48000'),
                (retention IS NULL OR retention > '0', 'retention is longer than nothing'),
                (retention IS NULL
                 OR (retention <= '1000 years'
                     AND least(extract(year FROM retention), extract(month FROM retention),
                               extract(day FROM retention), extract(hour FROM retention),
                               extract(minute FROM retention), extract(second FROM retention)) >= 0),
                 'retention is at most 1000 years, and no part of it is negative'),
                (EXISTS (SELECT FROM pg_ts_config g WHERE g.cfgname = language AND g.cfgnamespace = 'pg_catalog'::regnamespace),
                 'language is a text search configuration of PostgreSQL, such as english, german or simple')
               ) AS m (holds, message)
         WHERE NOT m.holds
    LOOP
        RAISE EXCEPTION '%', broken USING ERRCODE = 'invalid_parameter_value';
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_tenant_settings(text, text, integer, interval, text) IS
    'raises an error that says which setting of a tenant is out of range';

CREATE OR REPLACE FUNCTION mulberry.drop_tenant(name text) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid;
    member record;
    before text;
BEGIN
    PERFORM mulberry_internal.check_texts('name', drop_tenant.name);
    PERFORM mulberry_internal.require_access_everywhere('admin');
    IF name IS NULL THEN
        RAISE EXCEPTION 'a tenant must be named' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    target := mulberry_internal.resolve_tenant(name, 'admin');
    IF name = 'default' THEN
        RAISE EXCEPTION 'tenant "default" cannot be dropped' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOR member IN
        SELECT m.role, m.access FROM mulberry_internal.members m WHERE m.tenant = target
    LOOP
        PERFORM mulberry.revoke_access(member.role, member.access, name);
    END LOOP;
    -- whoever stores the first of anything for this tenant keeps its row
    before := mulberry_internal.limit_wait_for_row();
    BEGIN
        DELETE FROM mulberry_internal.tenants t WHERE t.id = target;
    EXCEPTION
        WHEN foreign_key_violation THEN
            RAISE EXCEPTION 'tenant "%" cannot be dropped because it still has something', name
                USING ERRCODE = 'dependent_objects_still_exist', DETAIL = SQLERRM,
                      HINT = 'Calls and events go by retention; secrets, endpoints and agents must be dropped, the audit log erased.';
        WHEN lock_not_available THEN
            PERFORM mulberry_internal.refuse_to_wait(format('tenant "%s"', drop_tenant.name), t.xmax)
               FROM mulberry_internal.tenants t WHERE t.id = target;
            RAISE;
    END;
    PERFORM set_config('lock_timeout', before, true);
END
$$;
COMMENT ON FUNCTION mulberry.drop_tenant(text) IS
    'drops a tenant that has nothing left, and revokes access to it; 55P03 when another transaction keeps it, which is named. Needs admin '
    'access to all tenants';

-- A dump brings the default tenant's row, which is there already: its settings
-- are taken from the dump.  That row comes before everything that refers to a
-- tenant, so from the first restored job on outgoing work is held, whatever
-- order the dump restores its tables in.
CREATE OR REPLACE FUNCTION restore_default_tenant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    UPDATE mulberry_internal.tenants t
       SET default_encoding = NEW.default_encoding,
           default_sample_rate = NEW.default_sample_rate,
           retention = NEW.retention,
           language = NEW.language,
           created_at = NEW.created_at
     WHERE t.id = NEW.id;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    INSERT INTO mulberry_internal.installation (system_identifier, database, approved_by)
    VALUES (0, 0, SESSION_USER);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION restore_default_tenant() IS
    'lets a dump be restored over the tenant that CREATE EXTENSION makes, and holds outgoing work then';
CREATE OR REPLACE TRIGGER restore_default_tenant BEFORE INSERT ON tenants
    FOR EACH ROW WHEN (NEW.id = '6d756c62-6572-7279-8000-000000000001')
    EXECUTE FUNCTION restore_default_tenant();
-- also for the initial copy of a subscription
ALTER TABLE tenants ENABLE ALWAYS TRIGGER restore_default_tenant;
