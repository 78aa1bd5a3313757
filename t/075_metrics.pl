# What metrics() counts: exactly what has been committed, by many sessions at once, in subtransactions, beside transactions
# that are rolled back or prepared; it never goes down while the server runs, and begins at 0 with the server's memory.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('metrics', conf => <<'CONF');
max_connections = 40
max_prepared_transactions = 5
restart_after_crash = on
mulberry.grace_period = 0
mulberry.ai_retry_delay = 20
mulberry.max_databases = 1
CONF

sub one { return $node->safe_psql('postgres', $_[0]) }

# The value of a sample, of all tenants or of one; nothing where there is none.
sub value
{
    my ($name, %label) = @_;
    my $by_tenant = exists $label{tenant} ? 'true' : 'false';
    my $labels = join ', ', map { "'$_', '$label{$_}'" } sort keys %label;
    return one("SELECT value FROM mulberry.metrics($by_tenant) WHERE name = '$name' AND labels = jsonb_build_object($labels)");
}

sub becomes
{
    my ($expected, $what, $name, %label) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    my $found;
    do { $found = value($name, %label) } until $found eq $expected || time > $deadline;
    is($found, $expected, $what);
    return;
}

# Every counter by name and labels.
sub counters
{
    my ($by_tenant) = @_;
    $by_tenant //= 'false';
    return map { /^(.*) (\S+)$/ ? ($1, $2) : () } split /\n/,
      one("SELECT name || labels || ' ' || value FROM mulberry.metrics($by_tenant) WHERE type IN ('counter', 'histogram')");
}

