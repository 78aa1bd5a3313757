/*
 * control.c
 *	  The states of a modem; see control.h.
 *
 * One command is under way at a time. Its result is the first line that is one; NO CARRIER and BUSY are results of
 * answering only, and otherwise the end of the call, between whatever they come.
 */
#include "core/modem/control.h"

#include <string.h>

#include "core/modem/control_internal.h"

#define NEVER INT64_MAX
#define SECOND INT64_C(1000)

#define COMMAND_MS (5 * SECOND)
#define ANSWER_MS (30 * SECOND)
#define BEGIN_MS (10 * SECOND)
/* After the last ring nobody calls any more; networks ring every 4 to 6 seconds. */
#define RING_MS (8 * SECOND)
/* Who calls is told behind the ring. */
#define CALLER_MS 500
#define POLL_MS SECOND
/* A modem that begins anew says so in several lines. */
#define SETTLE_MS SECOND
#define RESET_MS (60 * SECOND)
#define LEAST_BACKOFF (2 * SECOND)
#define MOST_BACKOFF (60 * SECOND)
/* DLE ETX ends what is spoken, DLE ! what is heard; in command mode it is a line that means nothing. */
#define END_OF_STREAM "\x10\x03\x10!"

static void
tell(mb_modem *modem, mb_modem_what what, const char *text)
{
	mb_modem_news news = { what, &modem->caller, text };

	modem->tell(modem->context, &news);
}

static void
enter(mb_modem *modem, mb_modem_state state, int64_t wake)
{
	modem->state = state;
	modem->wake = wake;
}

/* Sends the next command of the script under way; false when there is none. */
static bool
send_next(mb_modem *modem, int64_t now)
{
	do
	{
		if (mb_modem_next_command(&modem->script, modem->command, modem->expected,
								  &modem->optional))
		{
			modem->pending = true;
			modem->polling = false;
			modem->answers_call = modem->state == MB_MODEM_ANSWERING;
			modem->seen = modem->expected[0] == '\0';
			modem->pending_until =
				now + (modem->state == MB_MODEM_ANSWERING ? ANSWER_MS : COMMAND_MS);
			modem->send(modem->context, modem->command);
			return true;
		}
		modem->script = modem->then;
		modem->then = NULL;
	} while (modem->script != NULL);
	return false;
}

static void finish_script(mb_modem *modem, int64_t now);

/* Begins a script, and perhaps another one behind it; a command that is under way comes to its end first. */
static void
run(mb_modem *modem, const char *script, const char *then, int64_t now)
{
	modem->script = script;
	modem->then = then;
	if (!modem->pending && !send_next(modem, now))
		finish_script(modem, now);
}

static void
make_ready(mb_modem *modem, int64_t now)
{
	enter(modem, MB_MODEM_STARTING, NEVER);
	modem->pending = false;
	/* whoever had the modem before may have left a call up, and nobody would ever end it */
	run(modem, modem->profile->init, modem->profile->hang_up, now);
}

/* Tries to make the modem ready, later. */
static void
make_ready_later(mb_modem *modem, int64_t after, int64_t now)
{
	modem->script = modem->then = NULL;
	modem->pending = false;
	enter(modem, MB_MODEM_STARTING, now + after);
}

void
mb_modem_begin(mb_modem *modem, int64_t now)
{
	modem->backoff = LEAST_BACKOFF;
	modem->rings = 0;
	modem->spoilt = false;
	if (modem->profile->shielded)
	{
		/* it may still speak or hear for whoever had it before, and takes no commands then */
		modem->send(modem->context, END_OF_STREAM);
		make_ready_later(modem, SETTLE_MS, now);
		return;
	}
	make_ready(modem, now);
}

/* Nobody rings and nobody speaks. */
static void
be_idle(mb_modem *modem, int64_t now)
{
	if (modem->spoilt && modem->profile->reset[0] != '\0')
	{
		modem->spoilt = false;
		enter(modem, MB_MODEM_RESETTING, now + RESET_MS);
		run(modem, modem->profile->reset, NULL, now);
		return;
	}
	modem->spoilt = false;
	modem->rings = 0;
	modem->known = false;
	enter(modem, MB_MODEM_IDLE, NEVER);
}

/* Ends whatever call there is. */
static void
end(mb_modem *modem, int64_t now)
{
	bool up = modem->state == MB_MODEM_CALL || modem->state == MB_MODEM_REOPENING;

	enter(modem, MB_MODEM_ENDING, NEVER);
	/* whoever has the audio closes it before the modem is told anything */
	if (up)
		tell(modem, MB_MODEM_ENDED, NULL);
	run(modem, modem->profile->stop, modem->profile->hang_up, now);
}

