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
    [ '', 'endpoint_state, openings at the end of numbers' => "INSERT INTO mulberry_internal.endpoint_state (endpoint, state, openings, retry_at) SELECT id, 'open', 2147483647, now() FROM mulberry_internal.endpoints LIMIT 1" ],
);

my $shared = Mulberry::SharedWork->new($node);
is($shared->stopped, '', 'nothing is poisoned') or BAIL_OUT('the test itself does not work');
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

$shared->finish;
$node->stop;
done_testing();
