# Hundreds of conversations at once, and thousands of short ones, on one machine with PostgreSQL: bench/talk_load says what is measured.
#
# usage: talk_load.pl PROGRAMS load CALLS SECONDS | short CALLS AT_ONCE MS
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t/lib";
use JSON::PP;
use List::Util qw(max sum0);
use Mulberry::Cluster;
use Mulberry::Engines;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use Mulberry::Talk;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my ($programs, $experiment, @sizes) = @ARGV;
my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my $quiet = $ENV{TALK_LOAD_WAIT} // 300;    # seconds until something has to have happened

sub say_figure { note(sprintf shift, @_); return }

# ---- processes ----

# A program that is told things and says things, a line each.
package Program
{
    use Time::HiRes qw(time);

    sub start
    {
        my ($class, @command) = @_;
        my $self = bless { in => '', out => '', err => '' }, $class;
        $self->{run} = IPC::Run::start(\@command, '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
        $self->{pid} = $self->{run}{KIDS}[0]{PID};
        return $self;
    }

    sub tell { my ($self, $line) = @_; $self->{in} .= "$line\n"; $self->{run}->pump_nb; return }

    sub await
    {
        my ($self, $pattern, $each) = @_;
        my $end = time + $quiet;
        while (time < $end)
        {
            while ($self->{out} =~ s/^([^\n]*)\n//)
            {
                my $line = $1;
                $each->($line) if $each;
                return $line if $line =~ $pattern;
            }
            $self->{run}->pumpable or die "a program has ended: $self->{err}";
            $self->{run}->pump_nb;
            select undef, undef, undef, 0.02;
        }
        die "no $pattern: $self->{out} $self->{err}";
    }
}

my @programs;
END { my $status = $?; $_->{run}->kill_kill foreach @programs; $? = $status }
sub program { push @programs, Program->start(@_); return $programs[-1] }

# What is in memory of a process, kB, but the pages of its program and libraries, which it has once.
sub resident { my ($pid) = @_; return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m ? $1 : 0 }

# Seconds of the processor, of a process, or of PostgreSQL with all its children.
sub seconds_of { my @s = split / /, slurp_file("/proc/$_[0]/stat") =~ s/.*\) //sr; return ($s[11] + $s[12]) / $tick }
sub seconds_of_server
{
    my ($node) = @_;
    my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
    my @s = split / /, slurp_file("/proc/$postmaster/stat") =~ s/.*\) //sr;
    my $seconds = ($s[13] + $s[14]) / $tick;
    for my $file ("/proc/$postmaster/stat", glob '/proc/[0-9]*/stat')
    {
        my $text = eval { slurp_file($file) } // next;
        @s = split / /, $text =~ s/.*\) //sr;
        $seconds += ($s[11] + $s[12]) / $tick if $file eq "/proc/$postmaster/stat" || $s[1] == $postmaster;
    }
    return $seconds;
}

# ---- metrics of the gateway ----

sub metrics
{
    my ($gateway) = @_;
    my %found;
    for (split /\n/, ask_admin($gateway, '/metrics')->{content})
    {
        $found{$1} = $2 if /^mulberry_gateway_(\S+) (\S+)$/;
    }
    return \%found;
}

