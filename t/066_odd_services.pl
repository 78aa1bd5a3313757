# Services as they really are: odd answers, odd limits, and answers that repeat what nobody shall read.
use strict;
use warnings;

use IO::Compress::Gzip qw(gzip);
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new("$PostgreSQL::Test::Utils::tmp_check/stand-in.log");
my $node = mulberry_cluster('odd', conf => <<'CONF');
mulberry.grace_period = 0
mulberry.ai_retry_delay = 50
mulberry.max_response_size = 1MB
CONF
my $endpoint_options = 'allow_http => true, allow_private => true';

sub one
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql);
}

sub endpoint
{
    my ($behaviour, $more, $purpose) = @_;
    $more = defined $more ? ", $more" : '';
    $purpose //= 'transcription';
    one("SELECT mulberry.set_endpoint('$purpose', 'openai', '@{[ $ai->url($behaviour) ]}/v1', purpose => '$purpose',
        $endpoint_options$more)");
    return;
}

# A call of packets of 20 ms: a loud tone, or what is given.
sub call
{
    my ($call_id, %how) = @_;
    my $packets = $how{packets} // 20;
    my $bytes = $how{bytes} // 320;
    my $sample = $how{sample} // '002000e0';
    my $data = sprintf "decode(repeat('%s', %d), 'hex')", $sample, $bytes / (length($sample) / 2);
    one(<<"SQL");
SELECT count(*) FROM mulberry.ingest_packets(array_fill('$call_id'::text, ARRAY[$packets]),
    ARRAY(SELECT generate_series(0, $packets - 1)),
    array_fill($data, ARRAY[$packets]), encoding => 's16le', sample_rate => 8000);
SELECT mulberry.complete_call('$call_id', $packets);
SQL
    return;
}

# What became of a call, once it is over.
sub outcome
{
    my ($call_id) = @_;
    wait_for_true($node, "SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry_internal.calls WHERE call_id = '$call_id'",
        "$call_id is over");
    return one("SELECT state || ': ' || coalesce(transcription, failure_reason) FROM mulberry_internal.calls WHERE call_id = '$call_id'");
}

sub result { my ($call_id, $path) = @_; return one("SELECT ai_result->>'$path' FROM mulberry_internal.calls WHERE call_id = '$call_id'") }

subtest 'what is usable of an answer is used' => sub {
    my $gzip;
    gzip(\'{"text": "hello world"}' => \$gzip);
    my %answers = (
        null => [ '{"text": null}', '' ],
        nan => [ '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": NaN, "no_speech_prob": -Infinity}]}' ],
        huge => [ '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": -1e400, "no_speech_prob": 1e999999}]}' ],
        bom => [ "\xef\xbb\xbf{\"text\": \"hello world\"}" ],
        nul => [ '{"text": "hello\u0000 world"}', "hello\x{fffd} world" ],
        half => [ '{"text": "hello \ud83d world"}', "hello \x{fffd} world" ],
        latin1 => [ "{\"text\": \"caf\xe9\"}", "caf\x{fffd}" ],
        escaped => [ '{"text": "caf\u00e9 \ud83d\ude00"}', "caf\x{e9} \x{1f600}" ],
        lines => [ "{\"text\": \"hello\tworld\"}", "hello\tworld" ],
        gzip => [ $gzip, undef, headers => ['Content-Encoding: gzip'] ],
        chunked => [ '{"text": "hello world"}', undef, chunked => 1 ],
    );
    for my $name (sort keys %answers)
    {
        my ($body, $text, %how) = @{ $answers{$name} };
        $ai->say($name, $body, %how);
        endpoint("say-$name");
        call("answer-$name");
        $text //= 'hello world';
        utf8::encode($text);
        is(outcome("answer-$name"), "ARCHIVED: $text", "$name: it is transcribed");
        is(scalar $ai->requests("say-$name"), 1, "$name: by one request");
    }
};

