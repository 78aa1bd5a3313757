/*
 * attempt.c
 *	  One attempt at a job, from claim to result; see attempt.h.
 */
#include "server/compat.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "secrets/secrets.h"
#include "server/monotonic.h"
#include "server/shared_state.h"
#include "worker/ai.h"
#include "worker/ai_result.h"
#include "worker/attempt.h"
#include "worker/breaker.h"
#include "worker/telephony.h"
#include "worker/unit.h"
#include "worker/verdict.h"

#define PENDING_DELAY 250 /* ms until what was locked is tried again */

/*
 * An answer was paid for, so it is kept for a moment while somebody has locked what it is about.  Then,
 * or when there are too many, its job goes back into the queue, to be asked for again when the lock is gone: it
 * would keep a place at its endpoint.
 */
#define KEEP_ANSWER 1000   /* ms */
#define KEEP_FAILURE 30000 /* ms; then the lease brings the job back */
#define MAX_PENDING 32
#define MAX_PENDING_MEMORY ((size_t) 32 * 1024 * 1024)

/* Arguments of the units. */

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
	mb_judgement evidence; /* of a failure: whose it is */

	/* where the job was, should the unit be run again */
	int part;
	int text_length;
	int dropped_segments;
} settle_unit;

/*
 * The end of an attempt that could not be stored: the answer, with all it points to in the job's
 * context, or a failure.
 */
typedef struct mulberry_pending
{
	bool failed;
	TimestampTz since;
	settle_unit unit;
	mulberry_http_answer answer;
	size_t memory;
} mulberry_pending;

static void
prepare_work(void *argument)
{
	prepare_unit *unit = argument;

	if (unit->job->kind == NULL)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("no worker knows how to do a job of kind \"%s\"", unit->job->kind_name));
	if (unit->job->kind->decided_in_sql)
		unit->has_request = mulberry_telephony_prepare(unit->job);
	else
		unit->has_request =
			mulberry_job_prepare(unit->job) == MULBERRY_JOB_READY && mulberry_ai_prepare(unit->job);
	if (unit->job->probe && !unit->has_request)
		mulberry_probe_withdraw(unit->job);
}

/* Puts the secret of the job's endpoint into its request; raises when there is none. */
static void
secret_work(void *argument)
{
	mulberry_job *job = argument;
	MemoryContext old = MemoryContextSwitchTo(job->context);
	Size length;

	job->request.secret =
		job->no_secret ? NULL : mulberry_secret_read(&job->secret_tenant, job->secret, &length);
	MemoryContextSwitchTo(old);
	if (job->request.secret == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("secret \"%s\" does not exist", job->secret));
}

/* Puts the job where it was before its answer was looked at. */
static void
restore_progress(const settle_unit *unit)
{
	mulberry_job *job = unit->job;

	job->part = unit->part;
	job->dropped_segments = unit->dropped_segments;
	if (job->text)
	{
		job->text->len = unit->text_length;
		job->text->data[unit->text_length] = '\0';
	}
}

static void
accept_work(void *argument)
{
	settle_unit *unit = argument;
	mulberry_job *job = unit->job;

	restore_progress(unit);
	if (job->kind->decided_in_sql)
		mulberry_telephony_answer(job, unit->answer, unit->verdict.error);
	else
		unit->has_request = mulberry_ai_accept(job, unit->answer);
	if (job->probe)
		mulberry_probe_report(job, true, false, NULL);
	else if (job->coming_back)
		mulberry_served_report(job);
}

static void
object_work(void *argument)
{
	settle_unit *unit = argument;

	unit->has_request = mulberry_ai_object(unit->job, unit->answer);
}

static void
keep_work(void *argument)
{
	settle_unit *unit = argument;

	mulberry_ai_keep(unit->job, unit->answer);
}

/* A key that is wrong for one tenant of an endpoint that others use with theirs. */
static bool
is_about_own_key(const mulberry_job *job, const mulberry_verdict *verdict)
{
	return job->own_key && (job->no_secret || verdict->key_failed);
}

