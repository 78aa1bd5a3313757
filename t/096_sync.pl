# The online path between two clusters, cloud and edge, by SQL alone: revoke, frame, applied, acknowledgement,
# confirmed; messages that are lost, late or come twice, in both directions; either side killed in between; answers that
# somebody has changed; extensions, which must not be applied twice; challenges.  What carries the messages is this test.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cloud = mulberry_cluster('cloud', preload => 0);
my $edge = mulberry_cluster('edge', preload => 0);

sub cloud { return $cloud->safe_psql('postgres', shift) }
sub edge { return $edge->safe_psql('postgres', shift) }

# ---- an agent without telephone, known to both ----

sub new_agent
{
    my ($name, $challenges) = @_;
    cloud("SELECT mulberry.create_agent('$name')");
    my $key = cloud("SELECT mulberry.create_voice_key('$name', challenge_extend => $challenges)");
    my $line = cloud("CALL mulberry.export_voice_key('$name', $key)");
    $edge->psql('postgres', "COPY mulberry.voice_key_entry (agent, key) FROM stdin;\n$name\t$line\n\\.\n", on_error_die => 1);
    return;
}
new_agent('pi', 'false');
cloud(<<'SQL');
SELECT mulberry.create_mandate(lpad(n::text, 8, '0'), 'pi', 'sponsor_' || n, 100 * n, 'USD', now() + interval '30 days')
  FROM generate_series(1, 6) AS n
SQL

# ---- messages ----

# The answer of the cloud to what the edge says.
my %said = (acks => '[]', since => 0);
sub ask
{
    return cloud("SELECT mulberry.agent_sync('pi', \$j\$$said{acks}\$j\$, $said{since})");
}

# The edge takes an answer; what it says from then on.
sub take
{
    my ($answer, $expect_problem) = @_;
    my $result = edge("SELECT r->'acks', r->'since', r->'problems' FROM mulberry.apply_agent_sync(\$j\$$answer\$j\$) AS r");
    my ($acks, $since, $problems) = split /\|/, $result, 3;
    %said = (acks => $acks, since => $since);
    return $problems;
}
sub rounds { my $n = shift; take(ask()) for 1 .. $n; return }

sub edge_state { return edge("SELECT status FROM mulberry.mandate_status WHERE mandate_id = '$_[0]'") }
sub command { return cloud("SELECT command_id FROM mulberry.command_status WHERE command = '$_[0]' AND mandate_id = '$_[1]' ORDER BY 1 DESC LIMIT 1") }
sub state_of { return cloud("SELECT state FROM mulberry.command_status WHERE command_id = $_[0]") }
sub registry
{
    my ($server) = @_;
    # to the second, because an extension counts from the moment in which it is applied
    return $server->safe_psql('postgres', q{SELECT mandate_id, sponsor, status, max_amount, currency, date_trunc('minute', expires_at + interval '30 seconds') FROM mulberry.mandate_status ORDER BY 1});
}

# ---- the first sync, and a revocation ----

rounds(1);
is(registry($edge), registry($cloud), 'the first answer brings the registry');
like(cloud("SELECT mulberry.revoke_mandate('00000001', 'stolen', 'sponsor_1')"), qr/"method": "api".*"status": "pending"/, 'an agent that is online is told online');
is(edge_state('00000001'), 'ACTIVE', '... not before it asks');
my $revoke = command('REVOKE', '00000001');
take(ask());
is(edge_state('00000001'), 'REVOKED', 'the frame is applied');
is(state_of($revoke), 'outstanding', '... which the cloud does not know');
ask();
is(state_of($revoke), 'confirmed', '... before the acknowledgement');
like(cloud("SELECT answer FROM mulberry.command_status WHERE command_id = $revoke"),
    qr/"method": "api".*"status": "success".*"confirmed": true.*"mandate_status": "REVOKED"/, 'with what it says');
edge(q{DO $$ BEGIN IF (mulberry.check_mandate('00000001', 1)).allowed THEN RAISE 'still allowed'; END IF; END $$});

# ---- lost and repeated messages ----