# Those that are less than they were, or gone.
sub gone_down
{
    my ($before, $now) = @_;
    return [ map { "$_: $before->{$_} then " . ($now->{$_} // 'nothing') } grep { ($now->{$_} // -1) < $before->{$_} } sort keys %$before ];
}

one("SELECT mulberry.create_tenant('$_') FROM (SELECT) x") for 'alpha', 'beta';
one("SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url('phase') ]}', allow_http => true, allow_private => true, priority => 0, tenant => NULL)");
$ai->behave('ok');

my $packet = q{decode(repeat('ff', 160), 'hex'), NULL, 'mulaw', 8000, 'alpha'};

subtest 'a call, packet by packet' => sub {
    one("SELECT mulberry.ingest_packet('one', s, $packet) FROM unnest(ARRAY[0, 5, 3, 1, 2, 2, 4, 6]) s");
    my %is = (
        mulberry_packets_late_total => 4,
        mulberry_packet_bytes_total => 7 * 160,
        mulberry_audio_seconds_total => 0.14,
        # 1 to 4, then split by 3
        mulberry_gaps_opened_total => 2,
        mulberry_gaps_filled_total => 2,
    );
    is(value($_), $is{$_}, $_) for sort keys %is;
    is(value('mulberry_packets_total', outcome => 'accepted', tenant => 'alpha'), 7, 'accepted packets');
    is(value('mulberry_packets_total', outcome => 'duplicate'), 1, 'one that came twice');
    is(value('mulberry_packets_total', outcome => 'rejected'), 0, 'none rejected');
    is(value('mulberry_calls', state => 'IN_PROGRESS'), 1, 'a call in progress');
    is(value('mulberry_call_transitions_total', state => 'IN_PROGRESS'), 1, '... that began');

    one(q{SELECT mulberry.complete_call('one', 7, 'alpha')});
    becomes(1, 'it gets its transcript', 'mulberry_call_transitions_total', state => 'ARCHIVED');
    becomes(1, 'by a job', 'mulberry_jobs_total', kind => 'transcribe', outcome => 'done');
    is(value('mulberry_job_duration_seconds_count', kind => 'transcribe'), 1, 'that took a time');
    is(value('mulberry_job_duration_seconds_bucket', kind => 'transcribe', le => '+Inf'), 1, '... whatever it was');
    is(one(q{SELECT h.value BETWEEN 0.001 AND 60 FROM mulberry.metrics() h WHERE h.name = 'mulberry_job_duration_seconds_sum'
                AND h.labels = '{"kind": "transcribe"}'}), 't', '... of so many seconds');
    is(one(q{SELECT bool_and(value >= before) FROM (SELECT value, coalesce(lag(value) OVER (PARTITION BY labels - 'le' ORDER BY n), 0) AS before
              FROM mulberry.metrics() WITH ORDINALITY AS m (metric, type, help, name, labels, value, n) WHERE name LIKE '%_bucket') b}),
        't', 'buckets contain those below them');
    is(value('mulberry_calls', state => 'IN_PROGRESS'), 0, 'nothing is unfinished');
    one("SELECT mulberry.ingest_packet('one', 9, $packet)");
    is(value('mulberry_packets_total', outcome => 'rejected'), 1, 'a packet after the end');
    becomes(one(q{SELECT count(*) FROM mulberry_internal.events WHERE event = 'state_changed'}), 'events',
        'mulberry_events_total', event => 'state_changed');
    is(value('mulberry_events_total', event => 'packet_received'), '', 'of which packet events are none');
};

subtest 'what fails' => sub {
    $ai->behave('status-400');
    one(qq{SELECT mulberry.ingest_packet('bad', 0, $packet); SELECT mulberry.complete_call('bad', 1, 'alpha')});
    becomes(1, 'a job that is given up', 'mulberry_jobs_total', kind => 'transcribe', outcome => 'dead');
    is(value('mulberry_call_transitions_total', state => 'FAILED'), 1, 'its call');
    is(value('mulberry_job_duration_seconds_count', kind => 'transcribe'), 1, 'has no duration');
    $ai->behave('ok');
};

subtest 'transactions that do not commit, and parts of those that do' => sub {
    my $before = value('mulberry_packets_total', outcome => 'accepted');
    one("BEGIN; SELECT mulberry.ingest_packet('undone', 0, $packet); ROLLBACK");
    is(value('mulberry_packets_total', outcome => 'accepted'), $before, 'rolled back: not counted');
    one(<<"SQL");
BEGIN;
SELECT mulberry.ingest_packet('parts', 0, $packet);
SAVEPOINT a;
SELECT mulberry.ingest_packet('parts', 1, $packet);
SAVEPOINT b;
SELECT mulberry.ingest_packet('parts', 2, $packet);
RELEASE b;
SAVEPOINT c;
SELECT mulberry.ingest_packet('parts', 3, $packet);
ROLLBACK TO a;
SELECT mulberry.ingest_packet('parts', 1, $packet);
SAVEPOINT d;
SELECT mulberry.ingest_packet('parts', 2, $packet);
RELEASE d;
COMMIT;
SQL
    is(value('mulberry_packets_total', outcome => 'accepted'), $before + 3, 'what was not rolled back');

    one(<<'SQL');
DO $$
BEGIN
    FOR n IN 0 .. 1999 LOOP
        BEGIN
            PERFORM mulberry.ingest_packet('loop-' || n % 3, n / 3, '\xff', NULL, 'mulaw', 8000, CASE n % 2 WHEN 0 THEN 'alpha' ELSE 'beta' END);
            IF n % 5 = 0 THEN
                RAISE EXCEPTION 'undone';
            END IF;
        EXCEPTION WHEN raise_exception THEN
        END;
    END LOOP;
END
$$
SQL
    is(value('mulberry_packets_total', outcome => 'accepted'),
        one('SELECT count(*) FROM mulberry_internal.packets'), 'a loop of subtransactions, some of which fail');
};

subtest 'prepared transactions' => sub {
    my ($status, $out, $err) = $node->psql('postgres', <<'SQL');
BEGIN;
SELECT mulberry_internal.settle_job(mulberry_internal.enqueue_job('sentiment', '6d756c62-6572-7279-8000-000000000001'), 'cancelled', 'x');
PREPARE TRANSACTION 'counted';
SQL
    like($err, qr/cannot PREPARE a transaction that has ended a job/, 'what is counted at the commit cannot be prepared');
    is(value('mulberry_jobs_total', kind => 'sentiment', outcome => 'cancelled'), 0, '... and is not counted');

    my $event = q{SELECT mulberry_internal.emit_event(id, 'call_erased', NULL, 'x', '{"role": "tester"}') FROM mulberry_internal.tenants WHERE name = 'beta'};
    one("BEGIN; $event; PREPARE TRANSACTION 'kept'");
    one("BEGIN; $event; PREPARE TRANSACTION 'undone'");
    one("ROLLBACK PREPARED 'undone'");
    is(value('mulberry_events_total', event => 'call_erased'), 0, 'events of a prepared transaction are none yet');
    one("COMMIT PREPARED 'kept'");
    # nobody wakes the notifier for it
    one("SELECT mulberry.events_since(0, 1, 'beta')");
    becomes(1, '... and are counted once it is committed', 'mulberry_events_total', event => 'call_erased');
    is(value('mulberry_events_total', event => 'call_erased', tenant => 'beta'), 1, '... by their tenant');
};

subtest 'commands, mandates and frames' => sub {
    one(<<'SQL');
SELECT mulberry.create_agent('pi', tenant => 'alpha');
SELECT mulberry.create_voice_key('pi', tenant => 'alpha');
SELECT mulberry.create_mandate('72000001', 'pi', 'sponsor', 100, 'USD', now() + interval '1 day', 'alpha');
SQL
    is(value('active_mandates'), 1, 'a mandate');
    my $key = one("CALL mulberry.export_voice_key('pi', 1, 'alpha')");
    one("COPY mulberry.voice_key_entry (tenant, agent, key) FROM stdin;\nbeta\tpi\t$key\n\\.\n");
    one("SELECT mulberry.agent_sync('pi', tenant => 'alpha')");
    my $command = one("SELECT mulberry.ping_agent('pi', tenant => 'alpha')->>'command_id'");
    becomes(1, 'a command', 'mulberry_commands_total', command => 'PING', outcome => 'queued');
    my $frame = one("SELECT frame FROM mulberry_internal.commands WHERE id = $command");
    is(one("SELECT verdict FROM mulberry.handle_command_symbols('$frame', tenant => 'alpha')"), 'forgery', 'a frame of a key that is not there');
    is(one("SELECT verdict FROM mulberry.handle_command_symbols('$frame', tenant => 'beta')"), 'accepted', 'a genuine one');
    is(one("SELECT verdict FROM mulberry.handle_command_symbols('$frame', tenant => 'beta')"), 'duplicate', '... once more');
    is(value('mulberry_command_frames_total', verdict => $_), 1, "$_ frames") for 'forgery', 'accepted', 'duplicate';
    is(value('mulberry_command_frames_total', verdict => 'stale'), 0, 'stale frames');
    is(value('dtmf_verification_failures_total'), 1, 'failed verifications');
    my $ack = one("SELECT ack_digits FROM mulberry.handle_command_symbols('$frame', tenant => 'beta')");
    one("SELECT mulberry.agent_sync('pi', '[{\"ack\": \"$ack\"}]', tenant => 'alpha')");
    is(value('mulberry_acknowledgements_total', verdict => 'genuine'), 1, 'a genuine acknowledgement');
    becomes(1, '... confirms the command', 'mulberry_commands_total', command => 'PING', outcome => 'confirmed');
};

subtest 'many sessions at once' => sub {
    one('CREATE TABLE answers (tenant text, status text, bytes integer)');
    my $directory = PostgreSQL::Test::Utils::tempdir();
    append_to_file("$directory/single.sql", <<'SQL');
\set call random(1, 5)
\set sequence random(0, 400)
\set t random(0, 1)
BEGIN;
SAVEPOINT s;
INSERT INTO answers SELECT x.tenant, r.status, 80 FROM (SELECT CASE :t WHEN 0 THEN 'alpha' ELSE 'beta' END AS tenant) x,
    mulberry.ingest_packet('many-' || :call, :sequence, decode(repeat('ff', 80), 'hex'), NULL, 'mulaw', 8000, x.tenant) r;
RELEASE s;
\if random(0, 3)
COMMIT;
\else
ROLLBACK;
\endif
SQL
    append_to_file("$directory/batch.sql", <<'SQL');
\set from random(0, 380)
\set t random(0, 1)
INSERT INTO answers SELECT x.tenant, r.status, 80 FROM (SELECT CASE :t WHEN 0 THEN 'alpha' ELSE 'beta' END AS tenant) x,
    mulberry.ingest_packets(ARRAY(SELECT 'many-' || 1 + s % 5 FROM generate_series(0, 19) s), ARRAY(SELECT :from::integer + s FROM generate_series(0, 19) s),
        array_fill(decode(repeat('ff', 80), 'hex'), ARRAY[20]), NULL, 'mulaw', 8000, x.tenant) r;
SQL
    my @tenants = ('alpha', 'beta');
    my @outcomes = ('accepted', 'duplicate', 'rejected');
    my %before;
    for my $tenant (@tenants) { $before{"$tenant $_"} = value('mulberry_packets_total', outcome => $_, tenant => $tenant) || 0 for @outcomes }
    my ($bytes, $seconds) = map { value($_) } 'mulberry_packet_bytes_total', 'mulberry_audio_seconds_total';
    my $open = value('mulberry_gaps_opened_total') - value('mulberry_gaps_filled_total');
    is($open, one('SELECT count(*) FROM mulberry_internal.gaps'), 'gaps that were opened and not filled are there');
    $node->command_ok([ 'pgbench', '-n', '-c', 12, '-j', 2, '-t', 150, '-f', "$directory/single.sql\@4", '-f', "$directory/batch.sql\@1",
            '-h', $node->host, '-p', $node->port, 'postgres' ], 'packets from twelve sessions');
    for my $tenant (@tenants)
    {
        is((value('mulberry_packets_total', outcome => $_, tenant => $tenant) || 0) - $before{"$tenant $_"},
            one("SELECT count(*) FROM answers WHERE tenant = '$tenant' AND status = '$_'"), "$tenant: $_") for @outcomes;
    }
    my $accepted = one("SELECT count(*) FROM answers WHERE status = 'accepted'");
    cmp_ok($accepted, '>', 500, 'many packets');
    is(value('mulberry_packet_bytes_total') - $bytes, $accepted * 80, 'bytes');
    cmp_ok(abs(value('mulberry_audio_seconds_total') - $seconds - $accepted * 0.01), '<', 1e-6, 'seconds');
    is(value('mulberry_gaps_opened_total') - value('mulberry_gaps_filled_total'), one('SELECT count(*) FROM mulberry_internal.gaps'), 'gaps');
    is(value('mulberry_packets_total', outcome => 'accepted'), one('SELECT count(*) FROM mulberry_internal.packets'), 'and all packets together');
};

subtest 'nothing goes down while the server runs' => sub {
    my %before = counters();
    my %by_tenant = counters('true');
    my $start = value('mulberry_counting_start_time_seconds');
    my $same = sub {
        my ($what) = @_;
        my %now = counters();
        is_deeply(gone_down(\%before, \%now), [], "... and no counter went down: $what");
        is_deeply(gone_down(\%by_tenant, { counters('true') }), [], '... nor one of a tenant');
        is(value('mulberry_counting_start_time_seconds'), $start, '... nor began anew');
        %before = %now;
    };
    $node->append_conf('postgresql.conf', 'mulberry.workers = 2');
    $node->reload;
    wait_for_workers($node, 'postgres', 2);
    $same->('a reload with another setting');

    one("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'mulberry %'");
    wait_for_true($node, "SELECT value >= 4 FROM mulberry.metrics() WHERE name = 'mulberry_process_starts_total' AND labels->>'type' = 'worker'",
        'workers were started again');
    $same->('processes that were ended');

    one(q{CREATE ROLE others LOGIN; SELECT mulberry.grant_access('others', 'worker', NULL)});
    $node->append_conf('postgresql.conf', "mulberry.worker_role = 'others'");
    $node->reload;
    wait_for_true($node, "SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type ~ '^mulberry (worker|notifier)' AND usename = 'others'",
        'the processes run as another role');
    $same->('another mulberry.worker_role');

    $node->append_conf('postgresql.conf', "mulberry.databases = ''");
    $node->reload;
    wait_for_true($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ '^mulberry (worker|notifier)'", 'they are gone');
    one("SELECT mulberry.ingest_packet('unserved', 0, $packet)");
    $same->('a database that is not served');
    is(value('mulberry_packets_total', outcome => 'accepted'), one('SELECT count(*) FROM mulberry_internal.packets'), 'where packets are counted all the same');
    $node->append_conf('postgresql.conf', "mulberry.databases = 'postgres'");
    $node->reload;
    wait_for_workers($node, 'postgres', 2);
    $same->('and is served again');
};

subtest 'more tenants than there is room for' => sub {
    my $events = "SELECT count(mulberry_internal.emit_event(id, 'call_erased', NULL, 'x', '{\"role\": \"tester\"}')) FROM mulberry_internal.tenants WHERE name LIKE 'many-%'";
    one("INSERT INTO mulberry_internal.tenants (name) SELECT 'many-' || n FROM generate_series(1, 450) n");
    one($events);
    becomes(451, 'all of them are counted', 'mulberry_events_total', event => 'call_erased');
    is(one(q{SELECT sum(value) FROM mulberry.metrics(true) WHERE name = 'mulberry_events_total' AND labels->>'event' = 'call_erased'}), 451, '... also apart');
    cmp_ok(value('mulberry_events_total', event => 'call_erased', tenant => '(others)'), '>=', 50, 'some of them together');
    one($events);
    becomes(901, '... and go on', 'mulberry_events_total', event => 'call_erased');
};

subtest 'a crash: the memory of the server is gone' => sub {
    my $start = value('mulberry_counting_start_time_seconds');
    my $pid = one(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'mulberry worker' LIMIT 1});
    kill 'KILL', $pid;
    $node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)") or die 'the server did not come back';
    wait_for_workers($node, 'postgres', 2);
    cmp_ok(value('mulberry_counting_start_time_seconds'), '>', $start, 'counting began anew, and says so');
    is(value('mulberry_packets_total', outcome => 'accepted'), 0, 'at 0');
    one("SELECT mulberry.ingest_packet('after', 0, $packet)");
    is(value('mulberry_packets_total', outcome => 'accepted'), 1, '... and counts');
};

subtest 'another database' => sub {
    one('CREATE DATABASE second');
    $node->safe_psql('second', 'CREATE EXTENSION mulberry CASCADE');
    my $count = q{SELECT value FROM mulberry.metrics() WHERE name = 'mulberry_packet_bytes_total'};
    is($node->safe_psql('second', $count), '', 'one that is not listed counts nothing, which is not 0');
    $node->append_conf('postgresql.conf', "mulberry.worker_role = ''\nmulberry.databases = 'second'");
    $node->reload;
    wait_for_workers($node, 'second', 2);
    is($node->safe_psql('second', $count), 0, 'listed in the place of the other one it begins at 0');
    is(one($count), '', '... which has no counters any more');
};

$node->stop;
done_testing();