static void
fail(mb_modem *modem, int64_t now)
{
	switch (modem->state)
	{
		case MB_MODEM_STARTING:
			tell(modem, MB_MODEM_PROBLEM, modem->command);
			make_ready_later(modem, modem->backoff, now);
			modem->backoff = modem->backoff * 2 < MOST_BACKOFF ? modem->backoff * 2 : MOST_BACKOFF;
			break;
		case MB_MODEM_ANSWERING:
			tell(modem, MB_MODEM_MISSED, NULL);
			end(modem, now);
			break;
		case MB_MODEM_OPENING:
		case MB_MODEM_REOPENING:
			tell(modem, MB_MODEM_PROBLEM, modem->command);
			modem->spoilt = true;
			end(modem, now);
			break;
		case MB_MODEM_RESETTING:
			/* one that cannot be reset may still be made ready */
			make_ready_later(modem, SETTLE_MS, now);
			break;
		default:
			/* a poll, or what is sent while a call ends */
			if (!send_next(modem, now))
				finish_script(modem, now);
			break;
	}
}

/* The call is up: audio is next. */
static void
open_audio(mb_modem *modem, int64_t now)
{
	if (!modem->answered || (modem->profile->says_begin && !modem->began))
		return;
	enter(modem, MB_MODEM_OPENING, NEVER);
	run(modem, modem->profile->start, NULL, now);
}

/* All commands of the script were taken. */
static void
finish_script(mb_modem *modem, int64_t now)
{
	switch (modem->state)
	{
		case MB_MODEM_STARTING:
			modem->backoff = LEAST_BACKOFF;
			be_idle(modem, now);
			tell(modem, MB_MODEM_READY, NULL);
			break;
		case MB_MODEM_ANSWERING:
			modem->answered = true;
			modem->wake = now + BEGIN_MS;
			modem->poll_at = now + POLL_MS;
			open_audio(modem, now);
			break;
		case MB_MODEM_OPENING:
			modem->audio_at = now;
			modem->reopened = false;
			modem->poll_at = now + POLL_MS;
			enter(modem, MB_MODEM_CALL, NEVER);
			tell(modem, MB_MODEM_CALLED, NULL);
			break;
		case MB_MODEM_REOPENING:
			modem->audio_at = now;
			enter(modem, MB_MODEM_CALL, NEVER);
			break;
		case MB_MODEM_ENDING:
			be_idle(modem, now);
			break;
		default:
			break;
	}
}

/* The answer to the question which calls there are. */
static void
finish_poll(mb_modem *modem, bool good, int64_t now)
{
	modem->polling = false;
	modem->poll_at = now + POLL_MS;
	if (good && modem->state == MB_MODEM_CALL && !modem->listed)
	{
		end(modem, now);
		return;
	}
	if (good && modem->state == MB_MODEM_ANSWERING && modem->listed && modem->answered)
	{
		modem->began = true;
		open_audio(modem, now);
	}
	else if (!send_next(modem, now) && modem->state == MB_MODEM_ENDING)
		finish_script(modem, now);
}

static void
take_result(mb_modem *modem, bool good, int64_t now)
{
	if (!modem->pending)
		return;
	modem->pending = false;
	if (modem->polling)
		finish_poll(modem, good, now);
	else if ((!good || !modem->seen) && !modem->optional)
		fail(modem, now);
	else if (!send_next(modem, now))
		finish_script(modem, now);
}

static void
answer(mb_modem *modem, int64_t now)
{
	modem->answers[modem->n_answers++ % MB_MODEM_MAX_ANSWERS] = now;
	modem->began = modem->answered = false;
	enter(modem, MB_MODEM_ANSWERING, NEVER);
	run(modem, modem->profile->answer, NULL, now);
}

/* Whether the latest n answers all were within the hour. */
static bool
too_many(const mb_modem *modem, int64_t now)
{
	int n = modem->rules->answers;

	if (n <= 0 || modem->n_answers < n)
		return false;
	return now - modem->answers[(modem->n_answers - n) % MB_MODEM_MAX_ANSWERS] < 3600 * SECOND;
}

