/*
 * worker.c
 *	  The loop of a worker: claims jobs, starts their requests, takes the answers,
 *	  sleeps.  What becomes of a single job is in attempt.c.
 *
 * The database sees short transactions only: one to claim, one to prepare, one
 * to finish.  A request is under way without transaction and snapshot.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "server/extension.h"
#include "server/guc.h"
#include "server/monotonic.h"
#include "server/plans.h"
#include "server/shared_state.h"
#include "worker/attempt.h"
#include "worker/http.h"
#include "worker/job.h"
#include "worker/process.h"
#include "worker/unit.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(mulberry_run_jobs);

/*
 * A worker looks at least this often, should a wake-up have been missed: a lease that a
 * dead worker left is taken over no later than this after its end.
 */
#define LONGEST_SLEEP_MS 4000
#define MAINTENANCE_REST_MS 1000 /* between two tries at what is due and cannot be done */

#define CLAIM_AT_ONCE 16

/*
 * Beside mulberry.http_concurrency, every eighth slot again is for tenants and endpoints that run
 * few transfers: those whose endpoint does not answer cannot take these (see claim_jobs()).
 */
#define RESERVE_OF(slots) Max((slots) / 8, 1)

/*
 * No further job is claimed while requests hold more than this.  An hour of
 * 16 kHz audio is 115 MB.
 */
#define REQUEST_MEMORY ((size_t) 256 * 1024 * 1024)

/* The process has at most one; for the callback at its exit. */
static mulberry_worker *my_worker = NULL;

/* Arguments of the units. */

typedef struct claim_unit
{
	mulberry_worker *worker;
	int limit;
	int slots;
	int reserve;
	List *jobs;
} claim_unit;

/*
 * A claim is on disk before its job is looked at, although that costs a flush: what crashes the
 * server must have been counted as an attempt, or it would be tried for ever.
 */
static void
claim_work(void *argument)
{
	claim_unit *unit = argument;

	ForceSyncCommit();
	unit->jobs = mulberry_jobs_claim(unit->limit, unit->slots, unit->reserve, &unit->worker->jobs,
									 unit->worker->turn);
}

static void
sift_work(void *argument)
{
	static mulberry_statement statement = {
		"SELECT mulberry_internal.sift_jobs()", 0, { 0 }, NULL
	};

	mulberry_statement_run(&statement, NULL, NULL);
}

static void
release_work(void *argument)
{
	mulberry_jobs_release();
}

static void
next_due_work(void *argument)
{
	*(long *) argument = mulberry_jobs_next_due(LONGEST_SLEEP_MS);
}

/* Into how many ms maintenance is due, at most those that it was given. */
static void
maintenance_due_work(void *argument)
{
	static mulberry_statement statement = {
		"SELECT (extract(epoch FROM mulberry_internal.maintenance_due() - clock_timestamp()) * "
		"1000)::float8",
		0,
		{ 0 },
		NULL
	};
	long *due = argument;
	bool isnull;
	Datum value;

	mulberry_statement_run(&statement, NULL, NULL);
	value = mulberry_result_datum(0, 1, &isnull);
	if (!isnull && DatumGetFloat8(value) < *due)
		*due = Max(MAINTENANCE_REST_MS, (long) DatumGetFloat8(value) + 1);
}

static void
maintenance_work(void *argument)
{
	static mulberry_statement statement = { "SELECT mulberry.maintenance()", 0, { 0 }, NULL };
	bool *more = argument;

	mulberry_statement_run(&statement, NULL, NULL);
	*more = mulberry_result_bool(0, 1);
}

/* Transfers that this worker may run at once, and the reserve beside them. */
static int
slots(mulberry_worker *worker, int *reserve)
{
	int capacity = mulberry_http_capacity(worker->http);

	*reserve = Min(RESERVE_OF(mulberry_http_concurrency), capacity / 2);
	return Min(mulberry_http_concurrency, capacity - *reserve);
}

/* How many more jobs this worker may take now. */
static int
room(mulberry_worker *worker)
{
	int reserve;
	int left = slots(worker, &reserve) + reserve - mulberry_http_in_flight(worker->http);

	if (worker->request_memory > REQUEST_MEMORY)
		return 0;
	return Max(Min(left, CLAIM_AT_ONCE), 0);
}

/*
 * Claims as many jobs as there is room for and begins them.  Jobs for which memory runs
 * out half way go back uncounted.
 */
