# Services of a live conversation that are slow to begin: another one is asked as well where the tenant wants it, who begins first answers, and
# nothing happens twice.
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
use Time::HiRes qw(sleep);

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my ($first, $second) = map { Mulberry::Engines->new } 1 .. 2;
my $node = mulberry_cluster('hedges');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
make_agent($node);
sql(q{CREATE TABLE agent.booked (day text); GRANT ALL ON agent.booked TO agent_author;
    SET ROLE agent_author; CREATE FUNCTION agent.book(day text) RETURNS text LANGUAGE sql AS $$ INSERT INTO agent.booked VALUES (day) RETURNING 'booked' $$});
sub settings { my ($more) = @_; sql(qq{SELECT mulberry.set_conversation('{"prompt": "You answer the telephone of a clinic.", "silence_prompt_ms": 0, "filler_ms": 0, "apology_ms": 8000, "speculations": 0$more}', 'clinic')}); return }
$first->serve($node, 'clinic', [ 'ear1', 'deepgram', 'v1', 'listen', 1 ], [ 'mouth1', 'openai', 'v1', 'speak', 1 ], [ 'model1', 'openai', 'v1', 'reply', 1, 'm' ]);
$second->serve($node, 'clinic', [ 'mouth2', 'openai', 'v1', 'speak', 2 ], [ 'model2', 'openai', 'v1', 'reply', 2, 'm' ]);
sql(qq{SELECT mulberry.alter_endpoint(n, timeout => '6 s', tenant => 'clinic') FROM unnest(ARRAY['mouth1', 'mouth2', 'model1', 'model2']) AS n});
$first->model('monday' => 'By the first.', '^((?!monday).)*$' => 'I am here.');
$second->model('monday' => 'By the second.', '^((?!monday).)*$' => 'I am here.');
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
my $number = 0;
sub metric { my ($name) = @_; return ask_admin($gateway, '/metrics')->{content} =~ m{^mulberry_gateway_\Q$name\E (\S+)}m ? $1 : undef }
sub counted { my ($kind) = @_; return map { metric("$_\{kind=\"$kind\"}") } 'hedges_total', 'hedges_won_total' }
sub record { my ($c) = @_; return sql(qq{SELECT sum(t.hedges) || ' ' || sum(t.hedges_won) FROM mulberry_internal.conversation_turns t JOIN mulberry_internal.conversations c ON c.id = t.conversation WHERE c.call_id = '$c->{call}'}) }

# Asks about Monday; the call, what the agent has said, and how many hedges were counted and won.
sub question
{
    my ($kind) = @_;
    my @before = counted($kind);
    my $c = caller($peers, $gateway, sprintf('%032x', ++$number));
    $c->hears(0, 40);
    $first->phrases('are you open on monday');
    $c->say(voice_of('are you open on monday'));
    $c->hears($c->said->[1], 60);
    $c->stop;
    conversation_over($node, $c->{call});
    my @lines = split /\n/, lines_of($node, $c->{call});
    my @after = counted($kind);
    return ($c, $lines[-1], join ' ', map { $after[$_] - $before[$_] } 0, 1);
}

# ---- replies ----

settings('');
$first->delays(model => [1200]);
my ($c, $said, $counted) = question('reply');
is("$said, $counted", 'agent: By the first., 0 0', 'by itself nobody else is asked');
settings(', "hedge_reply_ms": 400');
($c, $said, $counted) = question('reply');
is("$said, $counted", 'agent: By the first., 0 0', 'nor is anybody when the first begins in time');
$first->delays(model => [3000]);
($c, $said, $counted) = question('reply');
is("$said, $counted", 'agent: By the second., 1 1', 'when it does not, who was asked as well answers');
is(record($c), '1 1', 'which is in the record of the turn');
is(sql(qq{SELECT r->>'hedges' || ' ' || (r->>'hedges_won') FROM mulberry.conversation_report('$c->{call}', 'clinic') AS r}), '1 1', 'and in the report');
$first->delays(model => [1200]);
$second->delays(model => [3000]);
($c, $said, $counted) = question('reply');
is("$said, $counted", 'agent: By the first., 1 0', 'the first answers when it is the first after all');
$first->delays(model => [3000]);
$second->behave(model => 'refuse');
($c, $said, $counted) = question('reply');
is("$said, $counted", 'agent: By the first., 1 0', 'and when the other one fails');
$second->behave(model => 'ok');
$first->delays(model => [3000]);
$first->behave(model => 'ok');

