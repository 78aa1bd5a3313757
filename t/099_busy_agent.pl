# A client that has changed something about an agent, an endpoint or the audit log and does not commit: the one
# worker goes on with other calls and with maintenance, the notifier with events and the audit log; and
# what waited for the client is finished when it is done, with nobody dialled twice.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::VoicePair;

my $pair = Mulberry::VoicePair->new('busy', agents => 2,
    conf => "mulberry.workers = 1\nmulberry.maintenance_interval = 1\nlog_lock_waits = on\ndeadlock_timeout = 5s\nlog_line_prefix = '%b|%p|'\n");
my $node = $pair->{cloud};
my $client = open_session($node);

# Neither worker nor notifier is to wait for the client for longer than a moment: the server writes down who has waited
# for five seconds, which says it on a busy machine, too.
sub nobody_waits
{
    my ($what) = @_;
    my $waiting = "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ '^mulberry' AND wait_event_type = 'Lock'";
    ok($node->poll_query_until('postgres', $waiting), "$what: no process of ours hangs in a lock");
    return;
}

sub others_go_on
{
    my ($what) = @_;
    my $other = $pair->revoke($pair->mandate(2));
    ok($pair->state($other, 'confirmed'), "$what: a command to another agent is confirmed") or diag $pair->story($other);
    ok($pair->wait_for("SELECT count(*) FROM mulberry_internal.events WHERE seq IS NULL", '0'), "$what: events are numbered");
    ok($pair->wait_for("SELECT count(*) FROM mulberry_internal.audit WHERE seq IS NULL", '0'), "$what: the audit log is linked");
    nobody_waits($what);
    return;
}

# The call rings and is asked about while the agent is locked; nothing of it can be stored.
$pair->telephony('hold=2', webhooks => 0);
my $command = $pair->revoke($pair->mandate(1));
my $second = $pair->mandate(1);
ok($pair->wait_for("SELECT sid IS NOT NULL FROM mulberry_internal.voice_calls WHERE command = $command", 't'), 'a call is under way')
    or diag $pair->story($command);
$client->query_safe('BEGIN');
$client->query_safe("SELECT mulberry.suspend_mandate('$second', force_voice => true)");
others_go_on('a call under way');
is($pair->cloud("SELECT state FROM mulberry_internal.commands WHERE id = $command"), 'outstanding', 'the command of the locked agent waits');
$client->query_safe('COMMIT');
ok($pair->state($command, 'confirmed'), 'it is confirmed after the commit') or diag $pair->story($command);
ok($pair->wait_for("SELECT count(*) FROM mulberry_internal.commands WHERE state NOT IN ('confirmed')", '0'), 'and so is the next one');
is($pair->cloud("SELECT attempts FROM mulberry_internal.commands WHERE id = $command"), '1', 'by one call') or diag $pair->story($command);

# Twilio's answer to the request for a call cannot be stored: the call is found again.
$pair->telephony('create=hang+,times=1,hold=1', webhooks => 0, timeout => '2 s');
$command = $pair->revoke($pair->mandate(1));
ok($pair->wait_for("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command", 'requested'), 'a call is asked for')
    or diag $pair->story($command);
# only that request has to run out of time
$pair->cloud("SELECT mulberry.alter_endpoint('twilio', timeout => '20 s')");
$client->query_safe('BEGIN');
$client->query_safe("SELECT mulberry.alter_agent('agent-1', allowed_callers => '{}')");
others_go_on('an answer that cannot be stored');
$client->query_safe('COMMIT');
ok($pair->state($command, 'confirmed'), 'the call is found again') or diag $pair->story($command);
is(scalar(grep { $_->{status} eq 'queued' } $pair->placed(1)), 3, 'nobody was dialled twice');
ok($pair->wait_for('SELECT count(*) FROM mulberry_internal.job_queue', '0'), 'no job is left') or diag $pair->story($command);

# Who changes an endpoint with a limit keeps the worker from that endpoint, and from no other.
$pair->cloud("UPDATE mulberry_internal.endpoints SET max_concurrency = 2 WHERE name = 'twilio'");
$client->query_safe('BEGIN');
$client->query_safe("UPDATE mulberry_internal.endpoints SET updated_at = now() WHERE name = 'twilio'");
$command = $pair->revoke($pair->mandate(1));
new_call($node, 'spoken', 'hello');
ok($pair->wait_for("SELECT state FROM mulberry_internal.calls WHERE call_id = 'spoken'", 'ARCHIVED'), 'a call is processed while an endpoint is locked');
nobody_waits('an endpoint that is changed');
$client->query_safe('COMMIT');
ok($pair->state($command, 'confirmed'), 'the command is confirmed afterwards') or diag $pair->story($command);

# Who erases an audit log keeps the others from linking, and nothing else.
$pair->cloud("SELECT mulberry.create_tenant('gone')");
$client->query_safe('BEGIN');
$client->query_safe("SELECT mulberry.erase_audit_log('gone')");
my $other = $pair->revoke($pair->mandate(2));
ok($pair->state($other, 'confirmed'), 'a command is confirmed while nobody can link') or diag $pair->story($other);
ok($pair->wait_for("SELECT count(*) FROM mulberry_internal.events WHERE seq IS NULL", '0'), 'events are numbered');
nobody_waits('a log that is erased');
$client->query_safe('COMMIT');
ok($pair->wait_for("SELECT count(*) FROM mulberry_internal.audit WHERE seq IS NULL", '0'), 'the audit log is linked afterwards');
is($pair->cloud('SELECT string_agg(problem, chr(10)) FROM mulberry.verify_audit(NULL)'), '', 'and is whole');

unlike(slurp_file($node->logfile), qr/^mulberry [^|]*\|.*still waiting for/m, 'no process of ours has waited for a lock');

$client->quit;
$pair->stop;
done_testing();
