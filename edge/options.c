/*
 * options.c
 *	  The settings of mulberry-edge; see options.h.
 */
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "core/modem/control.h"
#include "exits.h"
#include "program/settings.h"
#include "speech.h"
#include "spool.h"

#define FIELD(field) offsetof(edge_options, field)

static const program_setting list[] = {
	{ "database", PROGRAM_TEXT, FIELD(database), 0, 0, 0,
	  "connection string of PostgreSQL [\"\": that of the environment]" },
	{ "tenant", PROGRAM_TEXT, FIELD(tenant), 0, 0, 1, "whose calls they are [the role's]" },
	{ "call", PROGRAM_TEXT, FIELD(call), 0, 0, 1, "send: the id that the call has or gets" },
	{ "track", PROGRAM_TEXTS, FIELD(track), FIELD(n_tracks), EDGE_MAX_CHANNELS, 0,
	  "send: what a channel is called, for each of them [the call's first; left and right]" },
	{ "direction", PROGRAM_TEXT, FIELD(direction), 0, 0, 1, "inbound, outbound or internal" },
	{ "from", PROGRAM_TEXT, FIELD(from), 0, 0, 1, "number of who calls" },
	{ "to", PROGRAM_TEXT, FIELD(to), 0, 0, 1, "number of who is called" },
	{ "attributes", PROGRAM_TEXT, FIELD(attributes), 0, 0, 1,
	  "more to find the call by, an object of JSON" },
	{ "call-encoding", PROGRAM_TEXT, FIELD(call_encoding), 0, 0, 1,
	  "of a new call: mulaw, alaw or s16le [its tenant's]" },
	{ "call-rate", PROGRAM_NUMBER, FIELD(call_rate), 0, 48000, 8000,
	  "samples a second of a new call: 8000, 16000, 44100 or 48000 [its tenant's]" },
	{ "complete", PROGRAM_SWITCH, FIELD(complete), 0, 0, 0,
	  "send: nothing follows, so that the call can be transcribed [on]" },
	{ "patience", PROGRAM_NUMBER, FIELD(patience), 0, 86400, 0,
	  "send: seconds that the server may be away [60]" },
	{ "name", PROGRAM_TEXT, FIELD(name), 0, 0, 1,
	  "what stands before the ids of calls [the host's name]" },
	{ "gate", PROGRAM_TEXT, FIELD(gate), 0, 0, 1,
	  "a call begins with voice, with dtmf, or at once: off [of capture off, of answer dtmf]" },
	{ "hangover", PROGRAM_NUMBER, FIELD(hangover), 0, 3600, 1,
	  "capture: seconds without either until the call is over [20]" },
	{ "call-minutes", PROGRAM_NUMBER, FIELD(call_minutes), 0, 1440, 1,
	  "of a call; then capture begins another one, and answer hangs up [60]" },
	{ "memory", PROGRAM_NUMBER, FIELD(memory), 0, 3600, 1,
	  "seconds that may wait for the database; then the oldest are dropped [60]" },
	{ "spool", PROGRAM_TEXT, FIELD(spool), 0, 0, 1,
	  "capture, answer: directory that keeps what is not posted yet, over restarts, too [none]" },
	{ "spool-size", PROGRAM_MEGABYTES, FIELD(spool_bytes), 0, 1048576, 2,
	  "megabytes of it; then the oldest are dropped [256]" },
	{ "spool-free", PROGRAM_NUMBER, FIELD(spool_free), 0, 90, 0,
	  "percent of its disk that it leaves free [10]" },
	{ "spool-pace", PROGRAM_NUMBER, FIELD(spool_pace), 0, 1000, 1,
	  "seconds of audio a second that are posted of it, after what is live [5]" },
	{ "spool-sync", PROGRAM_NUMBER, FIELD(spool_sync), 0, 60000, 20,
	  "milliseconds until what is in it outlives the power [1000]" },
	{ "batch", PROGRAM_NUMBER, FIELD(batch_ms), 0, 10000, 20,
	  "milliseconds that a packet may wait for others [500]" },
	{ "grace", PROGRAM_NUMBER, FIELD(grace), 0, 600, 0,
	  "seconds to post what is left at the end [10]" },
	{ "check", PROGRAM_SWITCH, FIELD(check), 0, 0, 0,
	  "say whether settings, device and database are good, what it hears for some seconds, and "
	  "end" },
	{ "modem", PROGRAM_TEXT, FIELD(modem), 0, 0, 1,
	  "answer: sim7600, quectel or v253 [the device is the line]" },
	{ "port", PROGRAM_TEXT, FIELD(port), 0, 0, 1,
	  "answer: serial port of the modem's commands [of v253: the device's]" },
	{ "allowed-callers", PROGRAM_TEXT, FIELD(allowed_callers), 0, 0, 0,
	  "answer: numbers with commas between, +4930* for all that begin so [everybody]" },
	{ "withheld", PROGRAM_SWITCH, FIELD(withheld), 0, 0, 0,
	  "answer: who does not say who calls is answered although some are allowed" },
	{ "answers", PROGRAM_NUMBER, FIELD(answers), 0, MB_MODEM_MAX_ANSWERS, 0,
	  "answer: calls an hour, 0 for no limit [30]" },
	{ "rings", PROGRAM_NUMBER, FIELD(rings), 0, 20, 1,
	  "answer: after which it is known who calls [the profile's]" },
	{ "modem-init", PROGRAM_TEXT, FIELD(modem_init), 0, 0, 0,
	  "answer: commands in place of the profile's, and so on; see docs/edge-modems.md" },
	{ "modem-answer", PROGRAM_TEXT, FIELD(modem_answer), 0, 0, 0, "the same" },
	{ "modem-start", PROGRAM_TEXT, FIELD(modem_start), 0, 0, 0, "the same" },
	{ "modem-stop", PROGRAM_TEXT, FIELD(modem_stop), 0, 0, 0, "the same" },
	{ "modem-hang-up", PROGRAM_TEXT, FIELD(modem_hang_up), 0, 0, 0, "the same" },
	{ "modem-list", PROGRAM_TEXT, FIELD(modem_list), 0, 0, 0, "the same" },
	{ "modem-reset", PROGRAM_TEXT, FIELD(modem_reset), 0, 0, 0, "the same" },
	{ "silence", PROGRAM_NUMBER, FIELD(silence), 0, 3600, 1,
	  "answer: seconds without a digit until it hangs up [30]" },
	{ "ready", PROGRAM_SWITCH, FIELD(ready), 0, 0, 0, "answer: a tone says that we listen [on]" },
	{ "speech", PROGRAM_TEXT, FIELD(speech), 0, 0, 1,
	  "answer: command that makes WAV of a sentence it reads, off for none [" EDGE_SPEECH_DEFAULT
	  "]" },
	{ "gateway", PROGRAM_TEXT, FIELD(gateway), 0, 0, 1,
	  "URL of the gateway of the cloud, https://host:port; send and capture post there, and not to "
	  "the database" },
	{ "token-file", PROGRAM_TEXT, FIELD(token_file), 0, 0, 1,
	  "file whose first line is the token for it" },
	{ "ca-file", PROGRAM_TEXT, FIELD(ca_file), 0, 0, 1,
	  "who vouches for the gateway [whom the system trusts]" },
	{ "once", PROGRAM_SWITCH, FIELD(once), 0, 0, 0, "sync: end when there is nothing more" },
	{ "device", PROGRAM_TEXT, FIELD(device), 0, 0, 1, "where audio comes from, KIND:NAME [none]" },
	{ "rate", PROGRAM_NUMBER, FIELD(sample_rate), 0, EDGE_MAX_RATE, 1000,
	  "samples a second, of a device that can choose and of samples without a header" },
	{ "channels", PROGRAM_NUMBER, FIELD(channels), 0, EDGE_MAX_CHANNELS, 1, "the same [1]" },
	{ "encoding", PROGRAM_TEXT, FIELD(encoding), 0, 0, 1,
	  "of samples without a header: s16le, mulaw or alaw [s16le]" },
	{ "real-pace", PROGRAM_SWITCH, FIELD(real_pace), 0, 0, 0,
	  "a file comes as fast as it was spoken" },
	{ "seconds", PROGRAM_NUMBER, FIELD(seconds), 0, 86400, 1,
	  "of audio, and then end [until it ends]" },
};

