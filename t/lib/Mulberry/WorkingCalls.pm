# One working call of everything that access_objects() gives to somebody, for tests that try
# all of them as everybody.  Whoever adds a function adds its call here: a test fails otherwise.
package Mulberry::WorkingCalls;

use strict;
use warnings;

use Exporter 'import';
our @EXPORT = qw(make_working_place working_call);

# What the calls are about: the tenant "north" in the database of a cluster without workers.
sub make_working_place
{
    my ($node) = @_;
    $node->safe_psql('postgres', <<'SQL');
SELECT mulberry.create_tenant('north');
SELECT mulberry.ingest_packet('open', 0, 'hello', NULL, 'text', NULL, 'north');
SELECT mulberry.ingest_packet('talk', 0, 'good day', NULL, 'text', NULL, 'north');
SELECT mulberry.complete_call('talk', 1, 'north');
SELECT mulberry.ingest_packet('tones', 0, mulberry.dtmf_synthesize('159', 'mulaw', 8000), NULL, 'mulaw', 8000, 'north');
SELECT mulberry.create_agent('pi', '+821012345671', tenant => 'north');
SELECT mulberry.create_voice_key('pi', tenant => 'north');
CALL mulberry.export_voice_key('pi', 1, 'north', NULL);
SELECT mulberry.create_mandate('10000000', 'pi', 'sponsor', 100, 'USD', now() + interval '1 day', 'north');
SELECT mulberry.set_endpoint('phone', 'json', 'https://phone.example', tenant => 'north');
SELECT mulberry.set_telephony('{"greeting": "Hello", "numbers": ["+12025550111"]}', 'north');
SELECT FROM mulberry.begin_conversation('talk', '{clear,marks}', 'north');
SQL
    $node->safe_psql('postgres', "COPY mulberry.secret_entry FROM stdin;\nnorth\tkept\tx\n\\.\n");
    return;
}

my $online = q{SELECT FROM mulberry.agent_sync('pi', tenant => 'north');};
my $command = qq{$online SELECT (mulberry.ping_agent('pi', tenant => 'north')->>'command_id')::bigint AS command \\gset};
my $escalated = q{INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate, reason, state, escalated_at)
    SELECT m.tenant, m.agent, 'QUERY', m.id, 'x', 'escalated', now() FROM mulberry_internal.mandates m WHERE m.id = '10000000' RETURNING id AS command \gset};
my $talk = q{SELECT id AS call FROM mulberry_internal.calls WHERE call_id = 'talk' \gset};
my $offered = q{SELECT mulberry.offer_media('pbx-1', '+12025550123', '+12025550111', 'north') AS offered \gset};
my $streamed = q{SELECT session AS streamed FROM mulberry.begin_media('audiosocket', mulberry.offer_media(tenant => 'north')::text) \gset};
my $tooled = q{CREATE FUNCTION public.tool() RETURNS text LANGUAGE sql AS $$ SELECT 'done' $$; ALTER FUNCTION public.tool() OWNER TO pg_monitor;
    SELECT mulberry.set_conversation('{"tools": [{"function": "public.tool"}]}', 'north'); SELECT FROM mulberry.begin_conversation('tooled', '{}', 'north');};
my $supervised = qq{SELECT mulberry.alter_telephony('{"listening": "always"}', 'north');
    $streamed
    SELECT call_id AS supervised FROM mulberry_internal.media_sessions WHERE id = :'streamed'::bigint \\gset
    SELECT mulberry.set_endpoint('model', 'openai', 'https://llm.example/v1', 'reply', 'small', tenant => 'north'); SELECT mulberry.set_conversation('{"prompt": "Be kind."}', 'north');
    SELECT FROM mulberry.begin_conversation(:'supervised', '{}', 'north');};
my $open = q{SELECT id AS call FROM mulberry_internal.calls WHERE call_id = 'open' \gset};
my $queued = q{SELECT id AS job FROM mulberry_internal.job_queue LIMIT 1 \gset};
# run_jobs() may have tried it, and then it is due again in a while
# whatever the calls before it have made of its endpoint, which may have to rest
my $running = q{UPDATE mulberry_internal.job_queue SET run_at = now() WHERE state = 'queued';
SELECT id AS job, lease_token AS token FROM mulberry_internal.claim_jobs(1, 1, clock_timestamp() + interval '1 hour') \gset};
my $tone = q{decode(repeat('ff7f', 800), 'hex'), 'mulaw'};

