# Databases whose languages have letters of their own: an i that is no I in Turkish must not change what a status, an
# action of the audit log or a confirmation is.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;

my $node = mulberry_cluster('locales', preload => 0, conf => "fsync = off\n");
if ($node->safe_psql('postgres', q{SELECT count(*) FROM pg_collation WHERE collprovider = 'i'}) == 0)
{
    $node->stop;
    plan skip_all => 'this server knows no ICU';
}
$node->safe_psql('postgres', q{CREATE DATABASE turkish LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C' ENCODING 'UTF8' TEMPLATE template0});
sub sql { return $node->safe_psql('turkish', shift) }

is(sql(q{SELECT lower('I') = 'i'}), 'f', 'a database in Turkish');
sql('CREATE EXTENSION mulberry CASCADE');

# A call, a command and its audit row, and what a person says on the telephone.
is( sql(q{SELECT (mulberry.ingest_packet('arama', 0, 'I AM FINE, THIS IS BRILLIANT', encoding => 'text')).status}), 'accepted', 'a packet');
is(sql(q{SELECT status FROM mulberry.complete_call('arama', 1)}), 'accepted', '... and its call');
$node->safe_psql('turkish', 'SET mulberry.grace_period = 0; CALL mulberry.run_jobs()');
is(sql(q{SELECT state || ' ' || sentiment FROM mulberry.call_status}), 'ARCHIVED positive', '... are judged in English');
is(sql(q{SELECT mulberry.call_transcript('arama')}), 'I AM FINE, THIS IS BRILLIANT', '... and kept as they were');

is(sql(q{SELECT mulberry_internal.command_action('REVOKE', 'initiated')}), 'REVOKE_INITIATED', 'an action of the audit log');
is(sql(q{SELECT bool_or(mulberry_internal.confirms('REVOKE', s)) FROM unnest('{MANDATE REVOKED FAILED,mandate revoked: INVALID}'::text[]) s}), 'f', 'a refusal is none in capitals either');
is(sql(q{SELECT mulberry_internal.confirms('REVOKE', 'MANDATE 1 2 3 REVOKED')}), 't', '... and a confirmation is one');
sql(<<'SQL');
SELECT mulberry.create_agent('pi');
SELECT mulberry.create_mandate('12345678', 'pi', 'sponsor', 100, 'EUR', now() + interval '1 day');
SELECT mulberry.revoke_mandate('12345678', 'reason', 'lea');
SQL
is(sql(q{SELECT mulberry.revoke_mandate('12345678', 'reason', 'lea')->>'status'}), 'already_revoked', 'what was done already');
is(sql(q{SELECT count(*) FROM mulberry.audit_log WHERE action !~ '^[A-Z_]+$' COLLATE "C"}), '0', 'every action is of plain letters');
is(sql('SELECT bool_and(problem IS NULL) FROM mulberry.verify_audit()'), 't', 'the audit log is linked');
sql('CREATE ROLE irmak; SELECT mulberry.grant_access($$irmak$$, $$supervisor$$)');
is(sql(q{SET ROLE irmak; SELECT call_id FROM mulberry.call_status}), 'arama', 'a role whose name begins with an i');

$node->stop;
done_testing();
