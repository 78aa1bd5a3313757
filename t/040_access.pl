# Who may do what: as each access in turn, every function and every relation is
# tried; another tenant's rows are never seen and cannot be told from none;
# revoking reaches open sessions; nobody captures what runs with the owner's
# rights.  The extension belongs to a superuser, for whom row level security does
# nothing, so that only our own filters are at work.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('access', preload => 0);

# As the superuser, or as a role; dies on an error.
sub sql { return $node->safe_psql('postgres', shift) }

# As a role: SQLSTATE (or '') and the text of the error, and the output.
sub try_as
{
    my ($role, $sql, %option) = @_;
    my ($out, $err) = ('', '');
    $node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
        stdout => \$out, stderr => \$err, on_error_stop => 1, %option,
        extra_params => [ '-U', $role ]);
    my ($state, $message) = $err =~ /(?:ERROR|FATAL):  ([0-9A-Z]{5}): (.*)/ ? ($1, $2) : ('', '');
    return ($state, $message, $out, $err);
}

# ---- two tenants, with something of each kind in both ----

my @accesses = split /\n/, sql('SELECT unnest(mulberry_internal.access_names())');

sub fill
{
    my ($tenant) = @_;
    sql(<<"SQL");
SELECT mulberry.create_tenant('$tenant');
SELECT mulberry.ingest_packet('${tenant}mark-call', s, '${tenant}mark', NULL, 'text', NULL, '$tenant')
  FROM unnest('{0,1,2,5}'::int[]) s;
SELECT mulberry.complete_call('${tenant}mark-call', 7, '$tenant');
SELECT mulberry.ingest_packet('${tenant}mark-open', 0, '${tenant}mark', NULL, 'text', NULL, '$tenant');
SELECT mulberry_internal.emit_event(t.id, 'call_erased', NULL, NULL, '{"role": "${tenant}mark"}')
  FROM mulberry_internal.tenants t WHERE name = '$tenant';
SELECT mulberry_internal.number_events();
SQL
    $node->psql('postgres', <<"SQL", on_error_die => 1);
COPY mulberry.secret_entry FROM stdin;
$tenant	${tenant}mark-secret	x
\\.
SQL
    # endpoints and finished jobs, whatever way they come about
    sql(<<"SQL");
INSERT INTO mulberry_internal.endpoints (tenant, name, kind, base_url)
SELECT id, '${tenant}mark-endpoint', 'json', 'https://${tenant}mark.example' FROM mulberry_internal.tenants WHERE name = '$tenant';
SELECT mulberry_internal.enqueue_job('sentiment', t.id, NULL, '${tenant}mark-endpoint', '{"text": "${tenant}mark"}')
  FROM mulberry_internal.tenants t WHERE name = '$tenant';
INSERT INTO mulberry_internal.job_history (id, kind, tenant, call, endpoint, payload, state, attempts, deferrals, max_attempts,
                                  lease_token, last_error, created_at)
SELECT nextval('mulberry_internal.job_id'), 'transcribe', c.tenant, c.id, '${tenant}mark-endpoint', '{}', 'dead', 5, 0, 5, 1,
       '${tenant}mark', now()
  FROM mulberry_internal.calls c WHERE c.call_id = '${tenant}mark-call';
SQL
    # an agent, a mandate with the first digit of its own, a command that waits for a person
    my $digit = $tenant eq 'north' ? 1 : 2;
    sql(<<"SQL");
SELECT mulberry.create_agent('${tenant}mark-agent', '+82101234567$digit', tenant => '$tenant');
SELECT mulberry.create_mandate('${digit}0000000', '${tenant}mark-agent', '${tenant}mark', 100, 'USD', now() + interval '1 day', '$tenant');
SELECT mulberry.create_voice_key('${tenant}mark-agent', tenant => '$tenant');
INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate, reason, state, escalated_at)
SELECT m.tenant, m.agent, 'REVOKE', m.id, '${tenant}mark', 'escalated', now() FROM mulberry_internal.mandates m WHERE m.id = '${digit}0000000';
INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number, state, outcome, detail, finished_at)
SELECT c.tenant, c.id, 1, '+82101234567$digit', '+12025550100', 'failed', 'failed', '${tenant}mark', now() FROM mulberry_internal.commands c WHERE c.reason = '${tenant}mark';
INSERT INTO mulberry_internal.escalation_contacts (tenant, endpoint) SELECT id, '${tenant}mark-endpoint' FROM mulberry_internal.tenants WHERE name = '$tenant';
SQL
    # spent from, and audited
    sql(<<"SQL");
