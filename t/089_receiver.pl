# The receiving side beyond one statement: keys are not seen in the server's log; an accepted frame is
# on disk; a promoted standby signs with counters of its own and asks before it believes;
# and a judgement costs the same wherever a tag differs and whatever is wrong with the key, in a session that knows no keys and in
# one that has judged many frames.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Sessions qw(end_sessions);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = PostgreSQL::Test::Utils::tempdir();

# Counts the SHA-256 that libcrypto computes, of which an HMAC has two: each leaves a byte in a file.  It
# is loaded before libcrypto into every process of the server.
append_to_file("$tmp/count_digests.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int
SHA256_Final(unsigned char *digest, void *context)
{
	int (*next)(unsigned char *, void *) = dlsym(RTLD_NEXT, "SHA256_Final");
	int file = open(getenv("COUNT_DIGESTS_FILE"), O_WRONLY | O_APPEND | O_CREAT, 0600);

	if (file < 0 || write(file, "x", 1) != 1)
		abort();
	close(file);
	return next(digest, context);
}
C
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', "$tmp/count_digests.so", "$tmp/count_digests.c", '-ldl');

my $node = do {
    local $ENV{LD_PRELOAD} = "$tmp/count_digests.so";
    local $ENV{COUNT_DIGESTS_FILE} = "$tmp/digests";
    mulberry_cluster('edge', preload => 0, init => [ allows_streaming => 1 ], conf => <<'CONF');
log_statement = all
log_min_duration_statement = 0
log_error_verbosity = verbose
log_min_messages = debug1
debug_print_parse = on
synchronous_commit = off
wal_writer_delay = 10s
CONF
};

sub sql { return $node->safe_psql('postgres', shift) }
sub digests { return -s "$tmp/digests" || 0 }

# ---- keys and the log ----

sql(<<'SQL');
SELECT mulberry.create_agent('pi');
SELECT mulberry.create_mandate(m, 'pi', 'sponsor', 100, 'EUR', '2999-01-01') FROM unnest('{12345678,87654321,11112222}'::text[]) m;
SELECT mulberry.create_voice_key('pi', 7);
SQL
my $line = sql(q{CALL mulberry.export_voice_key('pi', 7)});
like($line, qr/^mulberry-voice-key:1:[0-9a-f-]{36}:[0-9a-f-]{36}:07:[0-9a-f]{64}:none:[0-9a-f]{8}$/, 'a key is exported as a line');
my ($key) = $line =~ /:([0-9a-f]{64}):/;
append_to_file("$tmp/key", "$line\n");
append_to_file("$tmp/cut", substr($line, 0, 160) . "\n");
append_to_file("$tmp/wrong columns", "$line\t$line\t$line\t$line\n");
append_to_file("$tmp/not utf8", "\xff$line\n");
foreach my $bad ('cut', 'wrong columns', 'not utf8')
{
    my ($out, $err) = ('', '');
    $node->psql('postgres', "\\copy mulberry.voice_key_entry (key) FROM '$tmp/$bad'", stdout => \$out, stderr => \$err);
    like($err, qr/ERROR/, "$bad: refused");
    unlike($err, qr/\Q@{[ substr($key, 0, 16) ]}\E/, "$bad: ... without a word of the key");
}
sql("\\copy mulberry.voice_key_entry (key) FROM '$tmp/key'");
my ($out, $err) = ('', '');
$node->psql('postgres', "\\copy mulberry.voice_key_entry (key) FROM '$tmp/key'", stderr => \$err);
like($err, qr/there is a voice key 7 already/, 'it enters once');

# Frames of the sender, with counters that no command has used.
my $counter = 0;
sub frame
{
    my ($command, $mandate, $nonce) = @_;
    $counter++;
    $nonce = defined $nonce ? "'$nonce'" : 'NULL';
    return sql(qq{SELECT f.frame FROM mulberry_internal.voice_keys k,
        mulberry_internal.sign_frame(k.tenant, k.agent, k.key_id, '$command', '$mandate', 0, $counter, $nonce) f
        WHERE k.role = 'sender' AND k.key_id = 7});
}
sub hear
{
    my ($frame, $more) = @_;
    $more //= '';
    return sql("SELECT verdict, status, coalesce(challenge, '') FROM mulberry.handle_command_symbols('$frame'$more)");
}

# A frame whose tag is wrong in one place, with check digits that fit.
sub forge
{
    my ($frame, $place) = @_;
    my $digits = substr($frame, 1, 28);
    substr($digits, 18 + $place, 1) = (substr($digits, 18 + $place, 1) + 1) % 10;
    my $rest = 0;
    $rest = ($rest * 10 + $_) % 97 foreach split //, "${digits}00";
    return sprintf '*%s%02d#', $digits, 98 - $rest;
}

# ---- the work does not depend on what is wrong ----

# More keys of this edge: one that is used no more, and one that nobody has used yet.
sql(q{INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, fingerprint, place, enabled, disabled_at)
      SELECT k.tenant, k.role, k.agent, n.id, k.party_tenant, 'key-' || n.id, mulberry_internal.make_voice_key(k.tenant, 'key-' || n.id), k.place,
             n.enabled, CASE WHEN NOT n.enabled THEN now() END
        FROM mulberry_internal.voice_keys k, (VALUES (8, false), (9, true)) AS n (id, enabled) WHERE k.role = 'receiver'});

