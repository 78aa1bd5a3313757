/*
 * talk_errand.c
 *	  The queue of what may take long; see talk_errand.h.
 *
 * Half of the connections take errands, so that sentences and webhooks find another one; one tenant's leave one of them to the others.
 * The next is of the tenant that has fewest under way.  One whose reply is gone before its turn is not asked any more.
 */
#include "talk_errand.h"

#include <string.h>

static talk_errand *waiting; /* in their order */
static talk_errand *running;

int
talk_errands_most(int connections)
{
	return connections > 1 ? connections / 2 : 1;
}

int
talk_errands_most_of_one(int connections)
{
	int most = talk_errands_most(connections);

	return most > 1 ? most - 1 : 1;
}

static void
append(talk_errand **list, talk_errand *errand)
{
	while (*list != NULL)
		list = &(*list)->next;
	errand->next = NULL;
	*list = errand;
}

static void
take_out(talk_errand **list, talk_errand *errand)
{
	while (*list != errand)
		list = &(*list)->next;
	*list = errand->next;
}

/* Those of a tenant that are under way; NULL: all. */
static int
count(const char *tenant)
{
	int n = 0;

	for (const talk_errand *e = running; e != NULL; e = e->next)
		n += tenant == NULL || strcmp(e->talk->tenant, tenant) == 0;
	return n;
}

/* The next that may be sent; NULL: none. */
static talk_errand *
next_errand(void)
{
	talk_errand *next = NULL;
	int connections = waiting == NULL ? 0 : gw_media_connections(waiting->talk->media);
	int fewest = talk_errands_most_of_one(connections);

	if (waiting == NULL || count(NULL) >= talk_errands_most(connections))
		return NULL;
	for (talk_errand *e = waiting; e != NULL && fewest > 0; e = e->next)
	{
		int n = count(e->talk->tenant);

		if (n >= fewest)
			continue;
		fewest = n;
		next = e;
	}
	return next;
}

static void dispatch(void);

static void
is_done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	talk_errand *errand = (talk_errand *) unit;

	(void) identity;
	take_out(&running, errand);
	errand->done(errand, talk_reply_still(errand->talk, errand->generation, errand->serial),
				 outcome, result);
	dispatch();
}

static void
dispatch(void)
{
	static bool busy; /* what is sent may be done at once */
	talk_errand *errand;

	if (busy)
		return;
	busy = true;
	while ((errand = next_errand()) != NULL)
	{
		take_out(&waiting, errand);
		append(&running, errand);
		gw_media_ask(errand->talk->media, &errand->unit);
	}
	busy = false;
}

void
talk_errand_send(talk_errand *errand)
{
	errand->unit.done = is_done;
	append(&waiting, errand);
	dispatch();
}

void
talk_errands_forget(const gw_talk *talk, uint32_t generation)
{
	talk_errand *next;

	for (talk_errand *e = waiting; e != NULL; e = next)
	{
		next = e->next;
		if (e->talk != talk || e->generation != generation)
			continue;
		take_out(&waiting, e);
		e->done(e, NULL, GW_UNAVAILABLE, NULL);
	}
}
