/*
 * supervision.c
 *	  What supervisors do in calls that are under way, by HTTP: the functions of SQL, which tell the gateway that has the call.
 */
#include "query.h"

#include <string.h>

#include "session.h"

#define MAX_TEXT 1000 /* characters; how long each may be, the database says */

#define ACCEPTED(message, call)                                                                    \
	"SELECT jsonb_build_object('status', 'accepted', 'message', '" message                         \
	"', 'call_id', $1::text), 202 FROM mulberry." call

/* What the call is not fit for is a conflict. */
static bool
conflict(gw_query *query, gw_outcome outcome, const PGresult *error)
{
	if (outcome != GW_FAILED || strcmp(gw_sqlstate(error), "55000") != 0)
		return false;
	gw_answer_detail(query->gateway, query->id, 409, "%s",
					 PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY));
	return true;
}

/* clang-format off */
#define OF_CALL { GW_IN_PATH, "call_id", GW_STRING, .required = true }
#define OF_TENANT { GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT, .help = "where the token is for several" }
/* clang-format on */

static const gw_parameter of_text[] = { OF_CALL,
										OF_TENANT,
										{ GW_IN_BODY, "text", GW_STRING, .required = true,
										  .least = 1, .most = MAX_TEXT } };
static const gw_parameter of_target[] = { OF_CALL,
										  OF_TENANT,
										  { GW_IN_BODY, "target", GW_STRING, .most = MAX_TEXT,
											.help = "a telephone number, that of the tenant unless "
													"said" } };
static const gw_parameter of_reason[] = { OF_CALL,
										  OF_TENANT,
										  { GW_IN_BODY, "reason", GW_STRING, .most = MAX_TEXT } };

static const gw_statement say = { "say_in_call", ACCEPTED("It is said", "say_in_call($1, $3, $2)"),
								  false };
static const gw_statement whisper = { "whisper_to_agent",
									  ACCEPTED("The agent knows", "whisper_to_agent($1, $3, $2)"),
									  false };
static const gw_statement take_over = {
	"take_over_call", ACCEPTED("The call is put through", "take_over_call($1, $3, $2)"), false
};
static const gw_statement end = { "end_call", ACCEPTED("The call ends", "end_call($1, $3, $2)"),
								  false };

/* POST /v1/call/{call_id}/say, /whisper, /take_over, /end */
const gw_plan gw_say_in_call = { .statement = &say, GW_PARAMETERS(of_text), .fail = conflict };
const gw_plan gw_whisper_to_agent = { .statement = &whisper,
									  GW_PARAMETERS(of_text),
									  .fail = conflict };
const gw_plan gw_take_over_call = { .statement = &take_over,
									GW_PARAMETERS(of_target),
									.fail = conflict };
const gw_plan gw_end_call = { .statement = &end, GW_PARAMETERS(of_reason), .fail = conflict };
