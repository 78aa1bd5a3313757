-- One setting of an endpoint, and nothing else of it.
SET client_min_messages = warning;
SELECT mulberry.create_tenant('alter-ai') IS NOT NULL AS created;
SELECT mulberry.set_endpoint('ai', 'openai', 'https://ai.example.com/v1', model => 'whisper-1', secret => 'key',
    options => '{"language": "en", "prompt": "names"}', timeout => '10 s', max_concurrency => 3, tenant => 'alter-ai');
CREATE FUNCTION pg_temp.ai() RETURNS jsonb LANGUAGE sql RETURN
    (SELECT jsonb_strip_nulls(to_jsonb(e)) - ARRAY['name', 'tenant', 'seeded', 'breaker', 'queued', 'running', 'held_tenants']
       FROM mulberry.endpoint_status e WHERE e.name = 'ai' AND e.tenant = 'alter-ai');
-- what a change has changed
CREATE FUNCTION pg_temp.changed(before jsonb) RETURNS text LANGUAGE sql RETURN
    (SELECT string_agg(concat(coalesce(b.key, a.key), ': ', b.value, ' -> ', a.value), ', ' ORDER BY coalesce(b.key, a.key))
       FROM jsonb_each(before) b FULL JOIN jsonb_each(pg_temp.ai()) a ON a.key = b.key WHERE a.value IS DISTINCT FROM b.value);
SELECT pg_temp.ai();

DO $$
DECLARE
    setting text;
    before  jsonb;
BEGIN
    FOREACH setting IN ARRAY ARRAY['base_url => ''https://other.example.com/v1/''', 'model => ''large-v3''', 'secret => ''key-2''',
        'options => ''{"temperature": 0, "language": null}''', 'timeout => ''1 minute''', 'max_concurrency => 5',
        'enabled => false', 'priority => 7', 'allow_http => true', 'allow_private => true',
        'purpose => ''chat'', options => ''{"prompt": null}''',
        'enabled => true, priority => 0', 'model => '''', secret => NULL', 'clear => ''{timeout}''',
        'clear => ''{max_concurrency,secret}''', 'clear => ''{purpose}''',
        'clear => ''{options,model}''', 'kind => ''json''',
        'kind => ''twilio'', clear => ''{base_url}'', purpose => ''telephony'', secret => ''t'', options =>
            ''{"account_sid": "AC00000000000000000000000000000001", "from": "+15005550006"}''']
    LOOP
        before := pg_temp.ai();
        EXECUTE format('SELECT mulberry.alter_endpoint(''ai'', %s, tenant => ''alter-ai'')', setting);
        RAISE WARNING '%', concat_ws(E'\n    ', setting, pg_temp.changed(before));
    END LOOP;
END
$$;

-- what is wrong changes nothing
SELECT mulberry.set_endpoint('ai', 'openai', 'https://ai.example.com/v1', model => 'whisper-1', tenant => 'alter-ai');
SELECT updated_at AS written FROM mulberry_internal.endpoints e WHERE e.base_url = 'https://ai.example.com/v1' \gset
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.refused(setting text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE format('SELECT mulberry.alter_endpoint(''ai'', tenant => ''alter-ai'', %s)', setting);
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, SQLERRM, detail);
END
$$;
SELECT s AS setting, pg_temp.refused(s) FROM unnest(ARRAY['colour => ''red''', 'clear => ''{colour,enabled}''', 'clear => ''{NULL}''',
    'model => ''m'', clear => ''{model}''', 'kind => ''dance''', 'purpose => ''dance''', 'purpose => ''telephony''',
    'base_url => ''ftp://x''',
    'base_url => ''https://x.example/v1/chat/completions''', 'options => ''{"beat": 1}''', 'options => ''[]''', 'timeout => ''0''',
    'max_concurrency => 0', 'priority => -1', 'purpose => ''chat'', clear => ''{model}''', 'kind => ''json'', clear => ''{base_url}''',
    'model => repeat(''m'', 300)']) AS s;