/* Records how an attempt failed, and what that says about the endpoint. */
static void
fail_work(void *argument)
{
	settle_unit *unit = argument;
	mulberry_job *job = unit->job;
	const mulberry_verdict *verdict = &unit->verdict;

	if (job->route > 0 && job->kind && !job->kind->no_failures)
	{
		/* whose jobs it is about is not said to all tenants, nor is what it says about one's call */
		const char *error = job->shared ? verdict->brief : verdict->error;

		if (mulberry_failure_of_endpoint(verdict->failure))
		{
			if (job->probe)
				mulberry_probe_report(job, false, is_about_own_key(job, verdict), error);
			if (unit->evidence.blame != MB_BLAME_NOBODY)
				mulberry_endpoint_report(job, &unit->evidence, error);
		}
		else if (job->probe && unit->answer)
			mulberry_probe_report(job, true, false, NULL);
		else if (job->probe)
			mulberry_probe_withdraw(job);
	}
	/* somebody waits for what came back, be it an error */
	if (job->kind && job->kind->id == MULBERRY_JOB_TEST &&
		verdict->failure != MULBERRY_FAILURE_BLOCKED &&
		verdict->failure != MULBERRY_FAILURE_ABANDONED)
		mulberry_ai_report_test(job, unit->answer ? (int) unit->answer->status : 0,
								unit->answer ? unit->answer->duration_ms : -1, NULL,
								verdict->error);
	else
		mulberry_job_fail(job, verdict->failure, verdict->error, verdict->retry_after,
						  &unit->evidence);
}

/*
 * What the end of a request says about its endpoint.  Nothing was sent to one that cannot be
 * reached: then it is out, without further evidence.
 */
static void
judge(settle_unit *unit)
{
	mulberry_job *job = unit->job;
	mulberry_verdict *verdict = &unit->verdict;

	unit->evidence = (mb_judgement){ .serves_others = true };
	if (job->route <= 0 || job->kind->no_failures)
		return;
	if (verdict->ok)
		mulberry_breaker_record(job, MB_SERVED);
	else if (mulberry_failure_of_endpoint(verdict->failure))
	{
		bool own_key = is_about_own_key(job, verdict);

		unit->evidence = mulberry_breaker_record(job, own_key ? MB_KEY_FAILED : MB_FAILED);
		if (verdict->failure == MULBERRY_FAILURE_UNREACHABLE)
			unit->evidence.blame = own_key ? MB_BLAME_TENANT : MB_BLAME_SERVICE;
	}
}

static void
forget_secret(mulberry_job *job)
{
	if (job->request.secret)
		explicit_bzero(unconstify(char *, job->request.secret), strlen(job->request.secret));
	job->request.secret = NULL;
}

/* Counts what the job's request holds. */
static void
account(mulberry_worker *worker, mulberry_job *job)
{
	worker->request_memory += job->request_memory - job->accounted_memory;
	job->accounted_memory = job->request_memory;
}

/* Forgets a job that is settled, or whose lease runs out on its own. */
static void
forget(mulberry_worker *worker, mulberry_job *job)
{
	worker->request_memory -= job->accounted_memory;
	if (job->pending)
	{
		worker->pending--;
		worker->pending_memory -= job->pending->memory;
	}
	worker->held--;
	worker->settled++;
	dlist_delete(&job->node);
	MemoryContextDelete(job->context);
}

/*
 * Keeps the end of an attempt for mulberry_attempt_settle_pending(): "answer" is NULL when "unit" is a
 * failure.  False when there is no room; what is kept already stays.
 */
