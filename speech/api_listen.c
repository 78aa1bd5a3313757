/*
 * api_listen.c
 *	  GET /v1/listen: a WebSocket in the form of Deepgram's streaming recognition.  Sound comes as binary messages,
 *	  "KeepAlive", "Finalize" and "CloseStream" as text; results go as they are made (live.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/web/form.h"
#include "endpoints.h"
#include "recognizer.h"
#include "server.h"
#include "stream.h"
#include "text.h"

#define MAX_PARAMETERS 40
#define MIN_RATE 8000
#define MAX_RATE 48000

/* Milliseconds; Deepgram's 10 would cut between syllables here. */
#define DEFAULT_ENDPOINTING 300
#define MIN_ENDPOINTING 100
#define MAX_MESSAGE ((size_t) 1024 * 1024)

/* A client that says nothing for so long is gone, as Deepgram has it. */
#define SILENCE (10 * HTTP_SECOND)

/* Closing codes of RFC 6455. */
#define CLOSE_NORMAL 1000
#define CLOSE_POLICY 1008
#define CLOSE_ERROR 1011

typedef struct listener
{
	http_id id;
	speech_live_options options;
	bool has_encoding;
	speech_stream *stream; /* NULL once it has ended */
	http_timer silence;
	uint64_t bytes; /* of sound */
	uint64_t most;
	int asked;	  /* for what was heard so far, and not told yet */
	bool closing; /* no more sound is taken */
	bool too_long;
} listener;

static void
release(void *state)
{
	listener *client = state;

	http_loop_clear_timer(speech_server_loop(), &client->silence);
	if (client->stream != NULL)
		speech_stream_cancel(client->stream);
	free(client);
}

/* Tells what is wrong, and ends. */
static void
fail(listener *client, int code, const char *variant, const char *description)
{
	json_t *message = json_pack("{s:s, s:s, s:s, s:s}", "type", "Error", "variant", variant,
								"message", description, "description", description);
	char *text = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;

	if (text != NULL)
		http_socket_send(speech_server(), client->id, true, text, strlen(text));
	http_socket_close(speech_server(), client->id, code, description);
	free(text);
	json_decref(message);
	client->closing = true;
}

static void expect_more(listener *client);

static void
silent(void *arg)
{
	listener *client = arg;

	/* whoever waits for an answer need not speak */
	if (client->asked > 0)
		expect_more(client);
	else
		fail(client, CLOSE_ERROR, "NET-0001", "no audio and no KeepAlive came for 10 s");
}

static void
expect_more(listener *client)
{
	client->silence.due = silent;
	client->silence.arg = client;
	http_loop_set_timer(speech_server_loop(), &client->silence, http_clock() + SILENCE);
}

static void
tell(void *arg, const char *json, size_t n)
{
	static const char mark[] = "\"from_finalize\":true";
	listener *client = arg;

	if (client->asked > 0 && memmem(json, n, mark, sizeof(mark) - 1) != NULL)
	{
		client->asked--;
		expect_more(client);
	}
	if (http_socket_send(speech_server(), client->id, true, json, n) == HTTP_FULL)
		fail(client, CLOSE_POLICY, "SLOW_CLIENT", "the results are not read");
}

static void
ended(void *arg, bool well)
{
	listener *client = arg;

	client->stream = NULL;
	if (!well)
		fail(client, CLOSE_ERROR, "ENGINE", "the recognizer failed");
	else if (client->too_long)
		http_socket_close(speech_server(), client->id, CLOSE_POLICY,
						  "the stream is longer than this server takes");
	else
		http_socket_close(speech_server(), client->id, CLOSE_NORMAL, "");
}

static void
close_stream(listener *client)
{
	client->closing = true;
	http_loop_clear_timer(speech_server_loop(), &client->silence);
	if (client->stream != NULL)
		speech_stream_close(client->stream);
}

