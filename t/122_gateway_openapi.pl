# What a gateway says of itself: a description that a foreign validator accepts, that has every route and no other, and a page that
# needs nothing from elsewhere.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Digest::SHA qw(sha256_base64);
use JSON::PP;
use Mulberry::Gateway;
use PostgreSQL::Test::Utils;
use Test::More;

# without a database: none of it is asked
{

    package Nowhere;
    sub host { return '/nowhere' }
    sub port { return 5432 }
}
my $gateway = start_gateway(bless {}, 'Nowhere');
my $answer = ask($gateway, 'GET', '/openapi.json');
is("$answer->{status} $answer->{headers}{'content-type'}", '200 application/json', 'a description');
my $description = $answer->{json};
is($description->{openapi}, '3.1.0', 'in OpenAPI 3.1');

# ---- every route, and no other ----

my %described = map { my $path = $_; map { (uc($_) . " $path" => $description->{paths}{$path}{$_}) } keys %{ $description->{paths}{$path} } } keys %{ $description->{paths} };
my ($list) = slurp_file("$ENV{MULBERRY_PROGRAMS}/gateway/routes.c") =~ /gw_client_routes\[\] = \{(.*?)\n\};/s;
my %routes = map { ("$_->[0] $_->[1]" => 1) } map { [/"([^"]*)", "([^"]*)"/] } $list =~ /(\{ "[A-Z]+", "[^"]*")/g;
cmp_ok(scalar keys %routes, '>', 15, 'routes');
is_deeply([ sort keys %described ], [ sort keys %routes ], 'all of them are described, and no others');
my %seen;
foreach my $operation (sort keys %described)
{
    my ($method, $path) = split / /, $operation;
    my $about = $described{$operation};
    ok(!$seen{ $about->{operationId} }++ && length $about->{summary}, "$operation has a name of its own and a summary");
    my @in_path = map { $_->{name} } grep { $_->{in} eq 'path' } @{ $about->{parameters} // [] };
    is_deeply(\@in_path, [ $path =~ /\{(\w+)\}/g ], 'and says what stands in its path');
    my $asked = ask($gateway, $method, $path =~ s/\{\w+\}/x/gr, $method =~ /^P/ ? (body => {}) : ());
    ok(exists $about->{responses}{ $asked->{status} } || $path =~ m{/health$}, "its answer ($asked->{status}) is one that is described");
    is(exists $about->{security} ? 401 : 'open', $asked->{status} == 401 ? 401 : 'open', 'it asks for a token where it says so');
}
my @references = $answer->{content} =~ m{"\$ref":"#/components/schemas/(\w+)"}g;
is_deeply([ grep { !$description->{components}{schemas}{$_} } @references ], [], 'every schema that is named is there');
is_deeply([ grep { my $name = $_; !grep { $_ eq $name } @references } sort keys %{ $description->{components}{schemas} } ], [], 'and is named');

# ---- the page ----

my $page = ask($gateway, 'GET', '/docs');
is("$page->{status} $page->{headers}{'content-type'}", '200 text/html; charset=utf-8', 'a page');
unlike($page->{content}, qr/<script|<link|<img|\bsrc=|https?:|\@import|url\(|\bon\w+=/, 'that needs no script, and nothing from elsewhere');
my ($style) = $page->{content} =~ m{<style>(.*?)</style>}s;
is($page->{headers}{'content-security-policy'}, "default-src 'none'; style-src 'sha256-" . sha256_base64($style) . "='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", 'and may use nothing else');
like($page->{content}, qr{<h2><code>\Q$_\E</code>}, "it tells of $_") foreach sort keys %routes;

# ---- a foreign validator ----

SKIP:
{
    my $dir = PostgreSQL::Test::Utils::tempdir();
    my $package = '@seriousme/openapi-schema-validator@2.2.1';
    # A machine may reach Debian's packages and no registry of npm.
    skip 'no registry of npm answers', 2 if system("npm view --fetch-retries=1 $package version >$dir/npm.log 2>&1") != 0;
    skip 'npm does not install the validator', 2 if system("cd $dir && npm install --silent --no-fund --no-audit $package >npm.log 2>&1") != 0;
    append_to_file("$dir/openapi.json", $answer->{content});
    append_to_file("$dir/check.mjs", <<'JS');
import { Validator } from '@seriousme/openapi-schema-validator';
import { readFileSync } from 'fs';
const text = readFileSync(process.argv[2], 'utf8');
const result = await new Validator().validate(JSON.parse(text));
const broken = JSON.parse(text);
delete broken.info;
const refused = await new Validator().validate(broken);
console.log(JSON.stringify([result.valid, result.errors, refused.valid]));
JS
    my ($out, $err) = run_command([ 'node', "$dir/check.mjs", "$dir/openapi.json" ]);
    my $said = decode_json($out || '[false, "nothing"]');
    ok($said->[0], 'a foreign validator accepts it') or diag($out, $err);
    ok(!$said->[2], 'which does not accept everything');
}
done_testing();
