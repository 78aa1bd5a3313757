# No setting that a session, a role or a database may have changes what the
# functions do: the same calls have the same results under each value of each of them,
# made with the extension under the odd value as well.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('settings', preload => 0, conf => "max_prepared_transactions = 5\n");

# Calls of every subject whose results depend on no clock and no sequence.  What they give is
# kept, and shown under settings that say how values are shown.
my $scenario = <<'SQL';
\set VERBOSITY terse
CREATE TEMP TABLE told (n serial, result text);
CREATE FUNCTION pg_temp.try(statement text) RETURNS void LANGUAGE plpgsql AS $try$
DECLARE
    answer text;
BEGIN
    EXECUTE 'SELECT string_agg(r::jsonb::text, chr(10)) FROM (SELECT to_jsonb(x) FROM (' || statement || ') x) y (r)' INTO answer;
    INSERT INTO told (result) VALUES (statement || ': ' || coalesce(answer, 'nothing'));
EXCEPTION WHEN OTHERS THEN
    INSERT INTO told (result) VALUES (statement || ': ' || SQLSTATE || ' ' || SQLERRM);
END
$try$;
SELECT pg_temp.try(statement) FROM unnest(ARRAY[
    $$SELECT mulberry.create_tenant('odd', 'text') IS NOT NULL AS made$$,
    $$SELECT mulberry.create_tenant('Odd') IS NOT NULL AS made$$,
    $$SELECT mulberry.alter_tenant('odd', retention => interval '1 year 2 days')::text$$,
    $$SELECT retention = interval '1 year 2 days' AS kept FROM mulberry.tenant_access WHERE name = 'odd'$$,
    $$SELECT mulberry.grant_access(CURRENT_USER::regrole, 'supervisor', 'odd')::text$$,
    $$SELECT access, tenant FROM mulberry.memberships WHERE tenant = 'odd'$$,
    $$SELECT count(*) > 100 AS many FROM mulberry.access_objects()$$,
    $$SELECT status, missing_count, missing_sequences FROM mulberry.ingest_packet('c', 5, 'five', tenant => 'odd')$$,
    $$SELECT status, missing_count FROM mulberry.ingest_packets(ARRAY['c', 'c', NULL], ARRAY[0, 1, 2], ARRAY['zero', 'one', 'x']::bytea[], tenant => 'odd')$$,
    $$SELECT status, missing_count, expected_total_packets FROM mulberry.complete_call('c', 6, tenant => 'odd')$$,
    $$SELECT state, missing_count, missing_sequences FROM mulberry.call_status WHERE tenant = 'odd'$$,
    $$SELECT first, last FROM mulberry.call_gaps('c', 'odd') AS g (first, last)$$,
    $$SELECT count(*) FROM mulberry_internal.packet_partitions() WHERE day >= CURRENT_DATE - 1$$,
    $$SELECT item, status FROM mulberry.health() WHERE item IN ('partitions', 'retention', 'secrets', 'members', 'audit log')$$,
    $$SELECT mulberry.set_endpoint('t', 'twilio', purpose => 'telephony', secret => 'x', tenant => 'odd',
        options => '{"account_sid": "AC0123456789abcdef0123456789abcdef", "from": "+15005550006", "public_url": "https://h.example"}')::text$$,
    $$SELECT mulberry.set_endpoint('t', 'twilio', purpose => 'telephony', secret => 'x', tenant => 'odd',
        options => '{"account_sid": "AC0123456789abcdef0123456789abcdef", "from": "5005550006"}')::text$$,
    $$SELECT mulberry.create_agent('sales', '+15005550006', tenant => 'odd') IS NOT NULL AS made$$,
    $$SELECT mulberry.create_agent(' sales', tenant => 'odd') IS NOT NULL AS made$$,
    $$SELECT mulberry.create_voice_key('sales', 7, tenant => 'odd')::text IS NOT NULL AS made$$,
    $$SELECT mulberry.create_mandate('12345678', 'sales', 'sponsor', 100.10, 'USD', '2099-12-31 23:59:59+00', tenant => 'odd')::text IS NOT NULL AS made$$,
    $$SELECT allowed, remaining FROM mulberry.check_mandate('12345678', 99.99, 'odd')$$,
    $$SELECT accepted, duplicate FROM mulberry.spend('12345678', 0.1, 'one', 'odd')$$,
    $$SELECT status, max_amount, spent, currency FROM mulberry.mandate_status WHERE tenant = 'odd'$$,
    $$SELECT verdict, error FROM mulberry.handle_command_symbols('*010112345678000001286076762329#', tenant => 'odd')$$,
    $$SELECT * FROM mulberry.command_frame_parse('*010112345678000001286076762329#')$$,
    $$SELECT mulberry_internal.spaced('123')$$,
    $$SELECT mulberry_internal.confirms('REVOKE', 'The mandate is revoked.') AS yes, mulberry_internal.confirms('REVOKE', 'It is not revoked.') AS no$$,
    $$SELECT status FROM mulberry.handle_twilio_webhook('/twilio/ack?token=00000000-0000-0000-0000-000000000000&step=1', '{}', 'x')$$,
    $$SELECT md5(mulberry.dtmf_synthesize('15#', 'mulaw', 8000, 100, 100)) AS tones$$,
    $$SELECT mulberry.dtmf_decode(mulberry.dtmf_synthesize('15#', 'mulaw', 8000, 100, 100), 'mulaw', 8000) AS digits$$,
    $$SELECT (mulberry.audio_level(mulberry.dtmf_synthesize('1', 'mulaw', 8000, 100, 100), 'mulaw')).*$$,
    $$SELECT md5(mulberry.waveform_svg(mulberry.dtmf_synthesize('1', 'mulaw', 8000, 100, 100), 'mulaw', 8000)) AS picture$$,
    $$SELECT (mulberry.sentiment('This is a wonderful day, thank you')).*$$,
    $$SELECT count(*), sum(size) AS size FROM mulberry.secret_names WHERE tenant = 'odd'$$,
    $$SELECT action, outcome FROM mulberry_internal.audit a JOIN mulberry_internal.tenants t ON t.id = a.tenant WHERE t.name = 'odd' ORDER BY a.id$$,
    $$SELECT event, call_id FROM mulberry_internal.events e JOIN mulberry_internal.tenants t ON t.id = e.tenant WHERE t.name = 'odd' ORDER BY e.id$$]) AS statement;
