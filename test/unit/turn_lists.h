/*
 * turn_lists.h
 *	  Settings of a conversation in English, for tests.
 */
#ifndef TURN_LISTS_H
#define TURN_LISTS_H

#include "check.h"
#include "core/conversation/turn_settings.h"

CHECK_UNUSED static void
english(mb_turn_settings *settings)
{
	mb_turn_settings_init(settings);
	settings->list[MB_TURN_OPEN_ENDS] = "\nand\nor\nbut\nso\nbecause\nif\nto\nof\nfor\nwith\nat\nin"
										"\non\nfrom\nthe\na\nan\nmy\nyour\nour\num\nuh\n"
										"er\nthat\nlike\nis\na question\nlet me think\n";
	settings->list[MB_TURN_NUMBER_WORDS] =
		"\nzero\noh\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
	settings->list[MB_TURN_CLOSED_ANSWERS] =
		"\nyes\nyeah\nyep\nno\nnope\nok\nokay\nsure\nplease\nof course\nno thanks\n";
	settings->list[MB_TURN_BACKCHANNELS] =
		"\nmhm\nmm hmm\nuh huh\noh\nah\nyes\nyeah\nsure\nright\nok\nokay\ni see\nof course\nmakes "
		"sense\nthats right\n";
	settings->list[MB_TURN_NEVER] = "\nbless you\n";
	settings->list[MB_TURN_ALWAYS] = "\nstop\nwait\nhelp\nhold on\nno\n";
	settings->list[MB_TURN_EMERGENCY] = "\nheart attack\ncall an ambulance\nfire\n";
}

#endif /* TURN_LISTS_H */
