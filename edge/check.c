/*
 * check.c
 *	  "--check": whether it would work, and what is wrong in words that somebody can act on.
 *
 * What the program cannot do without ends the check with its status; what only spoils the audio is a warning, and all of
 * them are told.
 */
#include <alsa/asoundlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "core/audio/dtmf.h"
#include "core/audio/level.h"
#include "keeper.h"
#include "server.h"
#include "speech.h"
#include "status.h"

#define LISTEN_SECONDS 3
#define READ_TIME 1000 /* milliseconds */
#define QUIET_DBFS (-50.0)
#define CLIPPED 0.001 /* of all samples */
#define OFFSET 0.05	  /* of full scale */

#define PROBLEM 128
#define MODEM_TIME INT64_C(15000000000) /* nanoseconds to be made ready */

static int warnings;

static bool
is_answer(const edge_options *options)
{
	return options->n_words > 0 && strcmp(options->word[0], "answer") == 0;
}

static void
warn(const char *format, ...)
{
	va_list list;

	warnings++;
	fputs("mulberry-edge: warning: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("\n", stderr);
}

/* A Raspberry Pi says whether its power supply is too weak, which a USB card feels first. */
static void
check_power(void)
{
	const char *when = edge_under_voltage();

	if (when != NULL)
		warn("the voltage %s: use another power supply or cable",
			 strcmp(when, "now") == 0 ? "is too low at this moment"
									  : "has been too low since the machine started");
}

/* ---------------------------------------------------------------------------
 * The mixer
 * ---------------------------------------------------------------------------
 */

static void
check_element(snd_mixer_elem_t *element, bool plays)
{
	const char *name = snd_mixer_selem_get_name(element);
	long low = 0;
	long high = 0;
	long volume = 0;
	int on = 1;

	if (strstr(name, "Auto Gain") != NULL || strstr(name, "AGC") != NULL)
	{
		if ((snd_mixer_selem_has_playback_switch(element) &&
			 snd_mixer_selem_get_playback_switch(element, SND_MIXER_SCHN_MONO, &on) == 0 && on) ||
			(snd_mixer_selem_has_capture_switch(element) &&
			 snd_mixer_selem_get_capture_switch(element, SND_MIXER_SCHN_MONO, &on) == 0 && on))
			warn("the mixer's \"%s\" is on, and distorts the first digits: turn it off", name);
		return;
	}
	/* a microphone has a playback switch, too: whether one hears oneself */
	if (plays && !snd_mixer_selem_has_capture_switch(element) &&
		snd_mixer_selem_has_playback_switch(element) &&
		snd_mixer_selem_get_playback_switch(element, SND_MIXER_SCHN_MONO, &on) == 0 && !on)
		warn("the mixer's \"%s\" is muted, and nobody hears what is played", name);
	on = 1;
	if (snd_mixer_selem_has_capture_switch(element) &&
		snd_mixer_selem_get_capture_switch(element, SND_MIXER_SCHN_MONO, &on) == 0 && !on)
		warn("the mixer's \"%s\" does not capture: turn it on, in alsamixer by the space bar",
			 name);
	if (snd_mixer_selem_has_capture_volume(element) &&
		snd_mixer_selem_get_capture_volume_range(element, &low, &high) == 0 &&
		snd_mixer_selem_get_capture_volume(element, SND_MIXER_SCHN_MONO, &volume) == 0 &&
		high > low && volume == low)
		warn("the mixer's \"%s\" is turned down all the way", name);
}

/* The mixer of the card whose device that is, "hw:CARD=Device,DEV=0" or "plughw:Device". */
static void
check_mixer(const char *name, bool plays)
{
	const char *card = strstr(name, "hw:");
	char control[80];
	snd_mixer_t *mixer;

	if (card == NULL || snd_mixer_open(&mixer, 0) != 0)
		return;
	snprintf(control, sizeof(control), "%.*s", (int) strcspn(card, ","), card);
	if (snd_mixer_attach(mixer, control) == 0 && snd_mixer_selem_register(mixer, NULL, NULL) == 0 &&
		snd_mixer_load(mixer) == 0)
	{
		for (snd_mixer_elem_t *e = snd_mixer_first_elem(mixer); e != NULL;
			 e = snd_mixer_elem_next(e))
			check_element(e, plays);
	}
	snd_mixer_close(mixer);
}

/* ---------------------------------------------------------------------------
 * What is heard
 * ---------------------------------------------------------------------------
 */

static void
check_level(const mb_level *level, uint64_t lost, const char *channel)
{
	double decibels = mb_level_rms_dbfs(level);

	if (level->minimum == 0 && level->maximum == 0)
		warn("%sonly digital silence: is it plugged in, and does the mixer let it through?",
			 channel);
	else if (decibels < QUIET_DBFS)
		warn("%svery quiet, %.0f dBFS: turn the capture volume up, or speak", channel, decibels);
	if ((double) level->clipped > CLIPPED * (double) level->n)
		warn("%s%.1f %% of it is clipped: turn the capture volume down", channel,
			 (double) level->clipped * 100 / (double) level->n);
	if (fabs(mb_level_dc(level)) > OFFSET)
		warn("%san offset of %.0f %%: the card is broken, or its input is not what it is for",
			 channel, mb_level_dc(level) * 100);
	if (lost > 0)
		warn("%llu samples were lost in these few seconds: the machine is too busy, or its USB",
			 (unsigned long long) lost);
}

/* A block of it, as far as there is room: it is taken by a device that plays. */
static edge_audio_status
play_silence(edge_audio *audio)
{
	static const int16_t silence[EDGE_MAX_BLOCK];
	edge_audio_status status = edge_audio_write(audio, silence, audio->traits.block, 0);

	return status == EDGE_AUDIO_LATER ? EDGE_AUDIO_OK : status;
}

static edge_exit
check_device(const edge_options *options, const char *name)
{
	static int16_t samples[EDGE_MAX_BLOCK];
	static int16_t own[EDGE_MAX_BLOCK];
	edge_audio_request request = edge_options_request(options);
	int seconds = options->seconds == 0 ? LISTEN_SECONDS : options->seconds;
	mb_level levels[EDGE_MAX_CHANNELS];
	edge_audio audio;
	edge_audio_block block;
	edge_audio_status status;

	request.playback = is_answer(options);
	if (request.playback)
		request.channels = 1;
	status = edge_audio_open(&audio, name, &request);
	if (status != EDGE_AUDIO_OK)
		return edge_fail(edge_exit_of_audio(status), "%s", audio.problem);
	printf("%s: %s\n", name, audio.traits.detail);
	if (request.playback && (!audio.traits.playback || mb_dtmf_size(audio.traits.sample_rate) == 0))
	{
		edge_audio_close(&audio);
		return edge_fail(EDGE_EXIT_FORMAT,
						 audio.traits.playback
							 ? "%s: tones need 8000, 16000, 44100 or 48000 Hz: say one by --rate"
							 : "%s: nothing can be played on it",
						 name);
	}
	for (int c = 0; c < EDGE_MAX_CHANNELS; c++)
		mb_level_init(&levels[c]);
	while ((status == EDGE_AUDIO_OK || status == EDGE_AUDIO_LATER) &&
		   audio.position.captured < (uint64_t) seconds * (uint64_t) audio.traits.sample_rate)
	{
		status = edge_audio_read(&audio, samples, &block, READ_TIME);
		if (status == EDGE_AUDIO_OK && request.playback)
			status = play_silence(&audio);
		for (int c = 0; c < audio.traits.channels && status == EDGE_AUDIO_OK; c++)
		{
			for (size_t i = 0; i < block.frames; i++)
				own[i] = samples[i * (size_t) audio.traits.channels + (size_t) c];
			mb_level_feed(&levels[c], own, block.frames);
		}
		if (status == EDGE_AUDIO_LATER)
		{
			edge_audio_close(&audio);
			return edge_fail(EDGE_EXIT_MISSING, "%s: nothing comes from it", name);
		}
	}
	edge_audio_close(&audio);
	if (status != EDGE_AUDIO_OK && status != EDGE_AUDIO_END)
		return edge_fail(edge_exit_of_audio(status), "%s", audio.problem);
	for (int c = 0; c < audio.traits.channels; c++)
		check_level(&levels[c], c == 0 ? audio.position.lost : 0,
					audio.traits.channels == 1 ? ""
					: c == 0				   ? "left: "
											   : "right: ");
	if (strncmp(name, "alsa:", 5) == 0)
		check_mixer(name + 5, request.playback);
	return EDGE_EXIT_OK;
}

/* ---------------------------------------------------------------------------
 * The modem
 * ---------------------------------------------------------------------------
 */

static void
hear_modem(void *context, const mb_modem_news *news)
{
	if (news->what == MB_MODEM_PROBLEM)
		snprintf(context, PROBLEM, "%s", news->text);
}

/* Audio comes from it in a call only; that it takes commands can be seen without one. */
static edge_exit
check_modem(const edge_options *options, const char *name)
{
	char failed[PROBLEM] = "";
	char problem[256];
	edge_modem_options modem = { .tell = hear_modem, .context = failed };
	edge_exit status = edge_answer_modem(options, name, &modem);
	edge_audio_status opened;
	edge_modem *m;
	int64_t until = edge_clock() + MODEM_TIME;
	bool ready;

	if (status != EDGE_EXIT_OK)
		return status;
	if (strncmp(name, "v253:", 5) != 0)
	{
		/* its audio comes on a port of its own */
		edge_audio_request request = { .capture = true, .playback = true };
		edge_audio audio;

		opened = edge_audio_open(&audio, name, &request);
		if (opened != EDGE_AUDIO_OK)
			return edge_fail(edge_exit_of_audio(opened), "%s", audio.problem);
		edge_audio_close(&audio);
	}
	opened = edge_modem_open(&modem, &m, problem);
	if (opened != EDGE_AUDIO_OK)
		return edge_fail(edge_exit_of_audio(opened), "%s", problem);
	while (edge_modem_state(m) == MB_MODEM_STARTING && failed[0] == '\0' && edge_clock() < until)
		(void) edge_modem_turn(m, 20);
	ready = edge_modem_state(m) != MB_MODEM_STARTING;
	edge_modem_close(m);
	if (!ready)
		return failed[0] == '\0'
				   ? edge_fail(EDGE_EXIT_MISSING, "%s: no modem answers", modem.port)
				   : edge_fail(EDGE_EXIT_FORMAT, "%s: the modem fails at %s", modem.port, failed);
	printf("%s: a modem that takes its commands\n", modem.port);
	return EDGE_EXIT_OK;
}

static edge_exit
check_database(const edge_options *options)
{
	edge_server server = { .conninfo = options->database };
	PGresult *result = NULL;
	edge_exit status = edge_server_connect(&server);
	static const char *const accesses[] = { "ingest", "operator" };

	for (int i = 0; i < (is_answer(options) ? 2 : 1) && status == EDGE_EXIT_OK; i++)
	{
		const char *values[] = { options->tenant, accesses[i] };

		status = edge_server_query(&server, &result,
								   "SELECT 1 FROM mulberry.tenant_access WHERE $2 = ANY "
								   "(access) AND name = coalesce($1, name)",
								   2, values);
		if (status == EDGE_EXIT_OK && PQntuples(result) == 0)
			status = edge_server_say(
				&server, EDGE_EXIT_CREDENTIALS,
				"the role has no access \"%s\" to the tenant: grant_access() gives it",
				accesses[i]);
		PQclear(result);
	}
	edge_server_disconnect(&server);
	return status == EDGE_EXIT_OK ? status : edge_fail(status, "%s", server.problem);
}

static edge_exit
check_gateway(const edge_options *options)
{
	edge_gateway gateway;
	edge_exit status = edge_options_gateway(options, &gateway);

	if (status == EDGE_EXIT_OK)
		status = edge_gateway_look(&gateway);
	edge_gateway_close(&gateway);
	return status == EDGE_EXIT_OK ? status : edge_fail(status, "%s", gateway.problem);
}

static edge_exit
check_spool(const edge_options *options)
{
	char problem[512];
	edge_exit status;

	if (options->spool == NULL)
		return EDGE_EXIT_OK;
	status = edge_keeper_check(options->spool, options->spool_free, problem);
	return status == EDGE_EXIT_OK ? status : edge_fail(status, "%s", problem);
}

/* Commands are answered without it. */
static void
check_speech(const edge_options *options)
{
	char problem[EDGE_SPEECH_PROBLEM];
	int16_t *samples;
	size_t n;

	if (!is_answer(options) || strcmp(options->speech, "off") == 0)
		return;
	if (!edge_speech_make(options->speech, "Command accepted.", 8000, NULL, NULL, &samples, &n,
						  problem))
		warn("answers are not spoken: %s: %s: install espeak-ng, or say --speech off",
			 options->speech, problem);
	free(samples);
}

edge_exit
edge_check(const edge_options *options)
{
	const char *name = options->n_words > 1 ? options->word[1] : options->device;
	edge_exit database =
		options->gateway != NULL ? check_gateway(options) : check_database(options);
	edge_exit spool = check_spool(options);
	edge_exit device = name == NULL ? edge_fail(EDGE_EXIT_USAGE, "no device is named")
					   : is_answer(options) && options->modem != NULL ? check_modem(options, name)
																	  : check_device(options, name);

	check_power();
	check_speech(options);
	if (device != EDGE_EXIT_OK || database != EDGE_EXIT_OK)
		return device != EDGE_EXIT_OK ? device : database;
	if (spool != EDGE_EXIT_OK)
		return spool;
	if (warnings == 0)
		printf("mulberry-edge: all is well\n");
	return warnings == 0 ? EDGE_EXIT_OK : EDGE_EXIT_WARNINGS;
}
