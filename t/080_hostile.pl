# What hostile senders, services, tenants and roles try: each part breaks in where
# the server once let somebody in, or fall over.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('hostile', conf => <<'CONF');
mulberry.http_timeout = 120
mulberry.grace_period = 0
restart_after_crash = off
CONF

sub one
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql);
}

# Calls of a few bytes are stored with a short header, which the body of a
# request was once made from as if it were a long one.
subtest 'a sender sends a call of one sample' => sub {
    my $url = $ai->url('ok');
    one("SELECT mulberry.set_endpoint('ai', 'json', '$url', allow_http => true, allow_private => true)");
    one("SELECT mulberry.ingest_packet('tiny', 0, '\\x0102', NULL, 's16le', 8000);
         SELECT mulberry.complete_call('tiny', 1)");
    ok($node->poll_query_until('postgres',
            "SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry_internal.calls WHERE call_id = 'tiny'"),
        'it is processed');
    is(one("SELECT transcription FROM mulberry_internal.calls WHERE call_id = 'tiny'"), '1 samples, 0 silent',
        'the service got that sample and nothing else');
};

# Roles of two tenants, and one that has nothing.
one(<<'SQL');
CREATE ROLE admin_a LOGIN; CREATE ROLE operator_a LOGIN; CREATE ROLE ingest_a LOGIN;
CREATE ROLE admin_b LOGIN; CREATE ROLE ingest_b LOGIN; CREATE ROLE nobody LOGIN;
CREATE ROLE supervisors_b; CREATE ROLE supervisor_b LOGIN IN ROLE supervisors_b;
SELECT mulberry.create_tenant(t) FROM unnest(ARRAY['a', 'b']) AS t;
SELECT mulberry.grant_access('admin_a', 'admin', 'a'), mulberry.grant_access('operator_a', 'operator', 'a'),
       mulberry.grant_access('ingest_a', 'ingest', 'a'), mulberry.grant_access('admin_b', 'admin', 'b'),
       mulberry.grant_access('ingest_b', 'ingest', 'b'), mulberry.grant_access('supervisors_b', 'supervisor', 'b');
SQL

# Runs a statement as a role; what it says on stderr, "" when it succeeds.
sub says
{
    my ($role, $sql) = @_;
    my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);
    return $err;
}

# A sum of years and as many negative days is small, and still leads out of
# the range of timestamps when it is added to one.
subtest 'an admin of one tenant gives intervals that no time can bear' => sub {
    my $absurd = "'1000000 years -360000000 days 1 hour'";
    like(says('admin_a', "SELECT mulberry.alter_tenant('a', retention => $absurd)"),
        qr/retention is at most 1000 years, and no part of it is negative/, 'not as retention');
    like(says('admin_a', "SELECT mulberry.alter_tenant('a', retention => '1000000 years')"), qr/at most 1000 years/,
        'nor without the trick');
    is(says('admin_a', "SELECT mulberry.alter_tenant('a', retention => '1000 years')"), '', 'a thousand years are fine');
    like(says('admin_a', "SELECT mulberry.set_endpoint('x', 'json', 'https://example.com', timeout => $absurd, tenant => 'a')"),
        qr/timeout must be between 100 ms and 1 hour/, 'nor as timeout');
    is(says('admin_a', "SELECT mulberry.set_endpoint('x', 'json', 'https://example.com', purpose => NULL,
                                                     timeout => '10000 years -3652500 days 1 hour', tenant => 'a')"),
        '', 'what is an hour');
    is(one("SELECT timeout FROM mulberry_internal.endpoints WHERE name = 'x'"), '01:00:00', 'is stored as one');
    is(one('SELECT mulberry.maintenance()'), 'f', 'maintenance works');
    is(one("SELECT count(*) FROM mulberry_internal.claim_jobs(1, 1, clock_timestamp())"), '0', 'jobs can be claimed');
};

