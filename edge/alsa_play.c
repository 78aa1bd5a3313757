/*
 * alsa_play.c
 *	  Playing on a sound card; see alsa.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alsa.h"
#include "core/audio/g711.h"

#define MILLISECOND INT64_C(1000000)
#define BUFFER_MS 500
#define WAKE_MS 200	 /* of silence first, so that codec and amplifier are awake */
#define RESUME_MS 40 /* the same after a short pause */
#define AFTER_MS 100 /* of silence behind the last of it */
#define SLEEPS_AFTER (200 * MILLISECOND)
#define LONGEST_WAIT 20 /* milliseconds; then it is looked again */
#define MOST_FAILURES 10
#define DRAIN_MS 2000 /* more than any buffer; a card that stands still is not waited for */

static uint64_t
frames_of(const edge_alsa_player *player, unsigned ms)
{
	return (uint64_t) player->side.rate * ms / 1000;
}

edge_audio_status
edge_alsa_player_open(edge_audio *audio, edge_alsa_player *player, const char *name,
					  int sample_rate, int channels)
{
	edge_audio_status status;

	*player = (edge_alsa_player){ .channels = channels };
	status = edge_alsa_open(audio, &player->side, name, SND_PCM_STREAM_PLAYBACK, sample_rate,
							channels, BUFFER_MS);
	if (status != EDGE_AUDIO_OK)
		return status;
	if (sample_rate != 0 && player->side.rate != (unsigned) sample_rate)
	{
		/* one clock drives both directions */
		edge_alsa_player_close(player);
		return edge_audio_say(
			audio, EDGE_AUDIO_FORMAT,
			"alsa:%s: records %d and plays %u Hz; plughw: in place of hw: converts", name,
			sample_rate, player->side.rate);
	}
	player->raw = malloc(player->side.period * player->side.channels * EDGE_ALSA_BYTES);
	player->silence = frames_of(player, WAKE_MS);
	if (player->raw == NULL)
	{
		edge_alsa_player_close(player);
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "out of memory");
	}
	return EDGE_AUDIO_OK;
}

void
edge_alsa_player_close(edge_alsa_player *player)
{
	edge_alsa_close(&player->side);
	free(player->raw);
	player->raw = NULL;
}

/* A sample as the device has it. */
static void
put_sample(snd_pcm_format_t format, uint8_t *p, int16_t sample)
{
	uint16_t bits = (uint16_t) sample;

	switch (format)
	{
		case SND_PCM_FORMAT_U8:
			*p = (uint8_t) ((bits >> 8) ^ 0x80);
			return;
		case SND_PCM_FORMAT_MU_LAW:
			*p = mb_mulaw_encode(sample);
			return;
		case SND_PCM_FORMAT_A_LAW:
			*p = mb_alaw_encode(sample);
			return;
		case SND_PCM_FORMAT_S32_LE:
			*p++ = 0;
			/* fall through */
		case SND_PCM_FORMAT_S24_3LE:
			*p++ = 0;
			/* fall through */
		default:
			p[0] = (uint8_t) bits;
			p[1] = (uint8_t) (bits >> 8);
	}
}

/* At most a period: one channel goes to all of the device's, of more those that it has no counterpart for are silent. NULL: silence. */
static void
convert(edge_alsa_player *player, const int16_t *samples, size_t frames)
{
	size_t bytes = (size_t) snd_pcm_format_physical_width(player->side.format) / 8;
	size_t channels = (size_t) player->channels;
	uint8_t *p = player->raw;

	for (size_t i = 0; i < frames; i++)
	{
		for (size_t c = 0; c < player->side.channels; c++)
		{
			bool has = samples != NULL && (channels == 1 || c < channels);

			put_sample(player->side.format, p,
					   has ? samples[i * channels + (channels == 1 ? 0 : c)] : 0);
			p += bytes;
		}
	}
}

/* What was given to the device before has been played, or is lost. */
static void
begin_anew(edge_alsa_player *player)
{
	bool awake = player->begun && edge_clock() - player->written_at < SLEEPS_AFTER;

	player->begun = false;
	player->before = player->written;
	player->silence = frames_of(player, awake ? RESUME_MS : WAKE_MS);
}

/* After an error: OK when it goes on, LATER when it does not yet. */
static edge_audio_status
recover(edge_audio *audio, edge_alsa_player *player, int error)
{
	/* one that has nothing to play stops as well, and that is how it is told */
	if (error == -EPIPE && player->begun && edge_clock() - player->written_at < SLEEPS_AFTER)
		player->underruns++;
	if (error == -ESTRPIPE)
		player->suspended = true;
	else if (error != -EPIPE && !player->suspended)
		return edge_audio_say(audio, EDGE_AUDIO_AWAY, "%s", snd_strerror(error));
	error = edge_alsa_wake(&player->side, &player->suspended);
	begin_anew(player);
	if (error == -EAGAIN)
		return EDGE_AUDIO_LATER;
	return error < 0 ? edge_audio_say(audio, EDGE_AUDIO_AWAY, "%s", snd_strerror(error))
					 : EDGE_AUDIO_OK;
}

