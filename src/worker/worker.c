/*
 * worker.c
 *	  The loop of a worker: claims jobs, starts their requests, takes the answers,
 *	  sleeps.  What a job asks for and what an answer means is decided elsewhere
 *	  (ai.c, verdict.c, and the SQL functions of the queue).
 *
 * The database sees short transactions only: one to claim, one to prepare, one
 * to finish.  A request is under way without transaction and snapshot.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "guc.h"
#include "secrets.h"
#include "shared_state.h"
#include "worker/ai.h"
#include "worker/breaker.h"
#include "worker/http.h"
#include "worker/job.h"
#include "worker/process.h"
#include "worker/statement.h"
#include "worker/unit.h"
#include "worker/verdict.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(mulberry_run_jobs);

/*
 * A worker looks at least this often, should a wake-up have been missed: a lease that a
 * dead worker left is taken over no later than this after its end.
 */
#define LONGEST_SLEEP_MS 4000

#define CLAIM_AT_ONCE 16

/*
 * No further job is claimed while requests hold more than this.  An hour of
 * 16 kHz audio is 115 MB.
 */
#define REQUEST_MEMORY ((size_t) 256 * 1024 * 1024)

/* A unit is tried this often when it met a deadlock or the like. */
#define UNIT_TRIES 3

typedef struct worker
{
	MemoryContext context; /* lives as long as the worker; parent of the jobs' */
	MemoryContext turn;	   /* reset in each turn */
	mulberry_http *http;
	WaitEventSet *events;
	size_t request_memory;	/* of the jobs under way */
	TimestampTz next_claim; /* when to look into the queue without being woken */
	TimestampTz next_maintenance;
	bool maintains; /* one worker of a database does */
	int claimed;	/* by the last claim */
	int held;		/* jobs under this worker's lease */
	uint64 settled; /* jobs that this worker has dealt with */
} worker;

/* The process has at most one; for the callback at its exit. */
static worker *my_worker = NULL;

/* Arguments of the units. */

typedef struct claim_unit
{
	worker *worker;
	int limit;
	List *jobs;
} claim_unit;

typedef struct prepare_unit
{
	mulberry_job *job;
	bool has_request;
} prepare_unit;

typedef struct settle_unit
{
	mulberry_job *job;
	const mulberry_http_answer *answer;
	mulberry_verdict verdict;
	bool has_request;
	bool tripped; /* the endpoint's breaker */

	/* where the job was, should the unit be run again */
	int part;
	int text_length;
	int dropped_segments;
} settle_unit;

static void
claim_work(void *argument)
{
	claim_unit *unit = argument;

	unit->jobs = mulberry_jobs_claim(unit->limit, unit->worker->context);
}

static void
prepare_work(void *argument)
{
	prepare_unit *unit = argument;

	unit->has_request =
		mulberry_job_prepare(unit->job) == MULBERRY_JOB_READY && mulberry_ai_prepare(unit->job);
}

/* Puts the secret of the job's endpoint into its request; raises when there is none. */
static void
secret_work(void *argument)
{
	mulberry_job *job = argument;
	MemoryContext old = MemoryContextSwitchTo(job->context);
	Size length;

	job->request.bearer =
		job->no_secret ? NULL : mulberry_secret_read(&job->secret_tenant, job->secret, &length);
	MemoryContextSwitchTo(old);
	if (job->request.bearer == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("secret \"%s\" does not exist", job->secret));
}

static void
accept_work(void *argument)
{
	settle_unit *unit = argument;
	mulberry_job *job = unit->job;

	job->part = unit->part;
	job->dropped_segments = unit->dropped_segments;
	if (job->text)
	{
		job->text->len = unit->text_length;
		job->text->data[unit->text_length] = '\0';
	}
	unit->has_request = mulberry_ai_accept(job, unit->answer);
	if (job->probe)
		mulberry_endpoint_report(job->route, true, true, NULL);
}

