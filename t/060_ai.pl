# Transcription of calls by a service that works, fails, stalls and lies: what
# the workers ask, how often, and what becomes of the calls.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('ai', conf => <<'CONF');
mulberry.http_timeout = 120
mulberry.grace_period = 500
mulberry.max_response_size = 1MB
CONF

my $endpoint_options = 'allow_http => true, allow_private => true';

# Makes the endpoint "ai" of the default tenant behave in some way.
sub endpoint
{
    my ($behaviour, $more, $kind) = @_;
    $kind //= 'openai';
    $more = defined $more ? ", $more" : '';
    my $url = $ai->url($behaviour) . ($kind eq 'openai' ? '/v1' : '');
    $node->safe_psql('postgres',
        "SELECT mulberry.set_endpoint('ai', '$kind', '$url', $endpoint_options$more)");
    return;
}

# A call of 8 kHz PCM with packets of 20 ms of a loud tone, without those at the given places.
sub audio_call
{
    my ($call_id, $total, @lost) = @_;
    my $lost = join(',', -1, @lost);
    $node->safe_psql('postgres', <<"SQL");
SELECT count(mulberry.ingest_packet('$call_id', n, decode(repeat('002000e0', 80), 'hex'), NULL, 's16le', 8000))
  FROM generate_series(0, $total - 1) AS n WHERE n <> ALL (ARRAY[$lost]);
SELECT mulberry.complete_call('$call_id', $total);
SQL
    return;
}

sub wait_for_state
{
    my ($call_id, $state, $what) = @_;
    my $ok = $node->poll_query_until('postgres',
        "SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry_internal.calls WHERE call_id = '$call_id'");
    is($node->safe_psql('postgres', "SELECT state FROM mulberry_internal.calls WHERE call_id = '$call_id'"),
        $state, $what) or diag job_of($call_id);
    return;
}

sub job_of
{
    my ($call_id) = @_;
    return $node->safe_psql('postgres',
        "SELECT state, attempts, deferrals, last_error, held_because FROM mulberry.jobs WHERE call_id = '$call_id'");
}

sub one
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql);
}

subtest 'a call that never had a packet' => sub {
    endpoint('ok');
    my $asked = $ai->requests;
    one("SELECT mulberry.begin_call('never', 'inbound', '+12025550123', tracks => '{caller,agent}', encoding => 'mulaw', sample_rate => 8000)");
    # neither its begin nor a track that is silent in good time completes it
    maintain($node);
    is(one("SELECT state FROM mulberry.call_status WHERE call_id = 'never'"), 'IN_PROGRESS', 'is in progress, as long as it is not silent for too long');
    one("SET session_replication_role = replica; UPDATE mulberry_internal.calls SET updated_at = updated_at - interval '1 day' WHERE call_id = 'never'");
    one("UPDATE mulberry_internal.tracks t SET updated_at = t.updated_at - interval '1 day' FROM mulberry_internal.calls c WHERE c.id = t.call AND c.call_id = 'never'");
    maintain($node);
    wait_for_state('never', 'FAILED', 'is completed by its silence, and fails');
    is(one("SELECT failure_reason FROM mulberry.call_status WHERE call_id = 'never'"), 'AI service failed: the call has no packets', '... which says why');
    is(job_of('never'), 'dead|1|0|the call has no packets|', '... at the first attempt');
    is(scalar($ai->requests), $asked, '... and nobody was asked');
    is(one("SELECT coalesce(mulberry.call_transcript('never'), 'null') || ' ' || (SELECT count(*) FROM mulberry.call_speech('never'))"), 'null 0', '... it has no transcript and no speech');
};

