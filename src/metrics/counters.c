/*
 * counters.c
 *	  Counts what happens, by tenant: between the statement that says so and the end of its transaction
 *	  in a list of that (sub)transaction, from then on in the section of the database's slot.
 *
 * Counters are atomic, and a tenant's block stays where it is until the slot is given to another
 * database; so adding takes no lock, and finding the block none but the first time.
 *
 * Tenants beyond those that there is room for are counted together.
 */
#include "server/compat.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "metrics/counters.h"
#include "metrics/counters_private.h"
#include "server/shared_state.h"
#include "server/xact.h"

PG_FUNCTION_INFO_V1(mulberry_count_metric);
PG_FUNCTION_INFO_V1(mulberry_observe_metric);

/* What one counter of a tenant grows by. */
typedef struct pending_count
{
	pg_uuid_t tenant;
	int cell;
	uint64 n;
} pending_count;

#define COUNTS_AT_ONCE 12

/* Of one (sub)transaction, the last ones first. */
typedef struct pending_counts
{
	struct pending_counts *before;
	int n;
	pending_count counts[COUNTS_AT_ONCE];
} pending_counts;

static int subject;
static int section;
static int ncells = 0; /* of a tenant, 0: not yet known */

/* Where the cells of a metric begin, and how far apart those of two values of its labels are. */
static struct
{
	int first;
	int step_i;
	int step_j;
} layout[MULBERRY_METRICS_COUNTED];

static void add_counts(void *pending);
static void merge_counts(void *parent, void *child);
static void free_counts(void *pending);
static Size section_size(void);
static void init_section(void *memory);
static void reset_section(void *memory);

void
mulberry_counters_init(void)
{
	subject = mulberry_xact_register(&(mulberry_xact_subject){
		.commit = add_counts, .merge = merge_counts, .drop = free_counts });
	section = mulberry_register_section(
		&(mulberry_section){ .size = section_size, .init = init_section, .reset = reset_section });
}

/* ---------------------------------------------------------------------------
 * Where things are
 * ---------------------------------------------------------------------------
 */

/* A histogram has a cell for each bucket, one for what is above them, and one for the sum. */
int
mulberry_metric_width(const mulberry_metric_kind *kind)
{
	return kind->type == MULBERRY_HISTOGRAM ? kind->nbuckets + 2 : 1;
}

/* Once the subjects have told their labels. */
static void
lay_out(void)
{
	int n = 0;

	for (int metric = 0; metric < MULBERRY_METRICS_COUNTED; metric++)
	{
		layout[metric].first = n;
		layout[metric].step_j = mulberry_metric_width(mulberry_metric_kind_at(metric));
		layout[metric].step_i = mulberry_metric_nvalues(metric, 1) * layout[metric].step_j;
		n += mulberry_metric_nvalues(metric, 0) * layout[metric].step_i;
	}
	ncells = n;
}

int
mulberry_metric_cell(mulberry_metric metric, int i, int j)
{
	if (ncells == 0)
		lay_out();
	return layout[metric].first + i * layout[metric].step_i + j * layout[metric].step_j;
}

int
mulberry_metric_cells(void)
{
	if (ncells == 0)
		lay_out();
	return ncells;
}

static Size
block_size(void)
{
	return MAXALIGN(add_size(offsetof(mulberry_counter_block, cells),
							 mul_size(mulberry_metric_cells(), sizeof(pg_atomic_uint64))));
}

static Size
section_size(void)
{
	return add_size(MAXALIGN(sizeof(mulberry_counters)),
					mul_size(MULBERRY_COUNTER_BLOCKS, block_size()));
}

mulberry_counter_block *
mulberry_counter_block_at(mulberry_counters *counters, int i)
{
	return (mulberry_counter_block *) ((char *) counters + MAXALIGN(sizeof(mulberry_counters)) +
									   i * block_size());
}

mulberry_counters *
mulberry_counters_of(mulberry_slot *slot)
{
	return mulberry_slot_section(slot, section);
}

static void
init_section(void *memory)
{
	for (int i = 0; i < MULBERRY_COUNTER_BLOCKS; i++)
	{
		mulberry_counter_block *block = mulberry_counter_block_at(memory, i);

		pg_atomic_init_u32(&block->used, 0);
		for (int cell = 0; cell < mulberry_metric_cells(); cell++)
			pg_atomic_init_u64(&block->cells[cell], 0);
	}
}