static bool
keep_pending(mulberry_worker *worker, const settle_unit *unit, const mulberry_http_answer *answer)
{
	mulberry_job *job = unit->job;
	mulberry_pending *pending = job->pending;
	size_t memory = sizeof(mulberry_pending) + (answer ? answer->body_size : 0);
	MemoryContext old;

	if (worker->next_pending == 0)
		worker->next_pending = TimestampTzPlusMilliseconds(mulberry_monotonic(), PENDING_DELAY);
	if (pending != NULL && pending->failed == (answer == NULL))
		return !TimestampDifferenceExceeds(pending->since, mulberry_monotonic(),
										   answer ? KEEP_ANSWER : KEEP_FAILURE);
	if (pending == NULL &&
		(worker->pending >= MAX_PENDING || worker->pending_memory + memory > MAX_PENDING_MEMORY))
		return false;

	old = MemoryContextSwitchTo(job->context);
	if (pending == NULL)
	{
		pending = job->pending = palloc0(sizeof(mulberry_pending));
		pending->memory = memory;
		worker->pending++;
		worker->pending_memory += memory;
	}
	pending->failed = answer == NULL;
	pending->since = mulberry_monotonic();
	pending->unit = *unit;
	pending->unit.answer = NULL;
	if (unit->verdict.error)
		pending->unit.verdict.error = pstrdup(unit->verdict.error);
	if (unit->verdict.brief)
		pending->unit.verdict.brief = pstrdup(unit->verdict.brief);
	if (answer)
	{
		pending->answer = *answer;
		pending->answer.transfer = NULL;
		pending->answer.error = answer->error ? pstrdup(answer->error) : NULL;
		if (answer->body)
		{
			char *body = MemoryContextAllocHuge(job->context, answer->body_size);

			memcpy(body, answer->body, answer->body_size);
			pending->answer.body = body;
		}
		pending->unit.answer = &pending->answer;
		restore_progress(unit);
	}
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * Ends an attempt that failed for a reason of its own.  When that cannot be
 * recorded either, it is tried again, or the lease brings the job back.
 */
static void
fail(mulberry_worker *worker, settle_unit *unit)
{
	mulberry_unit_error error;
	bool first = unit->job->pending == NULL || !unit->job->pending->failed;

	if (first && unit->verdict.failure != MULBERRY_FAILURE_ABANDONED)
		mulberry_count_failed(1);
	ereport(DEBUG1,
			errmsg_internal("job " INT64_FORMAT " failed: %s", unit->job->id, unit->verdict.error));
	if (!mulberry_unit_insist("recording a failure", fail_work, unit, false, &error) &&
		error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && keep_pending(worker, unit, NULL))
		return;
	forget(worker, unit->job);

	/* It may be due before anything that was known of. */
	worker->next_claim = mulberry_monotonic();
}

static void
fail_with(mulberry_worker *worker, mulberry_job *job, mulberry_failure failure, const char *message)
{
	settle_unit unit = { .job = job, .evidence.serves_others = true };

	unit.verdict.failure = failure;
	unit.verdict.error = unit.verdict.brief = pstrdup(message);
	fail(worker, &unit);
}

/* Ends an attempt in which a unit failed: when it was for a lock, nothing is wrong with the job. */
static void
fail_by_error(mulberry_worker *worker, mulberry_job *job, const mulberry_unit_error *error)
{
	mulberry_failure failure = MULBERRY_FAILURE_TRANSIENT;

	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		failure = MULBERRY_FAILURE_BLOCKED;
	else if (error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
			 error->sqlerrcode == ERRCODE_UNTRANSLATABLE_CHARACTER)
		failure = MULBERRY_FAILURE_PERMANENT;
	fail_with(worker, job, failure, error->message);
}

/*
 * Ends a step whose answers are all judged in SQL; answer NULL: the request was not sent.  When
 * what became of it cannot be stored, the next step finds out.
 */
static void
settle_by_sql(mulberry_worker *worker, mulberry_job *job, const mulberry_http_answer *answer,
			  const char *problem)
{
	settle_unit unit = { .job = job, .answer = answer };
	mulberry_unit_error error;
	bool ok;

	if (problem)
		unit.verdict.error = pstrdup(problem);
	ok = mulberry_unit_insist("taking an answer", accept_work, &unit, true, &error);
	if (answer)
		mulberry_http_release(worker->http, answer->transfer);
	account(worker, job);
	if (!ok)
	{
		fail_by_error(worker, job, &error);
		return;
	}
	mulberry_count_done(1);
	forget(worker, job);
	worker->next_claim = mulberry_monotonic();
}

/*
 * Ends an attempt whose request could not be made, mostly because of its secret.
 * An endpoint of all tenants is not to blame for the secret of one of them: its jobs
 * wait, and the others go on.
 */
static void
fail_unsent(mulberry_worker *worker, mulberry_job *job, const char *message)
{
	settle_unit unit = { .job = job };

	if (job->kind->no_failures)
	{
		settle_by_sql(worker, job, NULL, message);
		return;
	}
	unit.verdict.failure = MULBERRY_FAILURE_UNREACHABLE;
	unit.verdict.error = unit.verdict.brief = pstrdup(message);
	judge(&unit);
	fail(worker, &unit);
}

/* Starts job->request; the secret is in memory only until curl has it. */
static void
start(mulberry_worker *worker, mulberry_job *job)
{
	mulberry_unit_error error;
	const char *problem;

	if (job->secret && !mulberry_unit_insist("reading a secret", secret_work, job, false, &error))
	{
		fail_unsent(worker, job, error.message);
		return;
	}
	problem = mulberry_http_start(worker->http, &job->request);
	forget_secret(job);
	if (problem)
		fail_unsent(worker, job, problem);
}

void
mulberry_attempt_begin(mulberry_worker *worker, mulberry_job *job)
{
	prepare_unit unit = { .job = job };
	mulberry_unit_error error;

	if (!mulberry_unit_insist("preparing a job", prepare_work, &unit, false, &error))
	{
		fail_by_error(worker, job, &error);
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

void
mulberry_attempt_put_back(mulberry_worker *worker, mulberry_job *job)
{
	fail_with(worker, job, MULBERRY_FAILURE_ABANDONED, "no memory for another request");
}

/* An answer that was kept has no transfer any more. */
static void
release_transfer(mulberry_worker *worker, const mulberry_http_answer *answer)
{
	if (answer->transfer)
		mulberry_http_release(worker->http, answer->transfer);
}

/*
 * A refusal that may be about something that need not be sent: asks again without it, within the
 * same attempt.  True when it does.
 */
static bool
ask_differently(mulberry_worker *worker, settle_unit *unit)
{
	mulberry_job *job = unit->job;
	mulberry_unit_error error;

	if (unit->answer->outcome != MULBERRY_HTTP_ANSWERED || job->kind->decided_in_sql ||
		!mulberry_unit_insist("reading a refusal", object_work, unit, true, &error) ||
		!unit->has_request)
		return false;
	release_transfer(worker, unit->answer);
	account(worker, job);
	start(worker, job);
	return true;
}

/* Whether an answer has the form that chat has, whatever the model wrote. */
static bool
is_of_chat(const settle_unit *unit)
{
	static const char choices[] = "\"choices\"";
	const mulberry_http_answer *answer = unit->answer;

	return unit->job->kind->purpose == MULBERRY_CHAT && answer->body_size > 0 &&
		   memmem(answer->body, answer->body_size, choices, strlen(choices)) != NULL;
}

/*
 * Takes a successful answer; what is wrong with it becomes the verdict.  False when somebody has locked what
 * it is about, and it is kept for later.
 */
static bool
accept(mulberry_worker *worker, settle_unit *unit)
{
	mulberry_verdict *verdict = &unit->verdict;
	mulberry_unit_error error;
	mulberry_unit_error second;

	if (mulberry_unit_insist("storing a result", accept_work, unit, true, &error))
		return true;
	if (error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && keep_pending(worker, unit, unit->answer))
		return false;
	verdict->ok = false;
	verdict->failure = mulberry_answer_error_failure(error.sqlerrcode);
	if (unit->job->unstored)
	{
		/* What was made is not made again because it could not be stored. */
		verdict->error = psprintf("the result could not be stored: %s", error.message);
		verdict->brief = pstrdup("the result could not be stored");
		mulberry_unit_insist("keeping a result", keep_work, unit, true, &second);
		return true;
	}
	/* what a model writes about a call is no matter of the endpoint */
	if (verdict->failure == MULBERRY_FAILURE_ENDPOINT && is_of_chat(unit))
		verdict->failure = MULBERRY_FAILURE_TRANSIENT;
	verdict->error = mulberry_quote_answer(psprintf("the answer cannot be used: %s", error.message),
										   unit->answer);
	verdict->brief = pstrdup("the answer cannot be used");
	return true;
}

static void
forget_pending(mulberry_worker *worker, mulberry_job *job)
{
	if (job->pending == NULL)
		return;
	worker->pending--;
	worker->pending_memory -= job->pending->memory;
	if (job->pending->answer.body)
		pfree(unconstify(char *, job->pending->answer.body));
	pfree(job->pending);
	job->pending = NULL;
}

void
mulberry_attempt_settle(mulberry_worker *worker, mulberry_http_answer *answer)
{
	mulberry_job *job = answer->owner;
	settle_unit unit = { .job = job,
						 .answer = answer,
						 .part = job->part,
						 .text_length = job->text ? job->text->len : 0,
						 .dropped_segments = job->dropped_segments };

	if (job->kind->no_failures)
	{
		settle_by_sql(worker, job, answer, NULL);
		return;
	}
	unit.verdict = mulberry_judge_answer(answer, job->sent_seconds);
	/* a report that is refused must not wait in silence for somebody to mend its endpoint */
	if (job->kind->persistent && unit.verdict.failure == MULBERRY_FAILURE_ENDPOINT &&
		answer->status >= 300 && answer->status < 500 && answer->status != 408)
		unit.verdict.failure = MULBERRY_FAILURE_PERMANENT;
	if (!unit.verdict.ok && ask_differently(worker, &unit))
		return;
	if (unit.verdict.ok && !accept(worker, &unit))
	{
		release_transfer(worker, answer);
		return;
	}
	release_transfer(worker, answer);
	judge(&unit);
	account(worker, job);
	if (!unit.verdict.ok)
		fail(worker, &unit);
	else if (unit.has_request)
	{
		job->probe = false; /* it was one, and was answered */
		forget_pending(worker, job);
		start(worker, job);
	}
	else
	{
		mulberry_count_done(1);
		forget(worker, job);
	}
}

void
mulberry_attempt_settle_pending(mulberry_worker *worker)
{
	dlist_mutable_iter iter;

	if (worker->next_pending == 0 || mulberry_monotonic() < worker->next_pending)
		return;
	worker->next_pending = 0;
	dlist_foreach_modify(iter, &worker->jobs)
	{
		mulberry_job *job = dlist_container(mulberry_job, node, iter.cur);

		if (job->pending == NULL)
			continue;
		if (job->pending->failed)
			fail(worker, &job->pending->unit);
		else
			mulberry_attempt_settle(worker, &job->pending->answer);
		CHECK_FOR_INTERRUPTS();
	}
}
