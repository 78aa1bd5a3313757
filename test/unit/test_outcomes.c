/*
 * test_outcomes.c
 *	  Whose failure it is: the service's, a tenant's, or the job's own.
 */
#include <string.h>

#include "check.h"
#include "core/state/outcomes.h"

static const uint8_t a[16] = { 1 };
static const uint8_t b[16] = { 2 };
static mb_outcomes outcomes;
static int64_t now;

static void
begin(void)
{
	memset(&outcomes, 0, sizeof(outcomes));
	now = 1000;
}

static mb_judgement
add(const uint8_t *tenant, int64_t job, mb_outcome outcome, int64_t failed_at)
{
	return mb_outcomes_add(&outcomes, tenant, true, false, job, outcome, failed_at, ++now);
}

/* Of a service of one tenant. */
static mb_blame
own(int64_t job, mb_outcome outcome)
{
	return mb_outcomes_add(&outcomes, a, false, false, job, outcome, 0, ++now).blame;
}

/* Of one that comes back from an outage. */
static mb_blame
back(const uint8_t *tenant, bool shared, int64_t job, mb_outcome outcome)
{
	return mb_outcomes_add(&outcomes, tenant, shared, true, job, outcome, 0, ++now).blame;
}

static void
runs_of_failures(void)
{
	begin();
	check_int(own(1, MB_FAILED), MB_BLAME_SERVICE); /* it has never served anybody */

	begin();
	own(1, MB_SERVED);
	check_int(own(2, MB_FAILED), MB_BLAME_NOBODY);
	check_int(own(3, MB_FAILED), MB_BLAME_NOBODY);
	check_int(own(4, MB_FAILED), MB_BLAME_SERVICE);

	/* one job alone needs more */
	begin();
	own(1, MB_SERVED);
	for (int i = 1; i < MB_RUN_OF_JOB; i++)
		check_int(own(2, MB_FAILED), MB_BLAME_NOBODY);
	check_int(own(2, MB_FAILED), MB_BLAME_SERVICE);

	/* somebody who is served ends it */
	begin();
	own(1, MB_SERVED);
	for (int i = 0; i < 100; i++)
	{
		check_int(own(2, MB_FAILED), MB_BLAME_NOBODY);
		check_int(own(3, MB_FAILED), MB_BLAME_NOBODY);
		own(4, MB_SERVED);
	}
}

/* Where every second request fails, three failures in a row are nothing; fifty are. */
static void
flaky_services(void)
{
	int run = 0;

	begin();
	for (int i = 0; i < 100; i++)
		own(i, i % 2 ? MB_SERVED : MB_FAILED);
	while (own(1000 + run, MB_FAILED) == MB_BLAME_NOBODY)
		run++;
	check_int(run >= 12 && run <= 13, true); /* 0.5 ^ 14 < 1e-4 */

	begin();
	for (int i = 0; i < 100; i++)
		own(i, i % 4 ? MB_SERVED : MB_FAILED);
	run = 0;
	while (own(1000 + run, MB_FAILED) == MB_BLAME_NOBODY)
		run++;
	check_int(run >= 5 && run <= 8, true);

	/* however often it fails, it does not go on for ever */
	begin();
	for (int i = 0; i < 200; i++)
		own(i, i % 50 == 0 ? MB_SERVED : MB_FAILED);
	run = 0;
	while (own(1000 + run, MB_FAILED) == MB_BLAME_NOBODY)
		run++;
	check_int(run < MB_OUTCOMES, true);
}

static void
tenants(void)
{
	/* one tenant's failures do not close a shared service for the others */
	begin();
	add(b, 1, MB_SERVED, 0);
	add(a, 2, MB_FAILED, 0);
	add(a, 3, MB_FAILED, 0);
	check_int(add(a, 4, MB_FAILED, 0).blame, MB_BLAME_TENANT);
	/* and when another fails as well, without anybody served, they do */
	check_int(add(b, 5, MB_FAILED, 0).blame, MB_BLAME_SERVICE);
	begin();
	check_int(add(a, 1, MB_FAILED, 0).blame, MB_BLAME_TENANT);
	check_int(add(b, 2, MB_FAILED, 0).blame, MB_BLAME_SERVICE);

	/* while it serves one, what fails for the other is nobody's fault but the job's */
	begin();
	add(b, 1, MB_SERVED, 0);
	for (int i = 0; i < 100; i++)
	{
		check_int(add(a, 2, MB_FAILED, 0).blame, MB_BLAME_NOBODY);
		check_int(add(a, 3, MB_FAILED, 0).blame, MB_BLAME_NOBODY);
		add(b, 4, MB_SERVED, 0);
	}
}

