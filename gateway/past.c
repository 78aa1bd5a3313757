/*
 * past.c
 *	  Past events, read from the database for one who has missed them, in transactions of his own identity.
 */
#include "past.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway.h"
#include "session.h"

#define ROWS 500

static const gw_statement events_since = {
	"events",
	"SELECT seq, prev, event, call_id, message FROM mulberry.events_since($1::bigint, $2::integer, "
	"$3)",
	true
};

typedef struct reading
{
	gw_unit unit;
	gw_supervisor *client;
	int doubts; /* it answers those */
	char since[24];
	char rows[12];
} reading;

static void
have_read(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	reading *r = (reading *) unit;
	gw_supervisor *c = r->client;
	bool whole = r->unit.statement != NULL;
	int doubts = r->doubts;
	int n;

	free(r);
	c->asking = false;
	if (c->gone)
	{
		gw_supervisor_free(c);
		return;
	}
	/* what is away, or busy, is asked again with the next second */
	if (gw_may_pass(outcome, result))
		return;
	if (outcome != GW_COMMITTED)
	{
		http_socket_close(c->gateway->server, c->id, 1008,
						  "the token is not valid, or does not allow this");
		return;
	}
	c->denied = doubts;
	/* columns: seq, prev, event, call_id, message */
	n = PQntuples(result);
	for (int i = 0; i < n && !c->overflown; i++)
	{
		int64_t seq = strtoll(PQgetvalue(result, i, 0), NULL, 10);

		if (i == 0 && strtoll(PQgetvalue(result, i, 1), NULL, 10) > c->seq)
			gw_supervisor_send_resync(c);
		if (gw_supervisor_wants(c, c->tenant, PQgetvalue(result, i, 2),
								PQgetisnull(result, i, 3) ? NULL : PQgetvalue(result, i, 3)))
			gw_supervisor_send(c, PQgetvalue(result, i, 4), (size_t) PQgetlength(result, i, 4));
		if (!c->overflown)
			c->seq = seq;
	}
	/* a page that is not full was the last one, unless something came that it may not have seen */
	if (n < ROWS && !c->missed)
	{
		c->behind = false;
		if (!whole)
			gw_supervisor_send_resync(c);
	}
	else if (!c->overflown)
		gw_supervisor_read_on(c);
}

void
gw_supervisor_read_on(gw_supervisor *c)
{
	reading *r;

	if (c->asking || c->overflown)
		return;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return;
	c->asking = true;
	c->missed = false;
	r->client = c;
	r->doubts = c->doubts;
	r->unit.done = have_read;
	gw_unit_for(&r->unit, c->identity);
	if (!gw_supervisor_has_number(c))
	{
		gw_database_add(c->gateway->database, &r->unit);
		return;
	}
	snprintf(r->since, sizeof(r->since), "%lld", (long long) c->seq);
	snprintf(r->rows, sizeof(r->rows), "%d", ROWS);
	r->unit.statement = &events_since;
	r->unit.n_parameters = 3;
	r->unit.values[0] = r->since;
	r->unit.values[1] = r->rows;
	r->unit.values[2] = c->tenant;
	gw_database_add(c->gateway->database, &r->unit);
}