subtest 'an error with 200 is quoted' => sub {
    my %answers = (
        html => [ '<html>Bad Gateway</html>', 'it is not JSON (text/html; charset=utf-8): <html>Bad Gateway</html>', 'text/html; charset=utf-8' ],
        error => [ '{"error": {"message": "model is loading"}}',
            'it is not a JSON object with the string "text": {"error": {"message": "model is loading"}}', 'application/json' ],
        empty => [ '', 'it is empty', 'application/json' ],
    );
    for my $name (sort keys %answers)
    {
        $ai->say($name, $answers{$name}[0], type => $answers{$name}[2]);
        endpoint("say-$name");
        call("bad-$name");
        wait_for_true($node, "SELECT state = 'held' AND attempts = 0 FROM mulberry.jobs WHERE call_id = 'bad-$name'", "$name: the call waits");
        is(one("SELECT last_error FROM mulberry.jobs WHERE call_id = 'bad-$name'"), "the answer cannot be used: $answers{$name}[1]", $name);
        endpoint('ok');
        like(outcome("bad-$name"), qr/^ARCHIVED/, "$name: and is transcribed later");
    }
    for my $code (qw(insufficient_quota model_not_found))
    {
        $ai->say($code, encode_json({ error => { code => $code } }), status => $code eq 'model_not_found' ? 400 : 429);
        endpoint("say-$code");
        call("code-$code");
        wait_for_true($node, "SELECT state = 'held' AND attempts = 0 FROM mulberry.jobs WHERE call_id = 'code-$code'", "$code: the call waits");
        endpoint('ok');
        like(outcome("code-$code"), qr/^ARCHIVED/, "$code: and is transcribed later");
    }
    unlike(slurp_file($node->logfile), qr/model is loading<|Bad Gateway<\/html>.*STATEMENT/, 'no statement in the log has it');
};

