# Twilio's own library (npm twilio) against ours, over what chance brings: signatures of 10,000 requests, what it takes for genuine and what
# not, its middleware, and TwiML as its VoiceResponse writes it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $package = 'twilio@6';
# A machine may reach Debian's packages and no registry of npm.
plan skip_all => 'no registry of npm answers' if system("npm view --fetch-retries=1 $package version >$dir/npm.log 2>&1") != 0;
local $ENV{HOME} = $dir;
append_to_file("$dir/package.json", '{}');
is(system("cd $dir && npm install --silent --no-fund --no-audit $package >npm.log 2>&1"), 0, "npm installs $package")
  or die slurp_file("$dir/npm.log");
local $ENV{NODE_PATH} = "$dir/node_modules";

# What the library says; from a file of what it is asked.
sub library
{
    my ($mode, $n, $in) = @_;
    my $command = "node $FindBin::RealBin/lib/Mulberry/twilio.js $mode $n" . ($in ? " <$in" : '') . " >$dir/$mode";
    is(system($command), 0, "the library: $mode");
    chmod 0644, "$dir/$mode";
    return "$dir/$mode";
}

my $node = mulberry_cluster('twilio_library');
sub sql { return $node->safe_psql('postgres', @_) }
chmod 0755, $dir;

# Lines of JSON as rows of a table "x" with the column "c"; no character of JSON is a 1 or 2.
sub load
{
    my ($file) = @_;
    return "CREATE TEMP TABLE x (line bigint GENERATED ALWAYS AS IDENTITY, c jsonb); COPY x (c) FROM '$file' (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02');";
}

# ---- signatures ----

