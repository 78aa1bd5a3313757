# Conversations that do not go by the book, with calls of Asterisk's AudioSocket.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::TalkScripts;
use Test::More;

run_talk_scripts('audiosocket');
done_testing();