static bool
take_word(void *options, const char *word)
{
	edge_options *o = options;

	if (o->n_words >= EDGE_MAX_WORDS)
	{
		edge_complain("\"%s\" is one word too many, see --help", word);
		return false;
	}
	o->word[o->n_words++] = word;
	return true;
}

/* What stands above the list in --help. */
static const char *
about(void)
{
	static char text[4096];
	size_t n = 0;

	n += (size_t) snprintf(text, sizeof(text),
						   "mulberry-edge brings audio from files, sound cards and modems into "
						   "Mulberry.\n\nusage: mulberry-edge COMMAND [FLAGS]\n\n");
	for (int i = 0; edge_commands[i].name != NULL && n < sizeof(text); i++)
		n += (size_t) snprintf(text + n, sizeof(text) - n, "  %-32s %s\n", edge_commands[i].usage,
							   edge_commands[i].help);
	if (n < sizeof(text))
		n += (size_t) snprintf(text + n, sizeof(text) - n, "\nKinds of devices:\n\n");
	for (int i = 0; edge_audio_drivers[i] != NULL && n < sizeof(text); i++)
		n += (size_t) snprintf(
			text + n, sizeof(text) - n, "  %s:%-*s %s\n", edge_audio_drivers[i]->kind,
			31 - (int) strlen(edge_audio_drivers[i]->kind), "", edge_audio_drivers[i]->naming);
	return text;
}

