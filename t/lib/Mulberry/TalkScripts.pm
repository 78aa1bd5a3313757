# Conversations that do not go by the book, as data and functions, for any peer that brings calls as streams.  Each script is a call of a tenant
# of its own, in a process of its own, so that many run at the same time; each says what is to be heard at the caller's ear, what was said and
# what is stored of it.
package Mulberry::TalkScripts;

use strict;
use warnings;

use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Engines;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use Mulberry::MediaPeer;
use Mulberry::Talk;
use Mulberry::TalkScript;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Exporter 'import';
our @EXPORT = qw(run_talk_scripts);

my $ms = 20;                     # of a frame
my $word = 300 / $ms;            # frames of a word that the stand-ins say, with the pause behind it
my $at_once = 4;                 # scripts
my $open = 'We are open on Monday.';
my $story = 'Once upon a time there was a small house in the wood, and in it lived a man with his dog and two old cats, who were never tired of telling stories to each other.';

# ---- the scripts: name => { settings, model, telephony, run }, those that take longest first ----

my @scripts = (
    silence => {
        settings => '"silence_prompt_ms": 1500',
        run => sub {
            my ($s) = @_;
            $s->call;
            $s->closes(1000);
            $s->lines('agent: How can I help you? Are you still there? I cannot hear you.');
            $s->reason('nobody said anything', 'silence');
            $s->goes_on('hangup');
            $s->stored;
        },
    },

    # frames stop within a sentence, which is answered, and for good
    frames_stop => {
        settings => '"media_hold_ms": 2500, "media_end_ms": 7000',
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            my $said = $s->asks('when are you open');
            $c->mute(1);
            my $reply = $c->hears($said->[1]);
            $s->as_long_as($open, $reply, 'what was said before no more came is answered');
            $s->closes(1000);
            $s->lines('agent: How can I help you?', 'caller: when are you open', "agent: $open");
            $s->reason('no media', 'no_media');
            $s->stored;
        },
    },

    plain => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call(early => 10);
            my $said = $s->asks('when are you open');
            my $reply = $c->hears($said->[1]);
            $s->ok($reply->[0] > $said->[1], 'the agent answers when the caller is done');
            $s->as_long_as($open, $reply, 'all of it is heard');
            my $bye = 'Good bye and thank you for your call.';
            $said = $s->asks('good bye');
            $s->closes(1000);
            $s->as_long_as($bye, $s->sound_after($said->[1]), 'a reply ends the call when it was heard');
            $s->lines('agent: How can I help you?', 'caller: when are you open', "agent: $open", 'caller: good bye', "agent: $bye");
            $s->reason('left by the agent', 'stopped');
            $s->goes_on('hangup');
            $s->is($s->sql(qq{SELECT count(*) FROM agent.asked WHERE call_id = '$c->{call}'}), 2, 'the function was asked once a turn');
            $s->is($s->turn('said, heard, heard_cut, interrupted_ms IS NULL, first_sent_ms >= committed_ms AND committed_ms > speech_end_ms AND speech_end_ms > onset_ms'),
                "when are you open|$open|f|t|t", 'the turn is stored, with its times');
            $s->stored;
        },
    },

    # speech while the agent thinks belongs to the turn; the answer to what was said first comes and is not said
    thinking => {
        settings => '"reply_timeout_ms": 8000',
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->phrases('please think slowly', 'and of tuesday');
            $c->say(voice_of('please think slowly'));
            $c->said;
            $c->say(voice_of('and of tuesday'), wait => 1200);
            my $said = $c->said;
            my $reply = $c->hears($said->[1], 75);
            $s->as_long_as('On Tuesday we are closed all day.', $reply, 'one answer is heard');
            $s->hangs_up;
            $s->lines('agent: How can I help you?', 'caller: please think slowly and of tuesday', 'agent: On Tuesday we are closed all day.');
            $s->is($s->turn('interrupted_ms IS NULL, cut_offs'), 't|0', 'that is no interruption');
            $s->stored;
        },
    },

    # the model is still writing when the caller interrupts
    speaking => {
        model => { 'story' => "$story $story", 'open' => $open },
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->{engines}->delays(write => 150);
            $s->interrupts('tell me a story please', 1500);
            $s->{engines}->delays(write => 2);
            $s->hangs_up;
            my @lines = $s->said;
            $s->is(scalar @lines, 5, 'there are two turns, ' . join '/', @lines);
            $s->is($lines[-1], "agent: $open", 'the second is answered');
            $s->cut($lines[2], 1, $story);
            $s->stored(cuts => 1);
        },
    },

    # all of the reply was made long ago, and is nearly over
    before_the_end => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->interrupts('tell me a story please', $word * $ms * 28);
            $s->hangs_up;
            my @lines = $s->said;
            $s->is($lines[-1], "agent: $open", 'it is an interruption, and the answer is heard');
            $s->cut($lines[2], 1, $story);
            $s->ok(words_of($lines[2]) >= 27, 'of the story nearly all was heard');
            $s->stored(cuts => 1);
        },
    },

    cough => {
        settings => '"reply_timeout_ms": 8000',
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->phrases('tell me slowly a story', '', '');
            $c->say(voice_of('please think slowly'));
            $c->say(cough(), wait => 700);
            my $said = $c->said;
            $c->said;
            my $begin = $c->hears_begin($said->[1]);
            $c->say(substr(voice_of('aaaaaah'), 0, 8 * 360), wait => 1500);
            $c->said;
            $c->hears($begin, 60);
            $s->hangs_up;
            $s->lines('agent: How can I help you?', 'caller: tell me slowly a story', "agent: $story");
            $s->is($s->turn('interrupted_ms IS NULL, heard_cut'), 't|f', 'neither a cough before the reply nor one in it is an interruption');
            $s->stored(cuts => 1);
        },
    },

    mhm => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->phrases('tell me a story', 'mhm', 'book a table', 'mhm');
            $c->say(voice_of('tell me a story please'));
            my $begin = $c->hears_begin($c->said->[1]);
            $c->say(substr(voice_of('aaaaaah'), 0, 8 * 320), wait => 1500);
            $c->said;
            my $heard = $c->hears($begin, 60);
            $c->say(voice_of('book a table please'));
            $heard = $c->hears($c->said->[1]);
            $c->say(substr(voice_of('aaaaaah'), 0, 8 * 320), wait => 300);
            $c->hears($c->said->[1]);
            $s->hangs_up;
            $s->lines('agent: How can I help you?', 'caller: tell me a story', "agent: $story", 'caller: book a table', 'agent: Shall I take the one at the window?', 'caller: mhm', 'agent: It is booked.');
            $s->is($s->turn('interrupted_ms IS NULL, heard_cut'), 't|f', 'a backchannel interrupts nothing, and answers a question');
            $s->stored(cuts => 1);
        },
    },

    no => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->phrases('tell me a story', 'no');
            $c->say(voice_of('tell me a story please'));
            my $begin = $c->hears_begin($c->said->[1]);
            $c->say(voice_of('no'), wait => 1500);
            my $said = $c->said;
            $c->hears($said->[1] + 40);
            $s->cut_at($begin);
            $s->hangs_up;
            my @lines = $s->said;
            $s->is(join('/', @lines[ 3 .. $#lines ]), 'caller: no/agent: As you like.', 'a short no is taken for one');
            $s->cut($lines[2], undef, $story);
            $s->stored(cuts => 1);
        },
    },

    echo => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call(echo => -20, echoDelay => 120);
            $s->phrases('tell me a story');
            $c->say(voice_of('tell me a story please'));
            my $said = $c->said;
            my $heard = $c->hears($said->[1], 60);
            $s->as_long_as($story, $heard, 'the agent is not stopped by its own voice');
            my $turn = 'pauses, interrupted_ms IS NULL, heard_cut';
            $s->interrupts('tell me a story please', 1500);
            $s->hangs_up;
            my @lines = $s->said;
            $s->is(join('/', @lines[ 0 .. 3 ]), "agent: How can I help you?/caller: tell me a story/agent: $story/caller: tell me a story please", 'what comes back is not what the caller says');
            $s->is($s->turn($turn), '0|t|f', 'and does not make it pause');
            $s->is($lines[-1], "agent: $open", 'who speaks over his echo is heard');
            $s->cut($lines[4], 1, $story);
            $s->stored(cuts => 1);
        },
    },

    # a key and its tone, which are one; digits that are asked for, by their tones alone where there are no messages
    keys => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            # a recogniser hears no words in a tone
            $s->phrases('tell me a story', '', 'i have a code');
            $c->say(voice_of('tell me a story please'));
            my $begin = $c->hears_begin($c->said->[1]);
            $c->hears_begin($begin + 60);
            $c->say($s->tones('3'));
            $c->press('3');
            my $cut = $c->said->[1];
            $c->hears($cut, 50);
            $c->say(voice_of('i have a code'), wait => 500);
            my $reply = $c->hears($c->said->[1]);
            $s->phrases('', '', '') if $s->{kind} eq 'audiosocket';
            if ($s->{kind} eq 'audiosocket') { $c->say($s->tones('407')) }
            else { $c->press($_) foreach qw(4 0 7) }
            $c->hears($reply->[1] + 10);
            $s->hangs_up;
            my @lines = $s->said;
            $s->like($lines[2], qr/^agent: Once upon.*\|$/, 'a key cuts the agent off');
            $s->unlike($lines[2], qr/each other/, 'long before the end');
            $s->is(join('/', @lines[ 3 .. $#lines ]), 'caller: i have a code/agent: Enter your code./caller: 407/agent: Thank you very much.', 'its tone is not what the caller says, digits that were asked for are');
            $s->is($s->sql(qq{SELECT value FROM mulberry_internal.conversation_attributes a JOIN mulberry_internal.conversations c ON c.id = a.conversation WHERE c.call_id = '$c->{call}' AND a.name = 'code'}), '407', 'and are kept');
            $s->is($s->figure('digits'), 1, 'the key of the menu was pressed once');
            $s->stored(cuts => 1);
        },
    },

    emergency => {
        telephony => '"emergency_number": "+12025550911"',
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            my $cry = 'my father has a heart attack and he is lying on the floor of the kitchen and I do not know what to do now';
            $s->phrases($cry, '');
            my $before = my @before = $c->levels(0);
            $c->say(voice_of($cry));
            my $begin = $c->hears_begin($before);
            my $said = $c->said;
            $s->ok($begin < $said->[1], 'the answer to an emergency does not wait for the end of the sentence');
            $s->closes(1000);
            my $answer = $s->sql("SELECT mulberry_internal.ivr_sentence('{}', 'emergency')");
            $s->as_long_as($answer, $s->sound_after($begin), 'it is heard to its end, though the caller goes on speaking');
            $s->lines('agent: How can I help you?', "caller: $cry", "agent: $answer");
            $s->ok($s->sql(qq{SELECT count(*) > 0 FROM mulberry_internal.emergencies WHERE call_id = '$c->{call}' AND phrase = 'heart attack'}) eq 't', 'the emergency is stored');
            $s->goes_on('transfer:+12025550911');
            $s->stored;
        },
    },

    # the database cannot take it at first
    emergency_late => {
        telephony => '"emergency_number": "+12025550911"',
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            my $holder = $s->{node}->background_psql('postgres');
            $holder->query_safe("BEGIN; SELECT FROM mulberry_internal.inbound_calls WHERE sid = '$c->{call}' FOR UPDATE");
            $s->asks('my father has a heart attack');
            poll_until(sub { grep { /how a call goes on is not stored yet/ && /$c->{call}/ } split /\n/, log_of_gateway($s->{gateway}) }, 'the gateway notices');
            $holder->query_safe('COMMIT');
            $holder->quit;
            $s->closes(1000);
            $s->ok($s->sql(qq{SELECT count(*) > 0 FROM mulberry_internal.emergencies WHERE call_id = '$c->{call}' AND phrase = 'heart attack'}) eq 't', 'the emergency is stored when it can be');
            $s->goes_on('transfer:+12025550911');
            $s->stored;
        },
    },

    put_through => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            my $way = 'I put you through to the doctor now, please hold the line for a moment.';
            $s->phrases('a doctor please', 'no stop that', 'a doctor please');
            $c->say(voice_of('a doctor please'));
            my $begin = $c->hears_begin($c->said->[1]);
            $c->say(voice_of('no stop that'), wait => 1200);
            $c->hears($c->said->[1]);
            $s->goes_on('hangup', 'who says no in time is not put through') if $s->{kind} ne 'twilio';
            $c->say(voice_of('a doctor please'), wait => 500);
            my $said = $c->said;
            $s->closes(1000);
            $s->as_long_as($way, $s->sound_after($said->[1]), 'the last word of it is heard');
            my @lines = $s->said;
            $s->like($lines[2], qr/^agent: I put you through.*\|$/, 'he had interrupted it');
            $s->is($lines[-1], "agent: $way", 'and let it be the second time');
            $s->reason('left by the agent', 'stopped');
            $s->goes_on('transfer:+12025550142');
            $s->stored(cuts => 1);
        },
    },

    down => {
        settings => '"apology": "I am sorry for that."',
        model => { '.' => $open },
        run => sub {
            my ($s) = @_;
            for my $who (qw(model ear))
            {
                $s->{engines}->behave($who, 'refuse');
                my $c = $who eq 'model' ? $s->call : $s->connect;
                $s->asks('when are you open') if $who eq 'model';
                $s->closes(1000);
                my @lines = $s->said;
                $s->like($lines[-1], qr/^agent: .*I am sorry for that[.]$/, "no $who: there is an apology, and it is heard");
                $s->goes_on($s->{kind} eq 'twilio' ? 'menu' : 'hangup');
                $s->stored(cuts => 1);
                $s->{engines}->behave($who, 'ok');
            }
        },
    },

    slow => {
        settings => '"filler": "One moment, please.", "filler_ms": 800, "apology_ms": 3000, "apology": "I am sorry for that."',
        model => { '.' => $open },
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->{engines}->delays(model => 1800);
            my $said = $s->asks('when are you open');
            my $heard = $c->hears($said->[1], 75);
            $s->ok($heard->[1] - $heard->[0] >= $word * (3 + 5) - 5, 'a filler is heard, and the answer behind it');
            $s->{engines}->delays(model => 0);
            $s->{engines}->behave('model', 'silent');
            $s->asks('when are you open');
            $s->closes(1000);
            $s->lines('agent: How can I help you?', 'caller: when are you open', "agent: $open", 'caller: when are you open', 'agent: I am sorry for that.');
            $s->is($s->turn('filler, apology'), 't|f', 'the filler is noted with the turn, and not in the conversation');
            $s->stored;
        },
    },

    garbage => {
        second => 1,
        model => { '.' => $open },
        run => sub {
            my ($s) = @_;
            for my $who (qw(model ear))
            {
                $s->{engines}->behave($who, 'garbage');
                my $c = $s->call;
                $_->phrases('when are you open') foreach $who eq 'ear' ? $s->{second} : $s->{engines};
                $c->say(voice_of('when are you open'));
                $s->as_long_as($open, $c->hears($c->said->[1]), "garbage of the $who: another answers");
                $s->hangs_up;
                $s->lines('agent: How can I help you?', 'caller: when are you open', "agent: $open");
                $s->stored;
                $s->{engines}->behave($who, 'ok');
            }
        },
    },

    # who listens says what was said when the caller speaks again
    old_turn => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            $s->{engines}->delays(ear => 2500);
            $s->phrases('when are you open', 'and on tuesday');
            $c->say(voice_of('when are you open'));
            $c->said;
            $c->say(voice_of('and of tuesday'), wait => 1700);
            $c->hears($c->said->[1], 150);
            $s->hangs_up;
            my @lines = $s->said;
            $s->is(join(' ', map { /^caller: (.*)/ } @lines), 'when are you open and on tuesday', 'each text belongs to its turn');
            $s->like($lines[-1], qr/^agent: .*On Tuesday we are closed all day[.]$/, 'and what was said last is answered');
            $s->stored(cuts => 1);
        },
    },

    dropped => {
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            my $said = $s->asks('tell me a story please');
            my $begin = $c->hears_begin($said->[1]);
            $c->hears_begin($begin + 60);
            $s->{closed} = $c->drop;
            $s->cut_at($begin);
            my @lines = $s->said;
            $s->cut($lines[2], undef, $story);
            $s->like($s->reason_of, qr/^(?:the connection was lost|the other side hung up)$/, 'the stream is over');
            $s->stored(cuts => 1, lost => 8 * 400);
        },
    },

    asked_to_end => {
        gateway => 'asked',
        settings => '"farewell": "We have to stop here, good bye."',
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            my $said = $s->asks('when are you open');
            my $reply = $c->hears($said->[1]);
            kill TERM => $s->{gateway}{pid};
            $s->closes(1001);
            $s->as_long_as('We have to stop here, good bye.', $s->sound_after($reply->[1]), 'a gateway that is asked to end says so to the caller');
            $s->lines('agent: How can I help you?', 'caller: when are you open', "agent: $open We have to stop here, good bye.");
            $s->reason('the gateway ended', 'stopped');
            $s->stored;
        },
    },

    killed => {
        gateway => 'killed',
        run => sub {
            my ($s) = @_;
            my $c = $s->call;
            my $said = $s->asks('when are you open');
            $c->hears($said->[1]);
            poll_until(sub { lines_of($s->{node}, $c->{call}) =~ /\Qhelp you?\E.*\Q$open\E$/s }, 'what was heard is stored');
            poll_until(sub { $s->sql(qq{SELECT r.heard FROM mulberry_internal.conversations c, mulberry_internal.replay_conversation(c) r WHERE c.call_id = '$c->{call}' AND r.turn = 1}) eq $open }, 'the log is stored');
            my $stored = length $s->track('caller');
            kill KILL => $s->{gateway}{pid};
            $c->closed;
            $s->is($s->sql(qq{SELECT ended_at IS NULL FROM mulberry_internal.media_sessions WHERE call_id = '$c->{call}'}), 't', 'who is killed tells nobody');
            $s->sql(qq{UPDATE mulberry_internal.inbound_calls SET ended_at = clock_timestamp() - interval '6 minutes' WHERE sid = '$c->{call}'});
            maintain($s->{node});
            $s->reason('the gateway is gone', 'lost');
            $s->lines('agent: How can I help you?', 'caller: when are you open', "agent: $open");
            my $kept = $s->track('caller');
            $s->ok(length $kept >= $stored && index($c->sent, $kept) == 0, 'of the audio everything that was stored, as it was said');
        },
    });

