/*
 * test_modem_control.c
 *	  What a modem is told and when: from the init to the end of a call, and who is answered.
 */
#include "modem_talk.h"

static void
it_is_made_ready(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk.profile.init = "ATE0 | ?AT+ODD|AT+ASK => +ASK: 1| |AT+LAST";
	mb_modem_begin(&talk.modem, talk.now);
	talk_say(&talk, "OK|");
	/* what may fail does */
	talk_say(&talk, "ERROR|");
	talk_say(&talk, "+ASK: 1|OK|");
	talk_say(&talk, "OK|");
	was(&talk, "> ATE0; > AT+ODD; > AT+ASK; > AT+LAST; > AT+CHUP");
	/* there is no call that somebody has left */
	talk_say(&talk, "ERROR|");
	was(&talk, "! ready");
	check_int(talk.modem.state, MB_MODEM_IDLE);
	/* a result that nobody asked for is nothing */
	talk_say(&talk, "OK|ERROR|");
	was(&talk, "");
}

static void
it_is_tried_again(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk.profile.init = "AT+A|AT+B => +B: 1";
	mb_modem_begin(&talk.modem, talk.now);
	/* no answer at all, then an error, then another answer than is wanted */
	talk_wait(&talk, 5000);
	was(&talk, "> AT+A; ! problem");
	talk_wait(&talk, 1999);
	was(&talk, "");
	talk_wait(&talk, 1);
	talk_say(&talk, "+CME ERROR: SIM busy|");
	was(&talk, "> AT+A; ! problem");
	talk_wait(&talk, 3999);
	was(&talk, "");
	talk_wait(&talk, 1);
	talk_say(&talk, "OK|");
	talk_say(&talk, "+B: 0|OK|");
	was(&talk, "> AT+A; > AT+B; ! problem");
	talk_wait(&talk, 8000);
	talk_say(&talk, "OK|");
	talk_say(&talk, "+B: 1|OK|");
	was(&talk, "> AT+A; > AT+B; > AT+CHUP");
	talk_made_ready(&talk);
}

static void
a_call_from_ring_to_end(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk_say(&talk, "RING|");
	was(&talk, "");
	talk_say(&talk, "+CLIP: \"+15550001\",145,,,\"OK\",0|");
	was(&talk, "> ATA");
	/* audio is not registered before the call is up */
	talk_say(&talk, "OK|");
	was(&talk, "");
	talk_say(&talk, "VOICE CALL: BEGIN|");
	was(&talk, "> AT+CPCMREG=1");
	/* what nobody asked for, between a command and its OK */
	talk_say(&talk, "RING|+CCWA: \"+1\",145,1|+CLIP: \"+1666\",145|OK|");
	was(&talk, "> AT+CPCMREG?");
	talk_say(&talk, "+CSQ: 20|+CPCMREG: 1|NAME=OK|OK|");
	was(&talk, "! called");
	check_string(talk.caller, "+15550001");
	talk_say(&talk, "VOICE CALL: END: 000012|");
	was(&talk, "! ended; > AT+CPCMREG=0");
	talk_say(&talk, "NO CARRIER|OK|");
	was(&talk, "> AT+CHUP");
	talk_say(&talk, "ERROR|");
	was(&talk, "");
	check_int(talk.modem.state, MB_MODEM_IDLE);
	/* and once more */
	talk_call(&talk);
	check_string(talk.caller, "+1555");
}

static void
we_hang_up(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk_call(&talk);
	/* in the middle of a question */
	mb_modem_heard(&talk.modem, talk.now + 1000);
	talk_wait(&talk, 1000);
	was(&talk, "> AT+CLCC");
	mb_modem_hang_up(&talk.modem, talk.now);
	was(&talk, "! ended");
	talk_say(&talk, "+CLCC: 1,1,0,0,0,\"+1555\",145|OK|");
	was(&talk, "> AT+CPCMREG=0");
	/* the modem does not answer any more */
	talk_wait(&talk, 5000);
	was(&talk, "> AT+CHUP");
	talk_wait(&talk, 5000);
	was(&talk, "");
	check_int(talk.modem.state, MB_MODEM_IDLE);
	mb_modem_hang_up(&talk.modem, talk.now);
	was(&talk, "");
}