static void
take_command(listener *client, const char *text, size_t n)
{
	json_t *message = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	const char *type = json_string_value(json_object_get(message, "type"));

	if (type != NULL && strcmp(type, "Finalize") == 0)
	{
		client->asked++;
		speech_stream_finalize(client->stream);
	}
	else if (type != NULL && strcmp(type, "CloseStream") == 0)
		close_stream(client);
	else if (type == NULL || strcmp(type, "KeepAlive") != 0)
		fail(client, CLOSE_POLICY, "DATA-0000",
			 "a text message must be JSON with the type KeepAlive, Finalize or CloseStream");
	json_decref(message);
}

static void
take_message(speech_request *request, bool text, const char *bytes, size_t n)
{
	listener *client = request->state;

	if (client->closing || client->stream == NULL)
		return;
	expect_more(client);
	if (text)
		take_command(client, bytes, n);
	else if (n == 0)
		close_stream(client);
	else if (!speech_stream_audio(client->stream, bytes, n))
		fail(client, CLOSE_POLICY, "NET-0002", "sound comes faster than it can be recognized");
	else if ((client->bytes += n) > client->most)
	{
		client->too_long = true;
		close_stream(client);
	}
}

static bool
is(const char *value, const char *word)
{
	return strcasecmp(value, word) == 0;
}

/* A switch; refuses what is none. */
static bool
take_switch(speech_reply *reply, const char *name, const char *value)
{
	if (!is(value, "true") && !is(value, "false"))
		speech_reply_error(reply, 400, name, "invalid_value",
						   "%s must be true or false, not \"%s\"", name, value);
	return is(value, "true");
}

static int
take_number(speech_reply *reply, const char *name, const char *value, int least, int most)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (errno == 0 && end != value && *end == '\0' && number >= least && number <= most)
		return (int) number;
	speech_reply_error(reply, 400, name, "invalid_value",
					   "%s must be a whole number from %d to %d, not \"%s\"", name, least, most,
					   value);
	return 0;
}

static void
take_encoding(listener *client, speech_reply *reply, const char *value)
{
	client->has_encoding = true;
	if (is(value, "linear16"))
		client->options.encoding = MB_S16LE;
	else if (is(value, "mulaw"))
		client->options.encoding = MB_MULAW;
	else if (is(value, "alaw"))
		client->options.encoding = MB_ALAW;
	else
		speech_reply_error(reply, 400, "encoding", "unsupported_audio",
						   "encoding must be linear16, mulaw or alaw, not \"%s\"", value);
}

static void
take_model(speech_reply *reply, const char *value)
{
	static const char *const taken[] = { "nova", "enhanced", "base", "general", "phonecall" };

	if (speech_model_from_name(value) == SPEECH_MODEL_POCKETSPHINX)
		return;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strncmp(value, taken[i], strlen(taken[i])) == 0)
			return;
	speech_model_refuse(reply, value, SPEECH_RECOGNIZER_MODEL ", nova-3 and older ones for it");
}