SET client_encoding = 'UTF8';
\pset format unaligned
\pset tuples_only on
SELECT result FROM told ORDER BY n;
SQL

# In a transaction that is undone, so that each time begins alike.
sub told
{
    my ($database, $options) = @_;
    local $ENV{PGOPTIONS} = $options;
    my ($out, $err) = ('', '');
    $node->psql($database, "BEGIN;\n$scenario\nROLLBACK;\n", stdout => \$out, stderr => \$err, on_error_stop => 0);
    $err = join "\n", grep { !/escape_string_warning|nonstandard use of|HINT:.*(E'|escape)/ } split /\n/, $err;
    return "$out$err" =~ s/^\s+//r;
}

# The lines that differ are what one wants to see.
my %usual;
sub same
{
    my ($told, $name) = @_;
    is_deeply([ grep { !$usual{$_} } split /\n/, $told ], [], $name);
    return;
}

my $usual = told('postgres', '');
$usual{$_} = 1 foreach split /\n/, $usual;
like($usual, qr/create_agent\('sales'.*"made": true/, 'the calls work');
unlike($usual, qr/: (42883|42601|42703|XX000) /, '... all of them, or say what they mean');

# Every setting with a few values that a user or a superuser may change.  Left out is what
# is meant to change what statements do (read only, another isolation's errors, no triggers), harm on
# demand, what shows figures and messages to the client, and what plans are made of, whose results are the
# server's promise.
my @settings = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', q{
SELECT name, value
  FROM pg_settings s,
       unnest(CASE vartype WHEN 'bool' THEN ARRAY['on', 'off'] ELSE enumvals END
              || CASE name WHEN 'DateStyle' THEN ARRAY['German', 'SQL, DMY', 'Postgres, MDY']
                           WHEN 'TimeZone' THEN ARRAY['Asia/Kathmandu', 'America/St_Johns']
                           WHEN 'default_text_search_config' THEN ARRAY['pg_catalog.german']
                           WHEN 'lc_numeric' THEN ARRAY['C'] WHEN 'lc_messages' THEN ARRAY['C']
                           WHEN 'search_path' THEN ARRAY['', 'public', 'mulberry,public']
                           WHEN 'work_mem' THEN ARRAY['64'] WHEN 'statement_timeout' THEN ARRAY['600000'] ELSE '{}' END) AS value
 WHERE context IN ('user', 'superuser') AND value <> s.setting
   AND category !~ '^(Query Tuning|Reporting and Logging|Statistics|Developer Options)'
   AND name !~ '^(transaction_|default_transaction_(read_only|isolation)|session_replication_role|exit_on_error|synchronous_commit|'
               'zero_damaged|ignore_|backslash_quote|password_encryption|jit|event_triggers|allow_in_place|client_min_messages|extra_float_digits)'
   AND name NOT LIKE 'mulberry.%'
 ORDER BY name, value
});
cmp_ok(scalar(@settings), '>', 30, 'there are settings to try: ' . scalar(@settings) . ' values');
foreach my $case (@settings)
{
    my ($name, $value) = @$case;
    (my $escaped = $value) =~ s/([\\ ])/\\$1/g;
    same(told('postgres', "-c $name=$escaped"), "$name = $value");
}

# The extension is made under the odd values, and called without them.
my $odd = '-c standard_conforming_strings=off -c escape_string_warning=off -c quote_all_identifiers=on -c array_nulls=off '
  . '-c transform_null_equals=on -c check_function_bodies=off -c bytea_output=escape';
{
    local $ENV{PGOPTIONS} = $odd;
    $node->safe_psql('postgres', 'CREATE DATABASE made');
    $node->safe_psql('made', 'CREATE EXTENSION mulberry CASCADE');
}
same(told('made', ''), 'made under odd settings, it is the same');
same(told('made', $odd), '... and called under them as well');
is($node->safe_psql('made', q{SELECT obj_description('mulberry.secret_entry'::regclass) ~ '^where secrets enter: [\\\\]copy '}),
    't', 'so are its comments');

$node->stop;
done_testing();
