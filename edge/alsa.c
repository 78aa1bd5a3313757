/*
 * alsa.c
 *	  alsa: a sound card, to record from.
 *
 * The card is asked for blocks of 20 ms and as much of a buffer as it has, up to a second, because a reader may be late.
 * Its rate is read back.
 *
 * Its clock is not ours: when a frame was recorded is told by a slow loop over the times that the card gives. When something
 * was lost, that loop says where the next frame stands, so that the gap is as long as what is missing, whoever lost it.
 */
#include <alsa/asoundlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/audio/g711.h"
#include "drivers.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define BUFFER_US 1000000
#define MOST_OFF 0.005		  /* of the rate that was asked for */
#define SLOWNESS 512		  /* blocks over which the loop settles */
#define MAX_DEVICE_CHANNELS 8 /* of which the first ones are used */
#define SAMPLE_BYTES 4

typedef struct alsa_state
{
	snd_pcm_t *pcm;
	snd_pcm_format_t format;
	unsigned device_channels;
	bool running;
	bool suspended;

	int16_t *block; /* that is being filled, and how far */
	size_t filled;
	uint64_t lost; /* before its first frame */
	uint8_t *raw;

	uint64_t frames; /* that came, or were lost, up to where the device is read */
	double offset;	 /* when frame 0 was recorded, by the loop, in nanoseconds */
	int settled;	 /* blocks that the loop has seen */
	unsigned overruns;
	unsigned suspends;
	char detail[160];
} alsa_state;

static void
say_nothing(const char *file, int line, const char *function, int error, const char *format, ...)
{
}

/* Who has a device: the process, as the kernel tells of the card's first subdevice. */
static void
find_owner(char *text, size_t size)
{
	*text = '\0';
	for (int card = 0; card < 8; card++)
	{
		char path[80];
		char line[120];
		FILE *file;

		snprintf(path, sizeof(path), "/proc/asound/card%d/pcm0c/sub0/status", card);
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
cannot_open(edge_audio *audio, const char *name, int error)
{
	char owner[60];

	switch (-error)
	{
		case EBUSY:
			find_owner(owner, sizeof(owner));
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
			return edge_audio_say(audio, EDGE_AUDIO_MISSING,
								  "alsa:%s: there is no such device; arecord -L lists them", name);
		default:
			return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: %s", name,
								  snd_strerror(error));
	}
}

/* The format, the channels and the rate; what cannot be had is said. */
static edge_audio_status
choose(edge_audio *audio, alsa_state *state, const char *name, snd_pcm_hw_params_t *params,
	   const edge_audio_request *request)
{
	static const snd_pcm_format_t formats[] = { SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_S24_3LE,
												SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_U8,
												SND_PCM_FORMAT_MU_LAW, SND_PCM_FORMAT_A_LAW };
	static const unsigned rates[] = { 8000, 16000, 48000, 44100 };
	unsigned wanted = request->channels == 0 ? 1 : (unsigned) request->channels;
	unsigned rate = (unsigned) request->sample_rate;
	size_t i = 0;

	while (i < sizeof(formats) / sizeof(formats[0]) &&
		   snd_pcm_hw_params_set_format(state->pcm, params, formats[i]) != 0)
		i++;
	if (i == sizeof(formats) / sizeof(formats[0]))
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "alsa:%s: has none of the formats that can be read (16, 24, 32 or 8 "
							  "bits); plughw: in place of hw: converts",
							  name);
	state->format = formats[i];
	state->device_channels = wanted;
	while (state->device_channels <= MAX_DEVICE_CHANNELS &&
		   snd_pcm_hw_params_set_channels(state->pcm, params, state->device_channels) != 0)
		state->device_channels++;
	if (state->device_channels > MAX_DEVICE_CHANNELS)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: has not got %u channels", name,
							  wanted);
	for (i = 0; rate == 0 && i < sizeof(rates) / sizeof(rates[0]); i++)
	{
		if (snd_pcm_hw_params_test_rate(state->pcm, params, rates[i], 0) == 0)
			rate = rates[i];
	}
	if (rate == 0)
		rate = 8000;
	if (snd_pcm_hw_params_set_rate_near(state->pcm, params, &rate, NULL) != 0)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: has no rate", name);
	if (request->sample_rate != 0 &&
		fabs((double) rate - request->sample_rate) > request->sample_rate * MOST_OFF)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "alsa:%s: has no %d Hz, the nearest is %u; plughw: in place of hw: "
							  "converts",
							  name, request->sample_rate, rate);
	if (rate > EDGE_MAX_RATE)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "alsa:%s: %u Hz are too many", name, rate);
	audio->traits = (edge_audio_traits){ .sample_rate = (int) rate,
										 .channels = (int) wanted,
										 .capture = true,
										 .pace = EDGE_PACED_BY_DEVICE,
										 .detail = state->detail };
	return EDGE_AUDIO_OK;
}

