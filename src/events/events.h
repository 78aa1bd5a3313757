/*
 * events.h
 *	  What the other subjects tell supervisors.
 *
 * Packet events are hints kept in memory: they are dropped with their
 * (sub)transaction, put into the shared ring after its commit, and may be lost.
 * Stored events are rows and are never lost.
 */
#ifndef MULBERRY_EVENTS_H
#define MULBERRY_EVENTS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#define MULBERRY_MAX_CALL_ID 128 /* bytes, without NUL */
#define MULBERRY_MAX_TRACK 64	 /* bytes of a track's name, without NUL */
#define MULBERRY_MAX_RANGES 100	 /* missing ranges that an answer or event carries */

#define MULBERRY_MAX_STATE 15

typedef enum mulberry_packet_event
{
	MULBERRY_PACKET_RECEIVED,
	MULBERRY_PACKET_DUPLICATE,
	MULBERRY_PACKET_REJECTED
} mulberry_packet_event;

/* A range of missing sequences, both ends included. */
typedef struct mulberry_range
{
	int32 first;
	int32 last;
} mulberry_range;

/* What one packet did, as its answer and its event report it. */
typedef struct mulberry_packet_report
{
	mulberry_packet_event kind;
	pg_uuid_t tenant;
	TimestampTz at;		 /* when it arrived */
	int64 call;			 /* calls.id, 0 when the call does not exist */
	const char *call_id; /* NUL-terminated, at most MULBERRY_MAX_CALL_ID */
	const char *
		track; /* likewise, at most MULBERRY_MAX_TRACK; empty: the call has no names for its tracks */
	int64 first_sequence; /* to be added to sequence and ranges */
	int32 sequence;
	int64 total_received;
	int64 missing_count;
	const char *
		state; /* of a call that takes no packets, in at most MULBERRY_MAX_STATE bytes; NULL: not told */
	int nranges; /* 0..MULBERRY_MAX_RANGES, the first ones */
	const mulberry_range *ranges;
} mulberry_packet_report;

/* From _PG_init. */
extern void mulberry_events_init(void);

/*
 * Remembers a packet event until the end of the (sub)transaction.  Coalesced per
 * call and kind: the last report wins, the number of packets is counted.  Cheap
 * (no catalog, no SPI) and a no-op when no notifier serves this database.
 */
extern void mulberry_report_packet(const mulberry_packet_report *report);

/*
 * Stores an event in the current transaction (a row of "events") and wakes the
 * notifier after commit.  "payload" holds the fields beside event and call_id.
 * call 0 and call_id NULL for an event that is about no call.  The caller needs
 * no rights on the table.  Raises an error unless the event and its fields are those that event_kinds.c
 * defines.
 */
extern void mulberry_store_event(const pg_uuid_t *tenant, const char *event, int64 call,
								 const char *call_id, Jsonb *payload);

#endif /* MULBERRY_EVENTS_H */