static void
claim(mulberry_worker *worker)
{
	claim_unit unit = { .worker = worker, .limit = room(worker) };
	mulberry_unit_error error;
	ListCell *cell;

	unit.slots = slots(worker, &unit.reserve);
	worker->claimed = 0;
	worker->waits_for_room = false;
	if (!mulberry_unit_insist("claiming jobs", claim_work, &unit, false, &error))
	{
		/* one job that cannot be claimed must not stop the others */
		if (error.sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
			mulberry_unit_run("sifting jobs", sift_work, NULL, false, &error))
			return;
		worker->next_claim = TimestampTzPlusMilliseconds(mulberry_monotonic(), LONGEST_SLEEP_MS);
		return;
	}
	worker->claimed = list_length(unit.jobs);
	worker->held += worker->claimed;
	foreach (cell, unit.jobs)
	{
		mulberry_job *job = lfirst(cell);

		/* Only now is it sure that it is ours, and outlives this turn. */
		MemoryContextSetParent(job->context, worker->context);
		dlist_push_tail(&worker->jobs, &job->node);
	}
	foreach (cell, unit.jobs)
	{
		mulberry_job *job = lfirst(cell);

		if (worker->request_memory > REQUEST_MEMORY)
			mulberry_attempt_put_back(worker, job);
		else
			mulberry_attempt_begin(worker, job);
		CHECK_FOR_INTERRUPTS();
	}

	/*
	 * What was asked for came: there may be more.  With the ordinary slots taken there may be,
	 * too, but not for us.  Otherwise ask when.
	 */
	worker->next_claim = mulberry_monotonic();
	if (worker->claimed < unit.limit)
	{
		long due = LONGEST_SLEEP_MS;

		worker->waits_for_room = mulberry_http_in_flight(worker->http) >= unit.slots;
		if (!worker->waits_for_room)
		{
			mulberry_unit_insist("looking for due jobs", next_due_work, &due, false, &error);

			/* Due, and yet not claimed: somebody else's turn, or a limit of its endpoint. */
			if (due == 0 && worker->claimed == 0)
			{
				due = 500;
				worker->waits_for_room = true;
			}
		}
		worker->next_claim = TimestampTzPlusMilliseconds(worker->next_claim, due);
	}
}

/* It works in small steps; between two of them this worker sees to its jobs. */
static void
maintain(mulberry_worker *worker)
{
	mulberry_unit_error error;
	bool more = false;

	mulberry_unit_insist("maintenance", maintenance_work, &more, false, &error);
	worker->next_maintenance = TimestampTzPlusMilliseconds(
		mulberry_monotonic(), more ? 0 : (int64) mulberry_maintenance_interval * 1000);
}

/* Something may have come that must not wait for the next maintenance as it was planned. */
static void
look_at_maintenance(mulberry_worker *worker)
{
	mulberry_unit_error error;
	TimestampTz now = mulberry_monotonic();
	long planned = TimestampDifferenceMilliseconds(now, worker->next_maintenance);
	long due = planned;

	mulberry_unit_insist("looking for due maintenance", maintenance_due_work, &due, false, &error);
	if (due < planned)
		worker->next_maintenance = TimestampTzPlusMilliseconds(now, due);
}

/* Everything that can be done without waiting; returns how long to wait, in ms. */
static long
turn(mulberry_worker *worker)
{
	mulberry_http_answer answer;
	long wait;
	long deadline;
	bool was_full = room(worker) == 0;
	bool looked;

	MemoryContextReset(worker->turn);
	MemoryContextSwitchTo(worker->turn);

	mulberry_http_perform(worker->http);
	while (mulberry_http_next(worker->http, &answer))
	{
		mulberry_attempt_settle(worker, &answer);
		if (worker->waits_for_room)
			worker->next_claim = mulberry_monotonic();
		CHECK_FOR_INTERRUPTS();
	}

	mulberry_attempt_settle_pending(worker);
	looked = room(worker) > 0 && (was_full || mulberry_monotonic() >= worker->next_claim);
	if (looked)
		claim(worker);
	if (worker->maintains)
	{
		if (looked)
			look_at_maintenance(worker);
		if (mulberry_monotonic() >= worker->next_maintenance)
			maintain(worker);
	}
	mulberry_set_in_flight((uint32) mulberry_http_in_flight(worker->http));

	wait = LONGEST_SLEEP_MS;
	if (room(worker) > 0)
		wait = Min(wait, TimestampDifferenceMilliseconds(mulberry_monotonic(), worker->next_claim));
	if (worker->maintains)
		wait = Min(wait,
				   TimestampDifferenceMilliseconds(mulberry_monotonic(), worker->next_maintenance));
	if (worker->next_pending != 0)
		wait =
			Min(wait, TimestampDifferenceMilliseconds(mulberry_monotonic(), worker->next_pending));
	deadline = mulberry_http_deadline(worker->http);
	if (deadline >= 0)
		wait = Min(wait, deadline);
	return wait;
}

/*
 * Sleeps until the latch is set, an answer moves, or the time is over.  True
 * when the latch was set, which may mean that there is a new job.
 */