SELECT mulberry.spend('${digit}0000000', 60, '${tenant}mark', '$tenant');
SELECT mulberry_internal.link_audit();
SQL
    foreach my $access (@accesses)
    {
        my $where = $access eq 'worker' ? 'NULL' : "'$tenant'";
        sql("CREATE ROLE ${tenant}_$access LOGIN");
        sql("SELECT mulberry.grant_access('${tenant}_$access', '$access', $where)");
    }
}

fill('north');
fill('south');
sql('CREATE ROLE stranger LOGIN');

# ---- every function and relation, as each access ----

my %allowed;
$allowed{$_} = 1 foreach split /\n/,
  sql("SELECT access || ' ' || privilege || ' ON ' || object FROM mulberry.access_objects()");

# Functions with what a call needs: NULLs that the planner cannot see through,
# or a strict function would be folded away before anybody asks for rights.
my @functions = map { [ split /\t/ ] } split /\n/, sql(<<'SQL');
SELECT format(E'%s %I.%I(%s)\t%s\t%s\t%s',
              CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
              p.pronamespace::regnamespace::text, p.proname, pg_get_function_identity_arguments(p.oid),
              format('%I.%I', p.pronamespace::regnamespace::text, p.proname),
              coalesce((SELECT string_agg(format('%sv.a%s', CASE WHEN n = p.pronargs AND p.provariadic <> 0 THEN 'VARIADIC ' END, n), ', ' ORDER BY n)
                          FROM generate_series(1, p.pronargs) n), ''),
              coalesce((SELECT string_agg(format('NULL::%s AS a%s', format_type(p.proargtypes[n - 1], NULL), n), ', ' ORDER BY n)
                          FROM generate_series(1, p.pronargs) n), '1 AS nothing'))
  FROM pg_proc p
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND p.prorettype <> 'trigger'::regtype
   AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) t JOIN pg_type y ON y.oid = t WHERE y.typtype = 'p')
   AND p.prokind IN ('f', 'a')
 ORDER BY p.proname
SQL
cmp_ok(scalar(@functions), '>', 30, 'there are functions to try');

my @relations = map { [ split /\t/ ] } split /\n/, sql(<<'SQL');
SELECT format(E'%I.%I\t%s\t%s', n.nspname, c.relname, c.relkind,
              (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attidentity = '' ORDER BY a.attnum LIMIT 1))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('mulberry', 'mulberry_internal') AND c.relkind IN ('r', 'p', 'v', 'S')
 ORDER BY c.relname
SQL
cmp_ok(scalar(grep { /packets_/ } map { $_->[0] } @relations), '>', 0, 'partitions are among the relations to try');

foreach my $access (@accesses, 'nothing')
{
    my $role = $access eq 'nothing' ? 'stranger' : "north_$access";
    my (@script, @expected);

    foreach my $function (@functions)
    {
        my ($object, $name, $arguments, $nulls) = @$function;
        push @script, "SELECT $name($arguments) FROM (SELECT $nulls OFFSET 0) v";
        push @expected, $allowed{"$access EXECUTE ON $object"} // 0;
    }
    foreach my $relation (@relations)
    {
        my ($object, $kind, $column) = @$relation;
        push @script, "SELECT 1 FROM $object LIMIT 1";
        push @expected, $allowed{"$access SELECT ON $object"} // 0;
        next if $kind eq 'S';
        push @script, "INSERT INTO $object DEFAULT VALUES";
        push @expected, $allowed{"$access INSERT ON $object"} // 0;
        push @script, "UPDATE $object SET $column = NULL", "DELETE FROM $object";
        push @script, $kind eq 'v' ? () : "TRUNCATE $object";
        push @expected, (0) x ($kind eq 'v' ? 2 : 3);
    }

    # one session, each statement in a transaction of its own that is undone
    my $sql = "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP 0\n";
    $sql .= "BEGIN;\n\\o /dev/null\n$_;\n\\o\nROLLBACK;\n\\warn --next statement--\n" foreach @script;
    my ($out, $err);
    $node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_stop => 0,
        extra_params => [ '-U', $role ]);
    my @answers = split /^.*--next statement--\n?/m, $err, -1;
    pop @answers;
    is(scalar(@answers), scalar(@script), "$access: everything was tried");

    my (@wrongly_refused, @wrongly_allowed);
    foreach my $i (0 .. $#script)
    {
        my $refused = $answers[$i] =~ /ERROR:  42501: permission denied for (?:function|aggregate|table|view|sequence|schema)/;
        # a view over more than one table takes no DML from anybody
        $refused ||= $answers[$i] =~ /ERROR:  55000: cannot (?:insert into|update|delete from) view/;
        push @wrongly_refused, "$script[$i]: $answers[$i]" if $refused && $expected[$i];
        push @wrongly_allowed, "$script[$i]: $answers[$i]" if !$refused && !$expected[$i];
    }
    is_deeply(\@wrongly_refused, [], "$access: may do what access_objects() says");
    is_deeply(\@wrongly_allowed, [], "$access: may do nothing else, and is told 42501");
}