/* What the modem says of the caller who is gone comes first, then the result of answering: it is free at once. */
static void
who_is_gone_is_told_twice(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|");
	was(&talk, "> ATA");
	talk_say(&talk, "VOICE CALL: END: 000000|");
	was(&talk, "! missed");
	talk_say(&talk, "NO CARRIER|");
	was(&talk, "> AT+CPCMREG=0");
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	was(&talk, "> AT+CHUP");
	check_int(talk.modem.state, MB_MODEM_IDLE);
	talk_call(&talk);
}

static void
who_calls_may_be_missing(void)
{
	talk talk;

	/* lost, empty, or before the ring */
	talk_begin(&talk, "sim7600");
	talk_say(&talk, "RING|");
	talk_wait(&talk, 499);
	was(&talk, "");
	talk_wait(&talk, 1);
	was(&talk, "> ATA");
	talk_say(&talk, "NO CARRIER|");
	was(&talk, "! missed; > AT+CPCMREG=0");
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	was(&talk, "> AT+CHUP");
	talk_say(&talk, "RING|+CLIP: \"\",128|");
	was(&talk, "> ATA");
	talk_begin(&talk, "sim7600");
	talk_say(&talk, "+CLIP: \"+1777\",145|");
	was(&talk, "");
	talk_say(&talk, "RING|");
	was(&talk, "> ATA");
}

static void
a_landline_is_answered_after_the_second_ring(void)
{
	talk talk;

	talk_begin(&talk, "v253");
	talk.rules.allowed = "5551234";
	talk_say(&talk, "RING|DATE=0321|TIME=1405|NMBR = 5551234|NAME=OK|");
	talk_wait(&talk, 4000);
	was(&talk, "");
	talk_say(&talk, "RING|");
	was(&talk, "> AT+VLS=1");
	talk_say(&talk, "VCON|");
	was(&talk, "! called");
	check_string(talk.caller, "5551234");
	mb_modem_hang_up(&talk.modem, talk.now);
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	was(&talk, "! ended; > AT+VLS=0; > ATH; > AT+FCLASS=8");
	/* rings behind a DLE; a private number */
	talk_say(&talk, "\x10R");
	talk_say(&talk, "NMBR=P|");
	talk_say(&talk, "\x10R");
	was(&talk, "! refused");
	talk_say(&talk, "RING|");
	talk_wait(&talk, 8000);
	check_int(talk.modem.state, MB_MODEM_IDLE);
	/* no caller id at all */
	talk.rules.allowed = "";
	talk_say(&talk, "RING|");
	talk_wait(&talk, 4000);
	talk_say(&talk, "RING|");
	talk_wait(&talk, 500);
	was(&talk, "> AT+VLS=1");
}

static void
who_gives_up_is_missed(void)
{
	talk talk;

	talk_begin(&talk, "v253");
	talk_say(&talk, "RING|NMBR=5|");
	talk_wait(&talk, 7999);
	was(&talk, "");
	talk_wait(&talk, 1);
	was(&talk, "! missed");
	/* the next one is another one */
	talk_say(&talk, "RING|");
	talk_wait(&talk, 5000);
	talk_say(&talk, "RING|");
	talk_wait(&talk, 500);
	was(&talk, "> AT+VLS=1");
	check_string(talk.modem.caller.number, "");
}

