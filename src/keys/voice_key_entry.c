/*
 * voice_key_entry.c
 *	  How a voice key enters its edge: by COPY of the exported line into the view
 *	  voice_key_entry, so that it never stands in a statement's text or in the server's log.
 *
 * The line is voice_key_line.c's, keeping COPY silent secret_entry.c's, the row of the key that
 * of the SQL function import_voice_key(), which never sees the bytes.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "access/access.h"
#include "core/crypto/digest.h"
#include "secrets/secrets.h"
#include "keys/voice_key_line.h"
#include "server/catalog.h"

PG_FUNCTION_INFO_V1(mulberry_enter_voice_key);

/* Columns of the view. */
enum voice_key_entry_column
{
	ENTRY_TENANT = 1,
	ENTRY_AGENT,
	ENTRY_KEY
};

/* The line of the row at hand, without spaces around it. */
static void
take_line(HeapTuple tuple, TupleDesc desc, mulberry_voice_key_line *line)
{
	bool isnull;
	Datum value = heap_getattr(tuple, ENTRY_KEY, desc, &isnull);
	const char *problem;
	text *plain;
	char *start;
	Size n;

	if (isnull)
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("the line of a voice key must not be null"));
	plain = DatumGetTextPCopy(value);
	start = VARDATA_ANY(plain);
	n = VARSIZE_ANY_EXHDR(plain);
	while (n > 0 && isspace((unsigned char) *start))
		start++, n--;
	while (n > 0 && isspace((unsigned char) start[n - 1]))
		n--;
	problem = mulberry_voice_key_line_read(start, n, line);
	explicit_bzero(VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
	if (problem != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("this is no line of a voice key: %s", problem),
				errhint("Enter the line that export_voice_key() gave, unchanged."));
}

/* Makes the rows as the owner of the tables; returns the name for the secret. */
static char *
make_rows(const pg_uuid_t *tenant, char *agent_name, const mulberry_voice_key_line *line)
{
	Oid types[] = { UUIDOID, TEXTOID, UUIDOID, UUIDOID, INT4OID, BOOLOID, TEXTOID };
	Datum values[lengthof(types)];
	char nulls[lengthof(types) + 1];
	char fingerprint[MULBERRY_VOICE_FINGERPRINT_SIZE + 1];
	MemoryContext caller = CurrentMemoryContext;
	char *secret;
	bool isnull;
	mulberry_identity identity;

	memset(nulls, ' ', lengthof(types));
	nulls[lengthof(types)] = '\0';
	mulberry_voice_key_fingerprint(line->bytes, fingerprint);
	values[0] = UUIDPGetDatum(tenant);
	values[1] = agent_name == NULL ? (Datum) 0 : CStringGetTextDatum(agent_name);
	nulls[1] = agent_name == NULL ? 'n' : ' ';
	values[2] = UUIDPGetDatum((const pg_uuid_t *) line->party.tenant);
	values[3] = UUIDPGetDatum((const pg_uuid_t *) line->party.edge);
	values[4] = Int32GetDatum(line->key_id);
	values[5] = BoolGetDatum(line->challenge_extend);
	values[6] = CStringGetTextDatum(fingerprint);

	identity = mulberry_become_owner();
	SPI_connect();
	if (SPI_execute_with_args(
			"SELECT mulberry_internal.import_voice_key($1, $2, $3, $4, $5, $6, $7)",
			lengthof(types), types, values, nulls, false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not store a voice key");
	secret =
		MemoryContextStrdup(caller, TextDatumGetCString(SPI_getbinval(
										SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)));
	SPI_finish();
	mulberry_leave_owner(identity);
	return secret;
}

/* Trigger, instead of an insert into voice_key_entry (tenant, agent, key). */
Datum
mulberry_enter_voice_key(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	ErrorContextCallback *context = error_context_stack;
	mulberry_voice_key_line line;
	pg_uuid_t tenant;
	TupleDesc desc;
	char *secret;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("enter_voice_key() must be called as a trigger")));
	mulberry_require_copy(trigger->tg_relation);
	/* for log hooks that were installed after ours: without context nothing is quoted */
	error_context_stack = NULL;

	desc = RelationGetDescr(trigger->tg_relation);
	tenant = mulberry_resolve_tenant(mulberry_entry_text(trigger->tg_trigtuple, desc, ENTRY_TENANT),
									 MULBERRY_ACCESS_ADMIN)
				 ->id;
	take_line(trigger->tg_trigtuple, desc, &line);
	secret =
		make_rows(&tenant, mulberry_entry_text(trigger->tg_trigtuple, desc, ENTRY_AGENT), &line);
	mulberry_secret_store(&tenant, secret, (char *) line.bytes, sizeof(line.bytes));
	mb_forget(&line, sizeof(line));

	error_context_stack = context;
	return PointerGetDatum(trigger->tg_trigtuple);
}