int
edge_options_read(edge_options *options, int argc, char **argv)
{
	const program_settings settings = { .program = "mulberry-edge",
										.version = MULBERRY_VERSION,
										.about = about(),
										.further = edge_exit_help,
										.list = list,
										.n = sizeof(list) / sizeof(list[0]),
										.wrong = EDGE_EXIT_USAGE,
										.word = take_word };
	int status;

	*options = (edge_options){ .database = "",
							   .complete = true,
							   .patience = 60,
							   .hangover = 20,
							   .call_minutes = 60,
							   .memory = 60,
							   .spool_bytes = (size_t) 256 * 1024 * 1024,
							   .spool_free = EDGE_SPOOL_FREE_PERCENT,
							   .spool_pace = 5,
							   .spool_sync = 1000,
							   .batch_ms = 500,
							   .grace = 10,
							   .answers = 30,
							   .silence = 30,
							   .ready = true,
							   .speech = EDGE_SPEECH_DEFAULT };
	status = program_settings_read(&settings, options, argc, argv);
	if (options->gate == NULL)
		options->gate =
			options->n_words > 0 && strcmp(options->word[0], "answer") == 0 ? "dtmf" : "off";
	return status;
}

bool
edge_options_tracks(const edge_options *options, int channels,
					const char *track[static EDGE_MAX_CHANNELS])
{
	static const char *const names[EDGE_MAX_CHANNELS] = { "left", "right" };

	if (options->n_tracks != 0 && options->n_tracks != channels)
	{
		edge_complain("there are %d channels, and %d tracks are named", channels,
					  options->n_tracks);
		return false;
	}
	for (int i = 0; i < channels && i < EDGE_MAX_CHANNELS; i++)
		track[i] = options->n_tracks > 0 ? options->track[i] : channels > 1 ? names[i] : NULL;
	if (channels == 2 && strcmp(track[0], track[1]) == 0)
	{
		edge_complain("each channel needs a track of its own");
		return false;
	}
	return true;
}

edge_exit
edge_options_gateway(const edge_options *options, edge_gateway *gateway)
{
	*gateway = (edge_gateway){ .url = options->gateway,
							   .token_file = options->token_file,
							   .ca_file = options->ca_file };
	if (options->token_file != NULL && options->tenant == NULL)
		return edge_gateway_open(gateway);
	snprintf(gateway->problem, sizeof(gateway->problem), "%s",
			 options->token_file == NULL
				 ? "--gateway needs --token-file"
				 : "--tenant: to a gateway, the token says whose calls they are");
	return EDGE_EXIT_USAGE;
}

edge_audio_request
edge_options_request(const edge_options *options)
{
	return (edge_audio_request){ .capture = true,
								 .sample_rate = options->sample_rate,
								 .channels = options->channels,
								 .encoding = options->encoding,
								 .real_pace = options->real_pace };
}
