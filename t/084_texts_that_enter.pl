# Each function that users may call, with each text, JSON and binary argument once too long, once with a byte that
# is no character of Unicode, and once with control characters: it is refused for what it is and in few words,
# or taken, and then everything that shows or sends what is stored can say it.  From what access_objects() gives
# and the working calls of t/lib, so that nobody forgets one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Arguments;
use Mulberry::Cluster;
use Mulberry::WorkingCalls;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant LOUD => 20_000;    # bytes of a line of the log; the longest statement of this program has fewer

# In an encoding of which one byte is no character of Unicode, with clients that want UTF-8.
my $node = mulberry_cluster('texts', preload => 0, init => [ extra => [ '--encoding=WIN1252', '--locale=C' ] ]);
sub sql { return $node->safe_psql('postgres', shift) }

make_working_place($node);
sql('CREATE ROLE everywhere_admin');    # some call wants it

# Fails unless all that is stored can be read, numbered, linked and sent.
sql(<<'SQL');
CREATE FUNCTION public.render() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    shown regclass;
    bytes bigint;
BEGIN
    PERFORM mulberry_internal.number_events();
    PERFORM mulberry_internal.link_audit();
    FOR shown IN SELECT c.oid FROM pg_class c
                  WHERE c.relkind IN ('r', 'v') AND c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
                    AND c.relname !~ '_entry$'
    LOOP
        EXECUTE format('SELECT sum(length(convert_to(to_jsonb(s)::text, ''UTF8''))) FROM %s s', shown) INTO bytes;
    END LOOP;
    PERFORM count(length(convert_to(mulberry_internal.event_message(e.event, c.call_id, t.name, e.seq, e.created_at, e.payload, 7999)::text, 'UTF8')))
       FROM mulberry_internal.events e JOIN mulberry_internal.tenants t ON t.id = e.tenant LEFT JOIN mulberry_internal.calls c ON c.id = e.call;
    PERFORM count(length(convert_to(to_jsonb(e)::text, 'UTF8'))) FROM mulberry.events_since(0, 1000, 'north') e;
    PERFORM count(length(convert_to(to_jsonb(h)::text, 'UTF8'))) FROM mulberry.health() h;
    PERFORM count(*) FROM mulberry.verify_audit('north');
    PERFORM mulberry.maintenance();
    IF EXISTS (SELECT FROM mulberry_internal.set_aside) THEN
        RAISE EXCEPTION 'set aside: %', (SELECT string_agg(s.unit || ' ' || s.item || ' ' || s.error, E'\n') FROM mulberry_internal.set_aside s);
    END IF;
    IF EXISTS (SELECT FROM mulberry_internal.events WHERE seq IS NULL) OR EXISTS (SELECT FROM mulberry_internal.audit WHERE seq IS NULL) THEN
        RAISE EXCEPTION 'something has no number';
    END IF;
END
$$;
SQL

# ---- every argument ----

my %limit = map { split /\|/ } split /\n/, sql('SELECT argument, max_bytes FROM mulberry_internal.text_limits()');
my @arguments = text_arguments($node);
my %bad = (
    long => 'repeat(\'x\', %d)',
    unencodable => q{convert_from('\x61816b', 'WIN1252')},
    control => q{E'a\x01\x1b[2J\x7f\x08"\\\\k'});
my $script = "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP 0\nSET statement_timeout = '120s';\n";
my @tried;
foreach my $argument (@arguments)
{
    my ($function, $identity, $name, $type, $place, $volatility) = @$argument;
    my $work = working_call($function) // working_call("FUNCTION mulberry.$identity") or next;
    foreach my $how (sort keys %bad)
    {
        next if $type =~ /bytea/ && $how eq 'unencodable';
        my $value = sprintf $bad{$how}, $limit{$name} ? 2_000_000 : 5_000_000;
        $value = "convert_to($value, 'UTF8')" if $type =~ /bytea/;
        # JSON may not be what the function reads, but then it has said so
        $value = "jsonb_build_object($value, $value)" if $type eq 'jsonb';
        $value = "ARRAY[$value]" if $type =~ /\[\]/;
        my $call = with_argument($work->{call}, $function, $name, $place, $value);
        push @tried, [ $how, "$identity: $name", defined $call, $volatility ];
        $call //= 'SELECT';
        my $before = $work->{before};
        # what is about something of its own has a name of its own
        $_ =~ s/%s/'own' . @tried/ge foreach $before, $call;
        $before .= ';' if $before !~ /(?:^|;|\\gset)\s*$/;
        my ($begin, $end) = $work->{kind} eq 'alone' ? ('SELECT', 'SELECT') : ('BEGIN', 'ROLLBACK');
        $script .= "\\o /dev/null\n$begin;\n$before\n\\warn --call--\n$call;\n"
          . "\\if :ERROR\n\\else\n\\warn --taken--\nSELECT public.render();\n\\endif\n$end;\n\\o\n\\warn --next--\n";
    }
}
my $err;
$node->psql('postgres', $script, stderr => \$err, on_error_stop => 0);
my @answers = split /^.*--next--\n?/m, $err, -1;
cmp_ok(scalar @tried, '>', 400, 'there are arguments to try');
is($#answers, scalar @tried, 'all of them were tried');
my (@untried, @bad, %count);
foreach my $i (0 .. $#tried)
{
    my ($how, $what, $possible, $volatility) = @{ $tried[$i] };
    my ($before, $answer) = split /^.*--call--\n?/m, $answers[$i], 2;
    push @untried, "$what: $before" if !$possible || $before =~ /ERROR/;
    my ($error, $rendered) = split /^.*--taken--\n?/m, $answer // '', 2;
    my ($state) = $error =~ /ERROR:  (\w{5}):/;
    my $fine =
        defined $rendered ? $rendered !~ /ERROR/
      : !$state ? 0
      : $state =~ /^(?:22|54)/ ? 1
      # what has such a name is looked for, and the answer says that there is none, or it is no word of a list
      : $how eq 'control' ? $state =~ /^(?:42704|42602|0LP01|58P01|28P01)/
      : 0;
    push @bad, "$how $what: " . substr($answer // $before, 0, 300) if !$fine || length $answers[$i] > LOUD;
    $count{$how . (defined $rendered ? ' taken' : ' refused')}++;
}
diag($_) foreach @untried, @bad;
is_deeply(\@untried, [], 'each call was made with the argument in question');
is_deeply(\@bad, [], 'what is too long or no text is refused for that, and what is taken can be shown, sent, numbered and linked');
note("$_: $count{$_}") foreach sort keys %count;
cmp_ok($count{'long refused'}, '>', 100, 'much is too long');
cmp_ok($count{'unencodable refused'}, '>', 100, 'much is no text of UTF-8');
my ($longest) = sort { $b <=> $a } map { length } split /\n/, slurp_file($node->logfile);
cmp_ok($longest, '<', LOUD, 'no line of the log is long');

$node->stop;
done_testing();
