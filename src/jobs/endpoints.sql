CREATE OR REPLACE FUNCTION replace_seeded_endpoint() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    IF NOT new.seeded THEN
        DELETE FROM mulberry_internal.endpoints e
         WHERE e.seeded AND e.tenant IS NOT DISTINCT FROM new.tenant AND e.id <> new.id
           AND (e.name = new.name OR e.purpose = new.purpose);
    ELSIF TG_OP = 'INSERT' AND EXISTS (SELECT FROM mulberry_internal.endpoints e WHERE e.id = new.id) THEN
        -- a subscription copies what was seeded here as well
        RETURN NULL;
    END IF;
    RETURN new;
END
$$;
COMMENT ON FUNCTION replace_seeded_endpoint() IS
    'trigger: an endpoint of the same name or purpose takes the place of the one that the install script made, in a restored dump and a '
    'subscription as well';
CREATE OR REPLACE TRIGGER replace_seeded BEFORE INSERT OR UPDATE ON endpoints
    FOR EACH ROW EXECUTE FUNCTION replace_seeded_endpoint();
-- also for the initial copy of a subscription
ALTER TABLE endpoints ENABLE ALWAYS TRIGGER replace_seeded;

-- A secret of the endpoint's tenant; of an endpoint of all tenants, the job's tenant's own or that of "default".
CREATE OR REPLACE FUNCTION secret_tenant(owner uuid, secret text, tenant uuid) RETURNS uuid
LANGUAGE sql STABLE
AS $$
    SELECT coalesce($1,
        (SELECT s.tenant FROM mulberry_internal.secrets s
           JOIN mulberry_internal.tenants t ON t.id = s.tenant
          WHERE s.name = $2 AND (s.tenant = $3 OR t.name = 'default')
          ORDER BY s.tenant = $3 DESC LIMIT 1))
$$;
COMMENT ON FUNCTION secret_tenant(uuid, text, uuid) IS
    'whose secret of this name an endpoint uses for a tenant: its owner''s, or of an endpoint of all tenants (owner null) the tenant''s '
    'own before that of tenant "default"; null: there is none (internal)';

CREATE OR REPLACE FUNCTION normalize_endpoint_url(url text, allow_http boolean, allow_private boolean, kind text DEFAULT '') RETURNS text
LANGUAGE c IMMUTABLE STRICT
AS 'MODULE_PATHNAME', 'mulberry_normalize_endpoint_url';
COMMENT ON FUNCTION normalize_endpoint_url(text, boolean, boolean, text) IS
    'checks the base URL of an endpoint, of a kind as well what its path must not end in, and returns it without a slash at its end '
    '(internal)';

-- From the hosts of gateways, not from the database's server.
CREATE OR REPLACE FUNCTION asked_by_gateways(e endpoints) RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(e.purpose IN ('listen', 'speak', 'reply') OR (e.purpose = 'transcription' AND e.options->'utterances' = 'true'), false)
$$;
COMMENT ON FUNCTION asked_by_gateways(endpoints) IS 'whether gateways are given an endpoint, for conversations (internal)';

-- What set_endpoint() and alter_endpoint() are about to write; "before" is what is there, null when nothing counts of it.
CREATE OR REPLACE FUNCTION check_endpoint(INOUT e endpoints, before endpoints)
LANGUAGE plpgsql
AS $$
DECLARE
    service record;
    wrong   text;
