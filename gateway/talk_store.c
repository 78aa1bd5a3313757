/*
 * talk_store.c
 *	  What the database is told of a conversation, after the fact: the inputs of the turn engine, and what was heard.
 *
 * Nothing waits for it, and it is told again until it has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "talk_internal.h"

#define STORE_EVERY (5 * HTTP_SECOND)
#define AGAIN HTTP_SECOND
#define MAX_TURNS 10000
#define MAX_TRIES 600

typedef struct storing
{
	gw_unit unit;
	gw_talk *talk;
	program_array records;
	int n_records;
	char first[16];
	bool end;
	char *lines;
} storing;

static void store(void *arg);

/* ---------------------------------------------------------------------------
 * Lines
 * ---------------------------------------------------------------------------
 */

static talk_line *
line_of(gw_talk *talk, uint32_t turn)
{
	if (turn >= MAX_TURNS)
		return NULL;
	if (turn >= talk->n_lines)
	{
		size_t n = (size_t) turn + 1;
		talk_line *more = realloc(talk->lines, n * sizeof(*more));

		if (more == NULL)
			return NULL;
		memset(more + talk->n_lines, 0, (n - talk->n_lines) * sizeof(*more));
		talk->lines = more;
		talk->n_lines = n;
	}
	return &talk->lines[turn];
}

void
talk_note_caller(gw_talk *talk, uint32_t turn, const char *text, size_t n)
{
	talk_line *line = n == 0 ? NULL : line_of(talk, turn);

	if (line == NULL)
		return;
	line->caller.length = 0;
	program_text_add(&line->caller, text, n);
	line->caller_new = true;
}

void
talk_note_agent(gw_talk *talk, uint32_t turn, const char *text, size_t n, bool cut)
{
	talk_line *line = line_of(talk, turn);

	/* of what was not heard at all nobody knows */
	if (line == NULL || (n == 0 && (!cut || line->agent.length == 0)))
		return;
	if (line->agent.length > 0 && n > 0)
		program_text_puts(&line->agent, " ");
	program_text_add(&line->agent, text, n);
	line->cut = cut;
	line->agent_new = true;
}

static void
write_line(program_text *json, size_t number, const char *speaker, const program_text *text,
		   bool cut)
{
	program_text_printf(json, "%s{\"number\":%zu,\"speaker\":\"%s\",\"cut\":%s,\"text\":",
						json->length > 1 ? "," : "", number, speaker, cut ? "true" : "false");
	program_text_json(json, text->length == 0 ? "" : text->data, text->length);
	program_text_puts(json, "}");
}

char *
talk_lines_json(gw_talk *talk)
{
	program_text json = { 0 };

	program_text_puts(&json, "[");
	for (size_t i = 0; i < talk->n_lines; i++)
	{
		talk_line *line = &talk->lines[i];

		/* that of the turn that is being answered is said beside */
		if (line->caller_new && (i != talk->current_turn || talk->session == NULL))
		{
			write_line(&json, 2 * i, "caller", &line->caller, false);
			line->caller_new = false;
		}
		if (line->agent_new)
			write_line(&json, 2 * i + 1, "agent", &line->agent, line->cut);
		line->agent_new = false;
	}
	if (json.length == 1 || json.failed)
	{
		program_text_free(&json);
		return NULL;
	}
	program_text_puts(&json, "]");
	return json.data;
}

typedef struct noting
{
	gw_unit unit;
	char *texts[4];
} noting;

static void
noted(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	noting *n = (noting *) unit;

	(void) identity;
	if (gw_may_pass(outcome, result) && outcome == GW_UNAVAILABLE)
		gw_log(GW_WARNING, "what was said could not be noted", "call %s", n->texts[0]);
	for (int i = 0; i < 4; i++)
		free(n->texts[i]);
	free(n);
}

/* Takes the texts over. */
static void
note(gw_talk *talk, char *lines, char *attributes)
{
	static const gw_statement note_lines = {
		"note_lines", "SELECT mulberry.note_lines($1, $2::jsonb, $3::jsonb, $4)", true
	};
	noting *n = calloc(1, sizeof(*n));

	if (n == NULL)
	{
		free(lines);
		free(attributes);
		return;
	}
	n->texts[0] = strdup(talk->call_id);
	n->texts[1] = lines;
	n->texts[2] = attributes;
	n->texts[3] = strdup(talk->tenant);
	n->unit.statement = &note_lines;
	n->unit.n_parameters = 4;
	for (int i = 0; i < 4; i++)
		n->unit.values[i] = n->texts[i];
	n->unit.done = noted;
	gw_media_ask(talk->media, &n->unit);
}