my $genuine = frame('QUERY', '12345678');
my %work;
sub measure
{
    my ($name, $frame) = @_;
    my $before = digests();
    my ($verdict) = split /\|/, hear($frame);
    $work{$name} = digests() - $before;
    sql('DELETE FROM mulberry_internal.key_guard');
    return $verdict;
}
# A frame like the genuine one of another key, with a wrong tag.
sub of_key { my ($id) = @_; return forge(sprintf('*%02d', $id) . substr($genuine, 3), 0) }
my %wrong = ('a wrong tag' => forge($genuine, 0), 'a disabled key' => of_key(8), 'a key not used yet' => of_key(9), 'an unknown key' => of_key(55));

# What a session knows when a frame comes.
my $change = "UPDATE mulberry_internal.voice_keys SET enabled = enabled WHERE role = 'receiver'";
my %before = (
    'in a new session' => sub { end_sessions($node); hear('no frame') },
    'after a change of keys' => sub { sql($change) },
    'after a change that was rolled back' => sub { sql("BEGIN; $change; ROLLBACK") },
    'after a genuine frame' => sub { hear(frame('PING', '00000000')); $genuine = frame('QUERY', '12345678') },
    'after a frame of its own' => sub { hear($_[0]) },
    'after frames of unknown keys' => sub { hear(of_key($_)) foreach 10 .. 80 });
my %of_state;
foreach my $state (sort keys %before)
{
    my %verdicts;
    foreach my $what (sort keys %wrong)
    {
        $before{$state}->($wrong{$what});
        sql('DELETE FROM mulberry_internal.key_guard');
        $verdicts{ measure("$what $state", $what eq 'a wrong tag' ? forge($genuine, 0) : $wrong{$what}) }++;
    }
    is_deeply(\%verdicts, { forgery => 4 }, "$state: whatever is wrong, it is a forgery");
    $of_state{$state} = $work{"a wrong tag $state"};
    is_deeply({ map { $_ => $work{"$_ $state"} } keys %wrong }, { map { $_ => $of_state{$state} } keys %wrong },
        "... judged with as many digests ($of_state{$state})");
}
my $knowing = $of_state{'after a genuine frame'};
is($of_state{$_}, $knowing, "$_: keys are at hand") foreach grep { /frame/ } sort keys %of_state;
cmp_ok($knowing, '>=', 4, '... and the HMAC of a tag and the digests of frame and message among them');
cmp_ok($of_state{$_}, '>=', $knowing + 8, "$_: ... the HMACs that derive the keys of two as well") foreach grep { !/frame/ } sort keys %of_state;

is(measure("place $_", forge($genuine, $_)), 'forgery', "a tag that differs in place $_ is a forgery") foreach 0, 1, 4, 8, 9;
is_deeply([ @work{ map { "place $_" } 0, 1, 4, 8, 9 } ], [ ($knowing) x 5 ], "... judged with as many digests wherever it differs");
is(measure('genuine', $genuine), 'accepted', 'the genuine one is accepted');
cmp_ok($work{genuine}, '>', $knowing, '... with the same, and those of the acknowledgement');
is(measure('duplicate', $genuine), 'duplicate', 'a duplicate');
is($work{duplicate}, $knowing - 3, '... is answered without a tag and its message');
is(measure('no frame', substr($genuine, 0, 31)), 'decode error', 'no frame');
is($work{'no frame'}, 0, '... costs none');
sql(q{DELETE FROM mulberry_internal.voice_keys WHERE role = 'receiver' AND key_id <> 7});