BEGIN
    SELECT * INTO service FROM mulberry_internal.endpoint_kind(e.kind, e.purpose);
    e.base_url := coalesce(e.base_url, (SELECT max(k.default_url) FROM mulberry.endpoint_kinds() k WHERE k.kind = e.kind));
    IF e.base_url IS NULL THEN
        RAISE EXCEPTION 'an endpoint of kind % needs a base_url', e.kind USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF service.needs_model AND e.model IS NULL THEN
        RAISE EXCEPTION 'an endpoint for % needs a model', e.purpose USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF extract(epoch FROM e.timeout) NOT BETWEEN 0.1 AND 3600 THEN
        RAISE EXCEPTION 'timeout must be between 100 ms and 1 hour' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- years less as many days are an hour, too; added to a time they would lead out of its range
    e.timeout := make_interval(secs => extract(epoch FROM e.timeout));
    IF e.max_concurrency < 1 THEN
        RAISE EXCEPTION 'max_concurrency must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF e.priority < 0 THEN
        RAISE EXCEPTION 'priority must not be negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(e.options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(format('"%s"', k), ', ' ORDER BY k) INTO wrong
      FROM jsonb_object_keys(e.options) AS k WHERE k <> ALL (service.options);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'unknown options: %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('An endpoint of kind %s for %s takes: %s.', e.kind, coalesce(e.purpose, 'nothing in particular'),
                                  coalesce(nullif(array_to_string(service.options, ', '), ''), 'none'));
    END IF;
    IF e.options->>'response_format' NOT IN ('json', 'verbose_json') THEN
        RAISE EXCEPTION 'option response_format must be json or verbose_json' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF e.options ? 'max_audio_seconds'
       AND (jsonb_typeof(e.options->'max_audio_seconds') <> 'number'
            OR (e.options->>'max_audio_seconds')::numeric NOT BETWEEN 10 AND 14400) THEN
        RAISE EXCEPTION 'option max_audio_seconds must be a number from 10 to 14400' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT o.key INTO wrong FROM jsonb_each(e.options) AS o
     WHERE o.key IN ('streaming', 'socket', 'utterances') AND jsonb_typeof(o.value) <> 'boolean' ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'option % must be true or false', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT format('"%s"', o.key) INTO wrong FROM jsonb_each(e.options) AS o
     WHERE e.kind <> 'twilio' AND o.key IN ('voice', 'endpointing', 'eot_threshold', 'eager_eot_threshold', 'reasoning_effort',
         'service_tier')
       AND (jsonb_typeof(o.value) <> 'string' OR o.value #>> '{}' !~ '^[A-Za-z0-9_.:-]{1,100}$') ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'option % must be a text of letters, digits and _ . : -', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF e.options ? 'temperature'
       AND (jsonb_typeof(e.options->'temperature') <> 'number'
            OR (e.options->>'temperature')::numeric NOT BETWEEN 0 AND 2) THEN
        RAISE EXCEPTION 'option temperature must be a number from 0 to 2' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    e.base_url := mulberry_internal.normalize_endpoint_url(e.base_url, e.allow_http, e.allow_private, e.kind);
    -- Somebody who administers one tenant must not reach into the server's own network, nor to another place there, nor into a
    -- gateway's.
    IF e.allow_private AND NOT mulberry.has_access_everywhere('admin')
       AND (e.kind, e.base_url, e.allow_http, e.allow_private, mulberry_internal.asked_by_gateways(e))
           IS DISTINCT FROM (before.kind, before.base_url, before.allow_http, before.allow_private,
                             mulberry_internal.asked_by_gateways(before)) THEN
        RAISE EXCEPTION 'only an admin of all tenants may allow private addresses' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- no ELSE: a kind whose options are checked nowhere is an error
    CASE e.kind
    WHEN 'openai', 'json' THEN
        NULL;    -- above
    WHEN 'deepgram' THEN
        IF e.options ? 'version' AND e.options->'version' NOT IN ('1', '2') THEN
            RAISE EXCEPTION 'option version must be 1 or 2' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    WHEN 'elevenlabs' THEN
        NULL;
    WHEN 'twilio' THEN
        e.options := mulberry_internal.check_twilio_options(e.options, e.secret, e.allow_http, e.allow_private);
    END CASE;
END
$$;
COMMENT ON FUNCTION check_endpoint(endpoints, endpoints) IS
    'an endpoint as it is written, with its defaults, after what is not allowed in it was refused with an error (internal)';

CREATE OR REPLACE FUNCTION write_endpoint(e endpoints, before endpoints) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    written bigint;
    other   text;
BEGIN
    -- One statement changes the row, so that two admins at once do not meet half way.
    UPDATE mulberry_internal.endpoints x
       SET kind = e.kind, base_url = e.base_url, purpose = e.purpose, priority = e.priority, model = e.model, secret = e.secret,
           options = e.options, timeout = e.timeout, max_concurrency = e.max_concurrency, allow_http = e.allow_http,
           allow_private = e.allow_private, enabled = e.enabled, seeded = false, updated_at = clock_timestamp()
     WHERE x.tenant IS NOT DISTINCT FROM e.tenant AND x.name = e.name
    RETURNING x.id INTO written;
    IF NOT FOUND THEN
        INSERT INTO mulberry_internal.endpoints (tenant, name, kind, base_url, purpose, priority, model, secret, options, timeout,
                                        max_concurrency, allow_http, allow_private, enabled)
        VALUES (e.tenant, e.name, e.kind, e.base_url, e.purpose, e.priority, e.model, e.secret, e.options, e.timeout,
                e.max_concurrency, e.allow_http, e.allow_private, e.enabled)
        RETURNING id INTO written;
    END IF;
    -- What was learnt of it is of what it was.
    IF (e.kind, e.base_url, e.purpose, e.model, e.secret, e.options, e.timeout, e.allow_http, e.allow_private)
       IS DISTINCT FROM (before.kind, before.base_url, before.purpose, before.model, before.secret, before.options, before.timeout,
                         before.allow_http, before.allow_private) THEN
        DELETE FROM mulberry_internal.endpoint_state s WHERE s.endpoint = written;
    END IF;
    PERFORM mulberry_internal.reroute_jobs();
    SELECT x.name INTO other FROM mulberry_internal.endpoints x
     WHERE x.tenant IS NOT DISTINCT FROM e.tenant AND x.purpose = e.purpose AND x.enabled ORDER BY x.priority, x.id LIMIT 1;
    IF other <> e.name AND e.enabled THEN
        RAISE NOTICE 'endpoint "%" comes first for %', other, e.purpose
            USING HINT = format('"%s" is asked while that one is out or disabled; a lower priority comes first, '
                                'with purpose null only jobs use it that name it.', e.name);
    END IF;
END
$$;
COMMENT ON FUNCTION write_endpoint(endpoints, endpoints) IS
    'adds an endpoint or replaces it, and finds its jobs; what is known of the service is forgotten unless it is asked as before '
    '(internal)';

CREATE OR REPLACE FUNCTION mulberry.set_endpoint(name text, kind text, base_url text DEFAULT NULL, purpose text DEFAULT 'transcription',
    model text DEFAULT NULL, secret text DEFAULT NULL, options jsonb DEFAULT '{}', timeout interval DEFAULT NULL,
    max_concurrency integer DEFAULT NULL, allow_http boolean DEFAULT false, allow_private boolean DEFAULT false,
    enabled boolean DEFAULT true, priority integer DEFAULT 1, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    e mulberry_internal.endpoints;
BEGIN
    PERFORM mulberry_internal.check_texts('name', set_endpoint.name, 'kind', set_endpoint.kind, 'base_url', set_endpoint.base_url,
        'purpose', set_endpoint.purpose, 'model', set_endpoint.model, 'secret', set_endpoint.secret);
    PERFORM mulberry_internal.check_json('options', set_endpoint.options);
    IF set_endpoint.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        e.tenant := mulberry_internal.resolve_tenant(set_endpoint.tenant, 'admin');
    END IF;
    IF set_endpoint.name IS NULL OR set_endpoint.kind IS NULL OR set_endpoint.options IS NULL OR set_endpoint.allow_http IS NULL
       OR set_endpoint.allow_private IS NULL OR set_endpoint.enabled IS NULL OR set_endpoint.priority IS NULL THEN
        RAISE EXCEPTION 'name, kind, options, allow_http, allow_private, enabled and priority must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF set_endpoint.name !~ '^[a-z0-9][a-z0-9_.-]{0,62}$' THEN
        RAISE EXCEPTION 'invalid name "%" of an endpoint', left(set_endpoint.name, 80)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name has 1 to 63 lower-case letters, digits, underscores, dots or hyphens and begins with a letter or digit.';
    END IF;
    e.name := set_endpoint.name;
    e.kind := set_endpoint.kind;
    -- who fills in a form leaves fields empty
    e.base_url := nullif(set_endpoint.base_url, '');
    e.purpose := nullif(set_endpoint.purpose, '');
    e.model := nullif(set_endpoint.model, '');
    e.secret := nullif(set_endpoint.secret, '');
    e.options := set_endpoint.options;
    e.timeout := set_endpoint.timeout;
    e.max_concurrency := set_endpoint.max_concurrency;
    e.allow_http := set_endpoint.allow_http;
    e.allow_private := set_endpoint.allow_private;
    e.enabled := set_endpoint.enabled;
    e.priority := set_endpoint.priority;
    PERFORM mulberry_internal.write_endpoint(mulberry_internal.check_endpoint(e, NULL), NULL);
END
$$;
COMMENT ON FUNCTION mulberry.set_endpoint(text, text, text, text, text, text, jsonb, interval, integer, boolean, boolean, boolean, integer,
                                          text) IS
    'adds an endpoint or replaces all of it; tenant null: for all tenants that have none of their own. Of several for a purpose that with '
    'the lowest priority comes first, the next while it is out or disabled. Needs admin access; allow_private needs it for all tenants. '
    'Options of kind openai: language, prompt, temperature, response_format (json, verbose_json), max_audio_seconds (longer calls go in '
    'parts), utterances (true: gateways are given it with its key, and send it what callers say in conversations that have no stream). '
    'Kind twilio: purpose telephony, base_url null for https://api.twilio.com, secret the auth token, options as '
    'docs/endpoints.md describes them';

CREATE OR REPLACE FUNCTION refuse_unknown_endpoint(owner uuid, name text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'endpoint "%" does not exist', name
        USING ERRCODE = 'undefined_object',
              HINT = CASE WHEN owner IS NULL THEN 'Of all tenants, that is: for an endpoint of one of them say its name.'
                          ELSE 'Of this tenant, that is: for an endpoint of all of them say tenant => NULL.' END;
END
$$;
COMMENT ON FUNCTION refuse_unknown_endpoint(uuid, text) IS 'raises 42704, with where else to look (internal)';

CREATE OR REPLACE FUNCTION mulberry.alter_endpoint(name text, kind text DEFAULT NULL, base_url text DEFAULT NULL,
    purpose text DEFAULT NULL, model text DEFAULT NULL, secret text DEFAULT NULL, options jsonb DEFAULT NULL,
    timeout interval DEFAULT NULL, max_concurrency integer DEFAULT NULL, allow_http boolean DEFAULT NULL,
    allow_private boolean DEFAULT NULL, enabled boolean DEFAULT NULL, priority integer DEFAULT NULL, tenant text DEFAULT 'default',
    clear text[] DEFAULT '{}') RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    clearable CONSTANT text[] := ARRAY['base_url', 'purpose', 'model', 'secret', 'options', 'timeout', 'max_concurrency'];
    owner     uuid;
    given     text[];
    wrong     text;
    before    mulberry_internal.endpoints;
    e         mulberry_internal.endpoints;
BEGIN
    PERFORM mulberry_internal.check_texts('name', alter_endpoint.name, 'kind', alter_endpoint.kind, 'base_url', alter_endpoint.base_url,
        'purpose', alter_endpoint.purpose, 'model', alter_endpoint.model, 'secret', alter_endpoint.secret,
        'clear', array_to_string(alter_endpoint.clear, ' '));
    PERFORM mulberry_internal.check_json('options', alter_endpoint.options);
    IF alter_endpoint.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        owner := mulberry_internal.resolve_tenant(alter_endpoint.tenant, 'admin');
    END IF;
    -- who fills in a form leaves fields empty
    alter_endpoint.clear := coalesce(alter_endpoint.clear, '{}');
    alter_endpoint.kind := nullif(alter_endpoint.kind, '');
    alter_endpoint.base_url := nullif(alter_endpoint.base_url, '');
    alter_endpoint.purpose := nullif(alter_endpoint.purpose, '');
    alter_endpoint.model := nullif(alter_endpoint.model, '');
    alter_endpoint.secret := nullif(alter_endpoint.secret, '');
    SELECT string_agg(coalesce('"' || c || '"', 'null'), ', ' ORDER BY c) INTO wrong
      FROM unnest(alter_endpoint.clear) AS c WHERE c IS NULL OR c <> ALL (clearable);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'cannot clear %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('What can be cleared: %s.', array_to_string(clearable, ', '));
    END IF;
    SELECT array_agg(g.key) INTO given
      FROM jsonb_each(jsonb_strip_nulls(jsonb_build_object('base_url', alter_endpoint.base_url, 'purpose', alter_endpoint.purpose,
               'model', alter_endpoint.model, 'secret', alter_endpoint.secret, 'options', alter_endpoint.options,
               'timeout', alter_endpoint.timeout, 'max_concurrency', alter_endpoint.max_concurrency))) AS g;
    IF given && alter_endpoint.clear THEN
        RAISE EXCEPTION 'a setting cannot be set and cleared at once' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(alter_endpoint.options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT x.* INTO before FROM mulberry_internal.endpoints x
     WHERE x.tenant IS NOT DISTINCT FROM owner AND x.name = alter_endpoint.name FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.refuse_unknown_endpoint(owner, alter_endpoint.name);
    END IF;
    e := before;
    e.kind := coalesce(alter_endpoint.kind, e.kind);
    e.base_url := CASE WHEN 'base_url' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.base_url, e.base_url) END;
    e.purpose := CASE WHEN 'purpose' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.purpose, e.purpose) END;
    e.model := CASE WHEN 'model' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.model, e.model) END;
    e.secret := CASE WHEN 'secret' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.secret, e.secret) END;
    -- what is null in them goes
    e.options := CASE WHEN 'options' = ANY (alter_endpoint.clear) THEN '{}'
                      ELSE jsonb_strip_nulls(e.options || coalesce(alter_endpoint.options, '{}')) END;
    e.timeout := CASE WHEN 'timeout' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.timeout, e.timeout) END;
    e.max_concurrency := CASE WHEN 'max_concurrency' <> ALL (alter_endpoint.clear)
                              THEN coalesce(alter_endpoint.max_concurrency, e.max_concurrency) END;
    e.allow_http := coalesce(alter_endpoint.allow_http, e.allow_http);
    e.allow_private := coalesce(alter_endpoint.allow_private, e.allow_private);
    e.enabled := coalesce(alter_endpoint.enabled, e.enabled);
    e.priority := coalesce(alter_endpoint.priority, e.priority);
    PERFORM mulberry_internal.write_endpoint(mulberry_internal.check_endpoint(e, before), before);
