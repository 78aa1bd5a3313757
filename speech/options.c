/*
 * options.c
 *	  What the command line and the configuration file decide; see options.h.
 */
#include "options.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "core/mb.h"
#include "program/settings.h"

#define WRONG 2 /* the exit status of options that are */
#define MODEL_DIRECTORY "/usr/share/pocketsphinx/model/en-us"
#define MEGABYTE (1024 * 1024)

#define FIELD(field) offsetof(speech_options, field)

static const program_setting list[] = {
	{ "listen", PROGRAM_TEXT, FIELD(listen), 0, 0, 1, "numeric address to listen on (127.0.0.1)" },
	{ "port", PROGRAM_NUMBER, FIELD(port), 0, 65535, 0,
	  "port to listen on (8771); 0 takes any free one" },
	{ "allow-remote", PROGRAM_SWITCH, FIELD(allow_remote), 0, 0, 0,
	  "let --listen be another address than loopback" },
	{ "port-file", PROGRAM_TEXT, FIELD(port_file), 0, 0, 1,
	  "write the port into FILE once ready; removed at exit" },
	{ "api-key-file", PROGRAM_TEXT, FIELD(api_key_file), 0, 0, 1,
	  "ask for one of the bearer keys in FILE, one a line" },
	{ "acoustic-model", PROGRAM_TEXT, FIELD(acoustic_model), 0, 0, 1,
	  "pocketsphinx model, 16 kHz (" MODEL_DIRECTORY "/en-us)" },
	{ "dictionary", PROGRAM_TEXT, FIELD(dictionary), 0, 0, 1,
	  "pronunciations (" MODEL_DIRECTORY "/cmudict-en-us.dict)" },
	{ "language-model", PROGRAM_TEXT, FIELD(language_model), 0, 0, 1,
	  "n-grams (" MODEL_DIRECTORY "/en-us.lm.bin)" },
	{ "transcribers", PROGRAM_NUMBER, FIELD(transcribers), 0, 64, 1,
	  "transcriptions at once (the number of processors)" },
	{ "synthesizers", PROGRAM_NUMBER, FIELD(synthesizers), 0, 64, 1,
	  "syntheses at once (2); they do not wait for transcriptions" },
	{ "streams", PROGRAM_NUMBER, FIELD(streams), 0, 1000, 1,
	  "streams recognized at once (four for each processor); more get 503" },
	{ "queue", PROGRAM_NUMBER, FIELD(queue), 0, 10000, 0,
	  "requests that may wait, for each of both (32); more get 503" },
	{ "max-connections", PROGRAM_NUMBER, FIELD(max_connections), 0, 10000, 1,
	  "open connections (256)" },
	{ "max-body", PROGRAM_MEGABYTES, FIELD(max_body), 0, 2000, 1, "largest request body (25)" },
	{ "max-buffered", PROGRAM_MEGABYTES, FIELD(max_buffered), 0, 64000, 1,
	  "bodies and answers in memory together (256); more get 503" },
	{ "max-audio-seconds", PROGRAM_NUMBER, FIELD(max_audio_seconds), 0, 86400, 1,
	  "longest recording to transcribe, or stream (3600)" },
	{ "max-input", PROGRAM_NUMBER, FIELD(max_input), 0, 100000, 1,
	  "longest text to speak, in characters (4096)" },
	{ "max-speech-seconds", PROGRAM_NUMBER, FIELD(max_speech_seconds), 0, 7200, 1,
	  "longest speech to make (600)" },
	{ "receive-timeout", PROGRAM_NUMBER, FIELD(receive_timeout), 0, 3600, 1,
	  "time for a request to arrive or an answer to leave (60)" },
	{ "job-timeout", PROGRAM_NUMBER, FIELD(job_timeout), 0, 86400, 1,
	  "time to work on one request (900)" },
	{ "grace", PROGRAM_NUMBER, FIELD(grace), 0, 3600, 0,
	  "time for running work after SIGTERM (10)" },
	{ "nice", PROGRAM_NUMBER, FIELD(nice), 0, 19, 0,
	  "niceness added to the working processes (5)" },
	{ "quiet", PROGRAM_SWITCH, FIELD(quiet), 0, 0, 0, "log errors only" },
};

static void
set_defaults(speech_options *options)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	*options = (speech_options){
		.listen = "127.0.0.1",
		.port = 8771,
		.acoustic_model = MODEL_DIRECTORY "/en-us",
		.dictionary = MODEL_DIRECTORY "/cmudict-en-us.dict",
		.language_model = MODEL_DIRECTORY "/en-us.lm.bin",
		.transcribers = processors < 1 ? 1 : (processors > 64 ? 64 : (int) processors),
		.synthesizers = 2,
		.streams = processors < 1 ? 4 : (processors > 64 ? 256 : 4 * (int) processors),
		.queue = 32,
		.max_connections = 256,
		.max_body = (size_t) 25 * MEGABYTE,
		.max_buffered = (size_t) 256 * MEGABYTE,
		.max_audio_seconds = 3600,
		.max_input = 4096,
		.max_speech_seconds = 600,
		.receive_timeout = 60,
		.job_timeout = 900,
		.grace = 10,
		.nice = 5,
	};
}

/* The address is one, and loopback unless others were allowed. */
static bool
check_address(const speech_options *options)
{
	struct in_addr ipv4;
	struct in6_addr ipv6;
	bool loopback;

	if (inet_pton(AF_INET, options->listen, &ipv4) == 1)
		loopback = (ntohl(ipv4.s_addr) >> 24) == 127;
	else if (inet_pton(AF_INET6, options->listen, &ipv6) == 1)
		loopback = IN6_IS_ADDR_LOOPBACK(&ipv6);
	else
	{
		fprintf(stderr,
				"mulberry-speech: --listen must be a numeric IPv4 or IPv6 address, not \"%s\"\n",
				options->listen);
		return false;
	}
	if (!loopback && !options->allow_remote)
	{
		fprintf(stderr,
				"mulberry-speech: %s is not a loopback address\n"
				"Recordings travel unencrypted; give --allow-remote if other machines shall send "
				"them,\n"
				"and --api-key-file to know who they are.\n",
				options->listen);
		return false;
	}
	return true;
}

int
speech_options_read(speech_options *options, int argc, char **argv)
{
	const program_settings settings = {
		.program = "mulberry-speech",
		.version = MB_VERSION,
		.about = "mulberry-speech: speech recognition and synthesis behind an OpenAI-compatible\n"
				 "HTTP interface, on this machine, without a network service.\n",
		.further = "Routes: POST /v1/audio/transcriptions, POST /v1/audio/speech, GET /v1/listen "
				   "(a WebSocket),\n"
				   "GET /v1/models, GET /v1/audio/voices, GET /health.  SIGTERM ends the server "
				   "once running work is "
				   "done.\n",
		.list = list,
		.n = sizeof(list) / sizeof(list[0]),
		.wrong = WRONG
	};
	int status;

	set_defaults(options);
	status = program_settings_read(&settings, options, argc, argv);
	if (status != 0)
		return status;
	if (options->max_buffered < options->max_body)
	{
		fprintf(stderr, "mulberry-speech: --max-buffered must be at least --max-body\n");
		return WRONG + 1;
	}
	return check_address(options) ? 0 : WRONG + 1;
}
