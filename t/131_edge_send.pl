# "mulberry-edge send": files of many kinds become calls, sample by sample; what broke off is sent again and only the
# rest of it goes; the server goes away and comes back meanwhile; and each thing that is wrong has its exit status.
use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use IO::Socket::INET;
use IPC::Run;
use Mulberry::Cluster;
use Mulberry::Edge;
use Mulberry::Line;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my $node = mulberry_cluster('edge_send', preload => 0);
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE pi LOGIN; SELECT mulberry.grant_access('pi', 'ingest');
      CREATE ROLE reader LOGIN; SELECT mulberry.grant_access('reader', 'supervisor');
      CREATE ROLE nobody LOGIN; CREATE ROLE locked LOGIN PASSWORD 'right';
      SELECT mulberry.create_tenant('north', 'mulaw', 8000), mulberry.grant_access('pi', 'ingest', 'north')});
my $database = $node->connstr('postgres') . ' user=pi';
my ($status, $out, $err);
sub send_file { ($status, $out, $err) = edge('send', '--database', $database, @_); return $status }

# The samples of a track as the database has them, and as they ought to be.
sub digest { my ($hex) = @_; return length($hex) / 2 . ' bytes, ' . sha1_hex($hex) }
sub stored { my ($call, $track) = @_; return sql("SELECT encode(string_agg(data, NULL ORDER BY sequence), 'hex') FROM mulberry.call_packets WHERE call_id = '$call'" . ($track ? " AND track = '$track'" : '')) }
sub bytes_of { return digest(stored(@_)) }
sub converted { my ($samples, $rate, $encoding, $to) = @_; return digest(sql(sprintf "SELECT encode(mulberry.audio_convert('\\x%s', 's16le', %d, '%s', %d), 'hex')", unpack('H*', pack 's<*', @$samples), $rate, $encoding, $to)) }
sub raw { return digest(unpack 'H*', pack 's<*', @_) }
sub call_is { my ($call) = @_; return sql("SELECT concat_ws(' ', state, encoding, sample_rate, total_packets_received, missing_count) FROM mulberry.call_status WHERE call_id = '$call'") }

# --- sample by sample -----------------------------------------------------------

srand(7);
my @noise = map { int(rand 20000) - 10000 } 1 .. 23456;
my ($left, $right) = (tones(44100, '159D'), tones(44100, '*0#8'));
wav("$dir/noise.wav", 16000, \@noise);
wav("$dir/stereo.wav", 44100, $left, $right);

is(send_file("$dir/noise.wav", '--call', 'as it is'), 0, 'a file of the rate and encoding of the call');
is($err, '', 'without a complaint, and without progress where there is no terminal');
is($out, "as it is: 1.466 s, s16le 16000 Hz, 1 track, 74 packets sent, 0 were there, complete\n", 'says what it did');
is(bytes_of('as it is'), raw(@noise), 'each sample is there');
is(call_is('as it is'), 'COMPLETED s16le 16000 74 0', 'and the call is complete');
is(sql(q{SELECT string_agg(DISTINCT length(data)::text, ' ') FROM mulberry.call_packets WHERE call_id = 'as it is'}), '192 640', 'in packets of 20 ms, and what is left over');

is(send_file("$dir/stereo.wav", '--call', 'two', '--tenant', 'north', '--direction', 'inbound', '--from', '+12025550123', '--to', 'sip:desk@example.com',
    '--attributes', '{"queue": "sales"}'), 0, 'a file with two channels, at another rate and in another encoding');
is(bytes_of('two', 'left'), converted($left, 44100, 'mulaw', 8000), 'one of them is a track');
is(bytes_of('two', 'right'), converted($right, 44100, 'mulaw', 8000), 'and so is the other');
is(sql(q{SELECT concat_ws(' ', tenant, direction, from_number, to_number, attributes, tracks) FROM mulberry.calls(tenant => 'north') WHERE call_id = 'two'}),
    'north inbound +12025550123 sip:desk@example.com {"queue": "sales"} {left,right}', 'with all that was told of it');

is(send_file("$dir/stereo.wav", '--call', 'named', '--track', 'the "caller"', '--track', 'agent', '--call-encoding', 'alaw', '--call-rate', 16000), 0, 'tracks have names');
is(bytes_of('named', 'the "caller"'), converted($left, 44100, 'alaw', 16000), 'which may be strange');
is(bytes_of('named', 'agent'), converted($right, 44100, 'alaw', 16000), 'as the file has them');

