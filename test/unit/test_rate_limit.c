/*
 * test_rate_limit.c
 *	  Token buckets: their rate and burst to the microsecond, and that a table of fixed size lets nobody have more than one
 *	  without bounds would, whoever comes.
 */
#include "core/web/rate_limit.h"

#include "check.h"

#define SECOND 1000000
#define START (1000 * (int64_t) SECOND)

static const uint64_t seed[2] = { 0x243F6A8885A308D3u, 0x13198A2E03707344u };

static mb_rate_bucket *
begin(mb_rate_limit *limit, int rate, int burst, size_t clients)
{
	size_t places = mb_rate_limit_places(clients);
	mb_rate_bucket *buckets = calloc(places, sizeof(*buckets));

	mb_rate_limit_begin(limit, rate, burst, buckets, places, seed);
	return buckets;
}

static int64_t
take(mb_rate_limit *limit, uint64_t client, int64_t now)
{
	uint8_t key[16] = { 0 };

	memcpy(key, &client, sizeof(client));
	return mb_rate_limit_take(limit, key, now);
}

static void
a_burst_and_then_the_rate(void)
{
	mb_rate_limit limit;
	mb_rate_bucket *buckets = begin(&limit, 10, 3, 100);

	for (int i = 0; i < 3; i++)
		check_int(take(&limit, 1, START), 0);
	check_int(take(&limit, 1, START), SECOND / 10);
	check_int(take(&limit, 1, START + SECOND / 10 - 1), 1);
	check_int(take(&limit, 1, START + SECOND / 10), 0);
	check_int(take(&limit, 1, START + SECOND / 10), SECOND / 10);
	/* what was refused was not taken */
	for (int i = 0; i < 1000; i++)
		check(take(&limit, 1, START + SECOND / 10) > 0);
	check_int(take(&limit, 1, START + SECOND / 5), 0);
	/* full again, and no fuller */
	for (int i = 0; i < 3; i++)
		check_int(take(&limit, 1, START + 100 * SECOND), 0);
	check(take(&limit, 1, START + 100 * SECOND) > 0);
	free(buckets);
}

static void
others_are_not_affected(void)
{
	mb_rate_limit limit;
	mb_rate_bucket *buckets = begin(&limit, 1, 1, 1000);

	for (uint64_t client = 0; client < 100; client++)
		check_int(take(&limit, client, START), 0);
	for (uint64_t client = 0; client < 100; client++)
		check_int(take(&limit, client, START), SECOND);
	check_int(mb_rate_limit_used(&limit, START), 100);
	check_int(mb_rate_limit_used(&limit, START + SECOND), 0);
	free(buckets);
}

static void
a_key_of_zeroes_is_one_like_others(void)
{
	mb_rate_limit limit;
	mb_rate_bucket *buckets = begin(&limit, 1, 2, 8);

	check_int(take(&limit, 0, START), 0);
	check_int(take(&limit, 0, START), 0);
	check(take(&limit, 0, START) > 0);
	free(buckets);
}

static void
the_extremes_fit(void)
{
	mb_rate_limit limit;
	int64_t late = (int64_t) 50 * 365 * 86400 * SECOND;
	mb_rate_bucket *buckets = begin(&limit, MB_RATE_LIMIT_MAX_RATE, MB_RATE_LIMIT_MAX_RATE, 8);

	check_int(take(&limit, 1, late), 0);
	free(buckets);
	buckets = begin(&limit, 1, MB_RATE_LIMIT_MAX_RATE, 8);
	check_int(take(&limit, 1, late), 0);
	free(buckets);
	check_int(mb_rate_limit_places(0), 8);
	check_int(mb_rate_limit_places(8), 8);
	check_int(mb_rate_limit_places(9), 16);
	check_int(mb_rate_limit_places(65536), 65536);
}

/*
 * One client floods while a hundred thousand others come by, each once, through a table of 64 places: he is put out again and
 * again, and gets not one more than his share.
 */
