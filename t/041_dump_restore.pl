# Dump and restore bring everything back: every table and sequence has rows,
# goes through pg_dump in both forms, and is compared; so are partitions, rights
# and what functions do with the restored data.  And a restored copy does no
# outgoing work until somebody says so.  scripts/test with OLDER_PG_CONFIG has the
# dumps made by an older server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = mulberry_cluster('source', preload => 0, extension => 0, install_path => $ENV{MULBERRY_OLDER_SERVER});
$source->safe_psql('postgres', 'CREATE DATABASE telephony');
my $tmp = PostgreSQL::Test::Utils::tempdir();

sub sql { return $source->safe_psql('telephony', shift) }

# ---- something in every table ----

sql(<<'SQL');
CREATE EXTENSION mulberry CASCADE;
CREATE ROLE anna LOGIN;
CREATE ROLE "Odd ""role" LOGIN;
CREATE ROLE workers LOGIN;
CREATE ROLE gone;
SELECT mulberry.create_tenant('north', 'mulaw', 8000, '90 days');
SELECT mulberry.alter_tenant('default', 'alaw', 8000, '1 year', language => 'german');
SELECT mulberry.grant_access('anna', 'ingest', 'north');
SELECT mulberry.grant_access('anna', 'supervisor', 'north');
SELECT mulberry.grant_access('"Odd ""role"', 'admin', NULL);
SELECT mulberry.grant_access('workers', 'worker', NULL);
SELECT mulberry.grant_access('gone', 'auditor');
DROP OWNED BY gone;
DROP ROLE gone;
SELECT mulberry.ingest_packet('first', s, convert_to('packet ' || s, 'UTF8'), '2024-05-05 12:00+00', 'text', NULL, 'north')
  FROM unnest('{0,1,2,7,4}'::int[]) s;
SELECT mulberry.ingest_packet('open', s, '\x0001', tenant => 'north') FROM generate_series(0, 9) s;
SELECT mulberry.ingest_packet('open', s, '\x00', encoding => 'alaw', tenant => 'north', track => 'agent') FROM unnest('{0,3}'::int[]) s;
SELECT mulberry.begin_call('open', 'inbound', '+12025550123', attributes => '{"queue": "sales"}', tenant => 'north');
SELECT mulberry.ingest_packet('elsewhere', 0, '\x0001', NULL, 's16le', 16000);
SELECT mulberry.complete_call('first', 9, 'north');
SELECT mulberry_internal.number_events();
SQL
# a call of a day that has a partition of its own
sql(<<'SQL');
DO $$
DECLARE
    old bigint := (floor(extract(epoch FROM now()) / 86400)::bigint - 3) << 40 | nextval('mulberry_internal.call_number');
BEGIN
    PERFORM mulberry_internal.make_partition((now() AT TIME ZONE 'UTC')::date - 3);
    INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, finished_at, transcription, sentiment, confidence, ai_result)
    SELECT old, id, 'old', 'ARCHIVED', 'text', 8000, now(), E'all''s well\n\\.', 'positive', 0.75, '{"model": "m"}'
      FROM mulberry_internal.tenants WHERE name = 'north';
    INSERT INTO mulberry_internal.packets (call, sequence, received_at, data) VALUES (old, 0, now(), '\x00ff');
    PERFORM mulberry_internal.put_segments(old, 0, 0, '[{"text": "all''s well", "start_ms": 10, "end_ms": 20, "words": [{"word": "well"}]}]');
    PERFORM mulberry_internal.index_transcript(old, id, E'all''s well\n\\.') FROM mulberry_internal.tenants WHERE name = 'north';
END $$;
SQL
$source->psql('telephony', <<"SQL", on_error_die => 1);
COPY mulberry.secret_entry FROM stdin;
north	speech-key	a value with \\\\ and "quotes"
default	other	x
\\.
SQL
sql(<<'SQL');
INSERT INTO mulberry_internal.endpoints (tenant, name, kind, base_url, purpose, secret, options)
SELECT id, 'speech', 'openai', 'https://speech.example/v1', 'transcription', 'speech-key', '{"language": "en"}'
  FROM mulberry_internal.tenants WHERE name = 'north';
