/*
 * test_modem_vices.c
 *	  Modems that forget to say something, begin anew, or give no audio: calls end all the same, and the modem is made ready again.
 */
#include "modem_talk.h"

static void
what_the_modem_forgot_to_say(void)
{
	talk talk;

	/* that the call is up */
	talk_begin(&talk, "sim7600");
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|OK|");
	was(&talk, "> ATA");
	talk_wait(&talk, 1000);
	was(&talk, "> AT+CLCC");
	talk_say(&talk, "+CLCC: 1,1,4,0,0,\"+1555\",145|OK|");
	talk_wait(&talk, 1000);
	talk_say(&talk, "+CLCC: 1,1,0,0,0,\"+1555\",145|OK|");
	was(&talk, "> AT+CLCC; > AT+CPCMREG=1");
	talk_say(&talk, "OK|");
	talk_say(&talk, "+CPCMREG: 1|OK|");
	was(&talk, "> AT+CPCMREG?; ! called");
	/* that it is over */
	mb_modem_heard(&talk.modem, talk.now);
	talk_wait(&talk, 1000);
	talk_say(&talk, "OK|");
	was(&talk, "> AT+CLCC; ! ended; > AT+CPCMREG=0");
	/* an answer that is no answer ends nothing */
	talk_begin(&talk, "sim7600");
	talk_call(&talk);
	mb_modem_heard(&talk.modem, talk.now);
	talk_wait(&talk, 1000);
	talk_say(&talk, "ERROR|");
	check_int(talk.modem.state, MB_MODEM_CALL);
	mb_modem_heard(&talk.modem, talk.now + 6000);
	talk_wait(&talk, 1000);
	was(&talk, "> AT+CLCC; > AT+CLCC");
	talk_wait(&talk, 5000);
	check_int(talk.modem.state, MB_MODEM_CALL);
	/* that nobody is there any more */
	talk_begin(&talk, "sim7600");
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|OK|");
	for (int i = 0; i < 9; i++)
	{
		talk_wait(&talk, 1000);
		talk_say(&talk, "OK|");
	}
	talk_wait(&talk, 1000);
	check(strstr(talk.log, "! missed; ") != NULL);
	check_int(talk.modem.state, MB_MODEM_ENDING);
}

static void
a_modem_that_begins_anew(void)
{
	talk talk;

	/* in a call */
	talk_begin(&talk, "sim7600");
	talk_call(&talk);
	talk_say(&talk, "RDY|");
	was(&talk, "! ended; ! restarted");
	talk_wait(&talk, 500);
	talk_say(&talk, "+CPIN: READY|");
	talk_wait(&talk, 999);
	was(&talk, "");
	talk_wait(&talk, 1);
	was(&talk, "> AT");
	/* with its echo on again */
	talk_say(&talk, "AT|OK|");
	talk_made_ready(&talk);
	/* while it is being made ready */
	mb_modem_begin(&talk.modem, talk.now);
	talk_say(&talk, "RDY|");
	talk_wait(&talk, 1000);
	was(&talk, "> AT; > AT");
	talk_say(&talk, "OK|");
	talk_made_ready(&talk);
	/* between a command and its OK, which never comes */
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|RDY|");
	was(&talk, "> ATA; ! restarted");
	talk_wait(&talk, 1000);
	talk_say(&talk, "OK|");
	was(&talk, "> AT; > AT+CHUP");
	talk_made_ready(&talk);
}

static void
the_second_call_has_no_audio(void)
{
	talk talk;

	/* the registration is not kept: the call ends, and the modem is reset before the next one */
	talk_begin(&talk, "sim7600");
	talk_call(&talk);
	talk_say(&talk, "NO CARRIER|OK|");
	talk_say(&talk, "OK|");
	was(&talk, "! ended; > AT+CPCMREG=0; > AT+CHUP");
	talk_say(&talk, "RING|+CLIP: \"+1555\",145|VOICE CALL: BEGIN|OK|");
	talk_say(&talk, "OK|");
	was(&talk, "> ATA; > AT+CPCMREG=1; > AT+CPCMREG?");
	talk_say(&talk, "+CPCMREG: 0|OK|");
	was(&talk, "! problem; > AT+CPCMREG=0");
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	was(&talk, "> AT+CHUP; > AT+CRESET");
	talk_say(&talk, "OK|");
	check_int(talk.modem.state, MB_MODEM_RESETTING);
	/* it does not ring for us meanwhile */
	talk_say(&talk, "RING|");
	was(&talk, "");
	talk_wait(&talk, 20000);
	talk_say(&talk, "RDY|+CPIN: READY|");
	talk_wait(&talk, 1000);
	talk_say(&talk, "OK|");
	was(&talk, "> AT; > AT+CHUP");
	talk_made_ready(&talk);
	talk_call(&talk);
}