subtest 'a secret of one tenant does not stop the endpoint of all' => sub {
    my $url = $ai->url('ok') . '/v1';
    one("SELECT mulberry.set_endpoint('mulberry-speech', 'openai', '$url', secret => 'key', allow_http => true,
                                      allow_private => true, tenant => NULL)");
    my $copy = "COPY mulberry.secret_entry (tenant, name, value) FROM STDIN";
    one("$copy;\na\tkey\ttwo\\nlines\nb\tkey\tgood\n\\.\n");
    for my $tenant ('a', 'b')
    {
        is(says("ingest_$tenant", "SELECT mulberry.ingest_packet('secret', 0, '\\x0102', NULL, 's16le', 8000);
                                   SELECT mulberry.complete_call('secret', 1)"), '', "a call of tenant $tenant");
        wait_for_true($node, "SELECT count(*) = 1 FROM mulberry.jobs WHERE tenant = '$tenant' AND (deferrals > 0 OR finished_at IS NOT NULL)",
            "the job of tenant $tenant has been tried");
    }
    like(one("SELECT last_error FROM mulberry.jobs WHERE tenant = 'a'"), qr/line break/, 'the one with the bad secret waits');
    is(one("SELECT state FROM mulberry.jobs WHERE tenant = 'b'"), 'done', 'the other is done');
    is(one("SELECT breaker FROM mulberry.endpoint_status WHERE name = 'mulberry-speech'"), 'closed', 'the endpoint is not blamed');
    one("SELECT mulberry.cancel_job(id) FROM mulberry.jobs WHERE finished_at IS NULL");
};

subtest 'what a service says about one tenant\'s call is not told to the others' => sub {
    my $url = $ai->url('status-500') . '/v1';
    one("SELECT mulberry.set_endpoint('mulberry-speech', 'openai', '$url', allow_http => true, allow_private => true, tenant => NULL)");
    one("SELECT mulberry_internal.report_endpoint((SELECT id FROM mulberry_internal.endpoints WHERE name = 'mulberry-speech'), 'down')");
    says('ingest_b', "SELECT mulberry.ingest_packet('told', 0, '\\x0102', NULL, 's16le', 8000); SELECT mulberry.complete_call('told', 1)");
    ok($node->poll_query_until('postgres', "SELECT last_error LIKE 'HTTP 500%' FROM mulberry_internal.endpoint_state"), 'a probe fails');
    ok($node->poll_query_until('postgres', "SELECT last_error LIKE 'HTTP 500: {%' FROM mulberry.jobs WHERE call_id = 'told'"),
        'its tenant reads the answer');
    is(one("SELECT last_error FROM mulberry_internal.endpoint_state"), 'HTTP 500', 'the others that it was one');
    one("SELECT mulberry.cancel_job(id) FROM mulberry.jobs WHERE finished_at IS NULL");

    one("SELECT mulberry.set_endpoint('of-b', 'json', 'https://127.0.0.1:1', allow_private => true, tenant => 'b')");
    one("SELECT mulberry_internal.report_endpoint((SELECT id FROM mulberry_internal.endpoints WHERE name = 'of-b'), 'sentence of b')");
    my $seen = $node->safe_psql('postgres', 'SELECT * FROM mulberry.health()', extra_params => [ '-U', 'operator_a' ]);
    unlike($seen, qr/of-b|sentence of b/, 'health() names no endpoint of another tenant');
    like($seen, qr/endpoints of other tenants\|error\|1 are unavailable/, 'but says that there is one');
    like(one('SELECT * FROM mulberry.health()'), qr/endpoint of-b\|error\|.*sentence of b/, 'and all to who may know');
    one("SELECT mulberry.drop_endpoint('of-b', 'b')");
};

# The key of a call's lock was a function of tenant and call id alone.
subtest 'pg_locks does not tell whose calls are going on' => sub {
    my $key = one(<<'SQL');
BEGIN;
SELECT FROM mulberry.ingest_packet('guessed', 0, '\x00', NULL, 'mulaw', 8000);
SELECT (SELECT l.classid::bigint << 32 | l.objid::bigint FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.objsubid = 27757)
       = hashtextextended('guessed' COLLATE "C",
             x'79727265626c756d'::bit(64)::bigint # hashmacaddr8extended('80:00:00:00:00:00:00:01', 0));
COMMIT;
SQL
    is($key, 'f', 'the key of a lock cannot be computed from the name of the call');
};

subtest 'who loses a group does not hear its tenant any more' => sub {
    my ($in, $out, $err) = ('', '', '');
    my $handle = IPC::Run::start([ 'psql', '-XAtq', '-U', 'supervisor_b', '-d', $node->connstr('postgres'), '-f', '-' ],
        '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
    $in .= "SELECT channel FROM mulberry.subscribe();\n\\echo subscribed\n";
    $handle->pump until $out =~ /subscribed/;
    one('REVOKE supervisors_b FROM supervisor_b');
    is(says('ingest_b', "SELECT mulberry.ingest_packet('overheard', 0, '\\x0102', NULL, 's16le', 8000)"), '', 'a packet comes');
    ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM mulberry_internal.event_channels WHERE channel = '$1'"),
        'the channel goes out of use') if $out =~ /(mulberry_\w+)/;
    is(says('ingest_b', "SELECT mulberry.ingest_packet('overheard', 1, '\\x0102', NULL, 's16le', 8000)"), '', 'and another');
    sleep 1;
    $in .= "SELECT 'heard so far';\n";
    $handle->pump until $out =~ /heard so far/;
    $in .= "\\q\n";
    $handle->finish;
    unlike($out, qr/overheard/, 'it heard nothing of either');
    like($out, qr/"resubscribe"/, 'but that it must subscribe again');
};

# Operators of somebody else for pairs of types that the catalog has none for.
subtest 'a role with CREATE on a schema of the search path' => sub {
    one('CREATE ROLE maker LOGIN; CREATE DATABASE of_maker OWNER maker; GRANT CREATE ON SCHEMA public TO maker');
    my $operator = sub {
        my ($name, $left, $right, $result) = @_;
        my $function = 'trap_' . join('_', unpack('H*', $name), $left, $right);
        return "CREATE FUNCTION public.$function($left, $right) RETURNS $result LANGUAGE plpgsql AS
                \$\$ BEGIN RAISE EXCEPTION 'trap: $left $name $right ran as %', current_user; END \$\$;
                CREATE OPERATOR public.$name (LEFTARG = $left, RIGHTARG = $right, FUNCTION = public.$function);";
    };
    is(says('maker', $operator->('*', 'numeric', 'int4', 'numeric')), '', 'sets a trap for run_jobs()');
    my ($status, $out, $err) = $node->psql('postgres', 'CALL mulberry.run_jobs(1)');
    unlike($err, qr/trap/, 'run_jobs() of a superuser does not step into it');

    my $sql = 'CREATE EXTENSION pgcrypto;' . join '', map { $operator->(@$_, 'bool') }
      [ '=', 'oid', 'regnamespace' ], [ '<>', 'oid', 'regrole' ], [ '=', 'oid', 'regclass' ], [ '=', 'oid', 'regrole' ],
      [ '=', 'regrole', 'oid' ], [ '=', 'regclass', 'oid' ], [ '=', 'name', 'varchar' ], [ '>', 'int8', 'numeric' ],
      [ '=', 'int4', 'numeric' ], [ '^', 'int4', 'int4' ], [ '||', 'name', 'name' ];
    ($status, $out, $err) = $node->psql('of_maker', $sql, extra_params => [ '-U', 'maker' ], on_error_stop => 1);
    is($err, '', 'the owner of a database sets traps for CREATE EXTENSION');
    ($status, $out, $err) = $node->psql('of_maker', 'CREATE EXTENSION mulberry', on_error_stop => 1);
    is($err, '', 'which does not step into them');
};

$node->stop;
done_testing();