# ---- only the own tenant is seen ----

my %shown;
foreach my $access (@accesses, 'nothing')
{
    my $role = $access eq 'nothing' ? 'stranger' : "north_$access";
    foreach my $view (grep { $_->[1] eq 'v' } @relations)
    {
        my $object = $view->[0];
        next unless $allowed{"$access SELECT ON $object"};
        my (undef, undef, $rows) = try_as($role, "SELECT v::text FROM $object v");
        my $text = $rows // '';
        # worker access is for all tenants
        unlike($text, qr/southmark/, "$access: $object shows nothing of another tenant") if $access ne 'worker';
        $shown{$object} = 1 if $text =~ /north/;
    }
}
# ... which proves something only where there is something to be seen
foreach my $view (grep { $_->[1] eq 'v' } @relations)
{
    # some are for our own functions alone
    next unless grep { $allowed{"$_ SELECT ON $view->[0]"} } @accesses;
    my $rows = sql("SELECT v::text FROM $view->[0] v");
    next unless $rows =~ /southmark/;
    ok($shown{ $view->[0] }, "$view->[0] shows the own tenant to somebody");
}

# ---- the same for tokens: a role that holds everything everywhere is narrowed to one access to one tenant ----

sql('CREATE ROLE counter LOGIN');
sql("SELECT mulberry.grant_access('counter', '$_', NULL)") foreach grep { $_ ne 'worker' } @accesses;
my @views = grep { my $view = $_; grep { $_ ne 'worker' && $allowed{"$_ SELECT ON $view"} } @accesses }
  map { $_->[0] } grep { $_->[1] eq 'v' } @relations;
cmp_ok(scalar(@views), '>', 10, 'there are views to read with a token');

# What each view shows to the role, in transactions that begin with a statement.
sub seen_by_counter
{
    my ($whom, $first) = @_;
    my $script = join '', map { "BEGIN;\n\\o /dev/null\n$first;\n\\o\n\\echo --$_--\nSELECT v::text FROM $_ v;\nROLLBACK;\n" } @views;
    my ($state, $message, $out) = try_as('counter', $script);
    is($state, '', "$whom: every view can be read") or diag($message);
    return split /^--(\S+)--$/m, $out;
}

