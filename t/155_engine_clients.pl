# The gateway's clients of services of speech and of language: each form against a stand-in that is strict about it; services that fail.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use JSON::PP;
use Mulberry::Engines;
use Mulberry::MediaPeer;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my $json = JSON::PP->new->canonical;
my $engines = Mulberry::Engines->new;
my ($in, $out, $err) = ('', '', '');
my $program = IPC::Run::start([($ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..") . "/build/gateway-engines"], '<', \$in, '>', \$out, '2>', \$err);
END { my $status = $?; $program->kill_kill if $program; $? = $status }

sub service
{
    my ($form, $version, %more) = @_;
    return $json->encode({ name => 'x', form => $form, url => $engines->url($version), key => 'sk-test', voice => 'ann', language => 'en',
        allow_http => JSON::PP::true, allow_private => JSON::PP::true, timeout_ms => 10000, %more });
}
sub ask { my (@lines) = @_; $in .= "$_\n" for @lines; $program->pump_nb; return }

# The next line that fits; those before it are in @before.
my @before;
sub next_line
{
    my ($pattern) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    @before = ();
    while (time < $end)
    {
        while ($out =~ s/^([^\n]*)\n//)
        {
            my $line = $1;
            return $line if $line =~ $pattern;
            push @before, $line;
        }
        $program->pumpable or die "the program has ended: $err";
        $program->pump_nb;
        select undef, undef, undef, 0.01;
    }
    return 'nothing: ' . join ' | ', @before;
}

# ---- they listen ----

for (['deepgram', 'v1'], ['deepgram2', 'v2'], ['elevenlabs', 'v1'], ['openai', 'v1'])
{
    my ($form, $version) = @$_;
    $engines->phrases('a table for two', 'at eight');
    ask('listen ' . service($form, $version), 'tone 1500', 'hush 1000', 'finalize') if $form ne 'deepgram2';
    ask('listen ' . service($form, $version), 'tone 1500', 'hush 1000') if $form eq 'deepgram2';
    like(next_line(qr/^final a/), qr/^final a table for two( \(over\))?$/, "$form: what was said");
    ok(scalar(grep { /^partial a/ } @before), "$form: and before, a part") if $form ne 'openai';
    ask('tone 900', 'hush 1000', $form eq 'deepgram2' ? () : 'finalize');
    like(next_line(qr/^final ./), qr/^final at eight/, "$form: then the next");
    if ($form ne 'deepgram2')
    {
        ask('finalize');
        is(next_line(qr/^final|^failed/), 'final ', "$form: then nothing");
    }
    else
    {
        ask('finalize', 'finalize');
        is(next_line(qr/^final|^failed/), 'final ', "$form: asked twice at once, it has nothing");
    }
    ask('close');
    ask('listen ' . service($form, $version, key => 'wrong'));
    is(next_line(qr/^failed/), 'failed it does not take the key (401)', "$form: a wrong key");
    $engines->behave(ear => 'garbage');
    ask('listen ' . service($form, $version), 'tone 200');
    is(next_line(qr/^failed/), 'failed its answer is no JSON', "$form: garbage");
    $engines->behave(ear => 'drop');
    ask('listen ' . service($form, $version), 'tone 200');
    is(next_line(qr/^failed/), 'failed the connection was lost (1006)', "$form: a lost connection");
    $engines->behave(ear => 'silent');
    if ($form ne 'deepgram2')
    {
        ask('listen ' . service($form, $version, timeout_ms => 300), 'tone 200', 'finalize');
        is(next_line(qr/^failed|^final/), 'failed it does not say what it heard', "$form: silence");
    }
    else { $engines->phrases() }
    $engines->behave(ear => 'ok');
}

# ---- they do not take what is said ----

ask('listen ' . service('deepgram', 'v1'), 'tone 60000', 'cancel');
is(next_line(qr/^cancelled|^failed/), 'cancelled', 'who does not take what is said has not failed before that is said');
is(next_line(qr/^failed/), 'failed it does not take what is said', 'but then');
ask('listen ' . service('openai', 'v1', timeout_ms => 8000), 'tone 12000', 'hush 1000', 'finalize');
like(next_line(qr/^final|^failed/), qr/^final/, 'as many seconds of speech wait for a connection in the form that is longest');
ask('close');
$engines->phrases();

# ---- they ping ----

sub peak { my ($pid) = $program->{KIDS}[0]{PID}; return slurp_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+)/ ? $1 : die }
my $peak = peak();
$engines->behave(ear => 'pings');
ask('listen ' . service('deepgram', 'v1'), 'hush 200');
my $until = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 1 while $engines->asked->{pongs} < 100000 && time < $until;
is($engines->asked->{pongs}, 100000, 'pings are answered');
cmp_ok(peak() - $peak, '<', 8000, 'and no answers are kept while the other side takes none');
$engines->behave(ear => 'ok');
ask('close');

# ---- they may answer nothing, or that there was too little ----

$engines->phrases('yes');
$engines->behave(ear => 'quiet');
ask('listen ' . service('deepgram', 'v1', timeout_ms => 1500), 'tone 900', 'hush 1000', 'finalize');
is(next_line(qr/^final|^failed/), 'final yes', 'it says what there was');
ask('hush 200', 'finalize');
is(next_line(qr/^final|^failed/), 'final ', 'Deepgram may answer nothing to finalize: nothing was said, and it has not failed');
ask('close', 'listen ' . service('elevenlabs', 'v1'), 'finalize');
is(next_line(qr/^final|^failed/), 'final ', 'ElevenLabs finds too little to commit: nothing was said');
ask('close');
$engines->behave(ear => 'ok');
is_deeply([ grep { !/upgrade/ } $engines->wrong ], [], 'all was of the forms');

# ---- they transcribe a file ----

$engines->phrases('a table for two');
ask('scribe ' . service('whole', 'v1', model => 'whisper-1', options => { prompt => 'A restaurant.', temperature => 0.2 }), 'post 1200');
is(next_line(qr/^final|^failed/), 'final a table for two', 'an utterance is sent as a file');
my $form = $engines->asked->{scribe}[-1];
is_deeply([ $form->{file}{rate}, $form->{file}{ms}, @$form{qw(model response_format language prompt temperature)} ],
    [ 8000, 2400, 'whisper-1', 'verbose_json', 'en', 'A restaurant.', '0.2' ], 'in the form of jobs');
ask('scribe ' . service('whole', 'v1', model => 'gpt-4o-transcribe'), 'post 30');
is(next_line(qr/^final|^failed/), 'final ', 'nothing was said in it');
is_deeply([ $engines->asked->{scribe}[-1]{file}{ms}, $engines->asked->{scribe}[-1]{response_format} ], [ 200, 'json' ], 'what is short has silence behind it');
$engines->behave(scribe => 'plain');
$engines->phrases('at eight', 'and a half');
ask('scribe ' . service('whole', 'v1', model => 'm'), 'post 500');
is(next_line(qr/^final|^failed/), 'final at eight', 'one that does not know the form of the answer is asked for a simpler one');
ask('post 500');
is(next_line(qr/^final|^failed/), 'final and a half', 'and knows it the next time');
is_deeply([ map { $_->{response_format} } @{ $engines->asked->{scribe} }[ -3 .. -1 ] ], [qw(verbose_json json json)], 'three requests');
$engines->behave(scribe => 'unsure');
$engines->phrases('for two');
ask('scribe ' . service('whole', 'v1', model => 'm'), 'post 500');
is(next_line(qr/^final|^failed/), 'final for two', 'what the model itself takes for silence is no text');
$engines->behave(scribe => 'empty');
ask('post 500');
is(next_line(qr/^final|^failed/), 'final ', 'nor is null');
for ([ refuse => 'it answered 401: Incorrect API key provided' ], [ busy => 'it answered 429: Rate limit reached' ], [ silent => 'it took too long' ],
    [ stall => 'it took too long' ], [ garbage => 'its answer is no JSON' ], [ drop => 'the connection was lost' ])
{
    my ($how, $why) = @$_;
    $engines->behave(scribe => $how);
    ask('scribe ' . service('whole', 'v1', model => 'm', timeout_ms => $why =~ /too long/ ? 300 : 10000), 'post 500');
    is(next_line(qr/^final|^failed/), "failed $why", "a file: $how");
}
$engines->behave(scribe => 'page');
$engines->phrases('for two');
ask('scribe ' . service('whole', 'v1', model => 'm'), 'post 500');
is(next_line(qr/^final|^failed/), 'final for two', 'a page at its URL is that of somebody who is there, however long it is');
ask('post 30');
is(next_line(qr/^final|^failed/), 'final ', 'and goes on being so');
$engines->behave(scribe => 'ok');
ask('scribe ' . service('whole', 'v1', url => 'http://127.0.0.1:1/v1'));
is(next_line(qr/^final|^failed/), 'failed nobody listens there', 'where nobody is, that is known before anybody speaks');
is_deeply([ grep { !/upgrade/ } $engines->wrong ], [], 'all was of the form');

# ---- they speak ----

for (['openai', 'v1'], ['elevenlabs', 'v1'])
{
    my ($form, $version) = @$_;
    my %request = (options => { socket => JSON::PP::false });
    ask('speak ' . service($form, $version, %request) . ' Ten past "nine".');
    my ($samples, $loud) = next_line(qr/^audio|^failed/) =~ /^audio (\d+) (\d+)$/;
    cmp_ok(abs(($samples // 0) - 3 * 2400), '<=', 2, "$form: all of the audio, at 8000 Hz");
    cmp_ok(abs(($loud // 0) - 6000), '<', 600, "$form: as loud as it was");
    is(next_line(qr/^done/), 'done', "$form: done");
    for ([ refuse => qr/^failed it answered 401: Incorrect API key provided$/ ],
        [ busy => qr/^failed it answered 429: Rate limit reached$/ ],
        [ drop => qr/^failed the connection was lost$/ ], [ big => qr/^failed its answer is too long$/ ])
    {
        my ($how, $why) = @$_;
        $engines->behave(mouth => $how);
        ask('speak ' . service($form, $version, %request, timeout_ms => 10000) . ' Hello.');
        like(next_line(qr/^failed|^done/), $why, "$form: $how");
    }
    $engines->behave(mouth => 'silent');
    ask('speak ' . service($form, $version, %request, timeout_ms => 300) . ' Hello.');
    is(next_line(qr/^failed/), 'failed it took too long', "$form: silence");
    $engines->behave(mouth => 'stall');
    ask('speak ' . service($form, $version, %request, timeout_ms => 300) . ' Hello.');
    is(next_line(qr/^begins/), 'begins', "$form: it begins");
    is(next_line(qr/^failed|^done/), 'failed it took too long', "$form: and stalls within its answer");
    ask('speak ' . service($form, $version, %request) . ' Hello.');
    next_line(qr/^begins/);
    ask('cancel', 'listen ' . service('deepgram', 'v1'), 'finalize');
    next_line(qr/^cancelled/);
    is(next_line(qr/^final|^failed|^done|^audio/),
        'final ', "$form: nothing follows what was cancelled");
    ask('close');
    $engines->behave(mouth => 'ok');
}

# ---- they speak over a socket ----

# each model is another voice, whose socket nothing has happened to
my $models = 0;
sub voice { return service('elevenlabs', 'v1', model => 'eleven_' . ++$models, @_) }
sub context_of { my ($n) = @_; my $contexts = $engines->asked->{voice}{contexts}; return $contexts->{ (sort { substr($a, rindex $a, 'c') cmp substr($b, rindex $b, 'c') } grep { /^$n/ } keys %$contexts)[-1] // '' } }
my $socket = voice();
ask("reply $socket", 'say Ten past nine.', 'say It is late.');
like(next_line(qr/^1 done/), qr/done/, 'a sentence is over when its last character has sounded');
is((grep { /audio/ } @before)[0] =~ /^1 audio (\d+)/ ? $1 : '', 3 * 2400, 'all of its audio is its own');
is_deeply([ grep { /word/ } @before ], [ '1 word 3 250', '1 word 8 550' ], 'it is told when its words are over');
like(next_line(qr/^2 done/), qr/done/, 'and so is the next, in the same context, before that is closed');
is((grep { /audio/ } @before)[0] =~ /^2 audio (\d+)/ ? $1 : '', 3 * 2400, 'whose audio is told from it');
is_deeply([ grep { /word/ } @before ], [ '2 word 2 250', '2 word 5 550' ], 'and whose times begin with it');
is_deeply(context_of(1), { texts => [ 'Ten past nine. ', 'It is late. ' ], closed => JSON::PP::false }, 'both were sent in one context');
ask('end', 'say Another reply.');
next_line(qr/^3 done/);
is_deeply(context_of(1), { texts => ['Another reply. '], closed => JSON::PP::false }, 'the next reply has one of its own');
is($engines->asked->{voice}{sockets}, 1, 'over the same socket');
ask('drop', 'reply ' . service('elevenlabs', 'v1', model => 'eleven_1', owner => 'another'), 'say It is late.');
next_line(qr/^1 done/);
is($engines->asked->{voice}{sockets}, 2, 'another tenant has another one, though endpoint and key are the same');
ask('drop');

$engines->delays(voice => 200);
ask("reply $socket", 'say One two three four five six seven.', 'say Never heard.');
next_line(qr/^1 begins/);
ask('drop', 'say After it.');
next_line(qr/^dropped/);
like(next_line(qr/^3 done/), qr/done/, 'who is interrupted speaks again');
is_deeply([ grep { /^[12] / } @before ], [], 'and nothing is heard of what was dropped');
ok((grep { $_->{closed} && $_->{texts}[-1] eq 'Never heard. ' } values %{ $engines->asked->{voice}{contexts} })[0], 'whose context was closed');
ask('end');
$engines->delays(voice => 0);

# what nobody wants to hear any more need not come
$engines->behave(voice => 'silent');
my $mute = voice(timeout_ms => 300);
ask("reply $mute", 'say Never heard.', 'drop');
next_line(qr/^dropped/);
sleep 1;
$engines->behave(voice => 'ok');
my $requests = @{ $engines->asked->{mouth} };
ask("reply $mute", 'say After it.', 'end');
like(next_line(qr/^1 done|^1 fell|^1 failed/), qr/done/, 'who was interrupted before anything came');
is(scalar @{ $engines->asked->{mouth} }, $requests, 'speaks again over the same socket');

my $sockets = $engines->asked->{voice}{sockets};
my @many = map { "speak $socket Number $_." } 1 .. 7;
$engines->delays(voice => 300);
ask(@many);
is(next_line(qr/^done|^failed/), 'done', "more contexts than a socket has: $_") foreach 1 .. 7;
cmp_ok($engines->asked->{voice}{sockets}, '>', $sockets, 'another socket is opened for them');
$engines->delays(voice => 0);

$engines->behave(voice => 'untimed');
ask('reply ' . voice(), 'say Ten past nine.', 'say It is late.', 'end');
next_line(qr/^2 done/);
is_deeply([ map { s/ \d+$//r } grep { /audio/ } @before ], [ '1 audio 14400', '2 audio 0' ], 'without times all of the audio is of the first');

for ([ refuse => qr/it does not take the key \(401\)/ ], [ drop => qr/the connection was lost \(1006\)/ ], [ garbage => qr/its answer is no JSON/ ],
    [ error => qr/This request exceeds your quota[.]/ ], [ silent => qr/it took too long/ ])
{
    my ($how, $why) = @$_;
    $engines->behave(voice => $how);
    my $service = voice(timeout_ms => 1000);
    ask("reply $service", 'say Ten past nine.', 'say It is late.');
    like(next_line(qr/fell back|done|failed/), qr/^1 fell back $why$/, "a socket: $how");
    is_deeply([ sort map { next_line(qr/done|failed/) } 1, 2 ], [ '1 done', '2 done' ], 'both are spoken by requests instead');
    my $before = $engines->asked->{voice}{sockets};
    ask('end', 'say And later.');
    like(next_line(qr/^3 done|^3 failed|^3 fell/), qr/done/, 'and what follows, at once');
    is($engines->asked->{voice}{sockets}, $before, 'for a while no socket is tried');
    ask('end');
}
for ([ cut => 'the connection was lost (1006)' ], [ stall => 'it took too long' ])
{
    my ($how, $why) = @$_;
    $engines->behave(voice => $how);
    ask('reply ' . voice(timeout_ms => 500), 'say One two three four five six.');
    is(next_line(qr/^1 done|^1 failed|^1 fell/), "1 failed $why", "a socket: $how, when half of it was heard");
    ask('end');
}
$engines->behave(voice => 'close');
my $closing = voice();
ask("reply $closing", 'say Ten past nine.', 'end');
next_line(qr/^1 done/);
$engines->behave(voice => 'ok');
$sockets = $engines->asked->{voice}{sockets};
ask("reply $closing", 'say It is late.', 'end');
like(next_line(qr/^1 done|^1 fell|^1 failed/), qr/done/, 'a socket that was closed when nobody needed it is opened again');
is_deeply([ grep { !/upgrade/ } $engines->wrong ], [], 'all was of the form');

# ---- a language model ----

my $messages = '[{"role":"user","content":"book"}]';
my $tools = '[{"type":"function","function":{"name":"book","parameters":{"type":"object"}}}]';
$engines->model(book => { tool => 'book', arguments => { day => 'Monday', at => 19 } }, hours => 'We are open on Monday.');
ask('chat ' . service('openai', 'v1') . ' [{"role":"user","content":"hours"}]');
is(next_line(qr/^done|^failed/), 'done', 'it answers');
is(shift @before, 'begins', 'it begins once');
is(join('', map { s/^text //r } @before), 'We are open on Monday.', 'all of it');
ask('chat ' . service('openai', 'v1') . " $messages $tools");
like(next_line(qr/^tool|^failed/), qr/^tool call_1 book \{"(at":19,"day":"Monday"|day":"Monday","at":19)\}$/, 'a call of a function is put together');
is_deeply(\@before, ['begins'], 'of which the beginning is told');
is(next_line(qr/^done|^failed/), 'done', 'and it is done');
for ([ refuse => qr/^failed it answered 401: Incorrect API key provided$/ ],
    [ garbage => qr/^failed its answer is no JSON$/ ],
    [ drop => qr/^failed the connection was lost$/ ],
    [ big => qr/^failed a piece of its answer is too long$/ ],
    [ cut => qr/^failed its answer has no end$/ ],
    [ stall => qr/^failed it took too long$/ ])
{
    my ($how, $why) = @$_;
    $engines->behave(model => $how);
    ask('chat ' . service('openai', 'v1', timeout_ms => $how eq 'stall' ? 300 : 10000) . " $messages");
    like(next_line(qr/^failed|^done/), $why, "a model: $how");
}

# ---- what is refused ----

for ([ { allow_private => JSON::PP::false }, 'its address is not public, which the endpoint does not allow' ],
    [ { allow_http => JSON::PP::false }, 'HTTP without TLS, which the endpoint does not allow' ])
{
    my ($more, $why) = @$_;
    ask('listen ' . service('deepgram', 'v1', %$more));
    is(next_line(qr/^failed/), "failed $why", "a WebSocket: $why");
    ask('speak ' . service('openai', 'v1', %$more) . ' Hello.');
    is(next_line(qr/^failed|^done/), "failed $why", "a request: $why");
}
for (['listen ', ''], ['speak ', ' Hello.'], ['chat ', " $messages"])
{
    my ($before, $after) = @$_;
    ask($before . service('openai', 'v1', key => "sk-test\r\nX-Other:header") . $after);
    is(next_line(qr/./), 'refused', "${before}with a key of two lines");
}
is($err, '', 'nothing to complain of');
close_program();
done_testing();

sub close_program
{
    $program->pump_nb while length $in;
    ok($program->finish, 'the program ends in order');
    undef $program;
    return;
}