rounds(1);
cloud("SELECT mulberry.suspend_mandate('00000002')");
my $suspend = command('SUSPEND', '00000002');
my $lost = ask();
my $again = ask();
my ($frame) = $lost =~ /"frame": "([*0-9#]+)"/;
like($again, qr/\Q$frame\E/, 'an answer that was lost is given again, with the same frame');
take($again);
my %first = %said;
take($again);
is($said{acks}, $first{acks}, 'an answer that comes twice is acknowledged in the same way');
is(edge(q{SELECT count(*) FROM mulberry.mandate_history WHERE mandate_id = '00000002' AND status = 'SUSPENDED'}), '1', '... and applied once');
my $settled = ask();
is(state_of($suspend), 'confirmed', 'the acknowledgement settles the command');
ask() for 1 .. 2;
is(cloud("SELECT count(*) FROM mulberry_internal.audit WHERE command = $suspend AND outcome = 'confirmed'"), '1', '... once, however often it comes');
take($settled);
cloud("SELECT mulberry.resume_mandate('00000002')");
rounds(3);
is(edge_state('00000002'), 'ACTIVE', 'the mandate is resumed');
take($again);
is(edge_state('00000002'), 'ACTIVE', 'an old answer that comes late does not suspend it again');
ask();
is(state_of($suspend), 'confirmed', '... and what the edge says to it changes nothing');
rounds(1);

# ---- either side is killed in between ----

cloud("SELECT mulberry.revoke_mandate('00000003')");
my $answer = ask();
$cloud->stop('immediate');
take($answer);
$edge->stop('immediate');
$edge->start;
is(edge_state('00000003'), 'REVOKED', 'what the edge has acknowledged survives its end');
$cloud->start;
is(state_of(command('REVOKE', '00000003')), 'outstanding', 'the cloud still waits after its own');
my %before = %said;
take($answer);
is($said{acks}, $before{acks}, 'the edge remembers what it has answered');
ask();
is(state_of(command('REVOKE', '00000003')), 'confirmed', '... and that settles the command');
cloud("SELECT mulberry.suspend_mandate('00000004')");
$answer = ask();
$cloud->stop('immediate');
$cloud->start;
is((ask() =~ /"frame": "([*0-9#]+)"/)[0], ($answer =~ /"frame": "([*0-9#]+)"/)[0], 'a frame that has left is on disk');
rounds(2);
is(state_of(command('SUSPEND', '00000004')), 'confirmed', '... and is answered');

# ---- answers that somebody has changed ----

cloud("SELECT mulberry.resume_mandate('00000004')");
$answer = ask();
my $changed = $answer =~ s/ACTIVE/SUSPENDED/r;
isnt($changed, $answer, 'an answer is changed');
my $problems = take($changed =~ s/"commands": \[.*?\]/"commands": []/r);
like($problems, qr/code over the updates is wrong/, '... and found out');
is(edge_state('00000004'), 'SUSPENDED', '... without effect');
my $forged = $answer;
# another command under the tag of this one: the check digits fit, the tag does not
my ($genuine) = $answer =~ /"frame": "([*0-9#]+)"/;
my $digits = substr($genuine, 1, 28);
substr($digits, 2, 2) = '01';
my $check = 0;
$check = ($check * 10 + $_) % 97 foreach split //, "${digits}00";
my $revocation = sprintf '*%s%02d#', $digits, 98 - $check;
$forged =~ s/\Q$genuine\E/$revocation/;
take($forged);
is(edge_state('00000004'), 'ACTIVE', 'a forged frame revokes nothing: the registry is taken as it is');
is(edge(q{SELECT count(*) FROM mulberry_internal.audit WHERE outcome = 'forgery' AND action = 'VOICE_FRAME'}), '1', '... and is written down');
rounds(2);
is(state_of(command('RESUME', '00000004')), 'confirmed', 'the genuine one is answered');

# ---- an extension comes once ----

my $days = q{SELECT round(extract(epoch FROM expires_at - now()) / 86400) FROM mulberry.mandate_status WHERE mandate_id = '00000005'};
cloud("SELECT mulberry.extend_mandate('00000005', 10)");
cloud("SELECT mulberry.alter_mandate('00000005', max_amount => 700)");
is(cloud($days), '40', 'ten days more in the registry');
take(ask());
is(edge($days), '40', '... and on the edge, by the command');
is(edge(q{SELECT max_amount FROM mulberry.mandate_status WHERE mandate_id = '00000005'}), '500.0000', '... while the mandate waits');
rounds(3);
is(edge($days), '40', '... and is told with the same expiry afterwards');
is(registry($edge), registry($cloud), 'both know the same');

# ---- a challenge, answered online ----

cloud("SELECT mulberry.disable_voice_key('pi', 1)");
my $key = cloud("SELECT mulberry.create_voice_key('pi', challenge_extend => true)");
my $line = cloud("CALL mulberry.export_voice_key('pi', $key)");
$edge->psql('postgres', "COPY mulberry.voice_key_entry (agent, key) FROM stdin;\npi\t$line\n\\.\n", on_error_die => 1);
cloud("SELECT mulberry.extend_mandate('00000005', 5)");
my $extend = command('EXTEND', '00000005');
take(ask());
like($said{acks}, qr/"challenge": "\d{8}"/, 'the edge wants a challenge answered');
is(edge($days), '40', '... and extends nothing before');
rounds(1);
is(cloud("SELECT signatures FROM mulberry.command_status WHERE command_id = $extend"), '2', 'the command is signed with its digits');
is(edge($days), '45', '... which the edge takes');
ask();
is(state_of($extend), 'confirmed', '... and says so');
rounds(2);

