# Conversations that do not go by the book, with calls of Twilio's Media Streams.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::TalkScripts;
use Test::More;

run_talk_scripts('twilio');
done_testing();
