/*
 * answers.c
 *	  The forms of answers: bodies, details, and what errors of the database come to.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/text/utf8.h"
#include "gateway.h"
#include "log.h"
#include "session.h"

static void
add_headers_of(gw_gateway *gateway, int status, http_headers *headers)
{
	if (status == 401)
		http_headers_add(headers, "WWW-Authenticate", "Bearer");
	if (status == 503 || status == 504)
		http_headers_add(headers, "Retry-After", "%d", gw_database_retry_after(gateway->database));
}

void
gw_answer(gw_gateway *gateway, http_id id, int status, const program_text *body)
{
	http_headers headers;
	http_answer answer = { .status = status,
						   .content_type = "application/json",
						   .headers = &headers };

	/* its text is large and need not be cleared */
	headers.length = 0;
	headers.overflowed = false;
	add_headers_of(gateway, status, &headers);
	if (body->failed)
	{
		http_abort(gateway->server, id);
		return;
	}
	answer.body = body->data;
	answer.length = body->length;
	http_respond(gateway->server, id, &answer);
}

void
gw_answer_detail(gw_gateway *gateway, http_id id, int status, const char *format, ...)
{
	program_text body = { 0 };
	char detail[1000];
	va_list list;

	va_start(list, format);
	vsnprintf(detail, sizeof(detail), format, list);
	va_end(list);
	program_text_puts(&body, "{\"detail\":");
	program_text_json(&body, detail, mb_utf8_prefix(detail, strlen(detail)));
	program_text_puts(&body, "}");
	gw_answer(gateway, id, status, &body);
	program_text_free(&body);
}

/* SQLSTATEs by their beginnings, the longer ones first. */
int
gw_status_of(const char *sqlstate)
{
	static const struct
	{
		const char *state;
		int status;
	} known[] = {
		{ "42501", 403 }, { "42704", 404 }, { "P0002", 404 }, { "55P03", 503 },
		{ "57014", 503 }, { "25006", 503 }, { "40", 503 },	  { "53", 503 },
		{ "57", 503 },	  { "08", 503 },	{ "58", 503 },	  { "22", 400 },
		{ "23", 400 },	  { "54", 400 },	{ "55", 400 },	  { "0A", 400 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		if (strncmp(sqlstate, known[i].state, strlen(known[i].state)) == 0)
			return known[i].status;
	}
	return 500;
}

const char *
gw_complaint_of(const PGresult *result)
{
	const char *text = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	return text == NULL ? "the database cannot be reached" : text;
}

bool
gw_may_pass(gw_outcome outcome, const PGresult *error)
{
	return outcome == GW_UNAVAILABLE || outcome == GW_UNKNOWN ||
		   (outcome != GW_COMMITTED && gw_status_of(gw_sqlstate(error)) == 503);
}

void
gw_answer_outcome(gw_gateway *gateway, http_id id, gw_identity *identity, gw_outcome outcome,
				  const PGresult *error)
{
	const char *sqlstate = gw_sqlstate(error);
	const char *message = error == NULL ? NULL : PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);
	int status;

	if (outcome == GW_UNAVAILABLE || outcome == GW_UNKNOWN)
	{
		gw_answer_detail(gateway, id, 503,
						 outcome == GW_UNKNOWN
							 ? "The database was lost while it worked on this: whether it was "
							   "done is not known"
							 : "The database cannot be reached");
		return;
	}
	if (outcome == GW_REFUSED && strncmp(sqlstate, "28", 2) == 0)
	{
		if (identity != NULL)
			gw_identity_is_worthless(identity);
		gateway->unauthorized++;
		gw_answer_detail(gateway, id, 401, "The token is not valid");
		return;
	}
	status = gw_status_of(sqlstate);
	if (status == 400 && strncmp(sqlstate, "23", 2) == 0)
		gw_answer_detail(gateway, id, 400,
						 strcmp(sqlstate, "23503") == 0 ? "Referenced record does not exist"
														: "Database constraint violation");
	else if (status == 500)
	{
		gw_log(GW_ERROR, "the database refused a statement", "%s: %s", sqlstate,
			   message == NULL ? "" : message);
		gw_answer_detail(gateway, id, 500, "Internal server error");
	}
	else
		gw_answer_detail(gateway, id, status, "%s", message == NULL ? "" : message);
}

void
gw_unit_for(gw_unit *unit, const gw_identity *identity)
{
	unit->token = identity->token;
	unit->access = identity->rule_access;
	unit->tenant = identity->rule_tenant;
}