static void
decide(mb_modem *modem, int64_t now)
{
	if (!mb_modem_allows(modem->rules, &modem->caller))
	{
		tell(modem, MB_MODEM_REFUSED, NULL);
		if (modem->profile->refuses)
			end(modem, now);
		else
			enter(modem, MB_MODEM_IGNORING, now + RING_MS);
	}
	else if (too_many(modem, now))
	{
		tell(modem, MB_MODEM_LIMITED, NULL);
		enter(modem, MB_MODEM_IGNORING, now + RING_MS);
	}
	else
		answer(modem, now);
}

static void
take_ring(mb_modem *modem, int64_t now)
{
	switch (modem->state)
	{
		case MB_MODEM_IDLE:
			modem->rings = 0;
			modem->known = false;
			memset(&modem->caller, 0, sizeof(modem->caller));
			/* fall through */
		case MB_MODEM_RINGING:
			modem->rings++;
			modem->rang_at = now;
			enter(modem, MB_MODEM_RINGING, now + RING_MS);
			if (modem->rings < modem->profile->rings)
				break;
			if (modem->known || modem->rings > modem->profile->rings)
				decide(modem, now);
			else
				modem->wake = now + CALLER_MS;
			break;
		case MB_MODEM_IGNORING:
			modem->wake = now + RING_MS;
			break;
		case MB_MODEM_CALL:
		case MB_MODEM_REOPENING:
			tell(modem, MB_MODEM_WAITING, NULL);
			break;
		default:
			break;
	}
}

static void
take_caller(mb_modem *modem, const mb_at_event *event, int64_t now)
{
	if (modem->state != MB_MODEM_RINGING && modem->state != MB_MODEM_IDLE)
		return;
	if (modem->state == MB_MODEM_IDLE)
	{
		/* it comes before the first ring, or the ring was lost */
		memset(&modem->caller, 0, sizeof(modem->caller));
		modem->rings = 0;
		enter(modem, MB_MODEM_RINGING, now + RING_MS);
	}
	mb_at_caller(event, &modem->caller);
	/* of a landline the name comes behind the number, and there is time for it until the next ring */
	modem->known = modem->known || event->kind != MB_AT_NAME_OF;
	if (event->kind == MB_AT_CLIP && modem->rings >= modem->profile->rings)
		decide(modem, now);
}

/* The other side has hung up. */
static void
take_end(mb_modem *modem, int64_t now)
{
	switch (modem->state)
	{
		case MB_MODEM_RINGING:
			tell(modem, MB_MODEM_MISSED, NULL);
			/* fall through */
		case MB_MODEM_IGNORING:
			be_idle(modem, now);
			break;
		case MB_MODEM_ANSWERING:
		case MB_MODEM_OPENING:
			tell(modem, MB_MODEM_MISSED, NULL);
			end(modem, now);
			break;
		case MB_MODEM_CALL:
		case MB_MODEM_REOPENING:
			end(modem, now);
			break;
		default:
			break;
	}
}

/* The result of answering, also when the call has been given up meanwhile; any other command has its own to come. */
static void
take_no_carrier(mb_modem *modem, int64_t now)
{
	bool result = modem->pending && modem->answers_call && !modem->polling;

	if (result && modem->state == MB_MODEM_ENDING)
		take_result(modem, false, now);
	else
	{
		modem->pending = modem->pending && !result;
		take_end(modem, now);
	}
}

/* The modem knows nothing any more. */
static void
take_restart(mb_modem *modem, int64_t now)
{
	bool up = modem->state == MB_MODEM_CALL || modem->state == MB_MODEM_REOPENING;

	if (up)
		tell(modem, MB_MODEM_ENDED, NULL);
	if (modem->state != MB_MODEM_STARTING && modem->state != MB_MODEM_RESETTING)
		tell(modem, MB_MODEM_RESTARTED, NULL);
	modem->spoilt = false;
	make_ready_later(modem, SETTLE_MS, now);
}

