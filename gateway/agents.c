/*
 * agents.c
 *	  Agents that ask for their commands, and wait for them; see agents.h.
 */
#include "agents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "gateway.h"
#include "query.h"

#define BUCKETS 1024
#define MOST_SINCE 1000000000000000
#define MOST_SECONDS 3600
#define LOOK_AGAIN HTTP_SECOND

/* What an event must be called so that there may be something for its agent. */
static const char *const events[] = { "command_queued", "command_sent", "escalated" };

/* The answer; whether there is something in it; which agent it is.  It may be repeated at will. */
static const gw_statement agent_sync = {
	"agent_sync",
	"SELECT r, jsonb_array_length(r->'acks') + jsonb_array_length(r->'commands') > 0 OR r ? "
	"'updates' "
	"FROM mulberry.agent_sync($1, coalesce($2::jsonb, '[]'), $3::bigint, $4) AS r",
	true
};

/* A request.  It is freed when it is over and no look is under way. */
typedef struct poll
{
	gw_unit unit;
	gw_agents *agents;
	gw_identity *identity;
	http_id id;
	char *agent; /* by name or uuid, as the request has it */
	char *acks;	 /* for the first look alone: a second time forgeries would count twice */
	char since[24];
	char *tenant;  /* that was asked for; NULL: that of the identity */
	int64_t until; /* 0: it does not wait */
	http_timer timer;
	http_timer again; /* the database was away when it looked */
	bool looking;	  /* a unit is under way */
	bool woken;		  /* something was heard since it was sent */
	bool answered;
	bool gone;
	program_text answer; /* the last one, in which there is nothing */
	struct poll *next;
} poll;

struct gw_agents
{
	gw_gateway *gateway;
	poll *buckets[BUCKETS]; /* by the request's id */
	int n;
	uint64_t looks;
};

enum
{
	PATH_AGENT,
	QUERY_TENANT,
	QUERY_WAIT,
	FIELD_SINCE,
	FIELD_ACKS
};

static const gw_parameter of_sync[] = {
	[PATH_AGENT] = { GW_IN_PATH, "agent", GW_STRING, .required = true },
	[QUERY_TENANT] = { GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = GW_MAX_TENANT,
					   .help = "where the token is for several" },
	[QUERY_WAIT] = { GW_IN_QUERY, "wait", GW_INTEGER, .most = MOST_SECONDS,
					 .help = "seconds until there is something to answer; at once unless said" },
	[FIELD_SINCE] = { GW_IN_BODY, "since", GW_INTEGER, .most = MOST_SINCE,
					  .help = "the version of the answer before, so that changes alone come" },
	[FIELD_ACKS] = { GW_IN_BODY, "acks", GW_LIST,
					 .help = "what was done with commands, see docs/voice-commands.md" },
};

const gw_plan gw_agent_sync_fields = { GW_PARAMETERS(of_sync) };

static void look(poll *p);

static poll **
bucket_of(gw_agents *agents, http_id id)
{
	return &agents->buckets[(uint32_t) id % BUCKETS];
}

static void
free_poll(poll *p)
{
	http_loop_clear_timer(p->agents->gateway->loop, &p->timer);
	http_loop_clear_timer(p->agents->gateway->loop, &p->again);
	gw_identity_release(p->identity);
	program_text_free(&p->answer);
	free(p->agent);
	free(p->acks);
	free(p->tenant);
	free(p);
}

/* With what was found last; the rest follows when the request is over. */
static void
answer(poll *p)
{
	http_loop_clear_timer(p->agents->gateway->loop, &p->timer);
	p->answered = true;
	gw_answer(p->agents->gateway, p->id, 200, &p->answer);
}

static void
time_is_over(void *arg)
{
	poll *p = arg;

	/* a look that is under way answers */
	p->until = 0;
	if (!p->looking)
		answer(p);
}