# ---- a bad line: of each pair of messages either may be lost or come twice ----

srand($ENV{SYNC_SEED} // 96);
my %wanted;
my @commands = (
    "suspend_mandate('00000002')", "extend_mandate('00000006', 3)", "resume_mandate('00000002')", "query_mandate('00000002')",
    "extend_mandate('00000006', 4)", "suspend_mandate('00000006')", "ping_agent('pi')", "revoke_mandate('00000004')",
    "resume_mandate('00000006')", "suspend_mandate('00000005')", "query_mandate('00000005')", "revoke_mandate('00000005')");
my @answers;
my $turns = 0;
while ($turns++ < 400)
{
    cloud('SELECT mulberry.' . shift @commands) if @commands && $turns % 3 == 0;
    my $new = ask();
    push @answers, $new if rand() < 0.6;
    # some come late, and some twice
    next if !@answers || rand() < 0.3;
    my $old = $answers[ rand() < 0.7 ? -1 : int(rand(@answers)) ];
    my %kept = %said;
    take($old);
    %said = %kept if rand() < 0.3;
    last if !@commands && cloud(q{SELECT count(*) FROM mulberry.command_status WHERE state IN ('waiting', 'outstanding')}) eq '0';
}
rounds(3);
is(cloud(q{SELECT string_agg(format('%s %s: %s, %s', command, mandate_id, state, error), E'\n') FROM mulberry.command_status
            WHERE state <> 'confirmed' AND NOT (state = 'cancelled' AND error = 'the mandate was revoked meanwhile')}), '',
    "over a bad line every command is confirmed, unless a revocation has made it pointless, after $turns turns");
is(registry($edge), registry($cloud), '... and both know the same');
is(cloud(q{SELECT count(*) FROM mulberry_internal.audit WHERE action = 'ACKNOWLEDGEMENT_REJECTED'}), '0', 'no acknowledgement was taken for a forgery');
is(cloud(q{SELECT count(*) = count(DISTINCT command) FROM mulberry_internal.audit WHERE outcome = 'confirmed'}), 't', 'no command was confirmed twice');

# ---- what is refused is written down, although its transaction writes nothing ----

my ($out, $err) = ('', '');
$cloud->psql('postgres', q{SELECT mulberry.resume_mandate('00000001')}, stderr => \$err);
like($err, qr/mandate "00000001" is revoked/, 'a revoked mandate is not resumed');
like(slurp_file($cloud->logfile), qr/LOG:  refused RESUME_REFUSED by role ".*": mandate "00000001" is revoked/, '... which the server log has without a notifier');
$cloud->append_conf('postgresql.conf', "shared_preload_libraries = 'mulberry'\nmulberry.databases = 'postgres'\n");
$cloud->restart;
wait_for_workers($cloud);
$cloud->psql('postgres', qq{BEGIN; SELECT mulberry.$_; ROLLBACK}) foreach "resume_mandate('00000001')", "revoke_mandate('99999999')", "ping_agent('pi', force_voice => true)";
ok($cloud->poll_query_until('postgres', q{SELECT count(*) = 3 FROM mulberry_internal.audit WHERE outcome = 'refused' AND seq IS NOT NULL}), 'with a notifier the audit log has it');
is(cloud(q{SELECT action, mandate, agent IS NOT NULL, role = session_user, evidence->>'error', evidence->>'message' FROM mulberry_internal.audit WHERE outcome = 'refused' ORDER BY id}), <<'ROWS' =~ s/\n$//r, '... with who asked for what');
RESUME_REFUSED|00000001|t|t|E004|mandate "00000001" is revoked
REVOKE_REFUSED|99999999|f|t|E003|mandate "99999999" does not exist
PING_REFUSED||t|t||agent "pi" cannot be reached: it has no telephone number
ROWS
# more at once than there is room for: none of the errors is another one, and what was taken is stored
$cloud->psql('postgres', join(";\n", ("SELECT mulberry.revoke_mandate('99999998')") x 200), on_error_stop => 0, stderr => \$err);
is(scalar(() = $err =~ /mandate "99999998" does not exist/g), 200, 'two hundred refusals are errors');
ok($cloud->poll_query_until('postgres', q{SELECT count(*) >= 64 FROM mulberry_internal.audit WHERE mandate = '99999998'}), '... and stored, as many as there is room for');

$edge->stop;
$cloud->stop;
done_testing();
