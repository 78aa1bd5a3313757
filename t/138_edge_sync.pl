# mulberry-edge sync: an edge with a database of its own and a gateway in front of the cloud's. Commands and mandates arrive, and what was done is
# confirmed, whatever of it all goes away meanwhile; what answers and is no gateway is no answer.
use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use lib "$FindBin::RealBin/lib";
use IO::Socket::INET;
use IPC::Run;
use Mulberry::Clock;
use Mulberry::Cluster;
use Mulberry::Edge;
use Mulberry::Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $cloud = mulberry_cluster('cloud');
my $edge = mulberry_cluster('edge');
sub cloud { return $cloud->safe_psql('postgres', shift) }
sub here { return $edge->safe_psql('postgres', shift) }

cloud(<<'SQL');
CREATE ROLE gate LOGIN;
SELECT mulberry.grant_access('gate', 'gateway', NULL);
SELECT mulberry.create_agent('pi'), mulberry.create_voice_key('pi');
SELECT mulberry.create_mandate(lpad(n::text, 8, '0'), 'pi', 'sponsor', 1000, 'EUR', now() + interval '30 days') FROM generate_series(1, 20) AS n;
SQL
here(q{CREATE ROLE till LOGIN; SELECT mulberry.grant_access('till', 'operator'); CREATE ROLE pbx LOGIN; SELECT mulberry.grant_access('pbx', 'ingest')});
my $pi = cloud(q{SELECT id FROM mulberry.agent_status});
my $token_file = PostgreSQL::Test::Utils::tempdir() . '/token';
sub write_token
{
    my ($token) = @_;
    unlink $token_file;
    append_to_file($token_file, "$token\n");
    chmod 0600, $token_file;
    return;
}
my $token = cloud(q{SELECT mulberry.create_token('pi', 'agent')});
write_token($token);

my $gateway = start_gateway($cloud);
my $port = $gateway->{port};
my @database = ('--database', sprintf('host=%s port=%s dbname=postgres user=till', $edge->host, $edge->port));
my @flags = (@database, '--token-file', $token_file);
sub sync_once { my ($url, @more) = @_; return edge('sync', '--once', @flags, '--gateway', $url, @more) }
my $url = "http://127.0.0.1:$port";

# ---- what is wrong is said, each with a status of its own ----

sub refused
{
    my ($name, $status, $pattern, @arguments) = @_;
    my ($got, $out, $err) = edge('sync', '--once', @arguments);
    is($got, $status, "$name: status $status") or diag $err;
    like($err, qr/^mulberry-edge: .*$pattern.*\n\z/, "$name: a line that says so");
    return;
}
refused('no gateway', 2, 'needs --gateway', @flags);
refused('no URL', 2, 'no URL', @flags, '--gateway', 'x y');
refused('another scheme', 2, 'no URL', @flags, '--gateway', 'ftp://example.com');
refused('a token in the clear', 2, 'say https://example.com', @flags, '--gateway', 'http://example.com');
refused('a password in the URL', 2, 'must not', @flags, '--gateway', 'https://a:b@example.com');
refused('a token that is not there', 9, 'No such file', @database, '--token-file', "$token_file.not", '--gateway', $url);
chmod 0644, $token_file;
refused('a token for everybody', 9, 'chmod 600', @flags, '--gateway', $url);
chmod 0600, $token_file;
refused('a device to check', 2, 'sync --once', @flags, '--gateway', $url, '--check');
refused('a role that only sends', 9, 'role "pbx" needs operator access', '--token-file', $token_file, '--gateway', $url, '--database', sprintf('host=%s port=%s dbname=postgres user=pbx', $edge->host, $edge->port));
refused('no voice key', 14, 'export_voice_key', @flags, '--gateway', $url);
refused('no database', 2, 'database', '--token-file', $token_file, '--gateway', $url, '--database', 'host=' . $edge->host . ' port=' . $edge->port . ' dbname=nothing user=till');

