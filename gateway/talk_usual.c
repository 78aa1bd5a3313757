/*
 * talk_usual.c
 *	  A histogram for each service, in which an answer counts less with each that follows; see talk_usual.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "talk_usual.h"

#define SHARE 0.95
#define AT_LEAST 20 /* answers */
#define KEPT 0.98	/* of the weight of an answer, with the next one: about fifty count */
#define UNKNOWN_AFTER (3600 * HTTP_SECOND)
#define BUCKETS 32
#define LEAST 0.02 /* s: the first one ends there */
#define WIDTH 1.25 /* each is so many times as long as the one before */
#define CHAINS 256
#define CHAIN                                                                                      \
	16 /* services of a chain; of more the one that was not used for longest is forgotten */

typedef struct usual
{
	char name[160];
	float weights[BUCKETS];
	unsigned n; /* answers, at most AT_LEAST */
	int64_t at; /* of the last */
	struct usual *next;
} usual;

static usual *chains[CHAINS];

/* The place in its chain of one; that of the last where it is not there. */
static usual **
find(const char *tenant, int kind, const char *name, char *key, size_t size, usual ***first)
{
	uint32_t hash = 2166136261u;
	usual **place;

	/* with the length of the first, because blanks in them separate nothing */
	snprintf(key, size, "%d %zu %s %s", kind, strlen(tenant), tenant, name);
	for (const char *c = key; *c != '\0'; c++)
		hash = (hash ^ (uint8_t) *c) * 16777619u;
	*first = &chains[hash % CHAINS];
	for (place = *first; *place != NULL && strcmp((*place)->name, key) != 0;)
		place = &(*place)->next;
	return place;
}

static void
forget_the_last(usual *first)
{
	int n = 1;

	for (usual *u = first; u != NULL && u->next != NULL; u = u->next)
	{
		if (++n <= CHAIN)
			continue;
		free(u->next);
		u->next = NULL;
	}
}

void
talk_usual_add(const char *tenant, int kind, const char *name, double seconds)
{
	char key[sizeof(((usual *) NULL)->name)];
	usual **first;
	usual **place = find(tenant, kind, name, key, sizeof(key), &first);
	usual *u = *place;
	double bucket = seconds <= LEAST ? 0 : ceil(log(seconds / LEAST) / log(WIDTH));

	if (u == NULL)
	{
		u = calloc(1, sizeof(*u));
		if (u == NULL)
			return;
		memcpy(u->name, key, sizeof(key));
	}
	else
		*place = u->next;
	u->next = *first;
	*first = u;
	forget_the_last(u);
	if (http_clock() - u->at > UNKNOWN_AFTER)
	{
		u->n = 0;
		memset(u->weights, 0, sizeof(u->weights));
	}
	for (int i = 0; i < BUCKETS; i++)
		u->weights[i] *= (float) KEPT;
	u->weights[bucket < BUCKETS - 1 ? (int) bucket : BUCKETS - 1] += 1;
	u->n += u->n < AT_LEAST;
	u->at = http_clock();
}

double
talk_usual(const char *tenant, int kind, const char *name)
{
	char key[sizeof(((usual *) NULL)->name)];
	usual **first;
	const usual *u = *find(tenant, kind, name, key, sizeof(key), &first);
	double all = 0;
	double below = 0;
	double upper = LEAST;

	if (u == NULL || u->n < AT_LEAST || http_clock() - u->at > UNKNOWN_AFTER)
		return 0;
	for (int i = 0; i < BUCKETS; i++)
		all += u->weights[i];
	for (int i = 0; i < BUCKETS - 1; i++, upper *= WIDTH)
	{
		double lower = i == 0 ? 0 : upper / WIDTH;

		if (below + u->weights[i] >= SHARE * all)
			return lower + (upper - lower) * (SHARE * all - below) / u->weights[i];
		below += u->weights[i];
	}
	return upper;
}
