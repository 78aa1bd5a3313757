/*
 * lockout.c
 *	  The lockout ladder in SQL: rows of key_guard into the core's arithmetic and back
 *	  (core/command/lockout.h).
 *
 * What is stored, and who is told of it, is SQL's: note_forgery().
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/command/lockout.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_lockout_mode);
PG_FUNCTION_INFO_V1(mulberry_lockout_forgery);
PG_FUNCTION_INFO_V1(mulberry_call_is_over);
PG_FUNCTION_INFO_V1(mulberry_challenge_holds);

/* The times of an array, the newest first. */
static size_t
get_times(ArrayType *array, int64 times[MB_LOCKOUT_HISTORY])
{
	Datum *elements;
	bool *nulls;
	int n;

	deconstruct_array(array, TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, &nulls, &n);
	n = Min(n, MB_LOCKOUT_HISTORY);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			elog(ERROR, "a forgery has a time");
		times[i] = DatumGetTimestampTz(elements[i]);
	}
	return n;
}

/* What a row of key_guard stores; no row: nothing was forged. */
static void
get_lockout(FunctionCallInfo fcinfo, int arg, mb_lockout *lockout)
{
	HeapTupleHeader row;
	Datum value;
	bool isnull;

	memset(lockout, 0, sizeof(*lockout));
	if (PG_ARGISNULL(arg))
		return;
	row = PG_GETARG_HEAPTUPLEHEADER(arg);
	value = GetAttributeByName(row, "forgeries", &isnull);
	if (isnull) /* of an outer join */
		return;
	lockout->n_forgeries = get_times(DatumGetArrayTypeP(value), lockout->forgeries);
	lockout->in_row = Max(DatumGetInt64(GetAttributeByName(row, "in_row", &isnull)), 0);
	lockout->since_entered = DatumGetInt32(GetAttributeByName(row, "since_entered", &isnull));
	lockout->since_entered = Max(Min(lockout->since_entered, MB_LOCKOUT_HISTORY), 0);
	value = GetAttributeByName(row, "challenge_until", &isnull);
	if (isnull)
		return;
	lockout->challenge_until = DatumGetTimestampTz(value);
	value = GetAttributeByName(row, "challenge_period", &isnull);
	if (isnull)
		return;
	lockout->challenge_period =
		DatumGetIntervalP(value)->time + DatumGetIntervalP(value)->day * USECS_PER_DAY;
	lockout->challenge_period =
		Max(Min(lockout->challenge_period, MB_LOCKOUT_LONGEST_PERIOD_US), 0);
}

/* lockout_mode(guard, at) → text */
Datum
mulberry_lockout_mode(PG_FUNCTION_ARGS)
{
	mb_lockout lockout;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	get_lockout(fcinfo, 0, &lockout);
	PG_RETURN_TEXT_P(cstring_to_text(
		mb_lockout_mode_name(mb_lockout_mode_at(&lockout, PG_GETARG_TIMESTAMPTZ(1)))));
}

/*
 * lockout_forgery(guard, at) → (forgeries, in_row, since_entered, challenge_until, challenge_period,
 * entered, alarm): the row after one more forgery, and what that has brought about
 */
Datum
mulberry_lockout_forgery(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	mb_lockout lockout;
	mb_lockout_steps steps;
	Datum times[MB_LOCKOUT_HISTORY];

	if (PG_ARGISNULL(1))
		elog(ERROR, "a forgery has a time");
	mulberry_row_begin(&r, fcinfo);
	get_lockout(fcinfo, 0, &lockout);
	steps = mb_lockout_forgery(&lockout, PG_GETARG_TIMESTAMPTZ(1));
	for (size_t i = 0; i < lockout.n_forgeries; i++)
		times[i] = TimestampTzGetDatum(lockout.forgeries[i]);
	mulberry_row_add(&r, PointerGetDatum(construct_array(times, (int) lockout.n_forgeries,
														 TIMESTAMPTZOID, sizeof(TimestampTz),
														 FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
	mulberry_row_add(&r, Int64GetDatum(lockout.in_row));
	mulberry_row_add(&r, Int32GetDatum(lockout.since_entered));
	if (lockout.challenge_period == 0)
	{
		mulberry_row_skip(&r);
		mulberry_row_skip(&r);
	}
	else
	{
		Interval *period = palloc0(sizeof(*period));

		period->time = lockout.challenge_period;
		mulberry_row_add(&r, TimestampTzGetDatum(lockout.challenge_until));
		mulberry_row_add(&r, IntervalPGetDatum(period));
	}
	mulberry_row_add(&r, BoolGetDatum(steps.entered));
	mulberry_row_add(&r, BoolGetDatum(steps.alarm));
	return mulberry_row_end(&r);
}

/* call_is_over(forgeries, decode_errors, strict) → boolean */
Datum
mulberry_call_is_over(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mb_call_is_over(PG_GETARG_INT32(0), PG_GETARG_INT32(1),
								   PG_GETARG_BOOL(2) ? MB_LOCKOUT_STRICT : MB_LOCKOUT_NORMAL));
}

/* challenge_holds(drawn_at, played_at, at) → boolean; null when it is too old to be understood */
Datum
mulberry_challenge_holds(PG_FUNCTION_ARGS)
{
	mb_challenge_age age = mb_challenge_age_at(PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_TIMESTAMPTZ(1),
											   PG_GETARG_TIMESTAMPTZ(2));

	if (age == MB_CHALLENGE_FORGOTTEN)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(age == MB_CHALLENGE_HOLDS);
}
