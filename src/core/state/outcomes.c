/*
 * outcomes.c
 *	  What became of the last requests to a service; see outcomes.h.
 */
#include "core/state/outcomes.h"

#include <math.h>
#include <string.h>

#define ENOUGH 10 /* outcomes that say something about how often it fails */

/* The i-th outcome from the end, from 0. */
static const mb_outcome_entry *
from_end(const mb_outcomes *outcomes, int i)
{
	return &outcomes->ring[(outcomes->next - 1 - i + 2 * MB_OUTCOMES) % MB_OUTCOMES];
}

static bool
is_of(const mb_outcome_entry *entry, const uint8_t tenant[16])
{
	return memcmp(entry->tenant, tenant, sizeof(entry->tenant)) == 0;
}

/* A run of failures at the end. */
typedef struct run
{
	int failures;
	int64_t since;
	bool several_jobs;
	bool several_tenants;
	int end; /* outcomes from the end that lie behind it */
} run;

static void
add_to_run(run *r, const mb_outcome_entry *entry, const mb_outcome_entry *last)
{
	r->failures++;
	r->since = entry->at;
	r->several_jobs = r->several_jobs || entry->job != last->job;
	r->several_tenants = r->several_tenants || !is_of(entry, last->tenant);
}

/* Of all tenants, without keys that are their own; it ends where anybody was served. */
static run
run_of_all(const mb_outcomes *outcomes)
{
	const mb_outcome_entry *last = from_end(outcomes, 0);
	run r = { 0 };

	for (r.end = 0; r.end < outcomes->used; r.end++)
	{
		const mb_outcome_entry *entry = from_end(outcomes, r.end);

		if (entry->outcome == MB_SERVED)
			break;
		if (entry->outcome == MB_FAILED)
			add_to_run(&r, entry, last);
	}
	return r;
}

/* Of the last one's key; it ends where the tenant was served. */
static run
run_of_key(const mb_outcomes *outcomes)
{
	const mb_outcome_entry *last = from_end(outcomes, 0);
	run r = { 0 };

	for (r.end = 0; r.end < outcomes->used; r.end++)
	{
		const mb_outcome_entry *entry = from_end(outcomes, r.end);

		if (!is_of(entry, last->tenant))
			continue;
		if (entry->outcome == MB_SERVED)
			break;
		if (entry->outcome == MB_KEY_FAILED)
			add_to_run(&r, entry, last);
	}
	return r;
}

static void
mark_outage(mb_outcomes *outcomes, const run *r)
{
	for (int i = 0; i < r->end; i++)
		outcomes->ring[(outcomes->next - 1 - i + 2 * MB_OUTCOMES) % MB_OUTCOMES].outage = true;
}

/*
 * The share of failures from an outcome on, backwards, without outages and those of one job; 0 while
 * there are few.
 */
static double
failing(const mb_outcomes *outcomes, int from, const int64_t *without)
{
	int failures = 0;
	int n = 0;

	for (int i = from; i < outcomes->used; i++)
	{
		const mb_outcome_entry *entry = from_end(outcomes, i);

		if (entry->outcome == MB_KEY_FAILED || entry->outage || (without && entry->job == *without))
			continue;
		n++;
		failures += entry->outcome == MB_FAILED;
	}
	return n < ENOUGH ? 0 : (double) failures / n;
}

static bool
is_long(const run *r, double usual, bool coming_back)
{
	if (coming_back)
		return pow(usual, r->failures) <= MB_RUN_BY_CHANCE_BACK;
	return r->failures >= (r->several_jobs ? MB_RUN_OF_JOBS : MB_RUN_OF_JOB) &&
		   pow(usual, r->failures) <= MB_RUN_BY_CHANCE;
}

/* Somebody is about to be served, perhaps the first after an outage during which nobody asked. */
static void
end_run(mb_outcomes *outcomes, bool coming_back, int64_t at)
{
	run r = run_of_all(outcomes);

	if (r.failures > 0 && at - r.since >= MB_OUTAGE_LASTS &&
		is_long(&r, failing(outcomes, r.end, NULL), coming_back))
		mark_outage(outcomes, &r);
}

/* Whether somebody else was served after a time, of the same tenant where it is about the key. */
static bool
served_since(const mb_outcomes *outcomes, const mb_outcome_entry *last, int64_t time)
{
	if (last->outcome != MB_KEY_FAILED)
		return (outcomes->served_job != last->job ? outcomes->served_at
												  : outcomes->other_served_at) > time;
	for (int i = 1; i < outcomes->used; i++)
	{
		const mb_outcome_entry *entry = from_end(outcomes, i);

		if (entry->outcome == MB_SERVED && entry->job != last->job && entry->at > time &&
			is_of(entry, last->tenant))
			return true;
	}
	return false;
}

mb_judgement
mb_outcomes_add(mb_outcomes *outcomes, const uint8_t tenant[16], bool shared, bool coming_back,
				int64_t job, mb_outcome outcome, int64_t failed_at, int64_t at)
{
	mb_outcome_entry *entry = &outcomes->ring[outcomes->next];
	mb_judgement judgement = { .blame = MB_BLAME_NOBODY };
	run r;

	if (outcome == MB_SERVED)
		end_run(outcomes, coming_back, at);
	memcpy(entry->tenant, tenant, sizeof(entry->tenant));
	entry->job = job;
	entry->at = at;
	entry->outcome = outcome;
	entry->outage = false;
	outcomes->next = (outcomes->next + 1) % MB_OUTCOMES;
	if (outcomes->used < MB_OUTCOMES)
		outcomes->used++;
	if (outcome == MB_SERVED)
	{
		if (outcomes->served_job != job)
			outcomes->other_served_at = outcomes->served_at;
		outcomes->served_at = at;
		outcomes->served_job = job;
		return judgement;
	}

	judgement.serves_others = failed_at > 0 && served_since(outcomes, entry, failed_at);
	judgement.others_failing = failing(outcomes, 0, &job);
	if (outcome == MB_KEY_FAILED)
	{
		r = run_of_key(outcomes);
		if (r.end == outcomes->used || is_long(&r, 0, coming_back))
			judgement.blame = MB_BLAME_TENANT;
	}
	else
	{
		r = run_of_all(outcomes);
		/* one tenant's failures are no reason to keep the others waiting, who have not been refused */
		if (outcomes->served_at == 0 || is_long(&r, failing(outcomes, r.end, NULL), coming_back))
			judgement.blame = shared && !r.several_tenants ? MB_BLAME_TENANT : MB_BLAME_SERVICE;
		if (judgement.blame != MB_BLAME_NOBODY && at - r.since >= MB_OUTAGE_LASTS)
			mark_outage(outcomes, &r);
	}
	judgement.since = r.since;
	return judgement;
}

mb_outcomes *
mb_outcomes_find(mb_outcomes *all, int n, int64_t service, int64_t configuration, int64_t at)
{
	mb_outcomes *found = NULL;
	mb_outcomes *oldest = &all[0];

	for (int i = 0; i < n && found == NULL; i++)
	{
		if (all[i].service == service)
			found = &all[i];
		else if (all[i].used_at < oldest->used_at)
			oldest = &all[i];
	}
	if (found == NULL || found->configuration != configuration)
	{
		if (found == NULL)
			found = oldest;
		memset(found, 0, sizeof(*found));
		found->service = service;
		found->configuration = configuration;
	}
	found->used_at = at;
	return found;
}
