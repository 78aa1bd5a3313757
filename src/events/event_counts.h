/*
 * event_counts.h
 *	  Counting stored events for metrics().
 */
#ifndef MULBERRY_EVENT_COUNTS_H
#define MULBERRY_EVENT_COUNTS_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

/* From mulberry_events_init(). */
extern void mulberry_event_counts_init(void);

/* Counts an event that has got its number, should the transaction commit. */
extern void mulberry_count_event(const pg_uuid_t *tenant, const char *event, Jsonb *payload);

#endif /* MULBERRY_EVENT_COUNTS_H */
