# A service that speaks over a socket: a context for each reply, the same socket for all calls of a tenant, and requests when it cannot be had.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
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
my $node = mulberry_cluster('voice');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
$engines->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'elevenlabs', 'v1', 'speak', 1, undef, '{"voice": "ann"}' ],
    [ 'model', 'openai', 'v1', 'reply', 1, 'm' ]);
sql(q{SELECT mulberry.set_conversation('{"prompt": "You answer the telephone of a clinic.", "silence_prompt_ms": 0, "filler_ms": 0}', 'clinic')});
my $story = 'Once upon a time there was a small house in the wood. In it lived a man with his dog and two old cats, who told stories to each other.';
$engines->model('monday' => 'On Monday we are open from nine. On Tuesday we are closed, and on all other days from ten.', 'story' => $story, '^((?!monday|story).)*$' => 'I am here.');
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
my $number = 0;
sub call { my $c = caller($peers, $gateway, sprintf('%032x', ++$number)); $c->hears(0, 40); return $c }
sub lines { my ($c) = @_; $c->stop; conversation_over($node, $c->{call}); my @lines = split /\n/, lines_of($node, $c->{call}); return [ @lines[ 1 .. $#lines ] ] }
sub metric { my ($name) = @_; return ask_admin($gateway, '/metrics')->{content} =~ m{^mulberry_gateway_\Q$name\E (\S+)}m ? $1 : undef }
sub contexts { return values %{ $engines->asked->{voice}{contexts} } }
sub ask_about { my ($c, $what) = @_; $engines->phrases($what); $c->say(voice_of($what)); return $c->said }

# ---- a reply is a context ----

my $c = call();
is($engines->asked->{voice}{sockets}, 1, 'a socket is opened with the conversation');
$c->hears(ask_about($c, 'are you open on monday')->[1], 60);
is_deeply(lines($c), [ 'caller: are you open on monday', 'agent: On Monday we are open from nine. On Tuesday we are closed, and on all other days from ten.' ],
    'a reply of two sentences is heard');
my ($reply) = grep { $_->{texts}[0] =~ /Monday/ } contexts();
is_deeply($reply, { texts => [ 'On Monday we are open from nine. ', 'On Tuesday we are closed, and on all other days from ten. ' ], closed => JSON::PP::true },
    'sentence by sentence, in one context, which is closed then');
is(scalar @{ $engines->asked->{mouth} }, 0, 'and no request is sent');

# ---- an interruption ----

$c = call();
$engines->delays(voice => 700);
my $begin = $c->hears_begin(ask_about($c, 'tell me a story')->[1]);
$engines->phrases('no stop that and tell me if you are open on monday');
# behind the time in which a turn that was cut off goes on
$c->say(voice_of('no stop that and tell me if you are open on monday'), wait => 1500);
$engines->delays(voice => 0);
$c->hears($c->said->[1], 60);
my $lines = lines($c);
like($lines->[1], qr/^agent: Once upon.*\|$/, 'a reply is interrupted');
like($lines->[-1], qr/^agent: On Monday we are open/, 'and the next one heard');
is((grep { $_->{texts}[0] =~ /^Once upon/ } contexts())[0]{closed}, JSON::PP::true, 'its context is closed');
is($engines->asked->{voice}{sockets}, 1, 'all calls of the tenant have one socket');

# ---- a sentence that is remembered ----

# the first of its eight words is half of the text, and an eighth of the sound
my $uneven = 'Uncharacteristically I am on it as we do.';
$engines->model('uneven' => $uneven, 'monday' => 'On Monday we are open from nine.', '^((?!monday|uneven).)*$' => 'I am here.');
my $kept = 'mulberry_internal.speech_cache WHERE words[1] = 20';
sub said_anew { return scalar grep { $_->{texts}[0] =~ /^Uncharacteristically/ } contexts() }

# Asks for it and interrupts; how many of its words sounded, and how many are stored as heard.
sub interrupted
{
    my $c = call();
    my $begin = $c->hears_begin(ask_about($c, 'tell me the uneven one')->[1]);
    $engines->phrases('no stop that and tell me if you are open on monday');
    $c->say(voice_of('no stop that and tell me if you are open on monday'), wait => 1200);
    $c->hears($c->said->[1], 60);
    my @frames = $c->levels($begin);
    my ($first) = sounds_between(\@frames, 12);
    # a pause between words is 50 ms; one that is shorter than 240 ms was cut
    my @words = sounds_between([ @frames[ $first->[0] .. $first->[1] - 1 ] ], 0);
    my ($line) = grep { /^agent: Unchar/ } @{ lines($c) };
    my $replayed = sql(qq{SELECT bool_and(r.heard IS NOT DISTINCT FROM t.heard) FROM mulberry.replay_turns('$c->{call}', NULL, 'clinic') r
        JOIN mulberry_internal.conversations v ON v.call_id = '$c->{call}' JOIN mulberry_internal.conversation_turns t ON t.conversation = v.id AND t.turn = r.turn});
    return (@words - ($words[-1][1] - $words[-1][0] < 12), scalar(split ' ', ($line // 'agent:') =~ s/^agent:|\|$//gr), $replayed);
}

$c = call();
$c->hears(ask_about($c, 'tell me the uneven one')->[1], 60);
is(lines($c)->[1], "agent: $uneven", 'a short sentence is heard');
poll_until(sub { sql("SELECT count(*) FROM $kept") == 1 }, 'it is kept');
my @times = split /,/, sql("SELECT array_to_string(words, ',') FROM $kept");
is_deeply([ map { $times[ 2 * $_ ] } 0 .. @times / 2 - 1 ], [ 20, 22, 25, 28, 31, 34, 37 ], 'with where its words end in the text');
is_deeply([ grep { abs($times[ 2 * $_ + 1 ] - 300 * $_ - 250) > 20 } 0 .. @times / 2 - 1 ], [], 'and when each of them is over') or note("@times");
for my $by ('the service', 'the database')
{
    sql('DELETE FROM mulberry_internal.speech_cache') if $by eq 'the service';
    my $before = said_anew();
    my ($played, $stored, $replayed) = interrupted();
    is(said_anew() - $before, $by eq 'the service' ? 1 : 0, "it is said by $by");
    cmp_ok(abs($played - $stored), '<=', 1, "and heard as far as it sounded when it is interrupted: $stored of $played words");
    is($replayed, 't', 'also when it is replayed');
    poll_until(sub { sql("SELECT count(*) FROM $kept") == 1 }, 'it is kept');
}
for my $words ('NULL', "'{20,250,22,2147483647}'", "'{20,NULL}'")
{
    sql("UPDATE mulberry_internal.speech_cache SET words = $words");
    my $before = said_anew();
    $c = call();
    $c->hears(ask_about($c, 'tell me the uneven one')->[1], 60);
    is(lines($c)->[1], "agent: $uneven", "a sentence whose words are $words is heard");
    is(said_anew(), $before, 'as it is remembered');
}

# ---- who is slow is left ----

sql(q{SELECT mulberry.set_conversation('{"prompt": "You answer the telephone of a clinic.", "silence_prompt_ms": 0, "filler_ms": 0, "hedge_speak_ms": 300}', 'clinic')});
my @tale = ('There was a king who had three daughters.', 'The first of them was as tall as a tower and could look over all walls of the town.',
    'The second was as small as a mouse and lived in the pocket of her father and his coat.', 'And of the third nobody knows anything at all, because she never said a single word to anybody.');
$engines->model('monday' => 'On Monday we are open from nine. On Tuesday we are closed, and on all other days from ten.', 'king' => join(' ', @tale), '^((?!monday|king).)*$' => 'I am here.');
$c = call();
$engines->delays(voice => [4000]);
$c->hears(ask_about($c, 'tell me of the king')->[1], 60);
is(lines($c)->[1], "agent: @tale", 'a reply is heard when its first sentence comes of another request');
my ($slow) = sort { @{ $b->{texts} } <=> @{ $a->{texts} } } grep { $_->{texts}[0] =~ /^There was a king/ } contexts();
ok(!(grep { /^And of the third/ } @{ $slow->{texts} }), 'and no more is said by who was slow') or note(join ' | ', @{ $slow->{texts} });
$engines->delays(voice => 0);
sql(q{SELECT mulberry.set_conversation('{"prompt": "You answer the telephone of a clinic.", "silence_prompt_ms": 0, "filler_ms": 0}', 'clinic')});

# ---- a socket that cannot be had ----

for my $how (qw(drop error refuse))
{
    # each has a voice of its own, whose socket nothing has happened to
    sql(qq{SELECT mulberry.alter_endpoint('mouth', options => '{"voice": "$how"}', tenant => 'clinic')});
    $engines->behave(voice => $how);
    my ($fallbacks, $requests) = (metric('fallbacks_total{kind="speak"}'), scalar @{ $engines->asked->{mouth} });
    $c = call();
    $c->hears(ask_about($c, 'are you open on monday')->[1], 60);
    is(lines($c)->[1], 'agent: On Monday we are open from nine. On Tuesday we are closed, and on all other days from ten.', "$how: the reply is heard all the same");
    cmp_ok(scalar @{ $engines->asked->{mouth} }, '>=', $requests + 2, 'it is spoken by requests');
    cmp_ok(metric('fallbacks_total{kind="speak"}'), '>', $fallbacks, 'which is counted') if $how ne 'refuse';
}
$engines->behave(voice => 'ok');
is_deeply([ grep { !/upgrade/ } $engines->wrong ], [], 'the service was asked in its form');
unlike(log_of_gateway($gateway), qr/sk-test/, 'no key is in the log');

# ---- who does not want it ----

sql(q{SELECT mulberry.alter_endpoint('mouth', options => '{"voice": "bob", "socket": false}', tenant => 'clinic')});
my $sockets = $engines->asked->{voice}{sockets};
$c = call();
is($engines->asked->{voice}{sockets}, $sockets, 'an endpoint may do without a socket');
$c->stop;
is($node->psql('postgres', q{SELECT mulberry.alter_endpoint('mouth', options => '{"socket": 1}', tenant => 'clinic')}), 3, 'the option is true or false');

$gateway->{run}->signal('TERM');
ok($gateway->{run}->finish, 'the gateway ends well');
$node->stop;
done_testing();
