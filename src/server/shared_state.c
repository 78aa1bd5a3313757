/*
 * shared_state.c
 *	  The shared memory of Mulberry: setting it up, the slots of databases, and
 *	  waking who sleeps.  The processes are places.c's, holds are holds.c's, and
 *	  what is in a section is its subject's.
 *
 * It must not allocate, touch catalogs or raise errors in what the commit
 * callback calls.
 *
 * Locking: each slot has its LWLock, the header has one.  The header's is taken
 * before a slot's.  Latches are set outside of the locks where that is easy: a
 * latch in shared memory stays a latch when its owner has gone, so setting one
 * too many wakes somebody for nothing and does no harm.
 */
#include "server/compat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "server/guc.h"
#include "server/shared_state.h"
#include "server/shared_state_private.h"

#define TRANCHE_NAME "mulberry"

mulberry_shared_header *mulberry_shared = NULL;

static shmem_request_hook_type previous_shmem_request_hook = NULL;
static shmem_startup_hook_type previous_shmem_startup_hook = NULL;

static mulberry_section sections[MULBERRY_MAX_SECTIONS];
static int nsections = 0;

/* Where this backend saw its database's slot, and its counters, last. */
static mulberry_slot *seen_slot = NULL;
static mulberry_slot *seen_counters = NULL;
static uint32 seen_generation = 0;

static Size sections_size(void);
static Size shared_size(void);
static void request_shared_memory(void);
static void start_shared_memory(void);

/* From _PG_init: asks for the memory when the library is being preloaded. */
void
mulberry_shared_state_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
}

int
mulberry_register_section(const mulberry_section *section)
{
	if (nsections >= MULBERRY_MAX_SECTIONS)
		elog(ERROR, "too many sections of shared memory");
	sections[nsections] = *section;
	return nsections++;
}

/* In one slot. */
static Size
sections_size(void)
{
	Size size = 0;

	for (int i = 0; i < nsections; i++)
		size = add_size(size, MAXALIGN(sections[i].size()));
	return size;
}

static Size
shared_size(void)
{
	Size size = MAXALIGN(sizeof(mulberry_shared_header));

	size = add_size(size, MAXALIGN(mul_size(mulberry_max_databases, sizeof(mulberry_slot))));
	return add_size(size, mul_size(mulberry_max_databases, sections_size()));
}

static void
request_shared_memory(void)
{
	if (previous_shmem_request_hook)
		previous_shmem_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche(TRANCHE_NAME, 1 + mulberry_max_databases);
}