SELECT e.updated_at = :'written' AS as_it_was FROM mulberry_internal.endpoints e WHERE e.base_url = 'https://ai.example.com/v1';
\set VERBOSITY default
SELECT mulberry.alter_endpoint('nothing', enabled => false, tenant => 'alter-ai');
SELECT mulberry.alter_endpoint('ai', enabled => false, tenant => 'nobody');
SELECT mulberry.alter_endpoint(NULL, enabled => false, tenant => 'alter-ai');

-- what is known of a service stays while it is asked as before
SELECT id AS ai FROM mulberry_internal.endpoints e WHERE e.base_url = 'https://ai.example.com/v1' \gset
SELECT mulberry_internal.report_endpoint(:ai, 'HTTP 502');
SELECT mulberry.alter_endpoint('ai', enabled => false, priority => 3, max_concurrency => 9, tenant => 'alter-ai');
SELECT state, last_error FROM mulberry_internal.endpoint_state WHERE endpoint = :ai;
SELECT mulberry.alter_endpoint('ai', secret => 'another', tenant => 'alter-ai');
SELECT state, last_error FROM mulberry_internal.endpoint_state WHERE endpoint = :ai;

-- the admin of a tenant keeps what an admin of all tenants has allowed, and reaches nothing else by it
CREATE ROLE alters LOGIN;
SELECT mulberry.grant_access('alters', 'admin', 'alter-ai');
SELECT mulberry.alter_endpoint('ai', base_url => 'http://10.0.0.1/v1', allow_http => true, allow_private => true, tenant => 'alter-ai');
SET ROLE alters;
SELECT mulberry.alter_endpoint('ai', enabled => true, model => 'm', tenant => 'alter-ai');
SELECT mulberry.alter_endpoint('ai', base_url => 'http://10.0.0.2/v1', tenant => 'alter-ai');
SELECT mulberry.alter_endpoint('ai', kind => 'json', tenant => 'alter-ai');
-- (a gateway's own network is another)
SELECT mulberry.alter_endpoint('ai', options => '{"utterances": true}', tenant => 'alter-ai');
SELECT mulberry.alter_endpoint('ai', enabled => true, tenant => 'default');
SELECT mulberry.alter_endpoint('mulberry-speech', enabled => true, tenant => NULL);
SELECT mulberry.alter_endpoint('ai', allow_private => false, tenant => 'alter-ai');
SELECT mulberry.alter_endpoint('ai', base_url => 'http://ai.example.com/v1', allow_private => false, tenant => 'alter-ai');
SELECT mulberry.alter_endpoint('ai', allow_private => true, tenant => 'alter-ai');
RESET ROLE;
SELECT pg_temp.ai()->>'base_url' AS base_url, pg_temp.ai()->>'model' AS model;

-- the one that comes with the extension becomes one's own by it, and gives way to another that gets its purpose
BEGIN;
SELECT mulberry.alter_endpoint('mulberry-speech', timeout => '2 minutes', tenant => NULL);
SELECT seeded, timeout, base_url FROM mulberry.endpoint_status WHERE name = 'mulberry-speech';
ROLLBACK;
BEGIN;
SELECT mulberry.set_endpoint('ours', 'json', 'https://ours.example.com', purpose => NULL, tenant => NULL);
SELECT mulberry.alter_endpoint('ours', purpose => 'transcription', tenant => NULL);
SELECT name, purpose, seeded FROM mulberry.endpoint_status WHERE tenant IS NULL;
ROLLBACK;
SELECT mulberry.drop_endpoint('ai', 'alter-ai');
SELECT mulberry.revoke_access('alters', 'admin', 'alter-ai');
DELETE FROM mulberry_internal.events WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'alter-ai');
SELECT mulberry.drop_tenant('alter-ai');
DROP ROLE alters;
