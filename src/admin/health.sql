-- Health.  Each health_...() function answers for one subject; health() calls all
-- of them, so that a part adds its facts by adding such a function.

CREATE OR REPLACE FUNCTION is_preloaded() RETURNS boolean
LANGUAGE sql STABLE
RETURN current_setting('shared_preload_libraries') ~ '(^|[,/"[:space:]])mulberry($|[,"[:space:]])';
COMMENT ON FUNCTION is_preloaded() IS 'whether shared_preload_libraries names mulberry (internal)';

CREATE OR REPLACE FUNCTION is_listed() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT quote_ident(current_database()) = ANY (d.names) OR current_database() = ANY (d.names)
      FROM string_to_array(replace(current_setting('mulberry.databases'), ' ', ''), ',') AS d (names)
$$;
COMMENT ON FUNCTION is_listed() IS 'whether mulberry.databases names this database (internal)';

CREATE OR REPLACE FUNCTION health_server() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    preloaded boolean := mulberry_internal.is_preloaded();
    listed    boolean := mulberry_internal.is_listed();
    wanted    integer := current_setting('mulberry.workers')::integer;
    usage     double precision := pg_notification_queue_usage();
    version   text := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'mulberry');
    unfit     text := mulberry_internal.version_hint(version);
    workers   bigint;
    notifiers bigint;
BEGIN
    item := 'version';
    IF unfit IS NULL THEN
        status := 'ok';
        detail := format('library and SQL are %s', version);
    ELSE
        status := 'error';
        detail := format('the library is %s, the SQL of this database %s: workers wait', mulberry_internal.library_version(), version);
        hint := unfit;
    END IF;
    RETURN NEXT;

    item := 'preloaded';
    hint := NULL;
    IF preloaded THEN
        status := 'ok';
        detail := 'mulberry is in shared_preload_libraries';
    ELSE
        status := 'warning';
        detail := 'no workers run: calls are taken, but not transcribed, and events are not announced';
        hint := 'Add mulberry to shared_preload_libraries and restart the server.';
    END IF;
    RETURN NEXT;

    item := 'workers';
    hint := NULL;
    SELECT count(*) FILTER (WHERE a.backend_type = 'mulberry worker'),
           count(*) FILTER (WHERE a.backend_type = 'mulberry notifier')
      INTO workers, notifiers
      FROM pg_stat_activity a
     WHERE a.datname = current_database();
    detail := format('%s of %s workers and %s of 1 notifiers are alive', workers, wanted, notifiers);
    IF pg_is_in_recovery() THEN
        status := 'ok';
        detail := 'this server is a standby; workers start when it is promoted';
    ELSIF NOT preloaded THEN
        status := 'warning';
    ELSIF NOT listed THEN
        status := 'warning';
        hint := format('Add %s to mulberry.databases and reload the server.', current_database());
    ELSIF workers < wanted OR notifiers < 1 THEN
        status := 'error';
        hint := CASE WHEN unfit IS NOT NULL THEN 'They wait until library and SQL are of one version.'
                     ELSE 'The server''s log says why; max_worker_processes may be too small.' END;
    ELSE
        status := 'ok';
    END IF;
    RETURN NEXT;

    item := 'notification queue';
    status := CASE WHEN usage < 0.5 THEN 'ok' WHEN usage < 0.9 THEN 'warning' ELSE 'error' END;
    detail := format('%s %% of the server''s queue is in use', round((100 * usage)::numeric, 1));
    hint := CASE WHEN usage >= 0.5 THEN 'A listening session sits in a long transaction; end it, or commits will fail.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_server() IS 'health of what the server gives us: preloading, processes, notifications';

CREATE OR REPLACE FUNCTION health_access() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    stored  bigint;
    broken  bigint;
    example text;
    worker  text := current_setting('mulberry.worker_role');
    role    pg_roles;
    missing text;