static bool
sleep_until_needed(mulberry_worker *worker, long timeout_ms)
{
	WaitEvent events[2];
	int n =
		WaitEventSetWait(worker->events, timeout_ms, events, lengthof(events), worker->wait_event);
	bool woken = false;

	for (int i = 0; i < n; i++)
	{
		if (events[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			woken = true;
		}
	}
	return woken;
}

static mulberry_worker *
create_worker(MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "mulberry worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	mulberry_worker *created = palloc0(sizeof(mulberry_worker));

	created->context = context;
	created->turn = AllocSetContextCreate(context, "mulberry turn", ALLOCSET_DEFAULT_SIZES);
	created->http =
		mulberry_http_create(mulberry_http_concurrency + RESERVE_OF(mulberry_http_concurrency));
	dlist_init(&created->jobs);
	created->wait_event = name_wait_event("MulberryWorker");
	created->events = create_wait_event_set(3);
	AddWaitEventToSet(created->events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(created->events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(created->events, WL_SOCKET_READABLE, mulberry_http_descriptor(created->http),
					  NULL, NULL);
	created->next_claim = mulberry_monotonic();
	created->next_maintenance = created->next_claim;
	MemoryContextSwitchTo(old);
	return created;
}

static void
destroy_worker(mulberry_worker *worker)
{
	MemoryContextSwitchTo(MemoryContextGetParent(worker->context));
	FreeWaitEventSet(worker->events);
	mulberry_http_destroy(worker->http);
	MemoryContextDelete(worker->context);
}

/*
 * At the exit of a background worker, by SIGTERM say: gives up the transfers and
 * puts the jobs back, so that another worker need not wait for the leases.
 */
static void
release_at_exit(int code, Datum argument)
{
	mulberry_unit_error error;

	if (my_worker == NULL || my_worker->held == 0 || !PostmasterIsAlive())
		return;
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(my_worker->turn);
	mulberry_http_abandon(my_worker->http);
	mulberry_unit_run("releasing jobs", release_work, NULL, false, &error);
	my_worker = NULL;
}

void
mulberry_worker_main(Datum argument)
{
	mulberry_process_start start;
	mulberry_worker *worker;

	mulberry_process_begin();
	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof start);
	worker = create_worker(TopMemoryContext);
	worker->maintains = start.place == MULBERRY_FIRST_WORKER_PLACE;
	my_worker = worker;
	before_shmem_exit(release_at_exit, (Datum) 0);

	for (;;)
	{
		long wait;

		mulberry_process_check_interrupts();
		wait = turn(worker);
		if (sleep_until_needed(worker, wait))
			worker->next_claim = mulberry_monotonic();
	}
}

/*
 * run_jobs(max_seconds double precision): what a worker does, in this session,
 * until nothing is due and nothing is under way.  For databases without
 * preloaded workers, from cron say.
 */
Datum
mulberry_run_jobs(PG_FUNCTION_ARGS)
{
	double max_seconds = PG_GETARG_FLOAT8(0);
	CallContext *call = (CallContext *) fcinfo->context;
	TimestampTz end;
	mulberry_worker *worker;
	uint64 settled;

	if (!(max_seconds >= 0 && max_seconds <= 86400))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_seconds must be between 0 and 86400"));
	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR, errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				errmsg("run_jobs() cannot run inside a transaction block"),
				errdetail("It commits after each step of each job."));
	mulberry_require_version("run_jobs()");

	end = TimestampTzPlusMilliseconds(mulberry_monotonic(), (int64) (max_seconds * 1000));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	mulberry_units_in_session(true);
	worker = create_worker(TopMemoryContext);
	worker->maintains = true;
	PG_TRY();
	{
		for (;;)
		{
			long wait = turn(worker);
			TimestampTz now = mulberry_monotonic();

			CHECK_FOR_INTERRUPTS();
			if (now >= end)
				break;
			if (worker->held == 0 && worker->next_claim > now)
				break;
			wait = Min(wait, TimestampDifferenceMilliseconds(now, end));
			if (sleep_until_needed(worker, wait))
				worker->next_claim = mulberry_monotonic();
		}
		if (worker->held > 0)
		{
			mulberry_unit_error error;

			mulberry_http_abandon(worker->http);
			mulberry_unit_run("releasing jobs", release_work, NULL, false, &error);
		}
	}
	PG_CATCH();
	{
		/* The leases bring back what was under way. */
		destroy_worker(worker);
		mulberry_units_in_session(false);
		PG_RE_THROW();
	}
	PG_END_TRY();
	settled = worker->settled;
	destroy_worker(worker);
	mulberry_units_in_session(false);
	SPI_finish();
	ereport(NOTICE, errmsg("worked on " UINT64_FORMAT " jobs", settled));
	PG_RETURN_VOID();
}
