# Nobody is lent what a superuser holds who only runs into his code: through SECURITY DEFINER functions of
# somebody, views, rules, triggers, constraints, policies, and where autovacuum and its like run users' code.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::WorkingCalls;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('callers', preload => 0, init => [ allows_streaming => 'logical' ], conf => 'autovacuum_naptime = 1s');
sub sql { return $node->safe_psql('postgres', shift) }

make_working_place($node);

# ---- all functions and views: through a stranger's function, and in a security-restricted operation ----

# They are about no tenant, or say nothing of one.
my %of_no_tenant = map { ("mulberry.$_" => 1) } qw(access_objects ack_frame_parse audio_convert audio_level audio_level_agg
    command_frame_parse command_generate command_kinds command_verify dtmf_decode dtmf_decode_agg dtmf_detect dtmf_synthesize
    endpoint_kinds event_fields event_kinds metric_kinds state_machines
    begin_media check_media_handshake emergency_words everywhere_through_views handle_twilio_request handle_twilio_webhook has_access_everywhere health in_transaction_block job_kinds job_purpose
    notifier_lives outbound_allowed process_statistics sentiment speech_segments
    twilio_signature twilio_signature_valid twiml twiml_connect twiml_dial twiml_gather twiml_hangup twiml_pause twiml_play twiml_record
    twiml_redirect twiml_reject twiml_say twiml_start_recording unsubscribe voice_key_modes wav_decode
    wav_encode waveform_svg);

# All rights that GRANT can give, and no access.
sql(<<'SQL');
CREATE ROLE everywhere_admin;   -- some call wants it
CREATE ROLE stranger LOGIN;
GRANT USAGE ON SCHEMA mulberry TO stranger;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA mulberry TO stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA mulberry TO stranger;
CREATE SCHEMA strange AUTHORIZATION stranger;
SQL

my @objects = split /\n/, sql(q{SELECT DISTINCT object FROM mulberry.access_objects()
    WHERE privilege <> 'USAGE' AND object ~ '^(FUNCTION )?mulberry[.]' AND privilege <> 'INSERT' ORDER BY 1});