is(send_file("$dir/noise.wav", '--call', 'one by one', '--track', 'caller', '--complete', 'off', '--tenant', 'north', '--to', '+4930123'), 2, 'a switch has its value behind =');
is(send_file("$dir/noise.wav", '--call', 'one by one', '--track', 'caller', '--complete=off', '--tenant', 'north', '--to', '+4930123'), 0, 'a track of a call that goes on');
is(send_file("$dir/noise.wav", '--call', 'one by one', '--track', 'agent', '--tenant', 'north', '--complete=off'), 0, 'and another one');
is(bytes_of('one by one', 'caller'), converted(\@noise, 16000, 'mulaw', 8000), 'the first, as its tenant has it');
is(bytes_of('one by one', 'agent'), bytes_of('one by one', 'caller'), 'and the second, as the call has it');
is(sql(q{SELECT concat_ws(' ', state, to_number) FROM mulberry.call_status WHERE call_id = 'one by one'}), 'IN_PROGRESS +4930123', 'the call goes on, and its number is known');

foreach my $kind (qw(flac ogg mp3))
{
    system("sndfile-convert $dir/stereo.wav $dir/stereo.$kind >$dir/convert.log 2>&1") == 0 or die "sndfile-convert: $kind";
    is(send_file("$dir/stereo.$kind", '--call', $kind), 0, "a file of kind $kind");
    is(sql("SELECT string_agg(digit, '' ORDER BY start_ms) FROM mulberry.call_dtmf('$kind', track => 'left')"), '159D', "$kind: the digits are in it");
    is(bytes_of($kind, 'right'), converted($right, 44100, 's16le', 16000), "$kind: each sample is there") if $kind eq 'flac';
}

my $samples = pack 's<*', @noise;
($status, $out, $err) = edge({ input => $samples }, 'send', 'stdin:', '--rate', 16000, '--call', 'piped', '--database', $database);
is("$status $err", '0 ', 'samples without a header');
is(bytes_of('piped'), raw(@noise), 'each is there');
($status, $out, $err) = edge({ input => pack 'H*', stored('two', 'left') }, 'send', 'stdin:', '--rate', 8000, '--encoding', 'mulaw', '--call', 'mu-law', '--tenant', 'north', '--database', $database);
# zero has two codes
is(digest(join '', Mulberry::Line::linear(pack 'H*', stored('mu-law'))), digest(join '', Mulberry::Line::linear(pack 'H*', stored('two', 'left'))), 'mu-law is what it was');
is(send_file("$dir/noise.wav", '--call', 'nothing', '--seconds', 1, '--track', 'a'), 0, 'a second of it');
is(call_is('nothing'), 'COMPLETED s16le 16000 50 0', 'is 50 packets');
wav("$dir/empty.wav", 16000, []);
is(send_file("$dir/empty.wav", '--call', 'empty'), 6, 'an empty file is no audio');
is(call_is('empty'), '', 'and no call');

# --- what broke off is said again --------------------------------------------------

is(send_file("$dir/noise.wav", '--call', 'as it is'), 0, 'the same again');
like($out, qr/ 0 packets sent, 74 were there, complete/, 'sends nothing');
is(send_file("$dir/noise.wav", '--call', 'part', '--complete=off', '--seconds', 1), 0, 'a part of it');
is(send_file("$dir/noise.wav", '--call', 'part'), 0, 'and all of it');
like($out, qr/ 24 packets sent, 50 were there, complete/, 'sends the rest');
is(bytes_of('part'), bytes_of('as it is'), 'each sample is there once');
sql(q{SELECT count(*) FROM mulberry.call_packets p, mulberry.ingest_packet('holes', p.sequence, p.data) WHERE p.call_id = 'as it is' AND p.sequence IN (0, 3, 4, 50, 73)});
is(send_file("$dir/noise.wav", '--call', 'holes'), 0, 'a call with holes');
like($out, qr/ 69 packets sent, 5 were there, complete/, 'gets what it has not got');
is(bytes_of('holes'), bytes_of('as it is'), 'each sample is there once');
is(send_file("$dir/noise.wav", '--call', 'as it is', '--seconds', 1), 14, 'another end than it has');
like($err, qr/^mulberry-edge: .+\n\z/, 'is refused in one line');
is(send_file("$dir/stereo.wav", '--call', 'as it is'), 14, 'other tracks than it has are refused');
sql(q{SELECT mulberry.ingest_packet('counted', 7, '\x0000', counter_bits => 16)});
is(send_file("$dir/noise.wav", '--call', 'counted'), 14, 'so is a call that somebody counts otherwise');

# --- the server goes away meanwhile ------------------------------------------------

wav("$dir/long.wav", 16000, [ map { @noise } 1 .. 4 ]);
my ($long_out, $long_err) = ('', '');
my $long = IPC::Run::start([ $edge, 'send', "$dir/long.wav", '--call', 'long', '--database', $database, '--real-pace' ], '<', \'', '>', \$long_out, '2>', \$long_err);
foreach my $part (1, 2)
{
    wait_for_true($node, "SELECT total_packets_received >= 60 * $part FROM mulberry.call_status WHERE call_id = 'long'", "some of it has come");
    $node->stop('immediate');
    $node->start;
}
$long->finish;
is($long->result(0), 0, 'a server that went away twice is waited for');
is($long_err, '', 'without a complaint');
is(bytes_of('long'), raw((@noise) x 4), 'and each sample is there once');
is(call_is('long'), 'COMPLETED s16le 16000 294 0', 'none too many');
cmp_ok(sql(q{SELECT extract(epoch FROM max(sent_at) - min(sent_at)) FROM mulberry.call_packets WHERE call_id = 'long'}), '==', 293 * 0.02, 'each at its time, as it was at real pace');