static void
only_some_are_answered(void)
{
	static const struct
	{
		const char *allowed;
		bool withheld;
		const char *number;
		bool answered;
	} cases[] = {
		{ NULL, false, "", true },
		{ " , ", false, "+1555", true },
		{ "+1555", false, "+1555", true },
		{ "+1555", false, "+15551", false },
		{ "+1555", false, "+155", false },
		{ "+1666, +1555", false, "+1555", true },
		{ "+49*,+1555*", false, "+1555123", true },
		{ "+49*,+1555*", false, "+1554", false },
		{ "*", false, "+1554", true },
		{ "*", false, "", false },
		{ "+1555", true, "", true },
		{ "+1555", true, "+1666", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		talk talk;
		char line[100];

		talk_begin(&talk, "sim7600");
		talk.rules.allowed = cases[i].allowed;
		talk.rules.withheld = cases[i].withheld;
		snprintf(line, sizeof(line), "RING|+CLIP: \"%s\",145|", cases[i].number);
		talk_say(&talk, line);
		was(&talk, cases[i].answered ? "> ATA" : "! refused; > AT+CPCMREG=0");
		if (cases[i].answered)
			continue;
		talk_say(&talk, "OK|");
		talk_say(&talk, "OK|");
		was(&talk, "> AT+CHUP");
		check_int(talk.modem.state, MB_MODEM_IDLE);
	}
}

static void
answers_an_hour_are_limited(void)
{
	talk talk;

	talk_begin(&talk, "quectel");
	talk.rules.answers = 3;
	for (int i = 0; i < 3; i++)
	{
		talk_say(&talk, "RING|+CLIP: \"+1555\",145|");
		was(&talk, "> ATA");
		talk_say(&talk, "ERROR|");
		talk_say(&talk, "OK|");
		talk_say(&talk, "OK|");
		was(&talk, "! missed; > AT+QPCMV=0; > AT+CHUP");
		talk_wait(&talk, 600000);
	}
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|");
	was(&talk, "! limited");
	/* as long as it rings, it is not said again */
	talk_wait(&talk, 5000);
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|");
	talk_wait(&talk, 8000);
	was(&talk, "");
	/* also when the modem was away meanwhile */
	mb_modem_begin(&talk.modem, talk.now);
	talk_say(&talk, "OK|");
	was(&talk, "> AT; > AT+CHUP");
	talk_made_ready(&talk);
	/* an hour after the first */
	talk_wait(&talk, 3600000 - 1800000 - 13000 - 1);
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|");
	was(&talk, "! limited");
	talk_wait(&talk, 8000);
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|");
	was(&talk, "> ATA");
}

static void
a_second_caller_waits(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk_call(&talk);
	talk_say(&talk, "+CCWA: \"+1666\",145,1|");
	was(&talk, "! waiting");
	talk_say(&talk, "RING|");
	was(&talk, "! waiting");
	talk_say(&talk, "+CLIP: \"+1666\",145|");
	check_string(talk.modem.caller.number, "+1555");
	check_int(talk.modem.state, MB_MODEM_CALL);
	mb_modem_heard(&talk.modem, talk.now + 900);
	talk_wait(&talk, 1000);
	/* the waiting one is not the call */
	talk_say(&talk, "+CLCC: 1,1,0,0,0,\"+1555\",145|+CLCC: 2,1,5,0,0,\"+1666\",145|OK|");
	check_int(talk.modem.state, MB_MODEM_CALL);
	mb_modem_heard(&talk.modem, talk.now);
	talk_wait(&talk, 1000);
	was(&talk, "> AT+CLCC; > AT+CLCC");
	talk_say(&talk, "+CLCC: 2,1,5,0,0,\"+1666\",145|OK|");
	was(&talk, "! ended; > AT+CPCMREG=0");
}

static void
profiles_are_complete(void)
{
	static const char *const names[] = { "sim7600", "quectel", "v253" };

	for (size_t i = 0; i < 3; i++)
	{
		const mb_modem_profile *profile = mb_modem_profile_of(names[i]);

		REQUIRE(profile != NULL);
		check(profile->init[0] != '\0' && profile->answer[0] != '\0' &&
			  profile->hang_up[0] != '\0');
		check(profile->start != NULL && profile->stop != NULL && profile->list != NULL &&
			  profile->reset != NULL);
		check(profile->rings >= 1);
	}
	check(mb_modem_profile_of("custom") == NULL);
}

int
main(void)
{
	check_run("a modem is made ready", it_is_made_ready);
	check_run("one that is not is tried again, less and less often", it_is_tried_again);
	check_run("a call from its ring to its end", a_call_from_ring_to_end);
	check_run("we hang up, in the middle of a question", we_hang_up);
	check_run("who is gone while we answer is told twice", who_is_gone_is_told_twice);
	check_run("who calls may be missing", who_calls_may_be_missing);
	check_run("a landline is answered after the second ring",
			  a_landline_is_answered_after_the_second_ring);
	check_run("who gives up is missed", who_gives_up_is_missed);
	check_run("only those on the list are answered", only_some_are_answered);
	check_run("answers an hour are limited", answers_an_hour_are_limited);
	check_run("a second caller is never answered", a_second_caller_waits);
	check_run("profiles are complete", profiles_are_complete);
	return check_done();
}
