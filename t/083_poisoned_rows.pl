# Rows that shared work cannot digest: whatever got them into a table, what is shared goes on for everybody else, and
# health() and the server's log say what was set aside.  The doors through which such rows came are closed
# (sql/texts.sql); a superuser puts them in here, with triggers off.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::SharedWork;
use Mulberry::WorkingCalls;

# In an encoding of which one byte is no character of Unicode.
my $node = mulberry_cluster('poisoned', init => [ extra => [ '--encoding=WIN1252', '--locale=C' ] ], conf => <<'CONF');
mulberry.workers = 1
mulberry.grace_period = 0
mulberry.maintenance_interval = 1
mulberry.idle_call_timeout = 1min
mulberry.retention = '1 day'
CONF

sub one { return $node->safe_psql('postgres', $_[0]) }

one("SELECT mulberry.create_tenant(t) FROM unnest(ARRAY['a', 'c', 'd']) AS t");
my $a = "(SELECT id FROM mulberry_internal.tenants WHERE name = 'a')";
my $c = "(SELECT id FROM mulberry_internal.tenants WHERE name = 'c')";
my $d = "(SELECT id FROM mulberry_internal.tenants WHERE name = 'd')";
my $nobody = "'00000000-0000-4000-8000-0000000000ff'";
my $byte = "convert_from('\\x81', 'WIN1252')";

subtest 'the doors' => sub {
    for my $call ("mulberry.handle_command_symbols('*1#', caller => $byte)", "mulberry.handle_command_symbols('*1#', caller => repeat(E'\\x01', 200000))",
        "mulberry.ingest_packet($byte, 0, 'x', NULL, 'text')", "mulberry.ingest_packet('call', 0, convert_to('x', 'UTF8') || '\\xe4b8ad'::bytea, NULL, 'text')")
    {
        my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT $call");
        like($err, qr/ERROR:  (22P05|22001):/, $call);
    }
};

