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
        allow_http => JSON::PP::true, allow_private => JSON::PP::true, timeout_ms => 2000, %more });
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

# ---- they speak ----

for (['openai', 'v1'], ['elevenlabs', 'v1'])
{
    my ($form, $version) = @$_;
    ask('speak ' . service($form, $version) . ' Ten past "nine".');
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
        ask('speak ' . service($form, $version, timeout_ms => 10000) . ' Hello.');
        like(next_line(qr/^failed|^done/), $why, "$form: $how");
    }
    $engines->behave(mouth => 'silent');
    ask('speak ' . service($form, $version, timeout_ms => 300) . ' Hello.');
    is(next_line(qr/^failed/), 'failed it took too long', "$form: silence");
    $engines->behave(mouth => 'stall');
    ask('speak ' . service($form, $version, timeout_ms => 300) . ' Hello.');
    is(next_line(qr/^begins/), 'begins', "$form: it begins");
    is(next_line(qr/^failed|^done/), 'failed it took too long', "$form: and stalls within its answer");
    ask('speak ' . service($form, $version) . ' Hello.');
    next_line(qr/^begins/);
    ask('cancel', 'listen ' . service('deepgram', 'v1'), 'finalize');
    next_line(qr/^cancelled/);
    is(next_line(qr/^final|^failed|^done|^audio/),
        'final ', "$form: nothing follows what was cancelled");
    ask('close');
    $engines->behave(mouth => 'ok');
}

# ---- a language model ----

my $messages = '[{"role":"user","content":"book"}]';
my $tools = '[{"type":"function","function":{"name":"book","parameters":{"type":"object"}}}]';
$engines->model(book => { tool => 'book', arguments => { day => 'Monday', at => 19 } }, hours => 'We are open on Monday.');
ask('chat ' . service('openai', 'v1') . ' [{"role":"user","content":"hours"}]');
is(next_line(qr/^done|^failed/), 'done', 'it answers');
is(join('', map { s/^text //r } @before), 'We are open on Monday.', 'all of it');
ask('chat ' . service('openai', 'v1') . " $messages $tools");
like(next_line(qr/^tool|^failed/), qr/^tool call_1 book \{"(at":19,"day":"Monday"|day":"Monday","at":19)\}$/, 'a call of a function is put together');
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
    ask('chat ' . service('openai', 'v1') . " $messages");
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