void
talk_note_attribute(gw_talk *talk, const char *name, const char *value)
{
	program_text json = { 0 };

	program_text_puts(&json, "{");
	program_text_json(&json, name, strlen(name));
	program_text_puts(&json, ":");
	program_text_json(&json, value, strlen(value));
	program_text_puts(&json, "}");
	note(talk, NULL, json.data);
}

/* ---------------------------------------------------------------------------
 * The log
 * ---------------------------------------------------------------------------
 */

static void
store_records_soon(gw_talk *talk)
{
	if (talk->session == NULL || talk->storing || talk->n_records == 0 || talk->store.place != 0)
		return;
	talk->store = (http_timer){ .due = store, .arg = talk };
	http_loop_set_timer(talk->loop, &talk->store, http_clock() + STORE_EVERY);
}

void
talk_keep_record(void *arg, int32_t second, const uint8_t *row, size_t n)
{
	gw_talk *talk = arg;

	(void) second;
	program_array_add(&talk->records, row, n);
	talk->n_records++;
	store_records_soon(talk);
}

static void
free_storing(storing *s)
{
	program_array_free(&s->records);
	free(s);
}

static void send_records(storing *s);

static void
stored(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	storing *s = (storing *) unit;
	gw_talk *talk = s->talk;

	(void) identity;
	if (gw_may_pass(outcome, result) && talk->tries++ < MAX_TRIES)
	{
		talk->again = s;
		http_loop_set_timer(talk->loop, &talk->store, http_clock() + AGAIN);
		return;
	}
	if (outcome != GW_COMMITTED)
		gw_log(GW_ERROR, "the log of a conversation was not stored", "call %s: %s", talk->call_id,
			   gw_complaint_of(result));
	talk->storing = false;
	talk->tries = 0;
	if (s->end)
	{
		free_storing(s);
		talk_release(talk);
		return;
	}
	free_storing(s);
	/* the end may have come meanwhile */
	if (talk->session == NULL)
		store(talk);
}

static void
send_records(storing *s)
{
	static const gw_statement log_conversation = {
		"log_conversation",
		"SELECT mulberry.log_conversation($1, $2::integer, $3::bytea[], $4, $5)", true
	};
	gw_talk *talk = s->talk;
	const program_text *bytes = &s->records.bytes;

	memset(&s->unit, 0, sizeof(s->unit));
	s->unit.statement = &log_conversation;
	s->unit.n_parameters = 5;
	s->unit.values[0] = talk->call_id;
	s->unit.values[1] = s->first;
	s->unit.values[2] = bytes->data;
	s->unit.lengths[2] = (int) bytes->length;
	s->unit.formats[2] = 1;
	s->unit.values[3] = s->end ? talk->reason : NULL;
	s->unit.values[4] = talk->tenant;
	s->unit.behind = true;
	s->unit.done = stored;
	gw_media_ask(talk->media, &s->unit);
}

static void
store(void *arg)
{
	gw_talk *talk = arg;
	storing *s = talk->again;

	if (s != NULL)
	{
		talk->again = NULL;
		send_records(s);
		return;
	}
	if (talk->storing || (talk->n_records == 0 && talk->session != NULL))
		return;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return;
	s->talk = talk;
	s->records = talk->records;
	s->n_records = talk->n_records;
	s->end = talk->session == NULL;
	snprintf(s->first, sizeof(s->first), "%d", talk->first_record);
	talk->records = (program_array){ .element = PROGRAM_OID_BYTEA };
	talk->first_record += talk->n_records;
	talk->n_records = 0;
	talk->storing = true;
	(void) program_array_finish(&s->records);
	send_records(s);
}

void
talk_store_soon(gw_talk *talk)
{
	char *lines = talk->session == NULL ? NULL : talk_lines_json(talk);

	if (lines != NULL)
		note(talk, lines, NULL);
	store_records_soon(talk);
}

void
talk_store_end(gw_talk *talk)
{
	char *lines = talk_lines_json(talk);

	if (lines != NULL)
		note(talk, lines, NULL);
	if (talk->again == NULL)
	{
		http_loop_clear_timer(talk->loop, &talk->store);
		talk->store = (http_timer){ .due = store, .arg = talk };
		store(talk);
	}
}
