/*
 * rate_limit.h
 *	  How often each of many clients may do something: token buckets in a table of fixed size.
 *
 * A bucket is one number, the time at which it is full again; the clock is the caller's.  The table does not grow,
 * whoever comes.  A bucket that is full is as good as none, so its place is free.  When a newcomer finds no free place, he
 * takes that of the bucket which is nearest to full, and with it what that one lacks (the rule of "space saving"): so
 * nobody who is put out of the table and comes back may more often than had he stayed, and newcomers pay for
 * it only while every place of their row belongs to somebody who has just been there.
 */
#ifndef MB_RATE_LIMIT_H
#define MB_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MB_RATE_LIMIT_WAYS 8
#define MB_RATE_LIMIT_MAX_RATE 1000000

typedef struct mb_rate_bucket
{
	uint8_t key[16];
	int64_t full_at; /* nanoseconds; 0 for a place that was never taken */
} mb_rate_bucket;

typedef struct mb_rate_limit
{
	mb_rate_bucket *buckets;
	size_t rows; /* of MB_RATE_LIMIT_WAYS places each; a power of two */
	int64_t interval;
	int64_t capacity; /* both in nanoseconds */
	uint64_t seed[2];
} mb_rate_limit;

/* How many buckets a table for at least so many clients has. */
extern size_t mb_rate_limit_places(size_t clients);

/*
 * "rate" a second, "burst" at once, 1 to MB_RATE_LIMIT_MAX_RATE each.  buckets: as many as mb_rate_limit_places() says, all
 * zero, of the caller.  The seed is random, so that nobody can choose keys that share a row with a certain other one.
 */
extern void mb_rate_limit_begin(mb_rate_limit *limit, int rate, int burst, mb_rate_bucket *buckets,
								size_t places, const uint64_t seed[2]);

/*
 * Takes one for a key at a time (microseconds, never less than the time before).  0 when it may; otherwise in how many
 * microseconds it may, and nothing was taken.
 */
extern int64_t mb_rate_limit_take(mb_rate_limit *limit, const uint8_t key[16], int64_t now);

/* How many buckets are not full. */
extern size_t mb_rate_limit_used(const mb_rate_limit *limit, int64_t now);

#endif /* MB_RATE_LIMIT_H */
