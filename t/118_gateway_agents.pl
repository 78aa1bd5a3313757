# Agents and mandates by HTTP: agents/{agent}/sync as a long poll that holds no connection to the database and misses nothing; commands,
# mandates and payments for operators; who may do what.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::RawHttp qw(connection read_answer reset_connection);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(SHUT_WR);
use Test::More;
use Time::HiRes qw(sleep time);

my $node = mulberry_cluster('agents', conf => "mulberry.agent_online_time = '1h'");
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_tenant('north');});
sql(<<'SQL');
SELECT mulberry.create_agent('pi', tenant => 'north'), mulberry.create_agent('po', tenant => 'north');
SELECT mulberry.create_voice_key(a, tenant => 'north') FROM unnest('{pi,po}'::text[]) AS a;
SQL
sql("CALL mulberry.export_voice_key('$_', 1, 'north', NULL)") foreach 'pi', 'po';
my $pi = sql(q{SELECT id FROM mulberry.agent_status WHERE agent = 'pi'});
my %token = map { /(\S+) (\S+)/ } split /\n/, sql(<<"SQL");
SELECT 'pi ' || mulberry.create_token('pi', 'agent', 'north') UNION ALL
SELECT 'id ' || mulberry.create_token('$pi', 'agent', 'north') UNION ALL
SELECT 'po ' || mulberry.create_token('po', 'agent', 'north') UNION ALL
SELECT 'operator ' || mulberry.create_token('operator', 'operator', 'north') UNION ALL
SELECT 'south ' || mulberry.create_token('south', 'operator') UNION ALL
SELECT 'auditor ' || mulberry.create_token('auditor', 'auditor', 'north') UNION ALL
SELECT 'pbx ' || mulberry.create_token('pbx', 'ingest', 'north');
SQL
my $gateway = start_gateway($node, '--connections', '2', '--max-wait', '3600');

sub metric { my ($name) = @_; return ask_admin($gateway, '/metrics')->{content} =~ /^\Qmulberry_gateway_$name\E (\d+)$/m ? $1 : undef }
sub wait_for
{
    my ($what, $condition) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    sleep 0.05 while !$condition->() && time < $end;
    ok($condition->(), $what);
    return;
}

# What an answer is, beside the form that the gateway's own description gives for it.
my $description = ask($gateway, 'GET', '/openapi.json')->{json};
my %answered;
my @wrong;

