/*
 * query.c
 *	  One request, one prepared statement, one transaction, one answer; see query.h.
 */
#include "query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define IS_NULL SIZE_MAX

/* ---------------------------------------------------------------------------
 * Parameters
 * ---------------------------------------------------------------------------
 */

void
gw_query_add(gw_query *query, const char *text)
{
	int i = query->unit.n_parameters++;

	query->places[i] = text == NULL ? IS_NULL : query->text.length;
	if (text != NULL)
		program_text_add(&query->text, text, strlen(text) + 1);
}

const char *
gw_query_text(const gw_query *query, int i)
{
	return query->places[i] == IS_NULL || query->text.failed ? NULL
															 : query->text.data + query->places[i];
}

void
gw_query_add_bytes(gw_query *query, void *memory, const char *bytes, size_t n)
{
	int i = query->unit.n_parameters++;

	query->places[i] = IS_NULL;
	query->memory = memory;
	query->unit.values[i] = bytes;
	query->unit.lengths[i] = (int) n;
	query->unit.formats[i] = 1;
	query->gateway->n_uploads++;
}

void
gw_query_for(gw_query *query, const char *access, const char *tenant)
{
	query->unit.token = NULL;
	query->unit.access = access;
	query->unit.tenant = tenant;
}

/* A list as PostgreSQL writes arrays. */
static void
add_texts(gw_query *query, const json_t *list)
{
	program_text text = { 0 };
	const json_t *element;
	size_t i;

	program_text_puts(&text, "{");
	json_array_foreach(list, i, element)
	{
		program_text_puts(&text, i == 0 ? "\"" : ",\"");
		for (const char *at = json_string_value(element); *at != '\0'; at++)
		{
			if (*at == '"' || *at == '\\')
				program_text_puts(&text, "\\");
			program_text_add(&text, at, 1);
		}
		program_text_puts(&text, "\"");
	}
	program_text_add(&text, "}", 2);
	query->text.failed = query->text.failed || text.failed;
	gw_query_add(query, text.failed ? NULL : text.data);
	program_text_free(&text);
}

static void
add_field(gw_query *query, gw_fields *fields, const gw_parameter *parameter)
{
	char time[GW_TIME_SIZE];
	const json_t *json = NULL;
	const char *text = NULL;
	char *dump = NULL;
	int64_t number;
	bool truth;

	switch (parameter->type)
	{
		case GW_STRING:
			text = parameter->choices != NULL
					   ? gw_fields_choice(fields, parameter->name, parameter->required,
										  parameter->choices)
					   : gw_fields_text(fields, parameter->name, parameter->required,
										parameter->least, parameter->most);
			break;
		case GW_INTEGER:
			if (gw_fields_integer(fields, parameter->name, parameter->required, parameter->least,
								  parameter->above, parameter->most, &number))
			{
				snprintf(time, sizeof(time), "%lld", (long long) number);
				text = time;
			}
			break;
		case GW_NUMBER:
			snprintf(time, sizeof(time), "%.17g", gw_fields_positive(fields, parameter->name));
			text = time;
			break;
		case GW_BOOLEAN:
			if (gw_fields_boolean(fields, parameter->name, parameter->required, &truth))
				text = truth ? "true" : "false";
			break;
		case GW_TIME:
			if (gw_fields_time(fields, parameter->name, parameter->required, time))
				text = time;
			break;
		case GW_OBJECT:
			json = gw_fields_object(fields, parameter->name, parameter->required);
			dump = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));
			query->text.failed = query->text.failed || (json != NULL && dump == NULL);
			text = dump;
			break;
		case GW_LIST:
			break;
		case GW_STRINGS:
			json = gw_fields_texts(fields, parameter->name, parameter->required);
			if (json != NULL)
			{
				add_texts(query, json);
				return;
			}
			break;
	}
	gw_query_add(query, text);
	free(dump);
}

/* Whether the plan has fields there; and whether it needs one. */
static bool
has_fields(const gw_plan *plan, gw_place place, bool *required)
{
	bool any = false;

	*required = false;
	for (int i = 0; i < plan->n_parameters; i++)
	{
		if (plan->parameters[i].place != place)
			continue;
		any = true;
		*required = *required || plan->parameters[i].required;
	}
	return any;
}

/* The parameters of a query or a body. */
static void
read_fields(gw_query *query, gw_call *call, gw_fields *fields, gw_place place)
{
	const gw_plan *plan = query->plan;
	bool required;
	bool there;

	if (!has_fields(plan, place, &required))
		return;
	if (place == GW_IN_QUERY)
		there = gw_fields_begin_query(fields, call->request);
	else if (http_request_body(call->request).length == 0 && !required)
		there = true;
	else
		there = gw_fields_begin(fields, call->request);
	if (!there)
		return;
	for (int i = 0; i < plan->n_parameters; i++)
	{
		if (plan->parameters[i].place == place)
			add_field(query, fields, &plan->parameters[i]);
	}
}