static void
reset_section(void *memory)
{
	mulberry_counters *counters = memory;

	for (int i = 0; i < MULBERRY_COUNTER_BLOCKS; i++)
	{
		mulberry_counter_block *block = mulberry_counter_block_at(counters, i);

		pg_atomic_write_u32(&block->used, 0);
		for (int cell = 0; cell < mulberry_metric_cells(); cell++)
			pg_atomic_write_u64(&block->cells[cell], 0);
	}
	counters->ntenants = 0;
	counters->since = GetCurrentTimestamp();
}

static bool
is_block_of(mulberry_counter_block *block, const pg_uuid_t *tenant)
{
	return memcmp(&block->tenant, tenant, sizeof(pg_uuid_t)) == 0;
}

/* The tenant's block, or the free one where it belongs. */
static mulberry_counter_block *
find_block(mulberry_counters *counters, const pg_uuid_t *tenant)
{
	uint32 hash = hash_bytes(tenant->data, sizeof(tenant->data));

	for (uint32 i = 0;; i++)
	{
		mulberry_counter_block *block =
			mulberry_counter_block_at(counters, 1 + (hash + i) % (MULBERRY_COUNTER_BLOCKS - 1));

		if (pg_atomic_read_u32(&block->used) == 0)
			return block;
		pg_read_barrier();
		if (is_block_of(block, tenant))
			return block;
	}
}

/* The tenant's block, which may be the one of all that have none. */
static mulberry_counter_block *
block_of(mulberry_slot *slot, const pg_uuid_t *tenant)
{
	mulberry_counters *counters = mulberry_counters_of(slot);
	mulberry_counter_block *block = find_block(counters, tenant);

	if (pg_atomic_read_u32(&block->used) != 0)
		return block;
	LWLockAcquire(mulberry_slot_lock(slot), LW_EXCLUSIVE);
	block = find_block(counters, tenant);
	if (pg_atomic_read_u32(&block->used) == 0)
	{
		if (counters->ntenants < MULBERRY_COUNTED_TENANTS)
		{
			counters->ntenants++;
			block->tenant = *tenant;
			pg_write_barrier();
			pg_atomic_write_u32(&block->used, 1);
		}
		else
			block = mulberry_counter_block_at(counters, 0);
	}
	LWLockRelease(mulberry_slot_lock(slot));
	return block;
}

/* ---------------------------------------------------------------------------
 * Counting
 * ---------------------------------------------------------------------------
 */

/* Adds to what a list has of that counter, or to the room in it; false: there is none. */
static bool
add_to(pending_counts *pending, int cell, const pg_uuid_t *tenant, uint64 n)
{
	for (int i = pending->n - 1; i >= 0; i--)
	{
		pending_count *count = &pending->counts[i];

		if (count->cell == cell && memcmp(&count->tenant, tenant, sizeof(pg_uuid_t)) == 0)
		{
			count->n += n;
			return true;
		}
	}
	if (pending->n == COUNTS_AT_ONCE)
		return false;
	pending->counts[pending->n++] = (pending_count){ *tenant, cell, n };
	return true;
}

static void
count_cell(int cell, const pg_uuid_t *tenant, uint64 n)
{
	void **place;
	pending_counts *pending;

	if (n == 0 || mulberry_my_counters() == NULL)
		return;
	place = mulberry_xact_pending(subject);
	if (*place != NULL && add_to(*place, cell, tenant, n))
		return;
	if (*place == NULL)
		mulberry_xact_at_commit(MULBERRY_COMMIT_COUNTS);
	pending = MemoryContextAlloc(TopTransactionContext, sizeof(pending_counts));
	pending->before = *place;
	pending->n = 0;
	*place = pending;
	(void) add_to(pending, cell, tenant, n);
}

void
mulberry_count(mulberry_metric metric, int i, int j, const pg_uuid_t *tenant, uint64 n)
{
	count_cell(mulberry_metric_cell(metric, i, j), tenant, n);
}

