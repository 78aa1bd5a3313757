/*
 * secret_entry.c
 *	  The two ways by which a secret enters: COPY into the view secret_entry,
 *	  and a file of the server.  It keeps values out of statement texts and
 *	  gives them to secrets.c.
 *
 * The hooks of statement_log.c must be there before COPY reads the first line, in a
 * session that has not called us before as well: that is why the view's column is of a
 * type whose input function is ours.  COPY looks it up, and so loads this library, before it reads.
 */
#include "server/compat.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "catalog/pg_authid.h"
#include "commands/copyfrom_internal.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "access/access.h"
#include "access/callers.h"
#include "secrets/secrets.h"
#include "secrets/statement_log.h"
#include "server/texts.h"

/* Names that begin so are given by voice_keys alone, to secrets that nobody else may change. */
#define VOICE_KEY_PREFIX "voice-key-"

PG_FUNCTION_INFO_V1(mulberry_secret_value_in);
PG_FUNCTION_INFO_V1(mulberry_secret_value_out);
PG_FUNCTION_INFO_V1(mulberry_enter_secret);
PG_FUNCTION_INFO_V1(mulberry_load_secret);

static bool inside_copy_into(Relation rel);
static void check_secret_name(const char *name);
static void strip_newline(char *value, Size *length);

void
mulberry_secrets_init(void)
{
	mulberry_statement_log_init();
}

/* secret_value: a text that is never shown.  Its input cannot fail. */
Datum
mulberry_secret_value_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(PG_GETARG_CSTRING(0)));
}

Datum
mulberry_secret_value_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(pstrdup("********"));
}

/* ---------------------------------------------------------------------------
 * Entering
 * ---------------------------------------------------------------------------
 */

/*
 * A plain INSERT has its values in the text or the parameters of a statement,
 * where the server logs them: it is refused, and the error hides the statement.
 */
void
mulberry_require_copy(Relation view)
{
	const mulberry_entry_view *known = mulberry_find_entry_view(RelationGetRelationName(view));

	if (known == NULL)
		elog(ERROR, "\"%s\" is no view that secrets enter by", RelationGetRelationName(view));
	if (!inside_copy_into(view))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errhidestmt(true),
				 errmsg("a secret must not stand in the text or the parameters of a statement"),
				 errdetail("Statements are logged and shown to others."),
				 errhint("Use \\copy mulberry.%s (%s) FROM ..., and change this secret: the "
						 "server's log may hold it.",
						 known->name, known->columns)));
}

/* Trigger, instead of an insert into secret_entry (tenant, name, value). */
Datum
mulberry_enter_secret(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	ErrorContextCallback *context = error_context_stack;
	TupleDesc desc;
	char *tenant;
	char *name;
	Datum value;
	bool isnull;
	text *plain;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("enter_secret() must be called as a trigger")));
	mulberry_require_copy(trigger->tg_relation);

	/* for hooks that were installed after ours: without context nothing is quoted */
	error_context_stack = NULL;

	desc = RelationGetDescr(trigger->tg_relation);
	tenant = mulberry_entry_text(trigger->tg_trigtuple, desc, 1);
	name = mulberry_entry_text(trigger->tg_trigtuple, desc, 2);
	value = heap_getattr(trigger->tg_trigtuple, 3, desc, &isnull);
	if (name == NULL || isnull)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("name and value of a secret must not be null")));
	check_secret_name(name);
	plain = DatumGetTextPCopy(value);
	mulberry_secret_store(&mulberry_resolve_tenant(tenant, MULBERRY_ACCESS_ADMIN)->id, name,
						  VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
	explicit_bzero(VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));

	error_context_stack = context;
	return PointerGetDatum(trigger->tg_trigtuple);
}

static bool
may_read_server_files(Oid role)
{
	return has_privs_of_role(role, ROLE_PG_READ_SERVER_FILES);
}

/*
 * load_secret(name text, server_file text, tenant text) → void
 *
 * For a secret that lies in a file of the server already, as a mounted one does.
 */
Datum
mulberry_load_secret(PG_FUNCTION_ARGS)
{
	const mulberry_tenant *tenant;
	char *path;
	char *value;
	Size length;
	struct stat status;
	int file;
	int got;

	mulberry_require_access_everywhere(MULBERRY_ACCESS_ADMIN);
	if (!mulberry_every_caller(may_read_server_files))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only a member of pg_read_server_files may load a secret from a "
							   "file of the server"),
						errhint("\\copy mulberry.secret_entry reads a file of the client.")));
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("name and server_file must not be null")));
	tenant = mulberry_resolve_tenant(PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
									 MULBERRY_ACCESS_ADMIN);

	mulberry_check_argument("server_file", PG_GETARG_TEXT_PP(1));
	check_secret_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	path = text_to_cstring(PG_GETARG_TEXT_PP(1));
	canonicalize_path(path);
	/* not blocking, because a FIFO without a writer would hold the session */
	file = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (file < 0 || fstat(file, &status) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
	if (!S_ISREG(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a regular file", path)));

	/* two bytes more than allowed: a newline, and one that shows it is too long */
	value = palloc(MULBERRY_MAX_SECRET_SIZE + 2);
	got = read(file, value, MULBERRY_MAX_SECRET_SIZE + 2);
	if (got < 0 || CloseTransientFile(file) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read file \"%s\": %m", path)));
	length = got;
	strip_newline(value, &length);
	mulberry_secret_store(&tenant->id, text_to_cstring(PG_GETARG_TEXT_PP(0)), value, length);
	explicit_bzero(value, MULBERRY_MAX_SECRET_SIZE + 2);
	PG_RETURN_VOID();
}

/* True while COPY FROM inserts into that relation, and nothing lies between. */
static bool
inside_copy_into(Relation rel)
{
	return error_context_stack != NULL && error_context_stack->callback == CopyFromErrorCallback &&
		   RelationGetRelid(((CopyFromState) error_context_stack->arg)->rel) ==
			   RelationGetRelid(rel);
}

char *
mulberry_entry_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
check_secret_name(const char *name)
{
	mulberry_check_text("name", name, (int) strlen(name));
	if (strncmp(name, VOICE_KEY_PREFIX, strlen(VOICE_KEY_PREFIX)) == 0)
		ereport(ERROR, errcode(ERRCODE_RESERVED_NAME),
				errmsg("secret \"%s\" belongs to a voice key", name),
				errhint("Voice keys are made by create_voice_key() and enter an edge through "
						"voice_key_entry."));
}

/* Editors and echo end a file with a newline that is no part of the secret. */
static void
strip_newline(char *value, Size *length)
{
	if (*length > 0 && value[*length - 1] == '\n')
	{
		(*length)--;
		if (*length > 0 && value[*length - 1] == '\r')
			(*length)--;
	}
}
