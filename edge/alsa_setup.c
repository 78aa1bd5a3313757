/*
 * alsa_setup.c
 *	  Opening a sound card for one direction; see alsa.h.
 */
#include "alsa.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#define MOST_OFF 0.005 /* of the rate that was asked for */

static void
say_nothing(const char *file, int line, const char *function, int error, const char *format, ...)
{
}

/* Who has a device: the process, as the kernel tells of the card's first subdevice. */
static void
find_owner(char *text, size_t size, snd_pcm_stream_t direction)
{
	*text = '\0';
	for (int card = 0; card < 8; card++)
	{
		char path[80];
		char line[120];
		FILE *file;

		snprintf(path, sizeof(path), "/proc/asound/card%d/pcm0%c/sub0/status", card,
				 direction == SND_PCM_STREAM_CAPTURE ? 'c' : 'p');
		file = fopen(path, "r");
		while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		{
			int pid;

			if (sscanf(line, "owner_pid : %d", &pid) == 1)
				snprintf(text, size, " (process %d has card %d)", pid, card);
		}
		if (file != NULL)
			fclose(file);
	}
}

static edge_audio_status
cannot_open(edge_audio *audio, const char *name, snd_pcm_stream_t direction, int error)
{
	char owner[60];

	switch (-error)
	{
		case EBUSY:
			find_owner(owner, sizeof(owner), direction);
			return edge_audio_say(audio, EDGE_AUDIO_BUSY, "alsa:%s: is in use by another program%s",
								  name, owner);
		case EACCES:
		case EPERM:
			return edge_audio_say(audio, EDGE_AUDIO_DENIED,
								  "alsa:%s: may not be opened: is this user in the group audio?",
								  name);
		case ENOENT:
		case ENODEV:
		case ENXIO:
			if (direction == SND_PCM_STREAM_PLAYBACK)
				return edge_audio_say(audio, EDGE_AUDIO_MISSING,
									  "alsa:%s: there is no such device that plays; aplay -L lists "
									  "them",
									  name);
			return edge_audio_say(audio, EDGE_AUDIO_MISSING,
								  "alsa:%s: there is no such device; arecord -L lists them", name);
		default:
			return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: %s", name,
								  snd_strerror(error));
	}
}

/* The format, the channels and the rate; what cannot be had is said. */
static edge_audio_status
choose(edge_audio *audio, edge_alsa *side, const char *name, snd_pcm_hw_params_t *params,
	   int sample_rate, int channels)
{
	static const snd_pcm_format_t formats[] = { SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_S24_3LE,
												SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_U8,
												SND_PCM_FORMAT_MU_LAW, SND_PCM_FORMAT_A_LAW };
	static const unsigned rates[] = { 8000, 16000, 48000, 44100 };
	unsigned rate = (unsigned) sample_rate;
	size_t i = 0;

	while (i < sizeof(formats) / sizeof(formats[0]) &&
		   snd_pcm_hw_params_set_format(side->pcm, params, formats[i]) != 0)
		i++;
	if (i == sizeof(formats) / sizeof(formats[0]))
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "alsa:%s: has none of the formats that we know (16, 24, 32 or 8 "
							  "bits); plughw: in place of hw: converts",
							  name);
	side->format = formats[i];
	side->channels = (unsigned) channels;
	while (side->channels <= EDGE_ALSA_CHANNELS &&
		   snd_pcm_hw_params_set_channels(side->pcm, params, side->channels) != 0)
		side->channels++;
	if (side->channels > EDGE_ALSA_CHANNELS)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: has not got %d channels", name,
							  channels);
	for (i = 0; rate == 0 && i < sizeof(rates) / sizeof(rates[0]); i++)
	{
		if (snd_pcm_hw_params_test_rate(side->pcm, params, rates[i], 0) == 0)
			rate = rates[i];
	}
	if (rate == 0)
		rate = 8000;
	if (snd_pcm_hw_params_set_rate_near(side->pcm, params, &rate, NULL) != 0)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: has no rate", name);
	if (sample_rate != 0 && fabs((double) rate - sample_rate) > sample_rate * MOST_OFF)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "alsa:%s: has no %d Hz, the nearest is %u; plughw: in place of hw: "
							  "converts",
							  name, sample_rate, rate);
	if (rate > EDGE_MAX_RATE)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: %u Hz are too many", name, rate);
	side->rate = rate;
	return EDGE_AUDIO_OK;
}

