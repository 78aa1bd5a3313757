# kill -9 of a worker in each step of a telephone call: the call is found again and nobody is dialled
# twice for it.
#
# CRASH_ROUNDS rounds of each step (default 1; the campaign runs more).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::VoicePair;

my $rounds = $ENV{CRASH_ROUNDS} // 1;
my $pair = Mulberry::VoicePair->new('crash', conf => "restart_after_crash = on\nmulberry.lease_time = 1\n");
my $twilio = $pair->{twilio};
my $node = $pair->{cloud};

sub soon
{
    my ($condition) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $deadline)
    {
        return 1 if eval { $condition->() };
        sleep 0.02;
    }
    return 0;
}

sub requests { my ($kind, $since) = @_; return grep { $_->{kind} eq $kind && $_->{time} > $since } $twilio->entries('request') }

sub kill_worker
{
    my $pid;
    # none, and kill would be about this process and its group
    soon(sub { $pid = backend_pid($node, 'mulberry worker') }) or return 0;
    kill 'KILL', $pid;
    soon(sub { !kill 0, $pid });
    return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mulberry worker' AND pid <> $pid");
}

# A worker that is about to write down that it places a call stays there as long as somebody holds the lock. It
# does not wait for the lock itself, which it would give up soon.
$pair->cloud(<<'SQL');
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT a.backend_type FROM pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid()) = 'mulberry worker' THEN
        WHILE EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.objid = 4711 AND l.objsubid = 1) LOOP
            PERFORM pg_catalog.pg_sleep(0.05);
        END LOOP;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER hold BEFORE UPDATE ON mulberry_internal.voice_calls FOR EACH ROW EXECUTE FUNCTION public.hold();
SQL

# Where the worker is killed, and how Twilio behaves so that it can be caught there.
my @steps = (
    [ 'before the request', { hold => 1, webhooks => 1 },
      sub { $pair->cloud("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mulberry worker' AND wait_event = 'PgSleep'") eq '1' } ],
    [ 'while it is placed, and Twilio does', { behaviour => 'create=hang+,times=1', webhooks => 1 }, sub { requests('create', $_[1]) } ],
    [ 'while it is placed, without webhooks', { behaviour => 'create=hang+,times=1,w', webhooks => 0 }, sub { requests('create', $_[1]) } ],
    [ 'while it is placed, and Twilio does not', { behaviour => 'create=hang,times=1', webhooks => 1 }, sub { requests('create', $_[1]) } ],
    [ 'while it goes on', { behaviour => 'hold=1', webhooks => 1 }, sub { requests('poll', $_[1]) } ],
    [ 'while it is asked for recordings', { behaviour => 'recordings=hang,times=1', webhooks => 0 }, sub { requests('recordings', $_[1]) } ],
    [ 'while the recording is fetched', { behaviour => 'media=hang,times=1', webhooks => 0 }, sub { requests('media', $_[1]) } ],
);

for my $step (@steps)
{
    my ($name, $how, $reached) = @$step;
    subtest $name => sub {
        for my $round (1 .. $rounds)
        {
            $pair->telephony(($how->{behaviour} // 'ok') . ",r$round", webhooks => $how->{webhooks}, timeout => '6 s');
            my $mandate = $pair->mandate;
            my $since = time;
            my $blocker;
            if ($how->{hold})
            {
                $blocker = open_session($node);
                $blocker->query_safe('BEGIN; SELECT pg_advisory_xact_lock(4711)');
            }
            my $command = $pair->revoke($mandate);
            ok(soon(sub { $reached->($command, $since) }), "$round: the worker is where it shall die") or diag $pair->story($command);
            ok(kill_worker(), "$round: server and worker are back");
            eval { $blocker->quit } if $blocker;
            # nothing hangs any more, but a busy machine may take its time
            $pair->cloud("SELECT mulberry.alter_endpoint('twilio', timeout => '30 s')");
            ok($pair->state($command, 'confirmed'), "$round: confirmed") or diag $pair->story($command);
            is(scalar(grep { $_->{status} eq 'queued' && $_->{time} > $since } $twilio->entries('call')), 1, "$round: by one call") or diag $pair->story($command);
            is($pair->edge("SELECT status FROM mulberry_internal.mandates WHERE id = '$mandate'"), 'REVOKED', "$round: revoked on the edge");
            ok($pair->wait_for('SELECT count(*) FROM mulberry_internal.job_queue', '0'), "$round: no job is left");
        }
    };
}

ok(!$twilio->entries('overlap'), 'nobody was dialled twice at once');
$pair->stop;
done_testing();
