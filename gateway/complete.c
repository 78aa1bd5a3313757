/*
 * complete.c
 *	  A call is complete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "query.h"
#include "session.h"

static const gw_statement complete = {
	"complete", "SELECT * FROM mulberry.complete_call($1::text, $2::integer, NULL, $3)", true
};

typedef struct completion
{
	gw_unit unit;
	gw_gateway *gateway;
	gw_identity *identity;
	http_id id;
	char total[16];
	char *track;
	char call_id[]; /* with a NUL behind it */
} completion;

static void
done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	completion *c = (completion *) unit;
	gw_text body = { 0 };

	if (outcome == GW_COMMITTED)
	{
		gw_identity_is_used(c->identity);
		gw_text_puts(&body, "{\"status\":\"accepted\",\"message\":\"Call completion signal "
							"received\",\"call_id\":");
		gw_text_json(&body, c->call_id, strlen(c->call_id));
		gw_text_printf(&body, ",\"expected_total_packets\":%s}", c->total);
		gw_answer(c->gateway, c->id, 202, &body);
	}
	else if (outcome == GW_FAILED && strcmp(gw_sqlstate(result), "42704") == 0)
		gw_answer_detail(c->gateway, c->id, 404, "Call %s not found", c->call_id);
	else
		gw_answer_outcome(c->gateway, c->id, c->identity, outcome, result);
	gw_text_free(&body);
	gw_identity_release(c->identity);
	free(c->track);
	free(c);
}

static const gw_parameter of_complete[] = {
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },
	{ GW_IN_BODY, "total_packets", GW_INTEGER, .required = true, .least = 1, .most = INT32_MAX },
	{ GW_IN_BODY, "track", GW_STRING, .required = false },
};

const gw_plan gw_complete_fields = { GW_PARAMETERS(of_complete) };

/* POST /v1/call/complete/{call_id} */
void
gw_handle_complete(gw_call *call)
{
	gw_fields fields = { 0 };
	const char *track = NULL;
	int64_t total = 0;
	completion *c;

	if (gw_fields_begin(&fields, call->request))
	{
		total = gw_fields_integer(&fields, "total_packets", 1, true, INT32_MAX);
		track = gw_fields_optional(&fields, "track");
	}
	if (!gw_fields_end(&fields))
	{
		gw_answer(call->gateway, http_request_id(call->request), fields.status, &fields.error);
		gw_fields_free(&fields);
		return;
	}
	c = calloc(1, sizeof(*c) + call->segments[0].length + 1);
	if (c == NULL)
	{
		gw_answer_detail(call->gateway, http_request_id(call->request), 503, "Out of memory");
		gw_fields_free(&fields);
		return;
	}
	c->gateway = call->gateway;
	c->identity = gw_identity_hold(call->identity);
	c->id = http_request_id(call->request);
	snprintf(c->total, sizeof(c->total), "%lld", (long long) total);
	c->track = track == NULL ? NULL : strdup(track);
	memcpy(c->call_id, call->segments[0].data, call->segments[0].length);
	c->unit.statement = &complete;
	c->unit.n_parameters = 3;
	c->unit.values[0] = c->call_id;
	c->unit.values[1] = c->total;
	c->unit.values[2] = c->track;
	c->unit.done = done;
	gw_unit_for(&c->unit, call->identity);
	gw_database_add(call->gateway->database, &c->unit);
	gw_fields_free(&fields);
}