# nothing of it is left to be sent, and the session is lost all the same before the end is said
my ($again_out, $again_err) = ('', '');
my $sessions = q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mulberry-edge'};
my $again = IPC::Run::start([ $edge, 'send', "$dir/long.wav", '--call', 'long', '--database', $database, '--real-pace' ], '<', \'', '>', \$again_out, '2>', \$again_err);
wait_for_true($node, "SELECT ($sessions) = 1", 'a session is there');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mulberry-edge'});
$again->finish;
is($again->result(0), 0, 'the end of a call is said over another session') or diag $again_err;
like($again_out, qr/ 0 packets sent, 294 were there, complete/, 'and that all is there');

# --- what is wrong -----------------------------------------------------------------

is(send_file("$dir/noise.wav"), 2, 'a call without an id');
is(send_file("$dir/noise.wav", '--call', 'x', '--track', 'a', '--track', 'b'), 2, 'more tracks than channels');
is(send_file("$dir/stereo.wav", '--call', 'x', '--track', 'a', '--track', 'a'), 2, 'a track twice');
is(send_file("$dir/none.wav", '--call', 'x'), 3, 'no such file');
is(send_file("$dir", '--call', 'x'), 6, 'no file of audio');

# A server that is none: it says that it is PostgreSQL 14.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die $!;
my $old = fork // die $!;
if ($old == 0)
{
    while (my $client = $listener->accept)
    {
        my $startup;
        sysread $client, $startup, 1000;
        my $parameter = "server_version\0" . "14.5\0";
        syswrite $client, pack('A N N', 'R', 8, 0) . pack('A N', 'S', 4 + length $parameter) . $parameter . pack('A N A', 'Z', 5, 'I');
        sysread $client, $startup, 1000;
    }
    exit;
}
sql('CREATE DATABASE bare');
sql('CREATE DATABASE other');
$node->safe_psql('other', q{CREATE EXTENSION mulberry CASCADE; UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'mulberry'});
my $rules = $node->data_dir . '/pg_hba.conf';
my $trust = slurp_file($rules);
spew_raw($rules, "local all locked scram-sha-256\nlocal all refused reject\n$trust");
$node->reload;
wait_for_true($node, q{SELECT count(*) = 2 FROM pg_hba_file_rules WHERE auth_method IN ('scram-sha-256', 'reject')}, 'the rules are read');
my $host = 'host=' . $node->host . ' port=' . $node->port;
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
foreach my $case (
    [ 'a connection string that is none', 2, qr/database: .*"hots"/, 'hots=x' ],
    [ 'a database that does not exist', 2, qr/database "none" does not exist/, "$host dbname=none user=pi" ],
    [ 'an unknown role', 9, qr/role "stranger" does not exist/, "$host dbname=postgres user=stranger" ],
    [ 'a wrong password', 9, qr/password authentication failed/, "$host dbname=postgres user=locked password=wrong" ],
    [ 'no password', 9, qr/password/, "$host dbname=postgres user=locked passfile=$dir/none" ],
    [ 'a role that may not come', 9, qr/pg_hba.conf/, "$host dbname=postgres user=refused" ],
    [ 'a role without access', 9, qr/./, "$host dbname=postgres user=nobody" ],
    [ 'a role that may only read', 9, qr/./, "$host dbname=postgres user=reader" ],
    [ 'nobody there', 10, qr/no session with the database/, "host=127.0.0.1 port=$closed user=pi" ],
    [ 'a server that is too old', 11, qr/the server is PostgreSQL 14, and Mulberry needs 15/, 'host=127.0.0.1 sslmode=disable gssencmode=disable user=pi port=' . $listener->sockport ],
    [ 'a database without the extension', 12, qr/the database "bare" has no extension mulberry/, "$host dbname=bare user=pi" ],
    [ 'an extension of another version', 13, qr/is version 0.9, and we are version \d/, "$host dbname=other user=pi" ])
{
    my ($name, $expected, $message, $conninfo) = @$case;
    ($status, $out, $err) = edge('send', "$dir/noise.wav", '--call', 'refused', '--patience', 0, '--database', $conninfo);
    is($status, $expected, "$name: exit status");
    like($err, qr/^mulberry-edge: [^\n]+\n\z/, "$name: one line");
    like($err, $message, "$name: says why");
}
kill 'KILL', $old;
waitpid $old, 0;
is(send_file("$dir/noise.wav", '--call', 'x', '--tenant', 'south'), 14, 'a tenant that is none');
is(send_file("$dir/noise.wav", '--call', 'x', '--attributes', 'none'), 14, 'attributes that are none');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id IN ('x', 'refused')}), 0, 'of none of these there is a call');

done_testing();
