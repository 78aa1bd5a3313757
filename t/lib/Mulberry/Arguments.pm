# The working calls of Mulberry::WorkingCalls taken apart, for tests that try every argument of every function
# that users may call with something odd.
package Mulberry::Arguments;

use strict;
use warnings;

use Exporter 'import';
our @EXPORT = qw(text_arguments with_argument);

# The arguments between the parentheses that open at a place of a text: [ begin, length, name or nothing ] each.
sub arguments
{
    my ($text, $from) = @_;
    my ($depth, $begin, $at, @found) = (1, $from, $from);
    while ($depth > 0)
    {
        my $c = substr $text, $at, 1;
        die "no end of arguments: $text" if $c eq '';
        $at = index $text, "'", $at + 1 if $c eq "'";
        $depth++ if $c =~ /[(\[]/;
        $depth-- if $c =~ /[)\]]/;
        if ($depth == 0 || ($depth == 1 && $c eq ','))
        {
            my $argument = substr $text, $begin, $at - $begin;
            push @found, [ $begin, $at - $begin, $argument =~ /^\s*(\w+)\s*=>/ ? $1 : undef ] if $argument =~ /\S/;
            $begin = $at + 1;
        }
        $at++;
    }
    return @found;
}

# The call with another value of one argument, by its name and its place; a function makes it of what was given.
sub with_argument
{
    my ($call, $function, $name, $place, $value) = @_;
    $call =~ /\Q$function\E\(/g or return;
    my @given = arguments($call, pos $call);
    my $end = @given ? $given[-1][0] + $given[-1][1] : pos $call;
    foreach my $i (0 .. $#given)
    {
        my ($begin, $length, $given) = @{ $given[$i] };
        if (defined $given ? $given eq $name : $i == $place)
        {
            my ($was) = substr($call, $begin, $length) =~ /^\s*(?:\w+\s*=>)?\s*(.*)$/s;
            $value = $value->($was) if ref $value;
            substr $call, $begin, $length, defined $given ? "$name => $value" : $value;
            return $call;
        }
    }
    return if ref $value;
    substr $call, $end, 0, (@given ? ', ' : '') . "$name => $value";
    return $call;
}

# [ function, its identity, the argument's name, its type, its place, its volatility, may it be left out ] of each argument.
sub text_arguments
{
    my ($node) = @_;
    return map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT 'mulberry.' || p.proname, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', a.name, a.type, a.place - 1, p.provolatile,
       CASE WHEN a.place > p.pronargs - p.pronargdefaults THEN 't' ELSE 'f' END
  FROM pg_proc p
 CROSS JOIN LATERAL (SELECT coalesce(p.proargnames[n], '') AS name, t::regtype AS type,
                            row_number() OVER (ORDER BY n) AS place, coalesce(p.proargmodes[n], 'i') AS mode
                       FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS u (t, n)
                      WHERE coalesce(p.proargmodes[n], 'i') IN ('i', 'v')) AS a
 WHERE p.pronamespace = 'mulberry'::regnamespace AND a.type::text ~ '^(text|jsonb|bytea)(\[\])?$' AND a.mode = 'i'
   AND EXISTS (SELECT FROM mulberry.access_objects() o WHERE o.object ~ ('^(FUNCTION |PROCEDURE )?mulberry[.]' || p.proname || '\M'))
 ORDER BY 1, 2, 5
SQL
}

1;