static void
flooding_the_table_lifts_no_limit(void)
{
	mb_rate_limit limit;
	mb_rate_bucket *buckets = begin(&limit, 10, 5, 64);
	int admitted = 0;

	for (int i = 0; i < 100000; i++)
	{
		int64_t now = START + (int64_t) i * 100; /* ten seconds in all */

		(void) take(&limit, 1000000 + (uint64_t) i, now);
		admitted += take(&limit, 1, now) == 0;
	}
	check_range(admitted, 1, 5 + 100);
	free(buckets);
}

/* Nine in turn for eight places: whoever comes finds his own taken by another one. */
static void
who_was_put_out_begins_not_anew(void)
{
	mb_rate_limit limit;
	mb_rate_bucket *buckets = begin(&limit, 10, 5, 8);
	int admitted[9] = { 0 };

	for (int i = 0; i < 9000; i++)
		admitted[i % 9] += take(&limit, (uint64_t) (i % 9), START + i) == 0;
	for (int client = 0; client < 9; client++)
		check_range(admitted[client], 1, 5);
	check(take(&limit, 9, START + 9000) > 0);
	check_int(take(&limit, 9, START + 9000 + SECOND), 0);
	free(buckets);
}

/* A place is not lost to one who comes seldom, while others do not use up their own. */
static void
a_newcomer_is_served_beside_floods(void)
{
	mb_rate_limit limit;
	mb_rate_bucket *buckets = begin(&limit, 10, 10, 1024);

	for (int i = 0; i < 20000; i++)
	{
		int64_t now = START + (int64_t) i * 1000;

		/* sixty that flood, which is less than there are places */
		for (uint64_t client = 0; client < 60; client++)
			(void) take(&limit, client, now);
		if (i % 100 == 0)
			check_int(take(&limit, 1000000 + (uint64_t) i, now), 0);
	}
	free(buckets);
}

/* Whatever comes in whatever order: what the table admits, a bucket of one's own would have admitted. */
static void
never_more_than_with_a_table_without_bounds(void)
{
	enum
	{
		CLIENTS = 500
	};
	check_random random = { 11 };

	for (int round = 0; round < 40; round++)
	{
		int rate = 1 + (int) check_random_below(&random, 1000);
		int burst = 1 + (int) check_random_below(&random, 20);
		int64_t interval = 1000000000 / rate;
		/* from a tenth of what fills the table to ten times that */
		int64_t step = 1 + interval / 1000 / (int64_t) (3 + check_random_below(&random, 300));
		int64_t full_at[CLIENTS] = { 0 };
		int64_t now = START;
		mb_rate_limit limit;
		mb_rate_bucket *buckets = begin(&limit, rate, burst, 32);
		int admitted = 0;

		for (int i = 0; i < 20000; i++)
		{
			/* some come much more often than others */
			uint64_t client = check_random_below(&random, 1 + check_random_below(&random, CLIENTS));
			int64_t at;

			now += (int64_t) check_random_below(&random, (uint64_t) step);
			at = now * 1000;
			if (take(&limit, client, now) > 0)
				continue;
			admitted++;
			full_at[client] = (full_at[client] > at ? full_at[client] : at) + interval;
			if (!check(full_at[client] - at <= interval * burst))
				break;
		}
		check(admitted > 0);
		free(buckets);
	}
}

int
main(void)
{
	check_run("a burst, and then the rate", a_burst_and_then_the_rate);
	check_run("others are not affected", others_are_not_affected);
	check_run("a key of zeroes is one like others", a_key_of_zeroes_is_one_like_others);
	check_run("the extremes fit", the_extremes_fit);
	check_run("flooding the table lifts no limit", flooding_the_table_lifts_no_limit);
	check_run("who was put out begins not anew", who_was_put_out_begins_not_anew);
	check_run("a newcomer is served beside floods", a_newcomer_is_served_beside_floods);
	check_run("never more than with a table without bounds",
			  never_more_than_with_a_table_without_bounds);
	return check_done();
}
