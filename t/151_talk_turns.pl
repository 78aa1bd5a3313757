# Turns of a live conversation that do not go by the book: speech while the agent thinks, sounds that are no interruption, keys, and replies that
# end the call.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Engines;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use Mulberry::MediaPeer;
use Mulberry::Talk;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my $engines = Mulberry::Engines->new;
my $node = mulberry_cluster('turns', workers => 0);
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
make_agent($node, settings => ', "filler": "One moment, please.", "filler_ms": 900');
$engines->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ]);
$engines->delays(ear => 150, mouth => 80);
sql(q{INSERT INTO agent.answers VALUES
    ('story', '{"say": "Once upon a time there was a small house in the wood, and in it lived a man with his dog and two old cats, who were never tired of telling stories to each other."}'),
    ('bye', '{"say": "Good bye and thank you for your call.", "hangup": true}'),
    ('doctor', '{"say": "I put you through to the doctor now, please hold the line for a moment.", "transfer": "+12025550142"}'),
    ('code', '{"say": "Enter your code.", "collect": {"digits": 3, "name": "code"}}'),
    ('^407$', '{"say": "Thank you very much."}'),
    ('.', '{"say": "We are open on Monday."}');
    CREATE FUNCTION agent.think(said text) RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(1.6) WHERE said ~* 'slowly' $$;
    CREATE OR REPLACE FUNCTION agent.reply(call_id text, said text) RETURNS jsonb LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO agent.asked (call_id, said) VALUES (call_id, said);
        PERFORM agent.think(said);
        RETURN (SELECT a.answer FROM agent.answers a WHERE said ~* a.pattern LIMIT 1);
    END $$;
    GRANT EXECUTE ON FUNCTION agent.think(text) TO agent_author});
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
my $letter = '0';
sub call
{
    my $c = caller($peers, $gateway, sprintf('%032x', ord $letter++));
    $c->hears(0);
    return $c;
}
sub lines { my ($c) = @_; conversation_over($node, $c->{call}); return split /\n/, lines_of($node, $c->{call}) }
sub metric { my ($name) = @_; return ask_admin($gateway, "/metrics")->{content} =~ m{^mulberry_gateway_\Q$name\E (\S+)}m ? $1 : undef }

# ---- a filler, and the reply behind it ----

