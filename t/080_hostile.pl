# What hostile senders, services, tenants and roles try: each part breaks in where
# the server once let somebody in, or fall over.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new("$PostgreSQL::Test::Utils::tmp_check/stand-in.log");
my $node = mulberry_cluster('hostile', conf => <<'CONF');
mulberry.http_timeout = 5
mulberry.grace_period = 0
restart_after_crash = off
CONF

sub one
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql);
}

# Calls of a few bytes are stored with a short header, which the body of a
# request was once made from as if it were a long one.
subtest 'a sender sends a call of one sample' => sub {
    my $url = $ai->url('ok');
    one("SELECT mulberry.set_endpoint('ai', 'json', '$url', allow_http => true, allow_private => true)");
    one("SELECT mulberry.ingest_packet('tiny', 0, '\\x0102', NULL, 's16le', 8000);
         SELECT mulberry.complete_call('tiny', 1)");
    ok($node->poll_query_until('postgres',
            "SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry.calls WHERE call_id = 'tiny'"),
        'it is processed');
    is(one("SELECT transcription FROM mulberry.calls WHERE call_id = 'tiny'"), '1 samples, 0 silent',
        'the service got that sample and nothing else');
};

$node->stop;
done_testing();
