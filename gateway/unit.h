/*
 * unit.h
 *	  A unit of work for the database.
 *
 * It is one transaction: it says for whom it works and then runs one prepared statement, both before one
 * Sync, so that the server commits them together.  It is done when that commit is known.
 *
 * When a connection is lost with a unit under way, nobody knows whether it has been committed.  Only a
 * statement that says of itself that it may run again is sent again then ("again" is set): one that only
 * reads, or that changes nothing the second time and answers the same, or nearly: ingest.c asks in another way
 * then, so that what the first time has stored is known.  Of every other one it is said that its outcome
 * is unknown, and it is never sent again.
 *
 * A statement belongs to the file that uses it, where it is a constant: it is known by its place.  Each session
 * prepares it when it needs it for the first time.
 */
#ifndef GATEWAY_UNIT_H
#define GATEWAY_UNIT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define GW_MAX_PARAMETERS 16

typedef struct gw_unit gw_unit;

typedef struct gw_statement
{
	const char *name; /* that it is prepared under, of its own */
	const char *text;
	bool repeatable; /* run twice in a row it does what it does when it runs once */
} gw_statement;

typedef enum gw_outcome
{
	GW_COMMITTED, /* identity and result are those of the two statements; its last column: when it began */
	GW_REFUSED,		/* the token does not count: result is the error */
	GW_FAILED,		/* the statement, or its commit: result is the error */
	GW_UNAVAILABLE, /* there is no database to ask; no result, and it was never sent */
	GW_UNKNOWN		/* it was sent, and what became of it cannot be said */
} gw_outcome;

struct gw_unit
{
	/* for whom: a token, or without one an access to a tenant; nothing where sessions are the role's own */
	const char *token;
	const char *access;
	const char *tenant;

	const gw_statement *statement; /* NULL: it says for whom, no more: is the token good? */
	int n_parameters;
	const char *values[GW_MAX_PARAMETERS];
	int lengths[GW_MAX_PARAMETERS];
	int formats[GW_MAX_PARAMETERS]; /* 1: binary */
	bool binary;					/* so is the result */
	bool behind;					/* nobody waits for it: others go first */

	/* Just before it is sent, when nothing can be added to it any more; sets the parameters.  May be NULL. */
	void (*send)(gw_unit *unit);

	/* The same before it is sent again, the first time.  May be NULL. */
	void (*resend)(gw_unit *unit);

	/* The last that is heard of it. */
	void (*done)(gw_unit *unit, gw_outcome outcome, const PGresult *identity,
				 const PGresult *result);

	bool again; /* it was sent before, over a connection that was lost */

	bool replanned; /* the rest is the database's: it was rolled back, and begun in a new session */
	gw_unit *next;
	int64_t give_up;
};

#endif /* GATEWAY_UNIT_H */