/* The number of a label's value, -1: it has no such value. */
static int
value_number(mulberry_metric metric, int label, const char *value)
{
	const char *known;

	if (value == NULL)
		return 0;
	for (int i = 0; (known = mulberry_metric_label_value(metric, label, i)) != NULL; i++)
		if (strcmp(known, value) == 0)
			return i;
	return -1;
}

void
mulberry_count_named(mulberry_metric metric, const char *first, const char *second,
					 const pg_uuid_t *tenant)
{
	int i = value_number(metric, 0, first);
	int j = value_number(metric, 1, second);

	if (i >= 0 && j >= 0)
		mulberry_count(metric, i, j, tenant, 1);
}

/* After the commit. */
static void
add_counts(void *pending)
{
	mulberry_slot *slot = mulberry_my_counters();
	mulberry_counter_block *block = NULL;

	if (slot == NULL)
		return;
	for (pending_counts *counts = pending; counts != NULL; counts = counts->before)
		for (int i = 0; i < counts->n; i++)
		{
			pending_count *count = &counts->counts[i];

			if (i == 0 || memcmp(&count->tenant, &count[-1].tenant, sizeof(pg_uuid_t)) != 0)
				block = block_of(slot, &count->tenant);
			(void) pg_atomic_fetch_add_u64(&block->cells[count->cell], count->n);
		}
}

/* Gives what a subtransaction has counted to its parent. */
static void
merge_counts(void *parent, void *child)
{
	pending_counts *to = parent;
	pending_counts *next;

	for (pending_counts *from = child; from != NULL; from = next)
	{
		next = from->before;
		while (from->n > 0 &&
			   add_to(to, from->counts[from->n - 1].cell, &from->counts[from->n - 1].tenant,
					  from->counts[from->n - 1].n))
			from->n--;
		if (from->n == 0)
			pfree(from);
		else
		{
			from->before = to->before;
			to->before = from;
		}
	}
}

/* A subtransaction was rolled back. */
static void
free_counts(void *pending)
{
	pending_counts *before;

	for (pending_counts *counts = pending; counts != NULL; counts = before)
	{
		before = counts->before;
		pfree(counts);
	}
}

/* ---------------------------------------------------------------------------
 * For functions written in SQL
 * ---------------------------------------------------------------------------
 */

static mulberry_metric
counted_metric(const char *name, mulberry_metric_type type)
{
	for (int i = 0; i < MULBERRY_METRICS_COUNTED; i++)
		if (strcmp(mulberry_metric_kind_at(i)->name, name) == 0 &&
			mulberry_metric_kind_at(i)->type == type)
			return i;
	elog(ERROR, "there is no metric \"%s\" of that type that is counted", name);
}

static const char *
label_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/* count_metric(metric, tenant, first, second): adds 1 */
Datum
mulberry_count_metric(PG_FUNCTION_ARGS)
{
	mulberry_count_named(counted_metric(label_argument(fcinfo, 0), MULBERRY_COUNTER),
						 label_argument(fcinfo, 2), label_argument(fcinfo, 3), PG_GETARG_UUID_P(1));
	PG_RETURN_VOID();
}

/* observe_metric(metric, tenant, value, label): into its bucket; null is not observed */
Datum
mulberry_observe_metric(PG_FUNCTION_ARGS)
{
	mulberry_metric metric = counted_metric(label_argument(fcinfo, 0), MULBERRY_HISTOGRAM);
	const mulberry_metric_kind *kind = mulberry_metric_kind_at(metric);
	int i = value_number(metric, 0, label_argument(fcinfo, 3));
	double value = PG_ARGISNULL(2) ? -1 : PG_GETARG_FLOAT8(2);
	int bucket = 0;
	int cell;

	/* a clock that went back makes no duration, and one that leapt none that a sum could bear */
	if (i < 0 || !(value >= 0 && value < 1e9))
		PG_RETURN_VOID();
	while (bucket < kind->nbuckets && value > kind->buckets[bucket])
		bucket++;
	cell = mulberry_metric_cell(metric, i, 0);
	count_cell(cell + bucket, PG_GETARG_UUID_P(1), 1);
	count_cell(cell + kind->nbuckets + 1, PG_GETARG_UUID_P(1), (uint64) (value * 1000000));
	PG_RETURN_VOID();
}
