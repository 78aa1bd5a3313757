CREATE OR REPLACE FUNCTION replace_seeded_endpoint() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    IF NOT new.seeded THEN
        DELETE FROM mulberry_internal.endpoints e
         WHERE e.seeded AND e.tenant IS NOT DISTINCT FROM new.tenant
           AND (e.name = new.name OR e.purpose = new.purpose);
    ELSIF EXISTS (SELECT FROM mulberry_internal.endpoints e WHERE e.id = new.id) THEN
        -- a subscription copies what was seeded here as well
        RETURN NULL;
    END IF;
    RETURN new;
END
$$;
COMMENT ON FUNCTION replace_seeded_endpoint() IS
    'trigger: an endpoint of the same name or purpose takes the place of the one that the install script made, in a restored dump and a '
    'subscription as well';
CREATE OR REPLACE TRIGGER replace_seeded BEFORE INSERT ON endpoints
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

CREATE OR REPLACE FUNCTION normalize_endpoint_url(url text, allow_http boolean, allow_private boolean) RETURNS text
LANGUAGE c IMMUTABLE STRICT
AS 'MODULE_PATHNAME', 'mulberry_normalize_endpoint_url';
COMMENT ON FUNCTION normalize_endpoint_url(text, boolean, boolean) IS
    'checks the base URL of an endpoint and returns it without a slash at its end (internal)';

