/*
 * key_cache.c
 *	  Voice keys, unsealed, in a bounded cache of this process; see key_cache.h.
 *
 * Others learn of a change by an invalidation of the relation cache, which triggers of both
 * tables send: it comes with the commit, to standbys as well, and to the session itself with each command and with a
 * rollback.
 */
#include "server/compat.h"

#include <sys/mman.h>

#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/ipc.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "core/crypto/digest.h"
#include "keys/key_cache.h"
#include "secrets/secret_key.h"
#include "server/catalog.h"

PG_FUNCTION_INFO_V1(mulberry_keys_have_changed);

/* Room for a ring of each role with all the ids that there are, and for many that are as small as they usually are. */
#define RINGS 64
#define KEYS 256

StaticAssertDecl(KEYS >= 2 * MULBERRY_VOICE_KEY_IDS, "there is room for a ring of each role");

typedef struct cached_ring
{
	bool filled;
	uint64 used; /* by the clock of uses, for the choice of whom to throw out */
	mulberry_key_ring ring;
	/* by key id: place in keys, counted from 1; 0: the ring has no such key */
	uint16 places[MULBERRY_VOICE_KEY_IDS];
} cached_ring;

typedef struct cached_key
{
	bool filled;
	mulberry_voice_key key;
} cached_key;

typedef struct key_cache
{
	cached_ring rings[RINGS];
	cached_key keys[KEYS];
} key_cache;

/* NULL until it is first needed, and for good where there is no memory. */
static key_cache *cache = NULL;
static bool tried = false;
static uint64 uses = 0;
static uint64 generation = 0;
static mulberry_key_file_stamp file;
static Oid voice_keys_oid = InvalidOid;
static Oid secrets_oid = InvalidOid;

static void
wipe(void)
{
	if (cache != NULL)
		mb_forget(cache, sizeof(*cache));
}

static void
wipe_at_exit(int code, Datum argument)
{
	wipe();
}

static void
relation_changed(Datum argument, Oid relation)
{
	if (relation != InvalidOid && relation != voice_keys_oid && relation != secrets_oid)
		return;
	generation++;
	wipe();
}

/* Makes the cache; false where there can be none. */
static bool
prepare(void)
{
	size_t size = sizeof(*cache);
	void *memory;

	if (tried)
		return cache != NULL;
	tried = true;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	/* each of them is better than nothing, and nothing is what some systems allow */
	(void) mlock(memory, size);
#ifdef MADV_DONTDUMP
	(void) madvise(memory, size, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
	(void) madvise(memory, size, MADV_WIPEONFORK);
#endif
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	on_proc_exit(wipe_at_exit, (Datum) 0);
	cache = memory;
	return true;
}

/*
 * Wipes what was opened with another key file, and notes which one there is: once for each
 * statement of the client.
 */
static void
look_at_file(void)
{
	static TimestampTz looked = 0;
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	mulberry_key_file_stamp now;

	if (statement == looked)
		return;
	looked = statement;
	mulberry_stamp_key_file(&now);
	if (memcmp(&now, &file, sizeof(now)) == 0)
		return;
	generation++;
	wipe();
	file = now;
}

static cached_ring *
find(const mulberry_key_ring *ring)
{
	for (int i = 0; i < RINGS; i++)
		if (cache->rings[i].filled && memcmp(&cache->rings[i].ring, ring, sizeof(*ring)) == 0)
			return &cache->rings[i];
	return NULL;
}

bool
mulberry_key_cache_get(const mulberry_key_ring *ring, int key_id, mulberry_voice_key *key,
					   bool *found)
{
	cached_ring *kept;
	int place;

	if (!prepare())
		return false;
	AcceptInvalidationMessages();
	look_at_file();
	kept = find(ring);
	if (kept == NULL)
	{
		/* whoever reads the keys now must hear of what changes meanwhile */
		voice_keys_oid = mulberry_relation_oid("voice_keys");
		secrets_oid = mulberry_relation_oid("secrets");
		return false;
	}
	kept->used = ++uses;
	place = key_id >= 0 && key_id < MULBERRY_VOICE_KEY_IDS ? kept->places[key_id] : 0;
	*found = place > 0;
	if (*found)
		*key = cache->keys[place - 1].key;
	return true;
}

uint64
mulberry_key_cache_generation(void)
{
	return generation;
}

static void
throw_out(cached_ring *kept)
{
	for (int id = 0; id < MULBERRY_VOICE_KEY_IDS; id++)
		if (kept->places[id] > 0)
			mb_forget(&cache->keys[kept->places[id] - 1], sizeof(cached_key));
	mb_forget(kept, sizeof(*kept));
}

static void
throw_out_oldest(void)
{
	cached_ring *oldest = NULL;

	for (int i = 0; i < RINGS; i++)
		if (cache->rings[i].filled && (oldest == NULL || cache->rings[i].used < oldest->used))
			oldest = &cache->rings[i];
	Assert(oldest != NULL);
	throw_out(oldest);
}

static cached_ring *
free_ring(void)
{
	for (int i = 0; i < RINGS; i++)
		if (!cache->rings[i].filled)
			return &cache->rings[i];
	return NULL;
}

static int
free_keys(void)
{
	int n = 0;

	for (int i = 0; i < KEYS; i++)
		n += !cache->keys[i].filled;
	return n;
}

void
mulberry_key_cache_put(const mulberry_key_ring *ring, const mulberry_voice_key *keys, int n,
					   uint64 began)
{
	cached_ring *kept;
	int place = 0;

	Assert(n <= MULBERRY_VOICE_KEY_IDS);
	if (cache == NULL || generation != began)
		return;
	kept = find(ring);
	if (kept != NULL)
		throw_out(kept);
	while ((kept = free_ring()) == NULL || free_keys() < n)
		throw_out_oldest();
	kept->filled = true;
	kept->used = ++uses;
	kept->ring = *ring;
	for (int i = 0; i < n; i++)
	{
		while (cache->keys[place].filled)
			place++;
		cache->keys[place].filled = true;
		cache->keys[place].key = keys[i];
		kept->places[keys[i].key_id] = place + 1;
	}
}

/* keys_have_changed(): trigger of voice_keys and secrets. */
Datum
mulberry_keys_have_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "keys_have_changed() is a trigger");
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
