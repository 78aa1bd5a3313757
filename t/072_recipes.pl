# The recipes of docs/calls.md, run as they stand there: each leaves a picture, a WAV and subtitles of a call, and all leave the same.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = mulberry_cluster('recipes');

# ---- the recipes ----

my ($section) = slurp_file("$ENV{TESTDIR}/docs/calls.md") =~ /^## Recipes\n(.*?)(?=^## |\z)/ms;
my %recipes = ($section // '') =~ /^```(\w+)\n(.*?)^```$/msg;
is_deeply([ sort keys %recipes ], [qw(js python sh)], 'there is a recipe for psql, Python and Node');
my ($python_package) = $section =~ /`apt install (\S+)`/;
my ($node_package) = $section =~ /`npm install (\S+)`/;

# ---- the call of the documentation ----

my $rate = 8000;
my @said = ([ 0, 'main', 440 ], [ 1.5, 'agent', 660 ]);
my @samples = map { my $hz = $_->[2]; [ map { int(8000 * sin(6.2832 * $hz * $_ / $rate)) } 0 .. 2 * $rate - 1 ] } @said;
my $data = pack('s<*', map { ($samples[0][$_], $samples[1][$_]) } 0 .. 2 * $rate - 1);
my $wav = unpack('H*', pack('A4 V A4 A4 V v v V V v v A4 V', 'RIFF', 36 + length($data), 'WAVE', 'fmt ', 16, 1, 2, $rate, $rate * 4, 4, 16, 'data',
        length($data)) . $data);
$node->safe_psql('postgres', <<"SQL");
CREATE ROLE lea LOGIN;
SELECT mulberry.grant_access('lea', 'supervisor');
SELECT mulberry.ingest_recording('c-17', '\\x$wav', '{caller,agent}', complete => true);
SELECT mulberry_internal.start_processing(c.id) FROM mulberry_internal.calls c;
SELECT mulberry_internal.put_segments(c.id, 0, 0, '[{"text": "one & two", "start_ms": 100, "end_ms": 900}]'),
       mulberry_internal.put_segments(c.id, 1, 0, '[{"text": "drei für Müller", "start_ms": 1100, "end_ms": 1900}]'),
       mulberry_internal.finish_call(c.id, 'one & two drei für Müller', NULL, NULL, NULL)
  FROM mulberry_internal.calls c;
SQL

# ---- each in a directory of its own, as a supervisor ----

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGUSER} = 'lea';
local $ENV{PGDATABASE} = 'postgres';
local $ENV{PGCLIENTENCODING} = 'UTF8';
local $ENV{HOME} = $dir;

# The Python that has the package: not every first one on the path is the system's.
my ($python) = grep { system("$_ -c 'import psycopg2' 2>/dev/null") == 0 } qw(python3 /usr/bin/python3);
ok($python, "Python has $python_package") or die "install $python_package";
mkdir "$dir/$_" for keys %recipes;
# A machine may reach Debian's packages and no registry of npm.
my $registry = system("npm view --fetch-retries=1 $node_package version >$dir/js/npm.log 2>&1") == 0;
SKIP:
{
    skip 'no registry of npm answers', 1 unless $registry;
    is(system("cd $dir/js && npm install --silent --no-fund --no-audit $node_package >npm.log 2>&1"), 0, "npm installs $node_package")
      or diag slurp_file("$dir/js/npm.log");
}
my %programs = (sh => 'sh -e', python => $python, js => 'node');
for my $language (grep { $_ ne 'js' || $registry } sort keys %programs)
{
    my $in = "$dir/$language";
    append_to_file("$in/recipe", $recipes{$language});
    is(system("cd $in && $programs{$language} recipe >log 2>&1"), 0, "$language: the recipe runs") or diag slurp_file("$in/log");
    my %files = map { $_ => -e "$in/c-17.$_" ? slurp_file("$in/c-17.$_") : '' } qw(svg wav srt);
    like($files{svg}, qr/^<svg .*>caller<.*one &amp; two.*>agent<.*M\xC3\xBCller.*<\/svg>\n/s, '... a picture of both tracks and their words, in UTF-8');
    is($node->safe_psql('postgres', "SELECT xml_is_well_formed_document(\$svg\$$files{svg}\$svg\$)"), 't', '... which is well-formed');
    my ($info, $error) = run_command([ 'soxi', "$in/c-17.wav" ]);
    like($info, qr/Channels\s*: 2\nSample Rate\s*: 8000\nPrecision\s*: 16-bit\nDuration\s*: 00:00:02.00 = 16000 samples/, '... a WAV of both') or diag $error;
    is(substr($files{wav}, 44), $data, '... with the audio that went in');
    (my $srt = $files{srt}) =~ s/\n+\z//;
    is($srt, "1\n00:00:00,100 --> 00:00:00,900\ncaller: one & two\n\n2\n00:00:01,100 --> 00:00:01,900\nagent: drei f\xC3\xBCr M\xC3\xBCller",
        '... and subtitles');
}

$node->stop;
done_testing();