/* Records how an attempt failed, and what that says about the endpoint. */
static void
fail_work(void *argument)
{
	settle_unit *unit = argument;
	mulberry_job *job = unit->job;

	if (job->route > 0)
	{
		if (unit->verdict.failure == MULBERRY_FAILURE_UNREACHABLE || unit->tripped ||
			(job->probe && unit->verdict.endpoint_failing))
			mulberry_endpoint_report(job->route, false, job->probe, unit->verdict.error);
		else if (job->probe && unit->verdict.failure != MULBERRY_FAILURE_ABANDONED)
			mulberry_endpoint_report(job->route, true, true, NULL);
	}
	mulberry_job_fail(job, unit->verdict.failure, unit->verdict.error, unit->verdict.retry_after);
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

static void
maintenance_work(void *argument)
{
	static mulberry_statement statement = { "SELECT mulberry.maintenance()", 0, { 0 }, NULL };
	bool *more = argument;

	mulberry_statement_run(&statement, NULL, NULL);
	*more = mulberry_result_bool(0, 1);
}

/* Runs a unit again when it lost against another transaction. */
static bool
run_unit(const char *activity, void (*work)(void *), void *argument, bool private,
		 mulberry_unit_error *error)
{
	for (int i = 1;; i++)
	{
		if (mulberry_unit_run(activity, work, argument, private, error))
			return true;
		if (i >= UNIT_TRIES ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_TRANSACTION_ROLLBACK)
			return false;
	}
}

/* Counts what the job's request holds. */
static void
account(worker *worker, mulberry_job *job)
{
	worker->request_memory += job->request_memory - job->accounted_memory;
	job->accounted_memory = job->request_memory;
}

/* Forgets a job that is settled, or whose lease runs out on its own. */
static void
forget(worker *worker, mulberry_job *job)
{
	worker->request_memory -= job->accounted_memory;
	worker->held--;
	worker->settled++;
	MemoryContextDelete(job->context);
}

/*
 * Ends an attempt that failed for a reason of its own.  When that cannot be
 * recorded either, the lease brings the job back.
 */
static void
fail(worker *worker, settle_unit *unit)
{
	mulberry_unit_error error;

	if (unit->verdict.failure != MULBERRY_FAILURE_ABANDONED)
		mulberry_count_failed(1);
	ereport(DEBUG1,
			errmsg_internal("job " INT64_FORMAT " failed: %s", unit->job->id, unit->verdict.error));
	run_unit("recording a failure", fail_work, unit, false, &error);
	forget(worker, unit->job);

	/* It may be due before anything that was known of. */
	worker->next_claim = GetCurrentTimestamp();
}

static void
fail_with(worker *worker, mulberry_job *job, mulberry_failure failure, const char *message)
{
	settle_unit unit = { .job = job };

	unit.verdict.failure = failure;
	unit.verdict.error = pstrdup(message);
	fail(worker, &unit);
}

/* Starts job->request; the secret is in memory only until curl has it. */
static void
start(worker *worker, mulberry_job *job)
{
	mulberry_unit_error error;
	const char *problem;

	if (job->secret && !run_unit("reading a secret", secret_work, job, false, &error))
	{
		fail_with(worker, job, MULBERRY_FAILURE_UNREACHABLE, error.message);
		return;
	}
	problem = mulberry_http_start(worker->http, &job->request);
	if (job->request.bearer)
	{
		explicit_bzero(unconstify(char *, job->request.bearer), strlen(job->request.bearer));
		job->request.bearer = NULL;
	}
	if (problem)
		fail_with(worker, job, MULBERRY_FAILURE_UNREACHABLE, problem);
}

/* Prepares a claimed job and starts its request, if there is to be one. */
static void
begin(worker *worker, mulberry_job *job)
{
	prepare_unit unit = { .job = job };
	mulberry_unit_error error;

	if (!run_unit("preparing a job", prepare_work, &unit, false, &error))
	{
		fail_with(worker, job, MULBERRY_FAILURE_TRANSIENT, error.message);
		return;
	}
	account(worker, job);
	if (unit.has_request)
		start(worker, job);
	else
	{
		mulberry_count_done(1);
		forget(worker, job);
	}
}

/* Takes what became of a request. */
static void
settle(worker *worker, mulberry_http_answer *answer)
{
	mulberry_job *job = answer->owner;
	settle_unit unit = { .job = job,
						 .answer = answer,
						 .part = job->part,
						 .text_length = job->text ? job->text->len : 0,
						 .dropped_segments = job->dropped_segments };
	mulberry_unit_error error;

	unit.verdict = mulberry_judge_answer(answer, NULL);
	if (!unit.verdict.ok && answer->body_size > 0 && job->secret)
	{
		/* Once more, without the secret in what is quoted of the answer. */
		bool ok = run_unit("reading a secret", secret_work, job, false, &error);

		if (!ok)
			answer->body_size = 0;
		unit.verdict = mulberry_judge_answer(answer, job->request.bearer);
		if (ok)
			explicit_bzero(unconstify(char *, job->request.bearer), strlen(job->request.bearer));
		job->request.bearer = NULL;
	}
	if (unit.verdict.ok && !run_unit("storing a result", accept_work, &unit, true, &error))
	{
		unit.verdict.ok = false;
		unit.verdict.failure = mulberry_answer_error_failure(error.sqlerrcode);
		unit.verdict.endpoint_failing = true;
		unit.verdict.error = psprintf("the answer cannot be used: %s", error.message);
	}
	mulberry_http_release(worker->http, answer->transfer);
	if (job->route > 0)
		unit.tripped = mulberry_breaker_record(job->route, unit.verdict.endpoint_failing);

	account(worker, job);
	if (!unit.verdict.ok)
		fail(worker, &unit);
	else if (unit.has_request)
		start(worker, job);
	else
	{
		mulberry_count_done(1);
		forget(worker, job);
	}
}

/* How many more jobs this worker may take now. */
static int
room(worker *worker)
{
	int capacity = Min(mulberry_http_concurrency, mulberry_http_capacity(worker->http));
	int left = capacity - mulberry_http_in_flight(worker->http);

	if (worker->request_memory > REQUEST_MEMORY)
		return 0;
	return Max(Min(left, CLAIM_AT_ONCE), 0);
}

/*
 * Claims as many jobs as there is room for and begins them.  Jobs for which memory runs
 * out half way go back uncounted.
 */
static void
claim(worker *worker)
{
	claim_unit unit = { .worker = worker, .limit = room(worker) };
	mulberry_unit_error error;
	ListCell *cell;

	worker->claimed = 0;
	if (!run_unit("claiming jobs", claim_work, &unit, false, &error))
	{
		worker->next_claim = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_SLEEP_MS);
		return;
	}
	worker->claimed = list_length(unit.jobs);
	worker->held += worker->claimed;
	foreach (cell, unit.jobs)
	{
		mulberry_job *job = lfirst(cell);

		if (worker->request_memory > REQUEST_MEMORY)
			fail_with(worker, job, MULBERRY_FAILURE_ABANDONED, "no memory for another request");
		else
			begin(worker, job);
		CHECK_FOR_INTERRUPTS();
	}
	list_free(unit.jobs);

	/* What was asked for came: there may be more.  Otherwise ask when. */
	worker->next_claim = GetCurrentTimestamp();
	if (worker->claimed < unit.limit)
	{
		long due = LONGEST_SLEEP_MS;

		run_unit("looking for due jobs", next_due_work, &due, false, &error);

		/* Due, and yet not claimed: somebody else's turn, or a limit of its endpoint. */
		if (due == 0 && worker->claimed == 0)
			due = 500;
		worker->next_claim = TimestampTzPlusMilliseconds(worker->next_claim, due);
	}
}

