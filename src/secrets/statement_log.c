/*
 * statement_log.c
 *	  Keeps what is entered through certain views, and given to certain functions,
 *	  out of the server's log.
 *
 * COPY prints the line at hand with every message that comes up while it runs. So
 * the context of such messages is taken away by a log hook, together with the
 * few message texts that quote data.
 *
 * A plain INSERT into such a view is refused, but log_statement, log_duration,
 * pgaudit and kin log its text before that, and its parameters, and an error logs it as
 * its statement.  The same goes for a token that somebody authenticates by.  There the constants are masked, and nothing
 * else: whether a statement writes into such a view, or calls such a function, is decided on its tokens (core/text/sql_mask.h),
 * not on words that somebody may put into a comment to hide what they do.  And
 * only in databases that have the extension, as far as that is known.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "commands/prepare.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "core/text/sql_mask.h"
#include "secrets/statement_log.h"
#include "server/catalog.h"

static const mulberry_entry_view entry_views[] = { { "secret_entry", "tenant, name, value" },
												   { "voice_key_entry", "tenant, agent, key" } };
static const char *const view_names[] = { "secret_entry", "voice_key_entry", NULL };

/* Functions whose arguments nobody may read again. */
static const char *const function_names[] = { "authenticate", NULL };

static emit_log_hook_type previous_emit_log_hook;
static post_parse_analyze_hook_type previous_analyze_hook;

/* Whether the database has the extension; unknown until a statement has been analyzed. */
static enum { UNKNOWN, HERE, NOT_HERE } extension;

/* The masked text of the statement at hand; debug_query_string points to it. */
static char *masked_query;
static bool query_has_constants;

static void clean_message(ErrorData *edata);
static void clean_copy(ErrorData *edata);
static void clean_statement(ErrorData *edata);
static void clean_audit(ErrorData *edata);
static bool clean_plan(ErrorData *edata);
static void mask_in_context(ErrorData *edata);
static void note_extension(ParseState *pstate, Query *query, JumbleState *jumble);
static bool query_is_ours(void);
static char *masked(const char *text, MemoryContext context);

void
mulberry_statement_log_init(void)
{
	previous_emit_log_hook = emit_log_hook;
	emit_log_hook = clean_message;
	previous_analyze_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = note_extension;
}

const mulberry_entry_view *
mulberry_find_entry_view(const char *name)
{
	for (int i = 0; i < lengthof(entry_views); i++)
	{
		if (strcmp(name, entry_views[i].name) == 0)
			return &entry_views[i];
	}
	return NULL;
}

/* Whether a text could name one of the views: a cheap look before the careful one. */
static const mulberry_entry_view *
mentioned_view(const char *text)
{
	for (int i = 0; text != NULL && i < lengthof(entry_views); i++)
	{
		if (strcasestr(text, entry_views[i].name) != NULL)
			return &entry_views[i];
	}
	return NULL;
}

/* The same for one of the functions. */
static const char *
mentioned_function(const char *text)
{
	for (int i = 0; text != NULL && function_names[i] != NULL; i++)
	{
		if (strcasestr(text, function_names[i]) != NULL)
			return function_names[i];
	}
	return NULL;
}

/* The same for a statement that may execute one that was prepared. */
static bool
worth_a_look(const char *text)
{
	return text != NULL && (mentioned_view(text) != NULL || mentioned_function(text) != NULL ||
							strcasestr(text, "execute") != NULL);
}

/* Looks while catalogs can be read: a message may come up where they cannot. */
static void
note_extension(ParseState *pstate, Query *query, JumbleState *jumble)
{
	/* ROLLBACK is analyzed where nothing can be looked up any more */
	if (IsTransactionState() &&
		(extension == UNKNOWN || mentioned_view(pstate->p_sourcetext) != NULL ||
		 mentioned_function(pstate->p_sourcetext) != NULL))
		extension = OidIsValid(get_extension_oid(MULBERRY_EXTENSION, /* missing_ok */ true))
						? HERE
						: NOT_HERE;
	if (previous_analyze_hook != NULL)
		previous_analyze_hook(pstate, query, jumble);
}

static void
clean_message(ErrorData *edata)
{
	if (extension != NOT_HERE)
	{
		clean_copy(edata);
		clean_statement(edata);
		clean_audit(edata);
	}
	if (previous_emit_log_hook != NULL)
		previous_emit_log_hook(edata);
}

/* Replaces a palloc'd string of an error. */
static void
replace(ErrorData *edata, char **text, const char *by)
{
	if (*text != NULL)
	{
		explicit_bzero(*text, strlen(*text));
		pfree(*text);
	}
	*text = by == NULL ? NULL : MemoryContextStrdup(edata->assoc_context, by);
}

