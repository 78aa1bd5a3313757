/*
 * media_offer.c
 *	  Calls that a telephone system is about to bring as a stream: a token beforehand, and where they go on afterwards.  Both answer with
 *	  one line of plain text, which a dialplan can read.
 */
#include "query.h"

#define MAX_TEXT 1000 /* characters; how long each may be, the database says */

static void
answer_line(gw_query *query, const PGresult *rows)
{
	http_respond(query->gateway->server, query->id,
				 &(http_answer){ .status = 200,
								 .content_type = "text/plain; charset=utf-8",
								 .body = PQgetvalue(rows, 0, 0),
								 .length = (size_t) PQgetlength(rows, 0, 0) });
}

static const gw_parameter of_offer[] = {
	{ GW_IN_QUERY, "call_id", GW_STRING, .least = 1, .most = MAX_TEXT,
	  .help = "of the call [one is made up]" },
	{ GW_IN_QUERY, "from", GW_STRING, .most = MAX_TEXT, .help = "who calls" },
	{ GW_IN_QUERY, "to", GW_STRING, .most = MAX_TEXT, .help = "the number that was called" },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT },
};

static const gw_statement offer_media = { "offer_media",
										  "SELECT mulberry.offer_media($1, $2, $3, $4)", false };

/* GET /v1/audiosocket/new */
const gw_plan gw_offer_media = { .statement = &offer_media,
								 GW_PARAMETERS(of_offer),
								 .answer = answer_line };

static const gw_parameter of_next[] = {
	{ GW_IN_PATH, "token", GW_STRING, .required = true },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT },
};

static const gw_statement media_next = { "media_next", "SELECT mulberry.media_next($1::uuid, $2)",
										 true };

/* GET /v1/audiosocket/{token}/next */
const gw_plan gw_media_next = { .statement = &media_next,
								GW_PARAMETERS(of_next),
								.answer = answer_line,
								.missing = "Call %s not found" };