BEGIN
    item := 'secrets';
    BEGIN
        -- no names: who may see health may not see every tenant
        SELECT count(*), count(s.problem), min(s.problem)
          INTO stored, broken, example
          FROM mulberry_internal.check_secrets() s;
        IF broken > 0 THEN
            status := 'error';
            detail := format('%s of %s secrets cannot be read; of one of them, %s', broken, stored, example);
            hint := 'Put the key file that they were stored with where mulberry.secret_key_file says.';
        ELSE
            SELECT count(*), min(w.what)
              INTO broken, example
              FROM (SELECT k.tenant, k.secret AS name, 'a voice key' AS what
                      FROM mulberry_internal.voice_keys k WHERE k.enabled
                    UNION ALL
                    SELECT e.tenant, needed.name, 'an endpoint'
                      FROM mulberry_internal.endpoints e, unnest(ARRAY[e.secret, e.options->>'api_key_secret']) AS needed (name)
                     WHERE needed.name IS NOT NULL) AS w
             WHERE NOT EXISTS (SELECT FROM mulberry_internal.secrets s
                                WHERE s.name = w.name AND (s.tenant = w.tenant OR w.tenant IS NULL));
            status := CASE WHEN broken = 0 THEN 'ok' ELSE 'error' END;
            detail := format('%s secrets can be read', stored)
                      || CASE WHEN broken > 0 THEN format('; %s are missing, as that of %s', broken, example) ELSE '' END;
            hint := CASE WHEN broken > 0
                THEN 'Enter them through mulberry.secret_entry; a voice key cannot be entered again: rotate it.' END;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        status := 'error';
        detail := SQLERRM;
        hint := 'A standby or restored server needs a copy of the key file (mulberry.secret_key_file), owned by the server''s user '
            'with mode 0600.';
    END;
    RETURN NEXT;

    item := 'outgoing work';
    hint := NULL;
    IF mulberry.outbound_allowed() THEN
        status := 'ok';
        detail := 'workers may call and post';
    ELSE
        status := 'warning';
        detail := 'held, because this database is a restored dump or another kind of copy';
        hint := 'When the original is out of service, and jobs that it has done are cancelled: SELECT mulberry.resume_outbound().';
    END IF;
    RETURN NEXT;

    item := 'worker role';
    hint := NULL;
    SELECT * INTO role FROM pg_roles r WHERE r.rolname = worker;
    IF worker = '' THEN
        status := 'warning';
        detail := 'workers run as the owner of the extension';
        hint := 'Make a LOGIN role, say SELECT mulberry.grant_access(role, ''worker'', NULL), and set mulberry.worker_role to it.';
    ELSIF role.rolname IS NULL THEN
        status := 'error';
        detail := format('mulberry.worker_role is "%s", and there is no such role', worker);
    ELSIF NOT role.rolcanlogin THEN
        status := 'error';
        detail := format('role "%s" may not log in', worker);
    ELSE
        SELECT CASE WHEN NOT EXISTS (SELECT FROM mulberry_internal.members m
                                      WHERE m.access = 'worker' AND pg_has_role(role.oid, m.role, 'USAGE'))
                    THEN format('worker access in database "%s": workers wait', current_database())
                    ELSE (SELECT CASE WHEN count(*) = 1 THEN min(lack.what)
                                      ELSE format('%s rights that workers need, among them %s', count(*), min(lack.what)) END
                            FROM (SELECT format('%s on %s', o.privilege, o.object) AS what
                                    FROM mulberry.access_objects() o
                                   WHERE o.access = 'worker'
                                     AND NOT mulberry_internal.has_object_privilege(role.rolname, o.privilege, o.object)) AS lack
                          HAVING count(*) > 0) END
          INTO missing;
        IF missing IS NOT NULL THEN
            status := 'error';
            detail := format('role "%s" lacks %s', worker, missing);
            hint := format('SELECT mulberry.grant_access(%L, ''worker'', NULL);', worker);
        ELSIF role.rolsuper THEN
            status := 'warning';
            detail := format('role "%s" is a superuser', worker);
            hint := 'Workers need a LOGIN role with worker access and nothing else.';
        ELSE
            status := 'ok';
            detail := format('role "%s" has what workers need', worker);
        END IF;
    END IF;
    RETURN NEXT;

    item := 'members';
    hint := NULL;
    IF NOT EXISTS (SELECT FROM mulberry_internal.members) AND EXISTS (SELECT FROM mulberry_internal.calls) THEN
        status := 'warning';
        detail := 'there are calls, and nobody has access to anything: if this is a restored dump, the rows of members were lost';
        hint := 'Restore mulberry_internal.members again, where the roles exist, or give access anew: SELECT mulberry.grant_access(...).';
        RETURN NEXT;
        hint := NULL;
    END IF;
    SELECT string_agg(m.role::text, ', ') INTO missing
      FROM mulberry_internal.members m WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = m.role);
    IF missing IS NOT NULL THEN
        status := 'warning';
        detail := format('access was given to roles that have been dropped: %s', missing);
        hint := 'The next grant_access() forgets them.';
        RETURN NEXT;
    END IF;
    SELECT count(DISTINCT (o.privilege, o.object, r.rolname)), min(format('%s on %s to %s', o.privilege, o.object, r.rolname))
      INTO broken, example
      FROM mulberry_internal.members m
      JOIN pg_roles r ON r.oid = m.role
      JOIN mulberry.access_objects() o ON o.access = m.access
     WHERE NOT mulberry_internal.has_object_privilege(r.rolname, o.privilege, o.object);
    IF broken = 0 THEN
        status := 'ok';
        detail := 'every member has the rights that its access needs';
    ELSE
        status := 'error';
        detail := format('missing are %s rights of members, as %s', broken, example);
        hint := 'SELECT mulberry.refresh_grants();';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_access() IS 'health of secrets, outgoing work, the workers'' role and members';