# ---- functions of the tenant ----

settings(', "hedge_reply_ms": 400, "tools": [{"function": "agent.book"}]');
$_->model('.' => { tool => 'book', arguments => { day => 'Monday' } }) foreach $first, $second;
$first->delays(model => [1500]);
($c, $said, $counted) = question('reply');
is($said, 'agent: It is done: booked.', 'a function is called');
like($counted, qr/^[12] 1$/, 'as who answered first wants it');
sleep 1.5;
is(sql('SELECT count(*) FROM agent.booked'), '1', 'once, whoever was asked besides');
cmp_ok(scalar @{ $first->asked->{model} }, '>', 1, 'both were');
$_->model('monday' => 'By one of them.', '^((?!monday).)*$' => 'I am here.') foreach $first, $second;

# ---- who speaks ----

settings(', "hedge_speak_ms": 400');
sql('DELETE FROM mulberry_internal.speech_cache');
$first->delays(model => 0, mouth => [3000]);
my $spoken = @{ $second->asked->{mouth} };
($c, $said, $counted) = question('speak');
is("$said, $counted", 'agent: By one of them., 1 1', 'a sentence is said by who begins first');
is_deeply([ @{ $second->asked->{mouth} }[ $spoken .. $#{ $second->asked->{mouth} } ] ], ['By one of them.'], 'which is the other one');
is(record($c), '1 1', 'and is in the record');
is(sql('SELECT count(*) FROM mulberry_internal.speech_cache'), '1', 'the sentence is remembered once');

# ---- with one endpoint, and by itself ----

sql(q{SELECT mulberry.drop_endpoint('mouth2', 'clinic'); SELECT mulberry.drop_endpoint('model2', 'clinic')});
settings(', "hedge_reply_ms": 400');
$first->delays(model => [3000]);
($c, $said, $counted) = question('reply');
is("$said, $counted", 'agent: By one of them., 1 1', 'where there is no other endpoint, the same is asked once more');
settings(', "hedge_speak_ms": "auto"');
my $sentences = metric('tts_ttfb_seconds_count{endpoint="mouth1"}');
$first->model('monday' => join(' ', map { "This is the sentence of number $_, which is long enough to be said by itself, and is said." } 1 .. 24), '^((?!monday).)*$' => 'I am here.');
$c = caller($peers, $gateway, sprintf('%032x', ++$number));
$c->hears(0, 40);
$first->phrases('are you open on monday');
$c->say(voice_of('are you open on monday'));
poll_until(sub { metric('tts_ttfb_seconds_count{endpoint="mouth1"}') > 20 }, 'it is known how long it takes');
$c->stop;
conversation_over($node, $c->{call});
$first->model('monday' => 'Slowly said.', '^((?!monday).)*$' => 'I am here.');
sql(q{DELETE FROM mulberry_internal.speech_cache WHERE audio IS NOT NULL});
$first->delays(mouth => [5000]);
($c, $said, $counted) = question('speak');
is($said, 'agent: Slowly said.', 'who is much slower than usual is not waited for');
like($counted, qr/^[1-9] [1-9]$/, 'and that is found out by itself') or note("before: $sentences");

is($node->psql('postgres', q{SELECT mulberry.set_conversation('{"hedge_reply_ms": "never"}', 'clinic')}), 3, 'what else is set is refused');
is_deeply([ map { $_->wrong } $first, $second ], [], 'all services were asked in their forms');
unlike(log_of_gateway($gateway), qr/sk-test/, 'no key is in the log');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