static void
looked(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	poll *p = (poll *) unit;
	gw_gateway *gateway = p->agents->gateway;

	p->looking = false;
	if (outcome == GW_COMMITTED)
		gw_identity_is_good(p->identity, identity);
	if (p->gone)
	{
		free_poll(p);
		return;
	}
	/* who has been told nothing yet hears of it; who waits goes on waiting, and looks again */
	if (gw_may_pass(outcome, result) && p->until != 0 && p->answer.length > 0)
	{
		http_loop_set_timer(gateway->loop, &p->again, http_clock() + LOOK_AGAIN);
		return;
	}
	if (outcome != GW_COMMITTED)
	{
		http_loop_clear_timer(gateway->loop, &p->timer);
		p->answered = true;
		gw_answer_outcome(gateway, p->id, p->identity, outcome, result);
		return;
	}
	free(p->acks);
	p->acks = NULL;
	p->answer.length = 0;
	program_text_add(&p->answer, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
	if (strcmp(PQgetvalue(result, 0, 1), "t") == 0 || p->until == 0)
		answer(p);
	else if (p->woken)
		look(p);
}

/* From here on whatever is heard may be missing in what is found. */
static void
about_to_look(gw_unit *unit)
{
	((poll *) unit)->woken = false;
}

static void
look(poll *p)
{
	p->looking = true;
	p->agents->looks++;
	memset(&p->unit, 0, sizeof(p->unit));
	p->unit.statement = &agent_sync;
	p->unit.n_parameters = 4;
	p->unit.values[0] = p->agent;
	p->unit.values[1] = p->acks;
	p->unit.values[2] = p->since;
	p->unit.values[3] = p->tenant;
	p->unit.send = about_to_look;
	p->unit.done = looked;
	gw_unit_for(&p->unit, p->identity);
	gw_database_add(p->agents->gateway->database, &p->unit);
}

static void
wake(void *arg)
{
	poll *p = arg;

	if (p->answered)
		return;
	if (p->looking)
		p->woken = true;
	else
		look(p);
}

/* ---------------------------------------------------------------------------
 * What is heard
 * ---------------------------------------------------------------------------
 */

static bool
is_uuid(const char *agent)
{
	return strlen(agent) == 36 && strspn(agent, "0123456789abcdefABCDEF-") == 36;
}

/* Whether an event may be about the agent of a request: it names the agent, which a request may do by its uuid. */
static bool
concerns(const poll *p, const char *tenant, const char *agent)
{
	const char *own = p->tenant != NULL ? p->tenant : p->identity->tenant;

	if (own[0] != '\0' && strcmp(own, tenant) != 0)
		return false;
	return agent == NULL || is_uuid(p->agent) || strcmp(p->agent, agent) == 0;
}

void
gw_agents_event(gw_agents *agents, const char *tenant, const char *payload)
{
	json_t *message = agents->n == 0 ? NULL : json_loads(payload, 0, NULL);
	const char *event = json_string_value(json_object_get(message, "event"));
	const char *agent = json_string_value(json_object_get(message, "agent"));
	bool wanted = false;

	for (size_t i = 0; event != NULL && i < sizeof(events) / sizeof(events[0]); i++)
		wanted = wanted || strcmp(event, events[i]) == 0;
	for (int i = 0; wanted && i < BUCKETS; i++)
	{
		for (poll *p = agents->buckets[i]; p != NULL; p = p->next)
		{
			if (concerns(p, tenant, agent))
				wake(p);
		}
	}
	json_decref(message);
}

void
gw_agents_look(gw_agents *agents)
{
	for (int i = 0; i < BUCKETS && agents->n > 0; i++)
	{
		for (poll *p = agents->buckets[i]; p != NULL; p = p->next)
			wake(p);
	}
}

void
gw_agents_revoked(gw_agents *agents, const char *id)
{
	for (int i = 0; i < BUCKETS && agents->n > 0; i++)
	{
		for (poll *p = agents->buckets[i]; p != NULL; p = p->next)
		{
			if (strcmp(p->identity->id, id) == 0)
				wake(p);
		}
	}
}

void
gw_agents_stop(gw_agents *agents)
{
	for (int i = 0; i < BUCKETS; i++)
	{
		for (poll *p = agents->buckets[i]; p != NULL; p = p->next)
		{
			if (!p->answered)
				time_is_over(p);
		}
	}
}

/* ---------------------------------------------------------------------------
 * Requests
 * ---------------------------------------------------------------------------
 */

static poll *
find(gw_agents *agents, http_id id)
{
	poll *p = agents->n == 0 ? NULL : *bucket_of(agents, id);

	while (p != NULL && p->id != id)
		p = p->next;
	return p;
}

void
gw_agents_half_closed(gw_agents *agents, http_id id)
{
	poll *p = find(agents, id);

	/* one that still reads gets its answer; one that has gone is not waited for */
	if (p != NULL && !p->answered)
		time_is_over(p);
}

void
gw_agents_gone(gw_agents *agents, http_id id)
{
	poll *p = find(agents, id);
	poll **place = bucket_of(agents, id);

	if (p == NULL)
		return;
	while (*place != p)
		place = &(*place)->next;
	*place = p->next;
	agents->n--;
	http_loop_clear_timer(agents->gateway->loop, &p->timer);
	http_loop_clear_timer(agents->gateway->loop, &p->again);
	p->gone = true;
	if (!p->looking)
		free_poll(p);
}

/* The fields of the body and the query; false when something is wrong with them, which has been answered. */
static bool
read_fields(poll *p, gw_call *call)
{
	gw_fields fields = { 0 };
	int64_t since = 0;
	int64_t wait = 0;
	const char *tenant;
	json_t *acks;
	bool fine;

	if (gw_fields_begin_query(&fields, call->request))
	{
		(void) gw_fields_integer(&fields, of_sync[QUERY_WAIT].name, false, 0, false,
								 of_sync[QUERY_WAIT].most, &wait);
		tenant = gw_fields_text(&fields, of_sync[QUERY_TENANT].name, false, 1, GW_MAX_TENANT);
		p->tenant = tenant == NULL ? NULL : strdup(tenant);
	}
	if (http_request_body(call->request).length > 0 && gw_fields_begin(&fields, call->request))
	{
		(void) gw_fields_integer(&fields, of_sync[FIELD_SINCE].name, false, 0, false,
								 of_sync[FIELD_SINCE].most, &since);
		acks = json_object_get(fields.values, of_sync[FIELD_ACKS].name);
		if (json_is_array(acks))
			p->acks = json_dumps(acks, JSON_COMPACT);
		else if (acks != NULL && !json_is_null(acks))
			gw_fields_add_error(&fields, "list_type", "acks", "Input should be a valid list", acks,
								NULL);
	}
	fine = gw_fields_end(&fields);
	if (!fine)
		gw_answer(call->gateway, p->id, fields.status, &fields.error);
	gw_fields_free(&fields);
	snprintf(p->since, sizeof(p->since), "%lld", (long long) since);
	if (wait > call->gateway->options->max_wait)
		wait = call->gateway->options->max_wait;
	if (wait > 0 && !call->gateway->stopping)
		p->until = http_clock() + wait * HTTP_SECOND;
	return fine;
}

/* POST /v1/agents/{agent}/sync */
void
gw_handle_agent_sync(gw_call *call)
{
	gw_agents *agents = call->gateway->agents;
	poll *p = calloc(1, sizeof(*p));
	poll **bucket;

	if (p != NULL)
		p->agent = strdup(call->segments[0].data);
	if (p == NULL || p->agent == NULL)
	{
		free(p);
		gw_answer_detail(call->gateway, http_request_id(call->request), 503, "Out of memory");
		return;
	}
	p->agents = agents;
	p->id = http_request_id(call->request);
	p->identity = gw_identity_hold(call->identity);
	p->timer = (http_timer){ .due = time_is_over, .arg = p };
	p->again = (http_timer){ .due = wake, .arg = p };
	if (!read_fields(p, call))
	{
		free_poll(p);
		return;
	}
	bucket = bucket_of(agents, p->id);
	p->next = *bucket;
	*bucket = p;
	agents->n++;
	if (p->until > 0)
	{
		http_loop_set_timer(call->gateway->loop, &p->timer, p->until);
		gw_feed_hear(call->gateway->feed, p->tenant != NULL ? p->tenant : p->identity->tenant);
	}
	look(p);
}

gw_agents *
gw_agents_new(gw_gateway *gateway)
{
	gw_agents *agents = calloc(1, sizeof(*agents));

	if (agents != NULL)
		agents->gateway = gateway;
	return agents;
}

void
gw_agents_free(gw_agents *agents)
{
	free(agents);
}

int
gw_agents_waiting(const gw_agents *agents)
{
	int n = 0;

	for (int i = 0; i < BUCKETS && agents->n > 0; i++)
	{
		for (const poll *p = agents->buckets[i]; p != NULL; p = p->next)
			n += !p->answered && !p->looking;
	}
	return n;
}

uint64_t
gw_agents_looks(const gw_agents *agents)
{
	return agents->looks;
}