static edge_audio_status
configure(edge_audio *audio, alsa_state *state, const char *name, const edge_audio_request *request)
{
	snd_pcm_hw_params_t *params;
	snd_pcm_sw_params_t *sw;
	snd_pcm_uframes_t period;
	snd_pcm_uframes_t buffer = 0;
	unsigned us = BUFFER_US;
	edge_audio_status status;
	int error;

	snd_pcm_hw_params_alloca(&params);
	snd_pcm_sw_params_alloca(&sw);
	error = snd_pcm_hw_params_any(state->pcm, params);
	if (error >= 0)
		error = snd_pcm_hw_params_set_access(state->pcm, params, SND_PCM_ACCESS_RW_INTERLEAVED);
	if (error < 0)
		return cannot_open(audio, name, error);
	status = choose(audio, state, name, params, request);
	if (status != EDGE_AUDIO_OK)
		return status;
	period = (snd_pcm_uframes_t) audio->traits.sample_rate * EDGE_BLOCK_MS / 1000;
	snd_pcm_hw_params_set_period_size_near(state->pcm, params, &period, NULL);
	snd_pcm_hw_params_set_buffer_time_near(state->pcm, params, &us, NULL);
	error = snd_pcm_hw_params(state->pcm, params);
	if (error == 0)
		error = snd_pcm_get_params(state->pcm, &buffer, &period);
	if (error == 0)
		error = snd_pcm_sw_params_current(state->pcm, sw);
	if (error == 0)
		error = snd_pcm_sw_params_set_avail_min(state->pcm, sw, period);
	if (error == 0)
		error = snd_pcm_sw_params_set_tstamp_mode(state->pcm, sw, SND_PCM_TSTAMP_ENABLE);
	if (error == 0)
		error = snd_pcm_sw_params_set_tstamp_type(state->pcm, sw, SND_PCM_TSTAMP_TYPE_MONOTONIC);
	if (error == 0)
		error = snd_pcm_sw_params(state->pcm, sw);
	if (error < 0)
		return cannot_open(audio, name, error);
	audio->traits.buffer_ms = (int) (buffer * 1000 / (unsigned) audio->traits.sample_rate);
	snprintf(state->detail, sizeof(state->detail),
			 "%s, %d Hz, %d of %u channels, periods of %lu ms, buffer of %d ms",
			 snd_pcm_format_name(state->format), audio->traits.sample_rate, audio->traits.channels,
			 state->device_channels, period * 1000 / (unsigned) audio->traits.sample_rate,
			 audio->traits.buffer_ms);
	return EDGE_AUDIO_OK;
}

static void
alsa_close(edge_audio *audio)
{
	alsa_state *state = audio->state;

	if (state->pcm != NULL)
		snd_pcm_close(state->pcm);
	free(state->block);
	free(state->raw);
	free(state);
}

