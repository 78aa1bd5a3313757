/*
 * engines.c
 *	  A program for the tests of the gateway's clients of services (gateway/engine.h): asks one, as its lines say, and tells what came.
 *
 *	listen SERVICE		opens it; SERVICE is JSON as of begin_conversation
 *	tone MS, hush MS	audio, at once
 *	finalize, close
 *	scribe SERVICE		connects to it
 *	post MS				an utterance, then silence of as long
 *	speak SERVICE TEXT
 *	reply SERVICE		whose sentences follow, as one
 *	say TEXT			one of them; its events have its number before them, and "fell back WHY" is one
 *	end, drop			nothing more is said in it; or nothing more is heard of it either
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

#include "core/audio/g711.h"
#include "gateway/engine.h"

#define RATE 8000
#define MAX_LINE 65536
#define MAX_SERVICES 128
#define MAX_SENTENCES 64

static http_loop *loop;
static http_client *client;
static gw_service *services[MAX_SERVICES];
static int n_services;
static gw_ear *ear;
static gw_scribe *scribe;
static gw_utterance *utterance;
static gw_chat *chat;
static gw_service *speaker;
static gw_context *context;
static struct sentence
{
	gw_utterance *utterance;
	size_t heard;
	int loudest;
} sentences[MAX_SENTENCES];
static int n_sentences;
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
	scribe = NULL;
	utterance = NULL;
	chat = NULL;
}

static void
on_transcript(void *arg, const char *text, size_t n)
{
	printf("final %.*s\n", (int) n, text);
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
on_begin(void *arg)
{
	printf("begins\n");
}

static void
on_fall(void *arg, const char *why)
{
	printf("fell back %s\n", why);
}

static int
number(const struct sentence *s)
{
	return (int) (s - sentences) + 1;
}

static void
on_sentence_audio(void *arg, const int16_t *samples, size_t n)
{
	struct sentence *s = arg;

	if (s->heard == 0)
		printf("%d begins\n", number(s));
	s->heard += n;
	for (size_t i = 0; i < n; i++)
		s->loudest = abs(samples[i]) > s->loudest ? abs(samples[i]) : s->loudest;
}

static void
on_sentence_word(void *arg, size_t bytes, int32_t ms)
{
	printf("%d word %zu %d\n", number(arg), bytes, ms);
}

static void
on_sentence_done(void *arg)
{
	struct sentence *s = arg;

	printf("%d audio %zu %d\n%d done\n", number(s), s->heard, s->loudest, number(s));
	s->utterance = NULL;
}

static void
on_sentence_failed(void *arg, const char *why)
{
	struct sentence *s = arg;

	printf("%d failed %s\n", number(s), why);
	s->utterance = NULL;
}

static void
on_sentence_fall(void *arg, const char *why)
{
	printf("%d fell back %s\n", number(arg), why);
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
static const gw_scribe_events scribe_events = { on_transcript, on_failed };
static const gw_utterance_events utterance_events = { on_audio, on_done, on_failed, on_fall, NULL };
static const gw_utterance_events sentence_events = { on_sentence_audio, on_sentence_done,
													 on_sentence_failed, on_sentence_fall,
													 on_sentence_word };
static const gw_chat_events chat_events = { on_begin, on_text, on_tool, on_done, on_failed };

static gw_service *
service_of(const char *text)
{
	const char *problem = NULL;
	json_t *json = text == NULL ? NULL : json_loads(text, 0, NULL);
	const char *owner = json_string_value(json_object_get(json, "owner"));
	gw_service *service = gw_service_read(json, owner == NULL ? "clinic" : owner, &problem);

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
post(int ms)
{
	size_t n = (size_t) ms * RATE / 1000;
	uint8_t *mulaw = malloc(2 * n + 1);

	for (size_t i = 0; i < 2 * n; i++)
		mulaw[i] =
			mb_mulaw_encode((int16_t) (i < n ? 8000 * sin(2 * M_PI * 440 * (double) i / RATE) : 0));
	gw_scribe_ask(scribe, mulaw, 2 * n);
	free(mulaw);
}

static void
say(const char *text)
{
	struct sentence *s = &sentences[n_sentences++ % MAX_SENTENCES];

	*s = (struct sentence){ 0 };
	s->utterance =
		gw_utterance_start(client, speaker, &context, text, strlen(text), &sentence_events, s);
	if (s->utterance == NULL)
		printf("%d refused\n", number(s));
}

/* The sentences of a reply, no more of which are heard of. */
static void
drop(void)
{
	for (int i = 0; i < MAX_SENTENCES; i++)
	{
		if (sentences[i].utterance != NULL)
			gw_utterance_cancel(sentences[i].utterance);
		sentences[i].utterance = NULL;
	}
}

static void
end(void)
{
	if (context != NULL)
		gw_context_close(context);
	context = NULL;
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
	else if (strcmp(what, "scribe") == 0)
	{
		if (scribe != NULL)
			gw_scribe_close(scribe);
		scribe = gw_scribe_open(client, service_of(rest), &scribe_events, NULL);
		begun(scribe);
	}
	else if (strcmp(what, "post") == 0 && scribe != NULL)
		post(atoi(rest));
	else if (strcmp(what, "speak") == 0)
	{
		gw_service *service = service_of(strsep(&rest, " "));

		heard = 0;
		loudest = 0;
		utterance =
			gw_utterance_start(client, service, NULL, rest, strlen(rest), &utterance_events, NULL);
		begun(utterance);
	}
	else if (strcmp(what, "reply") == 0)
	{
		drop();
		end();
		speaker = service_of(rest);
		n_sentences = 0;
	}
	else if (strcmp(what, "say") == 0 && speaker != NULL)
		say(rest);
	else if (strcmp(what, "end") == 0)
		end();
	else if (strcmp(what, "drop") == 0)
	{
		drop();
		end();
		printf("dropped\n");
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
	if (scribe != NULL)
		gw_scribe_close(scribe);
	if (utterance != NULL)
		gw_utterance_cancel(utterance);
	if (chat != NULL)
		gw_chat_cancel(chat);
	drop();
	end();
	http_loop_turn(loop, 0);
	gw_voices_free(client);
	http_client_free(client);
	http_loop_free(loop);
	for (int i = 0; i < n_services; i++)
		gw_service_free(services[i]);
	return 0;
}
