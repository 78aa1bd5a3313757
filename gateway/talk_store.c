/*
 * talk_store.c
 *	  What the database is told of a conversation, after the fact: the inputs of the turn engine, and what was heard.
 *
 * Nothing waits for it, and it is told again until it has it.  Of a log that it cannot take for very long the oldest part goes, which is
 * counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "talk_internal.h"

#define STORE_EVERY (5 * HTTP_SECOND)
#define AGAIN HTTP_SECOND
#define MAX_TURNS 10000
#define TURNS_KEPT 4			  /* the last: what is said of earlier ones is known */
#define MAX_RECORDS 9000		  /* that wait, as the database takes them at once */
#define MAX_WAITING (1024 * 1024) /* bytes of them */

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
static void store_end(gw_talk *talk);

/* ---------------------------------------------------------------------------
 * Lines
 * ---------------------------------------------------------------------------
 */

static talk_line *
line_of(gw_talk *talk, uint32_t turn)
{
	if (turn >= MAX_TURNS || turn < talk->first_line)
		return NULL;
	if (turn >= talk->end_line)
	{
		size_t n = talk->end_line - talk->first_line;
		size_t wanted = (size_t) turn + 1 - talk->first_line;
		talk_line *more = realloc(talk->lines, wanted * sizeof(*more));

		if (more == NULL)
			return NULL;
		memset(more + n, 0, (wanted - n) * sizeof(*more));
		talk->lines = more;
		talk->end_line = turn + 1;
	}
	return &talk->lines[turn - talk->first_line];
}

static bool
is_known(const talk_told *told)
{
	return told->known == told->now;
}

/* Nobody says more of them, and the database has them. */
static void
forget_lines(gw_talk *talk)
{
	size_t n = talk->end_line - talk->first_line;
	size_t gone = 0;

	while (gone + TURNS_KEPT < n && is_known(&talk->lines[gone].caller_told) &&
		   is_known(&talk->lines[gone].agent_told))
	{
		program_text_free(&talk->lines[gone].caller);
		program_text_free(&talk->lines[gone].agent);
		gone++;
	}
	if (gone == 0)
		return;
	talk->first_line += (uint32_t) gone;
	memmove(talk->lines, talk->lines + gone, (n - gone) * sizeof(*talk->lines));
}

