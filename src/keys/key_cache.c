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

#define ENTRIES 64

typedef struct cache_entry
{
	bool filled;
	uint64 used; /* by the clock of uses, for the choice of whom to throw out */
	mulberry_key_name name;
	bool found;
	mulberry_voice_key key;
} cache_entry;

/* NULL until it is first needed, and for good where there is no memory. */
static cache_entry *entries = NULL;
static bool tried = false;
static uint64 uses = 0;
static uint64 generation = 0;
static mulberry_key_file_stamp file;
static Oid voice_keys_oid = InvalidOid;
static Oid secrets_oid = InvalidOid;

static void
wipe(void)
{
	if (entries != NULL)
		mb_forget(entries, sizeof(cache_entry) * ENTRIES);
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
	size_t size = sizeof(cache_entry) * ENTRIES;
	void *memory;

	if (tried)
		return entries != NULL;
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
	entries = memory;
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

static cache_entry *
find(const mulberry_key_name *name)
{
	for (int i = 0; i < ENTRIES; i++)
		if (entries[i].filled && memcmp(&entries[i].name, name, sizeof(*name)) == 0)
			return &entries[i];
	return NULL;
}

bool
mulberry_key_cache_get(const mulberry_key_name *name, mulberry_voice_key *key, bool *found)
{
	cache_entry *entry;

	if (!prepare())
		return false;
	AcceptInvalidationMessages();
	look_at_file();
	entry = find(name);
	if (entry == NULL)
	{
		/* whoever reads the key now must hear of what changes meanwhile */
		voice_keys_oid = mulberry_relation_oid("voice_keys");
		secrets_oid = mulberry_relation_oid("secrets");
		return false;
	}
	entry->used = ++uses;
	*key = entry->key;
	*found = entry->found;
	return true;
}

uint64
mulberry_key_cache_generation(void)
{
	return generation;
}

void
mulberry_key_cache_put(const mulberry_key_name *name, const mulberry_voice_key *key, bool found,
					   uint64 began)
{
	cache_entry *place;

	if (entries == NULL || generation != began)
		return;
	place = find(name);
	for (int i = 0; place == NULL && i < ENTRIES; i++)
		if (!entries[i].filled)
			place = &entries[i];
	if (place == NULL)
	{
		place = &entries[0];
		for (int i = 1; i < ENTRIES; i++)
			if (entries[i].used < place->used)
				place = &entries[i];
	}
	place->name = *name;
	place->key = *key;
	place->found = found;
	place->used = ++uses;
	place->filled = true;
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
