/*
 * refusals.h
 *	  Commands that were refused with an error, on their way to the audit log.
 *
 * The error takes back whatever its transaction has written, so who asked for what is kept in the database's slot
 * of shared memory until the notifier stores it in a transaction of its own.
 */
#ifndef MULBERRY_REFUSALS_H
#define MULBERRY_REFUSALS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "core/command/command.h"

#define MULBERRY_MAX_REFUSALS 64 /* of one database that wait for the notifier */

/* One row of the audit log to be: fixed size, no pointers, "" for null. */
typedef struct mulberry_refusal
{
	pg_uuid_t tenant;
	pg_uuid_t agent;
	bool has_agent;
	TimestampTz at;
	NameData role;
	NameData action;
	char error[8]; /* E003 … */
	char mandate[MB_MANDATE_ID_LENGTH + 1];
	char message[160]; /* cut where it is longer */
} mulberry_refusal;

/* In a slot, protected by its lock. */
typedef struct mulberry_refusals
{
	uint64 head; /* refusals ever put; position modulo MULBERRY_MAX_REFUSALS */
	uint64 tail; /* refusals ever taken */
	mulberry_refusal entries[MULBERRY_MAX_REFUSALS];
} mulberry_refusals;

#endif /* MULBERRY_REFUSALS_H */