SELECT mulberry_internal.enqueue_job('sentiment', id, NULL, 'speech', '{"text": "x"}') FROM mulberry_internal.tenants WHERE name = 'north';
INSERT INTO mulberry_internal.job_history (id, kind, tenant, call, state, attempts, deferrals, max_attempts, lease_token, last_error, created_at)
SELECT nextval('mulberry_internal.job_id'), 'transcribe', tenant, id, 'dead', 5, 1, 5, 7, 'gave up', now() FROM mulberry_internal.calls WHERE call_id = 'old';
SQL
# agents, mandates and the audit log, by their functions
sql(<<'SQL');
SELECT mulberry.create_agent('pi', '+821012345678', '{+12025550100}', 'ffeeddcc-bbaa-9988-7766-554433221100', 'north');
SELECT mulberry.create_mandate('12345678', 'pi', 'Acme', 100, 'EUR', '2100-01-01', 'north');
SELECT mulberry.create_mandate('87654321', 'pi', 'Acme', 100, 'EUR', '2100-01-01', 'north');
SELECT mulberry.spend('12345678', 12.3456, 'before the dump', 'north');
SELECT mulberry.spend('12345678', 1000, 'too much', 'north');
SELECT mulberry_internal.set_mandate_status(t.id, '87654321', 'REVOKED', 'lost') FROM mulberry_internal.tenants t WHERE t.name = 'north';
SELECT mulberry_internal.link_audit();
SELECT mulberry.spend('12345678', 1, 'not linked yet', 'north');
SQL
# what voice commands keep
sql(<<'SQL');
INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, last_counter, fingerprint, place)
SELECT tenant, 'sender', id, 7, tenant, 'voice-key', 42, 'f', 'p' FROM mulberry_internal.agents;
INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate, state, key_id, counter, frame, message_digest, signed_at)
SELECT tenant, agent, 'REVOKE', id, 'outstanding', 7, 42, '*070112345678000042608379340855#', sha256('M'), now() FROM mulberry_internal.mandates WHERE status = 'REVOKED';
INSERT INTO mulberry_internal.command_signatures (command, signature, tenant, agent, key_id, counter, frame, message_digest, signed_at)
SELECT id, 1, tenant, agent, key_id, counter, frame, message_digest, signed_at FROM mulberry_internal.commands ON CONFLICT DO NOTHING;
INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number) SELECT tenant, id, 1, '+821012345678', '+12025550100' FROM mulberry_internal.commands;
INSERT INTO mulberry_internal.webhook_answers (voice_call, key, status, content_type, body) SELECT id, 'status CA1 0', 204, 'text/plain', '' FROM mulberry_internal.voice_calls;
INSERT INTO mulberry_internal.escalation_contacts (tenant, phone) SELECT id, '+821012345678' FROM mulberry_internal.tenants WHERE name = 'north';
SELECT mulberry.set_telephony('{"greeting": "Hello", "numbers": ["+12025550111"]}', 'north');
INSERT INTO mulberry_internal.inbound_calls (tenant, sid, number, version, place) SELECT tenant, 'CA1', '+12025550111', version, '{}' FROM mulberry_internal.telephony_versions;
INSERT INTO mulberry_internal.media_sessions (inbound, turn, tenant, call_id, peer, encoding) SELECT id, 1, tenant, sid, 'twilio', 'mulaw' FROM mulberry_internal.inbound_calls;
INSERT INTO mulberry_internal.prompts (tenant, digest, text, audio) SELECT tenant, sha256('Hello'), 'Hello', 'xx' FROM mulberry_internal.telephony_versions;
INSERT INTO mulberry_internal.emergencies (tenant, call_id, phrase, source) SELECT tenant, 'CA1', 'fire', 'segment' FROM mulberry_internal.telephony_versions;
SELECT mulberry.set_conversation('{"language": "de"}', 'north');
SELECT FROM mulberry.begin_conversation('CA1', '{clear,marks}', 'north');
SELECT mulberry.log_conversation('CA1', 0, ARRAY['\x01000000'::bytea], NULL, 'north');
INSERT INTO mulberry_internal.conversation_turns SELECT id, 1, 0, 9, 9, 9, 9, 9, 9, NULL, NULL, 9, 'neutral', NULL, 0, 0, 0, 0, 0, 0, false, false, 'yes', 'no', false FROM mulberry_internal.conversations;
INSERT INTO mulberry_internal.call_orders (conversation, session, kind, text) SELECT id, 1, 'say', 'One moment.' FROM mulberry_internal.conversations;
SELECT mulberry.note_lines('CA1', '[{"number": 0, "speaker": "agent", "text": "Hello"}]', '{"pin": "1"}', 'north');
INSERT INTO mulberry_internal.mandate_retellings (tenant, mandate, number) SELECT tenant, id, 5 FROM mulberry_internal.mandates;
INSERT INTO mulberry_internal.sync_states (tenant, agent, upto) SELECT tenant, id, 3 FROM mulberry_internal.agents;
INSERT INTO mulberry_internal.key_frames (tenant, key_id, counter, frame_digest, ack, ack_status, ack_state, message, speech)
SELECT id, 7, 42, sha256('frame'), '*07000100426040297750#', 0, 1, 'applied', 'revoked' FROM mulberry_internal.tenants;
INSERT INTO mulberry_internal.key_guard (tenant, key_id, forgeries, in_row, challenge_until, challenge_period)
SELECT id, 7, ARRAY[now()], 1, now() + '1 hour', '2 hours' FROM mulberry_internal.tenants;
INSERT INTO mulberry_internal.challenges (tenant, key_id, command, mandate, argument, nonce, counter)
SELECT id, 7, 3, '12345678', 14, '493817', 43 FROM mulberry_internal.tenants;
INSERT INTO mulberry_internal.edge_programs (tenant, role, name, program, state, heard, lost, overruns, suspends, departures, late, waiting, acknowledged, dropped, started_at)
    SELECT id, 'pi', 'front-desk', 'capture', 'ended', 1, 0, 0, 0, 0, 0, 0, 50, 0, created_at FROM mulberry_internal.tenants;