/* Accepted, and without effect. */
static bool
has_no_effect(const char *name)
{
	static const char *const names[] = {
		"punctuate", "smart_format", "numerals", "filler_words", "profanity_filter",
		"no_delay",	 "mip_opt_out",	 "tag",		 "version"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void
take_parameter(listener *client, speech_reply *reply, const char *name, const char *value)
{
	speech_live_options *options = &client->options;

	if (strcmp(name, "encoding") == 0)
		take_encoding(client, reply, value);
	else if (strcmp(name, "sample_rate") == 0)
		options->sample_rate = take_number(reply, name, value, MIN_RATE, MAX_RATE);
	else if (strcmp(name, "channels") == 0)
		(void) take_number(reply, name, value, 1, 1);
	else if (strcmp(name, "interim_results") == 0)
		options->interim = take_switch(reply, name, value);
	else if (strcmp(name, "vad_events") == 0)
		options->vad_events = take_switch(reply, name, value);
	else if (strcmp(name, "endpointing") == 0 && is(value, "false"))
		options->endpointing = 0;
	else if (strcmp(name, "endpointing") == 0 && !is(value, "true"))
	{
		int ms = take_number(reply, name, value, 10, 5000);

		options->endpointing = ms < MIN_ENDPOINTING ? MIN_ENDPOINTING : ms;
	}
	else if (strcmp(name, "endpointing") == 0)
		return;
	else if (strcmp(name, "utterance_end_ms") == 0)
		options->utterance_end = take_number(reply, name, value, 1000, 5000);
	else if (strcmp(name, "language") == 0)
		speech_take_language(reply, value);
	else if (strcmp(name, "model") == 0)
		take_model(reply, value);
	else if (!has_no_effect(name))
		speech_reply_error(
			reply, 400, name, "unknown_parameter",
			"the parameter \"%s\" is not known or not supported; there are: encoding, "
			"sample_rate, channels, interim_results, vad_events, endpointing, "
			"utterance_end_ms, language, model, punctuate, smart_format",
			name);
}

/* Reads the query; false when there is no memory or it is none. */
static void
take_query(listener *client, speech_reply *reply, http_text query)
{
	mb_form_field fields[MAX_PARAMETERS];
	size_t n = 0;
	char *storage = malloc(query.length + 1);

	if (storage == NULL)
		speech_reply_out_of_memory(reply);
	else if (mb_form_parse(query.data, query.length, storage, fields, MAX_PARAMETERS, &n) != MB_OK)
		speech_reply_error(reply, 400, NULL, "invalid_value", "there are more than %d parameters",
						   MAX_PARAMETERS);
	for (size_t i = 0; i < n && reply->status == 0; i++)
	{
		char *name = strndup(fields[i].name, fields[i].name_length);
		char *value = strndup(fields[i].value, fields[i].value_length);

		if (name == NULL || value == NULL)
			speech_reply_out_of_memory(reply);
		else if (!speech_text_is_utf8(name) || !speech_text_is_utf8(value))
			speech_reply_error(reply, 400, NULL, "invalid_value", "the query must be UTF-8");
		else
			take_parameter(client, reply, name, value);
		free(name);
		free(value);
	}
	free(storage);
	if (reply->status == 0 && (client->options.sample_rate == 0 || !client->has_encoding))
		speech_reply_error(reply, 400, client->has_encoding ? "sample_rate" : "encoding",
						   "missing_required_parameter",
						   "encoding (linear16, mulaw, alaw) and sample_rate must be given");
}

static void
finish(speech_request *request)
{
	http_request *http = http_request_find(speech_server(), request->http);
	const http_socket_options socket = { .max_message = MAX_MESSAGE };
	listener *client = calloc(1, sizeof(*client));
	const speech_stream_owner owner = { .message = tell, .ended = ended, .arg = client };

	if (client == NULL)
	{
		speech_reply_out_of_memory(&request->reply);
		return;
	}
	request->state = client;
	client->id = request->http;
	client->options.endpointing = DEFAULT_ENDPOINTING;
	memcpy(client->options.request_id, request->id, sizeof(request->id));
	take_query(client, &request->reply, http_request_query(http));
	if (request->reply.status != 0)
		return;
	client->most = (uint64_t) request->options->max_audio_seconds *
				   (uint64_t) client->options.sample_rate *
				   mb_encoding_sample_size(client->options.encoding);
	if (http_request_header_count(http, "Upgrade") == 0) /* it will be told what is missing */
	{
		(void) speech_request_upgrade(request, &socket);
		return;
	}
	if (!speech_streams_admit())
	{
		speech_reply_error(&request->reply, 503, NULL, "server_busy",
						   "%d streams are recognized at once, which is all; try again later",
						   speech_streams_stats().limit);
		request->reply.retry_after = 1;
		return;
	}
	client->stream = speech_stream_start(&client->options, &owner);
	if (client->stream == NULL)
		speech_reply_error(&request->reply, 503, NULL, "engine_unavailable",
						   "the system has no room for another process");
	else if (speech_request_upgrade(request, &socket))
		expect_more(client);
}

const speech_endpoint speech_endpoint_listen = { .path = "/v1/listen",
												 .methods = "GET",
												 .finish = finish,
												 .release = release,
												 .message = take_message };
