/*
 * twilio.c
 *	  Twilio's REST API of 2010-04-01 as far as placing calls and fetching their recordings needs it.
 *
 * Requests are forms in UTF-8 (application/x-www-form-urlencoded, repeated names for lists); the
 * fields of a GET go into the query.  Of answers, what has not Twilio's form is left out.
 */
#include "server/compat.h"

#include "mb/pg_wchar.h"

#include "core/web/header_time.h"
#include "worker/json_value.h"
#include "worker/kinds.h"
#include "worker/request.h"

#define ACCOUNTS "/2010-04-01/Accounts/"
#define PAGE_SIZE "50"
#define LARGEST_RECORDING (32 * 1024 * 1024)	 /* bytes, of a call that we placed */
#define LARGEST_CONVERSATION (128 * 1024 * 1024) /* of one that came in: an hour on two channels */
#define SID_DIGITS 32
#define LONGEST_MESSAGE 200 /* bytes, of Twilio's message in a problem */

/* Appends a name or a value, in UTF-8, each byte but unreserved characters as %XX (RFC 3986). */
static void
append_encoded(StringInfo form, const char *given)
{
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

/* Appends a field unless its value is NULL. */
static void
append_field(StringInfo form, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (form->len > 0)
		appendStringInfoChar(form, '&');
	append_encoded(form, name);
	appendStringInfoChar(form, '=');
	append_encoded(form, value);
}

/* Appends a field once for each word of "values". */
static void
append_list(StringInfo form, const char *name, const char *const *values)
{
	for (; *values; values++)
		append_field(form, name, *values);
}

static void
append_number(StringInfo form, const char *name, int number)
{
	char text[16];

	snprintf(text, sizeof text, "%d", number);
	append_field(form, name, text);
}

/* What a call is to be, and where to say what becomes of it. */
static void
append_call(StringInfo form, const mulberry_call_order *order)
{
	static const char *const call_events[] = { "initiated", "ringing", "answered", "completed",
											   NULL };
	static const char *const recording_events[] = { "completed", "absent", NULL };

	append_field(form, "To", order->to);
	append_field(form, "From", order->from);
	append_number(form, "Timeout", order->ring_seconds);
	append_number(form, "TimeLimit", order->most_seconds);
	append_field(form, "Twiml", order->document);
	append_field(form, "MachineDetection", order->machine_detection);
	if (order->record)
	{
		/* on channels of their own, tones are not covered by what the other side says */
		append_field(form, "Record", "true");
		append_field(form, "RecordingChannels", "dual");
	}
	if (order->status_callback)
	{
		append_field(form, "StatusCallback", order->status_callback);
		append_field(form, "StatusCallbackMethod", "POST");
		append_list(form, "StatusCallbackEvent", call_events);
	}
	if (order->recording_callback)
	{
		append_field(form, "RecordingStatusCallback", order->recording_callback);
		append_field(form, "RecordingStatusCallbackMethod", "POST");
		append_list(form, "RecordingStatusCallbackEvent", recording_events);
	}
}

/* The path of an order below the base URL, and the fields that go with it. */
static char *
describe(const mulberry_call_order *order, StringInfo form)
{
	char *account = psprintf(ACCOUNTS "%s", order->account);

	switch (order->request)
	{
		case MULBERRY_CALL_CREATE:
			append_call(form, order);
			return psprintf("%s/Calls.json", account);
		case MULBERRY_CALL_LIST:
			if (order->page)
				return order->page;
			/* Not by StartTime: a call that has not begun has none. */
			append_field(form, "To", order->to);
			append_field(form, "From", order->from);
			append_field(form, "PageSize", PAGE_SIZE);
			return psprintf("%s/Calls.json", account);
		case MULBERRY_CALL_LOOK_AT:
			return psprintf("%s/Calls/%s.json", account, order->sid);
		case MULBERRY_CALL_END:
			append_field(form, "Status", order->status);
			return psprintf("%s/Calls/%s.json", account, order->sid);
		case MULBERRY_CALL_RECORDINGS:
			return psprintf("%s/Calls/%s/Recordings.json", account, order->sid);
		case MULBERRY_CALL_MEDIA:
			append_field(form, "RequestedChannels", "2");
			return psprintf("%s/Recordings/%s.wav", account, order->sid);
		case MULBERRY_CALL_DELETE_RECORDING:
			return psprintf("%s/Recordings/%s.json", account, order->sid);
	}
	return NULL;
}

static void
ask_call(mulberry_job *job, const mulberry_call_order *order)
{
	mulberry_http_request *request = &job->request;
	StringInfoData form;
	char *path;
	MemoryContext old;

	initStringInfo(&form);
	path = describe(order, &form);
	if (order->request == MULBERRY_CALL_CREATE || order->request == MULBERRY_CALL_END)
	{
		mulberry_request_begin(job, path);
		old = MemoryContextSwitchTo(job->context);
		request->body = pstrdup(form.data);
		MemoryContextSwitchTo(old);
		request->body_size = (size_t) form.len;
		request->content_type = "application/x-www-form-urlencoded";
		request->once = true;
		job->request_memory = request->body_size;
	}
	else
	{
		if (form.len > 0)
			path = psprintf("%s?%s", path, form.data);
		mulberry_request_begin(job, path);
		request->method = order->request == MULBERRY_CALL_DELETE_RECORDING ? MULBERRY_HTTP_DELETE
																		   : MULBERRY_HTTP_GET;
	}
	request->user = order->user;
	request->accept = "application/json";
	if (order->request == MULBERRY_CALL_MEDIA)
	{
		request->accept = "audio/*";
		request->bytes = true;
		request->max_response =
			job->kind->id == MULBERRY_JOB_FETCH ? LARGEST_CONVERSATION : LARGEST_RECORDING;
	}
}

/* The name of a call (CA) or a recording (RE), or NULL when it is none. */
static char *
sid_of(JsonbContainer *object, const char *prefix)
{
	char *sid = mulberry_json_string(object, "sid");

	if (sid == NULL || strncmp(sid, prefix, 2) != 0 || strlen(sid) != 2 + SID_DIGITS ||
		strspn(sid + 2, "0123456789abcdef") != SID_DIGITS)
		return NULL;
	return sid;
}

static void
read_entry(JsonbContainer *object, const char *prefix, mulberry_call_entry *entry)
{
	char *created = mulberry_json_string(object, "date_created");
	char *direction = mulberry_json_string(object, "direction");

	entry->sid = sid_of(object, prefix);
	entry->to = mulberry_json_string(object, "to");
	entry->from = mulberry_json_string(object, "from");
	entry->inbound = direction && strcmp(direction, "inbound") == 0;
	entry->has_created = created && mb_mail_date(created, &entry->created);
	entry->status = mulberry_json_string(object, "status");
	entry->answered_by = mulberry_json_string(object, "answered_by");
}

/* A list of calls or recordings; those without a name are left out. */
static void
read_list(JsonbContainer *answer, const char *name, const char *prefix,
		  mulberry_call_answer *result)
{
	JsonbValue value;
	JsonbContainer *list;

	if (!mulberry_json_member(answer, name, &value) ||
		(list = mulberry_json_container(&value)) == NULL || !JsonContainerIsArray(list))
		return;
	result->listed = true;
	result->entries = palloc0(sizeof(mulberry_call_entry) * (JsonContainerSize(list) + 1));
	for (uint32 i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbContainer *object = mulberry_json_container(getIthJsonbValueFromContainer(list, i));

		if (object == NULL || sid_of(object, prefix) == NULL)
			continue;
		read_entry(object, prefix, &result->entries[result->n++]);
	}
}

/* Where the list of calls goes on: a path of an account's calls, and nothing that leads elsewhere. */
static char *
next_page(JsonbContainer *answer)
{
	char *page = mulberry_json_string(answer, "next_page_uri");
	const char *at;

	if (page == NULL || strncmp(page, ACCOUNTS "AC", strlen(ACCOUNTS "AC")) != 0)
		return NULL;
	at = page + strlen(ACCOUNTS "AC");
	if (strspn(at, "0123456789abcdef") != SID_DIGITS ||
		strncmp(at + SID_DIGITS, "/Calls.json?", strlen("/Calls.json?")) != 0)
		return NULL;
	for (at = page; *at; at++)
	{
		if ((unsigned char) *at <= ' ' || (unsigned char) *at >= 0x7f)
			return NULL;
	}
	return page;
}

/* What Twilio says is wrong, one line. */
static char *
problem_of(long status, JsonbContainer *answer)
{
	char *message = answer ? mulberry_json_string(answer, "message") : NULL;
	char *code = answer ? mulberry_json_text(answer, "code") : NULL;

	if (message == NULL)
		return psprintf("HTTP %ld", status);
	message[pg_mbcliplen(message, (int) strlen(message), LONGEST_MESSAGE)] = '\0';
	return psprintf("HTTP %ld, Twilio error %s: %s", status, code ? code : "?", message);
}

static void
read_call(const mulberry_call_order *order, const mulberry_http_answer *answer,
		  mulberry_call_answer *result)
{
	bool ok = answer->status >= 200 && answer->status < 300;
	Jsonb *json = NULL;
	JsonbContainer *object = NULL;

	if (order->request == MULBERRY_CALL_MEDIA && ok)
	{
		result->body = answer->body;
		result->body_size = answer->body_size;
		return;
	}
	json = mulberry_json_find(answer->body, answer->body_size);
	if (json && JB_ROOT_IS_OBJECT(json))
		object = &json->root;
	if (!ok)
	{
		result->problem = problem_of(answer->status, object);
		return;
	}
	switch (order->request)
	{
		case MULBERRY_CALL_CREATE:
		case MULBERRY_CALL_LOOK_AT:
		case MULBERRY_CALL_END:
			result->entries = palloc0(sizeof(mulberry_call_entry));
			result->n = 1;
			result->listed = true;
			if (object)
				read_entry(object, "CA", result->entries);
			break;
		case MULBERRY_CALL_LIST:
			if (object)
			{
				read_list(object, "calls", "CA", result);
				result->next_page = next_page(object);
			}
			break;
		case MULBERRY_CALL_RECORDINGS:
			if (object)
				read_list(object, "recordings", "RE", result);
			break;
		case MULBERRY_CALL_MEDIA:
		case MULBERRY_CALL_DELETE_RECORDING:
			break;
	}
}

const mulberry_protocol mulberry_twilio = {
	.ask_call = ask_call,
	.read_call = read_call,
};
