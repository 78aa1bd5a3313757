# The examples of docs/http.md, run as they stand there; and its table of routes, which has all that there are.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::StandIn;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$ENV{TESTDIR}/docs/http.md");
my %example;
$example{$1} .= $2 while $page =~ /^```(\w+)\n(.*?)^```$/msg;
is_deeply([ sort keys %example ], [qw(js python sh)], 'there is an example for curl, Python and Node');

my $dir = PostgreSQL::Test::Utils::tempdir();
my $ai = Mulberry::StandIn->new;
$ai->say('hello', '{"transcription": "hello world"}');
my $node = mulberry_cluster('http_examples', conf => "mulberry.grace_period = '100ms'\nmulberry.agent_online_time = '1h'");
$node->safe_psql('postgres', sprintf q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL);
    SELECT mulberry.create_agent('till-7'), mulberry.create_voice_key('till-7');
    SELECT mulberry.set_endpoint('ai', 'json', '%s', allow_http => true, allow_private => true)}, $ai->url('say-hello'));
$node->safe_psql('postgres', q{CALL mulberry.export_voice_key('till-7', 1)});
my $gateway = start_gateway($node);

# ---- every route is in the table ----

my $description = ask($gateway, 'GET', '/openapi.json')->{json};
my $tables = join "\n", $page =~ /^(\| route .*?)\n\n/msg;
foreach my $path (sort grep { !/transcript\.(?:srt|vtt|json)$/ } keys %{ $description->{paths} })
{
    # some stand in one row with what is before them: "/revoke" behind "`POST /v1/mandates/{mandate_id}/check`, "
    my ($stem, $last) = $path =~ m{^(.+)(/[a-z]+)$};
    ok($tables =~ /`(?:[A-Z]+ )?\Q$path\E[`?]/ || (defined $last && $tables =~ /`[A-Z]+ \Q$stem\E\/[a-z]+`[^|]*`\Q$last\E`/), "the table has $path");
}
like($tables, qr/transcript\.txt`, `\.srt`, `\.vtt`, `\.json`/, 'and the forms of transcripts');

# ---- the examples ----

local %ENV = (%ENV, URL => "http://127.0.0.1:$gateway->{port}", HOME => $dir, map { (uc($_) => $node->safe_psql('postgres', "SELECT mulberry.create_token('$_', '$_')")) } qw(ingest supervisor operator admin));
local $ENV{AGENT} = $node->safe_psql('postgres', q{SELECT mulberry.create_token('till-7', 'agent')});
my ($python) = grep { system("$_ -c 'import websockets' 2>/dev/null") == 0 } qw(python3 /usr/bin/python3);
ok($python, 'Python has websockets') or die 'install python3-websockets';
mkdir "$dir/$_" foreach keys %example;
append_to_file("$dir/$_/example", $example{$_}) foreach keys %example;
# A machine may reach Debian's packages and no registry of npm.
my $registry = system("npm view --fetch-retries=1 ws version >$dir/npm.log 2>&1") == 0 && system("cd $dir/js && npm install --silent --no-fund --no-audit ws >npm.log 2>&1") == 0;
my %command = (sh => 'bash example', python => "$python example", js => 'node example');
my %told = (
    sh => qr/"begun":true.*"status":"accepted","message":"Packet received successfully".*hello world.*"results":\[\{.*erased.*"accepted": true.*"allowed": false.*"status": "pending".*"frame": "\*/s,
    python => qr/ai_completed\nARCHIVED\n.*hello world.*\['python-2'\]\n\['python-1'\].*\*\*hello\*\* \*\*world\*\*.*'23456789'/s,
    js => qr/ai_completed\nARCHIVED\n.*hello world\n\d\ntrue\n/s);
my %files = (sh => [qw(shell-1.wav header.wav shell-1.svg shell-1.json)], python => ['python-1.wav'], js => ['node-1.wav']);
foreach my $language (qw(sh python js))
{
  SKIP:
    {
        skip 'no registry of npm answers', 2 + @{ $files{$language} } if $language eq 'js' && !$registry;
        my $status = system("cd $dir/$language && $command{$language} >out 2>err");
        is($status, 0, "the example in $language ends well") or diag(slurp_file("$dir/$language/err"));
        like(slurp_file("$dir/$language/out"), $told{$language}, 'and tells what it did');
        cmp_ok(-s "$dir/$language/$_", '>', 40, "it leaves $_") foreach @{ $files{$language} };
    }
}
is(-s "$dir/sh/header.wav", 44, 'a range is as long as it was asked for');
done_testing();
