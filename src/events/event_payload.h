/*
 * event_payload.h
 *	  Builds the JSON object of an event, field by field.
 */
#ifndef MULBERRY_EVENT_PAYLOAD_H
#define MULBERRY_EVENT_PAYLOAD_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "events/events.h"

typedef struct mulberry_payload
{
	JsonbParseState *state;
} mulberry_payload;

extern void mulberry_begin_payload(mulberry_payload *payload);
extern void mulberry_payload_text(mulberry_payload *payload, const char *key, const char *value);
extern void mulberry_payload_integer(mulberry_payload *payload, const char *key, int64 value);
extern void mulberry_payload_float(mulberry_payload *payload, const char *key, double value);

/* Ranges as [[first, last], …], in the numbers of a sender whose first one is "first_sequence". */
extern void mulberry_payload_ranges(mulberry_payload *payload, const char *key,
									int64 first_sequence, const mulberry_range *ranges, int n);

/* What comes between them are fields of an object that is the value of "key". */
extern void mulberry_payload_begin_object(mulberry_payload *payload, const char *key);
extern void mulberry_payload_end_object(mulberry_payload *payload);
extern Jsonb *mulberry_end_payload(mulberry_payload *payload);

#endif /* MULBERRY_EVENT_PAYLOAD_H */
