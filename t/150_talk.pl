# A caller talks with a tenant's agent, whose replies are a function in SQL, and interrupts it; keys, silence, and what an agent may do besides.
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
my $node = mulberry_cluster('talk', workers => 0);
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
make_agent($node);
$engines->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ]);
$engines->delays(ear => 200, mouth => 100);
sql(q{INSERT INTO agent.answers VALUES ('story|long', '{"say": "Once upon a time there was a small house in the wood, and in it lived a man with his dog and two old cats, who were never tired of telling stories to each other."}'),
    ('.', '{"say": "We are open on Monday."}')});
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);

# ---- plain dialogue ----

my $c = caller($peers, $gateway, 'a' x 32);
my $opening = $c->hears(0);
cmp_ok($opening->[1] - $opening->[0], '>', 40, 'the agent begins');
$engines->phrases('when are you open');
$c->say(voice_of('when are you open'));
my $said = $c->said;
my $reply = $c->hears($said->[1]);
ok($reply->[0] > $said->[1], 'it answers when the caller is done');
note('end of speech to answer: ' . 20 * ($reply->[0] - $said->[1]) . ' ms');
$c->stop;
is(conversation_over($node, $c->{call}), 'stopped', 'the caller ends it');
my @lines = split /\n/, lines_of($node, $c->{call});
is($lines[0], 'agent: How can I help you?', 'what the agent said first was heard');
is($lines[1], 'caller: when are you open', 'what the caller said was understood');
is($lines[2], 'agent: We are open on Monday.', 'the answer was heard');
is(sql(q{SELECT count(*) FROM agent.asked}), '1', 'the reply function was asked once');
is(sql(qq{SELECT turn || ' ' || heard FROM mulberry_internal.conversation_turns t JOIN mulberry_internal.conversations c ON c.id = t.conversation WHERE c.call_id = '$c->{call}' AND turn > 0}),
    '1 We are open on Monday.', 'its turn is stored');

# ---- an interruption ----

$c = caller($peers, $gateway, 'b' x 32);
$opening = $c->hears(0);
$engines->phrases('tell me a long story please', 'stop that and tell me when you are open');
$c->say(voice_of('tell me a long story please'));
$said = $c->said;
my $begin = $c->hears_begin($said->[1]);
$c->say(voice_of('stop that please and tell me when you are open'), wait => 2000);
$said = $c->said;
$reply = $c->hears($said->[1]);
my @frames = loudness($c->ear);
my @sounds = sounds_between(\@frames, 15);
my ($cut) = grep { $_->[0] >= $begin - 1 } @sounds;
note('speech onset to silence: ' . 20 * ($cut->[1] - $said->[0]) . ' ms');
cmp_ok($cut->[1], '>', $said->[0], 'the agent was speaking when the caller began');
cmp_ok($cut->[1], '<', $said->[1], 'it falls silent while the caller speaks');
$c->stop;
conversation_over($node, $c->{call});
@lines = split /\n/, lines_of($node, $c->{call});
like($lines[2], qr/^agent: Once upon a time.*\|$/, 'what was heard of the story is known');
unlike($lines[2], qr/each other/, 'and not the rest');
like($lines[-1], qr/^agent: We are open on Monday\.$/, 'then it answers');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