my $c = call();
$engines->phrases('please think slowly');
$c->say(voice_of('please think slowly'));
my $said = $c->said;
my $reply = $c->hears($said->[1], 60);
my @lines = do { $c->stop; lines($c) };
is_deeply([ @lines[ 1 .. $#lines ] ], [ 'caller: please think slowly', 'agent: We are open on Monday.' ],
    'a reply that takes long is said behind a filler, which is not in the conversation');
cmp_ok($reply->[1] - $reply->[0], '>', 50 * (0.3 * 3 + 0.3 * 5) * 0.9, 'both were heard');
cmp_ok(sql(q{SELECT count(*) FROM agent.asked}), '==', 1, 'it was asked for once');

# ---- speech while the agent thinks ----

$c = call();
$engines->phrases('please think slowly', 'and of tuesday');
$c->say(voice_of('please think slowly'));
$c->said;
sql(q{SELECT pg_sleep(0.05)});
poll_until(sub { sql(q{SELECT count(*) FROM agent.asked}) == 2 }, 'the reply is asked for');
$c->say(voice_of('and of tuesday'));
$said = $c->said;
$c->hears($said->[1], 60);
$c->stop;
@lines = lines($c);
is($lines[1], 'caller: please think slowly and of tuesday', 'what is said while the agent thinks belongs to the turn');
is(scalar(grep { /^agent: We are open/ } @lines), 1, 'one answer is given');
is(scalar(grep { /^caller/ } @lines), 1, 'and there is one turn');

# ---- a cough, and "mhm" ----

$c = call();
$engines->phrases('tell me a story', '', 'mhm');
$c->say(voice_of('tell me a story'));
$said = $c->said;
my $begin = $c->hears_begin($said->[1]);
$c->say(substr(voice_of('aaaaaah'), 0, 8 * 360), wait => 1500);
$c->said;
my $after = $c->hears_begin($begin + 75 + 60);
$c->say(substr(voice_of('aaaaaah'), 0, 8 * 320), wait => 1000);
$c->said;
$c->hears($after, 40);
$c->stop;
@lines = lines($c);
is(scalar(@lines), 3, 'neither is a turn') or note(join "\n", @lines);
like($lines[2], qr/^agent: Once upon a time.*to each other\.$/, 'the story was heard to its end');

# ---- a key while the agent speaks ----

$c = call();
$engines->phrases('tell me a story');
$c->say(voice_of('tell me a story'));
$said = $c->said;
$begin = $c->hears_begin($said->[1]);
$c->hears_begin($begin + 50);
$peers->command(press => $c->{id}, digit => '3');
my @sounds;
poll_until(sub { my @frames = loudness($c->ear); @sounds = grep { $_->[1] > $begin } sounds_between(\@frames, 25); @sounds && @frames - $sounds[-1][1] > 50 }, 'silence');
$c->stop;
@lines = lines($c);
like($lines[2], qr/^agent: Once upon.*\|$/, 'a key cuts the agent off');
unlike($lines[2], qr/each other/, 'long before the end');
is(sql(qq{SELECT (m.figures->>'digits') FROM mulberry_internal.media_sessions m WHERE m.call_id = '$c->{call}'}), '1', 'it counts once') if session_of($node, $c->{call});

# ---- digits ----

$c = call();
$engines->phrases('i have a code');
$c->say(voice_of('i have a code'));
$said = $c->said;
$reply = $c->hears($said->[1]);
$peers->command(press => $c->{id}, digit => $_) foreach qw(4 0 7);
$c->hears($reply->[1] + 10);
$c->stop;
@lines = lines($c);
is_deeply([ @lines[ 3, 4 ] ], [ 'caller: 407', 'agent: Thank you very much.' ], 'digits that were asked for are what the caller says');
is(sql(qq{SELECT a.value FROM mulberry_internal.conversation_attributes a JOIN mulberry_internal.conversations c ON c.id = a.conversation WHERE c.call_id = '$c->{call}' AND a.name = 'code'}), '407', 'and an attribute');

# ---- the end, by the agent ----

$c = call();
$engines->phrases('good bye');
$c->say(voice_of('good bye'));
is($peers->await($c->{id}, 'closed')->{code}, 1000, 'a reply ends the call');
@lines = lines($c);
is($lines[2], 'agent: Good bye and thank you for your call.', 'when it was heard');
is(session_of($node, $c->{call}), 'left by the agent', 'which is the reason');
is(sql(qq{SELECT place->>'leave' FROM mulberry_internal.inbound_calls WHERE sid = '$c->{call}'}), 'hangup', 'the call is hung up behind it');

# ---- putting through, and no ----

$c = call();
$engines->phrases('a doctor please', 'no stop that');
$c->say(voice_of('a doctor please'));
$said = $c->said;
$begin = $c->hears_begin($said->[1]);
$c->say(voice_of('no stop that'), wait => 1200);
$said = $c->said;
$c->hears($said->[1]);
is(sql(qq{SELECT place->>'leave' FROM mulberry_internal.inbound_calls WHERE sid = '$c->{call}'}), '', 'who says no in time is not put through');
$c->stop;
@lines = lines($c);
like($lines[2], qr/^agent: I put you through.*\|$/, 'he had interrupted it');
is($lines[-1], 'agent: We are open on Monday.', 'the conversation goes on');

$c = call();
$engines->phrases('a doctor please');
$c->say(voice_of('a doctor please'));
$peers->await($c->{id}, 'closed');
session_of($node, $c->{call});
is(sql(qq{SELECT place->>'leave' || ' ' || (place->>'number') FROM mulberry_internal.inbound_calls WHERE sid = '$c->{call}'}), 'transfer +12025550142', 'who says nothing is');

# ---- figures ----

is(metric('conversations'), 0, 'no conversation goes on');
is(metric('conversations_total'), ord($letter) - ord('0'), 'they are counted');
cmp_ok(metric('false_interruptions_total'), '>=', 1, 'and what was none');
cmp_ok(metric('backchannels_total'), '>=', 1, 'and backchannels');
cmp_ok(metric('fillers_total'), '>=', 2, 'and fillers');
cmp_ok(metric('voice_to_voice_seconds_count'), '>=', 8, 'the times that callers wait are measured');
cmp_ok(metric('interruption_detection_delay_seconds_count'), '>=', 1, 'and until they are heard');
cmp_ok(metric('tts_ttfb_seconds_count{endpoint="mouth"}'), '>=', 5, 'by endpoint');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