CREATE OR REPLACE FUNCTION has_object_privilege(role name, privilege text, object text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE
               WHEN object ~ '^SCHEMA ' THEN has_schema_privilege(role, substr(object, 8), privilege)
               WHEN object ~ '^(FUNCTION|PROCEDURE) '
                   THEN (SELECT bool_or(has_function_privilege(role, p.oid, privilege))
                           FROM pg_proc p
                           JOIN pg_namespace s ON s.oid = p.pronamespace AND s.nspname IN ('mulberry', 'mulberry_internal')
                          -- the index first: what the text says of the arguments is made for each function that is left
                          WHERE p.proname = (parse_ident(split_part(split_part(object, ' ', 2), '(', 1)))[2]::name
                            AND object = format('%s %I.%I(%s)', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                                                s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)))
               ELSE has_table_privilege(role, object, privilege)
           END
$$;
COMMENT ON FUNCTION has_object_privilege(name, text, text) IS 'whether a role has a right that access_objects() lists';

CREATE OR REPLACE FUNCTION health_calls() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    today   bigint := floor(extract(epoch FROM clock_timestamp()) / 86400);
    ahead   integer := current_setting('mulberry.partitions_ahead')::integer;
    missing bigint;
    kept    interval;
    oldest  timestamptz;
    young   CONSTANT interval := interval '10 minutes';
    slots   CONSTANT integer := current_setting('max_connections')::integer + current_setting('max_prepared_transactions')::integer;
    room    CONSTANT integer := slots * current_setting('max_locks_per_transaction')::integer;
    batch   CONSTANT integer := current_setting('mulberry.max_batch_calls')::integer;