/* It works in small steps; between two of them this worker sees to its jobs. */
static void
maintain(worker *worker)
{
	mulberry_unit_error error;
	bool more = false;

	run_unit("maintenance", maintenance_work, &more, false, &error);
	worker->next_maintenance = TimestampTzPlusMilliseconds(
		GetCurrentTimestamp(), more ? 0 : (int64) mulberry_maintenance_interval * 1000);
}

/* Everything that can be done without waiting; returns how long to wait, in ms. */
static long
turn(worker *worker)
{
	mulberry_http_answer answer;
	long wait;
	long deadline;
	bool was_full = room(worker) == 0;

	MemoryContextReset(worker->turn);
	MemoryContextSwitchTo(worker->turn);

	mulberry_http_perform(worker->http);
	while (mulberry_http_next(worker->http, &answer))
	{
		settle(worker, &answer);
		CHECK_FOR_INTERRUPTS();
	}

	if (room(worker) > 0 && (was_full || GetCurrentTimestamp() >= worker->next_claim))
		claim(worker);
	if (worker->maintains && GetCurrentTimestamp() >= worker->next_maintenance)
		maintain(worker);
	mulberry_set_in_flight((uint32) mulberry_http_in_flight(worker->http));

	wait = LONGEST_SLEEP_MS;
	if (room(worker) > 0)
		wait =
			Min(wait, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), worker->next_claim));
	if (worker->maintains)
		wait = Min(
			wait, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), worker->next_maintenance));
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
sleep_until_needed(worker *worker, long timeout_ms)
{
	WaitEvent events[2];
	int n =
		WaitEventSetWait(worker->events, timeout_ms, events, lengthof(events), PG_WAIT_EXTENSION);
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

static worker *
create_worker(MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "mulberry worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	worker *created = palloc0(sizeof(worker));

	created->context = context;
	created->turn = AllocSetContextCreate(context, "mulberry turn", ALLOCSET_DEFAULT_SIZES);
	created->http = mulberry_http_create(mulberry_http_concurrency);
	created->events = CreateWaitEventSet(context, 3);
	AddWaitEventToSet(created->events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(created->events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(created->events, WL_SOCKET_READABLE, mulberry_http_descriptor(created->http),
					  NULL, NULL);
	created->next_claim = GetCurrentTimestamp();
	created->next_maintenance = created->next_claim;
	MemoryContextSwitchTo(old);
	return created;
}

static void
destroy_worker(worker *worker)
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
	worker *worker;

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
			worker->next_claim = GetCurrentTimestamp();
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
	worker *worker;
	uint64 settled;

	if (!(max_seconds >= 0 && max_seconds <= 86400))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_seconds must be between 0 and 86400"));
	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR, errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				errmsg("run_jobs() cannot run inside a transaction block"),
				errdetail("It commits after each step of each job."));

	end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) (max_seconds * 1000));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	mulberry_units_in_session(true);
	worker = create_worker(TopMemoryContext);
	worker->maintains = true;
	PG_TRY();
	{
		for (;;)
		{
			long wait = turn(worker);
			TimestampTz now = GetCurrentTimestamp();

			CHECK_FOR_INTERRUPTS();
			if (now >= end)
				break;
			if (worker->held == 0 && worker->next_claim > now)
				break;
			wait = Min(wait, TimestampDifferenceMilliseconds(now, end));
			if (sleep_until_needed(worker, wait))
				worker->next_claim = GetCurrentTimestamp();
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