INSERT INTO mulberry_internal.received_calls (tenant, call_ref, forgeries) SELECT id, 'call', 2 FROM mulberry_internal.tenants;
SQL
# a token that somebody has used
sql(q{SELECT mulberry.create_token('pbx', 'ingest', 'north', '2100-01-01'); SELECT mulberry.note_token_uses(array_agg(id)) FROM mulberry.tokens});
# what other parts keep, as far as a statement above has not filled it
sql(<<'SQL');
INSERT INTO mulberry_internal.event_channels (tenant, channel)
SELECT id, 'mulberry_' || md5(name) FROM mulberry_internal.tenants ON CONFLICT DO NOTHING;
INSERT INTO mulberry_internal.channel_listeners (channel, tenant, role) SELECT channel, tenant, 10 FROM mulberry_internal.event_channels;
SQL

# A table may be left out of dumps only because it says nothing beyond its server.
my $left_out = sql(<<'SQL');
SELECT string_agg(t.oid::regclass::text, ' ' ORDER BY t.oid::regclass::text)
  FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS t (oid, condition)
 WHERE e.extname = 'mulberry' AND t.condition ~* '^WHERE false$'
SQL
is($left_out, 'mulberry_internal.endpoint_state mulberry_internal.set_aside mulberry_internal.speech_cache',
    'dumps leave out the breakers of endpoints, what shared work set aside, and sentences that are spoken anew, alone');

my @tables = split /\n/, sql(<<'SQL');
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.oid NOT IN ('mulberry_internal.endpoint_state'::regclass, 'mulberry_internal.set_aside'::regclass, 'mulberry_internal.speech_cache'::regclass)
 ORDER BY 1
SQL
foreach my $table (@tables)
{
    cmp_ok(sql("SELECT count(*) FROM mulberry_internal.$table"), '>', 0, "$table has rows to dump");
}

# ---- what is compared ----

