# Each function that users may call, with each of its texts as a column of another collation would give it, and with
# an empty text where null is meant: the collation changes nothing, and what is empty is refused or
# does what null does.  From what access_objects() gives and the working calls of t/lib, so that nobody forgets one.
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

my $node = mulberry_cluster('odd_arguments', preload => 0, init => [ extra => [ '--encoding=UTF8', '--locale=C' ] ]);
sub sql { return $node->safe_psql('postgres', shift) }

make_working_place($node);
sql('CREATE ROLE everywhere_admin');    # some call wants it

# One that compares otherwise than the database does, and, where there is ICU, one in which things are equal that are
# not the same, and one in which i is no small I.
my @collations = ('"POSIX"');
if (sql(q{SELECT count(*) FROM pg_collation WHERE collprovider = 'i'}) > 0)
{
    sql(q{CREATE COLLATION public.alike (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false)});
    sql(q{CREATE COLLATION public.turkish (PROVIDER = icu, LOCALE = 'tr-TR')});
    push @collations, 'public.alike', 'public.turkish';
}

# Empty texts in tables, but for those that are one: what was heard may be nothing, and a list have no phrases.
sql(<<'SQL');
CREATE FUNCTION public.empty_texts() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    here record;
    found bigint;
BEGIN
    FOR here IN SELECT c.oid::regclass AS of, quote_ident(a.attname) AS name, a.atttypid = 'text'::regtype AS is_text
               FROM pg_attribute a
               JOIN pg_class c ON c.oid = a.attrelid
              WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'mulberry_internal'::regnamespace
                AND a.attnum > 0 AND a.atttypid IN ('text'::regtype, 'text[]'::regtype)
                AND (c.relname, a.attname) NOT IN (('calls', 'transcription'), ('segments', 'text'), ('voice_calls', 'transcript'),
                                                  ('conversations', 'lists'))
    LOOP
        EXECUTE format(CASE WHEN here.is_text THEN 'SELECT count(*) FROM %s WHERE %s = ''''' ELSE 'SELECT count(*) FROM %s WHERE '''' = ANY (%s)' END,
                       here.of, here.name) INTO found;
        IF found > 0 THEN
            RETURN NEXT format('%s.%s', here.of, here.name);
        END IF;
    END LOOP;
END
$$;
SQL
is(sql('SELECT count(*) FROM public.empty_texts()'), '0', 'no text is empty before');

# ---- every argument ----

my @tried;
my $script = "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP 0\nSET statement_timeout = '60s';\n";

# Adds a call of a function with one of its arguments made odd.
sub try_argument
{
    my ($how, $argument, $value, $work) = @_;
    my ($function, $identity, $name, $type, $place) = @$argument;
    my $call = with_argument($work->{call}, $function, $name, $place, $value) // return;
    push @tried, { how => $how, what => "$identity: $name", name => $name, kind => $work->{kind} };
    my $before = $work->{before};
    # what is about something of its own has a name of its own
    $_ =~ s/%s/'own' . @tried/ge foreach $before, $call;
    $before .= ';' if $before !~ /(?:^|;|\\gset)\s*$/;
    my ($begin, $end) = $work->{kind} eq 'alone' ? ('SELECT', 'SELECT') : ('BEGIN', 'ROLLBACK');
    $script .= "\\o /dev/null\n$begin;\n$before\n\\o\n\\warn --call--\n$call;\n\\o /dev/null\n"
      . "\\if :ERROR\n\\else\n\\warn --taken--\n\\o\n\\qecho --empty--\nSELECT public.empty_texts();\n\\o /dev/null\n\\endif\n$end;\n\\o\n"
      . "\\qecho --next--\n\\warn --next--\n";
    return;
}

foreach my $argument (text_arguments($node))
{
    my ($function, $identity, $name, $type) = @$argument;
    next if $type !~ /^text/;
    my $work = working_call($function) // working_call("FUNCTION mulberry.$identity") or next;
    foreach my $collation (@collations)
    {
        try_argument("collation $collation", $argument, sub { "CAST($_[0] AS $type) COLLATE $collation" }, $work);
    }
    try_argument('null', $argument, $type eq 'text' ? 'NULL' : 'ARRAY[NULL]::text[]', $work);
    try_argument('empty', $argument, $type eq 'text' ? q{''} : q{ARRAY['']}, $work);
}
my ($out, $err);
$node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
my @said = split /^.*--next--\n?/m, $err, -1;
my @shown = split /^--next--\n?/m, "$out\n", -1;
cmp_ok(scalar @tried, '>', 500, 'there are arguments to try');
is_deeply([ $#said, $#shown ], [ scalar @tried, scalar @tried ], 'all of them were tried');
foreach my $i (0 .. $#tried)
{
    my $t = $tried[$i];
    my ($before, $answer) = split /^.*--call--\n?/m, $said[$i], 2;
    $t->{untried} = 1 if $before =~ /ERROR/;
    ($t->{error}, $t->{taken}) = split /^.*--taken--\n?/m, $answer // '', 2;
    ($t->{state}) = $t->{error} =~ /ERROR:  (\w{5}):/;
    ($t->{result}, $t->{empty}) = split /^--empty--\n?/m, $shown[$i] // '', 2;
    # numbers, ids and times differ from call to call
    $t->{result} =~ s/[0-9a-f]{4,}|[0-9]+/N/g;
}
is_deeply([ map { $_->{what} } grep { $_->{untried} } @tried ], [], 'each call was made with the argument in question');

# ---- collations ----

my @bad = map { "$_->{how} $_->{what}: $_->{error}" } grep { $_->{how} =~ /^collation/ && !defined $_->{taken} && $_->{kind} ne 'refuses' } @tried;
diag($_) foreach @bad;
is_deeply(\@bad, [], 'the collation of an argument changes nothing');

# ---- nothing ----

# Where nothing is something to look at, and the answer tells what is wrong with it; null is no question.
my $looked_at = qr/^(?:ack_frame_parse.*:[ ]frame|command_frame_parse.*:[ ]frame|command_verify.*:[ ]sequence|handle_command_symbols.*:[ ]symbols
                     |handle_twilio_(?:request|webhook).*:[ ]url|search_calls.*:[ ]query|twilio_signature.*:[ ]\w+|sentiment\(.*:[ ])$/x;
@bad = ();
my %count;
foreach my $i (grep { $tried[$_]->{how} eq 'empty' } 0 .. $#tried)
{
    my ($null, $empty) = @tried[ $i - 1, $i ];
    if (defined $empty->{taken})
    {
        $count{taken}++;
        push @bad, "$empty->{what}: keeps nothing as a text: $empty->{empty}" if $empty->{empty} ne '';
        # the answer to each packet of several
        next if $empty->{what} =~ $looked_at || $empty->{result} =~ /^error\|/;
        push @bad, "$empty->{what}: takes '' and not null: $null->{error}" if !defined $null->{taken};
        push @bad, sprintf "%s: '' is not null:\n%.300sinstead of\n%.300s", $empty->{what}, $empty->{result}, $null->{result}
          if defined $null->{taken} && $empty->{result} ne $null->{result};
    }
    else
    {
        $count{refused}++;
        push @bad, "$empty->{what}: $empty->{error}" if ($empty->{state} // '') !~ /^(?:22(?!P02|000)|42704|42602|58P01|28P01|0LP01|54)/;
    }
}
diag($_) foreach @bad;
is_deeply(\@bad, [], 'an empty text is refused, or does what null does');
note("$_: $count{$_}") foreach sort keys %count;

$node->stop;
done_testing();