my (undef, %unnarrowed) = seen_by_counter('without a token', 'SELECT 1');
cmp_ok(scalar(grep { /southmark/ } values %unnarrowed), '>', 10, 'without a token the role sees the other tenant in many views');
foreach my $access (grep { $_ !~ /^(?:worker|gateway)$/ } @accesses)
{
    my %token = map { $_ => sql("SELECT mulberry.create_token('counter-$access', '$access', '$_')") } qw(north south);
    foreach my $tenant (qw(north south))
    {
        my $other = $tenant eq 'north' ? 'south' : 'north';
        my (undef, %seen) = seen_by_counter("with a token for $access to $tenant", "SELECT FROM mulberry.authenticate('$token{$tenant}')");
        is_deeply([ grep { ($seen{$_} // '') =~ /${other}mark/ } @views ], [], "a token for $access to $tenant shows nothing of $other");
        # what the access itself may read shows what a role of that access sees there, and nothing else does
        my @own = grep { $allowed{"$access SELECT ON $_"}
              && (try_as("${tenant}_$access", "SELECT v::text FROM $_ v"))[2] =~ /${tenant}mark/ } @views;
        is_deeply([ grep { ($seen{$_} // '') =~ /${tenant}mark/ } @views ], \@own, "... and of $tenant what a role of that access sees");
    }
}
sql("SELECT mulberry.revoke_token('counter-$_->[0]', '$_->[1]')") foreach map { my $a = $_; map { [ $a, $_ ] } qw(north south) }
  grep { $_ !~ /^(?:worker|gateway)$/ } @accesses;

# ---- who monitors sees numbers, and no content ----

# what a service answers may repeat what it was sent
sql(<<'SQL');
INSERT INTO mulberry_internal.endpoint_state (endpoint, state, openings, retry_at, last_error, out_since)
SELECT e.id, 'open', 3, now() + interval '1 hour', 'it said "northmark"', now() FROM mulberry_internal.endpoints e WHERE e.name = 'northmark-endpoint';
INSERT INTO mulberry_internal.set_aside (unit, item, tenant, sqlstate, error, since, retry_at)
SELECT 'claiming', '0', t.id, '22000', 'the text "northmark" was odd', now(), now() + interval '1 hour' FROM mulberry_internal.tenants t WHERE t.name = 'north';
SQL
my @of_monitor = map { /^(?:FUNCTION|PROCEDURE) (mulberry\.\w+)\((.*)\)/ ? ($2 eq '' ? "$1()" : ()) : /^(mulberry\.\w+)$/ ? $1 : () }
  map { s/^monitor \w+ ON //r } grep { /^monitor / } sort keys %allowed;
push @of_monitor, 'mulberry.metrics()', 'mulberry.metrics(true)', 'mulberry.metrics_text(true)';
cmp_ok(scalar(@of_monitor), '>=', 7, 'there is something that monitors see');
foreach my $object (@of_monitor)
{
    my ($state, undef, $rows) = try_as('north_monitor', "SELECT o::text FROM $object o");
    is($state, '', "a monitor may read $object");
    unlike($rows, qr/northmark(?!-endpoint)|southmark/, "... and sees no content there");
}
my (undef, undef, $health) = try_as('north_monitor', 'SELECT h::text FROM mulberry.health() h');
like($health, qr/northmark-endpoint.*unavailable/, 'it sees which endpoint is out');
(undef, undef, $health) = try_as('north_operator', 'SELECT h::text FROM mulberry.health() h');
like($health, qr/it said ""northmark""/, 'what that answers is for operators');
like($health, qr/the text ""northmark"" was odd/, '... as is what an error quotes');

# A function in WHERE that costs nothing is not called before the filter.
sql(<<'SQL');
CREATE FUNCTION public.peek(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000000001 AS
    $$ BEGIN RAISE NOTICE 'peek %', $1; RETURN true; END $$;
GRANT EXECUTE ON FUNCTION public.peek TO PUBLIC;
SQL
foreach my $access (qw(supervisor operator auditor admin gateway))
{
    foreach my $view (grep { $_->[1] eq 'v' && $allowed{"$access SELECT ON $_->[0]"} } @relations)
    {
        my (undef, undef, undef, $err) = try_as("north_$access", "SELECT count(*) FROM $view->[0] v WHERE public.peek(v::text)");
        unlike($err, qr/peek .*south/, "$access: $view->[0] lets no function see other rows");
    }
}

# ---- another tenant's object cannot be told from none ----

my %south = map { split /=/ } split /\n/, sql(q{
SELECT 'agent=' || id FROM mulberry_internal.agents WHERE name = 'southmark-agent' UNION ALL SELECT 'command=' || id FROM mulberry_internal.commands WHERE reason = 'southmark'});
my @pairs = (
    # role, a call about something of south's, the same about nothing
    [ 'north_ingest', q{SELECT mulberry.complete_call('%s', 9)}, 'southmark-open', 'nosuch-call-xy' ],
    [ 'north_ingest', q{SELECT mulberry.complete_call('x', 9, '%s')}, 'south', 'nosou' ],
    [ 'north_ingest', q{SELECT mulberry.ingest_packet('x', 0, 'x', tenant => '%s')}, 'south', 'nosou' ],
    [ 'north_ingest', q{SELECT mulberry.ingest_packets('{x}', '{0}', '{x}', tenant => '%s')}, 'south', 'nosou' ],
    [ 'north_supervisor', q{SELECT count(*) FROM mulberry.events_since(0, 10, '%s')}, 'south', 'nosou' ],
    [ 'north_admin', q{SELECT mulberry.alter_tenant('%s', 'mulaw')}, 'south', 'nosou' ],
    [ 'north_admin', q{SELECT mulberry.drop_secret('%s')}, 'southmark-secret', 'nosuch-secret-xy' ],
    [ 'north_admin', q{SELECT mulberry.drop_secret('x', '%s')}, 'south', 'nosou' ],
    [ 'north_admin', q{SELECT mulberry.alter_agent('%s', '+12025550100')}, 'southmark-agent', 'nosuch-agent-xy' ],
    [ 'north_admin', q{SELECT mulberry.drop_agent('%s')}, 'southmark-agent', 'nosuch-agent-xy' ],
    [ 'north_admin', q{SELECT mulberry.create_agent('x', tenant => '%s')}, 'south', 'nosou' ],
    [ 'north_operator', q{SELECT mulberry.alter_mandate('%s', 5)}, '20000000', '99999999' ],
    [ 'north_operator', q{SELECT mulberry.create_mandate('55555555', '%s', 'x', 1, 'EUR', '2100-01-01')}, 'southmark-agent', 'nosuch-agent-xy' ],
    [ 'north_gateway', q{SELECT mulberry.spend('20000000', 1, 'x', '%s')}, 'south', 'nosou' ],
    [ 'north_auditor', q{SELECT mulberry.verify_audit('%s')}, 'south', 'nosou' ],
    [ 'north_auditor', q{SELECT mulberry.audit_head('%s')}, 'south', 'nosou' ],
    [ 'north_admin', qq{COPY mulberry.secret_entry FROM stdin;\n%s\tx\ty\n\\.\n}, 'south', 'nosou' ],
    (map { [ 'north_operator', "SELECT mulberry.$_", '20000000', '99999999' ] } "revoke_mandate('%s')", "suspend_mandate('%s')",
        "resume_mandate('%s')", "extend_mandate('%s', 7)", "query_mandate('%s')"),
    [ 'north_operator', q{SELECT mulberry.revoke_mandate('10000000', tenant => '%s')}, 'south', 'nosou' ],
    [ 'north_operator', q{SELECT mulberry.ping_agent('%s')}, 'southmark-agent', 'nosuch-agent-xy' ],
    [ 'north_operator', q{SELECT mulberry.ping_agent('%s')}, $south{agent}, '00000000-0000-4000-8000-000000000000' ],
    [ 'north_operator', q{SELECT mulberry.cancel_command(%s)}, $south{command}, 9999999 ],
    [ 'north_operator', q{SELECT mulberry.retry_command(%s)}, $south{command}, 9999999 ],
    [ 'north_operator', q{CALL mulberry.await_command(%s, '1 s', NULL)}, $south{command}, 9999999 ],
    [ 'north_gateway', q{SELECT mulberry.agent_sync('%s')}, 'southmark-agent', 'nosuch-agent-xy' ],
    [ 'north_gateway', q{SELECT mulberry.agent_sync('%s')}, $south{agent}, '00000000-0000-4000-8000-000000000000' ],
    [ 'north_gateway', q{SELECT mulberry.agent_sync('northmark-agent', tenant => '%s')}, 'south', 'nosou' ],
);
foreach my $pair (@pairs)
{
    my ($role, $form, $theirs, $none) = @$pair;
    my @about_theirs = try_as($role, sprintf($form, $theirs));
    my @about_none = try_as($role, sprintf($form, $none));
    $about_theirs[1] =~ s/\Q$theirs\E/NAME/g;
    $about_none[1] =~ s/\Q$none\E/NAME/g;
    my ($call) = $form =~ /(\w+(?:\(|(?= FROM stdin)).*)/;
    like($about_none[0], qr/^42704$/, "$role: $call about nothing is 42704") or diag($about_none[3]);
    is("$about_theirs[0] $about_theirs[1]", "$about_none[0] $about_none[1]",
        "$role: ... and about another tenant's the same");
}

# The same where the answer is data.
foreach my $call (q{mulberry.check_mandate('%s', 1)}, q{mulberry.spend('%s', 1, 'southmark')})
{
    my @about_theirs = try_as('north_gateway', sprintf("SELECT * FROM $call", '20000000'));
    my @about_none = try_as('north_gateway', sprintf("SELECT * FROM $call", '99999999'));
    like($about_none[2], qr/^f\|.*E003\|there is no such mandate/, "$call about nothing says so");
    is($about_theirs[2], $about_none[2], "... and about another tenant's the same");
}
is(sql(q{SET ROLE north_operator; SELECT mulberry.create_mandate('20000000', 'northmark-agent', 'x', 1, 'EUR', '2100-01-01')}), '20000000',
    "another tenant's mandate id is free here");

# The same call id in two tenants is two calls.
is(sql("SET ROLE north_ingest; SELECT (mulberry.ingest_packet('southmark-open', 0, 'x', NULL, 'text')).total_received"),
    '1', "another tenant's call id is free here");
is(sql("SELECT count(*) FROM mulberry_internal.calls WHERE call_id = 'southmark-open'"), '2', '... and makes a call of its own');

# ---- revoking reaches open sessions, inside their transactions too ----

# Shell commands run while the session stays open.
my $psql = sprintf q{psql -X -q -h %s -p %s -U %s postgres}, $node->host, $node->port,
    sql('SELECT session_user');
sub elsewhere
{
    my ($sql) = @_;
    return qq{\\! $psql -c "$sql" >/dev/null\n};
}

foreach my $isolation ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
    # without a notifier, only READ COMMITTED gives events their numbers
    sql("SELECT mulberry.grant_access('north_supervisor', 'supervisor', 'south'); SELECT count(*) FROM mulberry.events_since(0, 100, 'south')");
    my (undef, undef, $out, $err) = try_as('north_supervisor', <<"SQL" . elsewhere(q{SELECT mulberry.revoke_access('north_supervisor', 'supervisor', 'south')}) . <<'SQL');
\\pset tuples_only on
BEGIN ISOLATION LEVEL $isolation;
SELECT cardinality(mulberry.current_tenants());
SELECT count(*) FROM mulberry.events_since(0, 100, 'south') LIMIT 1;
SQL
SELECT cardinality(mulberry.current_tenants());
SELECT 'still' FROM mulberry.events_since(0, 100, 'south') LIMIT 1;
SQL
    like($out, qr/^\s*2\s+\d+\s+1\s*$/, "$isolation: what is revoked is gone at the next statement");
    like($err, qr/42704: tenant "south" does not exist/, '... and the tenant with it');
}

# Inherited: leaving the group, dropping the membership, changing the attributes.
sql(q{CREATE ROLE crew; CREATE ROLE sailor LOGIN; GRANT crew TO sailor; SELECT mulberry.grant_access('crew', 'ingest', 'north')});
my (undef, undef, $out, $err) = try_as('sailor',
        "SELECT (mulberry.ingest_packet('sailor', 0, 'x', NULL, 'text')).status;\n"
      . elsewhere('REVOKE crew FROM sailor')
      . elsewhere('GRANT USAGE ON SCHEMA mulberry TO sailor; GRANT EXECUTE ON FUNCTION mulberry.ingest_packet TO sailor')
      . "SELECT (mulberry.ingest_packet('sailor', 1, 'x', NULL, 'text')).status;\n");
is($out, 'accepted', 'a role of a member counts as one');
like($err, qr/42501: role "sailor" has no ingest access/, '... until it leaves the group, in its open session');
sql('REVOKE ALL ON SCHEMA mulberry FROM sailor; REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mulberry FROM sailor');

# ---- nobody captures what runs with the owner's rights (CVE-2018-1058 and kin) ----

sql(q{
CREATE ROLE mallory LOGIN;
CREATE SCHEMA trap AUTHORIZATION mallory;
GRANT CREATE ON SCHEMA public TO mallory;
SELECT mulberry.grant_access('mallory', 'admin', 'north');
SELECT mulberry.grant_access('mallory', 'ingest', 'north');
});

# Mallory's functions and operators note who calls them; better matches than the
# built-in ones, or of the names that our functions use.
my @operators;
foreach my $type (qw(uuid text bigint integer timestamptz name regrole oid boolean interval jsonb bytea))
{
    foreach my $operator (qw(= <> < > <= >= ||))
    {
        push @operators, "CREATE FUNCTION trap.op_${type}_" . join('', map { ord } split //, $operator)
          . "($type, $type) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN PERFORM trap.caught('$operator $type'); RETURN true; END \$\$;",
          "CREATE OPERATOR trap.$operator (LEFTARG = $type, RIGHTARG = $type, FUNCTION = trap.op_${type}_" . join('', map { ord } split //, $operator) . ");";
    }
}
$node->safe_psql('postgres', join("\n", <<'SQL', @operators), extra_params => [ '-U', 'mallory' ]);
CREATE TABLE trap.caught (who name, what text);
CREATE FUNCTION trap.caught(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' OR current_user OPERATOR(pg_catalog.<>) session_user THEN
        INSERT INTO trap.caught VALUES (current_user, what);
        EXECUTE 'ALTER ROLE mallory SUPERUSER';
    END IF;
END $$;
CREATE FUNCTION trap.current_tenants() RETURNS uuid[] LANGUAGE sql AS $$ SELECT trap.caught('current_tenants'); SELECT '{}'::uuid[] $$;
CREATE FUNCTION trap.format(text, regrole) RETURNS text LANGUAGE sql AS $$ SELECT trap.caught('format'); SELECT ''::text $$;
CREATE FUNCTION trap.format(text, name) RETURNS text LANGUAGE sql AS $$ SELECT trap.caught('format'); SELECT ''::text $$;
CREATE FUNCTION trap.count(uuid) RETURNS bigint LANGUAGE sql AS $$ SELECT trap.caught('count'); SELECT 0::bigint $$;
CREATE FUNCTION trap.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT trap.caught('clock_timestamp'); SELECT '1970-01-01'::timestamptz $$;
CREATE FUNCTION trap.octet_length(text) RETURNS integer LANGUAGE sql AS $$ SELECT trap.caught('octet_length'); SELECT 1 $$;
CREATE FUNCTION trap.jsonb_build_object(VARIADIC text[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT trap.caught('jsonb_build_object'); SELECT '{}'::jsonb $$;
CREATE TABLE trap.members (role regrole, access text, tenant uuid, granted_by name);
CREATE TABLE trap.tenants (id uuid, name text, default_encoding text, default_sample_rate integer, retention interval, created_at timestamptz);
CREATE TABLE trap.secrets (tenant uuid, name text, nonce bytea, ciphertext bytea, tag bytea, key_fingerprint text);
CREATE TABLE trap.calls (id bigint, tenant uuid, call_id text, state text);
CREATE TABLE trap.events (id bigint, tenant uuid, seq bigint);
GRANT USAGE ON SCHEMA trap TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA trap TO PUBLIC;
SQL

# The traps work: a function that leaves its search path open steps into one.
sql(q{
CREATE FUNCTION public.careless() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN RETURN '6d756c62-6572-7279-8000-000000000001'::uuid = gen_random_uuid(); END $$;
});
try_as('mallory', 'SET search_path = trap, public, mulberry, pg_catalog; SELECT public.careless()');
is(sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 't', 'a careless function is caught');
sql('ALTER ROLE mallory NOSUPERUSER; TRUNCATE trap.caught; DROP FUNCTION public.careless');

my $calls_of_everything = <<'SQL';
SELECT mulberry.alter_tenant('north', 'mulaw');
SELECT (mulberry.ingest_packet('trapped', 0, 'x', NULL, 'text')).status;
SELECT (mulberry.ingest_packet('trapped', 3, 'x', NULL, 'text')).status;
SELECT (r).status FROM mulberry.ingest_packets('{trapped,trapped}', '{1,1}', '{x,y}') r;
SELECT (mulberry.complete_call('trapped', 5)) IS NULL;
SELECT count(*) > 0 FROM mulberry.events_since(0, 100, 'north');
SELECT count(*) FROM mulberry.tenant_access;
SELECT count(*) FROM mulberry.memberships;
SELECT count(*) FROM mulberry.secret_names;
SELECT count(*) FROM mulberry.health();
COPY mulberry.secret_entry (tenant, name, value) FROM stdin;
north	trapped	x
\.
SELECT mulberry.drop_secret('trapped', 'north');
SQL

# Mallory calls what runs with the owner's rights, with traps in front, temporary tables among them.
my @attack = try_as('mallory', <<'SQL' . $calls_of_everything);
CREATE TEMP TABLE members (role regrole, access text, tenant uuid, granted_by name);
CREATE TEMP TABLE tenants (id uuid, name text, default_encoding text, default_sample_rate integer, retention interval, created_at timestamptz);
CREATE TEMP TABLE secrets (tenant uuid, name text, nonce bytea, ciphertext bytea, tag bytea, key_fingerprint text);
CREATE TEMP TABLE pg_roles AS SELECT 'mallory'::name AS rolname, true AS rolsuper, 10::oid AS oid;
INSERT INTO members VALUES ('mallory', 'admin', NULL, 'mallory');
SET search_path = pg_temp, trap, public, mulberry, pg_catalog;
SQL
is($attack[0], '', 'with traps in the search path, everything works') or diag($attack[3]);
is(sql("SELECT default_encoding FROM mulberry_internal.tenants WHERE name = 'north'"), 'mulaw', '... on the real tables');
is(sql('SELECT count(*) FROM trap.caught'), '0', 'nothing of the owner was caught');

# And a superuser with a careless search path calls them.
my ($owner_out, $owner_err);
$node->psql('postgres', "SET search_path = trap, public, mulberry, pg_catalog;\n"
      . ($calls_of_everything =~ s/'trapped'/'trapped2'/gr =~ s/\{trapped,trapped\}/{trapped2,trapped2}/r
          =~ s/(ingest_packet\([^)]*'text')\)/$1, NULL, 'north')/gr =~ s/'\{x,y\}'\)/'{x,y}', tenant => 'north')/r
          =~ s/'trapped2', 5\)/'trapped2', 5, 'north')/r =~ s/north\ttrapped\t/north\ttrapped2\t/r)
      . q{
SELECT mulberry.grant_access('stranger', 'ingest', 'north');
SELECT mulberry.revoke_access('stranger', 'ingest', 'north');
SELECT mulberry.refresh_grants();
SELECT mulberry.rotate_secret_key();
SELECT mulberry.resume_outbound();
SELECT mulberry.create_tenant('trapped');
SELECT mulberry.drop_tenant('trapped');
SELECT mulberry_internal.number_events();
}, stdout => \$owner_out, stderr => \$owner_err, on_error_stop => 1);
is($owner_err, '', 'a superuser with traps in the search path gets by');
is(sql('SELECT string_agg(DISTINCT what, $$, $$) FROM trap.caught'), '', '... without stepping into one');
is(sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', 'and mallory is no superuser');
is(sql('SELECT (SELECT count(*) FROM trap.members) + (SELECT count(*) FROM trap.tenants) + (SELECT count(*) FROM trap.secrets) + (SELECT count(*) FROM trap.events) + (SELECT count(*) FROM trap.calls)'),
    '0', 'no row went astray');

# ---- CREATE EXTENSION does not move into a schema that somebody has prepared ----

sql('CREATE DATABASE prepared');
sub create_in_prepared
{
    my ($prepare) = @_;
    my $err;
    $node->safe_psql('prepared', "DROP SCHEMA IF EXISTS mulberry, mulberry_internal CASCADE; $prepare");
    $node->psql('prepared', 'CREATE EXTENSION mulberry CASCADE', stderr => \$err);
    return $err;
}
like(create_in_prepared('CREATE SCHEMA mulberry AUTHORIZATION mallory'),
    qr/schema "mulberry" cannot be used: it belongs to "mallory"/, "not into another's schema");
like(create_in_prepared('CREATE SCHEMA mulberry; GRANT CREATE ON SCHEMA mulberry TO mallory'),
    qr/cannot be used: others have CREATE on it/, 'nor into one where others may create');
like(create_in_prepared('CREATE SCHEMA mulberry; CREATE FUNCTION mulberry.x() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$'),
    qr/cannot be used: it is not empty/, 'nor into one where something is');
like(create_in_prepared('CREATE SCHEMA mulberry_internal'),
    qr/schema "mulberry_internal" cannot be used: it exists already/, 'nor beside an internal schema of somebody');
unlike(create_in_prepared('CREATE SCHEMA mulberry'), qr/ERROR/, 'an empty one of its own will do');
$node->safe_psql('prepared', 'DROP EXTENSION mulberry; CREATE EXTENSION mulberry');
pass('... and so will the one that DROP EXTENSION leaves');

$node->stop;
done_testing();