static void
a_reset_that_is_not_told(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk_call(&talk);
	talk.modem.spoilt = true;
	talk_say(&talk, "NO CARRIER|OK|");
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	was(&talk, "! ended; > AT+CPCMREG=0; > AT+CHUP; > AT+CRESET");
	talk_wait(&talk, 60000);
	was(&talk, "> AT");
}

static void
no_audio_for_two_seconds(void)
{
	talk talk;

	talk_begin(&talk, "sim7600");
	talk.profile.list = "";
	talk_call(&talk);
	mb_modem_heard(&talk.modem, talk.now + 500);
	talk_wait(&talk, 2499);
	was(&talk, "");
	talk_wait(&talk, 1);
	was(&talk, "! no audio; > AT+CPCMREG=0");
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	talk_say(&talk, "+CPCMREG: 1|OK|");
	was(&talk, "> AT+CPCMREG=1; > AT+CPCMREG?");
	check_int(talk.modem.state, MB_MODEM_CALL);
	mb_modem_heard(&talk.modem, talk.now + 100);
	talk_wait(&talk, 2099);
	was(&talk, "");
	/* not a second time */
	talk_wait(&talk, 1);
	was(&talk, "! no audio; ! ended; > AT+CPCMREG=0");
	talk_say(&talk, "OK|");
	talk_say(&talk, "OK|");
	was(&talk, "> AT+CHUP; > AT+CRESET");

	/* where audio is not started apart, the call ends at once */
	talk_begin(&talk, "v253");
	talk_say(&talk, "RING|RING|");
	talk_wait(&talk, 500);
	talk_say(&talk, "OK|");
	was(&talk, "> AT+VLS=1; ! called");
	talk_wait(&talk, 2000);
	was(&talk, "! no audio; ! ended; > AT+VLS=0");
}

/* Whatever a modem says and whenever, control goes on, and one command at a time is sent. */
static void
a_mad_modem(void)
{
	static const char *const lines[] = {
		"OK|",
		"ERROR|",
		"RING|",
		"+CLIP: \"+1555\",145|",
		"NO CARRIER|",
		"VOICE CALL: BEGIN|",
		"VOICE CALL: END|",
		"+CPCMREG: 1|OK|",
		"+CPCMREG: 0|OK|",
		"RDY|",
		"BUSY|",
		"+CLCC: 1,1,0,0,0|OK|",
		"VCON|",
		"\x10R",
		"\x10"
		"b",
		"NMBR=1|",
		"+CCWA: \"1\",129|",
		"CONNECT|",
		"+RXDTMF: 1|",
	};
	check_random random = { 77 };
	talk talk;
	size_t called = 0;

	for (int round = 0; round < 60; round++)
	{
		bool up = false;

		talk_begin(&talk, round % 2 ? "sim7600" : "v253");
		for (int i = 0; i < 2000; i++)
		{
			talk.log[0] = '\0';
			if (check_random_below(&random, 4) == 0)
				talk_wait(&talk, (int64_t) check_random_below(&random, 3000));
			else if (check_random_below(&random, 30) == 0)
				mb_modem_hang_up(&talk.modem, talk.now);
			else
				talk_say(&talk,
						 lines[check_random_below(&random, sizeof(lines) / sizeof(lines[0]))]);
			/* who opens audio is told to close it, and each once */
			for (const char *at = strchr(talk.log, '!'); at != NULL; at = strchr(at + 1, '!'))
			{
				if (strncmp(at, "! called", 8) == 0)
				{
					check(!up);
					up = true;
					called++;
				}
				if (strncmp(at, "! ended", 7) == 0)
				{
					check(up);
					up = false;
				}
			}
		}
		/* and when it comes to its senses, it is ready */
		for (int i = 0; i < 200 && talk.modem.state != MB_MODEM_IDLE; i++)
		{
			talk_wait(&talk, 1000);
			talk_say(&talk, "OK|");
		}
		check_int(talk.modem.state, MB_MODEM_IDLE);
	}
	check(called > 100);
}

int
main(void)
{
	check_run("the list of calls makes up for what was not said", what_the_modem_forgot_to_say);
	check_run("a modem that begins anew is made ready anew", a_modem_that_begins_anew);
	check_run("without audio in the second call the modem is reset", the_second_call_has_no_audio);
	check_run("a reset that is not told takes a minute", a_reset_that_is_not_told);
	check_run("without audio it is started once more, then the call ends",
			  no_audio_for_two_seconds);
	check_run("a mad modem is survived", a_mad_modem);
	return check_done();
}
