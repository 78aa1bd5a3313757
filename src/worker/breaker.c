/*
 * breaker.c
 *	  Where the outcomes of requests are kept; see breaker.h.
 */
#include "server/compat.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "server/shared_state.h"
#include "worker/breaker.h"

#define ENDPOINTS 64 /* whose outcomes are remembered */

/* In a slot, protected by its lock. */
typedef struct memory
{
	mb_outcomes endpoints[ENDPOINTS];
} memory;

static int section;

static Size
memory_size(void)
{
	return sizeof(memory);
}

static void
reset_memory(void *area)
{
	memset(area, 0, sizeof(memory));
}

void
mulberry_breaker_init(void)
{
	section = mulberry_register_section(
		&(mulberry_section){ .size = memory_size, .reset = reset_memory });
}

static mb_judgement
record(memory *area, const mulberry_job *job, mb_outcome outcome)
{
	TimestampTz now = GetCurrentTimestamp();
	mb_outcomes *outcomes =
		mb_outcomes_find(area->endpoints, ENDPOINTS, job->route, job->configuration, now);

	return mb_outcomes_add(outcomes, job->tenant.data, job->shared, job->coming_back || job->probe,
						   job->id, outcome, job->failed_at, now);
}

mb_judgement
mulberry_breaker_record(const mulberry_job *job, mb_outcome outcome)
{
	static memory own;
	mulberry_slot *slot = mulberry_my_slot();
	mb_judgement judgement;
	bool shared = false;

	if (slot != NULL)
	{
		LWLockAcquire(mulberry_slot_lock(slot), LW_EXCLUSIVE);
		shared = mulberry_slot_database(slot) == MyDatabaseId;
		if (shared)
			judgement = record(mulberry_slot_section(slot, section), job, outcome);
		LWLockRelease(mulberry_slot_lock(slot));
	}
	if (!shared)
		judgement = record(&own, job, outcome);
	return judgement;
}