BEGIN
    item := 'partitions';
    SELECT count(*) INTO missing
      FROM generate_series(today, today + ahead) AS day
     WHERE NOT EXISTS (
               SELECT FROM pg_inherits i
                 JOIN pg_class c ON c.oid = i.inhrelid,
                      regexp_match(pg_get_expr(c.relpartbound, c.oid), E'\\(''?([0-9]+)''?\\) TO \\(''?([0-9]+)''?\\)') AS bound
                WHERE i.inhparent = 'mulberry_internal.packets'::regclass
                  AND bound[1]::bigint <= day << 40 AND bound[2]::bigint > day << 40);
    detail := format('%s of the partitions for today and the next %s days are missing', missing, ahead);
    IF missing = 0 THEN
        status := 'ok';
    ELSIF mulberry_internal.is_preloaded() AND mulberry_internal.is_listed()
          AND EXISTS (SELECT FROM mulberry_internal.installation i WHERE i.since > clock_timestamp() - young) THEN
        status := 'ok';
        detail := detail || ': this installation is new, and its workers are about to make them';
    ELSE
        status := CASE WHEN pg_is_in_recovery() THEN 'ok' ELSE 'warning' END;
        hint := 'Workers make them; without workers, call mulberry.maintenance() daily. A call''s first packet makes its day''s.';
    END IF;
    RETURN NEXT;

    -- a transaction takes a lock for each call that it changes, and no more than the largest batch
    item := 'lock table';
    hint := NULL;
    detail := format('room for %s locks; a batch may take %s (mulberry.max_batch_calls), and a transaction no more', room, batch);
    IF room >= 16 * batch THEN
        status := 'ok';
    ELSE
        status := 'warning';
        hint := format('For 16 such batches at once set max_locks_per_transaction = %s and restart, or lower mulberry.max_batch_calls.',
                       ceil(16.0 * batch / slots));
    END IF;
    RETURN NEXT;

    item := 'retention';
    hint := NULL;
    kept := nullif(current_setting('mulberry.retention'), '')::interval;
    SELECT min(c.finished_at) INTO oldest
      FROM mulberry_internal.calls c
      JOIN mulberry_internal.tenants t ON t.id = c.tenant
     WHERE c.finished_at < clock_timestamp() - coalesce(t.retention, kept) - interval '2 days';
    IF oldest IS NOT NULL THEN
        status := 'warning';
        detail := format('calls that finished at %s are still here', oldest);
        hint := 'Workers apply retention; without workers, call mulberry.maintenance() daily.';
    ELSE
        status := 'ok';
        detail := format('finished calls are kept for %s, unless their tenant says otherwise', coalesce(kept::text, 'ever'));
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_calls() IS 'health of the storage of calls: partitions made ahead, retention';

CREATE OR REPLACE FUNCTION health_audit() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    late bigint;
BEGIN
    item := 'audit log';
    SELECT count(*) INTO late
      FROM mulberry_internal.audit a
     WHERE a.seq IS NULL AND a.at < clock_timestamp() - interval '1 minute';
    IF late = 0 OR pg_is_in_recovery() THEN
        status := 'ok';
        detail := 'every row that is older than a minute is linked';
    ELSE
        status := 'warning';
        detail := format('%s rows that are older than a minute are not linked', late);
        hint := 'The notifier links them; without one, maintenance() and verify_audit() do. The server''s log says when it fails.';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_audit() IS 'health of the audit log: whether it is linked';

CREATE OR REPLACE FUNCTION mulberry.health() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    subject name;
BEGIN
    -- a session that has not called C before does not know our settings
    PERFORM mulberry.outbound_allowed();
    FOR subject IN
        SELECT p.proname FROM pg_proc p
         WHERE p.pronamespace = 'mulberry_internal'::regnamespace AND p.proname ~ '^health_' AND p.pronargs = 0
         ORDER BY array_position(ARRAY['health_server', 'health_access'], p.proname::text), p.proname
    LOOP
        BEGIN
            RETURN QUERY EXECUTE format('SELECT item, status, detail, hint FROM mulberry_internal.%I()', subject);
        EXCEPTION WHEN OTHERS THEN
            -- one broken check must not hide what the others have to say
            item := replace(substr(subject, 8), '_', ' ');
            status := 'error';
            detail := format('the check itself failed: %s', SQLERRM);
            hint := NULL;
            RETURN NEXT;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mulberry.health() IS
    'whether everything works: one row an item with status ok, warning or error, and what to do about it';