# What it has of memory, and what of that is audio that it keeps, kB.
sub memory_of { my ($gateway) = @_; return (resident($gateway->{pid}), (metrics($gateway)->{media_kept_bytes} // 0) / 1024) }

# Where a share of the values between two looks lies, as the bound of its bucket in ms.
sub bucket_of
{
    my ($before, $after, $name, $share) = @_;
    my %n = map { /^\Q$name\E_bucket\{le="([^"]*)"\}$/ ? ($1 => $after->{$_} - ($before->{$_} // 0)) : () } keys %$after;
    for my $bound (sort { $a <=> $b } grep { $_ ne '+Inf' } keys %n)
    {
        return 1000 * $bound if $n{$bound} >= $share * $n{'+Inf'};
    }
    return 'more';
}

sub share_below
{
    my ($before, $after, $name, $bound) = @_;
    my ($below, $all) = map { my $key = "${name}_bucket{le=\"$_\"}"; $after->{$key} - ($before->{$key} // 0) } $bound, '+Inf';
    return $all > 0 ? 100 * $below / $all : 0;
}

# ---- all of it ----

# what a program says when it dies is told where figures are
$SIG{__DIE__} = sub { note($_[0]) unless $^S };

my $node = mulberry_cluster('talk_load', conf => "fsync = on\nshared_buffers = 256MB\nmax_wal_size = 4GB\nmax_connections = 100\nlog_min_messages = warning\nlog_statement = none\nlog_connections = off\nlog_disconnections = off\nlog_line_prefix = '%m [%p] '");
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
my $engines = program("$programs/media_engines", 100, 200, 100, 'tell me about the weather please.',
    'The weather is going to be fine today, number #. Tomorrow there will be some clouds in the evening but no rain.');
my $at = bless { port => $engines->await(qr/^\d+$/) }, 'Mulberry::Engines';
$at->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ], [ 'model', 'openai', 'v1', 'reply', 1, 'small' ]);
sql(q{SELECT mulberry.set_conversation('{"prompt": "You tell about the weather.", "silence_prompt_ms": 0}', 'clinic')});
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base, split(/ /, $ENV{TALK_LOAD_FLAGS} // '--twilio-connections 8'));
my $voice = PostgreSQL::Test::Utils::tempdir() . '/voice.ul';
append_to_file($voice, voice_of('tell me about the weather please', 'slt'));
my $calls = program("$programs/media_calls", "port=$gateway->{twilio}", "base=$media_base", "token=$media_token", "account=$media_account", 'number=+12025550100', "voice=$voice");

sub figures { $calls->tell('figures'); return decode_json($calls->await(qr/^figures/) =~ s/^figures //r) }

# How much is left of calls that are over, in tables of what is going on.
sub nothing_left
{
    return sql(q{SELECT (SELECT count(*) FROM mulberry_internal.media_sessions WHERE ended_at IS NULL) || ' streams, '
        || (SELECT count(*) FROM mulberry_internal.conversations WHERE ended_at IS NULL) || ' conversations, '
        || (SELECT count(*) FROM mulberry_internal.inbound_calls WHERE ended_at IS NULL) || ' calls'});
}

if ($experiment eq 'load')
{
    my ($n, $seconds) = @sizes;
    my $empty = resident($gateway->{pid});
    $calls->tell("connect $n 10");
    $calls->await(qr/^connected/);
    sleep 8;    # what is said first is over
    my ($idle, $idle_kept) = memory_of($gateway);
    $calls->tell('talk');
    sleep 15;
    my @pids = ($gateway->{pid}, $calls->{pid}, $engines->{pid});
    my ($before, @used) = (metrics($gateway), (map { seconds_of($_) } @pids), seconds_of_server($node));
    my $packets = sql('SELECT count(*) FROM mulberry_internal.packets');
    my $since = time;
    $calls->tell('count');
    my ($talking, $talking_kept, $bare) = (0, 0, 0);
    for (1 .. $seconds)
    {
        sleep 1;
        $calls->{run}->pump_nb;
        my ($resident, $kept) = memory_of($gateway);
        ($talking, $talking_kept) = ($resident, $kept) if $resident > $talking;
        $bare = max($bare, $resident - $kept);
    }
    my $f = figures();
    my $after = metrics($gateway);
    my $lasted = time - $since;
    my @now = ((map { seconds_of($_) } @pids), seconds_of_server($node));
    $packets = sql('SELECT count(*) FROM mulberry_internal.packets') - $packets;
    say_figure('%d calls for %.0f s, load %s; refused %d, lost %d', $n, $lasted, (split / /, slurp_file('/proc/loadavg'))[0], $f->{refused}, $f->{lost});
    say_figure('of a processor: gateway %.2f, PostgreSQL %.2f; callers %.2f, services %.2f', map { ($now[$_] - $used[$_]) / $lasted } 0, 3, 1, 2);
    say_figure('%.0f packets/s stored; %.0f s of agents heard, %.0f %% of the time', $packets / $lasted, $f->{heard_s}, 100 * $f->{heard_s} / $n / $lasted);
    say_figure('a frame that came to its decision: median below %s ms, 99 %% below %s ms, %.3f %% below 10 ms (99), of %d; sum %.1f s', (map { bucket_of($before, $after, 'frame_to_decision_seconds', $_) } 0.5, 0.99),
        share_below($before, $after, 'frame_to_decision_seconds', '0.01'), map { $after->{"frame_to_decision_seconds_$_"} - ($before->{"frame_to_decision_seconds_$_"} // 0) } 'count', 'sum');
    say_figure('a key to the clear that follows, by the caller: median %.1f ms, 99 %% %.1f, most %.1f, of %d', @{ $f->{keys_ms} }{ 50, 99, 100, 'n' });
    say_figure('gaps in answers: %d, longest %.0f ms (40); underruns %d', @{ $f->{gaps_ms} }{ 'n', 100 }, ($after->{underruns_total} // 0) - ($before->{underruns_total} // 0));
    say_figure('end of speech to first sound: median %.0f ms, 95 %% %.0f (700), most %.0f, of %d; without an answer %d', @{ $f->{waits_ms} }{ 50, 95, 100, 'n' }, $f->{unanswered});
    say_figure('speech to silence: median %.0f ms, 95 %% %.0f (300), of %d; interrupted %d, not %d', @{ $f->{stops_ms} }{ 50, 95, 'n' }, $f->{cut}, $f->{uncut});
    say_figure('frames of the callers late by: 99 %% %.1f ms, most %.1f', @{ $f->{late_ms} }{ 99, 100 });
    say_figure('on the average, ms: %s', join ', ', map { my ($n, $sum) = map { my $k = $_; sum0(map { $after->{$_} - ($before->{$_} // 0) } grep { /^\Q$k\E(\{|$)/ } keys %$after) } "${_}_seconds_count", "${_}_seconds_sum"; s/_/ /gr . ' ' . ($n ? int(1000 * $sum / $n) : 'none') }
        qw(eou_delay transcription_delay llm_ttft tts_ttfb first_frame_sent voice_to_voice interruption_detection_delay clear_to_burst));
    say_figure('a session: %.1f kB idle, of that %.1f audio that is kept; at most %.1f talking, of that %.1f; without it at most %.1f (64)', ($idle - $empty) / $n, $idle_kept / $n,
        ($talking - $empty) / $n, $talking_kept / $n, ($bare - $empty) / $n);
    $calls->tell('hang');
    $calls->await(qr/^hung/);
    $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM mulberry_internal.media_sessions WHERE ended_at IS NULL}) or die 'streams have not ended';
    say_figure('at the end: %s', nothing_left());
    say_figure('of %s calls stored: %s with gaps, %s packets dropped, %s s of audio lost; packets: %s', split /\|/, sql(q{SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM mulberry_internal.gaps g JOIN mulberry_internal.all_tracks k ON k.id = g.call JOIN mulberry_internal.calls c ON c.id = k.call WHERE c.call_id = m.call_id)),
        sum((figures->>'dropped_packets')::int), sum((figures->>'lost_ms')::int) / 1000, (SELECT count(*) FROM mulberry_internal.packets) FROM mulberry_internal.media_sessions m}));
}
elsif ($experiment eq 'short')
{
    my ($n, $at_once, $ms) = @sizes;
    my @resident;
    my $since = time;
    $calls->tell("short $n $at_once $ms");
    $calls->await(qr/^hung/, sub { $_[0] =~ /^short (\d+)/ and push @resident, [ $1, resident($gateway->{pid}) ] });
    say_figure('%d calls of %.1f s, %d at a time, in %.0f s, load %s', $n, $ms / 1000, $at_once, time - $since, (split / /, slurp_file('/proc/loadavg'))[0]);
    say_figure('resident, of the gateway: %s kB', join ', ', map { "$_->[1] after $_->[0]" } @resident);
    my $f = figures();
    say_figure('refused %d, lost %d', @$f{qw(refused lost)});
    my %why;
    $why{$_}++ foreach split /\n/, $calls->{err};
    say_figure('%d times %s', $why{$_}, $_) foreach sort { $why{$b} <=> $why{$a} } keys %why;
    $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM mulberry_internal.media_sessions WHERE ended_at IS NULL}) or die 'streams have not ended';
    say_figure('left: %s', nothing_left());
    my $m = metrics($gateway);
    say_figure('the gateway has %s streams, %s conversations', @$m{qw(media_sessions conversations)});
}
$gateway->{run}->signal('TERM');
$gateway->{run}->finish;
$node->stop;
ok(1, 'measured');
done_testing();
