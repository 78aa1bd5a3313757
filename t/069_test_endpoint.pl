# test_endpoint(): what a service answers to two seconds of speech, and that nothing else notices.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('test_endpoint');
my $more = 'allow_http => true, allow_private => true';
$node->safe_psql('postgres', "COPY mulberry.secret_entry (name, value) FROM stdin;\nkey\tsk-do-not-show-it\n\\.\n");

sub one
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql);
}

# Sets the endpoint "ai" and tests it: status, whether it took a time, answer, error.
sub tested
{
    my ($behaviour, $setting) = @_;
    $setting = defined $setting ? ", $setting" : '';
    one("SELECT mulberry.set_endpoint('ai', 'openai', '@{[ $ai->url($behaviour) ]}/v1', $more$setting)") if defined $behaviour;
    my ($status, $duration, $answer, $error) = split /\|/, one("CALL mulberry.test_endpoint('ai')"), 4;
    return join '|', $status, length $duration ? 'timed' : '', $answer, $error;
}

subtest 'what comes back' => sub {
    is(tested('says-one-two', "secret => 'key'"), '200|timed|one two|', 'the words');
    my ($sent) = $ai->requests('says-one-two');
    is($sent->{heard}{rate}, 8000, 'speech of 8 kHz was sent');
    cmp_ok(abs($sent->{heard}{samples} / 8000 - 2), '<', 0.05, 'for two seconds');
    cmp_ok($sent->{heard}{silent}, '<', $sent->{heard}{samples} / 4, 'most of which is no silence');
    is($sent->{key}, 'sk-do-not-show-it', 'with the key');
    is($sent->{path}, '/v1/audio/transcriptions', 'where calls go');

    is(tested('echo-403', "secret => 'key'") =~ s/"Bearer .*/"/sr, '403|timed||HTTP 403: {"error":{"message":"', 'a refusal as it was');
    unlike(tested(undef), qr/do-not-show/, 'without the key that it repeats');
    is(tested('down'), '503|timed||HTTP 503: {"error":{"message":"stand-in says 503"}}', 'an error of the service');
    is(tested('not-json'), '200|timed||the answer cannot be used: it is not JSON (text/html): <html>Bad Gateway</html>',
        'an error with 200');
    like(tested('hang', "timeout => '300 ms'"), qr/^\|timed\|\|.*timed out/i, 'no answer');
    is(tested('retry-after-60'), '429|timed||HTTP 429: {"error":{"message":"stand-in says 429"}}', 'come back later');
    like(tested('refuses-verbose_json'), qr/^200\|timed\|thank you, that was wonderful: \d+ samples, \d+ silent\|$/,
        'what a model does not take is left out');
    is(tested('ok', "secret => 'no-such-key'"), '|||secret "no-such-key" does not exist', 'a secret that is not there');
    one("SELECT mulberry.set_endpoint('ai', 'openai', 'http://127.0.0.1:1/v1', $more)");
    like(tested(undef), qr/^\|timed\|\|.*connect/i, 'nobody listens');
    one("SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url('ok') ]}', $more)");
    like(tested(undef), qr/^200\|timed\|\d+ samples, \d+ silent\|$/, 'kind json');
    one("SELECT mulberry.set_endpoint('ai', 'openai', '@{[ $ai->url('ok') ]}/v1', purpose => 'chat', model => 'm', $more)");
    is(tested(undef), '200|timed|negative|', 'one for chat judges a sentence');
    like(($ai->requests('ok'))[-1]{fields}{messages}[-1]{content}, qr/wonderful/, 'which is sent');
};