# The day of now in the number of a call, and a waiting command for an agent of a.
my $today = "((SELECT max(id) >> 40 FROM mulberry_internal.calls) << 40)";
one("SELECT mulberry.ingest_packet('today', 0, 'x', NULL, 'text', NULL, 'a')");
sub silent { my ($n) = 1_000_000 + $_[0]; return "INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, updated_at)
    VALUES ($today | $n, $a, 'silent $n', 'IN_PROGRESS', 'text', 8000, now() - interval '1 hour');
    INSERT INTO mulberry_internal.packets (call, sequence, received_at, data) VALUES ($today | $n, 0, now() - interval '1 hour', 'x')" }
sub waiting { my ($id, $values, $more) = @_; return "INSERT INTO mulberry_internal.agents (tenant, id, name, phone$values->[0]) VALUES ($a, '$id', '$id', '+49301234567'$values->[1]);
    INSERT INTO mulberry_internal.commands (tenant, agent, command) VALUES ($a, '$id', 'PING')" . ($more ? "; $more" : '') }
sub number { return sprintf '00000000-0000-4000-8000-%012d', $_[0] }
my $ends = '9223372036854775807';

# By the unit that reads it: table and row.
my @poison = (
    [ 'linking', 'audit, a byte that is no character' => "INSERT INTO mulberry_internal.audit (tenant, role, action, outcome, method) VALUES ($a, 'x', 'POISON', 'x', $byte)" ],
    [ 'linking', 'audit, of no tenant' => "INSERT INTO mulberry_internal.audit (tenant, role, action, outcome) VALUES ($nobody, 'x', 'POISON', 'x')" ],
    [ 'linking', 'audit_heads, at the end of numbers' => "INSERT INTO mulberry_internal.audit_heads (tenant, last_seq, hash) VALUES ($c, 9223372036854775807, sha256('x'));
        INSERT INTO mulberry_internal.audit (tenant, role, action, outcome) VALUES ($c, 'x', 'POISON', 'x')" ],
    [ 'linking', 'audit, a number that is taken' => "INSERT INTO mulberry_internal.audit (tenant, role, action, outcome, seq, hash) VALUES ($d, 'x', 'POISON', 'x', 1, sha256('x'));
        INSERT INTO mulberry_internal.audit (tenant, role, action, outcome) VALUES ($d, 'x', 'POISON', 'x')" ],
    [ 'numbering', 'event_counters, at the end of numbers' => "INSERT INTO mulberry_internal.event_counters (tenant, last_seq) VALUES ($a, 9223372036854775807) ON CONFLICT (tenant) DO UPDATE SET last_seq = excluded.last_seq;
        INSERT INTO mulberry_internal.events (tenant, event, payload) VALUES ($a, 'poison', '{}')" ],
    [ 'numbering', 'events, of no tenant' => "INSERT INTO mulberry_internal.events (tenant, event, payload) VALUES ($nobody, 'poison', '{}')" ],
    [ '', 'events, a byte that is no character' => "INSERT INTO mulberry_internal.events (tenant, event, payload) VALUES ($d, 'poison', jsonb_build_object('x', $byte))" ],
    [ 'claiming', 'job_queue, attempts at the end of numbers' => "INSERT INTO mulberry_internal.job_queue (kind, tenant, route, run_at, max_attempts, attempts) VALUES ('transcribe', $a, 0, now(), 5, 2147483647)" ],
    [ 'claiming', 'job_queue, tokens at the end of numbers' => "INSERT INTO mulberry_internal.job_queue (kind, tenant, route, run_at, max_attempts, lease_token) VALUES ('transcribe', $a, 0, now(), 5, 9223372036854775807)" ],
    [ '', 'job_queue, a call that is not there' => "INSERT INTO mulberry_internal.job_queue (kind, tenant, call, route, run_at, max_attempts, payload) VALUES ('call', $a, NULL, 0, now(), 5, '{\"voice_call\": \"x\"}')" ],
    [ '', 'calls, a day that has no partition' => "INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, finished_at) VALUES ((18000::bigint << 40) | 1, $a, 'old', 'ARCHIVED', 'mulaw', 8000, now() - interval '1 year')" ],
    [ '', 'calls, silent, of such a day' => "INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, updated_at) VALUES ((18000::bigint << 40) | 2, $a, 'silent', 'IN_PROGRESS', 'mulaw', 8000, now() - interval '1 year')" ],
    [ '', 'commands, of no agent' => "INSERT INTO mulberry_internal.commands (tenant, agent, command) VALUES ($a, $nobody, 'PING')" ],
    [ '', 'voice_calls, of no command' => "INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number, due_at) VALUES ($a, 4711, 1, '+1', '+1', now() - interval '1 day')" ],
    [ '', 'job_queue, of a kind that is none any more' => "ALTER TABLE mulberry_internal.job_queue DROP CONSTRAINT known_kind;
        INSERT INTO mulberry_internal.job_queue (kind, tenant, route, run_at, max_attempts) VALUES ('forgotten', $a, 0, now(), 5);
        ALTER TABLE mulberry_internal.job_queue ADD CONSTRAINT known_kind CHECK (mulberry.job_purpose(kind) IS NOT NULL) NOT VALID" ],
    [ '', 'job_history, finished at no time' => "INSERT INTO mulberry_internal.job_history (id, kind, tenant, state, attempts, deferrals, max_attempts, lease_token, created_at, finished_at)
        SELECT -n, 'forgotten', $nobody, 'dead', 2147483647, 2147483647, 1, $ends, '-infinity', f FROM unnest(ARRAY[NULL, '-infinity', 'infinity']::timestamptz[]) WITH ORDINALITY AS u (f, n) WHERE f IS NOT NULL" ],
    [ '', 'packets, sequence at the end of numbers' => silent(1) . "; UPDATE mulberry_internal.packets SET sequence = 2147483647 WHERE call = $today | 1000001" ],
    [ '', 'packets, received at no time' => silent(2) . "; UPDATE mulberry_internal.packets SET received_at = '-infinity' WHERE call = $today | 1000002" ],
    [ '', 'gaps, up to the end of numbers' => silent(3) . "; INSERT INTO mulberry_internal.gaps (call, first, last) VALUES ($today | 1000003, 0, 2147483647), ($today | 1000003, 2147483647, 2147483647)" ],
    [ '', 'tracks, at the end of numbers and of a day that has no partition' => silent(4) . "; INSERT INTO mulberry_internal.tracks (call, number, id, name, encoding, sample_rate,
            missing_count, expected_total_packets, first_sequence, updated_at)
        VALUES ($today | 1000004, 15, $today | 1000104, $byte, 'mulaw', 48000, $ends, 2147483647, 4294967295, '-infinity'),
               ($today | 1000004, 1, (18000::bigint << 40) | 3, 'old', 'text', 8000, 0, NULL, 0, 'infinity');
        INSERT INTO mulberry_internal.packets (call, sequence, received_at, data) VALUES ($today | 1000104, 2147483647, '-infinity', 'x')" ],
    [ '', 'call_details, of a call whose time is over' => "INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, finished_at)
        VALUES ($today | 1000006, $a, 'described', 'ARCHIVED', 'text', 8000, now() - interval '1 year');
        INSERT INTO mulberry_internal.tracks (call, number, id, name, encoding, sample_rate) VALUES ($today | 1000006, 1, $today | 1000106, 'x', 'text', 8000);
        INSERT INTO mulberry_internal.call_details (call, tenant, from_number, attributes) VALUES ($today | 1000006, $nobody, $byte, jsonb_build_object($byte, $byte))" ],
    [ '', 'segments, of a call whose time is over' => "INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, finished_at)
        VALUES ($today | 1000007, $a, 'said', 'ARCHIVED', 'text', 8000, now() - interval '1 year');
        INSERT INTO mulberry_internal.segments (call, track, number, speaker, text, start_ms, end_ms, words)
        VALUES ($today | 1000007, 32767, 2147483647, $byte, $byte, 2147483647, 2147483647, jsonb_build_array($byte, NULL, '{}'))" ],
    [ '', 'transcripts, of no tenant and no language' => "INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, finished_at)
        VALUES ($today | 1000008, $a, 'found', 'ARCHIVED', 'text', 8000, now() - interval '1 year');
        INSERT INTO mulberry_internal.transcripts (call, tenant, language, search) VALUES ($today | 1000008, $nobody, $byte, 'x')" ],
    [ '', 'agents, counters at the end of numbers' => waiting(number(1), [ ', queue_changes, mandates_version, forged_acks, online_until, seen_at', ", $ends, $ends, 2147483647, 'infinity', '-infinity'" ]) ],
    [ '', 'agents, a name that is no text' => waiting(number(2), [ '', '' ], "UPDATE mulberry_internal.agents SET name = $byte WHERE id = '${\ number(2)}'") ],
    [ '', 'voice_keys, without bytes and at the end of numbers' => waiting(number(3), [ ', online_until', ", 'infinity'" ],
        "INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, fingerprint, place, exported_at, last_counter)
         VALUES ($a, 'sender', '${\ number(3)}', 1, $nobody, 'voice-key-none', 'x', 'x', now(), $ends)") ],
    [ '', 'secrets, sealed by nobody' => waiting(number(4), [ ', online_until', ", 'infinity'" ],
        "INSERT INTO mulberry_internal.secrets (tenant, name, nonce, ciphertext, tag, key_fingerprint) VALUES ($a, 'voice-key-bad', substr(sha256('x'), 1, 12), 'x', substr(sha256('x'), 1, 16), repeat('0', 32));
         INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, fingerprint, place, exported_at)
         VALUES ($a, 'sender', '${\ number(4)}', 1, $nobody, 'voice-key-bad', 'x', 'x', now())") ],
    [ '', 'endpoints, of odd options' => "INSERT INTO mulberry_internal.endpoints (tenant, name, kind, base_url, purpose, model, options, timeout, max_concurrency, updated_at)
        VALUES ($a, 'odd', 'json', $byte, 'transcription', $byte, '{\"max_bytes\": \"x\", \"max_seconds\": -1e300, \"account_sid\": []}', '1 hour', 2147483647, 'infinity');
        INSERT INTO mulberry_internal.job_queue (kind, tenant, route, run_at, max_attempts) SELECT 'transcribe', $a, id, now(), 5 FROM mulberry_internal.endpoints WHERE name = 'odd'" ],
    [ '', 'event_channels, of no tenant and many of one' => "INSERT INTO mulberry_internal.event_channels (tenant, channel, created_at)
        SELECT t, 'mulberry_' || md5(t::text || n), 'infinity' FROM unnest(ARRAY[$nobody, $a]::uuid[]) AS t, generate_series(1, 300) AS n" ],
    [ '', 'channel_listeners, of no role and no channel' => "INSERT INTO mulberry_internal.channel_listeners (channel, tenant, role)
        SELECT c, t, 4294967295 FROM unnest(ARRAY['mulberry_x', (SELECT channel FROM mulberry_internal.event_channels WHERE tenant = $a LIMIT 1)]) AS c, unnest(ARRAY[$nobody, $a]::uuid[]) AS t" ],
    [ '', 'members, of no role and no tenant' => "INSERT INTO mulberry_internal.members (role, access, tenant, granted_by) VALUES ('4294967295'::oid::regrole, 'supervisor', $nobody, 'x'), ('4294967295'::oid::regrole, 'admin', NULL, 'x')" ],
    [ '', 'tokens, of odd times' => "INSERT INTO mulberry_internal.tokens (tenant, name, access, digest, expires_at, created_by, created_at) VALUES ($a, 'odd', 'ingest', sha256('x'), '-infinity', 'x', 'infinity'), (NULL, 'odd', 'admin', sha256('y'), 'infinity', 'x', '-infinity')" ],
    [ '', 'token_uses, at no time' => "INSERT INTO mulberry_internal.token_uses (token, last_used_at) SELECT id, 'infinity' FROM mulberry_internal.tokens" ],
    [ '', 'telephony_versions, of no settings and at the end of numbers' => "INSERT INTO mulberry_internal.telephony_versions (tenant, version, settings, role, created_at)
        SELECT t, v, jsonb_build_object($byte, $byte), $byte, 'infinity' FROM unnest(ARRAY[$a, $nobody]::uuid[]) AS t, unnest(ARRAY[1, 2147483647]) AS v" ],
    [ '', 'inbound_calls, of no tenant, no version and no time' => "INSERT INTO mulberry_internal.inbound_calls (id, tenant, sid, number, version, place, turn, sequence, created_at)
        SELECT -row_number() OVER (), t, n || $byte, $byte, 4711, '{}', 2147483647, 2147483647, c
          FROM unnest(ARRAY[$a, $nobody]::uuid[]) AS t, unnest(ARRAY['-infinity', 'infinity', '2001-01-01']::timestamptz[]) WITH ORDINALITY AS u (c, n)" ],
    [ '', 'media_sessions, of no tenant and no time' => "INSERT INTO mulberry_internal.media_sessions (inbound, turn, tenant, call_id, peer, encoding, begun_at, ended_at, figures)
        SELECT i.id, 2147483647, $nobody, $byte, $byte, $byte, '-infinity', 'infinity', '[]' FROM mulberry_internal.inbound_calls i" ],
    [ '', 'prompts, of no sound' => "INSERT INTO mulberry_internal.prompts (tenant, digest, text, audio, created_at) SELECT t, '', $byte, '', 'infinity' FROM unnest(ARRAY[$a, $nobody]::uuid[]) AS t" ],
    [ '', 'conversation_versions, of no settings and at the end of numbers' => "INSERT INTO mulberry_internal.conversation_versions (tenant, version, settings, role, created_at)
        SELECT t, v, jsonb_build_object($byte, $byte), $byte, 'infinity' FROM unnest(ARRAY[$a, $nobody]::uuid[]) AS t, unnest(ARRAY[1, 2147483647]) AS v" ],
    [ '', 'conversations, of no tenant and no time, whose logs are none' => "INSERT INTO mulberry_internal.conversations (id, tenant, call_id, version, numbers, lists, line, started_at)
        SELECT -row_number() OVER (), t, n || $byte, 4711, '{-1,NULL,2147483647}', ARRAY[$byte, NULL], '{NULL}', c
          FROM unnest(ARRAY[$a, $nobody]::uuid[]) AS t, unnest(ARRAY['-infinity', 'infinity', '2001-01-01']::timestamptz[]) WITH ORDINALITY AS u (c, n);
        INSERT INTO mulberry_internal.turn_log (conversation, number, record) SELECT id, 0, '\\x09' FROM mulberry_internal.conversations" ],
    [ '', 'speech_cache, of no time, with words that are none' => "INSERT INTO mulberry_internal.speech_cache (tenant, digest, audio, used_at, words)
        SELECT t.id, sha256(n::text::bytea), '\\x00', c, '{-1,NULL,2147483647}' FROM mulberry_internal.tenants t, unnest(ARRAY['-infinity', 'infinity', '2001-01-01']::timestamptz[]) WITH ORDINALITY AS u (c, n)" ],
    [ '', 'emergencies, of no call and no time' => "INSERT INTO mulberry_internal.emergencies (tenant, call_id, phrase, language, source, track, at)
        SELECT t, $byte, n::text, $byte, 'segment', $byte, c
          FROM unnest(ARRAY[$a, $nobody]::uuid[]) AS t, unnest(ARRAY['-infinity', 'infinity', '2001-01-01']::timestamptz[]) WITH ORDINALITY AS u (c, n)" ],
    [ '', 'tenants, of odd settings' => "INSERT INTO mulberry_internal.tenants (name, retention, created_at) VALUES ('odd', '1000 years', '-infinity');
        INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, finished_at)
        SELECT $today | 1000005, t.id, 'odd', 'ARCHIVED', 'text', 8000, '-infinity' FROM mulberry_internal.tenants t WHERE t.name = 'odd'" ],
    [ '', 'escalation_contacts, to an endpoint that is not there' => "INSERT INTO mulberry_internal.escalation_contacts (tenant, phone, endpoint) VALUES ($a, NULL, 'gone'), ($nobody, '+1', 'gone');
        INSERT INTO mulberry_internal.voice_calls (tenant, purpose, command, attempt, to_number, from_number, due_at) SELECT $a, 'escalation', min(id), 2147483647, '+1', '+1', now() - interval '1 day' FROM mulberry_internal.commands" ],
    [ '', 'webhook_answers, of no call and no time' => "INSERT INTO mulberry_internal.webhook_answers (voice_call, key, at, status, content_type, body)
        VALUES (4711, $byte, '-infinity', 2147483647, $byte, $byte), ($ends, 'x', 'infinity', -2147483648, 'x', 'x')" ],
    [ '', 'mandates, versions at the end of numbers' => "INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, max_amount, currency, expires_at, version, agent_version)
        VALUES ($a, '10000001', '${\ number(1)}', $byte, 1, 'EUR', now() - interval '1 day', $ends, $ends);
        INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate) VALUES ($a, '${\ number(1)}', 'REVOKE', '10000001')" ],
    [ '', 'command_signatures, of a command that waits' => "INSERT INTO mulberry_internal.command_signatures (command, signature, tenant, agent, key_id, counter, frame, message_digest, signed_at)
        SELECT max(id), 2147483647, $nobody, $nobody, 1, $ends, 'x', 'x', 'infinity' FROM mulberry_internal.commands" ],
    [ '', 'edge_programs, of no tenant, no text and numbers at their ends' => "INSERT INTO mulberry_internal.edge_programs
            (tenant, role, name, program, state, device, heard, lost, overruns, suspends, departures, late, call_id, waiting, acknowledged, dropped, spool, problem, started_at, reported_at, dropped_at)
        SELECT t, $byte, n || $byte, 'sync', $byte, $byte, 1e9, 1e9, $ends, $ends, $ends, 1e9, $byte, $ends, $ends, $ends, $ends, $byte, c, c, c
          FROM unnest(ARRAY[$a, $nobody]::uuid[]) AS t, unnest(ARRAY['4713-01-01 BC', '294276-12-31', '2001-01-01']::timestamptz[]) WITH ORDINALITY AS u (c, n)" ],
    [ '', 'set_aside, times at the end of numbers' => "UPDATE mulberry_internal.set_aside SET times = 2147483647, retry_at = now(), sqlstate = 'x', error = $byte;
        INSERT INTO mulberry_internal.set_aside (unit, item, tenant, sqlstate, error, times, retry_at) SELECT u, i, $nobody, 'x', $byte, 2147483647, now()
          FROM unnest(ARRAY['linking', 'claiming', 'numbering', 'maintenance']) AS u, unnest(ARRAY['', 'x', $nobody]) AS i ON CONFLICT DO NOTHING" ],
    [ '', 'the ring of refusals, of no tenant, no text and no end' => "SELECT mulberry_internal.note_refusal($nobody, 'x', 'x', $nobody, 'x', 'x'),
        mulberry_internal.note_refusal($a, $byte, $byte, $nobody, $byte, $byte), mulberry_internal.note_refusal($a, 'POISON', 'x', NULL, repeat('x', 1000000), repeat(E'\\x01', 1000000))" ],
    [ '', 'endpoint_state, openings at the end of numbers' => "INSERT INTO mulberry_internal.endpoint_state (endpoint, state, openings, retry_at) SELECT id, 'open', 2147483647, now() FROM mulberry_internal.endpoints LIMIT 1" ],
);

my $shared = Mulberry::SharedWork->new($node);
is($shared->stopped, '', 'nothing is poisoned') or die 'the test itself does not work';
for my $poison (@poison)
{
    my ($unit, $name, $row) = @$poison;
    my ($status, $out, $err) = $node->psql('postgres', "SET session_replication_role = replica; $row");
    is($err, '', $name);
    is($shared->stopped, '', "$name: what is shared goes on");
    ok($shared->soon("SELECT count(*) > 0 FROM mulberry_internal.set_aside WHERE unit = '$unit'"), "$name: it is set aside by $unit") if $unit;
}
for my $unit ('linking', 'numbering', 'claiming')
{
    like(one("SELECT string_agg(item || detail, E'\\n') FROM mulberry.health() WHERE status = 'error'"), qr/set aside by $unit/, "health() names what $unit has set aside");
    like(slurp_file($node->logfile), qr/LOG:  mulberry: $unit "[^"]+" is set aside/, 'and so does the log');
}
my @lines = slurp_file($node->logfile) =~ /LOG:  mulberry: (\w+ "[^"]+") is set aside/g;
my %seen;
is(join(', ', grep { $seen{$_}++ } @lines), '', 'each once');

# Whichever table any of the work of background processes reads has had its row above: what it is given by the grants, and maintenance.
# A table that is new must be named here or there.
my %not_poisoned = (
    installation => 'more than one row holds outgoing work, which is what they are for',
    mandate_clock => 'a time, and any of them is one',
    map({ $_ => 'only read for a row that somebody asks about' } qw(mandate_versions mandate_retellings spendings sync_states key_frames
        key_guard challenges received_calls phone_numbers turn_log conversation_turns
        conversation_lines conversation_attributes call_orders)));
subtest 'no table is forgotten' => sub {
    my %poisoned = map { my ($table) = $_->[1] =~ /^(\w+),/; $table ? ($table => 1) : () } @poison;
    my @units = map { working_call($_)->{call} } grep { my $work = working_call($_); $work && $work->{before} eq '' }
      split /\n/, one("SELECT object FROM mulberry.access_objects() WHERE access = 'worker' AND object ~ 'mulberry_internal'");
    push @units, map { "SELECT mulberry_internal.maintenance_step('$_', 100, true)" }
      one("SELECT prosrc FROM pg_proc WHERE oid = 'mulberry_internal.maintenance_step'::regproc") =~ /WHEN '([^']+)' THEN/g;
    cmp_ok(scalar @units, '>', 20, 'there are units to look at');
    my %read;
    for my $unit (@units)
    {
        # as if nothing had been set aside
        my $tables = one("BEGIN; DELETE FROM mulberry_internal.set_aside; CREATE TEMP TABLE before ON COMMIT DROP AS SELECT relid, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) AS scans
              FROM pg_stat_xact_all_tables WHERE schemaname = 'mulberry_internal';
            SAVEPOINT s; DO \$do\$ BEGIN EXECUTE \$call\$$unit\$call\$; EXCEPTION WHEN OTHERS THEN NULL; END \$do\$;
            SELECT string_agg(DISTINCT regexp_replace(t.relname, '^packets_\\d+\$', 'packets'), ' ') FROM pg_stat_xact_all_tables t LEFT JOIN before b USING (relid)
             WHERE t.schemaname = 'mulberry_internal' AND coalesce(t.seq_scan, 0) + coalesce(t.idx_scan, 0) > coalesce(b.scans, 0)");
        $read{$_}{$unit} = 1 for split ' ', $tables;
    }
    note("$_: " . join ', ', sort keys %{ $read{$_} }) for sort keys %read;
    is(join(' ', grep { !$poisoned{$_} && ($not_poisoned{$_} // 'only') =~ /^only/ } sort keys %read), '', 'what shared work reads has been poisoned');
    my @all = split /\n/, one("SELECT relname FROM pg_class WHERE relnamespace = 'mulberry_internal'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1");
    is(join(' ', grep { !$poisoned{$_} && !$not_poisoned{$_} } @all), '', 'and of the others it is said why not');
    is(join(' ', grep { my $t = $_; !grep { $_ eq $t } @all } sort keys %not_poisoned), '', 'which are still there');
};

# What was set aside goes on when its cause is mended: by itself, or when somebody says so.
subtest 'mended' => sub {
    my $aside = "SELECT count(*) FROM mulberry_internal.job_queue WHERE run_at = 'infinity'";
    is(one($aside), '2', 'two jobs are set aside');
    my ($one, $other) = split /\n/, one("SELECT id FROM mulberry_internal.job_queue WHERE run_at = 'infinity' ORDER BY lease_token");
    like(one("SELECT string_agg(hint, E'\n') FROM mulberry.health() WHERE item = 'set aside by claiming'"), qr/maintenance tries it again.*retry_job\($one\)/s, 'health() says how they come back');
    # that of a worker may be at it, and past them
    one("UPDATE mulberry_internal.set_aside SET retry_at = now() WHERE unit = 'claiming'; SELECT mulberry.maintenance()");
    ok($shared->soon("SELECT count(*) = 2 FROM mulberry_internal.set_aside WHERE unit = 'claiming' AND item IN ('$one', '$other') AND retry_at > now()"), 'maintenance tries them again, and comes back to them later');
    is(one($aside), '2', 'it leaves what cannot be claimed yet');
    one("UPDATE mulberry_internal.job_queue SET attempts = 0, lease_token = 0 WHERE run_at = 'infinity'");
    one("SELECT mulberry.retry_job($one)");
    ok($shared->soon("SELECT attempts > 0 OR state = 'running' FROM mulberry_internal.job_queue WHERE id = $one UNION ALL SELECT true FROM mulberry_internal.job_history WHERE id = $one"), 'who cannot wait calls retry_job()');
    is(one($aside), '1', 'the other waits');
    one("UPDATE mulberry_internal.set_aside SET retry_at = now() WHERE unit = 'claiming'");
    ok($shared->soon("SELECT attempts > 0 OR state = 'running' FROM mulberry_internal.job_queue WHERE id = $other UNION ALL SELECT true FROM mulberry_internal.job_history WHERE id = $other"), 'or maintenance tries it again');
    is($shared->stopped, '', 'all goes on');
};

$shared->finish;
$node->stop;
done_testing();
