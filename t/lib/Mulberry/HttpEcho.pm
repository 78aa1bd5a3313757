# The test program of http/; sockets to it are of RawHttp.
package Mulberry::HttpEcho;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use File::Temp qw(tempdir);

use Mulberry::RawHttp;

our @EXPORT = qw($dir counters make_certificate start_echo stop_echo);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..";
my $program = $ENV{MULBERRY_HTTP_ECHO} // "$programs/build/http-echo";
our $dir = tempdir(CLEANUP => 1);

my %servers;

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

sub counters
{
    my ($server) = @_;
    return { ask($server, "GET /counters HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")->{body} =~ /^(\w+) (\d+)$/mg };
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