# The statement; what a superuser does before it in the same transaction; "everywhere": needs the access
# to all tenants; "alone": not in a transaction block, so what it does remains; "refuses": who else decides.
my %calls = (
    'mulberry.access_objects' => [q{SELECT count(*) FROM mulberry.access_objects()}],
    'mulberry.ack_frame_parse' => [q{SELECT * FROM mulberry.ack_frame_parse('*0100010001123456789012#')}],
    'mulberry.active_telephone_calls' => [q{SELECT mulberry.active_telephone_calls()}],
    'mulberry.advance_counters' => [q{SELECT mulberry.advance_counters(10, 'north')}],
    'mulberry.agent_sync' => [q{SELECT mulberry.agent_sync('pi', tenant => 'north')}],
    'mulberry.allow_voice_key_export' => [q{SELECT mulberry.allow_voice_key_export('pi', 1, 'it did not arrive', 'north')}],
    'mulberry.alter_agent' => [q{SELECT mulberry.alter_agent('pi', '+821012345672', tenant => 'north')}],
    'mulberry.alter_endpoint' => [q{SELECT mulberry.alter_endpoint('phone', timeout => '20 s', tenant => 'north')}],
    'mulberry.alter_mandate' => [q{SELECT mulberry.alter_mandate('10000000', 200, tenant => 'north')}],
    'mulberry.alter_telephony' => [q{SELECT mulberry.alter_telephony('{"voice": "alice"}', 'north')}],
    'mulberry.alter_tenant' => [q{SELECT mulberry.alter_tenant('north', 'mulaw')}],
    'mulberry.apply_agent_sync' => [q{SELECT mulberry.apply_agent_sync(jsonb_build_object('agent', :'agent', 'commands', '[]'::jsonb), 'north')},
        q{SELECT id AS agent FROM mulberry_internal.agents WHERE name = 'pi' \gset}],
    'mulberry.audio_convert' => [qq{SELECT mulberry.audio_convert($tone, 8000, 's16le', 16000)}],
    'mulberry.audio_level' => [qq{SELECT mulberry.audio_level($tone)}],
    'mulberry.audio_level_agg' => [qq{SELECT mulberry.audio_level_agg($tone)}],
    'mulberry.audit_head' => [q{SELECT * FROM mulberry.audit_head('north')}],
    'mulberry.authenticate' => [q{SELECT mulberry.authenticate(:'token')}, q{SELECT mulberry.create_token('own', 'ingest', 'north') AS token \gset}],
    'mulberry.authenticate_anonymous' => [q{SELECT mulberry.authenticate_anonymous('ingest', 'north')}],
    'mulberry.begin_media' => [q{SELECT refusal FROM mulberry.begin_media('audiosocket', :'offered')}, $offered],
    'mulberry.begin_call' => [q{SELECT mulberry.begin_call('begun', 'inbound', '+12025550123', tracks => '{caller,agent}', tenant => 'north')}],
    'mulberry.begin_conversation' => [q{SELECT * FROM mulberry.begin_conversation('open', '{clear,marks}', 'north')}],
    'mulberry.calls' => [q{SELECT * FROM mulberry.calls(tenant => 'north')}],
    'mulberry.conversation_numbers' => [q{SELECT * FROM mulberry.conversation_numbers('north')}],
    'mulberry.conversation_report' => [q{SELECT mulberry.conversation_report('talk', 'north')}],
    'mulberry.describe_call' => [q{SELECT mulberry.describe_call('open', 'inbound', tenant => 'north')}],
    'mulberry.call_audio' => [q{SELECT mulberry.call_audio('tones', 'north')}],
    'mulberry.call_audio_mixed' => [q{SELECT mulberry.call_audio_mixed('tones', 'north')}],
    'mulberry.call_audio_part' => [q{SELECT mulberry.call_audio_part('tones', 'north')}],
    'mulberry.call_audio_stereo' => [q{SELECT mulberry.call_audio_stereo('tones', 'north', 'main', 'main')}],
    'mulberry.call_dtmf' => [q{SELECT * FROM mulberry.call_dtmf('tones', 'north')}],
    'mulberry.call_gaps' => [q{SELECT * FROM mulberry.call_gaps('tones', 'north')}],
    'mulberry.call_progress' => [q{SELECT * FROM mulberry.call_progress('open', 'north')}],
    'mulberry.call_segments' => [q{SELECT * FROM mulberry.call_segments('talk', 'north')}],
    'mulberry.call_speech' => [q{SELECT * FROM mulberry.call_speech('tones', 'north')}],
    'mulberry.call_transcript' => [q{SELECT mulberry.call_transcript('talk', 'json', 'north')}],
    'mulberry.call_waveform' => [q{SELECT mulberry.call_waveform('tones', 'north')}],
    'mulberry.cancel_command' => [q{SELECT mulberry.cancel_command(:command)}, $command],
    'mulberry.cancel_job' => [q{SELECT mulberry.cancel_job(:job)}, $queued],
    'mulberry.check_mandate' => [q{SELECT * FROM mulberry.check_mandate('10000000', 1, 'north')}],
    'mulberry.command_frame' => [q{SELECT mulberry.command_frame(:command)}, $command],
    'mulberry.command_frame_parse' => [q{SELECT * FROM mulberry.command_frame_parse('*01#')}],
    'mulberry.command_generate' => [q{SELECT * FROM mulberry.command_generate('REVOKE', '10000000', repeat('s', 32))}],
    'mulberry.command_verify' => [q{SELECT * FROM mulberry.command_verify('*01*10000000#', repeat('s', 32))}],
    'mulberry.complete_call' => [q{SELECT mulberry.complete_call('open', 1, 'north')}],
    'mulberry.confirm_voice_key' => [q{SELECT mulberry.confirm_voice_key('pi', 1, :'fingerprint', 'north')},
        q{SELECT k.fingerprint FROM mulberry_internal.voice_keys k JOIN mulberry_internal.agents a ON a.id = k.agent WHERE a.name = 'pi' AND k.role = 'sender' \gset}],
    'mulberry.create_agent' => [q{SELECT mulberry.create_agent('po', '+821012345673', tenant => 'north')}],
    'mulberry.create_mandate' => [q{SELECT mulberry.create_mandate('10000001', 'pi', 's', 1, 'USD', now() + interval '1 day', 'north')}],
    'mulberry.create_token' => [q{SELECT mulberry.create_token('own', 'ingest', 'north')}],
    'mulberry.create_tenant' => [q{SELECT mulberry.create_tenant('west')}, '', 'everywhere'],
    'mulberry.create_voice_key' => [q{SELECT mulberry.create_voice_key('po', tenant => 'north')}, q{SELECT mulberry.create_agent('po', tenant => 'north');}],
    'mulberry.current_tenants(VARIADIC access text[])' => [q{SELECT 1 / cardinality(mulberry.current_tenants())}],
    'mulberry.current_tenants(through_views boolean, VARIADIC access text[])' => [q{SELECT 1 / cardinality(mulberry.current_tenants(true))}],
    'mulberry.disable_voice_key' => [q{SELECT mulberry.disable_voice_key('pi', 1, 'sender', 'north')}],
    'mulberry.detect_emergency' => [q{SELECT * FROM mulberry.detect_emergency('this is an emergency', 'north')}],
    'mulberry.drop_agent' => [q{SELECT mulberry.drop_agent('po', 'north')}, q{SELECT mulberry.create_agent('po', tenant => 'north');}],
    'mulberry.drop_endpoint' => [q{SELECT mulberry.drop_endpoint('phone', 'north')}],
    'mulberry.drop_secret' => [q{SELECT mulberry.drop_secret('kept', 'north')}],
    'mulberry.drop_tenant' => [q{SELECT mulberry.drop_tenant('west')}, q{SELECT mulberry.create_tenant('west');}, 'everywhere'],
    'mulberry.dtmf_decode' => [qq{SELECT mulberry.dtmf_decode($tone, 8000)}],
    'mulberry.dtmf_decode_agg' => [qq{SELECT mulberry.dtmf_decode_agg($tone, 8000)}],
    'mulberry.dtmf_detect' => [qq{SELECT * FROM mulberry.dtmf_detect($tone, 8000)}],
    'mulberry.dtmf_synthesize' => [q{SELECT mulberry.dtmf_synthesize('1', 'mulaw', 8000)}],
    'mulberry.command_kinds' => [q{SELECT * FROM mulberry.command_kinds()}],
    'mulberry.event_kinds' => [q{SELECT * FROM mulberry.event_kinds()}],
    'mulberry.event_fields' => [q{SELECT * FROM mulberry.event_fields()}],
    'mulberry.prepare_reply' => [q{SELECT mulberry.prepare_reply('talk', '[{"number": 0, "speaker": "agent", "text": "Hello"}]', 'hi', true, 'north')}],
    'mulberry.note_lines' => [q{SELECT mulberry.note_lines('talk', '[{"number": 0, "speaker": "agent", "text": "Hello"}]', '{"pin": "1"}', 'north')}],
    'mulberry.call_tool' => [q{SELECT mulberry.call_tool('tooled', 'tool', '{}', 'north')}, $tooled],
    'mulberry.find_speech' => [q{SELECT mulberry.find_speech('Hello.', 'voice', 'north')}],
    'mulberry.keep_speech' => [q{SELECT mulberry.keep_speech('Hello.', 'voice', 'sound', 'north')}],
    'mulberry.leave_media' => [q{SELECT mulberry.leave_media(:'streamed'::bigint, 'hangup')}, $streamed],
    'mulberry.say_in_call' => [q{SELECT mulberry.say_in_call(:'supervised', 'One moment.', 'north')}, $supervised],
    'mulberry.whisper_to_agent' => [q{SELECT mulberry.whisper_to_agent(:'supervised', 'Offer tea.', 'north')}, $supervised],
    'mulberry.take_over_call' => [q{SELECT mulberry.take_over_call(:'supervised', '+12025550199', 'north')}, $supervised],
    'mulberry.end_call' => [q{SELECT mulberry.end_call(:'supervised', 'enough', 'north')}, $supervised],
    'mulberry.listen_to_call' => [q{SELECT mulberry.listen_to_call(:'supervised', 'north')}, $supervised],
    'mulberry.read_call_orders' => [q{SELECT * FROM mulberry.read_call_orders(:'streamed'::bigint)}, $streamed],
    'mulberry.conversation_lines' => [q{SELECT * FROM mulberry.conversation_lines}],
    'mulberry.log_conversation' => [q{SELECT mulberry.log_conversation('talk', 0, '{}', 'stopped', 'north')}],
    'mulberry.replay_turns' => [q{SELECT * FROM mulberry.replay_turns('talk', '{"hangover_ms": 300}', 'north')}],
    'mulberry.set_conversation' => [q{SELECT mulberry.set_conversation('{"language": "de"}', 'north')}],
    'mulberry.state_machines' => [q{SELECT * FROM mulberry.state_machines()}],
    'mulberry.emergency_words' => [q{SELECT * FROM mulberry.emergency_words()}],
    'mulberry.endpoint_kinds' => [q{SELECT * FROM mulberry.endpoint_kinds()}],
    'mulberry.erase_audit_log' => [q{SELECT mulberry.erase_audit_log('west')}, q{SELECT mulberry.create_tenant('west');}, 'everywhere'],
    'mulberry.erase_call' => [q{SELECT mulberry.erase_call('talk', 'north')}],
    'mulberry.events_since' => [q{SELECT count(*) FROM mulberry.events_since(0, 10, 'north')}],
    'mulberry.everywhere_through_views' => [q{SELECT mulberry.everywhere_through_views('admin')}],
    'mulberry.extend_mandate' => [q{SELECT mulberry.extend_mandate('10000000', 5, tenant => 'north')}, $online],
    'mulberry.forget_secret_keys' => [q{SELECT mulberry.forget_secret_keys()}, '', 'refuses', qr/only a superuser may remove keys/],
    'mulberry.grant_access' => [q{SELECT mulberry.grant_access('nobody_yet', 'ingest', 'north')}, 'CREATE ROLE nobody_yet;', 'everywhere'],
    'mulberry.handle_call_audio' => [q{SELECT mulberry.handle_call_audio(mulberry.dtmf_synthesize('159', 'mulaw', 8000), 'mulaw', 8000, '+821012345671', 'r', 'north')}],
    'mulberry.handle_command_symbols' => [q{SELECT mulberry.handle_command_symbols('*01#', '+821012345671', 'r', tenant => 'north')}],
    'mulberry.handle_twilio_request' => [q{SELECT * FROM mulberry.handle_twilio_request('https://x.example/twilio/voice', 'a=b', 'application/x-www-form-urlencoded', 'x', 'y')}],
    'mulberry.handle_twilio_webhook' => [q{SELECT * FROM mulberry.handle_twilio_webhook('https://x.example/twilio/voice', '{}', 'x')}],
    'mulberry.has_access_everywhere' => [q{SELECT mulberry.has_access_everywhere('admin')}],
    'mulberry.health' => [q{SELECT count(*) FROM mulberry.health()}],
    'mulberry.held_access' => [q{SELECT 1 / cardinality(mulberry.held_access(:'tenant'))}, q{SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'north' \gset}],
    'mulberry.start_endpoint_test' => [q{SELECT * FROM mulberry.start_endpoint_test('phone', 'north')}],
    'mulberry.endpoint_test' => [q{SELECT count(*) FROM mulberry.endpoint_test(:test)},
        q{SELECT job AS test FROM mulberry.start_endpoint_test('phone', 'north') \gset}],
    'mulberry.in_transaction_block' => [q{SELECT mulberry.in_transaction_block()}],
    'mulberry.check_media_handshake' => [q{SELECT mulberry.check_media_handshake('/twilio/ws', 'x')}],
    'mulberry.end_media' => [q{SELECT mulberry.end_media(:streamed, 'it was over')}, $streamed],
    'mulberry.media_next' => [q{SELECT mulberry.media_next(:'offered'::uuid, 'north')}, $offered],
    'mulberry.offer_media' => [q{SELECT mulberry.offer_media(tenant => 'north')}],
    'mulberry.press_media_key' => [q{SELECT * FROM mulberry.press_media_key(:streamed, '1')}, $streamed],
    'mulberry.set_prompt' => [q{SELECT mulberry.set_prompt('Hello', mulberry.wav_encode('\x7f7f7f7f', 'mulaw', 8000), 'north')}],
    'mulberry.ingest_recording' => [q{SELECT mulberry.ingest_recording('recorded', mulberry.wav_encode('\x7f7f7f7f', 'mulaw', 8000, 2), complete => true, tenant => 'north')}],
    'mulberry.ingest_packet' => [q{SELECT mulberry.ingest_packet('more', 0, 'x', NULL, 'text', NULL, 'north')}],
    'mulberry.ingest_packets' => [q{SELECT * FROM mulberry.ingest_packets('{more}', '{0}', '{x}', encoding => 'text', tenant => 'north')}],
    'mulberry.job_kinds' => [q{SELECT * FROM mulberry.job_kinds()}],
    'mulberry.job_purpose' => [q{SELECT mulberry.job_purpose('transcribe')}],
    'mulberry.load_secret' => [q{SELECT mulberry.load_secret('loaded', :'directory' || '/PG_VERSION', 'north')},
        q{GRANT pg_read_server_files TO everywhere_admin; SELECT current_setting('data_directory') AS directory \gset}, 'everywhere'],
    'mulberry.maintenance' => [q{SELECT mulberry.maintenance()}, q{UPDATE mulberry_internal.calls SET updated_at = updated_at - interval '30 days'; UPDATE mulberry_internal.packets SET received_at = received_at - interval '30 days';}, 'everywhere'],
    'mulberry.mark_voice_key_exported' => [q{SELECT mulberry.mark_voice_key_exported('po', 1, 'north')},
        q{SELECT mulberry.create_agent('po', tenant => 'north'); SELECT mulberry.create_voice_key('po', tenant => 'north');}],
    'mulberry.note_partial' => [q{SELECT mulberry.note_partial('open', 'it is an emergency', 'main', 'north')}],
    'mulberry.note_token_uses' => [q{SELECT 1 / mulberry.note_token_uses(ARRAY[:'agent'::uuid])},
        q{SELECT mulberry.create_token('own', 'ingest', 'north'); SELECT id AS agent FROM mulberry.tokens WHERE name = 'own' \gset}],
    'mulberry.metric_kinds' => [q{SELECT * FROM mulberry.metric_kinds()}],
    'mulberry.metrics' => [q{SELECT * FROM mulberry.metrics()}],
    'mulberry.metrics_text' => [q{SELECT mulberry.metrics_text()}],
    'mulberry.notifier_lives' => [q{SELECT mulberry.notifier_lives()}],
    'mulberry.outbound_allowed' => [q{SELECT mulberry.outbound_allowed()}],
    'mulberry.ping_agent' => [q{SELECT mulberry.ping_agent('pi', tenant => 'north')}, $online],
    'mulberry.preview_call' => [q{SELECT mulberry.preview_call('+12025550111', now(), '1')}],
    'mulberry.process_statistics' => [q{SELECT * FROM mulberry.process_statistics()}],
    'mulberry.query_mandate' => [q{SELECT mulberry.query_mandate('10000000', tenant => 'north')}, $online],
    'mulberry.refresh_grants' => [q{SELECT mulberry.refresh_grants()}, '', 'everywhere'],
    'mulberry.reset_mandate_clock' => [q{SELECT mulberry.reset_mandate_clock('why')}, '', 'everywhere'],
    'mulberry.report_edge_status' => [q{SELECT mulberry.report_edge_status('front-desk', 'capture', '{"state": "recording"}', 'north')}],
    'mulberry.resume_mandate' => [q{SELECT mulberry.resume_mandate('10000000', tenant => 'north')}, qq{$online SELECT mulberry.suspend_mandate('10000000', tenant => 'north');}],
    'mulberry.resume_outbound' => [q{SELECT mulberry.resume_outbound()}, '', 'everywhere'],
    'mulberry.retention' => [q{SELECT * FROM mulberry.retention()}, '', 'everywhere'],
    'mulberry.retry_command' => [q{SELECT mulberry.retry_command(:command)}, "$online $escalated"],
    'mulberry.retry_job' => [q{SELECT mulberry.retry_job(:job)}, "$queued\nSELECT mulberry.cancel_job(:job);"],
    'mulberry.retry_jobs' => [q{SELECT 1 / mulberry.retry_jobs(since => '-infinity', tenant => 'north')},
        "$queued\nUPDATE mulberry_internal.job_queue SET attempts = 1 WHERE id = :job;\nSELECT mulberry_internal.give_up_job(q, 'dead', 'x', 'x') FROM mulberry_internal.job_queue q WHERE q.id = :job;"],
    'mulberry.revoke_access' => [q{SELECT mulberry.revoke_access('nobody_yet', 'ingest', 'north')},
        q{CREATE ROLE nobody_yet; SELECT mulberry.grant_access('nobody_yet', 'ingest', 'north');}, 'everywhere'],
    'mulberry.revoke_token' => [q{SELECT mulberry.revoke_token('own', 'north')}, q{SELECT mulberry.create_token('own', 'ingest', 'north');}],
    'mulberry.revoke_mandate' => [q{SELECT mulberry.revoke_mandate('10000000', tenant => 'north')}],
    'mulberry.rotate_secret_key' => [q{SELECT mulberry.rotate_secret_key()}, '', 'everywhere'],
    'mulberry.rotate_voice_key' => [q{SELECT mulberry.rotate_voice_key('pi', 'north')}],
    'mulberry.sentiment' => [q{SELECT * FROM mulberry.sentiment('good')}],
    'mulberry.search_calls' => [
        q{SELECT * FROM mulberry.search_calls('good', tenant => 'north')},
        q{SELECT * FROM mulberry.search_calls('good', tenant => 'north', older_than => ARRAY['north', 'tones'])},
    ],
    'mulberry.set_endpoint' => [q{SELECT mulberry.set_endpoint('new', 'openai', 'https://new.example/v1', purpose => 'chat', model => 'm', tenant => 'north')}],
    'mulberry.set_escalation_contact' => [q{SELECT mulberry.set_escalation_contact(endpoint => 'phone', tenant => 'north')}],
    'mulberry.set_telephony' => [q{SELECT mulberry.set_telephony('{"greeting": "Good day"}', 'north')}],
    'mulberry.speech_segments' => [qq{SELECT * FROM mulberry.speech_segments($tone, 8000)}],
    'mulberry.spend' => [q{SELECT * FROM mulberry.spend('10000000', 1, 'r', 'north')}],
    'mulberry.subscribe' => [q{SELECT * FROM mulberry.subscribe(tenant => 'north')}],
    'mulberry.suspend_mandate' => [q{SELECT mulberry.suspend_mandate('10000000', tenant => 'north')}, $online],
    'mulberry.turn_report' => [q{SELECT * FROM mulberry.turn_report('-infinity', 'infinity', tenant => 'north')}],
    'mulberry.twilio_signature' => [q{SELECT mulberry.twilio_signature('https://x.example/', '{"a": "b"}', 'token')}],
    'mulberry.twilio_signature_valid' => [q{SELECT mulberry.twilio_signature_valid('https://x.example/', '{}', 'x', 'token')}],
    'mulberry.twiml' => [q{SELECT mulberry.twiml(jsonb_build_array(mulberry.twiml_say('hello')))}],
    'mulberry.twiml_connect' => [q{SELECT mulberry.twiml_connect('wss://x.example/s', '{"a": "b"}')}],
    'mulberry.twiml_dial' => [q{SELECT mulberry.twiml_dial('{+12025550100}')}],
    'mulberry.twiml_gather' => [q{SELECT mulberry.twiml_gather('/keys', num_digits => 1)}],
    'mulberry.twiml_hangup' => [q{SELECT mulberry.twiml_hangup()}],
    'mulberry.twiml_pause' => [q{SELECT mulberry.twiml_pause(2)}],
    'mulberry.twiml_play' => [q{SELECT mulberry.twiml_play(digits => 'w1')}],
    'mulberry.twiml_record' => [q{SELECT mulberry.twiml_record('/heard', 60)}],
    'mulberry.twiml_redirect' => [q{SELECT mulberry.twiml_redirect('/next')}],
    'mulberry.twiml_reject' => [q{SELECT mulberry.twiml_reject('busy')}],
    'mulberry.twiml_say' => [q{SELECT mulberry.twiml_say('hello', 'alice', 'en-US', 2)}],
    'mulberry.twiml_start_recording' => [q{SELECT mulberry.twiml_start_recording('/recorded', 'dual')}],
    'mulberry.unsubscribe' => [q{SELECT mulberry.unsubscribe()}],
    'mulberry.verify_audit' => [q{SELECT * FROM mulberry.verify_audit('north')}],
    'mulberry.voice_key_modes' => [q{SELECT * FROM mulberry.voice_key_modes()}],
    'mulberry.wav_decode' => [qq{SELECT * FROM mulberry.wav_decode(mulberry.wav_encode($tone, 8000))}],
    'mulberry.wav_encode' => [qq{SELECT mulberry.wav_encode($tone, 8000)}],
    'mulberry.waveform_svg' => [qq{SELECT mulberry.waveform_svg($tone, 8000)}],

    'mulberry_internal.claim_jobs' => [q{SELECT count(*) FROM mulberry_internal.claim_jobs(1, 1)}],
    'mulberry_internal.complete_silent_call' => [q{SELECT mulberry_internal.complete_silent_call(:call, now() + interval '1 day')}, $open],
    'mulberry_internal.fail_attempt' => [q{SELECT mulberry_internal.fail_attempt(:job, :token, 'permanent', 'x')}, $running],
    'mulberry_internal.fail_call' => [q{SELECT mulberry_internal.fail_call(:call, 'x')}, "$talk\nSELECT mulberry_internal.start_processing(:call);"],
    'mulberry_internal.finish_call' => [q{SELECT mulberry_internal.finish_call(:call, 'x', NULL, NULL, NULL)}, "$talk\nSELECT mulberry_internal.start_processing(:call);"],
    'mulberry_internal.finish_listening' => [q{SELECT mulberry_internal.finish_listening(:job, :token, 'x')}, $running],
    'mulberry_internal.finish_sentiment' => [q{SELECT mulberry_internal.finish_sentiment(:job, 0, 'positive', 1, 'm', 'r', 1)}, $running],
    'mulberry_internal.finish_test' => [q{SELECT mulberry_internal.finish_test(:job, :token, 200, 1, 'x', NULL)}, $running],
    'mulberry_internal.finish_transcription' => [q{SELECT mulberry_internal.finish_transcription(:job, :token, 'x', 'positive', 1, '{}')}, $running],
    'mulberry_internal.keep_segments' => [q{SELECT mulberry_internal.keep_segments(:job, :token, 0, '[{"text": "x"}]')}, $running],
    'mulberry_internal.link_audit' => [q{SELECT mulberry_internal.link_audit()}],
    'mulberry_internal.link_audit_soon' => [q{SELECT mulberry_internal.link_audit_soon()}],
    'mulberry_internal.maintenance_due' => [q{SELECT mulberry_internal.maintenance_due()}, '', 'everywhere'],
    'mulberry_internal.next_job_due' => [q{SELECT mulberry_internal.next_job_due()}],
    'mulberry_internal.note_objections' => [q{SELECT mulberry_internal.note_objections(:endpoint, '{temperature}')}, q{SELECT id AS endpoint FROM mulberry_internal.endpoints LIMIT 1 \gset}],
    'mulberry_internal.notifier_channels' => [q{SELECT * FROM mulberry_internal.notifier_channels()}],
    'mulberry_internal.sift_jobs' => [q{SELECT mulberry_internal.sift_jobs()}],
    'mulberry_internal.number_events_singly' => [q{SELECT count(*) FROM mulberry_internal.number_events_singly(10)}],
    'mulberry_internal.number_events' => [q{SELECT count(*) FROM mulberry_internal.number_events()}],
    'mulberry_internal.prepare_job' => [q{SELECT * FROM mulberry_internal.prepare_job(:job, :token)}, $running],
    'mulberry_internal.purge_events' => [q{SELECT mulberry_internal.purge_events()}],
    'mulberry_internal.read_sentiment' => [q{SELECT * FROM mulberry_internal.read_sentiment('{"choices": [{"message": {"content": "{\\"sentiment\\": \\"positive\\", \\"confidence\\": 1}"}}]}')}],
    'mulberry_internal.read_transcription' => [q{SELECT * FROM mulberry_internal.read_transcription('json', '{"transcription": "x"}')}],
    'mulberry_internal.recording_input' => [q{SELECT * FROM mulberry_internal.recording_input(0)}],
    'mulberry_internal.release_jobs' => [q{SELECT mulberry_internal.release_jobs(1)}],
    'mulberry_internal.report_endpoint' => [q{SELECT mulberry_internal.report_endpoint(:endpoint, 'x')}, q{SELECT id AS endpoint FROM mulberry_internal.endpoints LIMIT 1 \gset}],
    'mulberry_internal.report_probe' => [q{SELECT mulberry_internal.report_probe(:endpoint, true, 1)}, q{SELECT id AS endpoint FROM mulberry_internal.endpoints LIMIT 1 \gset}],
    'mulberry_internal.report_served' => [q{SELECT mulberry_internal.report_served(:endpoint, :'tenant')}, q{SELECT e.id AS endpoint, t.id AS tenant FROM mulberry_internal.endpoints e, mulberry_internal.tenants t LIMIT 1 \gset}],
    'mulberry_internal.rotate_lost_channels' => [q{SELECT mulberry_internal.rotate_lost_channels()}],
    'mulberry_internal.note_division' => [q{SELECT mulberry_internal.note_division(:job, :token, 4, 100, 0)}, $running],
    'mulberry_internal.save_progress' => [q{SELECT mulberry_internal.save_progress(:job, :token, '{}')}, $running],
    'mulberry_internal.sentiment_request' => [q{SELECT mulberry_internal.sentiment_request('m', 'x', '{}')}],
    'mulberry_internal.start_processing' => [q{SELECT mulberry_internal.start_processing(:call)}, $talk],
    'mulberry_internal.store_refusals' => [q{SELECT mulberry_internal.store_refusals()}],
    'mulberry_internal.telephony_answer' => [q{SELECT mulberry_internal.telephony_answer(:job, 0, 'answered', 200, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)}, $running],
    'mulberry_internal.telephony_step' => [q{SELECT * FROM mulberry_internal.telephony_step(:job, 0)}, $running],
    'mulberry_internal.test_input' => [q{SELECT * FROM mulberry_internal.test_input()}],
    'mulberry_internal.transcription_input' => [q{SELECT * FROM mulberry_internal.transcription_input(:call)}, $talk],

    'mulberry.secret_entry' => ["COPY mulberry.secret_entry FROM stdin;\nnorth\tnew\tx\n\\.\n"],
    'mulberry.voice_key_entry' => ["COPY mulberry.voice_key_entry FROM stdin;\nnorth\t\\N\tx\n\\.\n", '', 'refuses', qr/this is no line of a voice key/],

    'mulberry.take_exported_voice_key' => [q{SELECT mulberry.mark_voice_key_exported('%s', 1, 'north'); SELECT mulberry.take_exported_voice_key()},
        q{SELECT mulberry.create_agent('%s', tenant => 'north'); SELECT mulberry.create_voice_key('%s', tenant => 'north');}, 'alone'],
    'mulberry.export_voice_key' => [q{CALL mulberry.export_voice_key('%s', 1, 'north', NULL)},
        q{SELECT mulberry.create_agent('%s', tenant => 'north'); SELECT mulberry.create_voice_key('%s', tenant => 'north');}, 'alone'],
    'mulberry.await_command' => [q{CALL mulberry.await_command(:command, '0.1 s', NULL)}, $command, 'alone'],
    'mulberry.telephony_sessions' => [q{SELECT mulberry.telephony_sessions('north')}],
    'mulberry.test_endpoint' => [q{CALL mulberry.test_endpoint('phone', 'north', '0.1 s')}, '', 'alone'],
    # for good: in a session of its own from then on
    'mulberry.require_authentication' => ["SELECT mulberry.require_authentication();\n\\c -\n", '', 'alone'],
    'mulberry.run_jobs' => [q{CALL mulberry.run_jobs(1)}, '', 'alone'],
);

# What a gateway may call for those whom it works for, and not for itself: the functions ask for the access.
our %for_tokens = map { ("mulberry.$_" => qr/ERROR:  (?:42501: role "\w+" has no|42704: command \d+ does not exist)/) }
  qw(revoke_mandate suspend_mandate resume_mandate extend_mandate query_mandate ping_agent cancel_command retry_command create_mandate alter_mandate erase_call);

# { call, before, kind, refusal, for_token } for an object as access_objects() writes it, or nothing.
sub working_call
{
    my ($object) = @_;
    my ($identity) = $object =~ /^(?:FUNCTION |PROCEDURE )?(.*)$/;
    my ($name) = $identity =~ /^([\w.]+)/;
    my $call = $calls{$identity} // $calls{$name};
    $call //= ["SELECT count(v::text) FROM $name v"] if $object eq $name;
    return unless $call;
    return { name => $identity, call => $call->[0], before => $call->[1] // '', kind => $call->[2] // '', refusal => $call->[3], for_token => $for_tokens{$name} };
}

# What there are calls for, for scripts/reference, which shows them as examples.
sub working_names { my @names = sort keys %calls; return @names }

1;
