/*
 * alsa.c
 *	  alsa: a sound card, to record from and to play on.
 *
 * The card is asked for blocks of 20 ms and as much of a buffer as it has, up to a second, because a reader may be late.
 * Its rate is read back. One that is to do both is opened for recording first: cheap ones on USB cannot the other way round.
 *
 * Its clock is not ours: when a frame was recorded is told by a slow loop over the times that the card gives. When something
 * was lost, that loop says where the next frame stands, so that the gap is as long as what is missing, whoever lost it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alsa.h"
#include "core/audio/g711.h"
#include "drivers.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define BUFFER_MS 1000
#define SLOWNESS 512 /* blocks over which the loop settles */

typedef struct alsa_state
{
	edge_alsa side; /* that records */
	edge_alsa_player player;
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
	unsigned short_reads;
	char detail[160];
} alsa_state;

static void
alsa_close(edge_audio *audio)
{
	alsa_state *state = audio->state;

	edge_alsa_player_close(&state->player);
	edge_alsa_close(&state->side);
	free(state->block);
	free(state->raw);
	free(state);
}

static void
describe(alsa_state *state, const edge_audio_traits *traits)
{
	const edge_alsa *side = traits->capture ? &state->side : &state->player.side;

	/* it is open, and has a rate: NOLINTBEGIN(clang-analyzer-core.DivideZero) */
	snprintf(state->detail, sizeof(state->detail),
			 "%s, %d Hz, %d of %u channels, periods of %lu ms, buffer of %d ms%s",
			 snd_pcm_format_name(side->format), traits->sample_rate, traits->channels,
			 side->channels, side->period * 1000 / side->rate,
			 (int) (side->buffer * 1000 / side->rate),
			 !traits->capture	? ", plays"
			 : traits->playback ? ", plays as well"
								: "");
	/* NOLINTEND(clang-analyzer-core.DivideZero) */
}

/* Both directions, as far as they are asked for. */
static edge_audio_status
open_sides(edge_audio *audio, alsa_state *state, const char *name,
		   const edge_audio_request *request)
{
	int channels = request->channels == 0 ? 1 : request->channels;
	int rate = request->sample_rate;
	edge_audio_status status = EDGE_AUDIO_OK;
	size_t samples;

	if (request->capture)
	{
		status = edge_alsa_open(audio, &state->side, name, SND_PCM_STREAM_CAPTURE, rate, channels,
								BUFFER_MS);
		rate = (int) state->side.rate;
	}
	if (status == EDGE_AUDIO_OK && request->playback)
	{
		status = edge_alsa_player_open(audio, &state->player, name, rate, channels);
		rate = (int) state->player.side.rate;
	}
	if (status != EDGE_AUDIO_OK)
		return status;
	audio->traits = (edge_audio_traits){ .sample_rate = rate,
										 .channels = channels,
										 .capture = request->capture,
										 .playback = request->playback,
										 .duplex = true,
										 .pace = EDGE_PACED_BY_DEVICE,
										 .detail = state->detail };
	if (request->capture)
		audio->traits.buffer_ms = (int) (state->side.buffer * 1000 / state->side.rate);
	describe(state, &audio->traits);
	samples = (size_t) rate * EDGE_BLOCK_MS / 1000 * EDGE_ALSA_CHANNELS;
	state->block = malloc(samples * sizeof(int16_t));
	state->raw = malloc(samples * EDGE_ALSA_BYTES);
	if (state->block == NULL || state->raw == NULL)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "out of memory");
	return EDGE_AUDIO_OK;
}

static edge_audio_status
alsa_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	edge_audio_status status;

	if (*name == '\0')
		return edge_audio_say(audio, EDGE_AUDIO_NAME,
							  "alsa: needs the name of a device, such as alsa:hw:CARD=Device");
	audio->state = calloc(1, sizeof(alsa_state));
	if (audio->state == NULL)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "out of memory");
	status = open_sides(audio, audio->state, name, request);
	if (status != EDGE_AUDIO_OK)
		alsa_close(audio);
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
	size_t bytes = (size_t) snd_pcm_format_physical_width(state->side.format) / 8;
	size_t channels = (size_t) audio->traits.channels;
	int16_t *out = state->block + state->filled * channels;

	for (size_t i = 0; i < frames; i++)
	{
		for (size_t c = 0; c < channels; c++)
			out[i * channels + c] =
				sample_of(state->side.format, state->raw + (i * state->side.channels + c) * bytes);
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
	if (snd_pcm_status(state->side.pcm, status) < 0 ||
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
	int error = snd_pcm_start(state->side.pcm);
	int64_t begun = edge_clock();
	snd_pcm_status_t *status;
	snd_htimestamp_t stamp = { 0 };
	double due;

	if (error < 0)
		return error;
	state->running = true;
	snd_pcm_status_alloca(&status);
	if (snd_pcm_status(state->side.pcm, status) == 0)
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
	if (!state->suspended && error != -EPIPE)
		return edge_audio_say(audio, EDGE_AUDIO_AWAY, "%s", snd_strerror(error));
	error = edge_alsa_wake(&state->side, &state->suspended);
	if (error == -EAGAIN)
		return EDGE_AUDIO_LATER;
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
			error = snd_pcm_wait(state->side.pcm, rest < 0 ? 0 : (int) rest);
		if (error == 0 && rest <= 0)
			return EDGE_AUDIO_LATER;
		if (error > 0)
			n = snd_pcm_readi(state->side.pcm, state->raw, audio->traits.block - state->filled);
		if (error < 0)
			n = error;
		if (n > 0)
		{
			state->short_reads += (size_t) n < audio->traits.block - state->filled;
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

static edge_audio_status
alsa_write(edge_audio *audio, const int16_t *samples, size_t frames, int timeout)
{
	alsa_state *state = audio->state;

	return edge_alsa_player_write(audio, &state->player, samples, frames, timeout);
}

static edge_audio_status
alsa_drain(edge_audio *audio)
{
	alsa_state *state = audio->state;

	return audio->traits.playback ? edge_alsa_player_drain(audio, &state->player) : EDGE_AUDIO_OK;
}

static void
alsa_drop(edge_audio *audio)
{
	alsa_state *state = audio->state;

	if (audio->traits.playback)
		edge_alsa_player_drop(&state->player);
}

static void
alsa_position(edge_audio *audio, edge_audio_position *position)
{
	const alsa_state *state = audio->state;

	position->overruns = state->overruns;
	position->suspends = state->suspends;
	position->short_reads = state->short_reads;
	if (!audio->traits.playback)
		return;
	position->underruns = state->player.underruns;
	position->played = edge_alsa_player_played(&state->player);
}

const edge_audio_driver edge_alsa_driver = {
	.kind = "alsa",
	.naming = "a sound card by ALSA's name for it, such as hw:CARD=Device; arecord -L lists them",
	.open = alsa_open,
	.read = alsa_read,
	.write = alsa_write,
	.drain = alsa_drain,
	.drop = alsa_drop,
	.position = alsa_position,
	.close = alsa_close,
};