/* When the device goes on by itself, and how its times are told. */
static int
set_software(edge_alsa *side, snd_pcm_stream_t direction)
{
	snd_pcm_sw_params_t *sw;
	int error;

	snd_pcm_sw_params_alloca(&sw);
	error = snd_pcm_sw_params_current(side->pcm, sw);
	if (error == 0)
		error = snd_pcm_sw_params_set_avail_min(side->pcm, sw, side->period);
	/* what is recorded starts when told to */
	if (error == 0 && direction == SND_PCM_STREAM_PLAYBACK)
		error = snd_pcm_sw_params_set_start_threshold(side->pcm, sw, side->period);
	if (error == 0)
		error = snd_pcm_sw_params_set_tstamp_mode(side->pcm, sw, SND_PCM_TSTAMP_ENABLE);
	if (error == 0)
		error = snd_pcm_sw_params_set_tstamp_type(side->pcm, sw, SND_PCM_TSTAMP_TYPE_MONOTONIC);
	return error == 0 ? snd_pcm_sw_params(side->pcm, sw) : error;
}

static edge_audio_status
configure(edge_audio *audio, edge_alsa *side, const char *name, snd_pcm_stream_t direction,
		  int sample_rate, int channels, int buffer_ms)
{
	snd_pcm_hw_params_t *params;
	unsigned us = (unsigned) buffer_ms * 1000;
	edge_audio_status status;
	int error;

	snd_pcm_hw_params_alloca(&params);
	error = snd_pcm_hw_params_any(side->pcm, params);
	if (error >= 0)
		error = snd_pcm_hw_params_set_access(side->pcm, params, SND_PCM_ACCESS_RW_INTERLEAVED);
	if (error < 0)
		return cannot_open(audio, name, direction, error);
	status = choose(audio, side, name, params, sample_rate, channels);
	if (status != EDGE_AUDIO_OK)
		return status;
	side->period = side->rate * EDGE_BLOCK_MS / 1000;
	snd_pcm_hw_params_set_period_size_near(side->pcm, params, &side->period, NULL);
	snd_pcm_hw_params_set_buffer_time_near(side->pcm, params, &us, NULL);
	error = snd_pcm_hw_params(side->pcm, params);
	if (error == 0)
		error = snd_pcm_get_params(side->pcm, &side->buffer, &side->period);
	if (error == 0)
		error = set_software(side, direction);
	return error < 0 ? cannot_open(audio, name, direction, error) : EDGE_AUDIO_OK;
}

edge_audio_status
edge_alsa_open(edge_audio *audio, edge_alsa *side, const char *name, snd_pcm_stream_t direction,
			   int sample_rate, int channels, int buffer_ms)
{
	edge_audio_status status;
	int error;

	snd_lib_error_set_handler(say_nothing);
	*side = (edge_alsa){ 0 };
	error = snd_pcm_open(&side->pcm, name, direction, SND_PCM_NONBLOCK);
	if (error < 0)
	{
		side->pcm = NULL;
		return cannot_open(audio, name, direction, error);
	}
	status = configure(audio, side, name, direction, sample_rate, channels, buffer_ms);
	if (status != EDGE_AUDIO_OK)
		edge_alsa_close(side);
	return status;
}

void
edge_alsa_close(edge_alsa *side)
{
	if (side->pcm != NULL)
		snd_pcm_close(side->pcm);
	side->pcm = NULL;
}

int
edge_alsa_wake(edge_alsa *side, bool *suspended)
{
	int error;

	if (*suspended)
	{
		error = snd_pcm_resume(side->pcm);
		if (error == -EAGAIN)
			return error;
		*suspended = false;
	}
	error = snd_pcm_prepare(side->pcm);
	if (error != -ESTRPIPE)
		return error;
	*suspended = true;
	return -EAGAIN;
}
