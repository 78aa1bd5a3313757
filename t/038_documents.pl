# What the documentation says of the catalogues is what they have; scripts/documents writes it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run qw(run);
use Mulberry::Cluster;
use Mulberry::Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/..";
my $node = mulberry_cluster('documents');

sub written { return $node->safe_psql('postgres', slurp_file("$top/scripts/$_[0].sql")) }

my ($states) = slurp_file("$top/docs/architecture.md") =~
  /^<!-- written by scripts\/documents from state_machines\(\) -->\n(.*?)^<!-- end of what scripts\/documents writes -->\n/ms;
my $drawn = written('states');
like($drawn, qr/^    outstanding --> waiting : /m, 'the state machines are drawn');
is($states, "$drawn\n", 'docs/architecture.md draws them as they are');

my $events = written('events');
like($events, qr/^### ai_completed$/m, 'the events are described');
is(slurp_file("$top/docs/events.md"), "$events\n", 'docs/events.md describes them as they are');

my $metrics = written('metrics');
like($metrics, qr/^\| `mulberry_packets_total` \| counter \| `outcome` \|/m, 'the metrics are described');
# without a database, which none of it asks
{

    package Nowhere;
    sub host { return '/nowhere' }
    sub port { return 5432 }
}
my $said = ask_admin(start_gateway((bless {}, 'Nowhere'), '--twilio-listen', '127.0.0.1:0', '--metrics-token', 'none'), '/metrics')->{content};
run([ "$top/scripts/gateway-metrics" ], '<', \$said, '>', \my $own) or die;
like($own, qr/^\| `mulberry_gateway_packets_total` \| counter \| `status` \|/m, 'and those of a gateway');
is(slurp_file("$top/docs/metrics.md"), "$metrics\n$own", 'docs/metrics.md describes them as they are');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT metric, ' ') FROM mulberry.metrics(true) WHERE type IS NULL"), '', 'and there are no others');

$node->stop;
done_testing();
