# Many revocations while a fifth of all requests fails: each command ends confirmed or with a
# person, nobody is dialled twice at once, nothing is forgotten.
#
# COMMANDS commands (default 24, half of them without webhooks; the campaign runs 1,000).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::VoicePair;

my $commands = $ENV{COMMANDS} // 24;
my $agents = $commands >= 500 ? 50 : 6;
my $pair = Mulberry::VoicePair->new('campaign', agents => $agents, conf => "log_statement = none\nmulberry.workers = 2\nmulberry.lease_time = 5\n");
my $twilio = $pair->{twilio};

for my $half (0, 1)
{
    subtest $half ? 'without webhooks' : 'with webhooks' => sub {
        my $n = int $commands / 2;
        my $first = 20_000_000 + $half * 1_000_000;
        my $mandates = "SELECT mulberry.create_mandate(($first + n)::text, 'agent-' || 1 + n % $agents, 'sponsor', 100, 'EUR', now() + interval '1 day'";
        $pair->cloud("$mandates) FROM generate_series(1, $n) AS n");
        $pair->edge("$mandates, 'edge-' || 1 + n % $agents) FROM generate_series(1, $n) AS n");
        $pair->telephony('fail=20', webhooks => !$half, timeout => '20 s', options => { poll_interval => 1 });
        my $began = time;
        $pair->cloud("SELECT mulberry.revoke_mandate(($first + n)::text, force_voice => true) FROM generate_series(1, $n) AS n");
        my $mine = "mandate > '$first' AND mandate < '@{[ $first + 1_000_000 ]}'";
        my ($left, $moved) = ($n, time);
        while ($left && time - $moved < 3 * $PostgreSQL::Test::Utils::timeout_default)
        {
            my $now = $pair->cloud("SELECT count(*) FROM mulberry_internal.commands WHERE $mine AND state IN ('waiting', 'outstanding')");
            ($left, $moved) = ($now, time) if $now != $left;
            sleep 0.5 if $left;
        }
        is($left, 0, 'every command has ended')
            or diag $pair->cloud("SELECT c.id, c.state, v.* FROM mulberry_internal.commands c LEFT JOIN mulberry_internal.voice_calls v ON v.command = c.id AND v.finished_at IS NULL WHERE c.$mine AND c.state IN ('waiting', 'outstanding') LIMIT 5");
        my ($confirmed, $escalated) = split /\|/, $pair->cloud("SELECT count(*) FILTER (WHERE state = 'confirmed'), count(*) FILTER (WHERE state = 'escalated') FROM mulberry_internal.commands WHERE $mine");
        is($confirmed + $escalated, $n, 'confirmed or escalated');
        cmp_ok($confirmed, '>', $n / 2, 'most are confirmed');
        my $revoked = $pair->edge("SELECT count(*) FROM mulberry_internal.mandates WHERE id > '$first' AND id < '@{[ $first + 1_000_000 ]}' AND status = 'REVOKED'");
        cmp_ok($revoked, '>=', $confirmed, 'what is confirmed is revoked on its edge');
        ok($pair->wait_for('SELECT count(*) FROM mulberry_internal.job_queue', '0', 180), 'no job is left')
            or diag $pair->cloud('SELECT row_to_json(q), row_to_json(v) FROM mulberry_internal.job_queue q LEFT JOIN mulberry_internal.voice_calls v ON v.job = q.id LIMIT 5');
        is($pair->cloud('SELECT count(*) FROM mulberry_internal.voice_calls WHERE finished_at IS NULL'), '0', 'nor a call');
        my $calls = () = grep { $_->{status} eq 'queued' && $_->{time} > $began } $twilio->entries('call');
        my @requests = grep { $_->{time} > $began } $twilio->entries('request');
        diag sprintf '%d commands in %.0f s: %d confirmed, %d escalated; %d calls, %d requests of which %d failed', $n, time - $began,
            $confirmed, $escalated, $calls, scalar @requests, scalar grep { defined $_->{mishap} } @requests;
    };
}
ok(!$twilio->entries('overlap'), 'nobody was dialled twice at once') or diag map { JSON::PP::encode_json($_) . "\n" } $twilio->entries('overlap');
is($pair->cloud("SELECT count(*) FROM mulberry.verify_audit() WHERE problem IS NOT NULL"), '0', 'the audit log holds');
$pair->stop;
done_testing();
