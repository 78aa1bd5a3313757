/*
 * shared_state_private.h
 *	  Layout of the shared memory, for the files that implement
 *	  shared_state.h and holds.h only.
 */
#ifndef MULBERRY_SHARED_STATE_PRIVATE_H
#define MULBERRY_SHARED_STATE_PRIVATE_H

#include "server/holds.h"
#include "server/shared_state.h"

#define MULBERRY_MAX_SECTIONS 8 /* subjects that share something */

struct mulberry_slot
{
	LWLock *lock;
	pg_atomic_uint32 database; /* Oid, InvalidOid: free; written under both locks */
	pg_atomic_uint32
		owner;		 /* whose counters these are: the database that has or last had it; likewise */
	uint64 released; /* when it became free, in releases; under the header's lock */

	/* Set by whoever commits, taken by the notifier. */
	pg_atomic_uint32 notifier_asleep;  /* wants its latch set */
	pg_atomic_uint32 events_stored;	   /* there may be rows without a number */
	pg_atomic_uint32 audit_recorded;   /* there may be rows without a link */
	pg_atomic_uint32 channels_changed; /* event_channels must be read again */
	pg_atomic_uint32 packets_wanted;   /* by a channel of those that the notifier has read */

	/* The rest is protected by the lock. */
	void *sections[MULBERRY_MAX_SECTIONS];

	mulberry_place places[MULBERRY_PLACES];
};

/* A database that somebody wants without our processes; see holds.c. */
typedef struct mulberry_hold
{
	Oid database; /* InvalidOid: free */
	int holders;
	bool stopped; /* the launcher's answer */
	int winner;	  /* pid of the holder that wins deadlocks, 0: none */
} mulberry_hold;

typedef struct mulberry_shared_header
{
	LWLock *lock;
	int launcher_pid; /* 0: none */
	Latch *launcher_latch;
	pg_atomic_uint32 generation;			 /* changes when a slot is given or taken */
	uint64 releases;						 /* of slots so far; protected by the lock */
	pg_atomic_uint32 extension_created;		 /* look at once where it was missing */
	mulberry_hold holds[MULBERRY_MAX_HOLDS]; /* protected by the lock */
	ConditionVariable stopped;				 /* a hold was answered */
	int nslots;
	mulberry_slot *slots;
} mulberry_shared_header;

extern mulberry_shared_header *mulberry_shared;

#endif /* MULBERRY_SHARED_STATE_PRIVATE_H */