# Runs all of them with calls of one kind, many at the same time; only those named by TALKS (with commas between) where that is set.
sub run_talk_scripts
{
    my ($kind) = @_;
    plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';
    my $node = mulberry_cluster("talk_$kind");
    my $engines = Mulberry::Engines->new;
    my @flags = ('--twilio-listen', '127.0.0.1:0', '--public-url', $media_base, '--audiosocket', '127.0.0.1:0');
    make_clinic($node);
    make_answers($node);
    my %gateways = map { $_ => start_gateway($node, @flags) } qw(all asked killed);
    my (@names, %script);
    for (my $i = 0; $i < @scripts; $i += 2) { push @names, $scripts[$i]; $script{ $scripts[$i] } = $scripts[ $i + 1 ] }
    @names = grep { my $name = $_; grep { $_ eq $name } split /,/, $ENV{TALKS} } @names if length($ENV{TALKS} // '');
    # said by many of them
    voice_of($_) foreach 'when are you open', 'tell me a story please', 'stop that please and tell me when you are open', 'please think slowly', 'and of tuesday', 'aaaaaah', 'a doctor please', 'no stop that', 'no';
    my (%running, %told, $number);
    my @waiting = @names;
    while (@waiting || %running)
    {
        while (@waiting && keys %running < $at_once)
        {
            my $name = shift @waiting;
            my $s = Mulberry::TalkScript->new(name => $name, kind => $kind, number => ++$number, node => $node, engines => $engines->line($name), second => $engines->line("$name-second"),
                gateway => $gateways{ $script{$name}{gateway} // 'all' }, script => $script{$name});
            my $file = PostgreSQL::Test::Utils::tempdir() . '/told';
            my $pid = fork // die;
            if ($pid == 0)
            {
                $s->run($file);
                POSIX::_exit(0);
            }
            $running{$pid} = [ $name, $file ];
        }
        my $pid = waitpid -1, 0;
        my ($name, $file) = @{ delete $running{$pid} // next };
        $told{$name} = -e $file ? JSON::PP->new->decode(slurp_file($file)) : { problem => 'it has ended', results => [] };
    }
    for my $name (@names)
    {
        subtest $name => sub {
            for (@{ $told{$name}{results} }) { my ($ok, $what, $why) = @$_; ok($ok, $what) or diag($why) }
            is($told{$name}{problem}, '', 'it came to its end');
        };
    }
    check_figures($gateways{all}, $kind) if @names * 2 == @scripts;
    # who was asked to end has done so
    if (grep { ($script{$_}{gateway} // '') eq 'asked' } @names)
    {
        $gateways{asked}{run}->finish;
        is($gateways{asked}{run}->result(0), 0, 'a gateway that is asked to end ends well');
    }
    $_->{run}->kill_kill foreach values %gateways;
    $node->stop;
    return;
}

# What the gateway tells of all these calls.
sub check_figures
{
    my ($gateway, $kind) = @_;
    my $text = ask_admin($gateway, '/metrics')->{content};
    my $figure = sub { my ($name) = @_; return $text =~ m{^mulberry_gateway_\Q$name\E (\S+)}m ? $1 : -1 };
    is($figure->('conversations'), 0, 'no conversation goes on');
    is($figure->('conversations_total'), @scripts / 2, 'they are counted');
    cmp_ok($figure->('interruptions_total'), '>=', 3, 'and interruptions');
    cmp_ok($figure->('backchannels_total'), '>=', 1, 'and backchannels');
    cmp_ok($figure->('fillers_total'), '>=', 1, 'and fillers');
    cmp_ok($figure->('apologies_total'), '>=', 3, 'and apologies');
    my $fallbacks = 0;
    $fallbacks += $1 while $text =~ m{^mulberry_gateway_fallbacks_total\{kind="[a-z]+"\} (\S+)}mg;
    cmp_ok($fallbacks, '>=', 2, 'and who took the place of another');
    cmp_ok($figure->('voice_to_voice_seconds_count'), '>=', 8, 'the times that callers wait are measured');
    cmp_ok($figure->('interruption_detection_delay_seconds_count'), '>=', 1, 'and until they are heard');
    cmp_ok($figure->('tts_ttfb_seconds_count{endpoint="mouth1"}'), '>=', 5, 'by endpoint');
    return;
}

# A tenant's function that replies, for all of them.
sub make_answers
{
    my ($node) = @_;
    make_agent($node);
    $node->safe_psql('postgres', <<"SQL");
INSERT INTO agent.answers VALUES
    ('tuesday', '{"say": "On Tuesday we are closed all day."}'),
    ('story', '{"say": "$story"}'),
    ('doctor', '{"say": "I put you through to the doctor now, please hold the line for a moment.", "transfer": "+12025550142"}'),
    ('code', '{"say": "Enter your code.", "collect": {"digits": 3, "name": "code"}}'),
    ('bye', '{"say": "Good bye and thank you for your call.", "hangup": true}'),
    ('^407\$', '{"say": "Thank you very much."}'),
    ('^no\$', '{"say": "As you like."}'),
    ('^mhm\$', '{"say": "It is booked."}'),
    ('book', '{"say": "Shall I take the one at the window?"}'),
    ('.', '{"say": "$open"}');
CREATE FUNCTION agent.think(said text) RETURNS void LANGUAGE sql AS \$\$ SELECT pg_sleep(2.5) WHERE said ~* 'slowly' \$\$;
GRANT EXECUTE ON FUNCTION agent.think(text) TO agent_author;
CREATE OR REPLACE FUNCTION agent.reply(call_id text, said text) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
    PERFORM agent.think(said);
    INSERT INTO agent.asked (call_id, said) VALUES (call_id, said);
    RETURN (SELECT a.answer FROM agent.answers a WHERE said ~* a.pattern LIMIT 1);
END \$\$;
SQL
    return;
}

1;
