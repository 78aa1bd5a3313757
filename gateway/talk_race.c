/*
 * talk_race.c
 *	  Services that are asked one after the other, or two at a time; see talk_race.h.
 */
#include <string.h>

#include "log.h"
#include "talk_internal.h"
#include "talk_usual.h"

#define LEAST_PATIENCE 0.1 /* s */

static gw_service *const *
services_of(const talk_race *race, int *n)
{
	const gw_talk *talk = race->talk;

	*n = race->kind->kind == GW_TALK_REPLY ? talk->plan->n_chat : talk->plan->n_speak;
	return race->kind->kind == GW_TALK_REPLY ? talk->plan->chat : talk->plan->speak;
}

void
talk_race_init(talk_race *race, const talk_race_kind *kind, gw_talk *talk, void *owner)
{
	memset(race, 0, sizeof(*race));
	race->kind = kind;
	race->talk = talk;
	race->owner = owner;
	race->lanes[0].race = race;
	race->lanes[1].race = race;
}

bool
talk_race_runs(const talk_race *race)
{
	return race->lanes[0].request != NULL || race->lanes[1].request != NULL;
}

static bool
ask(talk_lane *lane, int service, bool hedge)
{
	talk_race *race = lane->race;
	int n;

	(void) services_of(race, &n);
	for (; service < n; service++)
	{
		lane->service = service;
		lane->hedge = hedge;
		lane->asked_at = http_clock();
		lane->request = race->kind->ask(race->owner, lane);
		if (lane->request == NULL)
			continue;
		race->next = service >= race->next ? service + 1 : race->next;
		return true;
	}
	return false;
}

/* How long a service is waited for alone, in microseconds; 0: as long as it has. */
static int64_t
patience_for(const talk_race *race, int service)
{
	int n;
	const char *name = services_of(race, &n)[service]->name;
	int ms = race->talk->plan->hedge_ms[race->kind->kind];
	double usual;

	if (ms >= 0)
		return ms * HTTP_MILLISECOND;
	/* by itself: what all but a few of its answers take, and half of it */
	usual = 1.5 * talk_usual(race->talk->tenant, race->kind->kind, name);
	if (usual <= 0)
		return 0;
	return (int64_t) ((usual < LEAST_PATIENCE ? LEAST_PATIENCE : usual) * HTTP_SECOND);
}

static void
wait_for(talk_race *race, int service)
{
	int64_t patience = race->hedged ? 0 : patience_for(race, service);

	if (patience > 0)
		http_loop_set_timer(race->talk->loop, &race->patience, http_clock() + patience);
	else
		http_loop_clear_timer(race->talk->loop, &race->patience);
}

/* The next one, or where there is none the same once more: another connection, perhaps another machine. */
static void
is_slow(void *arg)
{
	talk_race *race = arg;
	int first = race->lanes[0].request != NULL ? 0 : 1;
	int n;

	(void) services_of(race, &n);
	race->hedged = true;
	if (ask(&race->lanes[1 - first], race->next < n ? race->next : race->lanes[first].service,
			true))
		talk_note(race->talk, race->kind->kind, MB_NOTE_HEDGE);
}

bool
talk_race_start(talk_race *race, int service)
{
	race->begun = false;
	race->hedged = false;
	race->next = service;
	race->service = service;
	race->patience = (http_timer){ .due = is_slow, .arg = race };
	if (!ask(&race->lanes[0], service, false))
		return false;
	race->service = race->lanes[0].service;
	wait_for(race, race->service);
	return true;
}

void
talk_race_begins(talk_lane *lane)
{
	talk_race *race = lane->race;
	talk_lane *other = &race->lanes[lane == race->lanes];
	const char *name;
	double took;
	int n;

	if (race->begun)
		return;
	race->begun = true;
	race->service = lane->service;
	http_loop_clear_timer(race->talk->loop, &race->patience);
	name = services_of(race, &n)[lane->service]->name;
	took = (double) (http_clock() - lane->asked_at) / HTTP_SECOND;
	talk_measure(race->kind->stage, name, took);
	talk_usual_add(race->talk->tenant, race->kind->kind, name, took);
	if (lane->hedge)
		talk_note(race->talk, race->kind->kind, MB_NOTE_HEDGE_WON);
	if (other->request == NULL)
		return;
	race->kind->cancel(other->request);
	other->request = NULL;
	if (race->kind->lost != NULL)
		race->kind->lost(race->owner, other);
}

void
talk_race_done(talk_lane *lane)
{
	talk_race_begins(lane);
	lane->request = NULL;
}

bool
talk_race_failed(talk_lane *lane, const char *why)
{
	talk_race *race = lane->race;
	int n;

	lane->request = NULL;
	gw_log(GW_WARNING, race->kind->failure, "call %s, %s: %s", race->talk->call_id,
		   services_of(race, &n)[lane->service]->name, why);
	talk_note(race->talk, race->kind->kind, MB_NOTE_FALLBACK);
	if (talk_race_runs(race))
		return false;
	http_loop_clear_timer(race->talk->loop, &race->patience);
	if (race->begun || !ask(lane, race->next, false))
		return true;
	race->service = lane->service;
	wait_for(race, lane->service);
	return false;
}

void
talk_race_cancel(talk_race *race)
{
	for (int i = 0; i < 2; i++)
	{
		if (race->lanes[i].request != NULL)
			race->kind->cancel(race->lanes[i].request);
		race->lanes[i].request = NULL;
	}
	if (race->talk != NULL)
		http_loop_clear_timer(race->talk->loop, &race->patience);
}
