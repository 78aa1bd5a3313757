/*
 * telephony.c
 *	  HTTP for calls and escalations; see telephony.h.
 *
 * Requests are forms in UTF-8 (application/x-www-form-urlencoded, repeated names for lists) or
 * JSON; the fields of a GET go into the query.  Answers are bytes here: JSON, recordings and
 * error pages alike go to SQL as bytea.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "server/guc.h"
#include "worker/statement.h"
#include "worker/telephony.h"
#include "worker/verdict.h"

#define MAX_RETRY_AFTER (24 * 60 * 60) /* s */

static mulberry_statement step_statement = {
	"SELECT ready, method, url, names, contents, json_body, user_name, secret, secret_tenant,"
	" timeout_ms, allow_http, allow_private, max_response, accept"
	" FROM mulberry_internal.telephony_step($1, $2)",
	2,
	{ INT8OID, INT8OID },
	NULL
};

static mulberry_statement answer_statement = {
	"SELECT mulberry_internal.telephony_answer($1, $2, $3, $4, make_interval(secs => $5), $6, $7)",
	7,
	{ INT8OID, INT8OID, TEXTOID, INT4OID, FLOAT8OID, BYTEAOID, TEXTOID },
	NULL
};

/* Appends a name or a value, in UTF-8, each byte but unreserved characters as %XX (RFC 3986). */
static void
append_encoded(StringInfo form, text *value)
{
	char *given = text_to_cstring(value);
	const char *utf8 = pg_server_to_any(given, (int) strlen(given), PG_UTF8);

	for (const unsigned char *c = (const unsigned char *) utf8; *c; c++)
	{
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			strchr("-._~", *c) != NULL)
			appendStringInfoChar(form, (char) *c);
		else
			appendStringInfo(form, "%%%02X", *c);
	}
}

/* The fields in columns "names" and "contents" of the step, as one form. */
static void
append_form(StringInfo form, int names_column, int contents_column)
{
	Datum *names;
	Datum *contents;
	int n;
	int m;
	bool isnull;
	Datum array = mulberry_result_datum(0, names_column, &isnull);

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
					  &n);
	array = mulberry_result_datum(0, contents_column, &isnull);
	if (isnull)
		elog(ERROR, "a request has names without contents");
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &contents, NULL,
					  &m);
	if (n != m)
		elog(ERROR, "a request has %d names and %d contents", n, m);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(form, '&');
		append_encoded(form, DatumGetTextPP(names[i]));
		appendStringInfoChar(form, '=');
		append_encoded(form, DatumGetTextPP(contents[i]));
	}
}

/* Method, URL and body of the step in the result. */
static void
make_request(mulberry_job *job)
{
	mulberry_http_request *request = &job->request;
	char *method = mulberry_result_text(0, 2, CurrentMemoryContext);
	char *url = mulberry_result_text(0, 3, CurrentMemoryContext);
	char *json = mulberry_result_text(0, 6, CurrentMemoryContext);
	StringInfoData form;
	MemoryContext old;

	initStringInfo(&form);
	append_form(&form, 4, 5);
	request->method = strcmp(method, "GET") == 0	  ? MULBERRY_HTTP_GET
					  : strcmp(method, "DELETE") == 0 ? MULBERRY_HTTP_DELETE
													  : MULBERRY_HTTP_POST;
	if (request->method != MULBERRY_HTTP_POST && form.len > 0)
		url = psprintf("%s%c%s", url, strchr(url, '?') ? '&' : '?', form.data);

	old = MemoryContextSwitchTo(job->context);
	request->url = pstrdup(url);
	if (request->method == MULBERRY_HTTP_POST)
	{
		const char *body = form.data;

		request->once = true;
		if (json)
			body = pg_server_to_any(json, (int) strlen(json), PG_UTF8);
		request->body = pstrdup(body);
		request->body_size = strlen(request->body);
		request->content_type = json ? "application/json" : "application/x-www-form-urlencoded";
	}
	MemoryContextSwitchTo(old);
	job->request_memory = request->body_size;
}

bool
mulberry_telephony_prepare(mulberry_job *job)
{
	Datum values[2] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token) };
	mulberry_http_request *request = &job->request;
	bool isnull;
	Datum tenant;
	int max_response;

	ForceSyncCommit();
	memset(request, 0, sizeof *request);
	if (mulberry_statement_run(&step_statement, values, NULL) != 1 || !mulberry_result_bool(0, 1))
		return false;

	make_request(job);
	request->user = mulberry_result_text(0, 7, job->context);
	job->secret = mulberry_result_text(0, 8, job->context);
	tenant = mulberry_result_datum(0, 9, &isnull);
	job->no_secret = isnull;
	if (!isnull)
		job->secret_tenant = *DatumGetUUIDP(tenant);
	request->timeout_ms = mulberry_result_int32(0, 10);
	request->allow_http = mulberry_result_bool(0, 11);
	request->allow_private = mulberry_result_bool(0, 12);
	max_response = mulberry_result_int32(0, 13);
	request->max_response =
		max_response > 0 ? (size_t) max_response : (size_t) mulberry_max_response_size;
	request->accept = mulberry_result_text(0, 14, job->context);
	request->owner = job;
	return true;
}

static const char *
outcome_name(const mulberry_http_answer *answer)
{
	if (answer == NULL)
		return "unreachable";
	switch (answer->outcome)
	{
		case MULBERRY_HTTP_ANSWERED:
			return "answered";
		case MULBERRY_HTTP_UNREACHABLE:
			return "unreachable";
		case MULBERRY_HTTP_BROKEN:
			return "broken";
		case MULBERRY_HTTP_TOO_LARGE:
			return "too large";
	}
	return NULL;
}

void
mulberry_telephony_answer(mulberry_job *job, const mulberry_http_answer *answer, const char *error)
{
	char nulls[8] = "       ";
	Datum values[7];
	bool answered = answer && answer->outcome == MULBERRY_HTTP_ANSWERED;
	bytea *body = NULL;

	if (answered && answer->body_size > 0)
	{
		body = palloc_extended(VARHDRSZ + answer->body_size, MCXT_ALLOC_HUGE);
		SET_VARSIZE(body, VARHDRSZ + answer->body_size);
		memcpy(VARDATA(body), answer->body, answer->body_size);
	}
	values[0] = Int64GetDatum(job->id);
	values[1] = Int64GetDatum(job->lease_token);
	values[2] = CStringGetTextDatum(outcome_name(answer));
	values[3] = Int32GetDatum(answered ? (int32) answer->status : 0);
	/* bounded, because a time so much later must exist */
	values[4] = Float8GetDatum(answered ? (double) Min(answer->retry_after, MAX_RETRY_AFTER) : 0);
	values[5] = PointerGetDatum(body);
	nulls[5] = body ? ' ' : 'n';
	if (!answered && error == NULL && answer)
		error = mulberry_judge_answer(answer).error;
	values[6] = error ? CStringGetTextDatum(error) : (Datum) 0;
	nulls[6] = error ? ' ' : 'n';
	mulberry_statement_run(&answer_statement, values, nulls);
}
