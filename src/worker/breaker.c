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
	pg_uuid_t tenants[MULBERRY_BREAKER_WINDOW];
	int used;
	int next;
} window;

StaticAssertDecl(MULBERRY_BREAKER_WINDOW <= 64, "the window is one word");

/*
 * Whether a tenant is served although others are not: its latest outcome in the
 * full window was no failure.  Then it is not the endpoint that fails.
 */
static bool
serves_somebody(const window *entry)
{
	for (int i = 1; i <= MULBERRY_BREAKER_WINDOW; i++)
	{
		int at = (entry->next - i + MULBERRY_BREAKER_WINDOW) % MULBERRY_BREAKER_WINDOW;
		bool later = false;

		if (entry->failures & (UINT64CONST(1) << at))
			continue;
		for (int j = 1; j < i && !later; j++)
		{
			int other = (entry->next - j + MULBERRY_BREAKER_WINDOW) % MULBERRY_BREAKER_WINDOW;

			later = memcmp(&entry->tenants[other], &entry->tenants[at], sizeof(pg_uuid_t)) == 0;
		}
		if (!later)
			return true;
	}
	return false;
}

bool
mulberry_breaker_record(int64 endpoint, const pg_uuid_t *tenant, bool failed)
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
	entry->tenants[entry->next] = *tenant;
	entry->next = (entry->next + 1) % MULBERRY_BREAKER_WINDOW;
	entry->used = Min(entry->used + 1, MULBERRY_BREAKER_WINDOW);

	if (entry->used == MULBERRY_BREAKER_WINDOW &&
		pg_popcount64(entry->failures) >= MULBERRY_BREAKER_FAILURES && !serves_somebody(entry))
	{
		hash_search(windows, &endpoint, HASH_REMOVE, NULL);
		return true;
	}
	return false;
}
