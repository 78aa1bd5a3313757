/*
 * telephony.c
 *	  Telephone calls that are under way: how many there are, for anybody who watches, and which, for those who may know.
 */
#include <stdlib.h>

#include "query.h"

#define FRESH_FOR HTTP_SECOND /* so long an answer is good for others */
#define MAX_WAITING 64

static const gw_parameter of_sessions[] = {
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = 63 },
	{ GW_IN_QUERY, "limit", GW_INTEGER, .least = 1, .most = 10000,
	  .help = "at most so many [1000]" },
};

static const gw_statement sessions = {
	"telephony_sessions", "SELECT mulberry.telephony_sessions($1, coalesce($2::integer, 1000))",
	true
};

/* GET /twilio/sessions */
const gw_plan gw_twilio_sessions = { .statement = &sessions, GW_PARAMETERS(of_sessions) };

static const gw_statement active_calls = { "active_calls",
										   "SELECT mulberry.active_telephone_calls()", true };

/* The question that is asked of the database, by all who want to know. */
struct gw_health
{
	gw_unit unit;
	gw_gateway *gateway;
	bool asking;
	http_id waiting[MAX_WAITING];
	int n_waiting;
	int64_t known_at; /* 0: never */
	long long active; /* -1: the database did not say */
};

gw_health *
gw_health_new(gw_gateway *gateway)
{
	gw_health *health = calloc(1, sizeof(*health));

	if (health != NULL)
		health->gateway = gateway;
	return health;
}

void
gw_health_free(gw_health *health)
{
	free(health);
}

static void
answer(gw_health *health, http_id id)
{
	program_text body = { 0 };

	if (health->active < 0)
		program_text_puts(&body, "{\"status\":\"unavailable\",\"active_sessions\":null}");
	else
		program_text_printf(&body, "{\"status\":\"healthy\",\"active_sessions\":%lld}",
							health->active);
	gw_answer(health->gateway, id, health->active < 0 ? 503 : 200, &body);
	program_text_free(&body);
}

static void
answered(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	gw_health *health = (gw_health *) unit;
	int n = health->n_waiting;

	health->asking = false;
	health->n_waiting = 0;
	health->known_at = http_clock();
	health->active = outcome == GW_COMMITTED ? atoll(PQgetvalue(result, 0, 0)) : -1;
	for (int i = 0; i < n; i++)
		answer(health, health->waiting[i]);
}

/* GET /twilio/health: whether calls are answered, and how many there are. */
void
gw_handle_twilio_health(gw_call *call)
{
	gw_gateway *gateway = call->gateway;
	gw_health *health = gateway->health;
	http_id id = http_request_id(call->request);

	if (gateway->webhooks == NULL)
	{
		gw_answer_detail(gateway, id, 404, "Twilio's webhooks are not served here");
		return;
	}
	if (health->known_at != 0 && http_clock() - health->known_at < FRESH_FOR)
	{
		answer(health, id);
		return;
	}
	if (health->n_waiting == MAX_WAITING)
	{
		gw_answer_detail(gateway, id, 503, "Too many requests wait");
		return;
	}
	health->waiting[health->n_waiting++] = id;
	if (health->asking)
		return;
	health->asking = true;
	health->unit = (gw_unit){ .statement = &active_calls, .done = answered };
	gw_webhooks_ask(gateway->webhooks, &health->unit);
}
