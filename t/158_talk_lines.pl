# Lines as they are: noise, the agent's own voice coming back, both. Nobody speaks, and the agent says what it has to say without a break;
# somebody speaks, and is heard.
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
my $node = mulberry_cluster('talk_lines');
make_clinic($node);
make_agent($node);
$engines->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ]);
$engines->delays(ear => 100, mouth => 100);
my $story = 'Once upon some time there was one small house in the wood, and in it lived this man with his dog and two old cats, who were never tired of telling stories.';
$node->safe_psql('postgres', qq{INSERT INTO agent.answers VALUES ('story', '{"say": "$story"}'), ('open', '{"say": "We are open on Monday."}')});
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);

my $n = 0;
for my $case ([ 'noise', noise => 260 ], [ 'echo', echo => -20, echoDelay => 120 ], [ 'noise and echo', noise => 260, echo => -20, echoDelay => 120 ])
{
    my ($what, %line) = @$case;
    my $c = caller($peers, $gateway, sprintf('%032x', ++$n), delay => 20, %line);
    $c->hears(0, 40);
    $engines->phrases('tell me the story', 'when are you open');
    $c->say(voice_of('tell me the story please'));
    my $said = $c->said;
    my $begin = $c->hears_begin($said->[1]);
    my $sound = $c->hears($begin, 60);
    my $length = 300 * (split ' ', $story);
    cmp_ok(20 * ($sound->[1] - $sound->[0]), '<', $length + 500, "$what: the story is told without a break");
    $c->say(voice_of('when are you open'));
    $said = $c->said;
    $c->hears($said->[1]);
    $c->stop;
    conversation_over($node, $c->{call});
    is(lines_of($node, $c->{call}), "agent: How can I help you?\ncaller: tell me the story\nagent: $story\ncaller: when are you open\nagent: We are open on Monday.", "$what: all is as it was said");
    is($node->safe_psql('postgres', "SELECT coalesce(sum(pauses), 0) FROM mulberry_internal.conversation_turns t JOIN mulberry_internal.conversations c ON c.id = t.conversation WHERE c.call_id = '$c->{call}'"), '0', "$what: the agent has not paused");
}

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