# Rows as text, in an order of their own, without those of which a restored copy
# differs by design.
my %rows_of = (
    installation => "SELECT '' WHERE false",
    # what the install script has made is left as the target's script makes it
    endpoints => 'SELECT t::text FROM mulberry_internal.endpoints t WHERE NOT seeded',
    members => q{SELECT t::text FROM mulberry_internal.members t WHERE EXISTS (SELECT FROM pg_roles r WHERE r.oid = t.role)},
);

sub content
{
    my ($server, $database) = @_;
    my %content;
    foreach my $table (@tables)
    {
        my $rows = $rows_of{$table} // "SELECT t::text FROM mulberry_internal.$table t";
        $content{$table} = $server->safe_psql($database, "SELECT r FROM ($rows) AS t (r) ORDER BY r COLLATE \"C\"");
    }
    foreach my $sequence (split /\n/, $server->safe_psql($database,
            q{SELECT oid::regclass FROM pg_class WHERE relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND relkind = 'S' ORDER BY 1}))
    {
        $content{"sequence $sequence"} = $server->safe_psql($database, "SELECT last_value, is_called FROM $sequence");
    }
    $content{partitions} = $server->safe_psql($database, <<'SQL');
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), c.relrowsecurity, c.reloptions,
       (SELECT string_agg(pg_get_indexdef(i.indexrelid), '; ' ORDER BY pg_get_indexdef(i.indexrelid)) FROM pg_index i WHERE i.indrelid = c.oid),
       (SELECT string_agg(pg_get_constraintdef(k.oid), '; ' ORDER BY pg_get_constraintdef(k.oid)) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n'), -- since 18
       (SELECT string_agg(format('%s %s %s', a.attname, a.attstorage, a.attnotnull), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'mulberry_internal.packets'::regclass ORDER BY 1
SQL
    $content{rights} = $server->safe_psql($database, <<'SQL');
SELECT o.what, a.grantee::regrole::text COLLATE "C", a.privilege_type
  FROM (SELECT 'schema ' || nspname AS what, nspacl AS acl FROM pg_namespace WHERE nspname IN ('mulberry', 'mulberry_internal')
        UNION ALL SELECT oid::regprocedure::text, proacl FROM pg_proc WHERE pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
        UNION ALL SELECT oid::regclass::text, relacl FROM pg_class WHERE relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
        UNION ALL SELECT oid::regtype::text, typacl FROM pg_type WHERE typnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)) o,
       aclexplode(o.acl) a
 WHERE a.privilege_type <> 'MAINTAIN' -- since 17 owners have it
 ORDER BY o.what COLLATE "C", 2, 3
SQL
    $content{'row security'} = $server->safe_psql($database, <<'SQL');
SELECT relname FROM pg_class WHERE relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND relrowsecurity ORDER BY relname COLLATE "C"
SQL
    return \%content;
}

my $before = content($source, 'telephony');
my @head = split /\|/, sql(q{SELECT h.last_seq, encode(h.hash, 'hex') FROM mulberry_internal.audit_heads h JOIN mulberry_internal.tenants t ON t.id = h.tenant WHERE t.name = 'north'});
my $rows = sql(q{SELECT count(*) FROM mulberry.audit_log WHERE tenant = 'north'});
is(sql(q{SELECT count(*) > 0 FROM mulberry_internal.audit WHERE seq IS NULL}), 't', 'some of the audit log is not linked yet');
cmp_ok(scalar(split /\n/, $before->{partitions}), '>', 1, 'there is more than one partition');

# ---- into another cluster, in each form that pg_dump has ----

$source->command_ok([ 'pg_dumpall', '--roles-only', '-f', "$tmp/roles.sql", '-d', $source->connstr('postgres') ], 'roles are dumped');
$source->command_ok([ 'pg_dump', '-f', "$tmp/plain.sql", $source->connstr('telephony') ], 'a plain dump');
$source->command_ok([ 'pg_dump', '-Fc', '-f', "$tmp/custom.dump", $source->connstr('telephony') ], 'a custom dump');
$source->command_ok([ 'pg_dump', '-Fd', '-j2', '-f', "$tmp/directory", $source->connstr('telephony') ], 'a directory');
$source->command_like([ 'pg_dump', '-f', '/dev/null', $source->connstr('telephony') ], qr/^$/, 'without a warning');

my $target = PostgreSQL::Test::Cluster->new('target');
$target->init;
$target->start;
# by its path, for the source's may be another
my $bindir = $target->config_data('--bindir');
# the superuser is there already
my $roles = slurp_file("$tmp/roles.sql");
my $me = $target->safe_psql('postgres', 'SELECT session_user');
$roles =~ s/^CREATE ROLE "?\Q$me\E"?;$//m;
$target->safe_psql('postgres', $roles);

my %restores = (
    plain => [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$tmp/plain.sql", '-d' ],
    'plain, in one transaction' => [ 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', "$tmp/plain.sql", '-d' ],
    custom => [ 'pg_restore', '--exit-on-error', "$tmp/custom.dump", '-d' ],
    'directory, in parallel' => [ 'pg_restore', '--exit-on-error', '-j2', "$tmp/directory", '-d' ],
);

# pg_restore -j does not know that tables of an extension refer to each other
# (pg_dump does, and orders them).  So those that others refer to go first, one
# after another; docs/operations.md names them.
my @first = map { s/^mulberry_internal\.//r } split /\n/, sql(q{SELECT DISTINCT confrelid::regclass::text FROM pg_constraint
          WHERE contype = 'f' AND connamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
            AND conrelid NOT IN ('mulberry_internal.endpoint_state'::regclass, 'mulberry_internal.set_aside'::regclass) ORDER BY 1});
my $referred = join '|', @first;
like(slurp_file("$FindBin::RealBin/../docs/operations.md"), qr/TABLE DATA mulberry_internal \(\Q$referred\E\) /, "the operations guide names them: @first");
my ($toc) = run_command([ 'pg_restore', '-l', "$tmp/directory" ]);
my ($first, $rest) = ('', '');
foreach my $line (split /\n/, $toc)
{
    if ($line =~ /TABLE DATA mulberry_internal (?:$referred) / || $line =~ / (?:SCHEMA|EXTENSION) /) { $first .= "$line\n" }
    else { $rest .= "$line\n" }
}
append_to_file("$tmp/first.list", $first);
append_to_file("$tmp/rest.list", $rest);
my %before_it = ('directory, in parallel' => [ 'pg_restore', '--exit-on-error', '-L', "$tmp/first.list", "$tmp/directory", '-d' ]);
splice @{ $restores{'directory, in parallel'} }, 2, 0, '-L', "$tmp/rest.list";
my $copies = 0;
foreach my $form (sort keys %restores)
{
    my $database = 'copy' . ++$copies;
    $target->safe_psql('postgres', "CREATE DATABASE $database");
    $target->command_ok([ @{ $before_it{$form} }, $target->connstr($database) ], "$form: the table that others refer to")
      if $before_it{$form};
    $target->command_ok([ @{ $restores{$form} }, $target->connstr($database) ], "$form: restores without an error");

    my $after = content($target, $database);
    is_deeply([ sort keys %$after ], [ sort keys %$before ], "$form: the same tables and sequences");
    foreach my $what (sort keys %$before)
    {
        my %had = map { $_ => 1 } split /\n/, $before->{$what};
        my %has = map { $_ => 1 } split /\n/, $after->{$what};
        is_deeply([ [ grep { !$has{$_} } sort keys %had ], [ grep { !$had{$_} } sort keys %has ] ], [ [], [] ],
            "$form: nothing lost and nothing new in $what");
        is(length($after->{$what}), length($before->{$what}), "$form: ... nor a line too many");
    }

    # The audit log is whole, to the row, and goes on.
    is($target->safe_psql($database, "SELECT rows, problem IS NULL FROM mulberry.verify_audit('north', $head[0], '$head[1]')"),
        "$rows|t", "$form: the audit log is whole");
    is($target->safe_psql($database, q{SELECT accepted, duplicate FROM mulberry.spend('12345678', 12.3456, 'before the dump', 'north')}),
        't|t', "$form: what was spent is known");
    is($target->safe_psql($database, q{SELECT reason FROM mulberry.spend('87654321', 1, 'after', 'north')}), 'revoked',
        "$form: what was revoked stays so");
    is($target->safe_psql($database, "SELECT rows, problem IS NULL FROM mulberry.verify_audit('north', $head[0], '$head[1]')"),
        $rows + 1 . '|t', "$form: the audit log goes on");

    # It does nothing to the outside.
    is($target->safe_psql($database, 'SELECT mulberry.outbound_allowed()'), 'f', "$form: outgoing work is held");
    is($target->safe_psql($database, q{SELECT status || ': ' || detail FROM mulberry.health() WHERE item = 'outgoing work'}),
        'warning: held, because this database is a restored dump or another kind of copy', "$form: health() says so");
}

# The row that holds outgoing work is loaded before any job can be: tenants come
# first, also where tables are loaded in parallel.
like(slurp_file("$tmp/plain.sql"), qr/^COPY mulberry_internal\.tenants .*^COPY mulberry_internal\.job_queue /ms, 'tenants are loaded before jobs');
my $job_before_tenant = $source->safe_psql('telephony', q{
SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'mulberry_internal.job_queue'::regclass AND confrelid = 'mulberry_internal.tenants'::regclass});
is($job_before_tenant, '1', '... because jobs refer to them');

# ---- the copy works ----

sub copy { return $target->safe_psql('copy1', shift) }
sub copy_as
{
    my ($role, $sql) = @_;
    return $target->safe_psql('copy1', $sql, extra_params => [ '-U', $role ]);
}

is(copy(q{SELECT status FROM mulberry.health() WHERE item = 'secrets'}), 'error', 'secrets cannot be read without their key');
like(copy(q{SELECT hint FROM mulberry.health() WHERE item = 'secrets'}), qr/needs a copy of the key file/, '... which health() asks for');
append_to_file($target->data_dir . '/mulberry.key', slurp_file($source->data_dir . '/mulberry.key'));
chmod 0600, $target->data_dir . '/mulberry.key';
like(copy(q{SELECT detail FROM mulberry.health() WHERE item = 'secrets'}), qr{^2 secrets can be read}, 'with it they can');

is(copy_as('anna', q{SELECT string_agg(name || access::text, ' ') FROM mulberry.tenant_access}), 'north{ingest,supervisor}',
    'members have their access');
is(copy_as('anna', q{SELECT r.status, r.total_received FROM mulberry.ingest_packet('open', 10, '\x02') r}), 'accepted|11', 'calls go on');
is(copy_as('anna', q{SELECT status FROM mulberry.ingest_packet('open', 3, '\x02')}), 'duplicate', '... knowing what they have');
is(copy_as('anna', q{SELECT r.status, r.total_received, r.missing_sequences FROM mulberry.ingest_packet('open', 2, '\x02', track => 'agent') r}),
    'accepted|3|{[1,2)}', 'their tracks as well');
is(copy_as('anna', q{SELECT call_id, from_number, attributes, tracks FROM mulberry.calls('+12025550123')}),
    'open|+12025550123|{"queue": "sales"}|{main,agent}', 'and are found by their numbers');
is(copy_as('anna', q{SELECT status FROM mulberry.ingest_packet('new', 0, '\x02')}), 'accepted', 'new ones begin');
is(copy(q{SELECT encoding, sample_rate FROM mulberry_internal.calls WHERE call_id = 'new'}), 'mulaw|8000', '... with the settings of their tenant');
is(copy_as('anna', q{SELECT c.call_id, s.start_ms FROM mulberry.search_calls('well') c, mulberry.call_segments(c.call_id) s}), 'old|10',
    'transcripts are found');
is(copy(q{SELECT default_encoding, default_sample_rate, retention, language FROM mulberry_internal.tenants WHERE name = 'default'}), 'alaw|8000|1 year|german',
    'the default tenant has its own');
copy('SELECT mulberry_internal.number_events()');
is(copy('SELECT count(*) = count(DISTINCT (tenant, seq)) AND count(*) = count(seq) FROM mulberry_internal.events'), 't', 'events are numbered on');
my ($out, $err);
$target->psql('copy1', 'SELECT 1 FROM mulberry_internal.calls', stderr => \$err, extra_params => [ '-U', 'anna' ]);
like($err, qr/permission denied for schema mulberry_internal/, 'tables are still for nobody');

# ---- somebody says so ----

is(copy('SELECT mulberry.resume_outbound()'), 't', 'resume_outbound() says that work was held');
is(copy('SELECT mulberry.outbound_allowed()'), 't', 'and no longer is');
is(copy_as('Odd "role', 'SELECT mulberry.resume_outbound()'), 'f', 'an admin of all tenants may, and again changes nothing');
$target->psql('copy2', 'SELECT mulberry.resume_outbound()', stderr => \$err, extra_params => [ '-U', 'anna' ]);
like($err, qr/permission denied/, 'others may not');

# ---- other kinds of copies ----

$target->safe_psql('postgres', 'CREATE DATABASE cloned TEMPLATE copy1');
is($target->safe_psql('cloned', 'SELECT mulberry.outbound_allowed()'), 'f', 'a cloned database is held');
is(copy('SELECT mulberry.outbound_allowed()'), 't', '... its template is not');

# Into the very database that the dump is of: what it has done since is not in the dump.
sql('DROP EXTENSION mulberry; DROP SCHEMA mulberry; DROP EXTENSION pgcrypto');
$source->command_ok([ @{ $restores{plain} }, $source->connstr('telephony') ], 'a dump is restored in place');
is(sql('SELECT mulberry.outbound_allowed()'), 'f', '... and held');
like(sql(q{SELECT detail FROM mulberry.health() WHERE item = 'secrets'}), qr{^2 secrets can be read}, '... with its secrets');

# Without privileges.
$target->safe_psql('postgres', 'CREATE DATABASE naked');
$target->command_ok([ 'pg_restore', '--exit-on-error', '--no-privileges', '--no-owner', "$tmp/custom.dump", '-d', $target->connstr('naked') ],
    'a dump is restored without privileges');
is($target->safe_psql('naked', q{SELECT status FROM mulberry.health() WHERE item = 'members'}), 'error', 'health() misses them');
$target->safe_psql('naked', 'SELECT mulberry.refresh_grants()');
is(content($target, 'naked')->{rights}, $before->{rights}, 'refresh_grants() gives them back');

# Into another encoding: the audit log is the same text, not the same bytes.
foreach my $database ([ 'unicode', 'UTF8' ], [ 'latin', 'LATIN1' ])
{
    $target->safe_psql('postgres', "CREATE DATABASE $database->[0] ENCODING '$database->[1]' LOCALE 'C' TEMPLATE template0");
}
$target->safe_psql('unicode', <<'SQL');
CREATE EXTENSION mulberry CASCADE;
SELECT mulberry_internal.record_audit(id, U&'f\00FCr', U&'\00E9', evidence => jsonb_build_object('name', U&'Zo\00EB')) FROM mulberry_internal.tenants;
SELECT mulberry_internal.link_audit();
SQL
$target->command_ok([ "$bindir/pg_dump", '-Fc', '-f', "$tmp/unicode.dump", $target->connstr('unicode') ], 'a database in UTF-8 is dumped');
$target->command_ok([ 'pg_restore', '--exit-on-error', "$tmp/unicode.dump", '-d', $target->connstr('latin') ], '... and restored in LATIN1');
is($target->safe_psql('latin', q{SELECT octet_length(action) FROM mulberry_internal.audit}), '3', '... where a letter is one byte');
is($target->safe_psql('latin', q{SELECT rows, problem IS NULL FROM mulberry.verify_audit()}), '1|t', '... and the audit log still fits');

# A dump of the copy restores as well.
$target->command_ok([ "$bindir/pg_dump", '-Fc', '-f', "$tmp/again.dump", $target->connstr('copy2') ], 'a held copy is dumped');
$target->safe_psql('postgres', 'CREATE DATABASE again');
$target->command_ok([ 'pg_restore', '--exit-on-error', "$tmp/again.dump", '-d', $target->connstr('again') ], '... and restored');
is(content($target, 'again')->{calls}, $before->{calls}, '... with the same calls');
is($target->safe_psql('again', 'SELECT mulberry.outbound_allowed()'), 'f', '... and held');

$source->stop;
$target->stop;
done_testing();
