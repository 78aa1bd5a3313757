# Two clusters with a telephone line between them: the cloud, which has the mandates and
# phones, and the edge, which hears and answers; with agents, keys and a stand-in for
# Twilio.  The subjects of the tests do not belong here.
package Mulberry::VoicePair;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

use Mulberry::Cluster;
use Mulberry::Twilio;

use constant ACCOUNT => 'AC0123456789abcdef0123456789abcdef';
use constant TOKEN => 'fedcba98765432100123456789abcdef';

# Agents "agent-1" … with the numbers +155500001 …, each with a key; on the edge, agent N is the tenant
# "edge-N" (one key id may serve several of them there).
#	agents	how many (default 1)
#	conf	more lines for postgresql.conf of the cloud
#	challenge_extend	policy of the keys
#	line	what Mulberry::Twilio is told of lines in real time
sub new
{
    my ($class, $name, %option) = @_;
    my $tmp = PostgreSQL::Test::Utils::tempdir();
    my $self = bless { agents => $option{agents} // 1, mandates => 0 }, $class;
    $self->{cloud} = mulberry_cluster("${name}_cloud", conf => "mulberry.command_retry_delay = 200\nmulberry.maintenance_interval = 1d\n" . ($option{conf} // ''));
    $self->{edge} = mulberry_cluster("${name}_edge", preload => 0);
    $self->cloud(<<"SQL");
CREATE ROLE gate LOGIN;
SELECT mulberry.grant_access('gate', 'gateway', NULL);
COPY mulberry.secret_entry (name, value) FROM stdin;
twilio	@{[ TOKEN ]}
\\.
-- nobody is to listen to recordings unless a test says so
SELECT mulberry.set_endpoint('mulberry-speech', 'openai', 'http://127.0.0.1:8771/v1', allow_http => true, allow_private => true,
                             enabled => false, tenant => NULL);
SQL
    my $challenge = $option{challenge_extend} ? 'true' : 'false';
    $self->cloud("SELECT mulberry.create_agent('agent-' || n, '+1555' || lpad(n::text, 5, '0')), mulberry.create_voice_key('agent-' || n, challenge_extend => $challenge) FROM generate_series(1, $self->{agents}) AS n");
    my $entry = '';
    for my $n (1 .. $self->{agents})
    {
        my $key_id = $self->cloud("SELECT key_id FROM mulberry_internal.voice_keys k JOIN mulberry_internal.agents a ON a.id = k.agent WHERE a.name = 'agent-$n'");
        my $line = $self->cloud("CALL mulberry.export_voice_key('agent-$n', $key_id)");
        $entry .= "edge-$n\tagent-$n\t$line\n";
    }
    $self->edge("SELECT mulberry.create_tenant('edge-' || n) FROM generate_series(1, $self->{agents}) AS n");
    $self->edge("COPY mulberry.voice_key_entry (tenant, agent, key) FROM stdin;\n$entry\\.\n");
    $self->edge("CREATE ROLE ears LOGIN; SELECT mulberry.grant_access('ears', 'gateway', NULL)");

    my $edge = $self->{edge}->connstr('postgres') . ' user=ears';
    $self->{twilio} = Mulberry::Twilio->new(
        log => "$tmp/$name-twilio.log", account => ACCOUNT, token => TOKEN,
        cloud => $self->{cloud}->connstr('postgres') . ' user=gate', line => $option{line},
        edge => sub { my ($to) = @_; return $to =~ /^\+1555(\d{5})$/ ? ($edge, 'edge-' . ($1 + 0)) : () });
    return $self;
}

sub cloud { my ($self, $sql) = @_; return $self->{cloud}->safe_psql('postgres', $sql) }
sub edge { my ($self, $sql) = @_; return $self->{edge}->safe_psql('postgres', $sql) }

# Makes Twilio behave in some way; webhooks or not; more options in JSON.
sub telephony
{
    my ($self, $behaviour, %option) = @_;
    my %options = (account_sid => ACCOUNT, from => '+15005550006', poll_interval => 0.2,
        ($option{webhooks} // 1) ? (public_url => 'https://hooks.example') : (), %{ $option{options} // {} });
    my $json = JSON::PP->new->canonical->encode(\%options);
    my $url = $self->{twilio}->url($behaviour);
    # who does not hang may take its time on a busy machine
    my $timeout = $option{timeout} // '30 s';
    $self->cloud("SELECT mulberry.set_endpoint('twilio', 'twilio', '$url', 'telephony', secret => 'twilio', options => '$json', timeout => '$timeout', allow_http => true, allow_private => true)");
    return;
}

# A new mandate of an agent, in the cloud and on its edge; its id.
sub mandate
{
    my ($self, $agent) = @_;
    $agent //= 1;
    my $id = sprintf '%08d', 10_000_000 + ++$self->{mandates};
    my $rest = "'agent-$agent', 'sponsor', 100, 'EUR', now() + interval '1 day'";
    $self->cloud("SELECT mulberry.create_mandate('$id', $rest)");
    $self->edge("SELECT mulberry.create_mandate('$id', $rest, 'edge-$agent')");
    return $id;
}

# Revokes it by telephone; the command's id.
sub revoke
{
    my ($self, $mandate) = @_;
    return $self->cloud("SELECT mulberry.revoke_mandate('$mandate', 'test', 'tester', force_voice => true)->>'command_id'");
}

# Waits until a query gives the wanted text; false when that takes longer than said, or too long.
sub wait_for
{
    my ($self, $query, $wanted, $seconds) = @_;
    my ($found, $got) = ask_until($self->{cloud}, 'postgres', $query, $wanted, $seconds);
    Test::More::diag('got "' . ($got // '') . "\" instead of \"$wanted\" from: $query") if !$found;
    return $found;
}

sub state { my ($self, $command, $wanted, $seconds) = @_; return $self->wait_for("SELECT state FROM mulberry_internal.commands WHERE id = $command", $wanted, $seconds) }

# What is known of a command's calls, for diag().
sub story
{
    my ($self, $command) = @_;
    return $self->cloud("SELECT state, attempts, signatures, error FROM mulberry_internal.commands WHERE id = $command") . "\n"
        . $self->cloud("SELECT id, purpose, attempt, state, request, sid, placings, looks, failures, outcome, detail, requested_at, ended_at, finished_at FROM mulberry_internal.voice_calls WHERE command = $command ORDER BY id") . "\n"
        . $self->cloud("SELECT id, kind, state, run_at - now(), attempts, last_error FROM mulberry_internal.job_queue WHERE kind IN ('call', 'listen', 'escalate') LIMIT 5");
}

# Calls that were placed to an agent.
sub placed
{
    my ($self, $agent) = @_;
    my $to = sprintf '+1555%05d', $agent // 1;
    return grep { $_->{to} eq $to && $_->{status} eq 'queued' } $self->{twilio}->entries('call');
}

sub stop
{
    my ($self) = @_;
    $self->{twilio}->stop;
    $self->{$_}->stop for qw(cloud edge);
    return;
}

1;