static void
keys(void)
{
	/* a key that was never right is on hold at once, for its tenant, and does not count for others */
	begin();
	add(b, 1, MB_SERVED, 0);
	check_int(add(a, 2, MB_KEY_FAILED, 0).blame, MB_BLAME_TENANT);
	for (int i = 0; i < 60; i++)
		check_int(add(a, 3, MB_KEY_FAILED, 0).blame, MB_BLAME_TENANT);
	add(b, 4, MB_FAILED, 0);
	check_int(add(b, 5, MB_FAILED, 0).blame, MB_BLAME_NOBODY);
	check_int(add(b, 6, MB_FAILED, 0).blame == MB_BLAME_SERVICE, false);

	/* one that was right has a run, whatever others see */
	begin();
	add(a, 1, MB_SERVED, 0);
	check_int(add(a, 2, MB_KEY_FAILED, 0).blame, MB_BLAME_NOBODY);
	add(b, 3, MB_SERVED, 0);
	check_int(add(a, 4, MB_KEY_FAILED, 0).blame, MB_BLAME_NOBODY);
	add(b, 5, MB_SERVED, 0);
	check_int(add(a, 6, MB_KEY_FAILED, 0).blame, MB_BLAME_TENANT);
}

/* Whether others were served since a job failed last. */
static void
evidence(void)
{
	int64_t failed;

	begin();
	add(a, 1, MB_SERVED, 0);
	check_int(add(a, 2, MB_FAILED, 0).serves_others, false); /* its first failure */
	failed = now;
	check_int(add(a, 2, MB_FAILED, failed).serves_others, false);
	add(b, 3, MB_SERVED, 0);
	check_int(add(a, 2, MB_FAILED, failed).serves_others, true);
	failed = now;
	check_int(add(a, 2, MB_FAILED, failed).serves_others, false);
	/* its own earlier part is nobody else */
	add(a, 2, MB_SERVED, 0);
	check_int(add(a, 2, MB_FAILED, failed).serves_others, false);
	add(a, 4, MB_SERVED, 0);
	add(a, 2, MB_SERVED, 0);
	check_int(add(a, 2, MB_FAILED, failed).serves_others, true);
	/* many failures do not make it forget */
	failed = now;
	add(a, 5, MB_SERVED, 0);
	for (int i = 0; i < 3 * MB_OUTCOMES; i++)
		add(a, 100 + i, MB_FAILED, 0);
	check_int(add(a, 2, MB_FAILED, failed).serves_others, true);

	/* a key is proven by the own tenant alone */
	begin();
	add(a, 1, MB_KEY_FAILED, 0);
	failed = now;
	add(b, 2, MB_SERVED, 0);
	check_int(add(a, 1, MB_KEY_FAILED, failed).serves_others, false);
	add(a, 3, MB_SERVED, 0);
	check_int(add(a, 1, MB_KEY_FAILED, failed).serves_others, true);
}

static void
share_of_failures(void)
{
	mb_judgement judgement;

	begin();
	for (int i = 0; i < 40; i++)
		own(i, i % 4 ? MB_SERVED : MB_FAILED);
	judgement = add(a, 1000, MB_FAILED, 0);
	check_int(judgement.others_failing > 0.2 && judgement.others_failing < 0.3, true);
	/* its own failures are not the others' */
	for (int i = 0; i < 10; i++)
		judgement = add(a, 1000, MB_FAILED, 0);
	check_int(judgement.others_failing > 0.2 && judgement.others_failing < 0.3, true);
	begin();
	own(1, MB_SERVED);
	own(2, MB_FAILED);
	judgement = add(a, 3, MB_FAILED, 0);
	check_int(judgement.others_failing == 0, true);
}

