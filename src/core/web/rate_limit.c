/*
 * rate_limit.c
 *	  Token buckets in a table of fixed size; see rate_limit.h.
 */
#include "core/web/rate_limit.h"

#include <string.h>

#define NANOSECONDS 1000000000
#define MICROSECOND 1000

size_t
mb_rate_limit_places(size_t clients)
{
	size_t places = MB_RATE_LIMIT_WAYS;

	while (places < clients)
		places *= 2;
	return places;
}

void
mb_rate_limit_begin(mb_rate_limit *limit, int rate, int burst, mb_rate_bucket *buckets,
					size_t places, const uint64_t seed[2])
{
	limit->buckets = buckets;
	limit->rows = places / MB_RATE_LIMIT_WAYS;
	limit->interval = NANOSECONDS / rate;
	limit->capacity = limit->interval * burst;
	limit->seed[0] = seed[0];
	limit->seed[1] = seed[1];
}

/* Multiplications of 128 bits mix the seeds in (the idea of wyhash). */
static size_t
row_of(const mb_rate_limit *limit, const uint8_t key[16])
{
	uint64_t words[2];
	unsigned __int128 product;

	memcpy(words, key, sizeof words);
	product = (unsigned __int128) (words[0] ^ limit->seed[0]) * ((words[1] ^ limit->seed[1]) | 1);
	product =
		(unsigned __int128) ((uint64_t) product ^ (uint64_t) (product >> 64)) * 0x9E3779B97F4A7C15u;
	return (size_t) ((uint64_t) product ^ (uint64_t) (product >> 64)) & (limit->rows - 1);
}

int64_t
mb_rate_limit_take(mb_rate_limit *limit, const uint8_t key[16], int64_t now)
{
	mb_rate_bucket *row = limit->buckets + row_of(limit, key) * MB_RATE_LIMIT_WAYS;
	mb_rate_bucket *bucket = row;
	int64_t at = now * MICROSECOND;
	int64_t full_at;

	for (int i = 0; i < MB_RATE_LIMIT_WAYS; i++)
	{
		/* a place that was never taken has no key, not even that of all zeroes */
		if (row[i].full_at != 0 && memcmp(row[i].key, key, sizeof row[i].key) == 0)
		{
			bucket = &row[i];
			break;
		}
		if (row[i].full_at < bucket->full_at)
			bucket = &row[i];
	}
	full_at = (bucket->full_at > at ? bucket->full_at : at) + limit->interval;
	if (full_at - at > limit->capacity)
		return (full_at - at - limit->capacity + MICROSECOND - 1) / MICROSECOND;
	memcpy(bucket->key, key, sizeof bucket->key);
	bucket->full_at = full_at;
	return 0;
}

size_t
mb_rate_limit_used(const mb_rate_limit *limit, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < limit->rows * MB_RATE_LIMIT_WAYS; i++)
		n += limit->buckets[i].full_at > now * MICROSECOND;
	return n;
}
