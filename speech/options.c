/*
 * options.c
 *	  Reads the command line.  Every option is one row of a table, from which
 *	  the help text, the ranges and the defaults come.
 */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mb.h"

#define MODEL_DIRECTORY "/usr/share/pocketsphinx/model/en-us"
#define MEGABYTE (1024 * 1024)

typedef enum option_kind
{
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_MEGABYTES,
	OPTION_FLAG
} option_kind;

typedef struct option_row
{
	const char *name;
	option_kind kind;
	size_t offset; /* of the field in speech_options */
	long minimum;
	long maximum;
	const char *argument; /* its name in the help text */
	const char *help;
} option_row;

#define FIELD(field) offsetof(speech_options, field)

static const option_row rows[] = {
	{ "listen", OPTION_TEXT, FIELD(listen), 0, 0, "ADDRESS",
	  "numeric address to listen on (127.0.0.1)" },
	{ "port", OPTION_NUMBER, FIELD(port), 0, 65535, "PORT",
	  "port to listen on (8771); 0 takes any free one" },
	{ "allow-remote", OPTION_FLAG, FIELD(allow_remote), 0, 0, NULL,
	  "let --listen be another address than loopback" },
	{ "port-file", OPTION_TEXT, FIELD(port_file), 0, 0, "FILE",
	  "write the port into FILE once ready; removed at exit" },
	{ "api-key-file", OPTION_TEXT, FIELD(api_key_file), 0, 0, "FILE",
	  "ask for one of the bearer keys in FILE, one a line" },
	{ "acoustic-model", OPTION_TEXT, FIELD(acoustic_model), 0, 0, "DIR",
	  "pocketsphinx model, 16 kHz (" MODEL_DIRECTORY "/en-us)" },
	{ "dictionary", OPTION_TEXT, FIELD(dictionary), 0, 0, "FILE",
	  "pronunciations (" MODEL_DIRECTORY "/cmudict-en-us.dict)" },
	{ "language-model", OPTION_TEXT, FIELD(language_model), 0, 0, "FILE",
	  "n-grams (" MODEL_DIRECTORY "/en-us.lm.bin)" },
	{ "transcribers", OPTION_NUMBER, FIELD(transcribers), 1, 64, "N",
	  "transcriptions at once (the number of processors)" },
	{ "synthesizers", OPTION_NUMBER, FIELD(synthesizers), 1, 64, "N",
	  "syntheses at once (2); they do not wait for transcriptions" },
	{ "queue", OPTION_NUMBER, FIELD(queue), 0, 10000, "N",
	  "requests that may wait, for each of both (32); more get 503" },
	{ "max-connections", OPTION_NUMBER, FIELD(max_connections), 1, 10000, "N",
	  "open connections (256)" },
	{ "max-body", OPTION_MEGABYTES, FIELD(max_body), 1, 2000, "MB", "largest request body (25)" },
	{ "max-buffered", OPTION_MEGABYTES, FIELD(max_buffered), 1, 64000, "MB",
	  "bodies and answers in memory together (256); more get 503" },
	{ "max-audio-seconds", OPTION_NUMBER, FIELD(max_audio_seconds), 1, 86400, "S",
	  "longest recording to transcribe (3600)" },
	{ "max-input", OPTION_NUMBER, FIELD(max_input), 1, 100000, "N",
	  "longest text to speak, in characters (4096)" },
	{ "max-speech-seconds", OPTION_NUMBER, FIELD(max_speech_seconds), 1, 7200, "S",
	  "longest speech to make (600)" },
	{ "receive-timeout", OPTION_NUMBER, FIELD(receive_timeout), 1, 3600, "S",
	  "time for a request to arrive or an answer to leave (60)" },
	{ "job-timeout", OPTION_NUMBER, FIELD(job_timeout), 1, 86400, "S",
	  "time to work on one request (900)" },
	{ "grace", OPTION_NUMBER, FIELD(grace), 0, 3600, "S",
	  "time for running work after SIGTERM (10)" },
	{ "nice", OPTION_NUMBER, FIELD(nice), 0, 19, "N",
	  "niceness added to the working processes (5)" },
	{ "quiet", OPTION_FLAG, FIELD(quiet), 0, 0, NULL, "log errors only" },
};