subtest 'a call with missing packets is transcribed all the same' => sub {
    endpoint('ok', "model => 'whisper-1', options => '{\"language\": \"en\", \"prompt\": \"telephone\"}'");
    audio_call('gaps', 10, 3, 4, 9);
    wait_for_state('gaps', 'ARCHIVED', 'the call is archived');
    is(one("SELECT transcription FROM mulberry_internal.calls WHERE call_id = 'gaps'"),
        'thank you, that was wonderful: 1600 samples, 480 silent',
        'the service heard ten packets, three of them silence');
    is(one("SELECT sentiment FROM mulberry_internal.calls WHERE call_id = 'gaps'"), 'positive', 'the lexicon judged it');
    is(one("SELECT ai_result->'missing_ranges' FROM mulberry_internal.calls WHERE call_id = 'gaps'"),
        '[[3, 4], [9, 9]]', 'the result names what was missing');
    is(one("SELECT ai_result->>'endpoint' || ' ' || (ai_result->>'model') || ' ' || (ai_result->>'attempts')
                   || ' ' || (ai_result->>'audio_seconds') || ' ' || (ai_result->>'request_id')
              FROM mulberry_internal.calls WHERE call_id = 'gaps'"),
        'ai whisper-1 1 0.20 req_1', 'and who transcribed it');
    my ($request) = $ai->requests('ok');
    is($request->{path}, '/v1/audio/transcriptions', 'path of the request');
    is_deeply($request->{fields},
        { model => 'whisper-1', response_format => 'verbose_json', 'timestamp_granularities[]' => 'segment,word', language => 'en',
          prompt => 'telephone' },
        'fields of the form');
    is($request->{heard}{rate}, 8000, 'sample rate of the WAV');
    is(one("SELECT string_agg(payload->>'from_state' || '>' || (payload->>'to_state'), ' ' ORDER BY id)
              FROM mulberry_internal.events WHERE event = 'state_changed' AND call_id = 'gaps'"),
        'IN_PROGRESS>COMPLETED COMPLETED>PROCESSING_AI PROCESSING_AI>ARCHIVED', 'each change of state has its event');
    is(one("SELECT payload->>'sentiment' FROM mulberry_internal.events WHERE event = 'ai_completed' AND call_id = 'gaps'"),
        'positive', 'ai_completed carries the result');
    is(one("SELECT state FROM mulberry.jobs WHERE call_id = 'gaps'"), 'done', 'the job is done');
    is(one('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'and out of the queue');
};

subtest 'a service of kind json' => sub {
    endpoint('ok', undef, 'json');
    audio_call('json', 5, 2);
    wait_for_state('json', 'ARCHIVED', 'audio is transcribed');
    is(one("SELECT transcription || ' ' || sentiment || ' ' || confidence FROM mulberry_internal.calls WHERE call_id = 'json'"),
        '800 samples, 160 silent positive 0.9', 'text, sentiment and confidence are the service\'s');
    new_call($node, 'json-text', 'packet_0', undef, 'packet_2');
    wait_for_state('json-text', 'ARCHIVED', 'text is sent as text');
    is(one("SELECT transcription FROM mulberry_internal.calls WHERE call_id = 'json-text'"), 'read: packet_0 packet_2',
        'packets in order, joined by spaces');
    is(one("SELECT start_ms || ' ' || end_ms || ' ' || text FROM mulberry.call_segments('json')"), '0 100 800 samples, 160 silent',
        'without segments it was all said from the beginning to the end');
    is(one("SELECT start_ms IS NULL AND text = 'read: packet_0 packet_2' FROM mulberry.call_segments('json-text')"), 't', 'a text has no times');
    $ai->say('when', '{"transcription": "good day", "segments": [{"start": 0.02, "end": "0.08", "text": "good day", "speaker": "anna"}]}');
    endpoint('say-when', undef, 'json');
    audio_call('json-when', 5);
    wait_for_state('json-when', 'ARCHIVED', 'an answer with segments');
    is(one("SELECT start_ms || ' ' || end_ms || ' ' || speaker FROM mulberry.call_segments('json-when')"), '20 80 anna', 'has its times');
    my ($audio, $text) = (grep { $_->{path} eq '' } $ai->requests('ok'))[ 0, 1 ];
    is_deeply($audio->{fields}, { call_id => 'json', encoding => 's16le', sample_rate => 8000 }, 'fields of the audio request');
    is_deeply($text->{fields}, { call_id => 'json-text', encoding => 'text', text => 'packet_0 packet_2' },
        'fields of the text request');
};

subtest 'a text call needs no service of kind openai' => sub {
    endpoint('down');
    my $before = scalar $ai->requests('down');
    new_call($node, 'text', 'that', 'was', 'terrible');
    wait_for_state('text', 'ARCHIVED', 'archived although the service is down');
    is(one("SELECT transcription || ': ' || sentiment FROM mulberry_internal.calls WHERE call_id = 'text'"),
        'that was terrible: negative', 'packets in order and the lexicon\'s sentiment');
    is(scalar $ai->requests('down'), $before, 'nobody was asked');
};

# A service that fails some calls and serves others: by the number of samples that it hears.
subtest 'attempts are 1, 2, 4 and 8 s apart while others are served, and then the call has failed' => sub {
    endpoint('fails-3200-500');
    audio_call('served-first', 3);
    wait_for_state('served-first', 'ARCHIVED', 'a call that is served');
    audio_call('backoff', 20);
    my $served = 0;
    # others come all the time
    while (one("SELECT count(*) FROM mulberry_internal.calls WHERE call_id = 'backoff' AND state = 'FAILED'") eq '0' && $served < 200)
    {
        $served++;
        audio_call("served-$served", 3);
        sleep 0.2;
    }
    wait_for_state('backoff', 'FAILED', 'the call has failed');
    my @times = map { $_->{time} } grep { $_->{status} == 500 } $ai->requests('fails-3200-500');
    # where a busy machine served nobody else meanwhile, that was an outage, of which no attempt counts
    my $outage = one("SELECT deferrals > 0 FROM mulberry.jobs WHERE call_id = 'backoff'") eq 't';
    cmp_ok(scalar @times, $outage ? '>' : '==', 5, 'five attempts that count');
    splice @times, 0, -5;
    my @delays = map { $times[ $_ + 1 ] - $times[$_] } 0 .. $#times - 1;
    my @expected = (1, 2, 4, 8);
    for my $i (0 .. 3)
    {
        # never early; late by what a busy machine needs (sql/outage.sql has the exact times)
        ok($delays[$i] >= $expected[$i] - 0.01 && $delays[$i] < $expected[$i] + 30,
            "delay $i is $expected[$i] s") or diag "was $delays[$i]";
    }
    is(one("SELECT payload->>'reason' FROM mulberry_internal.events WHERE event = 'ai_failed' AND call_id = 'backoff'"),
        'AI service failed after maximum retries: HTTP 500: {"error":{"message":"stand-in says 500"}}', 'ai_failed names the reason');
    like(one("SELECT last_error FROM mulberry.jobs WHERE call_id = 'backoff'"), qr/^HTTP 500/, 'the job keeps its last error');
    is(one("SELECT state FROM mulberry.jobs WHERE call_id = 'backoff'"), 'dead', 'the job is dead');
};

subtest 'retry_job gives a dead job all its attempts again' => sub {
    endpoint('first-2');
    one("SELECT mulberry.retry_job(id) FROM mulberry.jobs WHERE call_id = 'backoff'");
    wait_for_state('backoff', 'ARCHIVED', 'the call that had failed is archived');
    is(scalar $ai->requests('first-2'), 3, 'retries stop with the first success');
    is(one("SELECT count(*) FROM mulberry_internal.events WHERE event = 'job_retried' AND payload->>'role' = session_user"),
        '1', 'an event names who did it');
};

# True when a call waits for its endpoint, uncounted.
sub waits
{
    my ($call_id, $what) = @_;
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM mulberry.jobs
            WHERE call_id = '$call_id' AND state = 'held' AND attempts = 0 AND deferrals > 0"), $what) or diag job_of($call_id);
    return;
}

subtest 'what a service refuses for good is not tried again' => sub {
    for my $status (400, 422)
    {
        endpoint("status-$status");
        audio_call("refused-$status", 2);
        wait_for_state("refused-$status", 'FAILED', "HTTP $status fails the call");
        is(scalar $ai->requests("status-$status"), 1, 'after one request');
    }
    endpoint('huge');
    audio_call('huge', 2);
    wait_for_state('huge', 'FAILED', 'an answer beyond max_response_size fails the call');
    is(scalar $ai->requests('huge'), 1, 'after one request');
    is(one("SELECT mulberry_internal.calls.failure_reason FROM mulberry_internal.calls WHERE call_id = 'huge'"),
        'AI service failed: the answer is larger than mulberry.max_response_size', 'and the reason says so');
};

subtest 'what every other call would be told as well is waited for' => sub {
    one('ALTER SYSTEM SET mulberry.ai_retry_delay = 50');
    one('SELECT pg_reload_conf()');
    for my $behaviour (qw(status-401 status-403 status-404 status-502 redirect close truncated not-json wrong-form status-408))
    {
        endpoint($behaviour);
        audio_call("out-$behaviour", 2);
        waits("out-$behaviour", "$behaviour: the call waits");
        endpoint('ok');
        wait_for_state("out-$behaviour", 'ARCHIVED', "$behaviour: and is transcribed when the service is back");
    }
    for my $behaviour (qw(hang drip))
    {
        endpoint($behaviour, "timeout => '1 s'");
        audio_call("slow-$behaviour", 2);
        waits("slow-$behaviour", "$behaviour: the call waits");
        like(one("SELECT last_error FROM mulberry.jobs WHERE call_id = 'slow-$behaviour'"), qr/timed out/i, "$behaviour: timed out");
        endpoint('ok');
        wait_for_state("slow-$behaviour", 'ARCHIVED', "$behaviour: and is transcribed when the service is back");
    }
};

subtest 'what is said of the request alone is asked again' => sub {
    for my $behaviour (qw(status-409 status-425))
    {
        endpoint($behaviour);
        audio_call("bad-$behaviour", 2);
        wait_for_state("bad-$behaviour", 'FAILED', "$behaviour: failed in the end");
        is(scalar $ai->requests($behaviour), 5, "$behaviour: after five attempts");
    }
};

subtest 'Retry-After is honoured and does not count' => sub {
    for my $form (qw(after date))
    {
        endpoint("retry-$form-2");
        audio_call("polite-$form", 2);
        wait_for_state("polite-$form", 'ARCHIVED', "$form: archived");
        my @times = map { $_->{time} } $ai->requests("retry-$form-2");
        is(scalar @times, 2, "$form: two requests");
        cmp_ok($times[1] - $times[0], '>=', $form eq 'after' ? 2 : 1.5, "$form: the second after the time asked for");
        is(one("SELECT attempts || ' ' || deferrals FROM mulberry.jobs WHERE call_id = 'polite-$form'"), '1 1',
            "$form: one attempt, one deferral");
    }
};

subtest 'keys are sent, and kept out of errors' => sub {
    $node->safe_psql('postgres', <<'SQL');
CREATE TEMP TABLE k (tenant text, name text, value text);
COPY mulberry.secret_entry (tenant, name, value) FROM stdin;
default	ai-key	sk-very-secret-key
\.
SQL
    endpoint('status-403', "secret => 'ai-key'");
    audio_call('key', 2);
    waits('key', 'refused');
    is(($ai->requests('status-403'))[-1]{key}, 'sk-very-secret-key', 'the service got the key');
    like(one("SELECT last_error FROM mulberry.jobs WHERE call_id = 'key'"), qr/refused, key \*{18}/,
        'the service repeated it; the error does not');
    is(one("SELECT count(*) FROM mulberry_internal.events WHERE payload::text LIKE '%very-secret%k%'"), '0', 'no event has it');
    unlike(slurp_file($node->logfile), qr/sk-very-secret-key/, 'the log has not');

    endpoint('ok');
    wait_for_state('key', 'ARCHIVED', 'and transcribed later');
    endpoint('ok', "secret => 'no-such-key'");
    audio_call('no-key', 2);
    wait_for_true($node, "SELECT state = 'held' FROM mulberry.jobs WHERE call_id = 'no-key'", 'the job is held');
    like(one("SELECT held_because FROM mulberry.jobs WHERE call_id = 'no-key'"),
        qr/secret "no-such-key" does not exist/, 'without its secret an endpoint is not asked; the jobs wait');
    endpoint('ok');
    wait_for_state('no-key', 'ARCHIVED', 'and go on when it is mended');
};

subtest 'a chat endpoint judges the sentiment' => sub {
    my $url = $ai->url('ok');
    one("SELECT mulberry.set_endpoint('chat', 'openai', '$url/v1', purpose => 'chat', model => 'gpt-4o-mini', $endpoint_options)");
    endpoint('ok');
    audio_call('chat', 10);
    wait_for_state('chat', 'ARCHIVED', 'archived');
    is(one("SELECT sentiment || ' ' || confidence || ' ' || (ai_result->'sentiment'->>'endpoint')
              FROM mulberry_internal.calls WHERE call_id = 'chat'"), 'negative 0.75 chat', 'with the model\'s judgement');
    my ($request) = grep { $_->{path} =~ /chat/ } $ai->requests('ok');
    is($request->{fields}{response_format}{json_schema}{strict}, JSON::PP::true(), 'the answer is bound to a schema');
    like($request->{fields}{messages}[1]{content}, qr/^thank you/, 'the transcript is the user\'s message');

    for my $behaviour (qw(refusal wrong-form))
    {
        $url = $ai->url($behaviour);
        one("SELECT mulberry.set_endpoint('chat', 'openai', '$url/v1', purpose => 'chat', model => 'm', $endpoint_options)");
        audio_call("chat-$behaviour", 10);
        wait_for_state("chat-$behaviour", 'ARCHIVED', "$behaviour: the call has its transcript all the same");
        is(scalar(grep { $_->{path} =~ /chat/ } $ai->requests($behaviour)), $behaviour eq 'refusal' ? 1 : 5, "$behaviour: attempts");
        is(one("SELECT count(*) FROM mulberry.jobs WHERE call_id = 'chat-$behaviour' AND kind = 'transcribe' AND state = 'done'"),
            '1', 'the transcription is not asked for again');
    }
    one("SELECT mulberry.drop_endpoint('chat')");
};

subtest 'long audio goes in parts' => sub {
    endpoint('ok', "options => '{\"max_audio_seconds\": 10}'");
    my $before = scalar $ai->requests('ok');
    $node->safe_psql('postgres', <<'SQL');
SELECT count(mulberry.ingest_packet('long', n, decode(repeat('002000e0', 4000), 'hex'), NULL, 's16le', 8000))
  FROM generate_series(0, 24) AS n;
SELECT mulberry.complete_call('long', 25);
SQL
    wait_for_state('long', 'ARCHIVED', 'archived');
    my @parts = ($ai->requests('ok'))[ $before .. $before + 3 ];
    is(scalar(grep { defined } @parts), 4, '25 s in four parts');
    my $sum = 0;
    for (@parts)
    {
        $sum += $_->{heard}{samples};
        cmp_ok($_->{heard}{samples}, '<=', 80000, 'no part is longer than the limit');
    }
    is($sum, 200000, 'together they are the whole call');
    is(one("SELECT (ai_result->>'parts') || ' ' || (length(transcription) - length(replace(transcription, 'thank you', ''))) / 9
              FROM mulberry_internal.calls WHERE call_id = 'long'"), '4 4', 'and so is the transcript');

    # each part was spoken evenly from its beginning to its end
    my $at = 0;
    my @segments = map { my @s = ($at / 8, ($at += $_->{heard}{samples}) / 8); sprintf '%d %d 9', map { int($_ + 0.5) } @s } @parts;
    is(one("SELECT string_agg(start_ms || ' ' || end_ms || ' ' || jsonb_array_length(words), E'\n') FROM mulberry.call_segments('long')"),
        join("\n", @segments), 'times of a part are later by where it begins');
    is(one("SELECT bool_and(abs((w->>'start_ms')::int - (s.start_ms + (s.end_ms - s.start_ms) * (n - 1) / 9.0)) <= 1)
              FROM mulberry.call_segments('long') s, jsonb_array_elements(s.words) WITH ORDINALITY AS w (w, n)"), 't', 'those of words too');
};

subtest 'jobs of several tenants and endpoints do not wait for each other' => sub {
    one("SELECT mulberry.create_tenant('clinic')");
    my ($bad, $good) = ($ai->url('hang'), $ai->url('ok'));
    endpoint('hang', "timeout => '10 min', max_concurrency => 3");
    one("SELECT mulberry.set_endpoint('ai', 'openai', '$good/v1', tenant => 'clinic', $endpoint_options)");
    my $before = scalar $ai->requests('hang');
    audio_call("stuck-$_", 1) for 1 .. 10;
    $node->safe_psql('postgres', <<'SQL');
SELECT mulberry.ingest_packet('clinic-call', 0, '\x01020304', NULL, 's16le', 8000, 'clinic');
SELECT mulberry.complete_call('clinic-call', 1, 'clinic');
SQL
    wait_for_state('clinic-call', 'ARCHIVED', 'the clinic\'s call is done while the others hang');
    $ai->wait_for_requests('hang', $before + 3);
    sleep 0.5;
    is(scalar($ai->requests('hang')) - $before, 3, 'max_concurrency limits the requests of an endpoint');
    is(one("SELECT count(*) FROM mulberry.jobs WHERE call_id LIKE 'stuck-%' AND state = 'running'"), '3', 'the others are queued');
    my $hanging = one("SELECT string_agg(id::text, ',') FROM mulberry.jobs WHERE call_id LIKE 'stuck-%' AND state = 'running'");
    endpoint('ok');
    one("SELECT count(mulberry.cancel_job(id)) FROM unnest(ARRAY[$hanging]) AS id");
    ok($node->poll_query_until('postgres',
        "SELECT count(*) = 7 FROM mulberry_internal.calls WHERE call_id LIKE 'stuck-%' AND state = 'ARCHIVED'"), 'the others are done then');
    is(one("SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE 'stuck-%' AND state = 'FAILED' AND failure_reason = 'cancelled by ' || session_user"),
        '3', 'cancelled jobs fail their calls');
};

$node->stop;
$ai->stop;
done_testing();
