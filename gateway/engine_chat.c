/*
 * engine_chat.c
 *	  A language model whose answer comes while it is made: OpenAI's chat completions as a stream of events; see engine.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/web/event_stream.h"
#include "engine_service.h"

#define MAX_EVENT 65536
#define SLICE 2048 /* that is read at a time */
#define MAX_ANSWER (1024 * 1024)
#define MAX_TOOLS 8

typedef struct wanted
{
	char *id;
	char *name;
	program_text arguments;
} wanted;

struct gw_chat
{
	http_transfer *transfer;
	gw_chat_events events;
	void *arg;
	mb_event_stream stream;
	wanted tools[MAX_TOOLS];
	size_t n_tools;
	bool cancelled; /* within an event */
	bool telling;
	bool begun;
	bool ended; /* it has said so */
	bool failed;
	char *problem; /* why; NULL: no memory for that */
	gw_complaint complaint;
	char *room; /* of an event */
};

static void
free_chat(gw_chat *chat)
{
	for (size_t i = 0; i < MAX_TOOLS; i++)
	{
		free(chat->tools[i].id);
		free(chat->tools[i].name);
		program_text_free(&chat->tools[i].arguments);
	}
	gw_complaint_forget(&chat->complaint);
	free(chat->problem);
	free(chat->room);
	free(chat);
}

/* The first is told. */
static void
has_problem(gw_chat *chat, const char *why)
{
	if (!chat->failed)
		chat->problem = strdup(why);
	chat->failed = true;
}

static void
has_complained(gw_chat *chat, int status)
{
	char why[GW_WHY];

	gw_complaint_read(&chat->complaint, status, why);
	has_problem(chat, why);
}

static void
take_tool(gw_chat *chat, const json_t *call)
{
	json_int_t index = json_integer_value(json_object_get(call, "index"));
	const json_t *function = json_object_get(call, "function");
	const char *id = json_string_value(json_object_get(call, "id"));
	const char *name = json_string_value(json_object_get(function, "name"));
	const char *arguments = json_string_value(json_object_get(function, "arguments"));
	wanted *tool;

	if (index < 0 || index >= MAX_TOOLS)
		return;
	tool = &chat->tools[index];
	if ((size_t) index >= chat->n_tools)
		chat->n_tools = (size_t) index + 1;
	if (id != NULL && tool->id == NULL)
		tool->id = strdup(id);
	if (name != NULL && tool->name == NULL)
		tool->name = strdup(name);
	if (arguments != NULL)
		program_text_puts(&tool->arguments, arguments);
}

static void
tell_text(gw_chat *chat, const char *text)
{
	chat->telling = true;
	if (!chat->begun && (*text != '\0' || chat->n_tools > 0))
	{
		chat->begun = true;
		chat->events.begins(chat->arg);
	}
	if (*text != '\0' && !chat->cancelled)
		chat->events.text(chat->arg, text, strlen(text));
	chat->telling = false;
}

static void
take_event(void *arg, const char *data, size_t n)
{
	gw_chat *chat = arg;
	json_t *message;
	const json_t *delta;
	const json_t *error;
	const char *text;
	const json_t *calls;

	if (chat->cancelled || chat->ended || chat->failed)
		return;
	if (n == 6 && memcmp(data, "[DONE]", 6) == 0)
	{
		chat->ended = true;
		return;
	}
	message = json_loadb(data, n, 0, NULL);
	error = json_object_get(message, "error");
	if (!json_is_object(message))
		has_problem(chat, "its answer is no JSON");
	else if (error != NULL && !json_is_null(error))
	{
		gw_complaint_add(&chat->complaint, data, n);
		has_complained(chat, 200);
	}
	else
	{
		delta = json_object_get(json_array_get(json_object_get(message, "choices"), 0), "delta");
		text = json_string_value(json_object_get(delta, "content"));
		calls = json_object_get(delta, "tool_calls");
		for (size_t i = 0; i < json_array_size(calls); i++)
			take_tool(chat, json_array_get(calls, i));
		tell_text(chat, text == NULL ? "" : text);
	}
	json_decref(message);
}