#define N_ROWS ((int) (sizeof(rows) / sizeof(rows[0])))

/* What getopt_long() returns for the two that answer at once. */
#define VALUE_HELP 1000
#define VALUE_VERSION 1001

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

static void
print_help(void)
{
	printf("mulberry-speech: speech recognition and synthesis behind an OpenAI-compatible\n"
		   "HTTP interface, on this machine, without a network service.\n\n"
		   "usage: mulberry-speech [OPTION]...\n\n");
	for (int i = 0; i < N_ROWS; i++)
	{
		char left[40];

		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
				 rows[i].argument ? rows[i].argument : "");
		printf("  %-26s %s\n", left, rows[i].help);
	}
	printf("  %-26s %s\n", "--help", "print this and exit");
	printf("  %-26s %s\n\n", "--version", "print the version and exit");
	printf(
		"Routes: POST /v1/audio/transcriptions, POST /v1/audio/speech, GET /v1/models,\n"
		"GET /v1/audio/voices, GET /health.  SIGTERM ends the server once running work is done.\n");
}

/* Puts one option's argument into its field; false, and why on standard error, when it does not fit. */
static bool
set_option(speech_options *options, const option_row *row, const char *argument)
{
	char *field = (char *) options + row->offset;
	char *end;
	long number;

	switch (row->kind)
	{
		case OPTION_FLAG:
			*(bool *) field = true;
			return true;
		case OPTION_TEXT:
			if (argument[0] == '\0')
			{
				fprintf(stderr, "mulberry-speech: --%s must not be empty\n", row->name);
				return false;
			}
			*(const char **) (void *) field = argument;
			return true;
		case OPTION_NUMBER:
		case OPTION_MEGABYTES:
			errno = 0;
			number = strtol(argument, &end, 10);
			if (errno != 0 || end == argument || *end != '\0' || number < row->minimum ||
				number > row->maximum)
			{
				fprintf(stderr,
						"mulberry-speech: --%s must be a number from %ld to %ld, not \"%s\"\n",
						row->name, row->minimum, row->maximum, argument);
				return false;
			}
			if (row->kind == OPTION_NUMBER)
				*(int *) (void *) field = (int) number;
			else
				*(size_t *) (void *) field = (size_t) number * MEGABYTE;
			return true;
	}
	return false;
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

speech_options_outcome
speech_options_parse(speech_options *options, int argc, char **argv)
{
	struct option long_options[N_ROWS + 3];
	int value;

	set_defaults(options);
	memset(long_options, 0, sizeof(long_options));
	for (int i = 0; i < N_ROWS; i++)
	{
		long_options[i].name = rows[i].name;
		long_options[i].has_arg = rows[i].kind == OPTION_FLAG ? no_argument : required_argument;
		long_options[i].val = i;
	}
	long_options[N_ROWS] = (struct option){ "help", no_argument, NULL, VALUE_HELP };
	long_options[N_ROWS + 1] = (struct option){ "version", no_argument, NULL, VALUE_VERSION };

	while ((value = getopt_long(argc, argv, "", long_options, NULL)) != -1)
	{
		if (value == VALUE_HELP)
		{
			print_help();
			return SPEECH_OPTIONS_DONE;
		}
		if (value == VALUE_VERSION)
		{
			printf("mulberry-speech %s\n", MB_VERSION);
			return SPEECH_OPTIONS_DONE;
		}
		if (value < 0 || value >= N_ROWS)
		{
			fprintf(stderr, "Try \"mulberry-speech --help\".\n");
			return SPEECH_OPTIONS_BAD;
		}
		if (!set_option(options, &rows[value], optarg))
			return SPEECH_OPTIONS_BAD;
	}
	if (optind < argc)
	{
		fprintf(stderr, "mulberry-speech: unexpected argument \"%s\"\n", argv[optind]);
		return SPEECH_OPTIONS_BAD;
	}
	if (options->max_buffered < options->max_body)
	{
		fprintf(stderr, "mulberry-speech: --max-buffered must be at least --max-body\n");
		return SPEECH_OPTIONS_BAD;
	}
	return check_address(options) ? SPEECH_OPTIONS_RUN : SPEECH_OPTIONS_BAD;
}
