/*
 * event_kinds.h
 *	  The kinds of events: what each is called, what it is about, and which fields it has.
 *
 * This is their one definition.  What is stored is checked against it, SQL reads it by
 * event_kinds() and event_fields(), and docs/events.md is written from it.
 */
#ifndef MULBERRY_EVENT_KINDS_H
#define MULBERRY_EVENT_KINDS_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "events/events.h"

/* How an event comes to subscribers. */
typedef enum mulberry_event_delivery
{
	MULBERRY_EVENT_PACKET, /* from memory; may be lost, then "resync" says so */
	MULBERRY_EVENT_STORED, /* a row of "events", with a number */
	MULBERRY_EVENT_CONTROL /* to subscribers alone: about the subscription itself */
} mulberry_event_delivery;

typedef enum mulberry_field_type
{
	MULBERRY_FIELD_STRING,
	MULBERRY_FIELD_NUMBER,
	MULBERRY_FIELD_BOOLEAN,
	MULBERRY_FIELD_ARRAY,
	MULBERRY_FIELD_OBJECT
} mulberry_field_type;

typedef struct mulberry_event_field
{
	const char *name;
	mulberry_field_type type;
	bool optional; /* absent or null where there is nothing to say */
	const char *meaning;
} mulberry_event_field;

typedef struct mulberry_event_kind
{
	const char *name;
	const char *subject; /* what it is about */
	mulberry_event_delivery delivery;
	bool open; /* has evidence beside its fields */
	const mulberry_event_field
		*common; /* those that its subject always has; NULL-named one ends them */
	const mulberry_event_field *fields; /* its own; the same */
	const char *meaning;
} mulberry_event_kind;

/* The i-th of them, NULL past the last; those of packets have the numbers of mulberry_packet_event. */
extern const mulberry_event_kind *mulberry_event_kind_at(int i);

/* The number of the kind of that name, -1 when there is none; all are less than MULBERRY_MAX_EVENT_KINDS. */
#define MULBERRY_MAX_EVENT_KINDS 64
extern int mulberry_event_kind_number(const char *name);

/*
 * Raises ERRCODE_INVALID_PARAMETER_VALUE unless there is such an event among the stored ones and its
 * payload, an object, has the fields that it must have, of their types, and no others.
 */
extern void mulberry_check_event(const char *event, Jsonb *payload);

#endif /* MULBERRY_EVENT_KINDS_H */
