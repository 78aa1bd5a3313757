/*
 * media_figures.c
 *	  What is measured of the callers of media_calls.c; see media_figures.h.
 */
#include "media_figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 2000000

typedef struct values
{
	float *list;
	size_t n;
} values;

static values measured[MEASURES];
static unsigned counted[COUNTS];
static bool counting;

void
die(const char *what)
{
	fprintf(stderr, "media_calls: %s\n", what);
	exit(1);
}

void
figures_begin(void)
{
	counting = true;
	for (int i = 0; i < MEASURES; i++)
		measured[i].n = 0;
	memset(counted, 0, sizeof(counted));
}

void
figures_add(measure what, double milliseconds)
{
	values *v = &measured[what];

	if (!counting || v->n == MAX_VALUES)
		return;
	if (v->list == NULL)
		v->list = malloc(MAX_VALUES * sizeof(*v->list));
	if (v->list == NULL)
		die("out of memory");
	v->list[v->n++] = (float) milliseconds;
}

void
figures_count(count what)
{
	counted[what] += counting;
}

static int
ascending(const void *a, const void *b)
{
	return (*(const float *) a > *(const float *) b) - (*(const float *) a < *(const float *) b);
}

static void
print_values(const char *name, values *v)
{
	static const double shares[] = { 0.5, 0.95, 0.99, 1 };

	if (v->n > 0)
		qsort(v->list, v->n, sizeof(*v->list), ascending);
	printf("\"%s\":{\"n\":%zu", name, v->n);
	for (int i = 0; i < 4; i++)
		printf(",\"%g\":%.1f", 100 * shares[i],
			   v->n == 0 ? 0.0 : v->list[(size_t) ((double) (v->n - 1) * shares[i])]);
	printf("},");
}

void
figures_print(void)
{
	static const char *const names[MEASURES] = { "waits_ms", "stops_ms", "keys_ms", "gaps_ms",
												 "late_ms" };

	for (int i = 0; i < MEASURES; i++)
		print_values(names[i], &measured[i]);
	printf("\"answers\":%u,\"unanswered\":%u,\"cut\":%u,\"uncut\":%u,\"heard_s\":%u,",
		   counted[ANSWERS], counted[UNANSWERED], counted[CUT], counted[UNCUT],
		   counted[HEARD_FRAMES] / 50);
}
