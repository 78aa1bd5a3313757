/*
 * listen.c
 *	  "mulberry-edge listen": what a device or file is, how loud, and which digits are heard in it. Each channel is a
 *	  line of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "core/audio/dtmf.h"
#include "core/audio/dtmf_holes.h"
#include "core/audio/level.h"

#define PATIENCE 1000 /* milliseconds of a read; then another one */

typedef struct listener
{
	int channel;
	int channels;
	int sample_rate;
	mb_level level;
	mb_dtmf receiver;
	mb_dtmf_holes holes;
} listener;

static void
on_digit(void *arg, const mb_dtmf_event *event)
{
	const listener *l = arg;
	double rate = l->sample_rate;

	printf("%10.3f s ", (double) event->onset / rate);
	if (l->channels > 1)
		printf("channel %d ", l->channel + 1);
	printf("digit %c, %.0f ms, %.1f dBm0\n", event->digit, (double) event->duration * 1000 / rate,
		   (double) event->level_dbm0);
	fflush(stdout);
}

/* False when no tones can be received at that rate. */
static bool
begin(listener *l, int channel, const edge_audio_traits *traits)
{
	mb_dtmf_options options = { .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
								.on_digit = on_digit,
								.arg = l };

	l->channel = channel;
	l->channels = traits->channels;
	l->sample_rate = traits->sample_rate;
	mb_level_init(&l->level);
	return mb_dtmf_holes_init(&l->holes, &l->receiver, traits->sample_rate, &options) == MB_OK;
}

static void
hear(listener *l, const int16_t *samples, const edge_audio_block *block)
{
	int16_t own[EDGE_MAX_BLOCK];

	for (size_t i = 0; i < block->frames; i++)
		own[i] = samples[i * (size_t) l->channels + (size_t) l->channel];
	mb_level_feed(&l->level, own, block->frames);
	if (block->lost > 0)
		mb_dtmf_holes_lost(&l->holes, block->lost);
	mb_dtmf_holes_feed(&l->holes, own, block->frames);
}

static void
tell(const listener *l)
{
	if (l->channels > 1)
		printf("channel %d: ", l->channel + 1);
	if (l->level.n == 0)
		printf("nothing\n");
	else if (l->level.minimum == 0 && l->level.maximum == 0)
		printf("digital silence\n");
	else
		printf("level %.1f dBFS, peak %.1f dBFS, offset %.2f %%, %.3f %% clipped\n",
			   mb_level_rms_dbfs(&l->level), mb_level_peak_dbfs(&l->level),
			   mb_level_dc(&l->level) * 100, (double) l->level.clipped * 100 / (double) l->level.n);
}

/* Until it ends, or for as long as was asked for. */
static edge_audio_status
hear_all(edge_audio *audio, listener *listeners, int seconds)
{
	static int16_t samples[EDGE_MAX_BLOCK];
	edge_audio_block block;
	edge_audio_status status;
	uint64_t enough = (uint64_t) seconds * (uint64_t) audio->traits.sample_rate;

	do
	{
		status = edge_audio_read(audio, samples, &block, PATIENCE);
		if (status != EDGE_AUDIO_OK)
			continue;
		if (block.lost > 0)
			printf("%10.3f s lost %llu samples\n",
				   (double) (audio->position.captured - block.frames - block.lost) /
					   audio->traits.sample_rate,
				   (unsigned long long) block.lost);
		for (int i = 0; i < audio->traits.channels; i++)
			hear(&listeners[i], samples, &block);
		if (enough > 0 && audio->position.captured >= enough)
			return EDGE_AUDIO_END;
	} while (status == EDGE_AUDIO_OK || status == EDGE_AUDIO_LATER);
	return status;
}

edge_exit
edge_listen(const edge_options *options)
{
	edge_audio_request request = edge_options_request(options);
	const char *name = options->n_words > 1 ? options->word[1] : options->device;
	listener *listeners;
	edge_audio audio;
	edge_audio_status status;

	if (name == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "listen needs a device, such as file:call.mp3");
	status = edge_audio_open(&audio, name, &request);
	if (status != EDGE_AUDIO_OK)
		return edge_fail(edge_exit_of_audio(status), "%s", audio.problem);
	printf("%s: %s\n", name, audio.traits.detail);
	listeners = calloc((size_t) audio.traits.channels, sizeof(*listeners));
	for (int i = 0; listeners != NULL && i < audio.traits.channels; i++)
	{
		if (begin(&listeners[i], i, &audio.traits))
			continue;
		edge_complain("%d Hz is none of the rates that can be converted", audio.traits.sample_rate);
		edge_audio_close(&audio);
		free(listeners);
		return EDGE_EXIT_FORMAT;
	}
	status = listeners == NULL ? EDGE_AUDIO_UNABLE : hear_all(&audio, listeners, options->seconds);
	printf("%.3f s\n", (double) audio.position.captured / audio.traits.sample_rate);
	for (int i = 0; listeners != NULL && i < audio.traits.channels; i++)
	{
		mb_dtmf_holes_flush(&listeners[i].holes);
		tell(&listeners[i]);
	}
	if (status != EDGE_AUDIO_END)
		edge_fail(edge_exit_of_audio(status), "%s", audio.problem);
	edge_audio_close(&audio);
	free(listeners);
	return edge_exit_of_audio(status);
}