bool
gw_query_read(gw_query *query, gw_call *call)
{
	gw_fields fields = { 0 };
	int segment = 0;
	bool fine;

	for (int i = 0; i < query->plan->n_parameters; i++)
	{
		if (query->plan->parameters[i].place == GW_IN_PATH && segment < call->n_segments)
			gw_query_add(query, call->segments[segment++].data);
	}
	read_fields(query, call, &fields, GW_IN_QUERY);
	read_fields(query, call, &fields, GW_IN_BODY);
	fine = gw_fields_end(&fields);
	if (!fine)
		gw_answer(call->gateway, query->id, fields.status, &fields.error);
	gw_fields_free(&fields);
	return fine;
}

/* ---------------------------------------------------------------------------
 * Its way
 * ---------------------------------------------------------------------------
 */

gw_query *
gw_query_new(gw_call *call, const gw_plan *plan)
{
	gw_query *query = calloc(1, sizeof(*query));

	if (query != NULL && call->n_segments > 0)
	{
		query->subject = strdup(call->segments[0].data);
		if (query->subject == NULL)
		{
			free(query);
			query = NULL;
		}
	}
	if (query == NULL)
	{
		gw_answer_detail(call->gateway, http_request_id(call->request), 503, "Out of memory");
		return NULL;
	}
	query->plan = plan;
	query->gateway = call->gateway;
	query->id = http_request_id(call->request);
	query->unit.statement = plan->statement;
	if (call->identity != NULL)
	{
		query->identity = gw_identity_hold(call->identity);
		gw_unit_for(&query->unit, call->identity);
	}
	return query;
}

void
gw_query_free(gw_query *query)
{
	if (query->identity != NULL)
		gw_identity_release(query->identity);
	program_text_free(&query->text);
	if (query->memory != NULL)
		query->gateway->n_uploads--;
	free(query->memory);
	free(query->subject);
	free(query->user);
	free(query);
}

void
gw_query_answer_404(gw_query *query, const char *sentence)
{
	const char *place;

	if (sentence == NULL)
		sentence = query->plan->missing == NULL ? "Not Found" : query->plan->missing;
	place = strstr(sentence, "%s");
	if (place == NULL || query->subject == NULL)
		gw_answer_detail(query->gateway, query->id, 404, "%s", sentence);
	else
		gw_answer_detail(query->gateway, query->id, 404, "%.*s%s%s", (int) (place - sentence),
						 sentence, query->subject, place + 2);
}

static void
answer_body(gw_query *query, const PGresult *rows)
{
	int status = query->plan->status == 0 ? 200 : query->plan->status;
	program_text body = { 0 };

	if (PQntuples(rows) == 0 || PQgetisnull(rows, 0, 0))
	{
		gw_query_answer_404(query, query->plan->absent);
		return;
	}
	program_text_add(&body, PQgetvalue(rows, 0, 0), (size_t) PQgetlength(rows, 0, 0));
	if (PQnfields(rows) > 1)
		status = (int) strtol(PQgetvalue(rows, 0, 1), NULL, 10);
	gw_answer(query->gateway, query->id, status, &body);
	program_text_free(&body);
}

/* Whether an error says that what the path names is not there; something else may be missing as well. */
static bool
is_missing(const gw_query *query, const PGresult *error)
{
	const char *message = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);
	size_t n = query->subject == NULL ? 0 : strlen(query->subject);

	if (gw_status_of(gw_sqlstate(error)) != 404 || message == NULL || n == 0)
		return false;
	for (const char *at = strchr(message, '"'); at != NULL; at = strchr(at + 1, '"'))
	{
		if (strncmp(at + 1, query->subject, n) == 0 && strcmp(at + 1 + n, "\" does not exist") == 0)
			return true;
	}
	return false;
}

static void
done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	gw_query *query = (gw_query *) unit;
	const gw_plan *plan = query->plan;

	if (outcome == GW_COMMITTED)
	{
		if (query->identity != NULL)
			gw_identity_is_used(query->identity);
		if (plan->answer != NULL)
			plan->answer(query, result);
		else
			answer_body(query, result);
	}
	else if (plan->fail != NULL && plan->fail(query, outcome, result))
		;
	else if (outcome == GW_FAILED && plan->missing != NULL && is_missing(query, result))
		gw_query_answer_404(query, plan->missing);
	else
		gw_answer_outcome(query->gateway, query->id, query->identity, outcome, result);
	gw_query_free(query);
}

void
gw_query_send(gw_query *query)
{
	if (query->text.failed)
	{
		gw_answer_detail(query->gateway, query->id, 503, "Out of memory");
		gw_query_free(query);
		return;
	}
	for (int i = 0; i < query->unit.n_parameters; i++)
	{
		if (query->places[i] != IS_NULL)
			query->unit.values[i] = query->text.data + query->places[i];
	}
	query->unit.done = done;
	gw_database_add(query->gateway->database, &query->unit);
}

void
gw_handle_query(gw_call *call)
{
	gw_query *query = gw_query_new(call, call->action->plan);

	if (query == NULL)
		return;
	if (gw_query_read(query, call))
		gw_query_send(query);
	else
		gw_query_free(query);
}
