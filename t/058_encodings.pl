# Databases in encodings that are not UTF-8, side by side, each with clients and services that speak UTF-8: what
# can be said in the database's encoding goes through unharmed, of what services say the rest becomes "?", and
# whoever gives what cannot be said is refused, alone.
use strict;
use warnings;

use Encode qw(decode encode);
use FindBin;
use JSON::PP;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::StandIn;
use Mulberry::Subscriber;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Of each encoding words that it has, in words that a parser of UTF-8 finds, and a character that it does not have.
my %encoding = (
    EUC_JP => { database => 'euc', says => '請求書 日本語 です', lacks => '한' },
    LATIN1 => { database => 'latin', says => 'café garçon', lacks => '한' },
    WIN1252 => { database => 'win', says => 'café 50€', lacks => '한' },
    SQL_ASCII => { database => 'ascii', says => 'café 日本語' },
);
my @databases = map { $_->{database} } values %encoding;

$ENV{PGCLIENTENCODING} = 'UTF8';
my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('encodings', preload => 0, extension => 0);
foreach my $name (keys %encoding)
{
    $node->safe_psql('postgres', "CREATE DATABASE $encoding{$name}{database} ENCODING '$name' LOCALE 'C' TEMPLATE template0");
    $node->safe_psql($encoding{$name}{database}, 'CREATE EXTENSION mulberry CASCADE');
}
$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'mulberry'
mulberry.databases = '@{[ join ',', @databases ]}'
mulberry.workers = 1
mulberry.grace_period = 0
mulberry.ai_retry_delay = 50
CONF
$node->restart;
wait_for_workers($node, $_) foreach @databases;