subtest 'nothing else notices' => sub {
    my $sent = $ai->requests('down');
    one("SELECT mulberry.set_endpoint('ai', 'openai', '@{[ $ai->url('down') ]}/v1', $more)");
    like(tested(undef), qr/^503/, "test $_ fails") for 1 .. 6;
    is($ai->requests('down') - $sent, 6, 'each is one request');
    is(one("SELECT breaker || ' ' || last_error FROM mulberry.endpoint_status WHERE name = 'ai'"), '', 'the endpoint is not out for it');
    is(one("SELECT count(*) FROM mulberry_internal.endpoint_state"), '0', 'nothing is known of it');
    is(one("SELECT string_agg(DISTINCT event, ' ') FROM mulberry_internal.events"), '', 'no event');
    is(one('SELECT count(*) FROM mulberry_internal.calls'), '0', 'no call');
    is(one("SELECT string_agg(DISTINCT kind || ' ' || state, ',') FROM mulberry.jobs"), 'test done', 'no job is dead');

    # one that is out, or disabled, is asked all the same, and the calls wait as before
    one("SELECT mulberry.ingest_packet('waits', 0, decode(repeat('002000e0', 800), 'hex'), NULL, 's16le', 8000)");
    one("SELECT mulberry.complete_call('waits', 1)");
    wait_for_true($node, "SELECT breaker = 'open' FROM mulberry.endpoint_status WHERE name = 'ai'", 'it is out');
    one("SELECT mulberry.alter_endpoint('ai', enabled => false)");
    $sent = $ai->requests('down');
    like(tested(undef), qr/^503/, 'one that is out and disabled is tested');
    is($ai->requests('down') - $sent, 1, 'by one request');
    is(one("SELECT held_because FROM mulberry.jobs WHERE call_id = 'waits'"), 'endpoint "ai" is disabled', 'the call waits');
    is(one("SELECT attempts FROM mulberry.jobs WHERE call_id = 'waits'"), '0', 'at no cost');
    is(one("SELECT breaker FROM mulberry.endpoint_status WHERE name = 'ai'"), 'open', 'for an endpoint that is out as before');
};

subtest 'who may, and what is wrong' => sub {
    my $says = sub {
        my ($sql) = @_;
        my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql");
        return $err =~ s/.*ERROR:\s+//sr;
    };
    one("SELECT mulberry.set_endpoint('all', 'json', '@{[ $ai->url('ok') ]}', tenant => NULL, $more)");
    one("SELECT mulberry.set_endpoint('tw', 'twilio', purpose => 'telephony', secret => 'key', options =>
        '{\"account_sid\": \"AC00000000000000000000000000000001\", \"from\": \"+15005550006\"}')");
    is($says->("CALL mulberry.test_endpoint('nobody')"), '42704', 'no such endpoint');
    is($says->("CALL mulberry.test_endpoint('all')"), '42704', 'one of all tenants');
    like(one("CALL mulberry.test_endpoint('all', NULL)"), qr/^200/, 'is said to be that');
    is($says->("CALL mulberry.test_endpoint('tw')"), '22023', 'telephones are not for speech');
    is($says->("BEGIN; CALL mulberry.test_endpoint('ai')"), '25001', 'not in a transaction block');
    is($says->('SELECT mulberry.endpoint_test(-1)'), '42704', 'no such test');
    one("CREATE ROLE operates LOGIN; SELECT mulberry.grant_access('operates', 'operator')");
    is($says->("SET ROLE operates; CALL mulberry.test_endpoint('ai')"), '42501', 'an operator may not');
    one("CREATE ROLE other_admin LOGIN; SELECT mulberry.create_tenant('other')");
    one("SELECT mulberry.grant_access('other_admin', 'admin', 'other')");
    is($says->("SET ROLE other_admin; CALL mulberry.test_endpoint('ai')"), '42704', 'nor another tenant\'s admin');
    is($says->("SET ROLE other_admin; CALL mulberry.test_endpoint('all', NULL)"), '42501', 'for all tenants');
    my $test = one('SELECT max(id) FROM mulberry_internal.job_history');
    is($says->("SET ROLE other_admin; SELECT * FROM mulberry.endpoint_test($test)"), '42704', 'nor the tests of others');
};

subtest 'without workers' => sub {
    my $alone = mulberry_cluster('alone', preload => 0);
    $alone->safe_psql('postgres', "SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url('ok') ]}', $more)");
    my ($status, $out, $err) = $alone->psql('postgres', "CALL mulberry.test_endpoint('ai', patience => '0.3 s')");
    like("$out $err", qr/no worker has done it.*run_jobs\(\)/s, 'it says so');
    is($alone->safe_psql('postgres', "SELECT state FROM mulberry.jobs"), 'cancelled', 'and gives it up');
    my $session = open_session($alone);
    $session->query_until(qr/asked/, "\\echo asked\nCALL mulberry.test_endpoint('ai');\n");
    wait_for_true($alone, "SELECT count(*) = 1 FROM mulberry_internal.job_queue", 'a test waits');
    $alone->safe_psql('postgres', 'CALL mulberry.run_jobs()');
    like($session->query('SELECT 1'), qr/\d+ samples/, 'run_jobs() does it');
    $session->quit;
    $alone->stop;
};

$node->stop;
$ai->stop;
done_testing();
