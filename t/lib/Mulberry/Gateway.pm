# A mulberry-gateway in front of a cluster, and requests to it.  MULBERRY_GATEWAY names another build of the program.
package Mulberry::Gateway;

use strict;
use warnings;

use File::Basename qw(basename);
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use Exporter 'import';
our @EXPORT = qw(start_gateway ask ask_admin packet_body wait_for_gateway log_of_gateway);

our $program = $ENV{MULBERRY_GATEWAY} // ($ENV{MULBERRY_PROGRAMS} // '.') . '/gateway/mulberry-gateway';
my $json = JSON::PP->new->canonical;
my $number = 0;
my @started;

# Starts one with a role of its own, "gate", which has gateway access to all tenants; more flags may follow.  Returns
# { run, pid, port, admin, twilio, audiosocket, log, http }; twilio with --twilio-listen, audiosocket with --audiosocket.
sub start_gateway
{
    my ($node, @flags) = @_;
    # the directory is that of all tests that run at the same time
    my $log = sprintf '%s/%s_gateway_%d.log', $PostgreSQL::Test::Utils::log_path, basename($0, '.pl'), ++$number;
    my $conninfo = sprintf 'host=%s port=%s dbname=postgres user=gate', $node->host, $node->port;
    unshift @flags, '--listen', '127.0.0.1:0' unless grep { $_ eq '--listen' } @flags;
    unshift @flags, '--admin-listen', '127.0.0.1:0' unless grep { $_ eq '--admin-listen' } @flags;
    my $gateway = { log => $log, http => HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default, keep_alive => 1) };
    $gateway->{run} = IPC::Run::start([ $program, '--database', $conninfo, @flags ], '<', '/dev/null', '>', '/dev/null', '2>', $log);
    push @started, $gateway;
    $gateway->{pid} = $gateway->{run}{KIDS}[0]{PID};
    my $text = wait_for_gateway($gateway, qr/"serving"/);
    my @found = $text =~ /"listening","detail":"127\.0\.0\.1:\d+, port (\d+)"/g;
    @$gateway{qw(port admin twilio)} = @found;
    ($gateway->{audiosocket}) = $text =~ /"listening for audio sockets","detail":"127\.0\.0\.1:\d+, port (\d+)"/;
    return $gateway;
}

# whatever becomes of the test, none is left behind
END { my $status = $?; $_->{run}->kill_kill foreach @started; $? = $status }

sub log_of_gateway { my ($gateway) = @_; return -e $gateway->{log} ? slurp_file($gateway->{log}) : '' }

# Waits until something stands in the log; returns the log.
sub wait_for_gateway
{
    my ($gateway, $pattern) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $end)
    {
        my $text = log_of_gateway($gateway);
        return $text if $text =~ $pattern;
        $gateway->{run}->pumpable or die 'the gateway has ended: ' . $text;
        sleep 0.05;
    }
    die "the gateway's log has no $pattern: " . log_of_gateway($gateway);
}

# Sends a request; the answer is { status, headers, content, json }.  option: token, headers, body (a text, or what
# becomes JSON).
sub ask
{
    my ($gateway, $method, $path, %option) = @_;
    my %headers = %{ $option{headers} // {} };
    my $body = $option{body};
    $headers{Authorization} = "Bearer $option{token}" if defined $option{token};
    $body = $json->encode($body) if ref $body;
    $headers{'Content-Type'} //= 'application/json' if defined $body;
    my $answer = $gateway->{http}->request($method, "http://127.0.0.1:" . ($option{port} // $gateway->{port}) . $path,
        { headers => \%headers, defined $body ? (content => $body) : () });
    $answer->{json} = eval { $json->decode($answer->{content}) };
    return $answer;
}

sub ask_admin { my ($gateway, $path) = @_; return ask($gateway, 'GET', $path, port => $gateway->{admin}) }

sub packet_body { my ($sequence, %more) = @_; return { sequence => $sequence + 0, data => "packet_$sequence", timestamp => 1234567890.5, %more } }

1;