foreach my $name (sort keys %encoding)
{
    my ($database, $says, $lacks) = @{ $encoding{$name} }{qw(database says lacks)};
    my ($word) = $says =~ /^(\S+)/;
    my $heard = $says . (defined $lacks ? " $lacks$lacks." : '.');
    my $kept = $says . (defined $lacks ? ' ??.' : '.');
    my $one = sub { return $node->safe_psql($database, shift) };
    subtest $name => sub {
        is($one->('SHOW server_encoding'), $name, 'the encoding');
        my $listener = Mulberry::Subscriber->new($node, database => $database);

        # ---- words that came as text, in UTF-8 always ----
        my $packet = sub {
            my ($call, $bytes) = @_;
            my $data = unpack 'H*', $bytes;
            return $one->("SELECT status FROM mulberry.ingest_packets('{$call}', '{0}', ARRAY[decode('$data', 'hex')], encoding => 'text')");
        };
        is($packet->($word, $says), 'accepted', 'a packet of text in UTF-8');
        is($packet->('broken', "caf\xe9"), 'error', 'bytes that are no UTF-8 are refused');
        is($packet->('lacking', $lacks), 'error', 'so is what the encoding does not have') if defined $lacks;
        is($one->("SELECT status FROM mulberry.complete_call('$word', 1)"), 'accepted', 'its call, by a name of such letters');
        wait_for_true($node, "SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE call_id = '$word'", 'the text is judged', $database);
        is($one->("SELECT mulberry.call_transcript('$word')"), $says, 'its transcript');
        ok((grep { $_->{event} eq 'ai_completed' } $listener->take_until(sub { $_->{event} eq 'ai_completed' && $_->{call_id} eq decode('UTF-8', $word) })), 'a subscriber hears of it by its name');

        isnt($node->psql($database, "SELECT mulberry.create_agent('a\xc2\x85b')"), 0, 'U+0085, a control character, is in no name');

        # ---- what an engine says, raw and escaped ----
        my $model = "whisper-$word";
        foreach my $form ('raw', 'escaped')
        {
            my $json = JSON::PP->new->canonical;
            my $said = decode('UTF-8', $heard);
            $json = $form eq 'raw' ? $json->utf8 : $json->ascii;
            my @words = map { { word => $_, start => 0.1, end => 0.2 } } split ' ', $said;
            $ai->say("$database-$form", $json->encode({ text => $said, language => 'xx', words => \@words,
                        segments => [ { start => 0, end => 0.4, text => " $said", no_speech_prob => 0.01 } ] }));
            $one->("SELECT mulberry.set_endpoint('ear', 'openai', '@{[ $ai->url(qq($database-$form) =~ s/^/say-/r) ]}/v1', purpose => 'transcription',
                model => '$model', options => '{\"response_format\": \"verbose_json\"}', allow_http => true, allow_private => true)");
            $one->(<<"SQL");
SELECT mulberry.begin_call('$form', 'inbound', '$word', '$word', attributes => jsonb_build_object('$word', '$says'), encoding => 's16le', sample_rate => 8000);
SELECT count(*) FROM mulberry.ingest_packets(array_fill('$form'::text, ARRAY[20]), ARRAY(SELECT generate_series(0, 19)),
    array_fill(decode(repeat('002000e0', 80), 'hex'), ARRAY[20]), encoding => 's16le', sample_rate => 8000);
SELECT mulberry.complete_call('$form', 20);
SQL
            wait_for_true($node, "SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE call_id = '$form'", "$form is transcribed", $database);
            is($one->("SELECT mulberry.call_transcript('$form')"), $kept, "$form: the transcript");
            like($one->("SELECT mulberry.call_transcript('$form', '$_')"), qr/\Q$kept\E/, "$form: ... as $_") foreach 'srt', 'vtt';
            my $exported = decode_json($one->("SELECT mulberry.call_transcript('$form', 'json')"));
            is(encode('UTF-8', $exported->{segments}[0]{text}), $kept, "$form: ... as JSON");
            is($one->("SELECT call_id FROM mulberry.search_calls('$word') WHERE call_id = '$form'"), $form, "$form: is found by what was said");
            is($one->("SELECT call_id FROM mulberry.calls(attributes => jsonb_build_object('$word', '$says')) WHERE call_id = '$form'"), $form, "$form: ... and by what was told of it");
            my ($request) = $ai->requests("say-$database-$form");
            is(encode('UTF-8', decode('UTF-8', $request->{fields}{model})), $model, "$form: the service hears the model's name in UTF-8");
        }

        # ---- errors of a service ----
        $ai->say("$database-error", encode_json({ error => { message => decode('UTF-8', $heard) } }), status => 400);
        $one->("SELECT mulberry.set_endpoint('ear', 'openai', '@{[ $ai->url('say-' . $database . '-error') ]}/v1', model => '$model', allow_http => true, allow_private => true)");
        $one->("SELECT mulberry.ingest_packet('refused', 0, decode(repeat('002000e0', 800), 'hex'), encoding => 's16le', sample_rate => 8000); SELECT mulberry.complete_call('refused', 1)");
        wait_for_true($node, "SELECT count(*) = 1 FROM mulberry.jobs WHERE call_id = 'refused' AND last_error IS NOT NULL", 'the call is refused', $database);
        like($one->("SELECT last_error FROM mulberry.jobs WHERE call_id = 'refused'"), qr/"\Q@{[ decode('UTF-8', $heard) =~ s{[^ -~]}{?}gr ]}\E"/, 'an error is quoted, in ASCII');

        # ---- agents, mandates and the audit log ----
        $one->(<<"SQL");
SELECT mulberry.create_agent('$word');
SELECT mulberry.create_voice_key('$word');
CALL mulberry.export_voice_key('$word', 1, 'default', NULL);
SELECT mulberry.create_mandate('12345678', '$word', '$says', 100, 'EUR', now() + interval '1 day');
SELECT mulberry.agent_sync('$word');
SELECT mulberry.spend('12345678', 1, '$says');
SELECT mulberry.revoke_mandate('12345678', '$says', '$word');
SQL
        is($one->("SELECT reason || '|' || requester FROM mulberry.command_status WHERE command = 'REVOKE'"), "$says|$word", 'a command with its reason');
        like($one->("SELECT mulberry.agent_sync('$word')"), qr/"REVOKE/, '... is handed to the agent');
        my ($given) = reverse $listener->take_until(sub { $_->{event} eq 'mandate_changed' && $_->{to_status} eq 'REVOKED' });
        is(encode('UTF-8', $given->{cause}), "revoke: $says", 'a subscriber hears the reason');
        wait_for_true($node, 'SELECT count(*) = 0 FROM mulberry_internal.audit WHERE seq IS NULL', 'all is linked', $database);
        is($one->('SELECT bool_and(problem IS NULL) AND sum(rows) > 3 FROM mulberry.verify_audit()'), 't', 'the audit log is linked');
        like($one->(q{SELECT evidence::text FROM mulberry.audit_log WHERE action = 'REVOKE_INITIATED'}), qr/\Q$says\E/, '... and quotes the reason');
        is($one->("SELECT count(*) > 0 FROM mulberry.events_since(0, 1000) WHERE message::text ~ '$word'"), 't', 'events are told in it later, too');
        $listener->quit;
    };
}

# In SQL_ASCII nothing is converted, so texts are UTF-8 by rule: what is shown, signed and sent elsewhere is.
subtest 'bytes that are no UTF-8 in SQL_ASCII' => sub {
    my %refused = (
        'the name of an agent' => q{SELECT mulberry.create_agent(E'ag\xe9')},
        'the id of a call' => q{SELECT mulberry.begin_call(E'caf\xe9')},
        'an attribute' => q{SELECT mulberry.begin_call('attributed', attributes => jsonb_build_object('a', E'caf\xe9'))},
        'a sponsor' => q{SELECT mulberry.create_mandate('12345679', 'bond', E'caf\xe9', 100, 'EUR', now() + interval '1 day')},
        'a reason' => q{SELECT mulberry.suspend_mandate('12345670', E'caf\xe9')},
        'a reference' => q{SELECT mulberry.spend('12345670', 1, E'caf\xe9')},
        'a model' => q{SELECT mulberry.set_endpoint('ear', 'openai', 'https://ear.example/v1', model => E'caf\xe9')},
        'an option' => q{SELECT mulberry.set_endpoint('ear', 'openai', 'https://ear.example/v1', model => 'm', options => jsonb_build_object('prompt', E'caf\xe9'))},
    );
    $node->safe_psql('ascii', q{SELECT mulberry.create_agent('bond'); SELECT mulberry.create_mandate('12345670', 'bond', 'sponsor', 100, 'EUR', now() + interval '1 day')});
    foreach my $what (sort keys %refused)
    {
        my ($rc, $out, $err) = $node->psql('ascii', "\\set VERBOSITY verbose\nSET client_encoding = 'SQL_ASCII';\n$refused{$what}", on_error_stop => 0);
        like($err, qr/ERROR:  22(?:021|P05): /, "$what is refused");
    }
    my ($rc, $out, $err) = $node->psql('ascii', "SET client_encoding = 'SQL_ASCII';\nSELECT status FROM mulberry.ingest_packets(ARRAY[E'caf\\xe9'], '{0}', '{x}', encoding => 'text')");
    like($out, qr/^error/, 'so is a packet of such a call');
    is($node->safe_psql('ascii', q{SELECT string_agg(s.unit || ' ' || s.error, E'\n') FROM mulberry_internal.set_aside s}), '', 'nothing is set aside');
    is($node->safe_psql('ascii', q{SELECT count(*) FROM mulberry.maintenance()}), '1', 'maintenance goes on');
};

is($node->safe_psql($_, 'SELECT count(*) FROM mulberry_internal.set_aside'), '0', "nothing was set aside in $_") foreach @databases;
$node->stop;
done_testing();
