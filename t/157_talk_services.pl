# Services of a live conversation that fail: another takes their place, or there is an apology, and the call goes on in the menu; and a gateway
# that ends in the middle of it.
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

my ($first, $second) = map { Mulberry::Engines->new } 1 .. 2;
my $node = mulberry_cluster('services');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
sql(q{SELECT mulberry.set_conversation('{"prompt": "You answer the telephone of a clinic.", "filler_ms": 0, "apology_ms": 4000, "apology": "I am sorry for that."}', 'clinic')});
$first->serve($node, 'clinic', [ 'ear1', 'deepgram', 'v1', 'listen', 1 ], [ 'mouth1', 'openai', 'v1', 'speak', 1 ], [ 'model1', 'openai', 'v1', 'reply', 1, 'm' ]);
$second->serve($node, 'clinic', [ 'ear2', 'elevenlabs', 'v1', 'listen', 2 ], [ 'mouth2', 'openai', 'v1', 'speak', 2 ], [ 'model2', 'openai', 'v1', 'reply', 2, 'm' ]);
$_->model('monday' => 'On Monday we are open.', '^((?!monday).)*$' => 'I am here to help you.') foreach $first, $second;
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
my $number = 0;
sub lines { my ($c) = @_; conversation_over($node, $c->{call}); return split /\n/, lines_of($node, $c->{call}) }
sub metric { my ($name) = @_; return ask_admin($gateway, '/metrics')->{content} =~ m{^mulberry_gateway_\Q$name\E (\S+)}m ? $1 : undef }
sub leaves { my ($c) = @_; session_of($node, $c->{call}); return sql(qq{SELECT place->>'leave' FROM mulberry_internal.inbound_calls WHERE sid = '$c->{call}'}) }

# Asks a question, with one service as it is said; what the caller and the agent have said, but for the opening.
sub dialogue
{
    my ($who, $how) = @_;
    $first->behave($who, $how);
    my $c = caller($peers, $gateway, sprintf('%032x', ++$number));
    $c->hears(0, 40);
    $_->phrases('are you open on monday') foreach $who eq 'ear' ? $second : $first;
    $c->say(voice_of('are you open on monday'));
    $c->hears($c->said->[1], 40);
    $c->stop;
    my @lines = lines($c);
    $first->behave($who, 'ok');
    return @lines[ 1 .. $#lines ];
}

my @right = ('caller: are you open on monday', 'agent: On Monday we are open.');
for (map { my $who = $_; map { [ $who, $_ ] } qw(refuse busy silent garbage drop cut) } qw(ear mouth model))
{
    my ($who, $how) = @$_;
    next if $who eq 'mouth' && $how eq 'garbage' || $who eq 'ear' && $how eq 'busy' || $who ne 'model' && $how eq 'cut';
    # what was said once is remembered
    sql('DELETE FROM mulberry_internal.speech_cache');
    my $counted = sprintf 'fallbacks_total{kind="%s"}', { ear => 'listen', mouth => 'speak', model => 'reply' }->{$who};
    my $before = metric($counted);
    is_deeply([ dialogue($who, $how) ], \@right, "$who $how: another takes its place");
    cmp_ok(metric($counted), '>', $before, 'which is counted');
}

# ---- nothing works ----

sub all { my ($who, $how) = @_; $_->behave($who, $how) foreach $first, $second; return }
for my $who (qw(model ear))
{
    my $apologies = metric('apologies_total');
    all($who, 'refuse');
    my $c = caller($peers, $gateway, sprintf('%032x', ++$number));
    if ($who eq 'model')
    {
        $c->hears(0, 40);
        $first->phrases('are you open on monday');
        $c->say(voice_of('are you open on monday'));
    }
    is($peers->await($c->{id}, 'closed')->{code}, 1000, "no $who: the stream ends");
    is(leaves($c), 'menu', 'and the call goes on in the menu');
    my @lines = lines($c);
    is($lines[-1], 'agent: I am sorry for that.', 'behind an apology');
    is(metric('apologies_total'), $apologies + 1, 'which is counted');
    all($who, 'ok');
}
sql('DELETE FROM mulberry_internal.speech_cache');
all('mouth', 'refuse');
my $c = caller($peers, $gateway, sprintf('%032x', ++$number));
sleep 2;
$first->phrases('are you open on monday');
$c->say(voice_of('are you open on monday'));
is($peers->await($c->{id}, 'closed')->{code}, 1000, 'no mouth: the stream ends');
is(leaves($c), 'menu', 'and the call goes on in the menu');
all('mouth', 'ok');

# ---- the gateway ends ----

$c = caller($peers, $gateway, sprintf('%032x', ++$number));
$c->hears(0, 40);
my @before = loudness($c->ear);
kill 'TERM', $gateway->{pid};
my $closed = $peers->await($c->{id}, 'closed');
is($closed->{code}, 1001, 'a gateway that ends says so');
my @frames = loudness($c->ear);
my @sounds = grep { $_->[1] > @before } sounds_between(\@frames, 15);
is(scalar(@sounds), 1, 'after a farewell');
my @lines = lines($c);
like($lines[-1], qr/ Goodbye[.]$/, 'which was heard');
is(session_of($node, $c->{call}), 'the gateway ended', 'the reason is known');
$gateway->{run}->finish;
ok($gateway->{run}->result == 0, 'and the gateway ends well');

# ---- the gateway is killed ----

$gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
$c = caller($peers, $gateway, sprintf('%032x', ++$number));
$c->hears(0, 40);
$first->phrases('are you open on monday');
$c->say(voice_of('are you open on monday'));
$c->hears($c->said->[1], 40);
poll_until(sub { sql(qq{SELECT count(*) FROM mulberry.conversation_lines WHERE call_id = '$c->{call}' AND speaker = 'agent'}) == 2 }, 'what was said is stored');
poll_until(sub { sql(qq{SELECT count(*) FROM mulberry_internal.turn_log l JOIN mulberry_internal.conversations c ON c.id = l.conversation WHERE c.call_id = '$c->{call}'}) > 6 }, 'the log is stored');
kill 'KILL', $gateway->{pid};
$peers->await($c->{id}, 'closed');
$gateway->{run}->finish;
my $open = qq{SELECT m.ended_at IS NULL AND c.ended_at IS NULL FROM mulberry_internal.media_sessions m JOIN mulberry_internal.conversations c USING (tenant, call_id) WHERE call_id = '$c->{call}'};
maintain($node);
is(sql($open), 't', 'a gateway that is gone has not said that a call is over');
sql(qq{UPDATE mulberry_internal.inbound_calls SET ended_at = clock_timestamp() - interval '4 minutes' WHERE sid = '$c->{call}'});
maintain($node);
is(sql($open), 't', 'and might still do so');
sql(qq{UPDATE mulberry_internal.inbound_calls SET ended_at = clock_timestamp() - interval '6 minutes' WHERE sid = '$c->{call}'});
maintain($node);
is(session_of($node, $c->{call}), 'the gateway is gone', 'then maintenance does');
is(conversation_over($node, $c->{call}), 'lost', 'the conversation is over, too');
is(sql(qq{SELECT t.said FROM mulberry_internal.conversation_turns t JOIN mulberry_internal.conversations c ON c.id = t.conversation WHERE c.call_id = '$c->{call}' AND turn = 1}),
    'are you open on monday', 'its turns are stored');

$node->stop;
done_testing();
