# The whole loop of t/145 through modems: a mandate is revoked in the cloud, the cloud places a call, a modem rings, mulberry-edge answers
# it, a mobile one with a port of its own for audio and a landline one that does one at a time, the edge's database judges what is heard, and the
# cloud knows by the tones that come back; found in the recording, and as digits that come to the gateway while the call goes on. The
# device has no network.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP ();
use Mulberry::Edge;
use Mulberry::Gateway;
use Mulberry::ModemCard;
use Mulberry::VoicePair;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $dir = tempdir(CLEANUP => 1);
my @kinds = qw(sim7600 v253);
# agent N has the modem of kind N
my $pair = Mulberry::VoicePair->new('loop_modems', agents => scalar @kinds, line => sub { my ($to) = @_; $to =~ /(\d)$/; return Mulberry::ModemCard::dial("$dir/$kinds[$1 - 1]") });
$pair->edge('CREATE ROLE till LOGIN');
$pair->edge("SELECT mulberry.grant_access('till', 'ingest', 'edge-$_'), mulberry.grant_access('till', 'operator', 'edge-$_')") for 1 .. @kinds;
my $database = $pair->{edge}->connstr('postgres') . ' user=till';
my $gateway = start_gateway($pair->{cloud}, '--twilio-listen', '127.0.0.1:0', '--public-url', 'https://hooks.example');
my %heard_by = (recording => [ 'ok', webhooks => 0 ], digits => ["gateway=$gateway->{twilio}"]);

for my $n (1 .. @kinds)
{
    my $kind = $kinds[ $n - 1 ];
    my $card = "$dir/$kind";
    my $modem = Mulberry::ModemCard->start_card($kind, $card, '--name', $kind, '--tenant', "edge-$n", '--database', $database, '--silence', 4, '--allowed-callers', '+15005550006');
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    sleep 0.05 while slurp_file("$card/log") !~ /the modem is ready/ && time < $end;
    like(slurp_file("$card/log"), qr/the modem is ready/, "$kind: a modem") or die -e "$card/died" ? slurp_file("$card/died") : 'no modem';
    for my $way (qw(recording digits))
    {
        my ($behaviour, %option) = @{ $heard_by{$way} };
        $pair->telephony("$behaviour,noise=15", %option, options => { repetitions => 2, announcement => 'Mulberry', $way eq 'digits' ? (record => JSON::PP::false) : () });
        my $mandate = $pair->mandate($n);
        my $command = $pair->revoke($mandate);
        ok($pair->state($command, 'confirmed'), "$kind: a command is confirmed by telephone, by $way") or diag(slurp_file("$card/log"), log_of_gateway($gateway), $pair->story($command));
        is($pair->cloud("SELECT concat_ws(' ', state, method, acknowledgement, mandate_state) FROM mulberry.command_status WHERE command_id = $command"),
            'confirmed voice applied REVOKED', "$kind: in the words of the cloud");
        is($pair->edge("SELECT status FROM mulberry.mandate_status WHERE mandate_id = '$mandate'"), 'REVOKED', "$kind: and the device has it revoked");
        cmp_ok($pair->cloud("SELECT signatures FROM mulberry_internal.commands WHERE id = $command"), '<=', 2, "$kind: with one frame, or one more");
    }
    is($modem->stop, 0, "$kind: the program that answers ends when it is told to");
    is($pair->edge("SELECT string_agg(DISTINCT state || ' ' || from_number, ' ') FROM mulberry.call_status WHERE call_id LIKE '$kind-%'"), 'COMPLETED +15005550006', "$kind: its calls were posted, with who called");
    is($pair->edge("SELECT count(*) FROM mulberry.audit_log WHERE evidence->>'call_ref' LIKE '$kind-%' AND action = 'REVOKE'"), 2, "$kind: and are those of the commands");
}
my @digits = grep { $_->{what} eq 'webhook' && length($_->{params}{Digits} // '') } $pair->{twilio}->entries;
is($digits[-1]{status}, 200, 'the gateway took the digits');

$pair->stop;
done_testing();
