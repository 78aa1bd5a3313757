# The test program of http/, and raw sockets to it.
package Mulberry::HttpEcho;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time sleep);

our @EXPORT = qw($dir $patience ask connection counters make_certificate read_all read_answer reset_connection resident_kb
    start_echo stop_echo status_of wait_until);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..";
my $program = $ENV{MULBERRY_HTTP_ECHO} // "$programs/build/http-echo";
our $dir = tempdir(CLEANUP => 1);

# A timeout for what should take a moment, on a machine that is busy.
our $patience = 180;

my %servers;
$SIG{PIPE} = 'IGNORE';

END
{
    my $status = $?;
    kill 'KILL', keys %servers;
    $? = $status;
}

# A running server: {pid, port, err}; limit => N is its number of descriptors.
sub start_echo
{
    my (%options) = @_;
    my $limit = delete $options{limit};
    my $server = { err => "$dir/err" . keys %servers };
    my @command = ($program, map { "$_=$options{$_}" } sort keys %options);
    @command = ('sh', '-c', "ulimit -n $limit; exec \"\$@\"", 'sh', @command) if $limit;
    pipe my $read, my $write or die;
    $server->{pid} = fork // die;
    if (!$server->{pid})
    {
        open STDOUT, '>&', $write or die;
        open STDERR, '>', $server->{err} or die;
        exec @command or die;
    }
    close $write;
    chomp($server->{port} = <$read> // die "the server did not start, see $server->{err}");
    $servers{ $server->{pid} } = $server;
    return $server;
}

# SIGTERM, unless it was sent; returns the exit status and what was on standard error.
sub stop_echo
{
    my ($server, $signalled) = @_;
    kill 'TERM', $server->{pid} if !$signalled;
    waitpid $server->{pid}, 0;
    delete $servers{ $server->{pid} };
    my $status = $?;
    open my $file, '<', $server->{err} or die;
    local $/;
    return $status . (<$file> // '');
}

sub connection
{
    my ($server, $bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->{port}, Timeout => $patience) or die "connect: $@";
    binmode $socket;
    $socket->autoflush(1);
    print $socket $bytes if defined $bytes && length $bytes;
    return $socket;
}

# Closes so that the other side gets a RST.
sub reset_connection
{
    my ($socket) = @_;
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    close $socket;
    return;
}

# Everything until the other side closes; undef when it does not within the time.
sub read_all
{
    my ($socket, $seconds) = @_;
    my $end = time + ($seconds // $patience);
    my $all = '';
    while (time < $end)
    {
        next unless IO::Select->new($socket)->can_read(0.2);
        return $all if !sysread $socket, $all, 65536, length $all;
    }
    return;
}

# One answer with its body: {status, headers, body}; what is read beyond it is kept with the socket.
sub read_answer
{
    my ($socket, %is) = @_;
    my $all = \${*$socket}{rest};
    $$all //= '';
    my $more = sub {
        my $end = time + $patience;
        while (time < $end)
        {
            next unless IO::Select->new($socket)->can_read(0.2);
            return sysread $socket, $$all, 65536, length $$all;
        }
        return 0;
    };
    while ($$all !~ /\r\n\r\n/)
    {
        $more->() or return { status => 0, headers => {}, body => $$all };
    }
    $$all =~ s/^HTTP\/1\.1 (\d+) [^\r\n]*((?:\r\n[^\r\n]+)*)\r\n\r\n// or return { status => 0, headers => {}, body => $$all };
    my ($status, $lines) = ($1, $2);
    my %headers = map { /^([^:]+): (.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $lines;
    my $length = $is{head} || $status == 100 ? 0 : ($headers{'content-length'} // 0);
    while (length $$all < $length)
    {
        $more->() or last;
    }
    my $body = substr $$all, 0, $length, '';
    return { status => $status, headers => \%headers, body => $body };
}

# Sends on a connection of its own and reads one answer.
sub ask
{
    my ($server, $bytes) = @_;
    return read_answer(connection($server, $bytes));
}

# The status of everything that comes back until the other side closes: the first, and how many there are.
sub status_of
{
    my ($server, $bytes, $seconds) = @_;
    my $all = read_all(connection($server, $bytes), $seconds);
    return 'open' if !defined $all;
    my @statuses = $all =~ /^HTTP\/1\.1 (\d+) /mg;
    return join ' ', @statuses;
}

sub counters
{
    my ($server) = @_;
    return { ask($server, "GET /counters HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")->{body} =~ /^(\w+) (\d+)$/mg };
}

sub wait_until
{
    my ($condition, $seconds) = @_;
    my $end = time + ($seconds // $patience);
    while (time < $end)
    {
        return 1 if $condition->();
        sleep 0.02;
    }
    return 0;
}

sub resident_kb
{
    my ($server) = @_;
    open my $file, '<', "/proc/$server->{pid}/status" or die;
    local $/;
    return (<$file> =~ /VmRSS:\s+(\d+)/)[0];
}

# A certificate for 127.0.0.1, of its own: (certificate, key).
sub make_certificate
{
    system("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -batch -days 2 "
            . "-keyout $dir/key.pem -out $dir/cert.pem 2>$dir/openssl.err") == 0
        or die 'openssl';
    return ("$dir/cert.pem", "$dir/key.pem");
}

1;
