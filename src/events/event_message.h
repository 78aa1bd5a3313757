/*
 * event_message.h
 *	  The JSON that subscribers get, as VoiceStream sent it.
 */
#ifndef MULBERRY_EVENT_MESSAGE_H
#define MULBERRY_EVENT_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "events/packet_notes.h"

/* Longest payload of a NOTIFY, in bytes without NUL. */
#define MULBERRY_MAX_MESSAGE 7999

/*
 * Message of a stored event: event, time, call_id (unless NULL), tenant, the fields of
 * the payload, seq and prev.  With limit > 0 it has at most that many bytes (at
 * least MULBERRY_MIN_LIMIT): strings that do not fit are cut between characters,
 * other values left out, and "truncated": true added.
 */
#define MULBERRY_MIN_LIMIT 2048
extern void mulberry_stored_event_message(StringInfo message, const char *event,
										  const char *call_id, const char *tenant, int64 seq,
										  TimestampTz created_at, Jsonb *payload, int limit);

/* The same message with another number before; one that is not larger. */
extern void mulberry_replace_prev(StringInfo message, const char *text, int64 prev);

/* Message of a packet event; always below MULBERRY_MAX_MESSAGE. */
extern void mulberry_packet_event_message(StringInfo message, const mulberry_packet_note *note,
										  const char *tenant);

/* Tells the subscribers of a tenant that they have missed packet events, "dropped" of them. */
extern void mulberry_resync_message(StringInfo message, const char *tenant, uint64 dropped);

/* The most single sequences that "missing_sequences" of a message lists. */
#define MULBERRY_MAX_MISSING_SEQUENCES 100

#endif /* MULBERRY_EVENT_MESSAGE_H */