static edge_audio_status
alsa_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	alsa_state *state;
	edge_audio_status status;
	size_t samples;
	int error;

	if (*name == '\0')
		return edge_audio_say(audio, EDGE_AUDIO_NAME,
							  "alsa: needs the name of a device, such as alsa:hw:CARD=Device");
	if (request->playback)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "alsa: nothing can be played on it");
	state = calloc(1, sizeof(*state));
	if (state == NULL)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "out of memory");
	audio->state = state;
	snd_lib_error_set_handler(say_nothing);
	error = snd_pcm_open(&state->pcm, name, SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK);
	status = error < 0 ? cannot_open(audio, name, error) : configure(audio, state, name, request);
	if (status == EDGE_AUDIO_OK)
	{
		samples = (size_t) audio->traits.sample_rate * EDGE_BLOCK_MS / 1000 * MAX_DEVICE_CHANNELS;
		state->block = malloc(samples * sizeof(int16_t));
		state->raw = malloc(samples * SAMPLE_BYTES);
		if (state->block == NULL || state->raw == NULL)
			status = edge_audio_say(audio, EDGE_AUDIO_UNABLE, "out of memory");
	}
	if (status != EDGE_AUDIO_OK)
	{
		if (error < 0)
			state->pcm = NULL;
		alsa_close(audio);
	}
	return status;
}