END
$$;
COMMENT ON FUNCTION mulberry.alter_endpoint(text, text, text, text, text, text, jsonb, interval, integer, boolean, boolean, boolean,
                                            integer, text, text[]) IS
    'changes what is not null of an endpoint, and leaves the rest; options are added to those that it has, and go where their value is '
    'null. clear: names of settings that shall have no value (base_url, purpose, model, secret, options, timeout, max_concurrency). Needs '
    'admin access to the tenant, for allow_private or another address there to all tenants. Errors: 42704 no such endpoint, 22023 a value '
    'or a name in clear that there is not';

CREATE OR REPLACE FUNCTION mulberry.drop_endpoint(name text, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner uuid;
    e     mulberry_internal.endpoints;
BEGIN
    PERFORM mulberry_internal.check_texts('name', drop_endpoint.name);
    IF drop_endpoint.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        owner := mulberry_internal.resolve_tenant(drop_endpoint.tenant, 'admin');
    END IF;
    SELECT x.* INTO e FROM mulberry_internal.endpoints x
     WHERE x.tenant IS NOT DISTINCT FROM owner AND x.name = drop_endpoint.name FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.refuse_unknown_endpoint(owner, drop_endpoint.name);
    END IF;
    IF e.seeded THEN
        RAISE EXCEPTION 'endpoint "%" comes with the extension and cannot be dropped', e.name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Set one of your own for its purpose, which takes its place, or set it again with enabled => false.';
    END IF;
    DELETE FROM mulberry_internal.endpoints x WHERE x.id = e.id;
    PERFORM mulberry_internal.reroute_jobs();
END
$$;
COMMENT ON FUNCTION mulberry.drop_endpoint(text, text) IS
    'removes an endpoint; its jobs go to another one that serves their purpose, or wait. Needs admin access. Errors: 42704 no such '
    'endpoint, 55000 it comes with the extension';

CREATE OR REPLACE FUNCTION telephony_endpoint(tenant uuid) RETURNS endpoints
LANGUAGE sql STABLE
AS $$
    SELECT e.* FROM mulberry_internal.endpoints e WHERE e.id = mulberry_internal.endpoint_for($1, 'telephony')
$$;
COMMENT ON FUNCTION telephony_endpoint(uuid) IS 'the endpoint that places calls for a tenant (internal)';