/* Waits until the device has room for so many frames. */
static edge_audio_status
wait_for_room(edge_audio *audio, edge_alsa_player *player, uint64_t frames, int64_t until)
{
	for (int failures = 0;;)
	{
		int64_t rest = (until - edge_clock()) / MILLISECOND;
		snd_pcm_sframes_t room =
			player->suspended ? -ESTRPIPE : snd_pcm_avail_update(player->side.pcm);
		edge_audio_status status = EDGE_AUDIO_OK;
		int error = 0;

		if (room >= 0 && (uint64_t) room >= frames)
			return EDGE_AUDIO_OK;
		if (room >= 0 && rest > 0)
			error = snd_pcm_wait(player->side.pcm, rest < LONGEST_WAIT ? (int) rest : LONGEST_WAIT);
		else if (room < 0)
			error = (int) room;
		/* one that fails at once when it has been made ready is broken */
		if (error < 0 && error != -EINTR && error != -EAGAIN)
			status = ++failures > MOST_FAILURES && !player->suspended
						 ? edge_audio_say(audio, EDGE_AUDIO_AWAY, "%s", snd_strerror(error))
						 : recover(audio, player, error);
		if (status == EDGE_AUDIO_AWAY)
			return status;
		if (status == EDGE_AUDIO_LATER && rest > 0)
			nanosleep(&(struct timespec){ .tv_nsec = LONGEST_WAIT * MILLISECOND }, NULL);
		if (rest <= 0)
			return EDGE_AUDIO_LATER;
	}
}

/* Gives the device frames that it has room for; NULL: silence. */
static edge_audio_status
put(edge_audio *audio, edge_alsa_player *player, const int16_t *samples, uint64_t frames)
{
	while (frames > 0)
	{
		size_t n = frames < player->side.period ? (size_t) frames : player->side.period;
		snd_pcm_sframes_t put;

		convert(player, samples, n);
		put = snd_pcm_writei(player->side.pcm, player->raw, n);
		if (put == -EAGAIN || put == -EINTR || put == 0)
		{
			nanosleep(&(struct timespec){ .tv_nsec = MILLISECOND }, NULL);
			continue;
		}
		if (put < 0)
		{
			edge_audio_status status = recover(audio, player, (int) put);

			/* what is left of it follows, or is what a machine slept over */
			if (status != EDGE_AUDIO_OK)
				return status == EDGE_AUDIO_LATER ? EDGE_AUDIO_OK : status;
			continue;
		}
		player->begun = true;
		player->written_at = edge_clock();
		frames -= (uint64_t) put;
		if (samples != NULL)
			samples += (size_t) put * (size_t) player->channels;
	}
	return EDGE_AUDIO_OK;
}

/* Silence, as much of it as there is, in pieces that a small buffer has room for. */
static edge_audio_status
put_silence(edge_audio *audio, edge_alsa_player *player, uint64_t *frames, int64_t until)
{
	while (*frames > 0)
	{
		uint64_t n = *frames < player->side.period ? *frames : player->side.period;
		edge_audio_status status = wait_for_room(audio, player, n, until);

		if (status == EDGE_AUDIO_OK)
			status = put(audio, player, NULL, n);
		if (status != EDGE_AUDIO_OK)
			return status;
		*frames -= *frames < n ? *frames : n;
	}
	return EDGE_AUDIO_OK;
}

edge_audio_status
edge_alsa_player_write(edge_audio *audio, edge_alsa_player *player, const int16_t *samples,
					   size_t frames, int timeout)
{
	int64_t until = edge_clock() + timeout * MILLISECOND;
	edge_audio_status status;

	if (frames > player->side.buffer)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE, "at most %lu frames at once",
							  player->side.buffer);
	do
	{
		status = put_silence(audio, player, &player->silence, until);
		if (status == EDGE_AUDIO_OK)
			status = wait_for_room(audio, player, frames, until);
		/* it may have begun anew meanwhile */
	} while (status == EDGE_AUDIO_OK && player->silence > 0);
	if (status != EDGE_AUDIO_OK)
		return status;
	status = put(audio, player, samples, frames);
	if (status == EDGE_AUDIO_OK)
		player->written += frames;
	return status;
}

/* Frames that the device has and has not played. */
static uint64_t
queued(const edge_alsa_player *player)
{
	snd_pcm_sframes_t delay = 0;

	if (!player->begun || snd_pcm_state(player->side.pcm) == SND_PCM_STATE_XRUN ||
		snd_pcm_delay(player->side.pcm, &delay) < 0 || delay < 0)
		return 0;
	return (uint64_t) delay;
}

edge_audio_status
edge_alsa_player_drain(edge_audio *audio, edge_alsa_player *player)
{
	int64_t until = edge_clock() + DRAIN_MS * MILLISECOND;
	uint64_t silence = frames_of(player, AFTER_MS);
	edge_audio_status status;

	if (!player->begun)
		return EDGE_AUDIO_OK;
	status = put_silence(audio, player, &silence, until);
	while (status == EDGE_AUDIO_OK && queued(player) > 0 && edge_clock() < until)
		nanosleep(&(struct timespec){ .tv_nsec = MILLISECOND }, NULL);
	edge_alsa_player_drop(player);
	return status == EDGE_AUDIO_LATER ? EDGE_AUDIO_OK : status;
}

void
edge_alsa_player_drop(edge_alsa_player *player)
{
	snd_pcm_drop(player->side.pcm);
	/* what cannot be prepared now says so when something is written */
	snd_pcm_prepare(player->side.pcm);
	begin_anew(player);
}

uint64_t
edge_alsa_player_played(const edge_alsa_player *player)
{
	uint64_t since = player->written - player->before;
	uint64_t waits = queued(player);

	return player->written - (waits < since ? waits : since);
}