subtest 'what a model does not take is left out, and that is remembered' => sub {
    endpoint('refuses-verbose_json');
    for my $n (1, 2) { call("picky-$n") }
    for my $n (1, 2)
    {
        is(outcome("picky-$n"), 'ARCHIVED: thank you, that was wonderful: 3200 samples, 0 silent', "call $n is transcribed");
    }
    my @asked = map { $_->{fields}{response_format} } $ai->requests('refuses-verbose_json');
    is($asked[-1], 'json', 'in a simpler form');
    call('picky-3');
    outcome('picky-3');
    my @later = map { $_->{fields}{response_format} } $ai->requests('refuses-verbose_json');
    is("@later[ scalar @asked .. $#later ]", 'json', 'which the next one asks for at once');
    is(one("SELECT attempts FROM mulberry.jobs WHERE call_id = 'picky-1'"), '1', 'all this was one attempt');

    endpoint('refuses-response_format');
    call('formless');
    like(outcome('formless'), qr/^ARCHIVED: thank you/, 'a model that takes no form at all');
    is(join(' ', map { $_->{fields}{response_format} // 'none' } $ai->requests('refuses-response_format')),
        'verbose_json json none', 'is asked for none');
    endpoint('refuses-verbose_json', "options => '{\"response_format\": \"verbose_json\"}'");
    call('wanted');
    like(outcome('wanted'), qr/^FAILED: .*verbose_json/, 'what an admin has set is not left out');

    endpoint('ok');
    for my $word (qw(temperature json_schema response_format))
    {
        endpoint("refuses-$word", "model => 'm'", 'chat');
        call("chat-$word");
        outcome("chat-$word");
        is(one("SELECT sentiment FROM mulberry_internal.calls WHERE call_id = 'chat-$word'") . ' ' . result("chat-$word",
            'sentiment') =~ s/.*"engine": "(\w+)".*/$1/r,
            'negative chat', "$word: the sentiment is judged");
        unlike(encode_json((reverse $ai->requests("refuses-$word"))[0]{fields}), qr/$word/, "$word: without it");
    }
    endpoint('ok', "model => 'm'", 'chat');
    one("SELECT mulberry.drop_endpoint('chat')");
};

subtest 'a transcript is not lost because its sentiment cannot be judged' => sub {
    endpoint('ok');
    for my $behaviour (qw(refusal status-400 wrong-form))
    {
        endpoint($behaviour, "model => 'm'", 'chat');
        call("judged-$behaviour");
        like(outcome("judged-$behaviour"), qr/^ARCHIVED: thank you/, "$behaviour: archived");
        like(result("judged-$behaviour", 'sentiment'), qr/"error": .*"engine": "lexicon"/,
            "$behaviour: the lexicon judged, and the error is kept");
        is(one("SELECT state FROM mulberry.jobs WHERE call_id = 'judged-$behaviour' AND kind = 'sentiment'"), 'dead',
            "$behaviour: the job is dead");
    }
    $ai->say('fenced', encode_json({ choices => [ { message => { content => "Sure!\n```json\n{\"sentiment\": \"neutral\",
        \"confidence\": 0.4}\n```" } } ] }));
    endpoint('say-fenced', "model => 'm'", 'chat');
    call('fenced');
    outcome('fenced');
    is(one("SELECT sentiment || ' ' || confidence FROM mulberry_internal.calls WHERE call_id = 'fenced'"), 'neutral 0.4',
        'JSON in a fence is read');
    one("SELECT mulberry.drop_endpoint('chat')");
};

subtest 'a transcript is not asked for again because it could not be stored' => sub {
    endpoint('gate-store');
    call('store');
    is($ai->wait_for_requests('gate-store', 1), 1, 'the service is asked');
    my $locker = open_session($node, on_error_stop => 1);
    $locker->query_safe("BEGIN; SELECT mulberry_internal.lock_call(id) FROM mulberry_internal.calls WHERE call_id = 'store'");
    $ai->open_gate('store');
    wait_for_true($node, "SELECT count(*) = 1 FROM mulberry_internal.job_queue WHERE payload->'answer'->>'text' LIKE 'thank you%'",
        'the answer is kept while the call is locked');
    $locker->query_safe('COMMIT');
    $locker->quit;
    like(outcome('store'), qr/^ARCHIVED: thank you/, 'and is stored afterwards');
    is(scalar $ai->requests('gate-store'), 1, 'by one request');
};

subtest 'an error that was got over is not in the report' => sub {
    endpoint('first-2');
    call('mended');
    like(outcome('mended'), qr/^ARCHIVED: thank you/, 'two failures and an answer');
    is(scalar $ai->requests('first-2'), 3, '... by three requests');
    is(one("SELECT concat_ws(', ', failure_reason, ai_result->>'error', sentiment) FROM mulberry.call_status WHERE call_id = 'mended'"), 'positive', 'the call shows none');
    unlike(one("SELECT row_to_json(s)::text FROM mulberry.call_status s WHERE call_id = 'mended'"), qr/error|HTTP 503|stand-in/i, '... anywhere');
    is(one("SELECT string_agg(event || coalesce(' ' || (payload->>'to_state'), ''), ', ' ORDER BY id) FROM mulberry_internal.events WHERE call_id = 'mended'
               AND payload::text !~* 'error|HTTP 503|stand-in'"),
        'state_changed COMPLETED, state_changed PROCESSING_AI, state_changed ARCHIVED, ai_completed', 'nor do its events');
    like(one("SELECT state || ': ' || last_error FROM mulberry.jobs WHERE call_id = 'mended' AND kind = 'transcribe'"), qr/^done: HTTP 503/,
        'the job keeps what happened');

    # also where the call had failed for good
    endpoint('status-400');
    call('mended-later');
    like(outcome('mended-later'), qr/^FAILED: /, 'one that fails');
    endpoint('ok');
    one("SELECT mulberry.retry_job(id) FROM mulberry.jobs WHERE call_id = 'mended-later' AND state = 'dead'");
    wait_for_true($node, "SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE call_id = 'mended-later'", '... and is tried again');
    unlike(one("SELECT row_to_json(s)::text FROM mulberry.call_status s WHERE call_id = 'mended-later'"), qr/error|HTTP 400|refused/i, '... shows none either');
};

subtest 'a quota is waited for' => sub {
    endpoint('quota-5-3');
    for my $n (1 .. 15) { call("quota-$n") }
    for my $n (1 .. 15) { like(outcome("quota-$n"), qr/^ARCHIVED/, "call $n") }
    is(one("SELECT max(attempts) FROM mulberry.jobs WHERE call_id LIKE 'quota-%'"), '1', 'no attempt was counted');

    $ai->say('limit', '{"error": "slow down"}', status => 429, headers => [ 'x-ratelimit-reset-requests: 40s',
        'X-RateLimit-Reset-Tokens: 1m1.5s' ]);
    endpoint('say-limit');
    call('reset');
    wait_for_true($node, "SELECT run_at > clock_timestamp() + interval '30 s' FROM mulberry_internal.job_queue WHERE deferrals = 1", 'a header says when');
    cmp_ok(one('SELECT extract(epoch FROM run_at - clock_timestamp()) FROM mulberry_internal.job_queue'), '<', 62.1,
        'and the later one counts');
    one("SELECT mulberry.cancel_job(id) FROM mulberry.jobs WHERE call_id = 'reset'");
};

subtest 'audio that is too short or too long for a model' => sub {
    endpoint('longest-40');
    call('short', packets => 1);
    like(outcome('short'), qr/^ARCHIVED/, '20 ms');
    is(($ai->requests('longest-40'))[0]{heard}{samples}, 1600, 'go with silence behind them');
    call('long', packets => 100, bytes => 16000);
    like(outcome('long'), qr/^ARCHIVED: thank you.*thank you.*thank you/, '100 s go in parts');
    cmp_ok($_->{heard}{samples}, '<=', 40 * 8000, 'of at most 40 s') for (grep { $_->{status} == 200 } $ai->requests('longest-40'));
    my $before = $ai->requests('longest-40');
    call('again', packets => 50, bytes => 16000);
    outcome('again');
    my @again = $ai->requests('longest-40');
    ok(!(grep { $_->{status} != 200 } @again[ $before .. $#again ]), 'the limit is remembered');
};

subtest 'audio that is too large for a service' => sub {
    my $seconds = sub { return map { $_->{heard}{samples} / 8000 } $ai->requests($_[0]) };
    my $statuses = sub { return join ' ', map { $_->{status} } $ai->requests($_[0]) };

    # 100 s are 1.6 MB
    endpoint('largest-700000');
    call('large', packets => 100, bytes => 16000);
    like(outcome('large'), qr/^ARCHIVED: (thank you, that was wonderful: \d+ samples, 0 silent ?){3}$/, 'what is refused with 413 goes in parts');
    is($statuses->('largest-700000'), '413 200 200 200', '... in one attempt');
    my ($whole, @parts) = $seconds->('largest-700000');
    is(eval { join '+', @parts } && $parts[0] + $parts[1] + $parts[2], 100, '... all of it');
    cmp_ok($_, '<=', $whole / 2, '... of at most half') for @parts;
    call('large-too', packets => 100, bytes => 16000);
    like(outcome('large-too'), qr/^ARCHIVED/, 'the next');
    is($statuses->('largest-700000'), '413 200 200 200 200 200 200', '... is not refused any more');

    # more than once, also when it is a later part that is too large: those before it are asked for again
    endpoint('largest-250000');
    call('larger', packets => 100, bytes => 16000);
    like(outcome('larger'), qr/^ARCHIVED: (thank you, that was wonderful: \d+ samples, 0 silent ?){9}$/, 'halved until it is taken');
    like($statuses->('largest-250000'), qr/^413 413( 200){9}$/, '... by halves');
    endpoint('too-large-1-3');
    call('unequal', packets => 100, bytes => 16000);
    like(outcome('unequal'), qr/^ARCHIVED: (thank you, that was wonderful: \d+ samples, 0 silent ?){8}$/, 'a later part that is too large');
    is($statuses->('too-large-1-3'), '413 200 413 200 200 200 200 200 200 200 200', '... has all asked for again in smaller parts');
    is(one("SELECT count(*) FROM mulberry.call_segments('unequal')"), '8', '... leaves nothing of the parts that went before');

    # until there is nothing left to halve
    endpoint('status-413');
    call('largest', packets => 100, bytes => 16000);
    like(outcome('largest'), qr/^FAILED: AI service failed: HTTP 413: .* \(for 10 s of audio, which is divided no further\)$/, 'what is refused however short it is fails');
    is(join(' ', map { sprintf '%d', $_ } $seconds->('status-413')), '100 28 9', '... once it is short');
    is(one("SELECT state || ' ' || attempts FROM mulberry.jobs WHERE call_id = 'largest' AND kind = 'transcribe'"), 'dead 1', '... by one attempt');
    endpoint('ok');
    call('largest-not', packets => 100, bytes => 16000);
    like(outcome('largest-not'), qr/^ARCHIVED/, 'others are not held by that');
};

subtest 'a service that knows no times' => sub {
    endpoint('refuses-timestamp_granularities');
    call('timeless');
    like(outcome('timeless'), qr/^ARCHIVED: thank you/, 'is not asked for them a second time');
    is(join(' ', map { $_->{fields}{'timestamp_granularities[]'} // 'none' } $ai->requests('refuses-timestamp_granularities')), 'segment,word none',
        'within one attempt');
    call('timeless-too');
    outcome('timeless-too');
    is(scalar $ai->requests('refuses-timestamp_granularities'), 3, 'that is remembered');
};

subtest 'times that cannot be are never a reason to lose the words' => sub {
    $ai->say('mad', '{"text": "a b c", "segments": [{"start": 9e99, "end": NaN, "text": "a", "avg_logprob": 5, "speaker": {}},'
        . ' {"start": -5, "end": -9, "text": "b", "words": [{"word": "b", "start": 1e308, "end": -1e308, "probability": Infinity}]}, {"text": "c", "start": "x"}],'
        . ' "words": {"start": 0}}');
    endpoint('say-mad');
    call('mad');
    is(outcome('mad'), 'ARCHIVED: a b c', 'the call has its transcript');
    is(one("SELECT bool_and(start_ms BETWEEN 0 AND end_ms) AND count(*) = 3 AND bool_and(ordered) FROM (SELECT *, start_ms >= lag(start_ms, 1, 0) OVER () AS ordered
              FROM mulberry.call_segments('mad')) s"), 't', 'with times in order');
};

subtest 'nobody spoke' => sub {
    $ai->say('thanks', '{"text": "Thanks for watching!"}');
    endpoint('say-thanks');
    call('silence', sample => '0100');
    is(outcome('silence'), 'ARCHIVED: ', 'words for silence are no transcript');
    is(result('silence', 'heard_in_silence'), 'Thanks for watching!', 'they are kept aside');
    call('tone');
    is(outcome('tone'), 'ARCHIVED: Thanks for watching!', 'where there is something to hear they are one');
};

subtest 'nobody reads a secret, or where a name leads' => sub {
    my $secret = 'sk-"ve\\ry/s+cret=%41é';
    $node->safe_psql('postgres',
        "COPY mulberry.secret_entry (name, value) FROM stdin;\nodd-key\t" . ($secret =~ s/\\/\\\\/gr) . "\n\\.\n");
    for my $status (403, 200)
    {
        endpoint("echo-$status", "secret => 'odd-key'");
        call("echo-$status");
        wait_for_true($node, "SELECT last_error ~ 'Bearer [*]+' FROM mulberry.jobs WHERE call_id = 'echo-$status'",
            "HTTP $status: the service repeated it");
        one("SELECT mulberry.cancel_job(id) FROM mulberry.jobs WHERE call_id = 'echo-$status'");
    }
    is(($ai->requests('echo-403'))[0]{key}, $secret, 'the service got it');
    my $base64 = encode_base64("Bearer $secret", '');
    my @forms = ('ve\\\\\\\\ry', 've\\\\ry', '%76%65', substr($base64, 12, 16), 's+cret', 's%2Bcret');
    my $all = one("SELECT string_agg(x::text, ' ') FROM (SELECT row_to_json(j)::text FROM mulberry.jobs j
        UNION ALL SELECT row_to_json(c)::text FROM mulberry_internal.calls c
        UNION ALL SELECT row_to_json(e)::text FROM mulberry_internal.events e
            UNION ALL SELECT row_to_json(s)::text FROM mulberry_internal.endpoint_state s) AS t (x)");
    my $log = slurp_file($node->logfile);
    for my $form (@forms)
    {
        is(index($all, $form), -1, "no table has $form");
        is(index($log, $form), -1, "nor has the log");
    }

    one("SELECT mulberry.set_endpoint('transcription', 'openai', 'http://localhost:1/v1', allow_http => true)");
    call('inside');
    wait_for_true($node, "SELECT held_because LIKE '%not public%' FROM mulberry.jobs WHERE call_id = 'inside'",
        'a private address is refused');
    unlike(one("SELECT held_because || last_error FROM mulberry.jobs WHERE call_id = 'inside'"), qr/127\.0\.0\.1|::1/, 'and not named');
    one("SELECT mulberry.set_endpoint('transcription', 'openai', 'http://localhost:1/v1', $endpoint_options)");
    wait_for_true($node, "SELECT held_because LIKE '%localhost%' FROM mulberry.jobs WHERE call_id = 'inside'", 'nobody listens there');
    unlike(one("SELECT held_because FROM mulberry.jobs WHERE call_id = 'inside'"), qr/127\.0\.0\.1|::1/, 'the address is not named');
};

$node->stop;
$ai->stop;
done_testing();
