# Conversations in which nobody listens to a stream: what callers say is sent as files, one an utterance, in place of a stream that cannot be
# had, or because there is none.
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
my $node = mulberry_cluster('whole');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
sub settings { my ($more) = @_; sql(qq{SELECT mulberry.set_conversation('{"prompt": "You answer the telephone of a clinic.", "silence_prompt_ms": 0, "filler_ms": 0, "apology": "I am sorry for that."$more}', 'clinic')}); return }
settings('');
$engines->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ], [ 'model', 'openai', 'v1', 'reply', 1, 'm' ],
    [ 'file', 'openai', 'v1', 'transcription', 1, 'whisper-1', '{"utterances": true}' ]);
$engines->model('monday' => 'On Monday we are open.', '^((?!monday).)*$' => 'I am here to help you.');
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
my $number = 0;
sub call { my $c = caller($peers, $gateway, sprintf('%032x', ++$number)); $c->hears(0, 40); return $c }
sub lines { my ($c) = @_; conversation_over($node, $c->{call}); my @lines = split /\n/, lines_of($node, $c->{call}); return [ @lines[ 1 .. $#lines ] ] }
sub metric { my ($name) = @_; return ask_admin($gateway, '/metrics')->{content} =~ m{^mulberry_gateway_\Q$name\E (\S+)}m ? $1 : undef }
sub record { my ($c, $what) = @_; return sql(qq{SELECT sum(t.$what) FROM mulberry_internal.conversation_turns t JOIN mulberry_internal.conversations c ON c.id = t.conversation WHERE c.call_id = '$c->{call}'}) }
my $question = voice_of('are you open on monday');
my @right = ('caller: are you open on monday', 'agent: On Monday we are open.');

# ---- a stream that comes back ----

$engines->behave(ear => 'refuse');
my $patient = call();
$engines->phrases('are you open on monday');
$patient->say($question);
$patient->hears($patient->said->[1], 40);
$engines->behave(ear => 'ok');
my $connections = $engines->asked->{ear};
poll_until(sub { $engines->asked->{ear} > $connections }, 'a stream is tried again');
my $sent = metric('whole_utterances_total');
$engines->phrases('are you open on monday');
$patient->say($question);
$patient->hears($patient->said->[1], 40);
$patient->stop;
is_deeply(lines($patient), [ @right, @right ], 'a conversation goes back to a stream that can be had again');
is(metric('whole_utterances_total'), $sent, 'and sends no more files');

# ---- streams that cannot be had ----

for my $how (qw(refuse garbage drop silent))
{
    $engines->behave(ear => $how);
    my ($fallbacks, $whole) = map { metric($_) } 'fallbacks_total{kind="listen"}', 'whole_utterances_total';
    my $c = call();
    $engines->phrases('are you open on monday');
    $c->say($question);
    $c->hears($c->said->[1], 40);
    $c->stop;
    is_deeply(lines($c), \@right, "a stream that is $how: what was said is sent as a file");
    my $file = $engines->asked->{scribe}[-1]{file};
    my $spoken = length($question) / 8;
    cmp_ok($file->{ms}, '>', $spoken + 200, 'with what was before it');
    cmp_ok($file->{ms}, '<', $spoken + 3500, 'and not what was long before');
    cmp_ok(metric('fallbacks_total{kind="listen"}'), '>', $fallbacks, 'a fallback is counted');
    is(metric('whole_utterances_total'), $whole + 1, 'and the utterance');
    is(record($c, 'whole_utterances'), 1, 'which is in the record of its turn');
    is(record($c, 'fallbacks'), $how eq 'silent' ? 1 : 0, 'as is a fallback within it');
}
is(sql(qq{SELECT r->>'whole_utterances' FROM mulberry.conversation_report('CA' || lpad(to_hex($number), 32, '0'), 'clinic') AS r}), '1', 'and in the report');

# ---- a pause within a turn ----

$engines->behave(ear => 'refuse');
$engines->delays(scribe => 900);
my $c = call();
$engines->phrases('are you open', 'on monday');
$c->say(voice_of('are you open'));
$c->say(voice_of('on monday'), wait => 350);
$c->said;
$c->hears($c->said->[1], 40);
$c->stop;
is_deeply(lines($c), \@right, 'what is said after a pause, while the first part is not known yet, belongs to the turn');
is(record($c, 'whole_utterances'), 2, 'both parts were sent once');
$engines->delays(scribe => 0);

# ---- a text that comes late, and sounds meanwhile ----

sql(q{SELECT mulberry.alter_endpoint('file', timeout => '8 s', tenant => 'clinic')});
$engines->delays(scribe => 2200);
$c = call();
$engines->phrases('are you open on monday');
$c->say($question);
$c->say(substr(voice_of('aaaaaah'), 8 * 100, 8 * 60), wait => $_) foreach 900, 150, 150;
$c->said foreach 1 .. 3;
$c->hears($c->said->[1], 60);
$c->stop;
is_deeply(lines($c), \@right, 'a text that comes when its turn is over is answered, whatever sounds since');
$engines->delays(scribe => 0);

# ---- nobody is there, and who does not want it ----

settings(', "whole_utterances": false');
$c = caller($peers, $gateway, sprintf('%032x', ++$number));
is($peers->await($c->{id}, 'closed')->{code}, 1000, 'who does not want it has an apology, and the menu');
session_of($node, $c->{call});
is(lines($c)->[-1] // lines_of($node, $c->{call}), 'agent: I am sorry for that.', 'at once');
settings('');
$engines->behave(scribe => 'refuse');
$c = call();
$c->say($question);
is($peers->await($c->{id}, 'closed')->{code}, 1000, 'and so has a caller whose files are not taken either');
# the end of his turn may come in the midst of it
like(lines($c)->[-1], qr/^agent: (I am .*)?I am sorry for that[.]$/, 'when he has spoken');
$engines->behave(scribe => 'ok');

# ---- a service without a stream ----

sql(q{SELECT mulberry.drop_endpoint('ear', 'clinic'); SELECT mulberry.drop_endpoint('file', 'clinic')});
$engines->serve($node, 'clinic', [ 'files', 'openai', 'v1', 'listen', 1, 'gpt-4o-transcribe', '{"streaming": false}' ]);
my $fallbacks = metric('fallbacks_total{kind="listen"}');
$c = call();
$engines->phrases('hello there', 'are you open on monday');
$c->say(voice_of('hello there'));
my $reply = $c->hears($c->said->[1], 40);
$c->say($question);
$c->hears($c->said->[1], 40);
$c->stop;
is_deeply(lines($c), [ 'caller: hello there', 'agent: I am here to help you.', @right ], 'an endpoint that has no stream is sent utterances');
is(metric('fallbacks_total{kind="listen"}'), $fallbacks, 'which is no fallback');
is($engines->asked->{scribe}[-1]{response_format}, 'json', 'in the form of its model');
is($node->psql('postgres', q{SELECT mulberry.alter_endpoint('files', options => '{"streaming": "no"}', tenant => 'clinic')}), 3, 'the option is true or false');

# ---- a form of answer that it does not know ----

sql(q{SELECT mulberry.alter_endpoint('files', model => 'whisper-1', tenant => 'clinic')});
$fallbacks = metric('fallbacks_total{kind="listen"}');
$engines->behave(scribe => 'plain');
$engines->delays(scribe => 700);
my @both = map { call() } 1 .. 2;
$engines->phrases(('are you open on monday') x 2);
$_->say($question) foreach @both;
my @from = map { $_->said->[1] } @both;
$both[$_]->hears($from[$_], 40) foreach 0, 1;
$_->stop foreach @both;
is_deeply(lines($_), \@right, 'of two calls that a service tells so at a time both are answered') foreach @both;
is(metric('fallbacks_total{kind="listen"}'), $fallbacks, 'and nobody has failed');
$engines->delays(scribe => 0);
$engines->behave(scribe => 'reject');
my $goes_on = call();
$c = call();
$c->say($question);
$c->closed;
$engines->behave(scribe => 'ok');
$engines->phrases('are you open on monday');
$goes_on->say($question);
$goes_on->hears($goes_on->said->[1], 40);
$goes_on->stop;
is($engines->asked->{scribe}[-1]{response_format}, 'verbose_json', 'what it takes in no form says nothing of its forms');

is_deeply([ grep { !/upgrade/ } $engines->wrong ], [], 'all services were asked in their forms');
unlike(log_of_gateway($gateway), qr/sk-test/, 'no key is in the log');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
