# Raw sockets to any server of http/ ({port, pid}), frames of WebSockets, and what no server may take.
package Mulberry::RawHttp;

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time sleep);

our @EXPORT = qw($patience ask bad_frames bad_requests connection frame frames_of next_frame read_all read_answer reset_connection
    resident_kb status_of text wait_until);

# A timeout for what should take a moment, on a machine that is busy.
our $patience = 300;

$SIG{PIPE} = 'IGNORE';

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

# --- WebSockets -----------------------------------------------------------------------------------------------

# A frame of a client: masked, unless told otherwise.
sub frame
{
    my ($opcode, $payload, %is) = @_;
    my $n = $is{length} // length $payload;
    my $first = ($is{more} ? 0 : 0x80) | ($is{reserved} // 0) << 4 | $opcode;
    my $mask = $is{unmasked} ? 0 : 0x80;
    my $head = $n < 126 && !$is{long} ? pack('CC', $first, $mask | $n)
        : $n < 65536 && ($is{long} // 2) == 2 ? pack('CCn', $first, $mask | 126, $n)
        : pack('CCQ>', $first, $mask | 127, $n);
    return $head . $payload if $is{unmasked};
    return $head . "\1\2\3\4" . ($payload ^ substr "\1\2\3\4" x (length($payload) / 4 + 1), 0, length $payload);
}

sub text { return frame(1, @_) }

# The next frame of the server: [opcode, payload]; nothing at its end.
sub next_frame
{
    my ($socket) = @_;
    my $all = \${*$socket}{rest};
    my $end = time + $patience;
    while (time < $end)
    {
        my ($first, $second) = unpack 'CC', $$all;
        my $head = !defined $second ? 99 : $second < 126 ? 2 : $second == 126 ? 4 : 10;
        if (length $$all >= $head)
        {
            my $n = $head == 2 ? $second : $head == 4 ? unpack('n', substr $$all, 2) : unpack('Q>', substr $$all, 2);
            if (length $$all >= $head + $n)
            {
                my $frame = substr $$all, 0, $head + $n, '';
                return [ $first & 15, substr $frame, $head ];
            }
        }
        next unless IO::Select->new($socket)->can_read(0.2);
        return if !sysread $socket, $$all, 65536, length $$all;
    }
    return;
}

# Frames up to the end, as text: "text hello", "close 1002 …".
sub frames_of
{
    my ($socket) = @_;
    my @frames;
    while (my $frame = next_frame($socket))
    {
        my ($opcode, $payload) = @$frame;
        push @frames, $opcode == 8
            ? join(' ', 'close', length $payload ? unpack('n', $payload) : (), length $payload > 2 ? substr($payload, 2) : ())
            : { 1 => 'text', 2 => 'bytes', 9 => 'ping', 10 => 'pong' }->{$opcode} . " $payload";
    }
    return join ', ', @frames;
}

# --- what no server may take ----------------------------------------------------------------------------------

# Requests that are refused: [name, status, bytes].  post is the beginning of a good one with a body, its path is
# "path", and the server takes bodies of so many bytes.
sub bad_requests
{
    my ($post, $path, $max_body) = @_;
    my $host = "Host: x\r\n";
    return (
        [ 'a bare line feed behind the request line', 400, "GET / HTTP/1.1\n$host\r\n" ],
        [ 'a bare line feed in the headers, at once', 400, "GET / HTTP/1.1\r\nA: b\n" ],
        [ 'a bare line feed as the empty line', 400, "GET / HTTP/1.1\r\n$host\n" ],
        [ 'an empty line first', 400, "\r\nGET / HTTP/1.1\r\n$host\r\n" ],
        [ 'no Host', 400, "GET / HTTP/1.1\r\n\r\n" ],
        [ 'two Hosts', 400, "GET / HTTP/1.1\r\n$host$host\r\n" ],
        [ 'a Host with a user', 400, "GET / HTTP/1.1\r\nHost: a\@b\r\n\r\n" ],
        [ 'a folded header', 400, "GET / HTTP/1.1\r\n${host}A: b\r\n c\r\n\r\n" ],
        [ 'a space before the colon', 400, "${post}Content-Length : 5\r\n\r\nhello" ],
        [ 'a header without a colon', 400, "GET / HTTP/1.1\r\n${host}A\r\n\r\n" ],
        [ 'a NUL in a header', 400, "GET / HTTP/1.1\r\n${host}A: \0\r\n\r\n" ],
        [ 'a NUL in the path', 400, "GET /\0 HTTP/1.1\r\n$host\r\n" ],
        [ 'a space in the path', 400, "GET /a b HTTP/1.1\r\n$host\r\n" ],
        [ 'bytes beyond ASCII in the path', 400, "GET /\xc3\xa9 HTTP/1.1\r\n$host\r\n" ],
        [ 'a fragment', 400, "GET /a#b HTTP/1.1\r\n$host\r\n" ],
        [ 'an absolute target', 400, "GET http://x/ HTTP/1.1\r\n$host\r\n" ],
        [ 'a target of an asterisk', 400, "OPTIONS * HTTP/1.1\r\n$host\r\n" ],
        [ 'HTTP/0.9', 400, "GET /\r\n" ],
        [ 'HTTP/2 with prior knowledge', 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" ],
        [ 'HTTP/1.2', 505, "GET / HTTP/1.2\r\n$host\r\n" ],
        [ 'a method that is no token', 400, "G\@T / HTTP/1.1\r\n$host\r\n" ],
        [ 'a head too large', 431, "GET / HTTP/1.1\r\n${host}A: " . 'a' x 17000 . "\r\n\r\n" ],
        [ 'a request line too long', 414, 'GET /' . 'a' x 17000 . " HTTP/1.1\r\n$host\r\n" ],
        [ 'a flood of headers', 431, "GET / HTTP/1.1\r\n$host" . join('', map { "A$_: b\r\n" } 1 .. 100) . "\r\n" ],
        [ 'two lengths that agree', 400, "${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" ],
        [ 'two lengths that differ', 400, "${post}Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello" ],
        [ 'two lengths in one', 400, "${post}Content-Length: 5, 5\r\n\r\nhello" ],
        [ 'a length and a coding', 400, "${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
        [ 'a coding and a length', 400, "${post}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" ],
        [ 'two codings', 400, "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" ],
        [ 'another coding', 501, "${post}Transfer-Encoding: gzip\r\n\r\n" ],
        [ 'another coding beside chunked', 501, "${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" ],
        [ 'a coding that looks like chunked', 501, "${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" ],
        [ 'a vertical tab before chunked', 400, "${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" ],
        [ 'a coding in HTTP/1.0', 400, "POST $path HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
        [ 'no length', 411, "POST $path HTTP/1.1\r\n$host\r\n" ],
        [ 'no length of a PUT', 411, "PUT $path HTTP/1.0\r\n$host\r\n" ],
        [ 'another expectation', 417, "${post}Content-Length: 5\r\nExpect: gold\r\n\r\nhello" ],
        [ 'a body too large, before it is sent', 413, "${post}Content-Length: " . ($max_body + 1) . "\r\n\r\n" ],
        [ 'a length that fits in no integer', 413, "${post}Content-Length: 99999999999999999999\r\n\r\n" ],
        [ 'a chunk too large', 413, sprintf "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n", $post, $max_body + 1 ],
        [ 'a chunk of a size that fits in no integer', 413, "${post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" ],
        [ 'a chunk without a size', 400, "${post}Transfer-Encoding: chunked\r\n\r\n\r\n" ],
        [ 'a chunk of a negative size', 400, "${post}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" ],
        [ 'a chunk longer than it says', 400, "${post}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n" ],
        [ 'a chunk with a bare line feed', 400, "${post}Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n" ],
        [ 'a trailer that is no field', 400, "${post}Transfer-Encoding: chunked\r\n\r\n0\r\nnone\r\n\r\n" ],
        (map { [ "a length of \"$_\"", 400, "${post}Content-Length: $_\r\n\r\nhello" ] } '-5', '+5', '5 5', '0x5', '5.0', '',
        '5e0', "\xd9\xa5")
    );
}

# Frames that break a rule: [name, the code of the close that they get, bytes].
sub bad_frames
{
    return (
        [ 'an unmasked frame', 1002, frame(1, 'hello', unmasked => 1) ],
        (map { [ "reserved bits $_", 1002, frame(1, 'x', reserved => $_) ] } 1, 2, 4, 7),
        (map { [ "opcode $_", 1002, frame($_, 'x') ] } 3, 7, 11, 15),
        [ 'a continuation of nothing', 1002, frame(0, 'x') ],
        [ 'a message within a message', 1002, frame(1, 'a', more => 1) . text('b') ],
        [ 'a fragmented ping', 1002, frame(9, 'x', more => 1) ],
        [ 'a fragmented close', 1002, frame(8, '', more => 1) ],
        [ 'a ping of 126 bytes', 1002, frame(9, 'x' x 126) ],
        [ 'a length in 64 bits with the highest one', 1002, frame(2, 'x' x 100, length => 1 << 63) ],
        [ 'a short length in 16 bits', 1002, frame(1, 'x', long => 2) ],
        [ 'a short length in 64 bits', 1002, frame(1, 'x', long => 8) ],
        [ 'bad UTF-8', 1007, text("a\xff") ],
        [ 'a surrogate', 1007, text("\xed\xa0\x80") ],
        [ 'an overlong slash', 1007, text("\xc0\xaf") ],
        [ 'half a character at the end', 1007, text("\xe2\x82") ],
        [ 'bad UTF-8 in a fragment, at once', 1007, frame(1, "a\xff", more => 1) ],
        [ 'a message too long', 1009, text('x' x 65537) ],
        [ 'a message too long in fragments', 1009, frame(1, 'x' x 40000, more => 1) . frame(0, 'x' x 40000) ],
        [ 'a huge length', 1009, frame(2, 'x' x 100, length => 1 << 62) ],
        [ 'a close with a code that none may send', 1002, frame(8, pack 'n', 1005) ],
        [ 'a close with bad UTF-8', 1007, frame(8, pack('n', 1000) . "\xff") ]
    );
}

1;
