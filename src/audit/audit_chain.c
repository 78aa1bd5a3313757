/*
 * audit_chain.c
 *	  The hashes of the audit log: a stored row in the form of core/audit_record.h, and whether
 *	  the chain of a tenant is whole.  It writes nothing.
 *
 * What it finds: a row that was changed, removed, inserted, or put elsewhere; rows cut off the end
 * or put behind it, unless audit_heads was rewritten to fit.  Who can write both tables, with triggers off,
 * can write a chain of their own from any row on; a head that was kept elsewhere gives that away.
 * Rows that have not been linked yet are not part of it.
 */
#include "server/compat.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "audit/audit.h"
#include "server/plans.h"
#include "server/row.h"
#include "server/texts.h"

#define ROWS_AT_ONCE 1000
#define MAX_ROW 4194304 /* bytes of texts and evidence */
#define UNIX_EPOCH_DISTANCE                                                                        \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * USECS_PER_SEC)

PG_FUNCTION_INFO_V1(mulberry_check_audit_chain);

/* A walk along the chain of a tenant. */
typedef struct chain_walk
{
	int64 last;					/* number of the last row that fits */
	uint8 hash[MB_SHA256_SIZE]; /* its hash, zero in front of the first */
	int64 kept_seq;				/* 0: no head was kept */
	uint8 kept_hash[MB_SHA256_SIZE];
	int64 broken;  /* number of the first row that does not fit */
	char *problem; /* NULL: all fit */
} chain_walk;

static void walk(chain_walk *chain, Datum tenant);
static void look_at_row(chain_walk *chain, HeapTuple tuple, TupleDesc desc, StringInfo buffer);
static void look_at_head(chain_walk *chain, Datum tenant);
static mb_audit_part text_part(HeapTuple tuple, TupleDesc desc, int column);
static mb_audit_part utf8_part(char *string);
static void
break_at(chain_walk *chain, int64 seq, const char *format, ...) pg_attribute_printf(3, 4);
static char *row_range(int64 first, int64 last, const char *singular, const char *plural);

void
mulberry_audit_hash(HeapTuple tuple, TupleDesc desc, int64 seq,
					const uint8 previous[MB_SHA256_SIZE], StringInfo buffer,
					uint8 hash[MB_SHA256_SIZE])
{
	mb_audit_record record = { .seq = seq };
	uint8 command[8];
	size_t size;
	bool isnull;
	Datum value;

	memcpy(record.tenant, DatumGetUUIDP(SPI_getbinval(tuple, desc, MULBERRY_AUDIT_TENANT, &isnull)),
		   sizeof(record.tenant));
	record.id = DatumGetInt64(SPI_getbinval(tuple, desc, MULBERRY_AUDIT_ID, &isnull));
	/* unsigned, because of -infinity and infinity */
	record.at_us = (int64) ((uint64) DatumGetTimestampTz(SPI_getbinval(tuple, desc, 3, &isnull)) +
							(uint64) UNIX_EPOCH_DISTANCE);
	record.fields[MB_AUDIT_ROLE] =
		utf8_part(pstrdup(NameStr(*DatumGetName(SPI_getbinval(tuple, desc, 4, &isnull)))));
	record.fields[MB_AUDIT_ACTION] = text_part(tuple, desc, 5);
	record.fields[MB_AUDIT_OUTCOME] = text_part(tuple, desc, 6);
	record.fields[MB_AUDIT_METHOD] = text_part(tuple, desc, 7);
	record.fields[MB_AUDIT_MANDATE] = text_part(tuple, desc, 8);
	value = SPI_getbinval(tuple, desc, 9, &isnull);
	if (!isnull)
		record.fields[MB_AUDIT_AGENT] = (mb_audit_part){ DatumGetUUIDP(value), UUID_LEN };
	value = SPI_getbinval(tuple, desc, 10, &isnull);
	if (!isnull)
	{
		mb_audit_put_i64(DatumGetInt64(value), command);
		record.fields[MB_AUDIT_COMMAND] = (mb_audit_part){ command, sizeof(command) };
	}
	value = SPI_getbinval(tuple, desc, 11, &isnull);
	if (!isnull)
	{
		Jsonb *evidence = DatumGetJsonbP(value);

		record.fields[MB_AUDIT_EVIDENCE] =
			utf8_part(JsonbToCString(NULL, &evidence->root, VARSIZE(evidence)));
	}

	size = mb_audit_size(&record);
	resetStringInfo(buffer);
	enlargeStringInfo(buffer, (int) Min(size, MaxAllocSize));
	if (mb_audit_hash(&record, previous, (uint8 *) buffer->data, buffer->maxlen, hash) != MB_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not hash a row of the audit log")));
}

/*
 * What cannot be linked, because it is too large or cannot be said in UTF-8, fails whoever writes it, and
 * not the linking of everybody's rows.
 */
void
mulberry_audit_require_renderable(HeapTuple tuple, TupleDesc desc)
{
	Size size = 0;

	for (int column = 1; column <= desc->natts; column++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);
		bool isnull;
		Datum value;

		if (attribute->attisdropped || attribute->attlen != -1)
			continue;
		value = heap_getattr(tuple, column, desc, &isnull);
		if (isnull)
			continue;
		size += toast_raw_datum_size(value);
		if (size > MAX_ROW)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("a row of the audit log is larger than %d bytes", MAX_ROW)));
		if (GetDatabaseEncoding() == PG_UTF8)
			continue;
		if (attribute->atttypid == TEXTOID)
		{
			text *string = DatumGetTextPP(value);

			mulberry_require_encodable(NameStr(attribute->attname), VARDATA_ANY(string),
									   VARSIZE_ANY_EXHDR(string));
		}
		else if (attribute->atttypid == JSONBOID)
		{
			Jsonb *json = DatumGetJsonbP(value);
			char *string = JsonbToCString(NULL, &json->root, VARSIZE(json));

			mulberry_require_encodable(NameStr(attribute->attname), string, (int) strlen(string));
		}
	}
}

