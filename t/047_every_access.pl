# Everything that access_objects() gives to an access works for it, once with arguments of a real success,
# and for nobody else: with the access to one tenant, or to all where that is asked for.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::WorkingCalls;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('every_access', preload => 0);
sub sql { return $node->safe_psql('postgres', shift) }

make_working_place($node);
my @accesses = split /\n/, sql('SELECT unnest(mulberry_internal.access_names())');
foreach my $access (@accesses)
{
    sql("CREATE ROLE everywhere_$access LOGIN; SELECT mulberry.grant_access('everywhere_$access', '$access', NULL)");
    sql("CREATE ROLE north_$access LOGIN");
    sql("SELECT mulberry.grant_access('north_$access', '$access', " . ($access eq 'worker' ? 'NULL' : q{'north'}) . ')');
}

my (%holds, %objects);
foreach (split /\n/, sql(q{SELECT access || E'\t' || object FROM mulberry.access_objects() WHERE privilege <> 'USAGE'}))
{
    my ($access, $object) = split /\t/;
    $holds{$access}{$object} = $objects{$object} = 1;
}
my @without = grep { !working_call($_) } sort keys %objects;
is_deeply(\@without, [], 'everything has its working call in Mulberry::WorkingCalls');

my $place = 0;
foreach my $access (@accesses)
{
    foreach my $where ('north', 'everywhere')
    {
        my (@expected, @answers);
        # who may not call is refused whether there is something to call about or not
        my $script = "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP 0\n\\set job 0\n\\set token 0\n";
        foreach my $object (sort keys %objects)
        {
            my $work = working_call($object) or next;
            my $may = $holds{$access}{$object};
            my $why = !$may ? qr/ERROR:  42501: permission denied for/
              : $access eq 'gateway' && $work->{for_token} ? $work->{for_token}
              : $work->{kind} eq 'refuses' ? $work->{refusal}
              : $work->{kind} eq 'everywhere' && $where eq 'north' && $access ne 'worker' ? qr/ERROR:  42501: role "\w+" has no .* access to all tenants/
              : undef;
            push @expected, [ $object, $why ];
            # what is about something of its own has a name of its own
            my $own = 'own' . ++$place;
            my ($before, $call) = map { s/%s/$own/gr } @$work{qw(before call)};
            $before .= ';' if $before !~ /(?:^|;|\\gset)\s*$/;
            $call .= ';' if $call !~ /\n\\\.\n$/;
            if ($work->{kind} eq 'alone')
            {
                $script .= "\\o /dev/null\n$before\n\\o\n\\warn --call--\nSET ROLE ${where}_$access;\n$call\nRESET ROLE;\n";
            }
            else
            {
                $script .= "BEGIN;\n\\o /dev/null\n$before\n\\warn --call--\nSET LOCAL ROLE ${where}_$access;\n$call\n\\o\nROLLBACK;\n";
            }
            $script .= "\\warn --next statement--\n";
        }
        my ($out, $err);
        $node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
        @answers = split /^.*--next statement--\n?/m, $err, -1;
        pop @answers;
        is(scalar @answers, scalar @expected, "$access $where: everything was tried");

        my (@failed, @succeeded);
        foreach my $i (0 .. $#expected)
        {
            my ($object, $why) = @{ $expected[$i] };
            my ($before, $answer) = split /^.*--call--\n?/m, $answers[$i], 2;
            push @failed, "$object: before: $before" if ($before // '') =~ /ERROR/;
            $answer //= '';
            push @failed, "$object: $answer" if !$why && $answer =~ /ERROR/;
            push @succeeded, "$object: $answer" if $why && $answer !~ $why;
        }
        diag("$access $where: $_") foreach @failed, @succeeded;
        is_deeply(\@failed, [], "$access $where: what it is given works");
        is_deeply(\@succeeded, [], "$access $where: nothing else does");
    }
}

# what runs with the rights of the owner is in the audit of docs/security.md, which is what the script writes
{
    local $ENV{SECURITY_CHECK} = 1;
    $node->command_ok([ "$FindBin::RealBin/../scripts/security-table", '-d', $node->connstr('postgres') ],
        'docs/security.md says of every function with the rights of the owner what it reaches, who calls it, what it checks');
}

$node->stop;
done_testing();