my $n = 10_000;
my $cases = library('cases', $n);
sql(q{SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', options => '{"account_sid": "AC11111111111111111111111111111111", "from": "+15005550006"}')});
sql("COPY mulberry.secret_entry FROM stdin;\ndefault\ttoken\t12345\n\\.\n");
my $signed = sql(load($cases) . <<'SQL');
\set ON_ERROR_STOP 1
-- whether ours is equal; whether we take what it signed, as parameters and as bytes, and refuse that with another token
SELECT 'signature', count(*), count(*) FILTER (WHERE mulberry.twilio_signature(c->>'url', c->'params', c->>'token') = c->>'signature') FROM x;
SELECT 'form', count(*), count(*) FILTER (WHERE mulberry.twilio_signature_valid(c->>'url', c->'params', c->>'signature', c->>'token')),
       count(*) FILTER (WHERE mulberry.twilio_signature_valid(c->>'url', c->'params', c->>'signature', (c->>'token') || 'x')) FROM x WHERE c ? 'form';
SELECT 'body', count(*), count(*) FILTER (WHERE mulberry.twilio_signature_valid(c->>'url', NULL, c->>'signature', c->>'token', convert_to(c->>'body', 'UTF8'))),
       count(*) FILTER (WHERE mulberry.twilio_signature_valid(c->>'url', NULL, c->>'signature', c->>'token', convert_to((c->>'body') || ' ', 'UTF8')))
  FROM x WHERE c ? 'body';
WITH bytes AS (
    SELECT *, CASE WHEN c ? 'form' THEN 'application/x-www-form-urlencoded' ELSE 'application/json' END AS type, convert_to(coalesce(c->>'form', c->>'body'), 'UTF8') AS body
      FROM x WHERE c->>'token' = '12345')
SELECT 'bytes', count(*), count(*) FILTER (WHERE mulberry_internal.check_twilio_body(t.id, 'token', c->>'url', type, body, c->>'signature')),
       count(*) FILTER (WHERE mulberry_internal.check_twilio_body(t.id, 'token', c->>'url', type, body, reverse(c->>'signature')))
  FROM bytes, mulberry_internal.tenants t WHERE t.name = 'default';
-- the parameters that came are those that were meant: a list of one is no list, one of none is nothing
SELECT 'parameters', count(*), count(*) FILTER (WHERE mulberry_internal.twilio_parameters('application/x-www-form-urlencoded', convert_to(c->>'form', 'UTF8'))
    = (SELECT coalesce(jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'array' AND jsonb_array_length(value) = 1 THEN value->0 ELSE value END), '{}')
         FROM jsonb_each(c->'params'))) FROM x WHERE c ? 'form';
-- the same requests seen otherwise, or changed on their way: the verdict is the library's
SELECT 'verdict', count(*), count(*) FILTER (WHERE ours = theirs), count(*) FILTER (WHERE theirs), count(*) FILTER (WHERE NOT theirs)
  FROM (SELECT (c->>'verdict')::boolean AS theirs,
               mulberry.twilio_signature_valid(c->'seen'->>'url', c->'seen'->'params', c->'seen'->>'signature', c->>'token', convert_to(c->'seen'->>'body', 'UTF8')) AS ours
          FROM x) AS v;
SELECT 'differs', c->'verdict', c->>'url', c->'seen' FROM x
 WHERE (c->>'verdict')::boolean IS DISTINCT FROM mulberry.twilio_signature_valid(c->'seen'->>'url', c->'seen'->'params', c->'seen'->>'signature', c->>'token',
           convert_to(c->'seen'->>'body', 'UTF8')) LIMIT 3;
SQL
my %counted = map { /^(\w+)\|(.*)/ ? ($1 => $2) : () } split /\n/, $signed;
is($counted{signature}, "$n|$n", 'each of 10,000 signatures is the library\'s');
my ($forms) = $counted{form} =~ /^(\d+)/;
is($counted{form}, "$forms|$forms|0", 'what it signs is genuine, and with no other token');
my $bodies = $n - $forms;
is($counted{body}, "$bodies|$bodies|0", 'bodies of JSON too, unless one byte is another');
my ($bytes) = $counted{bytes} =~ /^(\d+)/;
cmp_ok($bytes, '>', $n / 3, 'many by a token that is stored');
is($counted{bytes}, "$bytes|$bytes|0", 'are genuine as the bytes that come, and no other signature is');
is($counted{parameters}, "$forms|$forms", 'parameters are read as they were written');
my ($true, $false) = $counted{verdict} =~ /\|(\d+)\|(\d+)$/;
cmp_ok($_, '>', $n / 5, 'seen otherwise, many are genuine, and many are not') for $true, $false;
is($counted{verdict}, "$n|$n|$true|$false", 'and always the library says the same') or diag $counted{differs};

# ---- what we sign ----

sql(load($cases) . qq{COPY (SELECT jsonb_build_object('url', c->'url', 'params', c->'params', 'token', c->'token', 'body', c->'body',
    'signature', mulberry.twilio_signature(c->>'url', c->'params', (c->>'token') || CASE WHEN line % 100 = 0 THEN 'x' ELSE '' END)) FROM x ORDER BY line) TO '$dir/ours' (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')});
my @statuses = split /\n/, slurp_file(library('middleware', 0, "$dir/ours"));
is(scalar @statuses, $n, 'its middleware judged what we signed');
is(scalar(grep { $statuses[$_] ne (($_ + 1) % 100 ? 200 : 403) } 0 .. $#statuses), 0, 'and took it, but for what was signed with another token');

# ---- TwiML ----

my $documents = 1000;
my $theirs = library('twiml', $documents);
my @rows = split /\n/, sql(load($theirs) . q{SELECT jsonb_build_array(mulberry.twiml(c->'verbs'), c->>'xml') FROM x ORDER BY line});
is(scalar @rows, $documents, 'each list of verbs becomes a document');
append_to_file("$dir/rows", join "\n", @rows);
my $canonical = q{import json, sys, xml.etree.ElementTree as tree
for line in sys.stdin:
    ours, theirs = (tree.canonicalize(x) for x in json.loads(line))
    print("same" if ours == theirs else ours + "\t" + theirs)};
append_to_file("$dir/canonical.py", $canonical);
my @same = split /\n/, `/usr/bin/python3 $dir/canonical.py <$dir/rows`;
is(scalar @same, $documents, 'which is XML');
my @others = grep { $_ ne 'same' } @same;
is(scalar @others, 0, 'and canonically that of VoiceResponse') or diag join "\n", @others[ 0 .. ($#others < 3 ? $#others : 3) ];

$node->stop;
done_testing();
