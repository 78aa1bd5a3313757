# A server's clock that is set back by a day while it runs: what was due in a moment is due in a moment, not tomorrow.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Clock;
use Mulberry::Cluster;
use Mulberry::StandIn;
use Mulberry::Subscriber;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $ai = Mulberry::StandIn->new;
my $node = with_clock(sub { mulberry_cluster('clock', conf => <<'CONF') });
mulberry.grace_period = 0
mulberry.maintenance_interval = 1
mulberry.idle_call_timeout = 3
mulberry.agent_online_time = 5s
mulberry.ai_retry_delay = 500
autovacuum = off
CONF
plan skip_all => 'no C compiler' if !$node;
sub one { return $node->safe_psql('postgres', shift) }

sub call
{
    my ($call_id) = @_;
    return one("SELECT mulberry.ingest_packet('$call_id', 0, decode(repeat('002000e0', 800), 'hex'), encoding => 's16le', sample_rate => 8000);
        SELECT mulberry.complete_call('$call_id', 1)");
}

my $endpoint = sub { my ($behaviour) = @_; return one("SELECT mulberry.set_endpoint('ear', 'openai', '@{[ $ai->url($behaviour) ]}/v1', model => 'm', allow_http => true, allow_private => true)") };
my $listener = Mulberry::Subscriber->new($node);

# A service that is out, so that its breaker is open and its jobs wait; a call whose sender has stopped; an agent online
# with a command that was handed to it; something that was set aside.
$endpoint->('phase');
$ai->behave('down');
call('waiting');
wait_for_true($node, q{SELECT count(*) = 1 FROM mulberry_internal.endpoint_state WHERE state <> 'closed'}, 'the service is out');
one(q{SELECT mulberry.create_agent('pi')});
one(q{SELECT mulberry.create_voice_key('pi'); CALL mulberry.export_voice_key('pi', 1, 'default', NULL)});
one(q{SELECT mulberry.create_mandate('12345678', 'pi', 'sponsor', 100, 'EUR', now() + interval '1 day')});
one(q{SELECT mulberry.agent_sync('pi'); SELECT mulberry.suspend_mandate('12345678'); SELECT mulberry.agent_sync('pi')});
one(q{INSERT INTO mulberry_internal.set_aside (unit, item, sqlstate, error, retry_at) VALUES ('maintenance', 'old events', 'XX000', 'test', clock_timestamp() + interval '5 seconds')});
one(q{INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number, due_at, give_up_at)
    SELECT tenant, id, 1, '+821012345671', '+821012345672', clock_timestamp() + interval '1 minute', clock_timestamp() + interval '2 minutes'
      FROM mulberry_internal.commands});
one(q{SELECT mulberry.ingest_packet('silent', 0, 'hello', encoding => 'text')});
is(one(q{SELECT status FROM mulberry.health() WHERE item = 'clock'}), 'ok', 'the clock is right');

my $before = one('SELECT extract(epoch FROM clock_timestamp())');
my $from = -s $node->logfile;
set_clock(-86400);
cmp_ok(one('SELECT extract(epoch FROM clock_timestamp())'), '<', $before - 80000, 'the clock was set back');
$ai->behave('ok');

# Within moments, not a day.
wait_for_true($node, q{SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE call_id = 'waiting'}, 'the service is asked again');
pass('the service is asked again');
wait_for_true($node, q{SELECT state <> 'IN_PROGRESS' FROM mulberry_internal.calls WHERE call_id = 'silent'}, 'a silent call is completed');
pass('a silent call is completed');
wait_for_true($node, q{SELECT online_until < clock_timestamp() FROM mulberry_internal.agents}, 'an agent that says nothing is offline');
pass('an agent that says nothing is offline');
wait_for_true($node, q{SELECT NOT mulberry_internal.is_set_aside('maintenance', 'old events')}, 'what was set aside is tried again');
pass('what was set aside is tried again');
wait_for_true($node, q{SELECT count(*) = 0 FROM mulberry_internal.audit WHERE seq IS NULL}, 'the audit log is linked');
pass('the audit log is linked');
wait_for_true($node, q{SELECT bool_and(give_up_at < clock_timestamp() + interval '2 minutes' AND due_at <= give_up_at - interval '1 minute' AND created_at < due_at)
    FROM mulberry_internal.voice_calls}, 'a telephone call is due as soon as it was');
pass('a telephone call is due as soon as it was');
wait_for_true($node, q{SELECT bool_and(greatest(signed_at, offered_at, voice_at) < clock_timestamp() + interval '1 minute') FROM mulberry_internal.commands}, 'a command is as old as it was');
pass('a command is as old as it was');
call('later');
wait_for_true($node, q{SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE call_id = 'later'}, 'new calls are transcribed');
pass('new calls are transcribed');
ok((grep { $_->{event} eq 'ai_completed' } $listener->take_until(sub { $_->{event} eq 'ai_completed' && $_->{call_id} eq 'later' })), 'events are told');
is(one(q{SELECT status FROM mulberry.health() WHERE item = 'clock'}), 'ok', 'nothing lies ahead any more');
like(slurp_file($node->logfile, $from), qr/mulberry: the clock was set back: the times of \d+ rows lay ahead/, 'the log tells of it');
is(one('SELECT bool_and(problem IS NULL) FROM mulberry.verify_audit()'), 't', 'the audit log is whole');

# A mandate gets no time back: what was known to be over stays over, whoever looks at it first after the clock was set back.
set_clock(0);
one(q{SELECT mulberry.create_mandate(id, 'pi', 'sponsor', 100, 'EUR', clock_timestamp() + till)
    FROM (VALUES ('11111111', interval '1 hour'), ('22222222', interval '30 days')) AS m (id, till)});
set_clock(7200);
one(q{SELECT mulberry.spend('22222222', 1, 'two hours later')});
set_clock(-86400);
is(one(q{SELECT status FROM mulberry.mandate_status WHERE mandate_id = '11111111'}), 'EXPIRED', 'a mandate whose time is over');
is(one(q{SELECT reason FROM mulberry.check_mandate('11111111', 1)}), 'expired', 'gets none back');
is(one(q{SELECT reason FROM mulberry.spend('11111111', 1, 'x')}), 'expired', 'and nothing is spent from it');
is(one(q{SELECT allowed FROM mulberry.check_mandate('22222222', 1)}), 't', 'another one goes on');
is(one(q{SELECT status FROM mulberry.health() WHERE item = 'mandate clock'}), 'warning', 'health tells of it');
set_clock(7200);
is(one(q{SELECT status FROM mulberry.health() WHERE item = 'mandate clock'}), 'ok', 'until the clock is right');

$listener->quit;
$node->stop;
done_testing();
