/*
 * places.c
 *	  The processes of Mulberry in shared memory: who serves which database, why
 *	  it left, what it has done, and the launcher.  Starting and stopping them is
 *	  src/worker's.
 */
#include "server/compat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "server/shared_state.h"
#include "server/shared_state_private.h"

/* Of this process. */
static mulberry_slot *my_slot = NULL;
static mulberry_place *my_place = NULL;

static void leave_place(int code, Datum arg);
static void leave_launcher(int code, Datum arg);

bool
mulberry_place_attach(mulberry_slot *slot, Oid database, int place)
{
	mulberry_place *p = &slot->places[place];
	bool attached = false;

	Assert(my_place == NULL);
	LWLockAcquire(slot->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&slot->database) == database && p->pid == 0)
	{
		p->pid = MyProcPid;
		p->latch = MyLatch;
		p->started_at = GetCurrentTimestamp();
		p->exit_reason = MULBERRY_EXIT_FAILURE;
		attached = true;
	}
	LWLockRelease(slot->lock);

	if (attached)
	{
		my_slot = slot;
		my_place = p;
		pg_atomic_fetch_add_u32(&p->starts, 1);
		pg_atomic_write_u32(&p->in_flight, 0);
		before_shmem_exit(leave_place, (Datum) 0);
		mulberry_wake_launcher(false);
	}
	return attached;
}

static void
leave_place(int code, Datum arg)
{
	LWLockAcquire(my_slot->lock, LW_EXCLUSIVE);
	my_place->pid = 0;
	my_place->latch = NULL;
	LWLockRelease(my_slot->lock);
	pg_atomic_write_u32(&my_place->in_flight, 0);
	my_place = NULL;
	my_slot = NULL;
}

/* Also before attaching, so that a process can say why it did not. */
void
mulberry_place_report_exit(mulberry_slot *slot, Oid database, int place,
						   mulberry_exit_reason reason)
{
	LWLockAcquire(slot->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&slot->database) == database &&
		(slot->places[place].pid == 0 || slot->places[place].pid == MyProcPid))
		slot->places[place].exit_reason = reason;
	LWLockRelease(slot->lock);
}

void
mulberry_count_done(uint64 number)
{
	if (my_place == NULL)
		return;
	pg_atomic_fetch_add_u64(&my_place->done, number);
	pg_atomic_write_u64(&my_place->last_activity, (uint64) GetCurrentTimestamp());
}

void
mulberry_count_failed(uint64 number)
{
	if (my_place == NULL)
		return;
	pg_atomic_fetch_add_u64(&my_place->failed, number);
	pg_atomic_write_u64(&my_place->last_activity, (uint64) GetCurrentTimestamp());
}

void
mulberry_set_in_flight(uint32 number)
{
	if (my_place != NULL)
		pg_atomic_write_u32(&my_place->in_flight, number);
}

int
mulberry_slot_place_pid(mulberry_slot *slot, int place)
{
	int pid;

	LWLockAcquire(slot->lock, LW_SHARED);
	pid = slot->places[place].pid;
	LWLockRelease(slot->lock);
	return pid;
}

mulberry_exit_reason
mulberry_slot_exit_reason(mulberry_slot *slot, int place)
{
	mulberry_exit_reason reason;

	LWLockAcquire(slot->lock, LW_SHARED);
	reason = slot->places[place].exit_reason;
	LWLockRelease(slot->lock);
	return reason;
}

void
mulberry_launcher_attach(void)
{
	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	mulberry_shared->launcher_pid = MyProcPid;
	mulberry_shared->launcher_latch = MyLatch;
	LWLockRelease(mulberry_shared->lock);
	before_shmem_exit(leave_launcher, (Datum) 0);
}

static void
leave_launcher(int code, Datum arg)
{
	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	mulberry_shared->launcher_pid = 0;
	mulberry_shared->launcher_latch = NULL;
	LWLockRelease(mulberry_shared->lock);
}

/* 0 when none lives. */
int
mulberry_launcher_pid(void)
{
	int pid;

	if (mulberry_shared == NULL)
		return 0;
	LWLockAcquire(mulberry_shared->lock, LW_SHARED);
	pid = mulberry_shared->launcher_pid;
	LWLockRelease(mulberry_shared->lock);
	return pid;
}

bool
mulberry_launcher_take_extension_created(void)
{
	return pg_atomic_exchange_u32(&mulberry_shared->extension_created, 0) != 0;
}

void
mulberry_place_statistics_get(mulberry_slot *slot, int place, mulberry_place_statistics *result)
{
	mulberry_place *p = &slot->places[place];

	LWLockAcquire(slot->lock, LW_SHARED);
	result->pid = p->pid;
	result->started_at = p->started_at;
	LWLockRelease(slot->lock);
	result->starts = pg_atomic_read_u32(&p->starts);
	result->in_flight = pg_atomic_read_u32(&p->in_flight);
	result->done = pg_atomic_read_u64(&p->done);
	result->failed = pg_atomic_read_u64(&p->failed);
	result->last_activity = (TimestampTz) pg_atomic_read_u64(&p->last_activity);
}
