# A session that keeps a voice key unsealed forgets it when the key is disabled, replaced, destroyed or rolled back, by
# itself or by others, and when the key file is another one.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;

my $node = mulberry_cluster('key_cache', preload => 0, conf => "fsync = off\nlog_statement = none");
my $tmp = PostgreSQL::Test::Utils::tempdir();
my $key_file = $node->data_dir . '/mulberry.key';

sub sql { return $node->safe_psql('postgres', shift) }

# Makes a key that signs and hears in this database; returns a frame of it.
my $counter = 0;
sub new_key
{
    my ($key_id) = @_;
    sql("SELECT mulberry.create_voice_key('pi', $key_id)");
    append_to_file("$tmp/key$key_id", sql("CALL mulberry.export_voice_key('pi', $key_id)") . "\n");
    sql("\\copy mulberry.voice_key_entry (key) FROM '$tmp/key$key_id'");
    $counter++;
    return sql(qq{SELECT f.frame FROM mulberry_internal.voice_keys k,
        mulberry_internal.sign_frame(k.tenant, k.agent, k.key_id, 'QUERY', '12345678', 0, $counter, NULL) f WHERE k.role = 'sender' AND k.key_id = $key_id});
}
sql(q{SELECT mulberry.create_agent('pi'); SELECT mulberry.create_mandate('12345678', 'pi', 'sponsor', 100, 'EUR', '2999-01-01')});

my $session = open_session($node, on_error_stop => 0);
sub verdict
{
    my ($frame) = @_;
    my $verdict = $session->query(qq{SELECT verdict FROM mulberry_internal.voice_keys k, mulberry_internal.judge_frame(k.tenant, mulberry_internal.take_frame('$frame'),
        0, '{}', false, false, NULL, NULL, NULL, NULL, NULL, NULL) WHERE k.role = 'receiver' LIMIT 1});
    if ($session->{stderr} =~ /ERROR: +(.*)/) { $verdict = $1; $session->{stderr} = '' }
    return $verdict;
}
my $receiver = q{k.role = 'receiver' AND k.key_id};
my $disable = sub { return "UPDATE mulberry_internal.voice_keys k SET enabled = false, disabled_at = now() WHERE $receiver = $_[0]" };
my $destroy = sub { return "DELETE FROM mulberry_internal.secrets s USING mulberry_internal.voice_keys k WHERE s.tenant = k.tenant AND s.name = k.secret AND $receiver = $_[0]" };

my $frame = new_key(7);
is(verdict($frame), 'accepted', 'a frame is genuine') for 1 .. 2;

# The session's own changes, and their rollback.
$session->query_safe('BEGIN');
$session->query_safe($disable->(7));
is(verdict($frame), 'forgery', 'disabled by the same transaction');
$session->query_safe('ROLLBACK');
is(verdict($frame), 'accepted', '... which is rolled back');
$session->query_safe('BEGIN; SAVEPOINT a');
$session->query_safe($disable->(7));
is(verdict($frame), 'forgery', 'the same in a subtransaction');
$session->query_safe('ROLLBACK TO a');
is(verdict($frame), 'accepted', '... which is rolled back');
$session->query_safe('COMMIT');

# The file of the key that seals.
rename $key_file, "$key_file.away" or die;
like(verdict($frame), qr/^the key file for secrets is missing/, 'without its file no key is used');
rename "$key_file.away", $key_file or die;
is(verdict($frame), 'accepted', '... with it again');
chmod 0644, $key_file or die;
like(verdict($frame), qr/others may read/, 'a file that others may read is refused');
chmod 0600, $key_file or die;
is(verdict($frame), 'accepted', '... until it is closed to them');
sql('SELECT mulberry.rotate_secret_key()');
is(verdict($frame), 'accepted', 'sealed anew with another key');

# What others do. First all of them uncommitted.
my $other = open_session($node, on_error_stop => 0);
$other->query_safe('BEGIN');
$other->query_safe($disable->(7));
is(verdict($frame), 'accepted', 'another session has not committed yet');
$other->query_safe('COMMIT');
is(verdict($frame), 'forgery', '... and has');

my $second = new_key(8);
is(verdict($second), 'accepted', 'another key');
sql($destroy->(8));
like(verdict($second), qr/bytes of voice key .* are missing/, 'its bytes are destroyed');

# Triggers that replication would not fire.
my $third = new_key(9);
is(verdict($third), 'accepted', 'a third one');
sql('SET session_replication_role = replica; ' . $disable->(9));
is(verdict($third), 'forgery', 'is disabled as a subscription does it');

# As many keys as an edge may have.
my %frames = map { $_ => new_key($_) } 10 .. 90;
is(join(' ', map { verdict($frames{$_}) } sort keys %frames, 10 .. 12), join(' ', ('accepted') x 84), 'many keys');

# More agents, and more of their keys, than are kept: what is signed with each is the same the second time, and in another session.
sql(q{SELECT mulberry.create_agent('p' || a) FROM generate_series(1, 70) a});
sql(q{SELECT mulberry.create_voice_key('p' || a, k) FROM generate_series(1, 70) a, generate_series(1, 5) k});
my $signed = q{SELECT count(DISTINCT f.frame), md5(string_agg(f.frame, '' ORDER BY a.name, k.key_id))
    FROM mulberry_internal.agents a JOIN mulberry_internal.voice_keys k ON k.agent = a.id AND k.role = 'sender',
         mulberry_internal.sign_frame(k.tenant, k.agent, k.key_id, 'QUERY', '12345678', 0, 1, NULL) f WHERE a.name <> 'pi'};
my $first = $session->query_safe($signed);
like($first, qr/^350\|/, 'keys of many agents sign');
is($session->query_safe($signed), $first, '... the same again');
is(sql($signed), $first, '... and elsewhere');
is(verdict($frames{$_}), 'accepted', "... and key $_ hears") foreach 10, 90;

sql('TRUNCATE mulberry_internal.secrets');
like(verdict($frames{12}), qr/bytes of voice key .* are missing/, 'all bytes are gone at once');

$session->quit;
$other->quit;
$node->stop;
done_testing();
