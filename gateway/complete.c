/*
 * complete.c
 *	  A call is complete.
 */
#include <string.h>

#include "query.h"

#define MAX_TEXT 1000

static const gw_parameter of_complete[] = {
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT,
	  .help = "where the token is for several" },
	{ GW_IN_BODY, "total_packets", GW_INTEGER, .required = true, .least = 1, .most = INT32_MAX,
	  .above = true },
	{ GW_IN_BODY, "track", GW_STRING, .required = false, .help = "the first one unless said" },
};

static const gw_statement complete = {
	"complete", "SELECT * FROM mulberry.complete_call($1::text, $3::integer, $2, $4)", true
};

/* The original's body, to the letter. */
static void
answer(gw_query *query, const PGresult *rows)
{
	program_text body = { 0 };

	program_text_puts(&body, "{\"status\":\"accepted\",\"message\":\"Call completion signal "
							 "received\",\"call_id\":");
	program_text_json(&body, query->subject, strlen(query->subject));
	program_text_printf(&body, ",\"expected_total_packets\":%s}", gw_query_text(query, 2));
	gw_answer(query->gateway, query->id, 202, &body);
	program_text_free(&body);
}

/* POST /v1/call/complete/{call_id} */
const gw_plan gw_complete = { .statement = &complete,
							  GW_PARAMETERS(of_complete),
							  .answer = answer,
							  .missing = "Call %s not found" };
