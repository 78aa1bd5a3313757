/*
 * packet_notes.h
 *	  Packet events on their way to subscribers.
 */
#ifndef MULBERRY_PACKET_NOTES_H
#define MULBERRY_PACKET_NOTES_H

#include "postgres.h"

#include "utils/uuid.h"

#include "events/events.h"

/* A packet event on its way to subscribers: fixed size, no pointers. */
typedef struct mulberry_packet_note
{
	pg_uuid_t tenant;
	TimestampTz at; /* of the last packet that this note stands for */
	int64 call;		/* calls.id, 0 when the call does not exist */
	int64 total_received;
	int64 missing_count;
	int64 first_sequence; /* to be added to sequence and ranges */
	int32 sequence;		  /* of that packet */
	int32 packets;		  /* how many packets it stands for, at least 1 */
	int32 kind;			  /* mulberry_packet_event */
	int32 nranges;		  /* used entries of "ranges" */
	char call_id[MULBERRY_MAX_CALL_ID + 1];
	char track[MULBERRY_MAX_TRACK + 1]; /* empty: not named */
	char state[MULBERRY_MAX_STATE + 1]; /* empty: not told */
	mulberry_range ranges[MULBERRY_MAX_RANGES];
} mulberry_packet_note;

/* A note that waits for the end of its transaction, in a list in order of arrival. */
typedef struct mulberry_pending_note
{
	struct mulberry_pending_note *next;
	struct mulberry_pending_note *next_in_bucket;
	uint32 hash;
	mulberry_packet_note note;
} mulberry_pending_note;

/* Copies a note without the unused part of its ranges. */
static inline void
mulberry_copy_note(mulberry_packet_note *to, const mulberry_packet_note *from)
{
	memcpy(to, from,
		   offsetof(mulberry_packet_note, ranges) + from->nranges * sizeof(mulberry_range));
}

/* From mulberry_events_init(). */
extern void mulberry_packet_notes_init(void);

#endif /* MULBERRY_PACKET_NOTES_H */
