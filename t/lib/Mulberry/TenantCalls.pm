# One call of each function that users see, which works on the data of a tenant "a" that fixtures()
# makes: for tests that want to have called them all.  A function that is missing here is found by
# missing_calls().
package Mulberry::TenantCalls;

use strict;
use warnings;

use Exporter 'import';
our @EXPORT = qw(working_fixtures working_calls missing_calls);

# Statements that make tenant "a"; $url is a service that answers, $gate one that does not.
sub working_fixtures
{
    my ($url, $gate, $refusing) = @_;
    return <<"SQL";
CREATE ROLE member_of_a LOGIN;
SELECT mulberry.create_tenant(t) FROM unnest(ARRAY['a', 'empty', 'unaudited']) AS t;
SELECT mulberry.grant_access('member_of_a', 'supervisor', 'a');
SELECT mulberry.set_endpoint('all', 'json', '$url', allow_http => true, allow_private => true, tenant => NULL);
SELECT mulberry.set_endpoint('own', 'json', '$refusing', allow_http => true, allow_private => true, tenant => 'a');
SELECT mulberry.set_endpoint('spare', 'json', '$url', purpose => NULL, allow_http => true, allow_private => true, tenant => 'a');
SELECT mulberry.create_agent('pi', '+4915112345678', ARRAY['+4930123456'], '00000000-0000-4000-8000-00000000000a', tenant => 'a');
SELECT mulberry.create_agent('idle', tenant => 'a');
SELECT mulberry.set_telephony('{"greeting": "hello", "listening": "always", "numbers": ["+12025550111"]}', 'a');
SELECT FROM mulberry.begin_conversation('talk', '{clear,marks}', 'a');
CREATE FUNCTION public.tool() RETURNS text LANGUAGE sql AS \$\$ SELECT 'done' \$\$;
ALTER FUNCTION public.tool() OWNER TO pg_monitor;
SELECT mulberry.set_conversation('{"tools": [{"function": "public.tool"}]}', 'a');
SELECT FROM mulberry.begin_conversation('tooled', '{}', 'a');
SELECT mulberry.set_endpoint('model', 'openai', 'https://llm.example/v1', 'reply', 'small', tenant => 'a');
SELECT mulberry.set_conversation('{"prompt": "Be kind."}', 'a');
SELECT mulberry.begin_media('audiosocket', mulberry.offer_media(c, tenant => 'a')::text) FROM unnest(ARRAY['streamed', 'left', 'taken']) AS c;
SELECT mulberry.begin_conversation(c, '{}', 'a') FROM unnest(ARRAY['streamed', 'left', 'taken']) AS c;
SELECT mulberry.create_agent(k, tenant => 'a'), mulberry.create_voice_key(k, tenant => 'a') FROM unnest(ARRAY['keyed', 'taken']) AS k;
SELECT mulberry.create_voice_key('pi', tenant => 'a');
CALL mulberry.export_voice_key('pi', 1, 'a');
SELECT mulberry.agent_sync('pi', tenant => 'a');
SELECT mulberry.create_mandate(m, 'pi', 'sponsor', 1000, 'EUR', '2999-01-01', 'a')
  FROM unnest(ARRAY['10000001', '10000002', '10000003', '10000004']) AS m;
SELECT mulberry.suspend_mandate('10000002', tenant => 'a');
SELECT mulberry.suspend_mandate('10000004', tenant => 'a');
INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate, reason, state, escalated_at)
  SELECT m.tenant, m.agent, 'QUERY', m.id, 'was out of reach', 'escalated', now() FROM mulberry_internal.mandates m WHERE m.id = '10000001';
SELECT mulberry.ingest_packet('going on', 0, 'hello', NULL, 'text', NULL, 'a');
SELECT mulberry.ingest_packet('failed', 0, '\\x0102', NULL, 's16le', 8000, 'a'), mulberry.complete_call('failed', 1, 'a');
SQL
}