const uint8 *
mulberry_audit_stored_hash(Datum hash)
{
	bytea *bytes = DatumGetByteaPP(hash);

	if (VARSIZE_ANY_EXHDR(bytes) != MB_SHA256_SIZE)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("a hash of the audit log does not have %d bytes", MB_SHA256_SIZE)));
	return (const uint8 *) VARDATA_ANY(bytes);
}

static mb_audit_part
text_part(HeapTuple tuple, TupleDesc desc, int column)
{
	bool isnull;
	Datum value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? (mb_audit_part){ NULL, 0 } : utf8_part(TextDatumGetCString(value));
}

/* The same bytes in whatever encoding a copy of the database has. */
static mb_audit_part
utf8_part(char *string)
{
	const char *converted = string;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		converted = pg_server_to_any(string, (int) strlen(string), PG_UTF8);
	return (mb_audit_part){ converted, strlen(converted) };
}

/*
 * check_audit_chain(tenant uuid, kept_seq bigint, kept_hash bytea) → (rows, first_broken,
 * problem): walks along the chain until something does not fit.  kept_seq and kept_hash are
 * what audit_head() once said, or null.
 */
Datum
mulberry_check_audit_chain(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	chain_walk chain = { 0 };
	mulberry_row result;

	mulberry_row_begin(&result, fcinfo);
	if (PG_ARGISNULL(0))
		elog(ERROR, "check_audit_chain() needs a tenant");
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		chain.kept_seq = PG_GETARG_INT64(1);
		memcpy(chain.kept_hash, mulberry_audit_stored_hash(PG_GETARG_DATUM(2)), MB_SHA256_SIZE);
	}

	SPI_connect();
	walk(&chain, PG_GETARG_DATUM(0));
	if (chain.problem == NULL)
		look_at_head(&chain, PG_GETARG_DATUM(0));
	if (chain.problem == NULL && chain.kept_seq > chain.last)
		break_at(&chain, chain.last + 1,
				 "the log ends before row " INT64_FORMAT ", whose hash was kept", chain.kept_seq);
	if (chain.problem != NULL)
		chain.problem = MemoryContextStrdup(caller, chain.problem);
	SPI_finish();

	mulberry_row_add(&result, Int64GetDatum(chain.last));
	if (chain.problem == NULL)
		mulberry_row_skip(&result);
	else
		mulberry_row_add(&result, Int64GetDatum(chain.broken));
	mulberry_row_add_text(&result, chain.problem);
	return mulberry_row_end(&result);
}

/*
 * Read-only, so that rows and head are seen by the snapshot of the statement that
 * asks, whoever links meanwhile.
 */
