# Who loses access hears nothing more, however far its subscribe() had come; whoever
# still has it is told to subscribe again; and revoking waits for none of them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Subscriber;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('subscribe_revoke', conf => 'mulberry.workers = 0');

# Whatever waits for an open transaction here would wait for good.
sub sql { return $node->safe_psql('postgres', "SET lock_timeout = '5s'; " . shift) }

my ($tenants, $secrets) = (0, 0);

# A tenant of its own, two roles that may hear it, and something that happens in it.
sub new_tenant
{
    my $tenant = 'tenant' . ++$tenants;
    sql(<<"SQL");
SELECT FROM mulberry.create_tenant('$tenant');
CREATE ROLE ${tenant}_leaves LOGIN; CREATE ROLE ${tenant}_stays LOGIN;
SELECT FROM mulberry.grant_access('${tenant}_leaves', 'supervisor', '$tenant');
SELECT FROM mulberry.grant_access('${tenant}_stays', 'supervisor', '$tenant');
SQL
    return $tenant;
}

# An event that is known by the id of its call.
sub emit
{
    my ($tenant, $name) = @_;
    sql(<<"SQL");
SELECT mulberry_internal.emit_event(id, 'call_erased', NULL, '$name', '{"role": "tester"}')
  FROM mulberry_internal.tenants WHERE name = '$tenant'
SQL
    return;
}

sub happens
{
    my ($tenant, $event) = @_;
    emit($tenant, $event);
    # NOTIFY comes in the order in which it was sent: when this has come, so has the event, if it was sent
    my $all = Mulberry::Subscriber->new($node, subscribe => 0);
    $all->subscribe($tenant);
    my $marker = 'marker' . ++$secrets;
    emit($tenant, $marker);
    $all->take_until_call($marker);
    $all->quit;
}

sub revoke
{
    my ($tenant) = @_;
    sql("SELECT mulberry.revoke_access('${tenant}_leaves', 'supervisor', '$tenant')");
}

sub session
{
    my ($tenant, $who) = @_;
    return Mulberry::Subscriber->new($node, role => "${tenant}_$who", subscribe => 0);
}

sub heard
{
    my ($session) = @_;
    $session->query('SELECT;');
    return grep { !/^(?:marker|resync)/ } map { $_->{call_id} // $_->{event} } $session->take;
}

# How far subscribe() has come when access is revoked: the channel exists already or is made here.
foreach my $known (1, 0)
{
    foreach my $isolation ('READ COMMITTED', 'REPEATABLE READ')
    {
        my $what = ($known ? 'a known channel, ' : 'a new channel, ') . $isolation;
        my $tenant = new_tenant();
        session($tenant, 'stays')->subscribe if $known;

        my ($before, $during, $stays) = map { session($tenant, $_) } qw(leaves leaves stays);
        $before->subscribe if $known;
        $_->query("BEGIN ISOLATION LEVEL $isolation;"), $_->subscribe foreach $during, $stays;
        revoke($tenant);
        pass("$what: revoking waits for no open subscribe()");
        my $after = session($tenant, 'leaves');
        $after->query('SELECT tenant FROM mulberry.subscribe();');
        happens($tenant, 'between');
        $_->query('COMMIT;') foreach $during, $stays;
        happens($tenant, 'later');
        is_deeply([ grep { $_ ne 'resubscribe' } heard($_) ], [], "$what: who lost access hears nothing more")
          foreach $before, $during, $after;
        $stays->take_until_event('resubscribe') if $known;
        $stays->query('SELECT;');
        # with a channel of its own making it hears on
        $stays->take_until(sub { ($_->{call_id} // $_->{event}) =~ /^(?:resubscribe|later)$/ }) if !$known;
        $stays->subscribe;
        happens($tenant, 'again');
        ok((grep { $_ eq 'again' } heard($stays)), "$what: who has kept it is told to subscribe again, and hears on");
        is_deeply([ grep { $_ eq 'again' } heard($_) ], [], '... and they still nothing') foreach $before, $during, $after;
        $_->quit foreach $before, $during, $after, $stays;
    }
}

# A channel that everybody has left is not kept alive by rows about it, and open subscriptions keep others from nothing.
{
    my $tenant = new_tenant();
    my $open = session($tenant, 'leaves');
    $open->query('BEGIN;');
    $open->subscribe;
    my $stays = session($tenant, 'stays');
    $stays->subscribe;
    pass('the second subscriber of a tenant does not wait for the first');
    revoke($tenant);
    sql("SELECT mulberry.grant_access('${tenant}_leaves', 'auditor', '$tenant')");
    pass('nor does any other grant');
    $open->query('COMMIT;');
    wait_for_true($node, q{SELECT NOT EXISTS (SELECT FROM mulberry_internal.channel_listeners l
        WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.channel = l.channel))}, 'nothing is kept about channels that are gone');
    $_->quit foreach $open, $stays;
}

# An administrator who leaves a grant open does not keep his own access by that.
{
    sql(q{CREATE ROLE chief LOGIN; SELECT mulberry.grant_access('chief', 'admin', NULL); CREATE ROLE friend});
    my $chief = Mulberry::Subscriber->new($node, role => 'chief', subscribe => 0);
    $chief->query(q{BEGIN; SELECT FROM mulberry.grant_access('friend', 'admin', NULL);});
    sql(q{SELECT mulberry.revoke_access('chief', 'admin', NULL)});
    is(sql(q{SELECT string_agg(role::text, ' ') FROM mulberry_internal.members WHERE access = 'admin'}), '',
        'nor does whom it revokes hold revoke_access() up with a grant of its own');
    eval { $chief->query('SELECT;') };
    like($chief->{stderr}, qr/terminating connection/, '... whose session is ended');
}

$node->stop;
done_testing();
