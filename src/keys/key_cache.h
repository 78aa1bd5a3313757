/*
 * key_cache.h
 *	  Voice keys, unsealed, in a bounded cache of this process: opening a seal for each frame takes ten times as
 *	  long as judging it.
 *
 * The memory is locked, left out of core files and not inherited by a fork, where the system can do that. An entry is wiped
 * when anybody changes a key or a secret and commits (or rolls back), when the key file is another one, when its place is
 * needed, and when the process ends. Only derived keys are kept, never the bytes of a secret.
 */
#ifndef MULBERRY_KEY_CACHE_H
#define MULBERRY_KEY_CACHE_H

#include "keys/voice_keys.h"

/* In the place of a role: what stands in for a key that is not there. */
#define MULBERRY_KEY_DUMMY (-1)

/* What a key was asked for by; compared as bytes, of which none is padding. */
typedef struct mulberry_key_name
{
	pg_uuid_t tenant;
	pg_uuid_t agent;
	int role;
	int key_id;
	int any_agent; /* 1: whoever the agent is */
} mulberry_key_name;

/*
 * A copy of the key, which the caller wipes, and whether there is one; false when that is not in the cache. That there is no
 * key is kept as well, so that one that is missing costs what a real one costs.
 */
extern bool
mulberry_key_cache_get(const mulberry_key_name *name, mulberry_voice_key *key, bool *found);

/*
 * What was true when a key began to be read: mulberry_key_cache_put() takes nothing that was read before a
 * change that has become known since.
 */
extern uint64 mulberry_key_cache_generation(void);
extern void mulberry_key_cache_put(const mulberry_key_name *name, const mulberry_voice_key *key,
								   bool found, uint64 generation);

#endif /* MULBERRY_KEY_CACHE_H */