static void
walk(chain_walk *chain, Datum tenant)
{
	static mulberry_statement statement = {
		"SELECT " MULBERRY_AUDIT_COLUMNS " FROM mulberry_internal.audit a "
		"WHERE a.tenant = $1 AND a.seq IS NOT NULL ORDER BY a.seq",
		1,
		{ UUIDOID }
	};
	MemoryContext row_context = AllocSetContextCreate(
		CurrentMemoryContext, "mulberry row of the audit log", ALLOCSET_DEFAULT_SIZES);
	StringInfoData buffer;
	Portal rows;

	initStringInfo(&buffer);
	rows = mulberry_statement_open(&statement, &tenant, NULL);
	while (chain->problem == NULL)
	{
		SPI_cursor_fetch(rows, /* forward */ true, ROWS_AT_ONCE);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed && chain->problem == NULL; i++)
		{
			MemoryContext before = MemoryContextSwitchTo(row_context);

			CHECK_FOR_INTERRUPTS();
			look_at_row(chain, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &buffer);
			MemoryContextSwitchTo(before);
			if (chain->problem != NULL)
				chain->problem = pstrdup(chain->problem);
			MemoryContextReset(row_context);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(rows);
	MemoryContextDelete(row_context);
}

static void
look_at_row(chain_walk *chain, HeapTuple tuple, TupleDesc desc, StringInfo buffer)
{
	bool isnull;
	int64 seq = DatumGetInt64(SPI_getbinval(tuple, desc, MULBERRY_AUDIT_SEQ, &isnull));
	bytea *stored = DatumGetByteaPP(SPI_getbinval(tuple, desc, MULBERRY_AUDIT_HASH, &isnull));
	uint8 hash[MB_SHA256_SIZE];

	if (seq <= chain->last)
	{
		break_at(chain, seq, "row " INT64_FORMAT " stands before the first", seq);
		return;
	}
	if (seq > chain->last + 1)
	{
		break_at(chain, chain->last + 1, "%s",
				 row_range(chain->last + 1, seq - 1, "is missing", "are missing"));
		return;
	}
	mulberry_audit_hash(tuple, desc, seq, chain->hash, buffer, hash);
	if (VARSIZE_ANY_EXHDR(stored) != MB_SHA256_SIZE ||
		memcmp(VARDATA_ANY(stored), hash, MB_SHA256_SIZE) != 0)
	{
		break_at(chain, seq,
				 "row " INT64_FORMAT " is not what was linked here: it was changed, put in, or "
				 "moved",
				 seq);
		return;
	}
	if (seq == chain->kept_seq && memcmp(hash, chain->kept_hash, MB_SHA256_SIZE) != 0)
	{
		break_at(chain, seq,
				 "row " INT64_FORMAT " does not have the hash that was kept: the log was written "
				 "anew up to it",
				 seq);
		return;
	}
	chain->last = seq;
	memcpy(chain->hash, hash, MB_SHA256_SIZE);
}

/* What the writer of the chain remembers of its end. */
static void
look_at_head(chain_walk *chain, Datum tenant)
{
	static mulberry_statement statement = {
		"SELECT h.last_seq, h.hash FROM mulberry_internal.audit_heads h WHERE h.tenant = $1",
		1,
		{ UUIDOID }
	};
	bool isnull;
	int64 last;
	bytea *hash;

	if (mulberry_statement_look(&statement, &tenant, NULL) == 0)
	{
		if (chain->last > 0)
			break_at(chain, chain->last + 1, "the head of the log is missing");
		return;
	}
	last = mulberry_result_int64(0, 1);
	hash = DatumGetByteaPP(mulberry_result_datum(0, 2, &isnull));
	if (last > chain->last)
		break_at(chain, chain->last + 1, "%s at the end",
				 row_range(chain->last + 1, last, "is missing", "are missing"));
	else if (last < chain->last)
		break_at(chain, last + 1, "%s behind the end",
				 row_range(last + 1, chain->last, "was put", "were put"));
	else if (VARSIZE_ANY_EXHDR(hash) != MB_SHA256_SIZE ||
			 memcmp(VARDATA_ANY(hash), chain->hash, MB_SHA256_SIZE) != 0)
		break_at(chain, last, "the head of the log does not fit row " INT64_FORMAT, last);
}

static char *
row_range(int64 first, int64 last, const char *singular, const char *plural)
{
	if (first == last)
		return psprintf("row " INT64_FORMAT " %s", first, singular);
	return psprintf("rows " INT64_FORMAT " to " INT64_FORMAT " %s", first, last, plural);
}

static void
break_at(chain_walk *chain, int64 seq, const char *format, ...)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list args;
		int needed;

		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	chain->broken = seq;
	chain->problem = text.data;
}
