/*
 * key_cache.h
 *	  Voice keys, unsealed, in a bounded cache of this process: opening a seal for each frame takes ten times as
 *	  long as judging it.
 *
 * What is kept, looked for and thrown out is a ring of keys, never one key: whoever receives a frame of any key, known or
 * not, asks for the same ring, so that neither what is in the cache nor what it takes to fill it tells which keys there are.
 *
 * The memory is locked, left out of core files and not inherited by a fork, where the system can do that. A ring is wiped
 * when anybody changes a key or a secret and commits (or rolls back), when the key file is another one, when its place is
 * needed, and when the process ends. Only derived keys are kept, never the bytes of a secret.
 */
#ifndef MULBERRY_KEY_CACHE_H
#define MULBERRY_KEY_CACHE_H

#include "keys/voice_keys.h"

/*
 * The enabled keys of a receiving tenant, whoever the agent is, or of one sending agent: key ids are unique among them.
 * Compared as bytes, of which none is padding.
 */
typedef struct mulberry_key_ring
{
	pg_uuid_t tenant;
	pg_uuid_t agent; /* all zero for receivers */
	int role;
} mulberry_key_ring;

/*
 * False when the ring is not in the cache.  Else whether it has the key, and a copy of it, which the caller wipes; *key is
 * untouched without one.
 */
extern bool mulberry_key_cache_get(const mulberry_key_ring *ring, int key_id,
								   mulberry_voice_key *key, bool *found);

/*
 * What was true when a ring began to be read: mulberry_key_cache_put() takes nothing that was read before a
 * change that has become known since.
 */
extern uint64 mulberry_key_cache_generation(void);

/* Keeps all n keys of a ring: at most MULBERRY_VOICE_KEY_IDS, each id once. */
extern void mulberry_key_cache_put(const mulberry_key_ring *ring, const mulberry_voice_key *keys,
								   int n, uint64 generation);

#endif /* MULBERRY_KEY_CACHE_H */