# Nor is it told by the work whether an account has an auth token here.
sql(q{SELECT mulberry_internal.make_voice_key(id, 'auth-token') FROM mulberry_internal.tenants WHERE name = 'default'});
my %check = map {
    my $before = digests();
    is(sql("SELECT mulberry_internal.check_twilio_signature((SELECT id FROM mulberry_internal.tenants WHERE name = 'default'), $_, 'https://x.invalid/', '{}', 'none')"),
        'f', "no signature by the secret $_");
    $_ => digests() - $before
} "'auth-token'", "'another-token'", 'NULL';
is_deeply([ values %check ], [ ($check{NULL}) x 3 ], '... is refused after as many digests');
cmp_ok($check{NULL}, '>', 0, '... of which the key file has one');

# ---- durable, whatever synchronous_commit says ----

is(sql('SHOW synchronous_commit'), 'off', 'commits are asynchronous');
my $revoke = frame('REVOKE', '12345678');
like(hear($revoke), qr/^accepted\|applied/, 'a revocation is accepted');
$node->stop('immediate');
{
    local $ENV{LD_PRELOAD} = "$tmp/count_digests.so";
    local $ENV{COUNT_DIGESTS_FILE} = "$tmp/digests";
    $node->start;
}
is(sql(q{SELECT status FROM mulberry_internal.mandates WHERE id = '12345678'}), 'REVOKED', 'after a crash it is still done');
like(hear($revoke), qr/^duplicate\|applied/, '... and remembered');
my $forgery = forge(frame('REVOKE', '87654321'), 3);
like(hear($forgery), qr/^forgery/, 'a forgery');
$node->stop('immediate');
{
    local $ENV{LD_PRELOAD} = "$tmp/count_digests.so";
    local $ENV{COUNT_DIGESTS_FILE} = "$tmp/digests";
    $node->start;
}
is(sql('SELECT cardinality(forgeries) FROM mulberry_internal.key_guard WHERE key_id = 7'), '1', '... counts after a crash as well');

# ---- what the log has ----

my $log = slurp_file($node->logfile);
like($log, qr/voice_key_entry/, 'the statements that entered keys are in the log');
unlike($log, qr/\Q$key\E/i, 'their keys are not');
unlike($log, qr/\Q@{[ substr($key, 0, 20) ]}\E/i, '... nor their beginnings');

# ---- failover ----

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "log_statement = none\n");
chmod 0600, $standby->data_dir . '/mulberry.key' or die;
$standby->start;
sql(q{INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate) SELECT tenant, agent, 'QUERY', id FROM mulberry_internal.mandates WHERE id = '11112222'});
sql("UPDATE mulberry_internal.voice_keys SET last_counter = $counter WHERE role = 'sender'");
is(sql('SELECT mulberry_internal.sign_command(max(id)) FROM mulberry_internal.commands'), 't', 'the primary signs');
$counter++;
is(sql(q{SELECT last_counter FROM mulberry_internal.voice_keys WHERE role = 'sender'}), $counter, '... with the next counter');
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
$node->stop('immediate');
$standby->promote;
sub there { return $standby->safe_psql('postgres', shift) }
is(there(q{SELECT mode FROM mulberry.voice_key_status WHERE role = 'receiver'}), 'challenge', 'a promoted edge asks');
is(there('SELECT mulberry_internal.sign_command(max(id)) FROM mulberry_internal.commands'), 't', 'a promoted sender signs');
is(there(q{SELECT last_counter FROM mulberry_internal.voice_keys WHERE role = 'sender'}), $counter + 1001, '... 1,000 further on');
is(there('SELECT mulberry_internal.sign_command(max(id)) FROM mulberry_internal.commands'), 't', '... and again');
is(there(q{SELECT last_counter FROM mulberry_internal.voice_keys WHERE role = 'sender'}), $counter + 1003, '... two further, as the counter between belongs to the answer to a challenge');
my $frame = there('SELECT frame FROM mulberry_internal.commands ORDER BY id DESC LIMIT 1');
my ($status, $challenge) = split /\|/, there("SELECT status, challenge FROM mulberry.handle_command_symbols('$frame', path => 'sync')");
is($status, 'challenge wanted', 'the edge asks for a genuine command as well');
there(qq{SELECT mulberry_internal.sign_command(max(id), '@{[ substr($challenge, 0, 6) ]}') FROM mulberry_internal.commands});
$frame = there('SELECT frame FROM mulberry_internal.commands ORDER BY id DESC LIMIT 1');
is(there("SELECT status FROM mulberry.handle_command_symbols('$frame', path => 'sync')"), 'applied', '... whose answer is applied');
is(there(q{SELECT mode FROM mulberry.voice_key_status WHERE role = 'receiver'}), 'normal', '... and from then on it asks no more');
my ($verdict) = split /\|/, there("SELECT verdict FROM mulberry.handle_command_symbols('$revoke')");
is($verdict, 'duplicate', 'what the primary accepted is known');
$standby->stop;
done_testing();
