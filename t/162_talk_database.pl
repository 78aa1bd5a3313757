# Conversations while the database is slow: sentences do not wait for it, and those of a tenant whose function takes long hold up nobody else's.
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
my $node = mulberry_cluster('database');
sub sql { return $node->safe_psql('postgres', @_) }
my %settings = (settings => ', "filler_ms": 0, "silence_prompt_ms": 0, "reply_timeout_ms": 20000, "apology_ms": 20000, "apology": "I am sorry for that."');
my @second = (name => 'second', number => '+12025550777', account => 'AC' . '2' x 32);
make_clinic($node);
make_clinic($node, @second);
make_agent($node, %settings, tenant => $_) foreach qw(clinic second);
sql(q{INSERT INTO agent.answers VALUES ('monday', '{"say": "On Monday we are open."}'), ('tuesday', '{"say": "On Tuesday we are closed all day long as we are on all the other days of the week but Monday."}'),
    ('nothing', '{"say": "I do not know."}')});
for ('clinic', 'second') { $engines->line($_)->serve($node, $_, [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ]) }
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base, '--twilio-connections', 4);
my $number = 0;
sub call { my $c = caller($peers, $gateway, sprintf('%032x', ++$number), @_); $c->hears(0, 40); return $c }
sub lines { my ($c) = @_; $c->stop; conversation_over($node, $c->{call}); my @lines = split /\n/, lines_of($node, $c->{call}); return join '/', @lines[ 1 .. $#lines ] }
sub asks { my ($c, $tenant, $text) = @_; $engines->line($tenant)->phrases($text); $c->say(voice_of($text)); return $c->said->[1] }
sub kept { return sql('SELECT count(*) FROM mulberry_internal.speech_cache') }
sub holding { my ($what) = @_; my $holder = $node->background_psql('postgres'); $holder->query_safe("BEGIN; LOCK TABLE $what IN ACCESS EXCLUSIVE MODE"); return $holder }

# ---- what is kept ----

my $c = call();
$c->hears(asks($c, 'clinic', 'are you open on monday'), 40);
# its first words are a piece of their own
$c->hears(asks($c, 'clinic', 'are you open on tuesday'), 40);
$c->hears(asks($c, 'clinic', 'nothing more'), 40);
poll_until(sub { kept() >= 3 }, 'short pieces of replies are kept');
is(sql(q{SELECT count(*) FROM mulberry_internal.speech_cache WHERE length(audio) > 24000}), '0', 'and not a long one among them');
lines($c);

# behind a service that this gateway does not know yet
sub voice_key { my ($i) = @_; return sql("SELECT mulberry_internal.dialogue_services(t.id, 'speak', '{}')->$i->>'voice_key' FROM mulberry_internal.tenants t WHERE t.name = 'clinic'") }
sub heard_by { my ($key) = @_; return sql("SELECT (mulberry.find_speech('I do not know.', '$key', 'clinic')).sound IS NOT NULL") }
sql(q{ALTER FUNCTION mulberry_internal.dialogue_services RENAME TO known_services;
    CREATE FUNCTION mulberry_internal.dialogue_services(owner uuid, purpose text, settings jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
        SELECT CASE WHEN $2 = 'speak' THEN '[{"name": "new", "form": "new", "url": "http://127.0.0.1:1", "timeout_ms": 1000, "voice_key": "new"}]' ELSE '[]' END::jsonb
            || mulberry_internal.known_services($1, $2, $3) $$; DELETE FROM mulberry_internal.speech_cache});
$c = call();
$c->hears(asks($c, 'clinic', 'nothing more'), 40);
poll_until(sub { kept() >= 1 }, 'a sentence is kept');
is_deeply([ map { heard_by(voice_key($_)) } 0, 1 ], [ 'f', 't' ], 'for the voice that has said it');
lines($c);
sql(q{DROP FUNCTION mulberry_internal.dialogue_services; ALTER FUNCTION mulberry_internal.known_services RENAME TO dialogue_services});

# ---- who keeps the sentences does not answer ----

# an apology that has been said
$engines->line('clinic')->behave(ear => 'refuse');
$c = caller($peers, $gateway, sprintf('%032x', ++$number));
$c->closed;
$engines->line('clinic')->behave(ear => 'ok');
$c = call();
my $holder = holding('mulberry_internal.speech_cache');
my $spoken = @{ $engines->line('clinic')->asked->{mouth} };
my $at = asks($c, 'clinic', 'are you open on monday');
$c->hears_begin($at);
is(sql(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'find_speech'}), 't', 'a sentence is heard while the database still looks for it');
$c->hears($at, 40);
is(scalar @{ $engines->line('clinic')->asked->{mouth} }, $spoken + 1, 'it is made');
$engines->line('clinic')->behave($_ => 'refuse') foreach qw(ear mouth);
my $apologises = caller($peers, $gateway, sprintf('%032x', ++$number));
$apologises->closed;
cmp_ok(scalar(grep { $_ >= 100 } $apologises->levels(0)), '>', 40, 'an apology that was said before is heard, though nobody says it and the database does not give it');
$engines->line('clinic')->behave($_ => 'ok') foreach qw(ear mouth);
$holder->query_safe('COMMIT');
$holder->quit;
is(lines($c), 'caller: are you open on monday/agent: On Monday we are open.', 'all of which is stored');
conversation_over($node, $apologises->{call});
like(lines_of($node, $apologises->{call}), qr/I am sorry for that[.]$/, 'the apology, too');

# ---- what could not be stored ----

# with an error of the function what went with it is undone
sql(q{INSERT INTO agent.answers VALUES ('fail', '{"say": 1}')});
$c = call();
$c->hears(asks($c, 'clinic', 'are you open on monday'), 40);
$c->hears(asks($c, 'clinic', 'nothing more'), 40);
$engines->line('clinic')->phrases('please fail');
$c->say(voice_of('nothing more'));
$c->closed;
conversation_over($node, $c->{call});
is(lines_of($node, $c->{call}) =~ s/\n/\//gr, 'agent: How can I help you?/caller: are you open on monday/agent: On Monday we are open./caller: nothing more/agent: I do not know./caller: please fail/agent: I am sorry for that.',
    'an error of a function takes nothing along of what was said');

# of a turn that is long over nothing is left but in the database
my %answer = ('are you open on monday' => 'On Monday we are open.', 'nothing more' => 'I do not know.');
my @turns = ('are you open on monday', 'nothing more') x 3;
$c = call();
$c->hears(asks($c, 'clinic', $_), 40) foreach @turns;
is(lines($c), join('/', map { ("caller: $_", "agent: $answer{$_}") } @turns), 'what was said in many turns is stored, in their order');

# the database is away when it is told
$c = call();
my $asked = asks($c, 'clinic', 'are you open on tuesday');
$c->hears_begin($asked);
$node->stop('fast');
$c->hears($asked, 60);
$node->start;
is(lines($c), 'caller: are you open on tuesday/agent: On Tuesday we are closed all day long as we are on all the other days of the week but Monday.', 'what was heard while there was no database is stored');
is(sql(qq{SELECT count(*) = max(l.number) + 1 FROM mulberry_internal.turn_log l JOIN mulberry_internal.conversations c ON c.id = l.conversation WHERE c.call_id = '$c->{call}'}), 't', 'and a log without holes');

# ---- a function that takes long ----

sql(q{CREATE TABLE agent.slow (); GRANT ALL ON agent.slow TO agent_author; SET ROLE agent_author;
    CREATE FUNCTION agent.slowly(call_id text, said text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM agent.slow; RETURN '{"say": "At last."}'; END $$;
    RESET ROLE; SELECT mulberry.set_conversation('{"reply_function": "agent.slowly", "filler_ms": 0, "silence_prompt_ms": 0, "reply_timeout_ms": 20000, "apology_ms": 20000}', 'clinic')});
my $other = call(@second[ 2 .. 5 ]);
my @slow = map { call() } 1 .. 3;
$holder = holding('agent.slow');
$engines->line('clinic')->phrases(('are you open on monday') x @slow);
$_->say(voice_of('are you open on monday')) foreach @slow;
my @from = map { $_->said->[1] } @slow;
sub waiting { return sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'prepare_reply'}) }
poll_until(sub { waiting() > 0 }, 'a function is being called');
$other->hears(asks($other, 'second', 'are you open on monday'), 25);
is(waiting(), 1, 'of two connections that may take long a tenant has one, whatever many of his calls wait for');
$holder->query_safe('COMMIT');
$holder->quit;
is(lines($other), 'caller: are you open on monday/agent: On Monday we are open.', 'another tenant is answered meanwhile');
$slow[$_]->hears($from[$_], 40) foreach 0 .. $#slow;
is_deeply([ map { lines($_) } @slow ], [ ('caller: are you open on monday/agent: At last.') x @slow ], 'and all of his when it is their turn');

# ---- a sentence that is remembered ----

# of another length than whole frames have, by a gateway that has said nothing yet
sql(q{SELECT mulberry.set_conversation('{"reply_function": "agent.reply", "filler_ms": 0, "silence_prompt_ms": 1000}', 'second');
    UPDATE mulberry_internal.prompts SET audio = substr(audio, 1, length(audio) - length(audio) % 160 - 110)});
my $fresh = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base, '--twilio-connections', 4);
for my $who ('the database', 'the gateway')
{
    $c = caller($peers, $fresh, sprintf('%032x', ++$number), @second[ 2 .. 5 ]);
    ok($c->hears_begin($c->hears(0, 30)->[1]), "behind a greeting that $who remembers it is asked whether somebody is there");
    $c->stop;
}
$fresh->{run}->signal('TERM');
ok($fresh->{run}->finish, 'this one ends well');

$gateway->{run}->signal('TERM');
ok($gateway->{run}->finish, 'the gateway ends well');
$node->stop;
done_testing();