/* For so many bytes more of an event; without memory it is too long. */
static void
make_room(gw_chat *chat, size_t n)
{
	size_t room = chat->stream.length + n < MAX_EVENT ? chat->stream.length + n : MAX_EVENT;
	char *more = room > chat->stream.size ? realloc(chat->room, room) : NULL;

	if (more == NULL)
		return;
	chat->room = more;
	mb_event_stream_room(&chat->stream, more, room);
}

static void
read_events(gw_chat *chat, const char *bytes, size_t n)
{
	while (n > 0)
	{
		size_t part = n < SLICE ? n : SLICE;

		make_room(chat, part + 1);
		mb_event_stream_feed(&chat->stream, bytes, part, take_event, chat);
		bytes += part;
		n -= part;
	}
}

static void
take_piece(void *arg, int status, const char *bytes, size_t n)
{
	gw_chat *chat = arg;

	if (status == 200)
	{
		read_events(chat, bytes, n);
		if (chat->stream.skipped > 0)
			has_problem(chat, "a piece of its answer is too long");
	}
	else
		gw_complaint_add(&chat->complaint, bytes, n);
	if (chat->cancelled)
	{
		http_transfer_cancel(chat->transfer);
		free_chat(chat);
	}
}

static void
is_done(void *arg, int status, const char *why)
{
	gw_chat *chat = arg;

	if (why != NULL)
		has_problem(chat, why);
	else if (status != 200)
		has_complained(chat, status);
	else if (!chat->ended)
		has_problem(chat, "its answer has no end");
	chat->telling = true;
	for (size_t i = 0; i < chat->n_tools && !chat->failed && !chat->cancelled; i++)
	{
		wanted *tool = &chat->tools[i];

		if (tool->name != NULL)
			chat->events.tool(chat->arg, tool->id == NULL ? "" : tool->id, tool->name,
							  tool->arguments.length == 0 ? "{}" : tool->arguments.data);
	}
	if (!chat->cancelled && chat->failed)
		chat->events.failed(chat->arg, chat->problem == NULL ? "out of memory" : chat->problem);
	else if (!chat->cancelled)
		chat->events.done(chat->arg);
	free_chat(chat);
}

/* What is asked; an option goes along that the services of this form know. */
static void
write_body(const gw_service *service, const json_t *messages, const json_t *tools,
		   program_text *text)
{
	static const char *const options[] = { "temperature", "max_tokens", "max_completion_tokens",
										   "reasoning_effort", "service_tier" };
	json_t *body =
		json_pack("{s:s, s:O, s:b}", "model", service->model, "messages", messages, "stream", 1);
	char *json;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
	{
		json_t *option = json_object_get(service->options, options[i]);

		if (option != NULL)
			json_object_set(body, options[i], option);
	}
	if (json_array_size(tools) > 0)
		json_object_set(body, "tools", (json_t *) tools);
	json = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (json == NULL)
		text->failed = true;
	else
		program_text_puts(text, json);
	free(json);
}

gw_chat *
gw_chat_start(http_client *client, const gw_service *service, const json_t *messages,
			  const json_t *tools, const gw_chat_events *events, void *arg)
{
	gw_chat *chat = calloc(1, sizeof(*chat));
	program_text body = { 0 };

	if (chat == NULL)
		return NULL;
	chat->events = *events;
	chat->arg = arg;
	mb_event_stream_init(&chat->stream, NULL, 0);
	write_body(service, messages, tools, &body);
	chat->transfer =
		gw_service_ask(client, service,
					   &(gw_service_request){
						   .path = "/chat/completions",
						   .header = "Authorization",
						   .scheme = "Bearer",
						   .headers = (const char *const[]){ "Content-Type: application/json",
															 "Accept: text/event-stream", NULL },
						   .body = &body,
						   .max_answer = MAX_ANSWER,
						   .piece = take_piece,
						   .done = is_done,
						   .arg = chat });
	program_text_free(&body);
	if (chat->transfer != NULL)
		return chat;
	free_chat(chat);
	return NULL;
}

void
gw_chat_cancel(gw_chat *chat)
{
	if (chat->telling)
	{
		chat->cancelled = true;
		return;
	}
	http_transfer_cancel(chat->transfer);
	free_chat(chat);
}