void
talk_note_caller(gw_talk *talk, uint32_t turn, const char *text, size_t n)
{
	talk_line *line = n == 0 ? NULL : line_of(talk, turn);

	if (line == NULL)
		return;
	line->caller.length = 0;
	program_text_add(&line->caller, text, n);
	line->caller_told.now++;
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
	line->agent_told.now++;
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
talk_lines_json(gw_talk *talk, talk_batch *batch)
{
	program_text json = { 0 };

	memset(batch, 0, sizeof(*batch));
	program_text_puts(&json, "[");
	for (uint32_t i = talk->first_line; i < talk->end_line; i++)
	{
		talk_line *line = line_of(talk, i);
		talk_version version = { .turn = i };

		/* that of the turn that is being answered is said beside */
		if (line->caller_told.now > line->caller_told.sent &&
			(i != talk->current_turn || talk->session == NULL))
		{
			write_line(&json, 2 * (size_t) i, "caller", &line->caller, false);
			version.caller = line->caller_told.now;
		}
		if (line->agent_told.now > line->agent_told.sent)
		{
			write_line(&json, 2 * (size_t) i + 1, "agent", &line->agent, line->cut);
			version.agent = line->agent_told.now;
		}
		if (version.caller > 0 || version.agent > 0)
			program_text_add(&batch->versions, &version, sizeof(version));
	}
	program_text_puts(&json, "]");
	if (batch->versions.length == 0 || json.failed || batch->versions.failed)
	{
		program_text_free(&json);
		program_text_free(&batch->versions);
		return NULL;
	}
	for (size_t i = 0; i < batch->versions.length / sizeof(talk_version); i++)
	{
		const talk_version *version = (const talk_version *) batch->versions.data + i;
		talk_line *line = line_of(talk, version->turn);

		line->caller_told.sent = version->caller > 0 ? version->caller : line->caller_told.sent;
		line->agent_told.sent = version->agent > 0 ? version->agent : line->agent_told.sent;
	}
	talk->batches++;
	return json.data;
}

/* One that came behind a later one may be what is stored: it is told again as it is now. */
static void
settle(talk_told *told, unsigned version, bool stored)
{
	if (version == 0)
		return;
	if (stored)
		told->known = version;
	if (!stored || version < told->sent)
		told->sent = told->known;
}

void
talk_lines_told(gw_talk *talk, talk_batch *batch, bool stored)
{
	for (size_t i = 0; i < batch->versions.length / sizeof(talk_version); i++)
	{
		const talk_version *version = (const talk_version *) batch->versions.data + i;
		talk_line *line = line_of(talk, version->turn);

		settle(&line->caller_told, version->caller, stored);
		settle(&line->agent_told, version->agent, stored);
	}
	/* an earlier one that is still under way may be stored behind this one */
	if (batch->versions.length > 0 && --talk->batches == 0)
		forget_lines(talk);
	program_text_free(&batch->versions);
}

typedef struct noting
{
	gw_unit unit;
	gw_talk *talk;
	talk_batch batch;
	json_t *attributes; /* NULL: none */
	char *texts[4];
} noting;

static void note(void *talk);

static void
noted(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	noting *n = (noting *) unit;
	gw_talk *talk = n->talk;
	bool again = gw_may_pass(outcome, result);

	(void) identity;
	talk->noting = false;
	/* what is refused would be refused for ever */
	talk_lines_told(talk, &n->batch, !again);
	if (again && n->attributes != NULL)
	{
		if (talk->attributes != NULL)
			json_object_update(n->attributes, talk->attributes);
		json_decref(talk->attributes);
		talk->attributes = json_incref(n->attributes);
	}
	if (!again && outcome != GW_COMMITTED)
		gw_log(GW_WARNING, "what was said could not be noted", "call %s: %s", talk->call_id,
			   gw_complaint_of(result));
	json_decref(n->attributes);
	for (int i = 0; i < 4; i++)
		free(n->texts[i]);
	free(n);
	if (again)
		http_loop_set_timer(talk->loop, &talk->note, http_clock() + AGAIN);
	else
		note(talk);
	talk_release(talk);
}

/* One at a time, so that what was said later is stored later; the end of the log comes behind all of them. */
static void
note(void *arg)
{
	static const gw_statement note_lines = {
		"note_lines", "SELECT mulberry.note_lines($1, $2::jsonb, $3::jsonb, $4)", true
	};
	gw_talk *talk = arg;
	noting *n;

	if (talk->noting || talk->note.place != 0 || (talk->session == NULL && !talk->closing))
		return;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return;
	n->texts[1] = talk_lines_json(talk, &n->batch);
	n->attributes = talk->attributes;
	talk->attributes = NULL;
	if (n->texts[1] == NULL && n->attributes == NULL)
	{
		free(n);
		if (talk->closing)
			store_end(talk);
		return;
	}
	talk->noting = true;
	talk->users++;
	n->talk = talk;
	n->texts[0] = strdup(talk->call_id);
	n->texts[2] = n->attributes == NULL ? NULL : json_dumps(n->attributes, JSON_COMPACT);
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
	if (talk->attributes == NULL)
		talk->attributes = json_object();
	(void) json_object_set_new(talk->attributes, name, json_string(value));
	note(talk);
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
	http_loop_set_timer(talk->loop, &talk->store, http_clock() + STORE_EVERY);
}

/* The database has been away for hours: there is a hole in the log. */
static void
drop_records(gw_talk *talk)
{
	gw_log(GW_ERROR, "a part of the log of a conversation was dropped", "call %s: %d records",
		   talk->call_id, talk->n_records);
	talk_counts.records_dropped += (uint64_t) talk->n_records;
	program_array_free(&talk->records);
	talk->records = (program_array){ .element = PROGRAM_OID_BYTEA };
	talk->first_record += talk->n_records;
	talk->n_records = 0;
}

void
talk_keep_record(void *arg, int32_t second, const uint8_t *row, size_t n)
{
	gw_talk *talk = arg;

	(void) second;
	if (talk->n_records == MAX_RECORDS || talk->records.bytes.length + n > MAX_WAITING)
		drop_records(talk);
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
	if (gw_may_pass(outcome, result))
	{
		talk->again = s;
		http_loop_set_timer(talk->loop, &talk->store, http_clock() + AGAIN);
		return;
	}
	if (outcome != GW_COMMITTED)
	{
		gw_log(GW_ERROR, "the log of a conversation was not stored", "call %s: %s", talk->call_id,
			   gw_complaint_of(result));
		talk_counts.records_dropped += (uint64_t) s->n_records;
		/* its end is one all the same */
		if (s->end && s->n_records > 0)
		{
			program_array_free(&s->records);
			s->records = (program_array){ .element = PROGRAM_OID_BYTEA };
			s->n_records = 0;
			(void) program_array_finish(&s->records);
			send_records(s);
			return;
		}
	}
	talk->storing = false;
	if (s->end)
	{
		free_storing(s);
		talk_release(talk);
		return;
	}
	free_storing(s);
	/* the end may have come meanwhile */
	note(talk);
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
	if (talk->storing || talk->ending || (talk->n_records == 0 && !talk->closing))
		return;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return;
	s->talk = talk;
	s->records = talk->records;
	s->n_records = talk->n_records;
	s->end = talk->closing;
	talk->ending = s->end;
	snprintf(s->first, sizeof(s->first), "%d", talk->first_record);
	talk->records = (program_array){ .element = PROGRAM_OID_BYTEA };
	talk->first_record += talk->n_records;
	talk->n_records = 0;
	talk->storing = true;
	(void) program_array_finish(&s->records);
	send_records(s);
}

/* All that was said has been noted. */
static void
store_end(gw_talk *talk)
{
	if (talk->again != NULL)
		return;
	http_loop_clear_timer(talk->loop, &talk->store);
	store(talk);
}

void
talk_store_init(gw_talk *talk)
{
	talk->records.element = PROGRAM_OID_BYTEA;
	talk->store = (http_timer){ .due = store, .arg = talk };
	talk->note = (http_timer){ .due = note, .arg = talk };
}

void
talk_store_soon(gw_talk *talk)
{
	note(talk);
	store_records_soon(talk);
}

void
talk_store_end(gw_talk *talk)
{
	talk->closing = true;
	note(talk);
}