# By name; the state of the server that one leaves behind when it is committed is nobody's concern,
# because each is rolled back.  Two: what the session does before, and commits.
sub working_calls
{
    my ($gate) = @_;
    my $audio = "decode(repeat('0102', 800), 'hex')";
    my $of_a = "WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'a')";
    return (
        report_edge_status => "mulberry.report_edge_status('front-desk', 'capture', '{\"state\": \"recording\"}', 'a')",
        advance_counters => "mulberry.advance_counters(1, 'a')",
        agent_sync => "mulberry.agent_sync('pi', tenant => 'a')",
        alter_agent => "mulberry.alter_agent('pi', phone => '+4915112345679', tenant => 'a')",
        alter_endpoint => "mulberry.alter_endpoint('own', timeout => '20 s', tenant => 'a')",
        alter_mandate => "mulberry.alter_mandate('10000001', max_amount => 2000, tenant => 'a')",
        alter_telephony => "mulberry.alter_telephony('{\"voice\": \"alice\"}', 'a')",
        alter_tenant => "mulberry.alter_tenant('a', retention => '1 year')",
        apply_agent_sync => "mulberry.apply_agent_sync('{\"agent\": \"00000000-0000-4000-8000-00000000000a\", \"commands\": []}', 'a')",
        audit_head => "mulberry.audit_head('a')",
        authenticate => "mulberry.authenticate(mulberry.create_token('shown', 'ingest', 'a'))",
        authenticate_anonymous => "mulberry.authenticate_anonymous('ingest', 'a')",
        begin_call => "mulberry.begin_call('begun', 'inbound', '+12025550123', tracks => '{caller,agent}', tenant => 'a')",
        cancel_command => "mulberry.cancel_command((SELECT max(id) FROM mulberry_internal.commands $of_a AND state = 'waiting'))",
        cancel_job => "mulberry.cancel_job((SELECT min(id) FROM mulberry_internal.job_queue $of_a AND call IS NOT NULL))",
        check_mandate => "mulberry.check_mandate('10000001', 1, 'a')",
        command_frame => "mulberry.command_frame((SELECT min(id) FROM mulberry_internal.commands $of_a))",
        complete_call => "mulberry.complete_call('going on', 1, 'a')",
        confirm_voice_key => "mulberry.confirm_voice_key('pi', 1, (SELECT fingerprint FROM mulberry_internal.voice_keys $of_a AND exported_at IS NOT NULL), 'a')",
        create_agent => "mulberry.create_agent('new', tenant => 'a')",
        create_mandate => "mulberry.create_mandate('10000009', 'pi', 'sponsor', 1, 'EUR', '2999-01-01', 'a')",
        allow_voice_key_export => "mulberry.allow_voice_key_export('pi', 1, 'it did not arrive', 'a')",
        create_tenant => "mulberry.create_tenant('new')",
        create_token => "mulberry.create_token('new', 'ingest', 'a')",
        create_voice_key => "mulberry.create_voice_key('idle', tenant => 'a')",
        describe_call => "mulberry.describe_call('going on', 'inbound', tenant => 'a')",
        disable_voice_key => "mulberry.disable_voice_key('pi', 1, tenant => 'a')",
        drop_agent => "mulberry.drop_agent('idle', 'a')",
        drop_endpoint => "mulberry.drop_endpoint('own', 'a')",
        drop_secret => "mulberry.drop_secret('token', 'a')",
        drop_tenant => "mulberry.drop_tenant('empty')",
        erase_audit_log => "mulberry.erase_audit_log('unaudited')",
        erase_call => "mulberry.erase_call('failed', 'a')",
        events_since => "mulberry.events_since(0, tenant => 'a')",
        extend_mandate => "mulberry.extend_mandate('10000001', 1, tenant => 'a')",
        forget_secret_keys => 'mulberry.forget_secret_keys()',
        grant_access => "mulberry.grant_access('member_of_a', 'operator', 'a')",
        handle_call_audio => "mulberry.handle_call_audio($audio, 's16le', 8000, '+4930123456', tenant => 'a')",
        handle_command_symbols => "mulberry.handle_command_symbols('*123#', '+4930123456', tenant => 'a')",
        handle_twilio_webhook => "mulberry.handle_twilio_webhook('https://example.com/twilio/status', '{}', 'none')",
        handle_twilio_request => "mulberry.handle_twilio_request('https://example.com/twilio/voice', 'a=b', 'application/x-www-form-urlencoded', 'none')",
        has_access_everywhere => "mulberry.has_access_everywhere('admin')",
        health => 'mulberry.health()',
        in_transaction_block => 'mulberry.in_transaction_block()',
        ingest_packet => "mulberry.ingest_packet('going on', 1, 'world', tenant => 'a')",
        ingest_packets => "mulberry.ingest_packets(ARRAY['going on', 'other'], ARRAY[2, 0], ARRAY['x', 'y']::bytea[], NULL, 'text', NULL, 'a')",
        begin_media => "mulberry.begin_media('audiosocket', mulberry.offer_media(tenant => 'a')::text)",
        check_media_handshake => "mulberry.check_media_handshake('https://example.com/twilio/ws', 'none')",
        end_media => "mulberry.end_media((SELECT session FROM mulberry.begin_media('audiosocket', mulberry.offer_media(tenant => 'a')::text)), 'over')",
        media_next => "mulberry.media_next(mulberry.offer_media(tenant => 'a'), 'a')",
        offer_media => "mulberry.offer_media('offered', '+12025550123', tenant => 'a')",
        leave_media => "mulberry.leave_media((SELECT session FROM mulberry.begin_media('audiosocket', mulberry.offer_media(tenant => 'a')::text)), 'hangup')",
        press_media_key => "mulberry.press_media_key((SELECT session FROM mulberry.begin_media('audiosocket', mulberry.offer_media(tenant => 'a')::text)), '1')",
        set_prompt => "mulberry.set_prompt('hello', mulberry.wav_encode($audio, 's16le', 8000), 'a')",
        ingest_recording => "mulberry.ingest_recording('recorded', mulberry.wav_encode($audio, 's16le', 8000), tenant => 'a')",
        load_secret => "mulberry.load_secret('loaded', current_setting('data_directory') || '/PG_VERSION', 'a')",
        maintenance => 'mulberry.maintenance()',
        mark_voice_key_exported => "mulberry.mark_voice_key_exported('keyed', 1, 'a')",
        metrics => 'mulberry.metrics(true)',
        metrics_text => 'mulberry.metrics_text()',
        note_partial => "mulberry.note_partial('going on', 'an emergency', tenant => 'a')",
        note_token_uses => [ "SELECT mulberry.create_token('used', 'ingest', 'a')", 'mulberry.note_token_uses((SELECT array_agg(id) FROM mulberry.tokens))' ],
        notifier_lives => 'mulberry.notifier_lives()',
        process_statistics => 'mulberry.process_statistics()',
        ping_agent => "mulberry.ping_agent('pi', tenant => 'a')",
        query_mandate => "mulberry.query_mandate('10000001', tenant => 'a')",
        refresh_grants => 'mulberry.refresh_grants()',
        require_authentication => 'mulberry.require_authentication()',
        reset_mandate_clock => "mulberry.reset_mandate_clock('why')",
        resume_mandate => "mulberry.resume_mandate('10000002', tenant => 'a')",
        resume_outbound => 'mulberry.resume_outbound()',
        retention => 'mulberry.retention()',
        retry_command => "mulberry.retry_command((SELECT max(id) FROM mulberry_internal.commands $of_a AND state = 'escalated'))",
        retry_job => "mulberry.retry_job((SELECT min(id) FROM mulberry_internal.job_history $of_a AND state = 'dead'))",
        retry_jobs => "mulberry.retry_jobs(since => '-infinity', tenant => 'a')",
        revoke_access => "mulberry.revoke_access('member_of_a', 'supervisor', 'a')",
        revoke_mandate => "mulberry.revoke_mandate('10000003', tenant => 'a')",
        revoke_token => [ "SELECT mulberry.create_token('gone', 'ingest', 'a')", "mulberry.revoke_token('gone', 'a')" ],
        rotate_secret_key => 'mulberry.rotate_secret_key()',
        rotate_voice_key => "mulberry.rotate_voice_key('pi', 'a')",
        start_endpoint_test => "mulberry.start_endpoint_test('own', 'a')",
        endpoint_test => [ "SELECT mulberry.start_endpoint_test('own', 'a')", "mulberry.endpoint_test((SELECT max(id) FROM mulberry_internal.job_queue WHERE kind = 'test'))" ],
        set_endpoint => "mulberry.set_endpoint('own', 'json', '$gate', allow_http => true, allow_private => true, tenant => 'a')",
        'set_endpoint of all' => "mulberry.set_endpoint('all', 'json', 'https://example.com', tenant => NULL)",
        'set_endpoint for the calls of a' => "mulberry.set_endpoint('spare', 'json', '$gate', allow_http => true, allow_private => true, tenant => 'empty')",
        set_escalation_contact => "mulberry.set_escalation_contact('+4915112345670', tenant => 'a')",
        begin_conversation => "mulberry.begin_conversation('another talk', '{clear,marks}', 'a')",
        prepare_reply => "mulberry.prepare_reply('talk', '[{\"number\": 0, \"speaker\": \"agent\", \"text\": \"Hello\"}]', 'hi', true, 'a')",
        note_lines => "mulberry.note_lines('talk', '[{\"number\": 1, \"speaker\": \"caller\", \"text\": \"hi\"}]', '{\"pin\": \"1\"}', 'a')",
        call_tool => "mulberry.call_tool('tooled', 'tool', '{}', 'a')",
        find_speech => "mulberry.find_speech('Hello.', 'voice', 'a')",
        keep_speech => "mulberry.keep_speech('Hello.', 'voice', 'sound', 'a')",
        say_in_call => "mulberry.say_in_call('streamed', 'One moment.', 'a')",
        whisper_to_agent => "mulberry.whisper_to_agent('streamed', 'Offer tea.', 'a')",
        take_over_call => "mulberry.take_over_call('taken', '+12025550199', 'a')",
        end_call => "mulberry.end_call('left', 'enough', 'a')",
        listen_to_call => "mulberry.listen_to_call('streamed', 'a')",
        log_conversation => "mulberry.log_conversation('talk', 0, '{}', 'stopped', 'a')",
        set_conversation => "mulberry.set_conversation('{\"language\": \"de\"}', 'a')",
        set_telephony => "mulberry.set_telephony('{\"greeting\": \"good day\"}', 'a')",
        spend => "mulberry.spend('10000001', 1, 'a payment', 'a')",
        subscribe => "mulberry.subscribe(tenant => 'a')",
        suspend_mandate => "mulberry.suspend_mandate('10000003', tenant => 'a')",
        take_exported_voice_key => [ "SELECT mulberry.mark_voice_key_exported('taken', 1, 'a')", 'mulberry.take_exported_voice_key()' ],
        unsubscribe => 'mulberry.unsubscribe()',
        verify_audit => "mulberry.verify_audit('a')");
}

# Functions that may write and are not in the list.  What only computes holds nothing; procedures
# commit by themselves.
sub missing_calls
{
    my ($node, %call) = @_;
    return grep { !exists $call{$_} } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT DISTINCT p.proname FROM pg_proc p
 WHERE p.pronamespace = 'mulberry'::regnamespace AND p.provolatile = 'v' AND p.prokind = 'f'
 ORDER BY 1
SQL
}

1;