/* An outage is seen as soon as the one before, however many requests that cost. */
static void
outages(void)
{
	begin();
	for (int i = 0; i < 12; i++)
		own(i, MB_SERVED);
	for (int outage = 0; outage < 4; outage++)
	{
		check_int(own(100, MB_FAILED), MB_BLAME_NOBODY);
		check_int(own(101, MB_FAILED), MB_BLAME_NOBODY);
		check_int(own(102, MB_FAILED), MB_BLAME_SERVICE);
		for (int probe = 0; probe < 20; probe++)
		{
			now += MB_OUTAGE_LASTS;
			check_int(own(103 + probe, MB_FAILED), MB_BLAME_SERVICE);
		}
		own(200, MB_SERVED);
	}

	/* many that were under way fail at once, nobody asks, and whoever asks after a pause is served */
	begin();
	for (int i = 0; i < 12; i++)
		own(i, MB_SERVED);
	for (int i = 0; i < 2 * MB_OUTCOMES; i++)
		own(100 + i, MB_FAILED);
	now += MB_OUTAGE_LASTS;
	own(200, MB_SERVED);
	own(201, MB_SERVED);
	for (int i = 0; i < 3; i++)
		check_int(own(300 + i, MB_FAILED), i < 2 ? MB_BLAME_NOBODY : MB_BLAME_SERVICE);

	/* what is over at once counts as a failure like any other */
	begin();
	for (int i = 0; i < 12; i++)
		own(i, MB_SERVED);
	for (int i = 0; i < 3; i++)
		own(100 + i, MB_FAILED);
	own(200, MB_SERVED);
	for (int i = 0; i < 3; i++)
		check_int(own(100 + i, MB_FAILED), MB_BLAME_NOBODY);
}

/* While it comes back one failure is enough, unless it fails now and then anyway. */
static void
coming_back(void)
{
	int64_t job = 1000;
	int run;

	begin();
	for (int i = 0; i < 12; i++)
		own(i, MB_SERVED);
	check_int(back(a, false, job++, MB_FAILED), MB_BLAME_SERVICE);
	now += MB_OUTAGE_LASTS;
	back(a, false, job++, MB_FAILED); /* it is asked in vain, and then not */
	own(job++, MB_SERVED);
	back(a, false, job++, MB_SERVED);
	check_int(back(a, false, job, MB_FAILED), MB_BLAME_SERVICE); /* not even two jobs */

	for (int failing = 2; failing <= 5; failing++)
	{
		begin();
		for (int i = 0; i < 60; i++)
			own(i, i % failing ? MB_SERVED : MB_FAILED);
		for (run = 1; back(a, false, job++, MB_FAILED) == MB_BLAME_NOBODY; run++)
			;
		/* 0.5 ^ 10, 0.33 ^ 7, 0.24 ^ 5, 0.2 ^ 5 */
		check_int(run, failing == 2 ? 10 : failing == 3 ? 7 : 5);
	}

	/* one tenant's failure is no reason to keep the others waiting, two tenants' is */
	begin();
	add(b, 1, MB_SERVED, 0);
	check_int(back(a, true, 2, MB_FAILED), MB_BLAME_TENANT);
	check_int(back(b, true, 3, MB_FAILED), MB_BLAME_SERVICE);
	begin();
	add(a, 1, MB_SERVED, 0);
	check_int(back(a, true, 2, MB_KEY_FAILED), MB_BLAME_TENANT);
}

static void
places(void)
{
	mb_outcomes all[3] = { 0 };

	mb_outcomes_find(all, 3, 7, 1, 10)->served_at = 5;
	mb_outcomes_find(all, 3, 8, 1, 20);
	mb_outcomes_find(all, 3, 9, 1, 30);
	check_int(mb_outcomes_find(all, 3, 7, 1, 40)->served_at, 5);
	check_int(mb_outcomes_find(all, 3, 7, 2, 50)->served_at, 0); /* configured anew */
	mb_outcomes_find(all, 3, 10, 1, 60);						 /* in place of 8 */
	check_int(mb_outcomes_find(all, 3, 7, 2, 70)->used_at, 70);
	check_int(all[1].service, 10);
}

int
main(void)
{
	check_run("runs of failures", runs_of_failures);
	check_run("flaky services", flaky_services);
	check_run("tenants", tenants);
	check_run("keys", keys);
	check_run("evidence", evidence);
	check_run("share of failures", share_of_failures);
	check_run("outages", outages);
	check_run("coming back", coming_back);
	check_run("places", places);
	return check_done();
}