void
mb_modem_take(mb_modem *modem, const mb_at_event *event, int64_t now)
{
	mb_at_call call;

	switch (event->kind)
	{
		case MB_AT_OK:
		case MB_AT_CONNECT:
		case MB_AT_VCON:
			take_result(modem, true, now);
			break;
		case MB_AT_ERROR:
			take_result(modem, false, now);
			break;
		case MB_AT_NO_CARRIER:
		case MB_AT_BUSY:
		case MB_AT_NO_ANSWER:
		case MB_AT_NO_DIALTONE:
			take_no_carrier(modem, now);
			break;
		case MB_AT_RING:
			take_ring(modem, now);
			break;
		case MB_AT_CLIP:
		case MB_AT_NUMBER_OF:
		case MB_AT_NAME_OF:
			take_caller(modem, event, now);
			break;
		case MB_AT_CCWA:
			if (modem->state == MB_MODEM_CALL || modem->state == MB_MODEM_REOPENING)
				tell(modem, MB_MODEM_WAITING, NULL);
			break;
		case MB_AT_CALL_BEGIN:
			modem->began = true;
			if (modem->state == MB_MODEM_ANSWERING)
				open_audio(modem, now);
			break;
		case MB_AT_CALL_END:
			take_end(modem, now);
			break;
		case MB_AT_RESTARTED:
			take_restart(modem, now);
			break;
		case MB_AT_CALL:
			if (modem->polling && mb_at_call_of(event, &call) && call.incoming && call.voice &&
				call.state <= MB_AT_CALL_HELD)
				modem->listed = true;
			break;
		case MB_AT_SHIELDED:
			if (event->code == 'R')
				take_ring(modem, now);
			break;
		case MB_AT_DIGIT:
			if (modem->state == MB_MODEM_CALL)
				tell(modem, MB_MODEM_DIGIT, event->text);
			break;
		case MB_AT_TEXT:
			if (modem->pending && !modem->polling && modem->expected[0] != '\0' &&
				strncmp(event->text, modem->expected, strlen(modem->expected)) == 0)
				modem->seen = true;
			break;
		default:
			break;
	}
}

static void
poll_calls(mb_modem *modem, int64_t now)
{
	modem->pending = modem->polling = true;
	modem->listed = false;
	modem->pending_until = now + COMMAND_MS;
	modem->send(modem->context, modem->profile->list);
}

static void
watch_audio(mb_modem *modem, int64_t now)
{
	tell(modem, MB_MODEM_NO_AUDIO, NULL);
	if (modem->reopened || modem->profile->start[0] == '\0')
	{
		modem->spoilt = true;
		end(modem, now);
		return;
	}
	modem->reopened = true;
	enter(modem, MB_MODEM_REOPENING, NEVER);
	run(modem, modem->profile->stop, modem->profile->start, now);
}

/* The time of the state has come. */
static void
wake(mb_modem *modem, int64_t now)
{
	modem->wake = NEVER;
	switch (modem->state)
	{
		case MB_MODEM_STARTING:
			make_ready(modem, now);
			break;
		case MB_MODEM_RINGING:
			if (modem->rings >= modem->profile->rings && now - modem->rang_at < RING_MS)
				decide(modem, now);
			else
				take_end(modem, now);
			break;
		case MB_MODEM_IGNORING:
			be_idle(modem, now);
			break;
		case MB_MODEM_ANSWERING:
			/* nobody said that the call is up */
			fail(modem, now);
			break;
		case MB_MODEM_RESETTING:
			make_ready(modem, now);
			break;
		default:
			break;
	}
}

int64_t
mb_modem_turn(mb_modem *modem, int64_t now)
{
	bool polls = modem->profile->list[0] != '\0';
	bool watches = modem->rules->watchdog_ms > 0;
	int64_t next = NEVER;

	/* whatever it was, the modem did not answer */
	if (modem->pending && now >= modem->pending_until)
		take_result(modem, false, now);
	if (now >= modem->wake)
		wake(modem, now);
	if (modem->state == MB_MODEM_CALL && watches &&
		now - modem->audio_at >= modem->rules->watchdog_ms)
		watch_audio(modem, now);
	polls =
		polls && !modem->pending &&
		(modem->state == MB_MODEM_CALL || (modem->state == MB_MODEM_ANSWERING && modem->answered));
	if (polls && now >= modem->poll_at)
		poll_calls(modem, now);

	next = modem->wake;
	if (modem->pending && modem->pending_until < next)
		next = modem->pending_until;
	if (polls && !modem->pending && modem->poll_at < next)
		next = modem->poll_at;
	if (modem->state == MB_MODEM_CALL && watches &&
		modem->audio_at + modem->rules->watchdog_ms < next)
		next = modem->audio_at + modem->rules->watchdog_ms;
	return next;
}

void
mb_modem_heard(mb_modem *modem, int64_t now)
{
	modem->audio_at = now;
}

void
mb_modem_hang_up(mb_modem *modem, int64_t now)
{
	if (modem->state == MB_MODEM_ANSWERING || modem->state == MB_MODEM_OPENING ||
		modem->state == MB_MODEM_CALL || modem->state == MB_MODEM_REOPENING)
		end(modem, now);
}
