/*
 * statistics.c
 *	  Shows the processes of this database to SQL.  It only reads.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "server/shared_state.h"

PG_FUNCTION_INFO_V1(mulberry_process_statistics);

/*
 * process_statistics(): a row for each process that has served this database
 * since the server started, alive or not: place (0 the notifier), type, pid,
 * started_at, starts, in_flight, done, failed, last_activity.  Nothing without
 * preloading.
 */
Datum
mulberry_process_statistics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	mulberry_slot *slot = mulberry_my_counters();

	InitMaterializedSRF(fcinfo, 0);
	for (int place = 0; slot != NULL && place < MULBERRY_PLACES; place++)
	{
		mulberry_place_statistics statistics;
		Datum values[9];
		bool nulls[9] = { false };

		mulberry_place_statistics_get(slot, place, &statistics);
		if (statistics.starts == 0)
			continue;
		values[0] = Int32GetDatum(place);
		values[1] = CStringGetTextDatum(place == MULBERRY_NOTIFIER_PLACE ? "notifier" : "worker");
		values[2] = Int32GetDatum(statistics.pid);
		nulls[2] = statistics.pid == 0;
		values[3] = TimestampTzGetDatum(statistics.started_at);
		nulls[3] = statistics.pid == 0;
		values[4] = Int64GetDatum((int64) statistics.starts);
		values[5] = Int32GetDatum((int32) statistics.in_flight);
		values[6] = Int64GetDatum((int64) statistics.done);
		values[7] = Int64GetDatum((int64) statistics.failed);
		values[8] = TimestampTzGetDatum(statistics.last_activity);
		nulls[8] = statistics.last_activity == 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
