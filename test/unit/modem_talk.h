/*
 * modem_talk.h
 *	  A conversation with a modem for tests of its control: what it says is read as lines, what it is told and what is told of it
 *	  is kept in one text, "> AT" and "! called", divided by blanks and semicolons.
 */
#ifndef MODEM_TALK_H
#define MODEM_TALK_H

#include "check.h"
#include "core/modem/control.h"

typedef struct talk
{
	mb_modem modem;
	mb_modem_profile profile;
	mb_modem_rules rules;
	mb_at at;
	int64_t now;
	char log[4000];
	char caller[MB_AT_NUMBER + 1];
} talk;

static const char *const talk_news[] = {
	"ready",   "called",   "ended",		"missed", "refused", "limited",
	"waiting", "no audio", "restarted", "digit",  "problem",
};

static void
talk_log(talk *talk, const char *mark, const char *text)
{
	size_t n = strlen(talk->log);

	snprintf(talk->log + n, sizeof(talk->log) - n, "%s%s%s", n > 0 ? "; " : "", mark, text);
}

static void
talk_send(void *context, const char *command)
{
	talk *talk = context;

	talk_log(talk, "> ", command);
	mb_at_sent(&talk->at, command);
}

static void
talk_tell(void *context, const mb_modem_news *news)
{
	talk *talk = context;

	talk_log(talk, "! ", talk_news[news->what]);
	memcpy(talk->caller, news->caller->number, sizeof(talk->caller));
}

/* The modem says this; "|" ends a line. */
static void
talk_say(talk *talk, const char *text)
{
	char bytes[1000];
	size_t n = 0;

	for (; *text != '\0'; text++)
	{
		if (*text == '|')
			bytes[n++] = '\r';
		bytes[n++] = *text == '|' ? '\n' : *text;
	}
	for (size_t i = 0; i < n;)
	{
		mb_at_event event;
		size_t used;

		if (mb_at_feed(&talk->at, (const uint8_t *) bytes + i, n - i, &used, &event))
			mb_modem_take(&talk->modem, &event, talk->now);
		i += used;
	}
}

/* Time goes by, step by step as the control asks for it. */
static void
talk_wait(talk *talk, int64_t ms)
{
	int64_t end = talk->now + ms;

	for (;;)
	{
		int64_t next = mb_modem_turn(&talk->modem, talk->now);

		if (next > end)
			break;
		talk->now = next > talk->now ? next : talk->now + 1;
	}
	talk->now = end;
	mb_modem_turn(&talk->modem, talk->now);
}

/* What happened since it was last asked is this. */
static void
talk_was(talk *talk, const char *file, int line, const char *expected)
{
	check_string_at(file, line, "the conversation", talk->log, expected);
	talk->log[0] = '\0';
}

#define was(talk, expected) talk_was(talk, __FILE__, __LINE__, expected)

/* Behind the commands of its init it is told to end a call that somebody may have left. */
static void
talk_made_ready(talk *talk)
{
	while (talk->modem.pending && talk->modem.state == MB_MODEM_STARTING)
	{
		talk->log[0] = '\0';
		talk_say(talk, "OK|");
	}
	was(talk, "! ready");
}

/* A modem of that profile, with an init of one command, ready. */
static void
talk_begin(talk *talk, const char *profile)
{
	memset(talk, 0, sizeof(*talk));
	talk->profile = *mb_modem_profile_of(profile);
	talk->profile.init = "AT";
	talk->rules.watchdog_ms = 2000;
	talk->modem.profile = &talk->profile;
	talk->modem.rules = &talk->rules;
	talk->modem.send = talk_send;
	talk->modem.tell = talk_tell;
	talk->modem.context = talk;
	talk->now = 5000000;
	mb_at_begin(&talk->at);
	mb_modem_begin(&talk->modem, talk->now);
	if (talk->profile.shielded)
	{
		was(talk, "> \x10\x03\x10!");
		talk_say(talk, "ERROR|\x10\x03OK|");
		talk_wait(talk, 1000);
	}
	was(talk, "> AT");
	talk_say(talk, "AT|OK|");
	talk_made_ready(talk);
}

/* From ringing to audio, of a SIM7600. */
static void
talk_call(talk *talk)
{
	talk_say(talk, "RING|+CLIP: \"+1555\",145|");
	talk_say(talk, "VOICE CALL: BEGIN|OK|");
	talk_say(talk, "OK|");
	talk_say(talk, "+CPCMREG: 1|OK|");
	was(talk, "> ATA; > AT+CPCMREG=1; > AT+CPCMREG?; ! called");
	check_int(talk->modem.state, MB_MODEM_CALL);
}

#endif /* MODEM_TALK_H */