CREATE OR REPLACE FUNCTION mulberry.set_endpoint(name text, kind text, base_url text DEFAULT NULL, purpose text DEFAULT 'transcription',
    model text DEFAULT NULL, secret text DEFAULT NULL, options jsonb DEFAULT '{}', timeout interval DEFAULT NULL,
    max_concurrency integer DEFAULT NULL, allow_http boolean DEFAULT false, allow_private boolean DEFAULT false,
    enabled boolean DEFAULT true, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    service record;
    owner   uuid;
    other   text;
    wrong   text;
BEGIN
    PERFORM mulberry_internal.check_texts('name', set_endpoint.name, 'kind', set_endpoint.kind, 'base_url', set_endpoint.base_url,
        'purpose', set_endpoint.purpose, 'model', set_endpoint.model, 'secret', set_endpoint.secret);
    PERFORM mulberry_internal.check_json('options', set_endpoint.options);
    IF set_endpoint.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        owner := mulberry_internal.resolve_tenant(set_endpoint.tenant, 'admin');
    END IF;
    -- who fills in a form leaves fields empty
    set_endpoint.purpose := nullif(set_endpoint.purpose, '');
    set_endpoint.model := nullif(set_endpoint.model, '');
    set_endpoint.secret := nullif(set_endpoint.secret, '');
    set_endpoint.base_url := coalesce(nullif(set_endpoint.base_url, ''),
        (SELECT max(k.default_url) FROM mulberry.endpoint_kinds() k WHERE k.kind = set_endpoint.kind));
    IF set_endpoint.name IS NULL OR set_endpoint.kind IS NULL OR set_endpoint.base_url IS NULL
       OR set_endpoint.options IS NULL OR set_endpoint.allow_http IS NULL OR set_endpoint.allow_private IS NULL
       OR set_endpoint.enabled IS NULL THEN
        RAISE EXCEPTION 'name, kind, base_url, options, allow_http, allow_private and enabled must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF set_endpoint.name !~ '^[a-z0-9][a-z0-9_.-]{0,62}$' THEN
        RAISE EXCEPTION 'invalid name "%" of an endpoint', left(set_endpoint.name, 80)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name has 1 to 63 lower-case letters, digits, underscores, dots or hyphens and begins with a letter or digit.';
    END IF;
    SELECT * INTO service FROM mulberry_internal.endpoint_kind(set_endpoint.kind, set_endpoint.purpose);
    IF service.needs_model AND set_endpoint.model IS NULL THEN
        RAISE EXCEPTION 'an endpoint for % needs a model', set_endpoint.purpose USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF extract(epoch FROM set_endpoint.timeout) NOT BETWEEN 0.1 AND 3600 THEN
        RAISE EXCEPTION 'timeout must be between 100 ms and 1 hour' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- years less as many days are an hour, too; added to a time they would lead out of its range
    set_endpoint.timeout := make_interval(secs => extract(epoch FROM set_endpoint.timeout));
    IF set_endpoint.max_concurrency < 1 THEN
        RAISE EXCEPTION 'max_concurrency must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(set_endpoint.options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(format('"%s"', k), ', ' ORDER BY k) INTO wrong
      FROM jsonb_object_keys(set_endpoint.options) AS k WHERE k <> ALL (service.options);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'unknown options: %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('An endpoint of kind %s for %s takes: %s.', set_endpoint.kind,
                                  coalesce(set_endpoint.purpose, 'nothing in particular'),
                                  coalesce(nullif(array_to_string(service.options, ', '), ''), 'none'));
    END IF;
    IF set_endpoint.options->>'response_format' NOT IN ('json', 'verbose_json') THEN
        RAISE EXCEPTION 'option response_format must be json or verbose_json' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF set_endpoint.options ? 'max_audio_seconds'
       AND (jsonb_typeof(set_endpoint.options->'max_audio_seconds') <> 'number'
            OR (set_endpoint.options->>'max_audio_seconds')::numeric NOT BETWEEN 10 AND 14400) THEN
        RAISE EXCEPTION 'option max_audio_seconds must be a number from 10 to 14400' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF set_endpoint.options ? 'temperature'
       AND (jsonb_typeof(set_endpoint.options->'temperature') <> 'number'
            OR (set_endpoint.options->>'temperature')::numeric NOT BETWEEN 0 AND 2) THEN
        RAISE EXCEPTION 'option temperature must be a number from 0 to 2' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Somebody who administers one tenant must not reach into the server's own network.
    IF set_endpoint.allow_private AND NOT mulberry.has_access_everywhere('admin') THEN
        RAISE EXCEPTION 'only an admin of all tenants may allow private addresses' USING ERRCODE = 'insufficient_privilege';
    END IF;
    set_endpoint.base_url := mulberry_internal.normalize_endpoint_url(set_endpoint.base_url, set_endpoint.allow_http,
                                                             set_endpoint.allow_private);
    -- no ELSE: a kind whose options are checked nowhere is an error
    CASE set_endpoint.kind
    WHEN 'openai', 'json' THEN
        NULL;    -- above
    WHEN 'twilio' THEN
        set_endpoint.options := mulberry_internal.check_twilio_options(set_endpoint.options, set_endpoint.secret,
                                                              set_endpoint.allow_http, set_endpoint.allow_private);
    END CASE;
    SELECT e.name INTO other FROM mulberry_internal.endpoints e
     WHERE e.tenant IS NOT DISTINCT FROM owner AND e.purpose = set_endpoint.purpose
       AND e.name <> set_endpoint.name AND NOT e.seeded;
    IF FOUND THEN
        RAISE EXCEPTION 'endpoint "%" already serves %', other, set_endpoint.purpose
            USING ERRCODE = 'unique_violation',
                  HINT = format('set_endpoint(%L, ...) changes that one, drop_endpoint(%L) makes room; '
                              'with purpose => NULL only jobs use this '
                              'one that name it.', other, other);
    END IF;

    -- One statement changes the row, so that two admins at once do not meet half way.
    UPDATE mulberry_internal.endpoints e
       SET kind = set_endpoint.kind, base_url = set_endpoint.base_url, purpose = set_endpoint.purpose,
           model = set_endpoint.model, secret = set_endpoint.secret, options = set_endpoint.options,
           timeout = set_endpoint.timeout, max_concurrency = set_endpoint.max_concurrency,
           allow_http = set_endpoint.allow_http, allow_private = set_endpoint.allow_private,
           enabled = set_endpoint.enabled, seeded = false, updated_at = clock_timestamp()
     WHERE e.tenant IS NOT DISTINCT FROM owner AND e.name = set_endpoint.name;
    IF NOT FOUND THEN
        INSERT INTO mulberry_internal.endpoints (tenant, name, kind, base_url, purpose, model, secret, options, timeout,
                                        max_concurrency, allow_http, allow_private, enabled)
        VALUES (owner, set_endpoint.name, set_endpoint.kind, set_endpoint.base_url, set_endpoint.purpose,
                set_endpoint.model, set_endpoint.secret, set_endpoint.options, set_endpoint.timeout,
                set_endpoint.max_concurrency, set_endpoint.allow_http, set_endpoint.allow_private,
                set_endpoint.enabled);
    END IF;
    -- It has a fresh start.
    DELETE FROM mulberry_internal.endpoint_state s USING mulberry_internal.endpoints e
     WHERE s.endpoint = e.id AND e.tenant IS NOT DISTINCT FROM owner AND e.name = set_endpoint.name;
    PERFORM mulberry_internal.reroute_jobs();
END
$$;
COMMENT ON FUNCTION mulberry.set_endpoint(text, text, text, text, text, text, jsonb, interval, integer, boolean, boolean, boolean, text) IS
    'adds an endpoint or replaces all of it; tenant null: for all tenants that have none of their own. Needs admin access; allow_private '
    'needs it for all tenants. Options of kind openai: language, prompt, temperature, response_format (json, verbose_json), '
    'max_audio_seconds (longer calls go in parts). Kind twilio: purpose telephony, base_url null for https://api.twilio.com, secret the '
    'auth token, options as docs/endpoints.md describes them';

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
        RAISE EXCEPTION 'endpoint "%" does not exist', drop_endpoint.name USING ERRCODE = 'undefined_object';
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