my $script = "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP 0\n\\pset tuples_only on\n\\pset format unaligned\n";
my @tried;
foreach my $object (@objects)
{
    my $work = working_call($object) or next;
    next if $work->{kind} eq 'alone';
    my ($name) = $work->{name} =~ /^([\w.]+)/;
    next if $of_no_tenant{$name};
    my ($call, %variables) = ($work->{call});
    $call =~ s/(?<!:):(')?([a-z]+)\1?/$variables{$2} = 1; "current_setting('t.$2')" . ($1 ? ($2 eq 'agent' || $2 eq 'tenant' ? '::uuid' : '') : '::bigint')/ge;
    my $before = $work->{before};
    $before .= ';' if $before !~ /(?:^|;|\\gset)\s*$/;
    $before .= "\nSELECT FROM set_config('t.$_', :'$_', true);" foreach keys %variables;
    my $body = "AS \$f\$ DECLARE found text; BEGIN EXECUTE \$c\$$call\$c\$ INTO found; RETURN found; END \$f\$";
    foreach my $way ('definer', 'restricted')
    {
        my $attempt = $way eq 'definer'
          ? "SET ROLE stranger; CREATE FUNCTION strange.f() RETURNS text LANGUAGE plpgsql SECURITY DEFINER $body; RESET ROLE;\n\\warn --call--\n\\echo answer\nSELECT strange.f();"
          : "CREATE TABLE public.t (x integer); INSERT INTO public.t VALUES (1);\n"
          . "CREATE FUNCTION public.f(integer) RETURNS text LANGUAGE plpgsql IMMUTABLE $body;\n\\warn --call--\n\\echo answer\n"
          # what an index holds is what its function found
          . "CREATE INDEX t_f ON public.t (public.f(x)) WHERE public.f(x) <> '0'; SELECT pg_relation_size('t_f') > 8192;";
        $script .= "BEGIN;\n\\o /dev/null\n$before\n\\o\n$attempt\nROLLBACK;\n\\warn --next--\n\\echo next\n";
        push @tried, [ $way, $object, $object !~ /^FUNCTION/ ];
    }
}
my ($out, $err);
$node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
my @errors = split /^.*--next--\n?/m, $err, -1;
my @answers = split /^next\n?/m, $out, -1;
cmp_ok(scalar @tried, '>', 120, 'there are functions and views to try');
is($#errors, scalar @tried, 'all of them were tried');
my @lent;
foreach my $i (0 .. $#tried)
{
    my ($way, $object, $view) = @{ $tried[$i] };
    my (undef, $error) = split /^.*--call--\n?/m, $errors[$i], 2;
    my (undef, $answer) = split /answer\n/, $answers[$i], 2;
    my $refused = $view ? ($answer // '') =~ /^(?:0|f)?$/m && ($error // '') !~ /ERROR/ : ($error // '') =~ /ERROR:  (?:42501|42704|22012|55000)/;
    push @lent, "$way $object: " . ($error // $errors[$i]) . ($answer // '') if !$refused;
}
diag($_) foreach @lent;
is_deeply(\@lent, [], 'no function and no view gives a stranger, or anybody within a security-restricted operation, what he has not');

# ---- an administrator of one tenant, and all the ways in which a superuser runs what he wrote ----

sql(<<'SQL');
CREATE ROLE mallory LOGIN;
SELECT mulberry.grant_access('mallory', 'admin', 'north');
SELECT mulberry.ingest_packet('secret', 0, 'of default', NULL, 'text');
CREATE SCHEMA m AUTHORIZATION mallory;
SET ROLE mallory;
CREATE TABLE m.tries (way text, answer text);
CREATE FUNCTION m.really(way text) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    BEGIN
        EXECUTE 'SELECT mulberry.grant_access(''mallory'', ''admin'', NULL)';
        EXECUTE format('INSERT INTO m.tries VALUES (%L, ''granted'')', way);
    EXCEPTION WHEN OTHERS THEN
        EXECUTE format('INSERT INTO m.tries VALUES (%L, %L)', way, SQLSTATE);
    END;
    EXECUTE format($q$INSERT INTO m.tries SELECT %L, 'saw ' || call_id FROM mulberry.call_status WHERE tenant <> 'north'$q$, way);
    RETURN 1;
END $$;
CREATE FUNCTION m.take(way text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN m.really(way); END $$;
CREATE FUNCTION m.on_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM m.take('trigger'); RETURN NEW; END $$;
CREATE TABLE m.triggered (x integer);
CREATE TRIGGER t BEFORE INSERT ON m.triggered FOR EACH ROW EXECUTE FUNCTION m.on_row();
ALTER TABLE m.triggered ENABLE ALWAYS TRIGGER t;
CREATE TABLE m.checked (x integer CHECK (m.take('check constraint') = x));
CREATE TABLE m.generated (x integer, y integer GENERATED ALWAYS AS (m.take('generated column')) STORED);
CREATE TABLE m.defaults (x integer, y integer DEFAULT m.take('default'));
CREATE TABLE m.ruled (x integer);
CREATE RULE r AS ON INSERT TO m.ruled DO ALSO SELECT m.take('rule');
CREATE RULE s AS ON INSERT TO m.ruled DO ALSO INSERT INTO m.tries SELECT 'rule', 'saw ' || call_id FROM mulberry.call_status WHERE tenant <> 'north';
CREATE TABLE m.guarded (x integer);
ALTER TABLE m.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON m.guarded USING (m.take('policy') = x);
CREATE VIEW m.calls AS SELECT tenant, call_id FROM mulberry.call_status;
CREATE MATERIALIZED VIEW m.kept AS SELECT tenant, call_id, m.take('materialized view') FROM mulberry.call_status WITH NO DATA;
CREATE TABLE m.indexed (x integer); INSERT INTO m.indexed SELECT generate_series(1, 500);
CREATE FUNCTION m.expression(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN m.take('index expression') + x; END $$;
CREATE TABLE m.counted (x integer, y integer); INSERT INTO m.counted SELECT g, g FROM generate_series(1, 500) g;
CREATE STATISTICS m.s ON (m.expression(x)), y FROM m.counted;
CREATE FUNCTION m.become() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN SET LOCAL ROLE postgres_like; END $$;
CREATE FUNCTION m.authorize() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN SET LOCAL SESSION AUTHORIZATION postgres_like; END $$;
GRANT ALL ON ALL TABLES IN SCHEMA m TO PUBLIC; GRANT USAGE ON SCHEMA m TO PUBLIC;
RESET ROLE;
CREATE ROLE postgres_like SUPERUSER;
CREATE ROLE chief LOGIN; SELECT mulberry.grant_access('chief', 'admin', NULL);
INSERT INTO m.guarded VALUES (1);
SQL

# as the superuser, and as the administrator of all tenants
foreach my $who ('', 'SET ROLE chief; ')
{
    sql($who . $_) foreach "SELECT m.take('function')", "DO \$\$ BEGIN PERFORM m.take('do block'); END \$\$", 'INSERT INTO m.triggered VALUES (1)',
      'INSERT INTO m.checked VALUES (1)', 'INSERT INTO m.generated VALUES (1)', 'INSERT INTO m.defaults VALUES (1)', 'INSERT INTO m.ruled VALUES (1)';
    is(sql($who . q{SELECT string_agg(DISTINCT tenant, ' ') FROM m.calls}), 'north', "through a view of somebody's one sees what he may: $who");
}
sql(q{SET ROLE chief; SELECT count(*) FROM m.guarded});
sql('REFRESH MATERIALIZED VIEW m.kept');
is(sql('SELECT count(*) FROM m.kept'), '0', 'a materialized view that a superuser refreshes shows nothing');
sql('SET ROLE mallory; CREATE INDEX i ON m.indexed (m.expression(x));');
sql('ANALYZE m.indexed; ANALYZE m.counted; REINDEX TABLE m.indexed; VACUUM m.indexed');
sql(q{CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM m.take('event trigger'); END $$;
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.on_ddl(); CREATE TABLE public.made (); DROP EVENT TRIGGER e});
foreach my $switch (qw(become authorize))
{
    my $said;
    $node->psql('postgres', "SELECT m.$switch()", stderr => \$said);
    like($said, qr/within security-definer function/, "$switch: a function with rights of its owner does not change who counts");
}

# autovacuum itself
sql('SET ROLE mallory; ALTER TABLE m.indexed SET (autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0); INSERT INTO m.indexed SELECT generate_series(501, 1500);');
wait_for_true($node, q{SELECT autoanalyze_count > 0 FROM pg_stat_user_tables WHERE relid = 'm.indexed'::regclass}, 'autovacuum has analyzed');

# logical replication: the apply worker runs as the subscription's owner
sql(q{CREATE DATABASE other});
$node->safe_psql('other', 'CREATE SCHEMA m; CREATE TABLE m.triggered (x integer); CREATE PUBLICATION q FOR TABLE m.triggered');
$node->safe_psql('other', q{SELECT pg_create_logical_replication_slot('applied', 'pgoutput')});
sql("CREATE SUBSCRIPTION s CONNECTION '" . $node->connstr('other') =~ s/'/''/gr . "' PUBLICATION q WITH (create_slot = false, slot_name = 'applied', copy_data = false)");
$node->safe_psql('other', 'INSERT INTO m.triggered VALUES (77)');
wait_for_true($node, 'SELECT count(*) = 1 FROM m.triggered WHERE x = 77', 'the apply worker has applied');
sql("ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s");

# a foreign table over loopback is a session of whoever its mapping names
sql(sprintf(q{CREATE EXTENSION postgres_fdw; CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER loop OPTIONS (user 'mallory');
CREATE FOREIGN TABLE public.far (tenant text, call_id text) SERVER loop OPTIONS (schema_name 'mulberry', table_name 'call_status')}, $node->host, $node->port));
is(sql(q{SELECT string_agg(DISTINCT tenant, ' ') FROM public.far}), 'north', 'a foreign table shows what its mapping may see');
is(sql(q{ANALYZE public.far; SELECT string_agg(DISTINCT tenant, ' ') FROM public.far}), 'north', '... after ANALYZE as well');

is(sql(q{SELECT string_agg(DISTINCT way, ', ' ORDER BY way) FROM m.tries WHERE answer = '42501'}),
    'check constraint, default, do block, event trigger, function, generated column, index expression, materialized view, policy, rule, trigger',
    'the code ran in all of these ways');
is(sql(q{SELECT string_agg(way || ': ' || answer, ', ') FROM m.tries WHERE answer <> '42501'}), '', '... and was refused and shown nothing');
is(sql(q{SELECT string_agg(access || ' ' || coalesce(tenant::text, 'everywhere'), ', ') FROM mulberry_internal.members
    WHERE role = 'mallory'::regrole AND tenant IS NULL}), '', 'nobody has become administrator of all tenants');

# ---- dblink to the own server: a session of whoever it says, where that is allowed, with what he has himself ----

# this server trusts everybody on its socket but mallory, who has a password
sql(q{CREATE EXTENSION dblink SCHEMA public; ALTER ROLE mallory PASSWORD 'hers'});
my $hba = $node->data_dir . '/pg_hba.conf';
my $trusting = slurp_file($hba);
unlink $hba;
append_to_file($hba, "local all mallory scram-sha-256\n$trusting");
$node->reload;
my $superuser = sql('SELECT current_user');
my $server = sprintf "host=%s port=%s dbname=postgres", $node->host, $node->port;
my $refused = 0;
for (1 .. 1800)
{
    last if $refused = $node->psql('postgres', 'SELECT', connstr => $node->connstr('postgres') . ' user=mallory', extra_params => ['-w']) != 0;
    select undef, undef, undef, 0.1;
}
ok($refused, 'mallory needs a password now');
sql(<<"SQL");
SET ROLE mallory;
CREATE TABLE m.calls_back (way text, connection text, answer text, saw text);
CREATE FUNCTION m.note(way text, connection text, answer text, saw text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS \$\$
BEGIN EXECUTE 'INSERT INTO m.calls_back VALUES (\$1, \$2, \$3, \$4)' USING way, connection, answer, saw; END \$\$;
CREATE FUNCTION m.ask(connection text, query text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN RETURN (SELECT x FROM public.dblink(connection, query) AS d (x text)); EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END \$\$;
CREATE FUNCTION m.call_back(way text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS \$\$
DECLARE connection text;
BEGIN
    FOREACH connection IN ARRAY ARRAY['', ' user=$superuser', ' user=chief', ' user=mallory', ' user=$superuser password=guessed', ' user=mallory password=hers'] LOOP
        PERFORM m.note(way, connection, m.ask('$server' || connection, 'SELECT mulberry.grant_access(''mallory'', ''admin'', NULL)::text'),
            m.ask('$server' || connection, 'SELECT string_agg(DISTINCT tenant, '' '') FROM mulberry.call_status'));
        BEGIN
            PERFORM public.dblink_exec('$server' || connection, 'ALTER ROLE mallory SUPERUSER');
            PERFORM m.note(way, connection, 'became a superuser', NULL);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    RETURN 1;
END \$\$;
CREATE FUNCTION m.back_trigger() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM m.call_back('trigger'); RETURN NEW; END \$\$;
CREATE TABLE m.remote_triggered (x integer);
CREATE TRIGGER t BEFORE INSERT ON m.remote_triggered FOR EACH ROW EXECUTE FUNCTION m.back_trigger();
GRANT INSERT ON m.remote_triggered TO chief;
CREATE TABLE m.remote_indexed (x integer); INSERT INTO m.remote_indexed VALUES (1);
CREATE FUNCTION m.back_expression(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS \$\$ BEGIN RETURN m.call_back('index expression'); END \$\$;
CREATE MATERIALIZED VIEW m.remote_kept AS SELECT m.call_back('materialized view') WITH NO DATA;
SELECT m.call_back('herself');
SQL
sql('SET ROLE chief; INSERT INTO m.remote_triggered VALUES (1)');
sql('REFRESH MATERIALIZED VIEW m.remote_kept; CREATE INDEX ON m.remote_indexed (m.back_expression(x)); ANALYZE m.remote_indexed; REINDEX TABLE m.remote_indexed');
sql('DELETE FROM m.calls_back WHERE way = \'index expression\'; ALTER TABLE m.remote_indexed SET (autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0); SET ROLE mallory; INSERT INTO m.remote_indexed VALUES (2), (3), (4);');
wait_for_true($node, q{SELECT autoanalyze_count > 0 FROM pg_stat_user_tables WHERE relid = 'm.remote_indexed'::regclass}, 'autovacuum has analyzed what calls back');
is(sql(q{SELECT string_agg(DISTINCT way, ', ' ORDER BY way) FROM m.calls_back}), 'herself, index expression, materialized view, trigger', 'what calls back ran in all of these ways');
is(sql(q{SELECT string_agg(DISTINCT format('%s: %s %s', way, connection, answer), E'\n') FROM m.calls_back
    WHERE connection <> ' user=mallory password=hers' AND (answer, saw) IS DISTINCT FROM ('2F003', '2F003') AND (answer, saw) IS DISTINCT FROM ('08001', '08001')}),
    '', 'dblink lets nobody but a superuser use what the server trusts, wherever his code runs');
is(sql(q{SELECT string_agg(DISTINCT format('%s %s', answer, saw), E'\n') FROM m.calls_back WHERE connection = ' user=mallory password=hers'}), '42501 north',
    '... and a session of his own has what he has himself, whoever runs the code');
is(sql("SELECT string_agg(x, ' ') FROM public.dblink('$server user=mallory password=hers', 'SELECT DISTINCT tenant FROM mulberry.call_status') AS d (x text)"), 'north',
    'a superuser who connects as somebody sees what that one may see');
is(sql("SELECT x FROM public.dblink('$server user=chief', 'SELECT count(DISTINCT tenant) FROM mulberry.call_status') AS d (x integer)"), '2', '... or this one');
is(sql(q{SELECT count(*) FROM pg_roles WHERE rolname = 'mallory' AND rolsuper}) . sql(q{SELECT count(*) FROM mulberry_internal.members
    WHERE role = 'mallory'::regrole AND tenant IS NULL}), '00', 'she has got nothing');

$node->stop;
done_testing();