/* The view whose COPY a line of the context tells of, as CopyFromErrorCallback() words it. */
static const mulberry_entry_view *
copied_view(const char *context)
{
	for (const char *line = context; line != NULL; line = strchr(line, '\n'))
	{
		if (*line == '\n')
			line++;
		if (strncmp(line, "COPY ", 5) != 0)
			continue;
		for (int i = 0; i < lengthof(entry_views); i++)
		{
			size_t length = strlen(entry_views[i].name);

			if (strncmp(line + 5, entry_views[i].name, length) == 0 && line[5 + length] == ',')
				return &entry_views[i];
		}
	}
	return NULL;
}

/*
 * Takes what COPY quotes from the lines of such a view out of a message, before
 * it goes to the log or to the client.
 *
 * Messages with a parameter may quote data (a header that does not match, an
 * invalid byte sequence) and are replaced, but for the one that names a column.
 */
static void
clean_copy(ErrorData *edata)
{
	const mulberry_entry_view *view = copied_view(edata->context);
	const char *before;

	if (view == NULL)
		return;
	/* COPY of a file may stand in a function, whose SQL statement is in the context */
	before = edata->context;
	mask_in_context(edata);
	if (edata->context == before && !query_is_ours())
		return;
	replace(edata, &edata->context, psprintf("COPY %s (its lines are not shown)", view->name));
	if (edata->message_id == NULL ||
		(strchr(edata->message_id, '%') != NULL &&
		 strcmp(edata->message_id, "missing data for column \"%s\"") != 0))
	{
		replace(edata, &edata->message, psprintf("data for %s cannot be read", view->name));
		replace(edata, &edata->detail, NULL);
		replace(edata, &edata->detail_log, NULL);
		replace(edata, &edata->hint, NULL);
	}
}

/* Masks a text of a message in which a statement of ours may stand. */
static void
mask_in(ErrorData *edata, char **text)
{
	char *clean = worth_a_look(*text) ? masked(*text, edata->assoc_context) : NULL;

	if (clean != NULL)
	{
		replace(edata, text, clean);
		pfree(clean);
	}
}

/* Contexts quote statements that functions run: SQL statement "...", without escaping. */
static void
mask_in_context(ErrorData *edata)
{
	static const char quote[] = "SQL statement \"";
	const char *at = worth_a_look(edata->context) ? edata->context : NULL;

	while (at != NULL && (at = strstr(at, quote)) != NULL)
	{
		char *clean = masked(at += strlen(quote), edata->assoc_context);

		if (clean != NULL)
		{
			char *whole = psprintf("%.*s%s", (int) (at - edata->context), edata->context, clean);

			replace(edata, &edata->context, whole);
			pfree(whole);
			pfree(clean);
			return;
		}
	}
}

static bool
starts_with(const char *text, const char *with)
{
	return text != NULL && strncmp(text, with, strlen(with)) == 0;
}

static void
clean_statement(ErrorData *edata)
{
	bool ours = query_is_ours();
	int category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	if (edata->elevel < ERROR && !clean_plan(edata))
		mask_in(edata, &edata->message);
	mask_in(edata, &edata->detail);
	mask_in(edata, &edata->detail_log);
	mask_in_context(edata);
	mask_in(edata, &edata->internalquery);
	if (!ours)
		return;

	/* parameters have no names by which they could be told apart */
	if (starts_with(edata->detail, "parameters: ") || starts_with(edata->detail, "Parameters: "))
		replace(edata, &edata->detail, NULL);
	if (edata->context != NULL && strstr(edata->context, " with parameters: ") != NULL)
		replace(edata, &edata->context, NULL);
	/* a syntax error quotes a token, and a value that does not fit is quoted as well */
	if (query_has_constants && edata->elevel >= ERROR && edata->message_id != NULL &&
		strchr(edata->message_id, '%') != NULL &&
		(edata->sqlerrcode == ERRCODE_SYNTAX_ERROR || category == ERRCODE_DATA_EXCEPTION))
		replace(edata, &edata->message,
				edata->sqlerrcode == ERRCODE_SYNTAX_ERROR
					? "syntax error in a statement whose constants are not shown"
					: "invalid value in a statement whose constants are not shown");
}

/*
 * pgaudit puts the statement, quoted as in CSV, into the eighth field, and
 * its parameters behind it.
 */
