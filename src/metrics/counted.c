/*
 * counted.c
 *	  Shows SQL what has been counted.  It only reads; who may see which tenant is decided by metrics().
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "metrics/counters_private.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_counted);
PG_FUNCTION_INFO_V1(mulberry_counting_since);

/* One block, or the sum of several, on its way into the result. */
typedef struct counted_block
{
	FunctionCallInfo fcinfo;
	const pg_uuid_t *tenant; /* NULL: of several */
	bool sparse;			 /* leaves out what is 0 and has labels */
	const uint64 *cells;
} counted_block;

static bool
is_among(const pg_uuid_t *tenant, const Datum *tenants, int n)
{
	for (int i = 0; i < n; i++)
		if (memcmp(DatumGetUUIDP(tenants[i]), tenant, sizeof(pg_uuid_t)) == 0)
			return true;
	return false;
}

static void
append_label(StringInfo labels, const char *name, const char *value)
{
	appendStringInfoString(labels, labels->len == 1 ? "" : ", ");
	escape_json(labels, name);
	appendStringInfoString(labels, ": ");
	escape_json(labels, value);
}

static void
put(counted_block *b, const mulberry_metric_kind *kind, const char *suffix,
	const char *const *values, const char *le, double value, int place)
{
	mulberry_row row;
	StringInfoData labels;

	initStringInfo(&labels);
	appendStringInfoChar(&labels, '{');
	for (int i = 0; i < MULBERRY_MAX_LABELS; i++)
		if (kind->labels[i] != NULL)
			append_label(&labels, kind->labels[i], values[i]);
	if (le != NULL)
		append_label(&labels, "le", le);
	appendStringInfoChar(&labels, '}');

	mulberry_row_begin(&row, b->fcinfo);
	mulberry_row_add_text(&row, kind->name);
	if (b->tenant == NULL)
		mulberry_row_skip(&row);
	else
		mulberry_row_add(&row, UUIDPGetDatum(b->tenant));
	mulberry_row_add_text(&row, suffix);
	mulberry_row_add(&row, DirectFunctionCall1(jsonb_in, CStringGetDatum(labels.data)));
	mulberry_row_add(&row, Float8GetDatum(value));
	mulberry_row_add(&row, Int32GetDatum(place));
	mulberry_row_put(&row, b->fcinfo);
	pfree(labels.data);
}

/* Buckets as Prometheus has them: each with all that are below it. */
static void
put_histogram(counted_block *b, const mulberry_metric_kind *kind, const uint64 *cells,
			  const char *const *values)
{
	uint64 sum = 0;

	for (int i = 0; i <= kind->nbuckets; i++)
		sum += cells[i];
	if (b->sparse && sum == 0)
		return;
	sum = 0;
	for (int i = 0; i <= kind->nbuckets; i++)
	{
		char *le = i < kind->nbuckets ? psprintf("%g", kind->buckets[i]) : pstrdup("+Inf");

		sum += cells[i];
		put(b, kind, "_bucket", values, le, (double) sum, i);
		pfree(le);
	}
	put(b, kind, "_sum", values, NULL, (double) cells[kind->nbuckets + 1] / 1000000,
		kind->nbuckets + 1);
	put(b, kind, "_count", values, NULL, (double) sum, kind->nbuckets + 2);
}

static void
put_block(counted_block *b)
{
	for (int metric = 0; metric < MULBERRY_METRICS_COUNTED; metric++)
	{
		const mulberry_metric_kind *kind = mulberry_metric_kind_at(metric);

		for (int i = 0; i < mulberry_metric_nvalues(metric, 0); i++)
			for (int j = 0; j < mulberry_metric_nvalues(metric, 1); j++)
			{
				const char *values[] = { mulberry_metric_label_value(metric, 0, i),
										 mulberry_metric_label_value(metric, 1, j) };
				const uint64 *cells = b->cells + mulberry_metric_cell(metric, i, j);

				CHECK_FOR_INTERRUPTS();
				if (values[0] != NULL && values[0][0] == '\0')
					continue;
				if (kind->type == MULBERRY_HISTOGRAM)
					put_histogram(b, kind, cells, values);
				else if (*cells != 0 || values[0] == NULL || !b->sparse)
					put(b, kind, "", values, NULL,
						(double) *cells / (kind->in_millionths ? 1000000 : 1), 0);
			}
	}
}

/*
 * counted(everything boolean, tenants uuid[], by_tenant boolean) → setof (metric, tenant, suffix, labels,
 * value, place): of all that is counted or of some tenants, together or (without what is 0) each by
 * itself; of tenants that have no block of their own with "everything" only.
 */
Datum
mulberry_counted(PG_FUNCTION_ARGS)
{
	bool everything = PG_GETARG_BOOL(0);
	bool by_tenant = PG_GETARG_BOOL(2);
	mulberry_slot *slot = mulberry_my_counters();
	int ncells = mulberry_metric_cells();
	uint64 *cells = palloc0(ncells * sizeof(uint64));
	counted_block b = { fcinfo, NULL, by_tenant, cells };
	Datum *tenants;
	int ntenants;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &tenants,
					  NULL, &ntenants);
	InitMaterializedSRF(fcinfo, 0);
	if (slot == NULL)
		return (Datum) 0;
	for (int i = 0; i < MULBERRY_COUNTER_BLOCKS; i++)
	{
		mulberry_counter_block *block = mulberry_counter_block_at(mulberry_counters_of(slot), i);
		pg_uuid_t tenant;

		if (i > 0)
		{
			if (pg_atomic_read_u32(&block->used) == 0)
				continue;
			pg_read_barrier();
			tenant = block->tenant;
		}
		if (!everything && (i == 0 || !is_among(&tenant, tenants, ntenants)))
			continue;
		for (int cell = 0; cell < ncells; cell++)
			cells[cell] = pg_atomic_read_u64(&block->cells[cell]) + (by_tenant ? 0 : cells[cell]);
		if (by_tenant)
		{
			b.tenant = i > 0 ? &tenant : NULL;
			put_block(&b);
		}
	}
	if (!by_tenant)
		put_block(&b);
	return (Datum) 0;
}

/* counting_since() → timestamptz, null where nothing is counted */
Datum
mulberry_counting_since(PG_FUNCTION_ARGS)
{
	mulberry_slot *slot = mulberry_my_counters();

	if (slot == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(mulberry_counters_of(slot)->since);
}
