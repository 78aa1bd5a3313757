/*
 * events.c
 *	  Stored events: rows that the transaction which causes an event inserts.
 *	  It must not send anything; numbering is event_numbers.c's and sending the
 *	  notifier's.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "events/event_counts.h"
#include "events/event_kinds.h"
#include "events/event_ring.h"
#include "events/events.h"
#include "events/packet_notes.h"
#include "server/catalog.h"
#include "server/plans.h"
#include "server/xact.h"

PG_FUNCTION_INFO_V1(mulberry_emit_event);

/* Whatever is in it, its message is shorter than the 1 GB that a text may have. */
#define MAX_PAYLOAD (64 * 1024 * 1024)

void
mulberry_events_init(void)
{
	mulberry_event_ring_init();
	mulberry_packet_notes_init();
	mulberry_event_counts_init();
}

/*
 * The insertion runs as the owner of the table, because whoever causes an event
 * has no rights on it.
 */
void
mulberry_store_event(const pg_uuid_t *tenant, const char *event, int64 call, const char *call_id,
					 Jsonb *payload)
{
	static mulberry_statement insert_statement = {
		"INSERT INTO mulberry_internal.events (tenant, event, call, call_id, payload) "
		"VALUES ($1, $2, $3, $4, $5)",
		5,
		{ UUIDOID, TEXTOID, INT8OID, TEXTOID, JSONBOID }
	};
	Datum values[5];
	char nulls[5] = { ' ', ' ', ' ', ' ', ' ' };
	mulberry_identity caller;

	if (VARSIZE(payload) > MAX_PAYLOAD)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("an event is larger than %d bytes", MAX_PAYLOAD)));
	mulberry_check_event(event, payload);
	caller = mulberry_become_owner();
	SPI_connect();
	values[0] = UUIDPGetDatum(tenant);
	values[1] = CStringGetTextDatum(event);
	values[2] = Int64GetDatum(call);
	if (call == 0)
		nulls[2] = 'n';
	values[3] = (Datum) 0;
	if (call_id == NULL)
		nulls[3] = 'n';
	else
		values[3] = CStringGetTextDatum(call_id);
	values[4] = JsonbPGetDatum(payload);
	(void) mulberry_statement_run(&insert_statement, values, nulls);
	SPI_finish();
	mulberry_leave_owner(caller);

	mulberry_xact_at_commit(MULBERRY_COMMIT_WAKE_NOTIFIER);
}

/*
 * emit_event(tenant uuid, event text, call bigint, call_id text, payload jsonb):
 * mulberry_store_event() for functions written in SQL.  call and call_id may be
 * null; payload null is the empty object.
 */
Datum
mulberry_emit_event(PG_FUNCTION_ARGS)
{
	char *event;
	Jsonb *payload;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("tenant and name of an event must not be null")));
	event = text_to_cstring(PG_GETARG_TEXT_PP(1));
	payload = PG_ARGISNULL(4) ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")))
							  : PG_GETARG_JSONB_P(4);
	if (!JB_ROOT_IS_OBJECT(payload))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("payload of an event must be a JSON object")));

	mulberry_store_event(PG_GETARG_UUID_P(0), event, PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2),
						 PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)), payload);
	PG_RETURN_VOID();
}
