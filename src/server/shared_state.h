/*
 * shared_state.h
 *	  What the processes of Mulberry share in memory: one slot a database, with
 *	  the processes that serve the database, the counters they publish, and a
 *	  section for each subject that has something to share.
 *
 * All of it exists only when the library is preloaded.  Without, functions that
 * look for a slot find none and everything else does nothing.
 *
 * The launcher alone gives slots to databases and takes them back.  Processes
 * that serve a database attach to their place in its slot; every other backend
 * only reads, puts packet events into the ring and sets latches.
 */
#ifndef MULBERRY_SHARED_STATE_H
#define MULBERRY_SHARED_STATE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "server/guc.h"

/* Why a process left its place; tells the launcher what to do next. */
typedef enum mulberry_exit_reason
{
	MULBERRY_EXIT_FAILURE,		 /* an error, or somebody terminated it: try again, backing off */
	MULBERRY_EXIT_NO_EXTENSION,	 /* the database has no extension (any more): look again later */
	MULBERRY_EXIT_OTHER_VERSION, /* library and SQL do not fit: look again later */
	MULBERRY_EXIT_NO_ACCESS,	 /* the workers' role has no worker access: look again later */
	MULBERRY_EXIT_RESTART		 /* wants to be started again at once */
} mulberry_exit_reason;

/* Places in a slot: the notifier's, then one for each worker. */
#define MULBERRY_NOTIFIER_PLACE 0
#define MULBERRY_FIRST_WORKER_PLACE 1
#define MULBERRY_PLACES (1 + MULBERRY_MAX_WORKERS)

/*
 * A process that serves a database.  pid, latch and started_at are protected by
 * the slot's lock; the counters are written by the process itself and are
 * cumulative since the server started, whichever process had the place.
 */
typedef struct mulberry_place
{
	int pid;	  /* 0: nobody */
	Latch *latch; /* in shared memory; valid while pid is set */
	TimestampTz started_at;
	mulberry_exit_reason exit_reason; /* of the last process here */
	pg_atomic_uint32 starts;
	pg_atomic_uint32 in_flight;		/* jobs being worked on */
	pg_atomic_uint64 done;			/* jobs, or messages of a notifier */
	pg_atomic_uint64 failed;		/* attempts, or messages given up */
	pg_atomic_uint64 last_activity; /* TimestampTz, 0 = never */
} mulberry_place;

typedef struct mulberry_slot mulberry_slot;

/*
 * What a subject shares in each slot; protected by the slot's lock.  Only _PG_init registers
 * sections, so that every process knows the same ones.
 */
typedef struct mulberry_section
{
	Size (*size)(void);			 /* bytes */
	void (*init)(void *memory);	 /* when the memory is made, which is zeroed; may be NULL */
	void (*reset)(void *memory); /* when another database is given the slot, under its lock */
} mulberry_section;

/* setting up, from _PG_init only; the result is for mulberry_slot_section() */
extern int mulberry_register_section(const mulberry_section *section);
extern void mulberry_shared_state_init(void);

/*
 * The slot of our database, NULL when it has none.  Looking for it costs a comparison in the
 * common case.  The slot may change its database at any time while nobody is attached; functions
 * below that matter look again.
 */
extern mulberry_slot *mulberry_my_slot(void);
extern Oid mulberry_slot_database(mulberry_slot *slot);

/*
 * The slot with what our database has counted since the server started, also while nobody serves
 * it; NULL when it never had one, or when others needed the room since.
 */
extern mulberry_slot *mulberry_my_counters(void);

/* What a subject has in a slot, the lock that protects it, and for who holds that, whether a
 * notifier is attached. */
extern void *mulberry_slot_section(mulberry_slot *slot, int section);
extern LWLock *mulberry_slot_lock(mulberry_slot *slot);
extern bool mulberry_slot_has_notifier(mulberry_slot *slot);

/*
 * Waking.  Each does nothing when there is nobody to wake; none allocates or
 * raises, so that the commit callback may call them.
 */
extern void mulberry_wake_notifier(mulberry_slot *slot, bool events_stored, bool audit_recorded,
								   bool channels_changed);
extern void mulberry_wake_workers(mulberry_slot *slot);
extern void mulberry_wake_launcher(bool extension_created);

/* The notifier's side of mulberry_wake_notifier(). */
extern void mulberry_notifier_fall_asleep(mulberry_slot *slot);
extern void mulberry_notifier_woke_up(mulberry_slot *slot);
extern bool mulberry_notifier_has_work(mulberry_slot *slot);
extern bool mulberry_notifier_take_events_stored(mulberry_slot *slot);
extern bool mulberry_notifier_take_audit_recorded(mulberry_slot *slot);
extern bool mulberry_notifier_take_channels_changed(mulberry_slot *slot);

/*
 * Whether somebody hears of packets, that is, whether a session is there that has subscribed to them and has not unsubscribed: the
 * notifier says so of the channels that it has read, looks every few seconds who is still there, and nobody knows while channels have
 * changed since.  Without, packet events are not kept.
 */
extern void mulberry_notifier_wants_packets(mulberry_slot *slot, bool wanted);
extern bool mulberry_packets_are_wanted(mulberry_slot *slot);

/* True when a notifier is attached to this database's slot. */
extern bool mulberry_notifier_lives(void);

/*
 * Attaching.  False when the slot no longer belongs to the database or somebody
 * has the place.  Leaving happens at exit by itself, with the reason that was
 * set last.
 */
extern bool mulberry_place_attach(mulberry_slot *slot, Oid database, int place);
extern void mulberry_place_report_exit(mulberry_slot *slot, Oid database, int place,
									   mulberry_exit_reason reason);

/* A worker publishes what it does; no-ops when not attached. */
extern void mulberry_count_done(uint64 number);
extern void mulberry_count_failed(uint64 number);
extern void mulberry_set_in_flight(uint32 number);

/* The launcher's side. */
extern void mulberry_launcher_attach(void);
extern int mulberry_launcher_pid(void);
extern bool mulberry_launcher_take_extension_created(void);
extern mulberry_slot *mulberry_slot_claim(Oid database);
extern void mulberry_slot_release(mulberry_slot *slot);
extern int mulberry_slot_index(mulberry_slot *slot);
extern mulberry_slot *mulberry_slot_by_index(int index);
extern int mulberry_slot_place_pid(mulberry_slot *slot, int place);
extern mulberry_exit_reason mulberry_slot_exit_reason(mulberry_slot *slot, int place);

/* What one place has seen since its database was first given the slot. */
typedef struct mulberry_place_statistics
{
	int pid; /* 0: nobody */
	TimestampTz started_at;
	uint32 starts;
	uint32 in_flight;
	uint64 done;
	uint64 failed;
	TimestampTz last_activity; /* 0: never */
} mulberry_place_statistics;

extern void
mulberry_place_statistics_get(mulberry_slot *slot, int place, mulberry_place_statistics *result);

#endif /* MULBERRY_SHARED_STATE_H */
