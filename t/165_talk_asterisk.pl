# Conversations that do not go by the book, with calls of Asterisk's chan_websocket.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::TalkScripts;
use Test::More;

run_talk_scripts('asterisk');
done_testing();
