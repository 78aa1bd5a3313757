/*
 * engines.c
 *	  A program for the tests of the gateway's clients of services (gateway/engine.h): asks one, as its lines say, and tells what came.
 *
 *	listen SERVICE		opens it; SERVICE is JSON as of begin_conversation
 *	tone MS, hush MS	audio, at once
 *	finalize, close
 *	speak SERVICE TEXT
 *	chat SERVICE MESSAGES TOOLS
 *	cancel				what speaks or answers
 *
 * JSON holds no space.  Prints a line an event: partial TEXT, final TEXT, failed WHY, begins (audio), audio SAMPLES LOUDEST (at its
 * end), text TEXT, tool ID NAME ARGUMENTS, done; refused, when nothing is begun.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gateway/engine.h"

#define RATE 8000
#define MAX_LINE 65536
#define MAX_SERVICES 128

static http_loop *loop;
static http_client *client;
static gw_service *services[MAX_SERVICES];
static int n_services;
static gw_ear *ear;
static gw_utterance *utterance;
static gw_chat *chat;
static size_t heard;
static int loudest;
static bool over;

static void
on_partial(void *arg, const char *text, size_t n)
{
	printf("partial %.*s\n", (int) n, text);
}

static void
on_final(void *arg, const char *text, size_t n, bool turn_over)
{
	printf("final %.*s%s\n", (int) n, text, turn_over ? " (over)" : "");
}

static void
on_failed(void *arg, const char *why)
{
	printf("failed %s\n", why);
	ear = NULL;
	utterance = NULL;
	chat = NULL;
}

static void
on_audio(void *arg, const int16_t *samples, size_t n)
{
	if (heard == 0)
		printf("begins\n");
	heard += n;
	for (size_t i = 0; i < n; i++)
		loudest = abs(samples[i]) > loudest ? abs(samples[i]) : loudest;
}

static void
on_done(void *arg)
{
	if (utterance != NULL)
		printf("audio %zu %d\n", heard, loudest);
	printf("done\n");
	utterance = NULL;
	chat = NULL;
}

static void
on_text(void *arg, const char *text, size_t n)
{
	printf("text %.*s\n", (int) n, text);
}

static void
on_tool(void *arg, const char *id, const char *name, const char *arguments)
{
	printf("tool %s %s %s\n", id, name, arguments);
}

static const gw_ear_events ear_events = { on_partial, on_final, on_failed };
static const gw_utterance_events utterance_events = { on_audio, on_done, on_failed };
static const gw_chat_events chat_events = { on_text, on_tool, on_done, on_failed };

static const gw_service *
service_of(const char *text)
{
	const char *problem = NULL;
	json_t *json = text == NULL ? NULL : json_loads(text, 0, NULL);
	gw_service *service = gw_service_read(json, &problem);

	json_decref(json);
	if (service == NULL || n_services == MAX_SERVICES)
	{
		fprintf(stderr, "no service: %s\n", problem);
		exit(1);
	}
	services[n_services++] = service;
	return service;
}

static void
hear(int ms, double loud)
{
	int16_t samples[RATE / 50];

	for (int at = 0; at < ms && ear != NULL; at += 20)
	{
		for (int i = 0; i < RATE / 50; i++)
			samples[i] = (int16_t) (loud * sin(2 * M_PI * 440 * i / RATE));
		gw_ear_hear(ear, samples, RATE / 50);
	}
}

static void
begun(const void *what)
{
	if (what == NULL)
		printf("refused\n");
}

static void
obey(char *line)
{
	char *rest = line;
	const char *what = strsep(&rest, " ");

	if (strcmp(what, "listen") == 0)
	{
		ear = gw_ear_open(client, service_of(rest), &ear_events, NULL);
		begun(ear);
	}
	else if (strcmp(what, "tone") == 0)
		hear(atoi(rest), 8000);
	else if (strcmp(what, "hush") == 0)
		hear(atoi(rest), 0);
	else if (strcmp(what, "finalize") == 0 && ear != NULL)
		gw_ear_finalize(ear);
	else if (strcmp(what, "close") == 0 && ear != NULL)
	{
		gw_ear_close(ear);
		ear = NULL;
	}
	else if (strcmp(what, "speak") == 0)
	{
		const gw_service *service = service_of(strsep(&rest, " "));

		heard = 0;
		loudest = 0;
		utterance =
			gw_utterance_start(client, service, rest, strlen(rest), &utterance_events, NULL);
		begun(utterance);
	}
	else if (strcmp(what, "chat") == 0)
	{
		const gw_service *service = service_of(strsep(&rest, " "));
		json_t *messages = json_loads(strsep(&rest, " "), 0, NULL);
		json_t *tools = rest == NULL ? NULL : json_loads(rest, 0, NULL);

		chat = gw_chat_start(client, service, messages, tools, &chat_events, NULL);
		begun(chat);
		json_decref(messages);
		json_decref(tools);
	}
	else if (strcmp(what, "cancel") == 0)
	{
		if (utterance != NULL)
			gw_utterance_cancel(utterance);
		if (chat != NULL)
			gw_chat_cancel(chat);
		utterance = NULL;
		chat = NULL;
		printf("cancelled\n");
	}
}

static void
on_input(void *arg, uint32_t events)
{
	static char buffer[MAX_LINE];
	static size_t length;
	ssize_t n = read(STDIN_FILENO, buffer + length, sizeof(buffer) - 1 - length);
	char *end;

	over = n <= 0;
	length += n > 0 ? (size_t) n : 0;
	buffer[length] = '\0';
	while ((end = strchr(buffer, '\n')) != NULL)
	{
		*end = '\0';
		obey(buffer);
		length -= (size_t) (end + 1 - buffer);
		memmove(buffer, end + 1, length + 1);
	}
}

int
main(void)
{
	http_watch input = { .fd = STDIN_FILENO, .ready = on_input };

	loop = http_loop_new();
	client = loop == NULL ? NULL : http_client_new(loop);
	if (client == NULL || !http_loop_add(loop, &input, EPOLLIN))
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (!over)
		http_loop_turn(loop, 1000);
	if (ear != NULL)
		gw_ear_close(ear);
	if (utterance != NULL)
		gw_utterance_cancel(utterance);
	if (chat != NULL)
		gw_chat_cancel(chat);
	http_loop_turn(loop, 0);
	http_client_free(client);
	http_loop_free(loop);
	for (int i = 0; i < n_services; i++)
		gw_service_free(services[i]);
	return 0;
}