static void
start_shared_memory(void)
{
	bool found;

	if (previous_shmem_startup_hook)
		previous_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	mulberry_shared = ShmemInitStruct("mulberry", shared_size(), &found);
	if (!found)
	{
		LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE_NAME);
		char *next = (char *) mulberry_shared + MAXALIGN(sizeof(mulberry_shared_header));

		memset(mulberry_shared, 0, sizeof(mulberry_shared_header));
		mulberry_shared->lock = &locks[0].lock;
		mulberry_shared->nslots = mulberry_max_databases;
		pg_atomic_init_u32(&mulberry_shared->generation, 1);
		pg_atomic_init_u32(&mulberry_shared->extension_created, 0);
		ConditionVariableInit(&mulberry_shared->stopped);
		mulberry_shared->slots = (mulberry_slot *) next;
		next += MAXALIGN(mul_size(mulberry_max_databases, sizeof(mulberry_slot)));

		for (int i = 0; i < mulberry_max_databases; i++)
		{
			mulberry_slot *slot = &mulberry_shared->slots[i];

			memset(slot, 0, sizeof(mulberry_slot));
			slot->lock = &locks[1 + i].lock;
			pg_atomic_init_u32(&slot->database, InvalidOid);
			pg_atomic_init_u32(&slot->owner, InvalidOid);
			pg_atomic_init_u32(&slot->notifier_asleep, 0);
			pg_atomic_init_u32(&slot->events_stored, 0);
			pg_atomic_init_u32(&slot->audit_recorded, 0);
			pg_atomic_init_u32(&slot->channels_changed, 0);
			pg_atomic_init_u32(&slot->packets_wanted, 0);
			for (int section = 0; section < nsections; section++)
			{
				Size size = MAXALIGN(sections[section].size());

				memset(next, 0, size);
				if (sections[section].init != NULL)
					sections[section].init(next);
				slot->sections[section] = next;
				next += size;
			}
			for (int place = 0; place < MULBERRY_PLACES; place++)
			{
				mulberry_place *p = &slot->places[place];

				pg_atomic_init_u32(&p->starts, 0);
				pg_atomic_init_u32(&p->in_flight, 0);
				pg_atomic_init_u64(&p->done, 0);
				pg_atomic_init_u64(&p->failed, 0);
				pg_atomic_init_u64(&p->last_activity, 0);
			}
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

/* The slot that a database has, or else that in which what happened in it is counted. */
static mulberry_slot *
find_slot(Oid database, bool counters)
{
	if (mulberry_shared == NULL || !OidIsValid(database))
		return NULL;
	for (int i = 0; i < mulberry_shared->nslots; i++)
	{
		mulberry_slot *slot = &mulberry_shared->slots[i];

		if (pg_atomic_read_u32(counters ? &slot->owner : &slot->database) == database)
			return slot;
	}
	return NULL;
}

static mulberry_slot *
slot_of(Oid database)
{
	return find_slot(database, /* counters */ false);
}

/* Searches only after a slot was given or taken. */
static void
look_for_slot(void)
{
	uint32 generation = pg_atomic_read_u32(&mulberry_shared->generation);

	if (generation != seen_generation)
	{
		pg_read_barrier();
		seen_slot = slot_of(MyDatabaseId);
		seen_counters = find_slot(MyDatabaseId, /* counters */ true);
		seen_generation = generation;
	}
}

mulberry_slot *
mulberry_my_slot(void)
{
	if (mulberry_shared == NULL)
		return NULL;
	look_for_slot();
	return seen_slot;
}

mulberry_slot *
mulberry_my_counters(void)
{
	if (mulberry_shared == NULL)
		return NULL;
	look_for_slot();
	return seen_counters;
}

Oid
mulberry_slot_database(mulberry_slot *slot)
{
	return pg_atomic_read_u32(&slot->database);
}

void *
mulberry_slot_section(mulberry_slot *slot, int section)
{
	return slot->sections[section];
}

LWLock *
mulberry_slot_lock(mulberry_slot *slot)
{
	return slot->lock;
}

bool
mulberry_slot_has_notifier(mulberry_slot *slot)
{
	return slot->places[MULBERRY_NOTIFIER_PLACE].pid != 0;
}

int
mulberry_slot_index(mulberry_slot *slot)
{
	return slot - mulberry_shared->slots;
}

mulberry_slot *
mulberry_slot_by_index(int index)
{
	if (mulberry_shared == NULL || index < 0 || index >= mulberry_shared->nslots)
		return NULL;
	return &mulberry_shared->slots[index];
}

/* ---- waking ---- */

/*
 * The flags are set before the latch, and the notifier reads them after it has
 * said that it sleeps, so that nothing is overlooked.  While the notifier is at
 * work, or waits for its next tick, no latch is set: it looks by itself.
 */
void
mulberry_wake_notifier(mulberry_slot *slot, bool events_stored, bool audit_recorded,
					   bool channels_changed)
{
	Latch *latch = NULL;

	if (slot == NULL)
		return;
	if (events_stored)
		pg_atomic_write_u32(&slot->events_stored, 1);
	if (audit_recorded)
		pg_atomic_write_u32(&slot->audit_recorded, 1);
	if (channels_changed)
		pg_atomic_write_u32(&slot->channels_changed, 1);
	pg_memory_barrier();
	if (pg_atomic_read_u32(&slot->notifier_asleep) == 0 ||
		pg_atomic_exchange_u32(&slot->notifier_asleep, 0) == 0)
		return;

	LWLockAcquire(slot->lock, LW_SHARED);
	if (slot->places[MULBERRY_NOTIFIER_PLACE].pid != 0)
		latch = slot->places[MULBERRY_NOTIFIER_PLACE].latch;
	LWLockRelease(slot->lock);
	if (latch != NULL)
		SetLatch(latch);
}

/*
 * All workers: which of them has room for another job is known to them alone,
 * and setting the latch of a process that does not wait costs no signal.
 */
void
mulberry_wake_workers(mulberry_slot *slot)
{
	if (slot == NULL)
		return;
	LWLockAcquire(slot->lock, LW_SHARED);
	for (int i = MULBERRY_FIRST_WORKER_PLACE; i < MULBERRY_PLACES; i++)
	{
		if (slot->places[i].pid != 0)
			SetLatch(slot->places[i].latch);
	}
	LWLockRelease(slot->lock);
}

/*
 * extension_created: databases in which the extension was missing are looked at
 * again at once, not when their time has come.
 */
void
mulberry_wake_launcher(bool extension_created)
{
	if (mulberry_shared == NULL)
		return;
	if (extension_created)
		pg_atomic_write_u32(&mulberry_shared->extension_created, 1);
	LWLockAcquire(mulberry_shared->lock, LW_SHARED);
	if (mulberry_shared->launcher_pid != 0)
		SetLatch(mulberry_shared->launcher_latch);
	LWLockRelease(mulberry_shared->lock);
}

void
mulberry_notifier_fall_asleep(mulberry_slot *slot)
{
	pg_atomic_write_u32(&slot->notifier_asleep, 1);
	pg_memory_barrier();
}

void
mulberry_notifier_woke_up(mulberry_slot *slot)
{
	pg_atomic_write_u32(&slot->notifier_asleep, 0);
}

bool
mulberry_notifier_has_work(mulberry_slot *slot)
{
	return pg_atomic_read_u32(&slot->events_stored) != 0 ||
		   pg_atomic_read_u32(&slot->audit_recorded) != 0 ||
		   pg_atomic_read_u32(&slot->channels_changed) != 0;
}

/* Taken before the work is looked for, so that what comes meanwhile is seen next time. */
bool
mulberry_notifier_take_events_stored(mulberry_slot *slot)
{
	return pg_atomic_exchange_u32(&slot->events_stored, 0) != 0;
}

bool
mulberry_notifier_take_audit_recorded(mulberry_slot *slot)
{
	return pg_atomic_exchange_u32(&slot->audit_recorded, 0) != 0;
}

/* Until the channels have been read anybody may want packets. */
bool
mulberry_notifier_take_channels_changed(mulberry_slot *slot)
{
	if (pg_atomic_read_u32(&slot->channels_changed) == 0)
		return false;
	mulberry_notifier_wants_packets(slot, true);
	return pg_atomic_exchange_u32(&slot->channels_changed, 0) != 0;
}

void
mulberry_notifier_wants_packets(mulberry_slot *slot, bool wanted)
{
	pg_atomic_write_u32(&slot->packets_wanted, wanted ? 1 : 0);
}

/* The notifier sets the second before it takes the first. */
bool
mulberry_packets_are_wanted(mulberry_slot *slot)
{
	if (pg_atomic_read_u32(&slot->channels_changed) != 0)
		return true;
	pg_read_barrier();
	return pg_atomic_read_u32(&slot->packets_wanted) != 0;
}

bool
mulberry_notifier_lives(void)
{
	mulberry_slot *slot = mulberry_my_slot();

	return slot != NULL && mulberry_slot_place_pid(slot, MULBERRY_NOTIFIER_PLACE) != 0;
}

/*
 * The free slot for a database: the one that it had before, with its counters; else that which was
 * free for longest.  NULL when there is none.
 */
static mulberry_slot *
free_slot_for(Oid database)
{
	mulberry_slot *found = NULL;

	for (int i = 0; i < mulberry_shared->nslots; i++)
	{
		mulberry_slot *slot = &mulberry_shared->slots[i];

		if (pg_atomic_read_u32(&slot->database) != InvalidOid)
			continue;
		if (pg_atomic_read_u32(&slot->owner) == database)
			return slot;
		if (found == NULL || slot->released < found->released)
			found = slot;
	}
	return found;
}

/* Nothing of what the database before counted and kept belongs to the next one. */
static void
give_to_another(mulberry_slot *slot, Oid database)
{
	for (int section = 0; section < nsections; section++)
		sections[section].reset(slot->sections[section]);
	for (int place = 0; place < MULBERRY_PLACES; place++)
	{
		mulberry_place *p = &slot->places[place];

		pg_atomic_write_u32(&p->starts, 0);
		pg_atomic_write_u64(&p->done, 0);
		pg_atomic_write_u64(&p->failed, 0);
		pg_atomic_write_u64(&p->last_activity, 0);
	}
	pg_atomic_write_u32(&slot->owner, database);
}

/* The database's slot, or a free one made its own; NULL when all are taken. */
mulberry_slot *
mulberry_slot_claim(Oid database)
{
	mulberry_slot *slot;

	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	slot = slot_of(database);
	if (slot == NULL && (slot = free_slot_for(database)) != NULL)
	{
		LWLockAcquire(slot->lock, LW_EXCLUSIVE);
		if (pg_atomic_read_u32(&slot->owner) != database)
			give_to_another(slot, database);
		pg_atomic_write_u32(&slot->events_stored, 1);
		pg_atomic_write_u32(&slot->audit_recorded, 1);
		pg_atomic_write_u32(&slot->channels_changed, 1);
		pg_atomic_write_u32(&slot->notifier_asleep, 0);
		pg_atomic_write_u32(&slot->database, database);
		pg_atomic_fetch_add_u32(&mulberry_shared->generation, 1);
		LWLockRelease(slot->lock);
	}
	LWLockRelease(mulberry_shared->lock);
	return slot;
}

/*
 * Nobody must be attached; the launcher has seen its processes end.  What was counted stays, until
 * another database needs the room.
 */
void
mulberry_slot_release(mulberry_slot *slot)
{
	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	LWLockAcquire(slot->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&slot->database, InvalidOid);
	slot->released = ++mulberry_shared->releases;
	pg_atomic_fetch_add_u32(&mulberry_shared->generation, 1);
	LWLockRelease(slot->lock);
	LWLockRelease(mulberry_shared->lock);
}