sub judge
{
    my ($schema, $value, $place) = @_;
    $schema = $description->{components}{schemas}{ $schema->{'$ref'} =~ s{.*/}{}r } if $schema->{'$ref'};
    my %allowed = map { ($_ => 1) } ref $schema->{type} ? @{ $schema->{type} } : $schema->{type} // ();
    my $type = !defined $value ? 'null' : ref $value eq 'HASH' ? 'object' : ref $value eq 'ARRAY' ? 'array' : JSON::PP::is_bool($value) ? 'boolean' : $value =~ /^-?\d+$/ ? 'integer' : $value =~ /^-?\d+\.\d+$/ ? 'number' : 'string';
    # a text may look like a number, and an integer is one
    my @fitting = ($type, $type eq 'integer' ? qw(number string) : $type eq 'number' ? 'string' : ());
    push @wrong, "$place is $type" if %allowed && !grep { $allowed{$_} } @fitting;
    if ($type eq 'object')
    {
        push @wrong, "$place has no $_" foreach grep { !exists $value->{$_} } @{ $schema->{required} // [] };
        push @wrong, "$place has $_" foreach grep { !$schema->{properties}{$_} } sort keys %$value;
        judge($schema->{properties}{$_}, $value->{$_}, "$place.$_") foreach grep { $schema->{properties}{$_} } sort keys %$value;
    }
    elsif ($type eq 'array') { judge($schema->{items}, $_, "$place\[]") foreach @$value }
    return;
}

sub call
{
    my ($method, $path, $body, $who) = @_;
    my $answer = ask($gateway, $method, $path, token => $token{ $who // 'operator' }, $body ? (body => $body) : ());
    foreach my $template (grep { my $pattern = s/\{\w+\}/[^\/]+/gr; $path =~ m{^$pattern(?:\?|$)} } keys %{ $description->{paths} })
    {
        my $about = $description->{paths}{$template}{ lc $method } or next;
        my $form = $about->{responses}{ $answer->{status} };
        if (!$form) { push @wrong, "$method $template: $answer->{status}"; next }
        $answered{"$method $template"}++ if $answer->{status} < 300;
        judge($form->{content}{'application/json'}{schema}, $answer->{json}, "$method $template") if $answer->{status} < 300;
    }
    return $answer;
}
sub outcome { my ($answer) = @_; return "$answer->{status} " . ($answer->{json}{status} // $answer->{json}{detail} // '') }

# A request for commands that is not waited for: a socket.
sub poll_as
{
    my ($who, $agent, $wait, $body) = @_;
    $body = JSON::PP->new->encode($body // { acks => [], since => 0 });
    return connection($gateway, "POST /v1/agents/$agent/sync?wait=$wait HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token{$who}\r\nContent-Type: application/json\r\nContent-Length: "
          . length($body) . "\r\n\r\n$body");
}
sub polled { my ($socket) = @_; my $answer = read_answer($socket); $answer->{json} = eval { decode_json($answer->{body}) }; return $answer }
sub waiting { my ($n) = @_; wait_for("$n requests wait", sub { (metric('agents_waiting') // -1) == $n }); return }

wait_for('the gateway listens', sub { metric('listening') });

# ---- mandates ----

my $far = '2999-12-31T00:00:00Z';
my %mandate = (agent => 'pi', sponsor => 'sponsor_1', max_amount => '120.50', currency => 'USD', expires_at => $far);
is(outcome(call('POST', '/v1/mandates', { %mandate, mandate_id => sprintf '%08d', $_ })), '201 created', "mandate $_") foreach 1 .. 6;
is(outcome(call('POST', '/v1/mandates', { %mandate, mandate_id => '00000001' })), '400 Database constraint violation', 'one that is there');
is(call('POST', '/v1/mandates', { %mandate, mandate_id => '1' })->{status}, 422, 'one without eight digits');
is(call('POST', '/v1/mandates', { %mandate, mandate_id => '00000009', max_amount => 'much' })->{status}, 400, 'one with an amount that is none');
my $answer = call('GET', '/v1/mandates/00000001');
is("$answer->{status} @{ $answer->{json} }{qw(mandate_id status agent max_amount tenant)}", '200 00000001 ACTIVE pi 120.5 north', 'what a mandate is') or diag $answer->{content};
is(outcome(call('GET', '/v1/mandates/00000001', undef, 'south')), '404 Mandate 00000001 not found', 'is not another tenant\'s');
is(join(' ', map { $_->{mandate_id} } @{ call('GET', '/v1/mandates?limit=2&after=00000001&agent=pi&status=ACTIVE')->{json}{mandates} }), '00000002 00000003', 'page by page');
is(call('GET', '/v1/mandates?limit=0')->{status}, 422, 'of at least one row');
is(outcome(call('PATCH', '/v1/mandates/00000001', { sponsor => 'sponsor_2' })), '200 altered', 'altered');
is(outcome(call('PATCH', '/v1/mandates/99999999', { sponsor => 'x' })), '404 Mandate 99999999 not found', 'not one that is not there');
is(join(' ', map { $_->{sponsor} } @{ call('GET', '/v1/mandates/00000001/history', undef, 'auditor')->{json}{history} }), 'sponsor_1 sponsor_2', 'its history');
$answer = call('POST', '/v1/mandates/00000001/spend', { amount => '20.25', reference => 'r1' });
is("$answer->{status} @{ $answer->{json} }{qw(accepted duplicate remaining)}", '200 1 0 100.25', 'a payment') or diag $answer->{content};
is(call('POST', '/v1/mandates/00000001/spend', { amount => '20.25', reference => 'r1' })->{json}{duplicate}, JSON::PP::true, 'counts once');
is(call('POST', '/v1/mandates/00000001/spend', { amount => '20', reference => 'r1' })->{status}, 400, 'with one amount');
is(call('POST', '/v1/mandates/00000001/check', { amount => '1000' })->{json}{reason}, 'limit', 'more than there is');

# ---- who may ----

is(call('POST', '/v1/mandates/00000001/revoke', {}, $_)->{status}, 403, "$_ revokes nothing") foreach qw(auditor pbx pi);
is(outcome(call('POST', '/v1/mandates/00000001/revoke', {}, 'south')), '404 Mandate 00000001 not found', 'another tenant neither');
is(call('GET', '/v1/agents', undef, 'pi')->{status}, 403, 'an agent lists nobody');
is(ask($gateway, 'POST', '/v1/agents/pi/sync', body => {})->{status}, 401, 'without a token nobody asks for commands');
is(call('POST', '/v1/agents/pi/sync', {}, 'operator')->{status}, 403, 'nor with one of somebody else');
$answer = call('POST', '/v1/agents/pi/sync', {}, 'po');
is(outcome($answer), '403 token "po" is not that of agent "pi"', 'nor with that of another agent');
is(call('POST', "/v1/agents/$pi/sync", {}, 'po')->{status}, 403, 'by its id either');
is(call('POST', '/v1/agents/nobody/sync', {}, 'pi')->{status}, 404, 'one that is not there');
is(call('POST', '/v1/agents/pi/sync', $_, 'pi')->{status}, 422, 'a body that is none: ' . encode_json($_)) foreach { acks => 'x' }, { since => -1 }, { since => 'x' };
is(call('POST', '/v1/agents/pi/sync', { acks => [1] }, 'pi')->{status}, 400, 'acknowledgements that are none');
is(call('POST', "/v1/agents/pi/sync?wait=$_", {}, 'pi')->{status}, 422, "a time that is none: $_") foreach 'x', '-1', '1.5', '99999';

# ---- an agent asks ----

$answer = call('POST', '/v1/agents/pi/sync', {}, 'pi');
is("$answer->{status} $answer->{json}{agent}", "200 $pi", 'who does not wait is answered at once');
like($answer->{json}{updates}{data}, qr/"mandate_id": "00000006"/, 'with its mandates');
my $upto = decode_json($answer->{json}{updates}{data})->{upto};
my %nothing = (acks => [], since => $upto);
is(call('POST', "/v1/agents/$pi/sync", \%nothing, 'id')->{json}{agent}, $pi, 'by its uuid, with a token that is called so');
is(call('GET', '/v1/agents/pi')->{json}{online}, JSON::PP::true, 'and is online');
is(join(' ', map { $_->{agent} } @{ call('GET', '/v1/agents')->{json}{agents} }), 'pi po', 'agents are listed');
is(call('GET', '/v1/agents/po')->{json}{online}, JSON::PP::false, 'the other one is not online');

# changes of mandates alone: they are in the next answer, which comes at once
sql(q{SELECT mulberry.create_agent('pu', tenant => 'north'), mulberry.create_voice_key('pu', tenant => 'north')});
sql(q{CALL mulberry.export_voice_key('pu', 1, 'north', NULL)});
$token{pu} = sql(q{SELECT mulberry.create_token('pu', 'agent', 'north')});
sub news
{
    my ($since) = @_;
    my $news = call('POST', '/v1/agents/pu/sync?wait=3600', { acks => [], since => $since }, 'pu')->{json};
    my $data = decode_json($news->{updates}{data} // '{}');
    return (join(' ', scalar @{ $news->{acks} }, scalar @{ $news->{commands} }, map { "$_->{mandate_id} $_->{status} $_->{max_amount}" } @{ $data->{mandates} // [] }), $data->{upto});
}
is(outcome(call('POST', '/v1/mandates', { %mandate, agent => 'pu', mandate_id => $_ })), '201 created', "a mandate for another agent: $_") foreach '00000011', '00000012';
my ($told, $known) = news(0);
is($told, '0 0 00000011 ACTIVE 120.5 00000012 ACTIVE 120.5', 'who waits hears of mandates at once, and of nothing else');
is(outcome(call('PATCH', '/v1/mandates/00000012', { max_amount => '7.25' })), '200 altered', 'one is altered');
($told, $known) = news($known);
is($told, '0 0 00000012 ACTIVE 7.25', 'and is told, without those that are known');
is(outcome(call('PATCH', '/v1/mandates/00000012', { sponsor => 'x' })), '200 altered', 'altered again');
is((news($known))[0], '0 0 00000012 ACTIVE 7.25', 'and told again');

# a command wakes the one who waits, and no other
my $waits = poll_as('pi', 'pi', 3600, \%nothing);
my $other = poll_as('po', 'po', 3600);
waiting(2);
my $looks = metric('agents_looks_total');
is(outcome(call('POST', '/v1/mandates/00000001/suspend', { reason => 'why', requester => 'somebody' })), '202 pending', 'a command is accepted');
$answer = polled($waits);
is($answer->{status}, 200, 'the agent hears');
my $frame = $answer->{json}{commands}[0];
like($frame->{frame}, qr/^\*0102/, 'the command') or diag $answer->{body};
waiting(1);
cmp_ok(metric('agents_looks_total') - $looks, '<=', 2, 'nobody else has looked');
$answer = call('GET', "/v1/commands/$frame->{command_id}");
is("@{ $answer->{json} }{qw(status command command_state mandate_id agent)}", 'pending SUSPEND outstanding 00000001 pi', 'what became of it');
is(outcome(call('GET', "/v1/commands/$frame->{command_id}", undef, 'south')), "404 Command $frame->{command_id} not found", 'is not another tenant\'s');
is(call('POST', "/v1/commands/$frame->{command_id}/cancel", { reason => 'x' })->{status}, 409, 'what is on its way is not cancelled');
is(call('POST', "/v1/commands/$frame->{command_id}/retry")->{status}, 409, 'nor tried again');
is(call('POST', '/v1/commands/999999/cancel', {})->{status}, 404, 'nor what is not there');
is(call('GET', '/v1/commands/x')->{status}, 400, 'nor what is no number');
# it is given again until it is acknowledged
is(polled(poll_as('pi', 'pi', 3600, \%nothing))->{json}{commands}[0]{frame}, $frame->{frame}, 'whoever asks again gets it again, at once');
is(call('POST', '/v1/agents/pi/sync?wait=3600', { acks => [ { ack => '*0100000001000000000000#' } ], since => $upto }, 'pi')->{json}{acks}[0]{verdict} // '', 'decode error', 'who acknowledges is answered at once');
is(join(' ', map { $_->{command} } @{ call('GET', '/v1/commands?agent=pi&state=outstanding')->{json}{commands} }), 'SUSPEND', 'commands are listed');
is(outcome(call('POST', '/v1/mandates/00000001/revoke', {})), '202 pending', 'a revocation is');
is(outcome(call('POST', '/v1/mandates/00000001/revoke', {})), '200 already_revoked', 'once');
is(call('POST', '/v1/mandates/00000001/resume', {})->{status}, 409, 'what is revoked is not resumed');
is(call('POST', '/v1/mandates/00000002/extend', { days => $_ })->{status}, 422, "not extended by $_ days") foreach 0, 100, 'x';
is(call('POST', '/v1/mandates/00000002/extend', { days => 5 })->{status}, 202, 'extended');
is(call('POST', '/v1/mandates/00000002/query', {})->{status}, 202, 'asked for');
is(call('POST', '/v1/agents/pi/ping', {})->{status}, 202, 'an agent is asked to answer');
is(call('POST', '/v1/agents/nobody/ping', {})->{status}, 404, 'not one that is not there');

# a command that is given while one looks, who is held meanwhile with the agent's row: whichever comes first then, it is heard.  Whoever waits too
# long for the row is refused (503), on a machine that is busy: then once more
sub ping_po
{
    my ($said) = @_;
    my @headers = map { ('-H', $_) } 'Content-Type: application/json', "Authorization: Bearer $token{operator}";
    return IPC::Run::start([ 'curl', '-s', '-w', '%{http_code}', '-o', '/dev/null', '-d', '{}', @headers, "http://127.0.0.1:$gateway->{port}/v1/agents/po/ping" ], '<', '/dev/null', '>', $said);
}
my $holder = $node->background_psql('postgres');
my ($between, $said);
close $other;
for (1 .. 100)
{
    sql(q{SELECT mulberry.agent_sync('po', tenant => 'north')});
    $holder->query_safe(q{BEGIN; SELECT 1 FROM mulberry_internal.agents WHERE name = 'po' FOR UPDATE});
    $between = poll_as('po', 'po', 3600);
    my $pinged = ping_po(\$said);
    my $locked = $holder->query_safe(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND wait_event_type = 'Lock'});
    $holder->query_safe(q{COMMIT});
    $pinged->finish;
    $answer = $said eq '202' ? polled($between) : { status => 503 };
    last if $answer->{status} == 200 && $locked > 0;
    close $between;
    sql(q{SELECT mulberry.cancel_command(command_id) FROM mulberry.command_status WHERE agent = 'po' AND state = 'outstanding'});
}
$holder->quit;
my $given = $answer->{json}{commands}[0]{command_id};
ok(defined $given, 'a command that comes while one looks is heard');
is(call('POST', "/v1/commands/$given/cancel", {})->{status}, 200, 'and taken back');
$between = poll_as('po', 'po', 3600);
# many times over: a command comes whenever it comes, and each is heard
sql(q{SELECT mulberry.agent_sync('po', tenant => 'north')});
for my $round (1 .. 10)
{
    my $pinged = ping_po(\$said);
    my $heard = polled($between);
    $pinged->finish;
    my $command = $heard->{json}{commands}[0]{command_id};
    ok(defined $command, "round $round: heard") or diag $heard->{body};
    is(call('POST', "/v1/commands/$command/cancel", {})->{status}, 200, 'and taken back');
    $between = poll_as('po', 'po', 3600, { acks => [], since => 0 });
}
waiting(1);

# ---- what a held request costs ----

sql(q{SELECT mulberry.create_agent('many', tenant => 'north'), mulberry.create_voice_key('many', tenant => 'north')});
sql(q{CALL mulberry.export_voice_key('many', 1, 'north', NULL)});
$token{many} = sql(q{SELECT mulberry.create_token('many', 'agent', 'north')});
my @many;
for my $n (1 .. 10)
{
    push @many, map { poll_as('many', 'many', 3600) } 1 .. 20;
    waiting(1 + 20 * $n);
}
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mulberry-gateway'}), '2', 'two hundred requests wait, over two connections to the database');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND state <> 'idle'}), '0', 'which nobody holds');
is(ask($gateway, 'POST', '/v1/call/stream/beside', body => packet_body(0), token => $token{pbx})->{status}, 202, 'others are served');
# clients that go away, with and without a word
reset_connection($_) foreach @many[ 0 .. 49 ];
close $_ foreach @many[ 50 .. 99 ];
waiting(101);
$many[100]->shutdown(SHUT_WR);
is(polled($many[100])->{status}, 200, 'one that has closed its side gets what there is');
waiting(100);
close $_ foreach @many[ 120 .. 199 ];
waiting(20);
# the session that listens is lost and comes back: all look again, and what was given meanwhile is heard
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mulberry-gateway feed'});
is(call('POST', '/v1/agents/many/ping', {})->{status}, 202, 'a command while nobody listens');
is(polled($_)->{json}{commands}[0] ? 1 : 0, 1, 'is heard') foreach $many[101], $many[119];
waiting(1);
close $_ foreach @many;

# ---- all of it was as it is described ----

is_deeply(\@wrong, [], 'answers are of the forms that are described');
my @operations = map { my $path = $_; map { uc($_) . " $path" } keys %{ $description->{paths}{$path} } } grep { m{^/v1/(?:agents|mandates|commands)} } keys %{ $description->{paths} };
is_deeply([ grep { !$answered{$_} } sort @operations ], [ 'POST /v1/commands/{command_id}/retry', 'POST /v1/mandates/{mandate_id}/resume' ], 'of all routes but those that had nothing to do');

# a token that is revoked, and a database that goes away
my $revoked = poll_as('id', $pi, 3600, \%nothing);
polled($revoked);    # there is a command for it
sql(q{SELECT mulberry.create_agent('short', tenant => 'north')});
$token{short} = sql(q{SELECT mulberry.create_token('short', 'agent', 'north')});
$revoked = poll_as('short', 'short', 3600);
waiting(2);
sql(q{SELECT mulberry.revoke_token('short', 'north')});
is(polled($revoked)->{status}, 401, 'whose token is revoked is told at once');
$node->stop('fast');
wait_for_gateway($gateway, qr/no connection to the database/);
waiting(1);
is(call('POST', '/v1/agents/po/sync?wait=3600', {}, 'po')->{status}, 503, 'without a database a new request is told so');
$node->start;
wait_for('it is back', sub { metric('listening') });
wait_for('a command is accepted again', sub { call('POST', '/v1/agents/po/ping', {})->{status} == 202 });
$answer = polled($between);
ok($answer->{json}{commands}[0], 'who has waited all the time hears of it') or diag "$answer->{status} $answer->{body}";

# ---- the end of the time, and of the gateway ----

my $brief = start_gateway($node, '--max-wait', '1');
my $waited = ask($brief, 'POST', '/v1/agents/short/sync?wait=3600', body => {}, token => sql(q{SELECT mulberry.create_token('short', 'agent', 'north')}));
is("$waited->{status} " . scalar @{ $waited->{json}{commands} // ['none'] }, '200 0', 'no longer than the gateway allows');
kill 'TERM', $brief->{pid};
$brief->{run}->finish;
$token{last} = sql(q{SELECT mulberry.create_agent('last', tenant => 'north') \g /dev/null
SELECT mulberry.create_token('last', 'agent', 'north')});
my @held = map { poll_as('last', 'last', 3600) } 1 .. 5;
waiting(5);
kill 'TERM', $gateway->{pid};
is(polled($_)->{status}, 200, 'who waits when the gateway ends is answered') foreach @held;
$gateway->{run}->finish;
is($gateway->{run}->result(0) // 0, 0, 'and it ends');
like(log_of_gateway($gateway), qr/"ended"/, 'at once');
unlike(log_of_gateway($gateway), qr/\Q$_\E/, 'no token in the log') foreach values %token;
$node->stop;
done_testing();