# the key goes over once
my $line = cloud(q{CALL mulberry.export_voice_key('pi', 1, NULL, NULL)});
$edge->psql('postgres', "COPY mulberry.voice_key_entry (key) FROM STDIN;\n$line\n\\.\n", on_error_die => 1);

write_token('mulberry_wrong');
refused('a wrong token', 9, 'says 401', @flags, '--gateway', $url);
write_token(cloud(q{SELECT mulberry.create_token('other', 'agent')}));
refused('a token of another agent', 9, 'says 403', @flags, '--gateway', $url);
write_token($token);

# ---- once ----

my ($status, $out, $err) = sync_once($url);
is($status, 0, 'an exchange') or diag $err;
is(here(q{SELECT count(*) FROM mulberry.mandate_status WHERE status = 'ACTIVE'}), 20, 'the edge knows its mandates');
is(here(q{SELECT accepted FROM mulberry.spend('00000001', 10, 'r')}), 't', 'and lets spend from them');
cloud(q{SELECT mulberry.revoke_mandate('00000001')});
is((sync_once($url))[0], 0, 'an exchange');
is(here(q{SELECT status FROM mulberry.mandate_status WHERE mandate_id = '00000001'}), 'REVOKED', 'what was revoked is revoked');
is(cloud(q{SELECT state || ' ' || method FROM mulberry.command_status}), 'confirmed api', 'and the cloud knows');

# ---- what answers and is no gateway ----

