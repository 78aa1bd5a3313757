/*
 * breaker.c
 *	  When an endpoint counts as failing; see breaker.h.
 */
#include "server/compat.h"

#include "port/pg_bitutils.h"
#include "utils/hsearch.h"

#include "worker/breaker.h"

typedef struct window
{
	int64 endpoint;	 /* key */
	uint64 failures; /* bit i: outcome i of the ring failed */
	int used;
	int next;
} window;

StaticAssertDecl(MULBERRY_BREAKER_WINDOW <= 64, "the window is one word");

bool
mulberry_breaker_record(int64 endpoint, bool failed)
{
	static HTAB *windows = NULL;
	window *entry;
	bool found;

	if (windows == NULL)
	{
		HASHCTL control = { .keysize = sizeof(int64), .entrysize = sizeof(window) };

		windows = hash_create("mulberry endpoint outcomes", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(windows, &endpoint, HASH_ENTER, &found);
	if (!found)
	{
		entry->failures = 0;
		entry->used = 0;
		entry->next = 0;
	}

	if (failed)
		entry->failures |= UINT64CONST(1) << entry->next;
	else
		entry->failures &= ~(UINT64CONST(1) << entry->next);
	entry->next = (entry->next + 1) % MULBERRY_BREAKER_WINDOW;
	entry->used = Min(entry->used + 1, MULBERRY_BREAKER_WINDOW);

	if (entry->used == MULBERRY_BREAKER_WINDOW &&
		pg_popcount64(entry->failures) >= MULBERRY_BREAKER_FAILURES)
	{
		hash_search(windows, &endpoint, HASH_REMOVE, NULL);
		return true;
	}
	return false;
}
