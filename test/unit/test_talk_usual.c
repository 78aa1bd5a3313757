/*
 * test_talk_usual.c
 *	  How long services usually take: each tenant's by itself, however many there are, and as it has been lately.
 *
 * Link with: -I../http -I..
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/talk_usual.c"

static int64_t now = 2 * UNKNOWN_AFTER;

int64_t
http_clock(void)
{
	return now;
}

static void
add(const char *tenant, const char *name, double seconds, int n)
{
	for (int i = 0; i < n; i++)
		talk_usual_add(tenant, 1, name, seconds);
}

static void
of_each_tenant(void)
{
	add("a", "mouth", 0.3, 19);
	check_near(talk_usual("a", 1, "mouth"), 0, 0);
	add("a", "mouth", 0.3, 1);
	check_near(talk_usual("a", 1, "mouth"), 0.3, 0.07);
	check_near(talk_usual("b", 1, "mouth"), 0, 0);
	check_near(talk_usual("a", 2, "mouth"), 0, 0);
	add("b", "mouth", 2, 20);
	check_near(talk_usual("b", 1, "mouth"), 2, 0.5);
	check_near(talk_usual("a", 1, "mouth"), 0.3, 0.07);
	/* names are of one tenant, whatever is in them */
	add("with a blank", "mouth", 2, 20);
	check_near(talk_usual("with", 1, "a blank mouth"), 0, 0);
	check_near(talk_usual("with a", 1, "blank mouth"), 0, 0);
	check_near(talk_usual("with a blank", 1, "mouth"), 2, 0.5);
}

static void
all_but_a_few(void)
{
	for (int i = 0; i < 20; i++)
	{
		add("c", "mouth", 0.2, 29);
		add("c", "mouth", 5, 1);
	}
	check_near(talk_usual("c", 1, "mouth"), 0.2, 0.05);
	add("c", "mouth", 100, 20);
	check(talk_usual("c", 1, "mouth") > 10);
}

static void
lately(void)
{
	add("d", "mouth", 0.2, 1000);
	add("d", "mouth", 1, 100);
	check_near(talk_usual("d", 1, "mouth"), 1, 0.25);
	add("d", "mouth", 0.2, 200);
	check_near(talk_usual("d", 1, "mouth"), 0.2, 0.05);
	now += UNKNOWN_AFTER + 1;
	check_near(talk_usual("d", 1, "mouth"), 0, 0);
	add("d", "mouth", 3, 20);
	check_near(talk_usual("d", 1, "mouth"), 3, 0.8);
}

static void
of_many(void)
{
	char tenant[32];

	for (int i = 0; i < 500; i++)
	{
		snprintf(tenant, sizeof(tenant), "many %d", i);
		add(tenant, "mouth", 0.5, 20);
	}
	for (int i = 0; i < 500; i++)
	{
		snprintf(tenant, sizeof(tenant), "many %d", i);
		check_near(talk_usual(tenant, 1, "mouth"), 0.5, 0.13);
	}
	for (int i = 0; i < 100000; i++)
	{
		snprintf(tenant, sizeof(tenant), "more %d", i);
		add(tenant, "mouth", 0.5, 1);
	}
	for (int i = 0; i < CHAINS; i++)
	{
		int n = 0;

		for (usual *next, *u = chains[i]; u != NULL; u = next, n++)
		{
			next = u->next;
			free(u);
		}
		check(n <= CHAIN);
	}
}

int
main(void)
{
	check_run("each tenant's service by itself", of_each_tenant);
	check_run("all but a few answers count", all_but_a_few);
	check_run("what was long ago does not", lately);
	check_run("there are many, and no more than there is room for", of_many);
	return check_done();
}
