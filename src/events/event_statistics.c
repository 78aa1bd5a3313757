/*
 * event_statistics.c
 *	  Shows the ring of packet events to SQL.
 */
#include "server/compat.h"

#include "fmgr.h"

#include "events/event_ring.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_packet_event_statistics);

/*
 * packet_event_statistics(): one row about the ring of this database: taken, dropped,
 * waiting, room.  All null when it has none.
 */
Datum
mulberry_packet_event_statistics(PG_FUNCTION_ARGS)
{
	mulberry_slot *slot = mulberry_my_counters();
	mulberry_ring_statistics statistics;
	mulberry_row row;

	mulberry_row_begin(&row, fcinfo);
	if (slot != NULL)
	{
		mulberry_ring_statistics_get(slot, &statistics);
		mulberry_row_add(&row, Int64GetDatum((int64) statistics.taken));
		mulberry_row_add(&row, Int64GetDatum((int64) statistics.dropped));
		mulberry_row_add(&row, Int32GetDatum(statistics.waiting));
		mulberry_row_add(&row, Int32GetDatum(statistics.room));
	}
	PG_RETURN_DATUM(mulberry_row_end(&row));
}