# Answers requests with these bytes, the last of them again and again, and writes down what it was asked, a line each.
sub portal
{
    my (@answers) = @_;
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 10, ReuseAddr => 1) or die $!;
    my $asked = PostgreSQL::Test::Utils::tempdir() . '/asked';
    my $pid = fork // die $!;
    if ($pid == 0)
    {
        while (my $client = $server->accept)
        {
            my $head = '';
            $head .= $_ while defined($_ = <$client>) && !/^\r?\n$/;
            read $client, (my $body), $head =~ /Content-Length: (\d+)/i ? $1 : 0;
            append_to_file($asked, "$body\n");
            print $client @answers > 1 ? shift @answers : $answers[0];
            close $client;
        }
        POSIX::_exit(0);
    }
    return { pid => $pid, port => $server->sockport, url => 'http://127.0.0.1:' . $server->sockport, asked => $asked };
}
sub asked { my ($portal) = @_; return -e $portal->{asked} ? split(/\n/, slurp_file($portal->{asked})) : () }
sub end_portal { my ($portal) = @_; kill 'KILL', $portal->{pid}; waitpid $portal->{pid}, 0; return }
my $before = here('SELECT string_agg(m::text, E\'\n\' ORDER BY mandate_id) FROM mulberry.mandate_status AS m');
sub answer { my ($type, $body, $status) = @_; return sprintf "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", $status // '200 OK', $type, length $body, $body }
for my $case (
    [ 'a page', answer('text/html', '<html>Please sign in</html>'), 'text/html' ],
    [ 'another address', "HTTP/1.1 302 Found\r\nLocation: $url/v1/agents/$pi/sync\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", '302' ],
    [ 'JSON that means something else', answer('application/json', '{"portal": true}'), 'no answer of agent_sync' ],
    [ 'JSON that is none', answer('application/json', '{"agent": '), 'invalid input syntax' ],
    [ 'an answer for another agent', answer('application/json', '{"agent": "00000000-0000-4000-8000-000000000000", "commands": []}'), 'does not exist' ],
    [ 'nothing', answer('application/json', ''), '200' ],
    [ 'half of one', "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", '' ],
    [ 'no HTTP', "220 mail.example.com ESMTP\r\n", '' ],
    [ 'somebody who is overloaded', answer('application/json', '{"detail": "later"}', '503 Service Unavailable'), 'says 503' ])
{
    my ($name, $bytes, $pattern) = @$case;
    my $portal = portal($bytes);
    my ($got, undef, $said) = sync_once($portal->{url});
    is($got, 10, "$name is no answer") or diag $said;
    like($said, qr/$pattern/, "$name: said") if $pattern ne '';
    end_portal($portal);
}
is(here('SELECT string_agg(m::text, E\'\n\' ORDER BY mandate_id) FROM mulberry.mandate_status AS m'), $before, 'nothing was changed by any of them');

# a forged command and forged news, in the right form
my $forged = portal(answer('application/json', qq({"agent": "$pi", "commands": [{"frame": "*010100000002000001234567890#"}], "updates": {"key_id": 1, "mac": ")
      . '0' x 64 . qq(", "data": "{\\"mandates\\": []}"}, "acks": []})));
sync_once($forged->{url});
end_portal($forged);
is(here('SELECT string_agg(m::text, E\'\n\' ORDER BY mandate_id) FROM mulberry.mandate_status AS m'), $before, 'nor by what is not signed');

# ---- all the time ----

my $log = PostgreSQL::Test::Utils::tempdir() . '/portals.log';
sub start_sync { my ($to) = @_; return IPC::Run::start([ $Mulberry::Edge::edge, 'sync', @flags, '--gateway', $to // $url ], '<', '/dev/null', '>', '/dev/null', '2>>', $log) }
sub wait_until
{
    my ($what, $condition) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    sleep 0.05 while !$condition->() && time < $end;
    ok($condition->(), $what) or diag slurp_file($log);
    return;
}
sub confirmed { my ($id, $name) = @_; wait_until($name, sub { cloud("SELECT state = 'confirmed' FROM mulberry.command_status WHERE mandate_id = '$id' ORDER BY command_id DESC LIMIT 1") eq 't' }); return }
sub log_has { my ($pattern) = @_; my $text = -e $log ? slurp_file($log) : ''; return $text =~ $pattern }

# what was not acknowledged to a gateway is not forgotten for somebody who answers in its place
cloud(q{SELECT mulberry.revoke_mandate('00000020')});
my $frames = HTTP::Tiny->new->post("$url/v1/agents/$pi/sync", { content => '{"acks": [], "since": 0}', headers => { 'Content-Type' => 'application/json', Authorization => "Bearer $token" } });
my $hides = portal(answer('application/json', $frames->{content}), answer('application/json', '{"portal": true}'));
my $sync = start_sync($hides->{url});
wait_until('a portal is asked', sub { asked($hides) >= 3 });
my @asked = asked($hides);
like($asked[1], qr/"acks": \[\{/, 'with what is to be acknowledged');
is($asked[2], $asked[1], 'and again, for that was no answer');
$sync->signal('TERM');
$sync->finish;
end_portal($hides);

# nor does it wait for as long as such a one says; and nobody between us and a gateway on this machine sees the token
my $later = portal("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
$sync = do { local $ENV{http_proxy} = $later->{url}; start_sync() };
wait_until('no proxy is asked for a gateway on this machine', sub { log_has(qr/online: \Q$url\E/) });
is(scalar(my @proxied = asked($later)), 0, 'nor sees the token');
$sync->signal('TERM');
$sync->finish;
$sync = start_sync($later->{url});
wait_until('a portal is asked that wants an hour', sub { asked($later) >= 1 });
end_portal($later);
my $second = start_gateway($cloud, '--listen', "127.0.0.1:$later->{port}");
wait_until('and is not given it', sub { log_has(qr/online: \Q$later->{url}\E/) });
$sync->signal('TERM');
$sync->finish;
$second->{run}->signal('KILL');
$second->{run}->finish;
unlike(slurp_file($log), qr/mulberry_[0-9a-z]{20}/i, 'no token is in its log');
$log = PostgreSQL::Test::Utils::tempdir() . '/sync.log';

$sync = start_sync();
wait_until('the edge is online', sub { log_has(qr/online: \Q$url\E/) });
sub row { my ($what, $name) = @_; wait_until($name, sub { here("SELECT $what FROM mulberry.edge_status WHERE program = 'sync'") eq 't' }); return }
row(qq{role = 'till' AND state = 'online' AND device = '$url' AND problem IS NULL}, 'and says so in its own database');
cloud(q{SELECT mulberry.revoke_mandate('00000002')});
confirmed('00000002', 'a command is confirmed');
is(here(q{SELECT status FROM mulberry.mandate_status WHERE mandate_id = '00000002'}), 'REVOKED', 'and was carried out');
cloud(q{SELECT mulberry.suspend_mandate('00000003'), mulberry.extend_mandate('00000004', 9), mulberry.ping_agent('pi'), mulberry.query_mandate('00000005')});
wait_until('many are', sub { cloud(q{SELECT count(*) FROM mulberry.command_status WHERE state <> 'confirmed'}) == 0 });

# news without a command
cloud(q{SELECT mulberry.create_mandate('00000021', 'pi', 'sponsor', 1, 'EUR', now() + interval '1 day')});
cloud(q{SELECT mulberry.ping_agent('pi')});
wait_until('a mandate arrives', sub { here(q{SELECT count(*) FROM mulberry.mandate_status WHERE mandate_id = '00000021'}) == 1 });

# the gateway goes away, and comes back at the same place
$gateway->{run}->signal('KILL');
$gateway->{run}->finish;
wait_until('the edge notices', sub { log_has(qr/offline: /) });
row(q{state = 'offline' AND problem IS NOT NULL}, 'and says that, too');
cloud(q{SELECT mulberry.revoke_mandate('00000006')});
$gateway = start_gateway($cloud, '--listen', "127.0.0.1:$port");
confirmed('00000006', 'what was commanded meanwhile is confirmed');

# the database of the edge goes away
$edge->stop('immediate');
cloud(q{SELECT mulberry.revoke_mandate('00000007')});
sleep 0.5;
$edge->start;
confirmed('00000007', 'and when the database of the edge was away');
is(here(q{SELECT status FROM mulberry.mandate_status WHERE mandate_id = '00000007'}), 'REVOKED', 'it was carried out');

# that of the cloud
$cloud->stop('immediate');
$cloud->start;
wait_for_workers($cloud);
wait_until('a command can be given', sub { eval { cloud(q{SELECT mulberry.revoke_mandate('00000008')}); 1 } });
confirmed('00000008', 'and that of the cloud');

# the clock of the edge is wrong by more than a year, as after a night without power
$edge->stop;
SKIP:
{
    with_clock(sub { set_clock(-400 * 86400); $edge->start; 1 }) or skip 'no C compiler', 3;
    cmp_ok(here(q{SELECT extract(epoch FROM clock_timestamp())::bigint}), '<', time - 300 * 86400, 'the clock of the edge is wrong');
    cloud(q{SELECT mulberry.revoke_mandate('00000016')});
    confirmed('00000016', 'which does no harm');
    is(here(q{SELECT status FROM mulberry.mandate_status WHERE mandate_id = '00000016'}), 'REVOKED', 'it was carried out');
    $edge->stop;
}
$edge->start;

# the program is killed again and again
for my $id (9 .. 14)
{
    cloud("SELECT mulberry.revoke_mandate('000000" . sprintf('%02d', $id) . "')");
    sleep rand 0.3;
    $sync->signal('KILL');
    $sync->finish;
    $sync = start_sync();
}
confirmed(sprintf('%08d', $_), "command $_ is confirmed, although the program was killed") foreach 9 .. 14;
is(cloud(q{SELECT count(*) FROM mulberry.command_status WHERE state <> 'confirmed'}), 0, 'each');

# a token that is changed under it
cloud(qq{SELECT mulberry.create_token('$pi', 'agent')}) =~ /(\S+)/ and write_token($1);
cloud(q{SELECT mulberry.revoke_token('pi')});
cloud(q{SELECT mulberry.revoke_mandate('00000015')});
confirmed('00000015', 'with another token');

# it ends when it is told to, while a request waits
$sync->signal('TERM');
$sync->finish;
is($sync->result(0), 0, 'SIGTERM ends it');
row(q{state = 'ended' AND NOT silent}, 'which it says as well');
unlike(slurp_file($log), qr/mulberry_[0-9a-z]{20}/i, 'no token is in its log');

$edge->stop;
$cloud->stop;
done_testing();