static void
clean_audit(ErrorData *edata)
{
	const char *at = edata->message;
	bool quoted = false;
	int field = 1;
	StringInfoData statement;
	StringInfoData out;
	char *clean;

	if (!starts_with(at, "AUDIT: ") || !worth_a_look(at))
		return;
	for (; *at != '\0' && field < 8; at++)
	{
		if (*at == '"')
			quoted = !quoted;
		else if (*at == ',' && !quoted)
			field++;
	}
	if (field < 8)
		return;
	initStringInfo(&statement);
	if (*at == '"')
	{
		for (const char *c = at + 1; *c != '\0' && (*c != '"' || c[1] == '"'); c++)
		{
			if (*c == '"')
				c++;
			appendStringInfoChar(&statement, *c);
		}
	}
	else
		appendBinaryStringInfo(&statement, at, strcspn(at, ","));
	clean = masked(statement.data, edata->assoc_context);
	if (clean != NULL)
	{
		initStringInfo(&out);
		appendBinaryStringInfo(&out, edata->message, at - edata->message);
		appendStringInfoChar(&out, '"');
		for (const char *c = clean; *c != '\0'; c++)
		{
			if (*c == '"')
				appendStringInfoChar(&out, '"');
			appendStringInfoChar(&out, *c);
		}
		appendStringInfoString(&out, "\",<not shown>");
		replace(edata, &edata->message, out.data);
		pfree(out.data);
		pfree(clean);
	}
	explicit_bzero(statement.data, statement.len);
	pfree(statement.data);
}

/* What a JSON or YAML string that begins at "at" says; escapes of letters are left as they are. */
static char *
unescaped(const char *at)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *at != '\0' && *at != '"'; at++)
	{
		if (*at == '\\' && at[1] != '\0')
			at++;
		appendStringInfoChar(&out, *at == 'n' && at[-1] == '\\' ? '\n' : *at);
	}
	return out.data;
}

/*
 * auto_explain logs plans in one of four formats, with the statement, its
 * parameters, and its constants anywhere in the plan: all of it is left out.
 */
static bool
clean_plan(ErrorData *edata)
{
	static const char text_label[] = "Query Text: ";
	static const char json_label[] = "\"Query Text\": \"";
	static const char xml_label[] = "<Query-Text>";
	const mulberry_entry_view *view = mentioned_view(edata->message);
	const char *function = view == NULL ? mentioned_function(edata->message) : NULL;
	const char *at;
	char *statement;
	char *clean;

	if ((view == NULL && function == NULL) || !starts_with(edata->message_id, "duration: ") ||
		strstr(edata->message_id, "plan:") == NULL)
		return false;
	if ((at = strstr(edata->message, json_label)) != NULL)
		statement = unescaped(at + strlen(json_label));
	else if ((at = strstr(edata->message, xml_label)) != NULL)
		/* the entities of < and & are no matter to the tokens that count */
		statement = pstrdup(at + strlen(xml_label));
	else if ((at = strstr(edata->message, text_label)) != NULL)
		statement = at[strlen(text_label)] == '"' ? unescaped(at + strlen(text_label) + 1)
												  : pstrdup(at + strlen(text_label));
	else
		return false;
	clean = masked(statement, edata->assoc_context);
	explicit_bzero(statement, strlen(statement));
	pfree(statement);
	if (clean == NULL)
		return false;
	pfree(clean);
	replace(edata, &edata->message,
			psprintf("%.*splan of a statement that %s %s (not shown)",
					 (int) (strstr(edata->message, "plan:") - edata->message), edata->message,
					 view != NULL ? "writes into" : "calls", view != NULL ? view->name : function));
	return true;
}

/*
 * Whether the statement at hand writes into one of the views or calls one of the functions; then its masked
 * text takes the place of the one that would be logged.
 */
static bool
query_is_ours(void)
{
	char *clean;

	if (debug_query_string == NULL)
		return false;
	if (debug_query_string == masked_query)
		return true;
	if (!worth_a_look(debug_query_string))
		return false;
	clean = masked(debug_query_string, TopMemoryContext);
	if (clean == NULL)
		return false;
	query_has_constants = strcmp(clean, debug_query_string) != 0;
	if (masked_query != NULL)
		pfree(masked_query);
	masked_query = clean;
	debug_query_string = masked_query;
	return true;
}

/* The text of a prepared statement, for EXECUTE. */
static const char *
prepared_text(const char *name, size_t length)
{
	char key[NAMEDATALEN];
	PreparedStatement *statement;

	if (length >= NAMEDATALEN)
		return NULL;
	memcpy(key, name, length);
	key[length] = '\0';
	statement = FetchPreparedStatement(key, /* throwError */ false);
	if (statement == NULL)
	{
		/* as it is folded when it is not quoted */
		for (char *c = key; *c != '\0'; c++)
			*c = pg_tolower((unsigned char) *c);
		statement = FetchPreparedStatement(key, /* throwError */ false);
	}
	return statement == NULL ? NULL : statement->plansource->query_string;
}

/* The text with the constants of such statements masked; NULL when it has none. */
static char *
masked(const char *text, MemoryContext context)
{
	mb_sql_mask mask = { "mulberry", view_names, function_names, !standard_conforming_strings,
						 prepared_text };
	size_t length = strlen(text);
	char *out = MemoryContextAllocExtended(context, mb_sql_mask_size(length),
										   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);

	if (out == NULL)
		return MemoryContextStrdup(context, "(not shown)");
	if (mb_sql_mask_text(&mask, text, length, out))
		return out;
	pfree(out);
	return NULL;
}
