# GET /metrics of mulberry-gateway: its own figures and, with a token of access monitor, those of the database, as another maker's parser
# reads them (python3-prometheus-client); answered while the database is down, or does not answer.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run qw(run);
use Mulberry::Cluster;
use Mulberry::Gateway;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $python = '/usr/bin/python3';
plan skip_all => 'needs python3-prometheus-client' if system("$python -c 'import prometheus_client.parser' 2>/dev/null") != 0;

my $node = mulberry_cluster('gateway_metrics');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL), mulberry.grant_access('gate', 'monitor', NULL)});
my %token = map { /(\S+) (\S+)/ } split /\n/, sql(q{SELECT 'monitor ' || mulberry.create_token('monitor', 'monitor', NULL) UNION ALL SELECT 'pbx ' || mulberry.create_token('pbx', 'ingest')});
my $gateway = start_gateway($node, '--metrics-token', $token{monitor});
my $plain = start_gateway($node);
my $wrong = start_gateway($node, '--metrics-token', $token{pbx});

# What the parser makes of it: a line for each family, its name, type and samples; it fails where HELP or TYPE come twice, or the samples of
# a family do not stand together.
my $reader = <<'PYTHON';
import sys
from prometheus_client.parser import text_string_to_metric_families
text = sys.stdin.read()
for kind in ('HELP', 'TYPE'):
    names = [line.split()[2] for line in text.split('\n') if line.startswith('# ' + kind)]
    assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]
seen = {}
for family in text_string_to_metric_families(text):
    assert (family.name, family.type) not in seen, family.name
    seen[(family.name, family.type)] = True
    assert family.type != 'unknown', family.name
    assert family.documentation, family.name
    assert len(set((s.name, tuple(sorted(s.labels.items()))) for s in family.samples)) == len(family.samples), family.name
    print(family.name, family.type, ' '.join('%s{%s}=%s' % (s.name, ','.join(sorted(s.labels)), s.value) for s in family.samples))
PYTHON
sub families
{
    my ($of, $name) = @_;
    my $answer = ask_admin($of, '/metrics');
    is("$answer->{status} $answer->{headers}{'content-type'}", '200 text/plain; version=0.0.4; charset=utf-8', "$name: answered");
    run([ $python, '-c', $reader ], '<', \$answer->{content}, '>', \my $read, '2>', \my $wrong);
    is($wrong, '', "$name: the parser takes it");
    return { map { /^(\S+) (.*)$/ } split /\n/, $read };
}

my $end = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.05 while ask_admin($gateway, '/health/ready')->{status} != 200 && time < $end;
is(ask($gateway, 'POST', '/v1/call/stream/x', body => packet_body(0), token => $token{pbx})->{status}, 202, 'a packet');
my $all = families($gateway, 'all of it');
is($all->{mulberry_sql_up}, 'gauge mulberry_sql_up{}=1.0', 'the database answers');
ok(defined $all->{$_}, "$_, as the original documents call it") foreach qw(voice_calls dtmf_verification_failures active_mandates);
like($all->{mulberry_packets}, qr/mulberry_packets_total\{outcome\}=1\.0/, 'the database has counted the packet');
like($all->{mulberry_gateway_packets}, qr/=1\.0/, 'and so has the gateway');
like($all->{process_cpu_seconds}, qr/^counter/, 'what every process has');
my $own = families($plain, 'without a token');
ok(!defined $own->{mulberry_sql_up} && !defined $own->{mulberry_packets}, 'only its own');
is_deeply([ grep { !defined $all->{$_} } keys %$own ], [], 'all of which the other one has, too');
my $refused = families($wrong, 'a token of another access');
is($refused->{mulberry_sql_up}, 'gauge mulberry_sql_up{}=0.0', 'gets none of the database');
like(log_of_gateway($wrong), qr/the database does not give its figures.*42501/, 'and the log says why');
unlike(log_of_gateway($_), qr/\Q$token{monitor}\E|\Q$token{pbx}\E/, 'without the token') foreach $gateway, $wrong;

# somebody holds what it reads: the answer does not wait for that
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE mulberry_internal.mandates IN ACCESS EXCLUSIVE MODE');
$all = families($gateway, 'while the database does not answer');
is($all->{mulberry_sql_up}, 'gauge mulberry_sql_up{}=0.0', 'without its figures');
$holder->query_safe('COMMIT');
$holder->quit;
$node->stop('fast');
wait_for_gateway($gateway, qr/no connection to the database/);
$all = families($gateway, 'without a database');
is($all->{mulberry_sql_up}, 'gauge mulberry_sql_up{}=0.0', 'the gateway\'s own');
is($all->{mulberry_gateway_database_up}, 'gauge mulberry_gateway_database_up{}=0.0', 'which say so');
$node->start;
$end = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.1 while ask_admin($gateway, '/metrics')->{content} !~ /^mulberry_sql_up 1$/m && time < $end;
is(families($gateway, 'when it is back')->{mulberry_sql_up}, 'gauge mulberry_sql_up{}=1.0', 'its figures are back');

kill 'TERM', $_->{pid} foreach $gateway, $plain, $wrong;
$_->{run}->finish foreach $gateway, $plain, $wrong;
$node->stop;
done_testing();
