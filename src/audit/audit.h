/*
 * audit.h
 *	  Rows of the audit log: the columns that are read, and the hash of a row.
 */
#ifndef MULBERRY_AUDIT_H
#define MULBERRY_AUDIT_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

#include "core/crypto/audit_record.h"

/* What a query must select first, from "audit a", for the functions below. */
#define MULBERRY_AUDIT_COLUMNS                                                                     \
	"a.tenant, a.id, a.at, a.role, a.action, a.outcome, a.method, a.mandate, a.agent, a.command, " \
	"a.evidence, a.seq, a.hash"

/* Their positions, as far as others need them. */
enum
{
	MULBERRY_AUDIT_TENANT = 1,
	MULBERRY_AUDIT_ID = 2,
	MULBERRY_AUDIT_SEQ = 12,
	MULBERRY_AUDIT_HASH = 13,
	MULBERRY_AUDIT_NCOLUMNS = 13
};

/*
 * The hash of a row with the number "seq" behind a row with the hash "previous".  buffer: scratch,
 * initialised.  Allocates in the current context.
 */
extern void mulberry_audit_hash(HeapTuple tuple, TupleDesc desc, int64 seq,
								const uint8 previous[MB_SHA256_SIZE], StringInfo buffer,
								uint8 hash[MB_SHA256_SIZE]);

/* A stored hash; raises ERRCODE_DATA_CORRUPTED unless it has the right length. */
extern const uint8 *mulberry_audit_stored_hash(Datum hash);

/*
 * Raises 54000 or 22P05 for a new row of the table that is too large to be hashed, or cannot be said in UTF-8:
 * it fails whoever writes it, and not the linking of everybody's rows.
 */
extern void mulberry_audit_require_renderable(HeapTuple tuple, TupleDesc desc);

#endif /* MULBERRY_AUDIT_H */
