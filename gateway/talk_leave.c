/*
 * talk_leave.c
 *	  How a conversation ends from our side: the database is told how the call goes on, and then the stream ends.
 *
 * It is told when the last word was heard and not before: whoever is interrupted in "I put you through" may have been told "no".  An
 * emergency is told at once.  What the database cannot take now it is told again; the stream waits for that, an emergency's for longer, and
 * then ends: an emergency is told on until the database has it, who else is too late finds the stream over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "log.h"
#include "talk_internal.h"

#define TOLD_WITHIN (2 * HTTP_SECOND)
#define EMERGENCY_WITHIN                                                                           \
	(10 * HTTP_SECOND) /* of the end: then the stream ends, and it is told on */
#define FAREWELL_WITHIN (5 * HTTP_SECOND)
#define AGAIN (200 * HTTP_MILLISECOND)
#define AGAIN_AT_MOST (5 * HTTP_SECOND)

/* What SQL is told, until it has it. */
typedef struct telling
{
	gw_unit unit;
	gw_talk *talk;
	http_timer again;
	int64_t pause; /* before that */
	bool emergency;
	char id[24];
	char how[16];
	char detail[512];
} telling;

void
talk_leave_now(void *arg)
{
	gw_talk *talk = arg;

	http_loop_clear_timer(talk->loop, &talk->leave);
	talk->leaving = true;
	if (talk->session != NULL)
		gw_media_end(talk->session, talk->stopping ? 1001 : 1000,
					 talk->stopping				  ? "the gateway ended"
					 : talk->leave_reason != NULL ? talk->leave_reason
												  : "left by the agent");
}

static void
told(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result);

static void
send_telling(void *arg)
{
	static const gw_statement leave_media = { "leave_media",
											  "SELECT mulberry.leave_media($1::bigint, $2, $3)",
											  true };
	telling *t = arg;

	memset(&t->unit, 0, sizeof(t->unit));
	t->unit.statement = &leave_media;
	t->unit.n_parameters = 3;
	t->unit.values[0] = t->id;
	t->unit.values[1] = t->how;
	t->unit.values[2] = t->detail[0] == '\0' ? NULL : t->detail;
	t->unit.done = told;
	gw_media_ask(t->talk->media, &t->unit);
}

static void
told(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	telling *t = (telling *) unit;
	gw_talk *talk = t->talk;

	(void) identity;
	if (gw_may_pass(outcome, result))
	{
		if (t->pause == 0)
			gw_log(GW_WARNING, "how a call goes on is not stored yet", "call %s: %s", talk->call_id,
				   gw_complaint_of(result));
		t->pause = t->pause == 0				  ? AGAIN
				   : t->pause * 2 < AGAIN_AT_MOST ? t->pause * 2
												  : AGAIN_AT_MOST;
		http_loop_set_timer(talk->loop, &t->again, http_clock() + t->pause);
		return;
	}
	if (outcome != GW_COMMITTED)
		gw_log(t->emergency ? GW_ERROR : GW_WARNING, "how a call goes on could not be stored",
			   "call %s: %s", talk->call_id, gw_complaint_of(result));
	talk->untold--;
	talk->untold_emergencies -= t->emergency;
	free(t);
	if (talk->leaving && talk->untold == 0)
		talk_leave_now(talk);
	talk_release(talk);
}

/* Without memory the stream ends, and the database does not know. */
static void
tell(gw_talk *talk, const char *how, const char *detail, bool emergency)
{
	telling *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return;
	t->talk = talk;
	talk->users++;
	talk->untold++;
	talk->untold_emergencies += emergency;
	t->emergency = emergency;
	t->again = (http_timer){ .due = send_telling, .arg = t };
	snprintf(t->id, sizeof(t->id), "%s", talk->session_id);
	snprintf(t->how, sizeof(t->how), "%s", how);
	snprintf(t->detail, sizeof(t->detail), "%s", detail);
	t->detail[mb_utf8_prefix(t->detail, strlen(t->detail))] = '\0';
	send_telling(t);
}

void
talk_leave(gw_talk *talk, const talk_way *way, const char *reason)
{
	if (talk->session == NULL || talk->leaving)
		return;
	talk->leaving = true;
	talk->leave_reason = reason;
	http_loop_set_timer(talk->loop, &talk->leave,
						http_clock() +
							(talk->untold_emergencies > 0 ? EMERGENCY_WITHIN : TOLD_WITHIN));
	if (way != NULL && way->how != NULL)
		tell(talk, way->how, way->detail, false);
	if (talk->untold == 0)
		talk_leave_now(talk);
}

void
talk_tell_emergency(gw_talk *talk, const char *text)
{
	tell(talk, "emergency", text, true);
}

void
gw_talk_stop(gw_talk *talk)
{
	const char *farewell = talk_text(talk, "farewell");

	if (talk->stopping)
		return;
	talk->stopping = true;
	if (talk->leaving)
		return;
	if (*farewell == '\0')
	{
		talk_leave_now(talk);
		return;
	}
	http_loop_set_timer(talk->loop, &talk->leave, http_clock() + FAREWELL_WITHIN);
	talk_say_this(talk, MB_ITEM_LEGAL, farewell, TALK_LEAVE, NULL);
}