/* A sample of the device; wider ones are rounded. */
static int16_t
sample_of(snd_pcm_format_t format, const uint8_t *p)
{
	int32_t wide;

	switch (format)
	{
		case SND_PCM_FORMAT_U8:
			return (int16_t) ((p[0] - 128) * 256);
		case SND_PCM_FORMAT_MU_LAW:
			return mb_mulaw_decode(p[0]);
		case SND_PCM_FORMAT_A_LAW:
			return mb_alaw_decode(p[0]);
		case SND_PCM_FORMAT_S24_3LE:
			wide = (int32_t) ((uint32_t) p[0] << 8 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 24);
			break;
		case SND_PCM_FORMAT_S32_LE:
			wide = (int32_t) ((uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
							  (uint32_t) p[3] << 24);
			break;
		default:
			return (int16_t) (p[0] | p[1] << 8);
	}
	return wide > INT32_MAX - 0x8000 ? INT16_MAX : (int16_t) ((wide + 0x8000) >> 16);
}

static void
convert(const edge_audio *audio, alsa_state *state, size_t frames)
{
	size_t bytes = (size_t) snd_pcm_format_physical_width(state->format) / 8;
	size_t channels = (size_t) audio->traits.channels;
	int16_t *out = state->block + state->filled * channels;

	for (size_t i = 0; i < frames; i++)
	{
		for (size_t c = 0; c < channels; c++)
			out[i * channels + c] =
				sample_of(state->format, state->raw + (i * state->device_channels + c) * bytes);
	}
	state->filled += frames;
	state->frames += frames;
}

/* edge_clock() when the clock of the card's times says so. */
static int64_t
clock_of(snd_htimestamp_t stamp)
{
	struct timespec monotonic;

	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	return edge_clock() -
		   ((monotonic.tv_sec - stamp.tv_sec) * SECOND + monotonic.tv_nsec - stamp.tv_nsec);
}

/* The loop takes another look at when the frames come. */
static void
follow_clock(const edge_audio *audio, alsa_state *state)
{
	snd_pcm_status_t *status;
	snd_htimestamp_t stamp;
	double offset;

	snd_pcm_status_alloca(&status);
	if (snd_pcm_status(state->pcm, status) < 0 ||
		snd_pcm_status_get_state(status) != SND_PCM_STATE_RUNNING)
		return;
	snd_pcm_status_get_htstamp(status, &stamp);
	if (stamp.tv_sec == 0)
		return;
	offset = (double) clock_of(stamp) -
			 ((double) state->frames + (double) snd_pcm_status_get_avail(status)) *
				 (double) SECOND / audio->traits.sample_rate;
	if (state->settled < SLOWNESS)
		state->settled++;
	state->offset += (offset - state->offset) / state->settled;
}

/* It runs, and what has been missed since it last did is known. */
static int
start(const edge_audio *audio, alsa_state *state)
{
	int error = snd_pcm_start(state->pcm);
	int64_t begun = edge_clock();
	snd_pcm_status_t *status;
	snd_htimestamp_t stamp = { 0 };
	double due;

	if (error < 0)
		return error;
	state->running = true;
	snd_pcm_status_alloca(&status);
	if (snd_pcm_status(state->pcm, status) == 0)
		snd_pcm_status_get_trigger_htstamp(status, &stamp);
	if (stamp.tv_sec != 0)
		begun = clock_of(stamp);
	due = ((double) begun - state->offset) * audio->traits.sample_rate / (double) SECOND;
	if (state->settled == 0)
		state->offset = (double) begun;
	else if (due > (double) state->frames + 0.5)
	{
		uint64_t lost = (uint64_t) (due + 0.5) - state->frames;

		state->frames += lost;
		state->lost += lost;
	}
	return 0;
}

/* After a read that failed: OK when it goes on, LATER when it does not yet. */
static edge_audio_status
recover(edge_audio *audio, alsa_state *state, int error)
{
	if (error == -EPIPE || error == -ESTRPIPE)
		state->running = false;
	if (error == -EPIPE)
		state->overruns++;
	if (error == -ESTRPIPE && !state->suspended)
	{
		state->suspends++;
		state->suspended = true;
	}
	if (state->suspended)
	{
		error = snd_pcm_resume(state->pcm);
		if (error == -EAGAIN)
			return EDGE_AUDIO_LATER;
		state->suspended = false;
	}
	else if (error != -EPIPE)
		return edge_audio_say(audio, EDGE_AUDIO_AWAY, "%s", snd_strerror(error));
	error = snd_pcm_prepare(state->pcm);
	if (error == -ESTRPIPE)
	{
		state->suspended = true;
		return EDGE_AUDIO_LATER;
	}
	return error < 0 ? edge_audio_say(audio, EDGE_AUDIO_AWAY, "%s", snd_strerror(error))
					 : EDGE_AUDIO_OK;
}

/* Gives the block that was filled, wholly or, before a gap, partly. */
static edge_audio_status
give(const edge_audio *audio, alsa_state *state, int16_t *samples, edge_audio_block *block,
	 uint64_t behind)
{
	memcpy(samples, state->block,
		   state->filled * (size_t) audio->traits.channels * sizeof(int16_t));
	block->frames = state->filled;
	block->lost = state->lost - behind;
	block->time = (int64_t) (state->offset +
							 ((double) state->frames - (double) behind - (double) state->filled) *
								 (double) SECOND / audio->traits.sample_rate);
	state->filled = 0;
	state->lost = behind;
	return EDGE_AUDIO_OK;
}

static edge_audio_status
alsa_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout)
{
	alsa_state *state = audio->state;
	int64_t until = edge_clock() + timeout * MILLISECOND;
	edge_audio_status status;

	while (state->filled < audio->traits.block)
	{
		int64_t rest = (until - edge_clock()) / MILLISECOND;
		uint64_t lost = state->lost;
		snd_pcm_sframes_t n = 0;
		int error = state->running ? 0 : state->suspended ? -ESTRPIPE : start(audio, state);

		if (state->lost > lost && state->filled > 0)
			return give(audio, state, samples, block, state->lost - lost);
		if (error == 0)
			error = snd_pcm_wait(state->pcm, rest < 0 ? 0 : (int) rest);
		if (error == 0 && rest <= 0)
			return EDGE_AUDIO_LATER;
		if (error > 0)
			n = snd_pcm_readi(state->pcm, state->raw, audio->traits.block - state->filled);
		if (error < 0)
			n = error;
		if (n > 0)
		{
			convert(audio, state, (size_t) n);
			continue;
		}
		if (n == 0 || n == -EAGAIN || n == -EINTR)
			continue;
		status = recover(audio, state, (int) n);
		if (status == EDGE_AUDIO_AWAY)
			return status;
		if (status == EDGE_AUDIO_LATER)
		{
			struct timespec pause = { .tv_nsec = 100 * MILLISECOND };

			nanosleep(&pause, NULL);
			if (edge_clock() >= until)
				return EDGE_AUDIO_LATER;
		}
	}
	follow_clock(audio, state);
	return give(audio, state, samples, block, 0);
}

static void
alsa_position(edge_audio *audio, edge_audio_position *position)
{
	const alsa_state *state = audio->state;

	position->overruns = state->overruns;
	position->suspends = state->suspends;
}

const edge_audio_driver edge_alsa_driver = { .kind = "alsa",
											 .naming = "a sound card by ALSA's name for it, such "
													   "as hw:CARD=Device; arecord -L lists them",
											 .open = alsa_open,
											 .read = alsa_read,
											 .position = alsa_position,
											 .close = alsa_close };
