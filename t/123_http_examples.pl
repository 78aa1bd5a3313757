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
my %example = $page =~ /^```(\w+)\n(.*?)^```$/msg;
is_deeply([ sort keys %example ], [qw(js python sh)], 'there is an example for curl, Python and Node');

my $dir = PostgreSQL::Test::Utils::tempdir();
my $ai = Mulberry::StandIn->new;
$ai->say('hello', '{"transcription": "hello world"}');
my $node = mulberry_cluster('http_examples', conf => "mulberry.grace_period = '100ms'");
$node->safe_psql('postgres', sprintf q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL);
    SELECT mulberry.set_endpoint('ai', 'json', '%s', allow_http => true, allow_private => true)}, $ai->url('say-hello'));
my $gateway = start_gateway($node);

# ---- every route is in the table ----

my $description = ask($gateway, 'GET', '/openapi.json')->{json};
my ($table) = $page =~ /^(\| route .*?)\n\n/ms;
foreach my $path (sort grep { !m{^/twilio/|^/v1/(?:agents|mandates|commands)} } keys %{ $description->{paths} })
{
    my ($stem, $suffix) = $path =~ m{^(.*)(\.(?:srt|vtt|json))$} && $path =~ /transcript/ ? ($1 . '.txt', $2) : ($path, '');
    like($table, qr/\Q$stem\E.*\Q$suffix\E/, "the table has $path");
}

# ---- the examples ----

local %ENV = (%ENV, URL => "http://127.0.0.1:$gateway->{port}", HOME => $dir, map { (uc($_) => $node->safe_psql('postgres', "SELECT mulberry.create_token('$_', '$_')")) } qw(ingest supervisor admin));
my ($python) = grep { system("$_ -c 'import websockets' 2>/dev/null") == 0 } qw(python3 /usr/bin/python3);
ok($python, 'Python has websockets') or die 'install python3-websockets';
mkdir "$dir/$_" foreach keys %example;
append_to_file("$dir/$_/example", $example{$_}) foreach keys %example;
# A machine may reach Debian's packages and no registry of npm.
my $registry = system("npm view --fetch-retries=1 ws version >$dir/npm.log 2>&1") == 0 && system("cd $dir/js && npm install --silent --no-fund --no-audit ws >npm.log 2>&1") == 0;
my %command = (sh => 'bash example', python => "$python example", js => 'node example');
my %told = (
    sh => qr/"begun":true.*"status":"accepted","message":"Packet received successfully".*hello world.*"results":\[\{.*erased/s,
    python => qr/ai_completed\nARCHIVED\n.*hello world.*\['python-2'\]\n\['python-1'\].*\*\*hello\*\* \*\*world\*\*/s,
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
