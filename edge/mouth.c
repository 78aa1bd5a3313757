/*
 * mouth.c
 *	  What is said in a call; see mouth.h.
 */
#include "mouth.h"

#include <stdlib.h>
#include <string.h>

#include "core/audio/tone.h"

/*
 * How far the device is kept ahead: with silence only as far as a turn may come late, for the next tone comes behind it; with tones as
 * far as a busy machine may sleep.
 */
#define SILENCE_AHEAD_MS 60
#define TONES_AHEAD_MS 400
/* The codec of a mobile telephone that wakes up clips the first 20 to 60 ms. */
#define FIRST_MS 160
#define TONE_MS 100
#define PAUSE_MS 80
#define READY_MS 200
#define READY_DBM0 (-13.0)
#define WRITE_MS 1000 /* of a device that does one at a time */
/* The longest answer has 30 digits and is said in one piece where nothing is heard meanwhile. */
#define HISTORY_MS 12000
/* What was played may be so far from where it is told. */
#define ASTRAY_MS 100

struct edge_mouth
{
	edge_audio *audio;
	int rate;
	bool silences; /* a device that stops when it is given nothing */
	int16_t *clip; /* that is being said, and how far */
	size_t n;
	size_t at;
	size_t room;
	bool digits;
	uint64_t end; /* of what has been said: the sample behind it, of those that were written */

	/* what was written last, and how far it has been told as played */
	int16_t *history;
	size_t size;
	uint64_t told;
	bool telling;
	int16_t *block;
};

edge_mouth *
edge_mouth_new(edge_audio *audio)
{
	edge_mouth *mouth = calloc(1, sizeof(*mouth));

	if (mouth == NULL)
		return NULL;
	mouth->audio = audio;
	mouth->rate = audio->traits.sample_rate;
	mouth->silences = audio->traits.duplex && audio->traits.pace == EDGE_PACED_BY_DEVICE;
	mouth->size = (size_t) mouth->rate * HISTORY_MS / 1000;
	mouth->history = calloc(mouth->size, sizeof(int16_t));
	mouth->block = calloc(audio->traits.block, sizeof(int16_t));
	if (mouth->history != NULL && mouth->block != NULL && mb_rate_supported(mouth->rate))
		return mouth;
	edge_mouth_free(mouth);
	return NULL;
}

void
edge_mouth_free(edge_mouth *mouth)
{
	if (mouth == NULL)
		return;
	free(mouth->clip);
	free(mouth->history);
	free(mouth->block);
	free(mouth);
}

/* Room for n more samples at the end of what is to be said; NULL: out of memory. */
static int16_t *
extend(edge_mouth *mouth, size_t n)
{
	if (mouth->at == mouth->n)
	{
		mouth->at = mouth->n = 0;
		mouth->digits = false;
	}
	if (mouth->n + n > mouth->room)
	{
		int16_t *more = realloc(mouth->clip, (mouth->n + n) * sizeof(int16_t));

		if (more == NULL)
			return NULL;
		mouth->clip = more;
		mouth->room = mouth->n + n;
	}
	mouth->n += n;
	return mouth->clip + mouth->n - n;
}

static bool
add_digits(edge_mouth *mouth, const char *digits, size_t n, int on_ms)
{
	mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
	mb_tone_dtmf tone;
	uint64_t samples;
	int16_t *out;

	options.on_ms = on_ms;
	options.off_ms = PAUSE_MS;
	if (mb_tone_dtmf_samples(digits, n, &options, mouth->rate, &samples, NULL) != MB_OK ||
		mb_tone_dtmf_init(&tone, digits, n, &options, mouth->rate) != MB_OK)
		return false;
	out = extend(mouth, (size_t) samples);
	if (out == NULL)
		return false;
	mb_tone_dtmf_read(&tone, out, (size_t) samples);
	mouth->digits = true;
	return true;
}

bool
edge_mouth_digits(edge_mouth *mouth, const char *digits)
{
	size_t n = strlen(digits);

	return n > 0 && add_digits(mouth, digits, 1, FIRST_MS) &&
		   (n == 1 || add_digits(mouth, digits + 1, n - 1, TONE_MS));
}

bool
edge_mouth_ready(edge_mouth *mouth)
{
	size_t n = (size_t) mouth->rate * READY_MS / 1000;
	int16_t *out = extend(mouth, n);
	mb_tone tone;

	if (out == NULL)
		return false;
	memset(out, 0, n * sizeof(*out));
	if (mb_tone_init(&tone, MB_TONE_DIAL_425, READY_DBM0, mouth->rate) == MB_OK)
		mb_tone_read(&tone, out, n);
	return true;
}

bool
edge_mouth_sentence(edge_mouth *mouth, const int16_t *samples, size_t n)
{
	int16_t *out = extend(mouth, n);

	if (out != NULL)
		memcpy(out, samples, n * sizeof(*out));
	return out != NULL;
}

/* Writes the next block, of what is to be said and silence behind it. */
static edge_audio_status
write_block(edge_mouth *mouth, int timeout)
{
	size_t n = mouth->audio->traits.block;
	size_t left = mouth->n - mouth->at;
	size_t speech = left < n ? left : n;
	uint64_t from = mouth->audio->position.written;
	edge_audio_status status;

	memset(mouth->block, 0, n * sizeof(int16_t));
	if (speech > 0)
		memcpy(mouth->block, mouth->clip + mouth->at, speech * sizeof(int16_t));
	status = edge_audio_write(mouth->audio, mouth->block, n, timeout);
	if (status != EDGE_AUDIO_OK)
		return status;
	for (size_t i = 0; i < n; i++)
		mouth->history[(from + i) % mouth->size] = mouth->block[i];
	mouth->at += speech;
	if (speech > 0)
		mouth->end = from + n;
	return EDGE_AUDIO_OK;
}

/* Turns around, says all of it, and turns around again when it has been heard. */
static edge_audio_status
say_all(edge_mouth *mouth)
{
	edge_audio_status status = EDGE_AUDIO_OK;

	if (mouth->at == mouth->n)
		return EDGE_AUDIO_OK;
	while (mouth->at < mouth->n && status == EDGE_AUDIO_OK)
		status = write_block(mouth, WRITE_MS);
	mouth->at = mouth->n;
	return status == EDGE_AUDIO_OK || status == EDGE_AUDIO_LATER ? edge_audio_drain(mouth->audio)
																 : status;
}

edge_audio_status
edge_mouth_turn(edge_mouth *mouth)
{
	edge_audio_status status = EDGE_AUDIO_OK;

	if (!mouth->audio->traits.duplex)
		return say_all(mouth);
	while (status == EDGE_AUDIO_OK && (mouth->at < mouth->n || mouth->silences))
	{
		int most = mouth->at < mouth->n ? TONES_AHEAD_MS : SILENCE_AHEAD_MS;
		edge_audio_position position;

		edge_audio_where(mouth->audio, &position);
		if ((position.written - position.played) * 1000 >= (uint64_t) most * (uint64_t) mouth->rate)
			break;
		status = write_block(mouth, 0);
	}
	return status == EDGE_AUDIO_LATER ? EDGE_AUDIO_OK : status;
}

void
edge_mouth_hush(edge_mouth *mouth)
{
	mouth->at = mouth->n;
}

bool
edge_mouth_speaks(edge_mouth *mouth)
{
	edge_audio_position position;

	edge_audio_where(mouth->audio, &position);
	return mouth->at < mouth->n || position.played < mouth->end;
}

uint64_t
edge_mouth_left(edge_mouth *mouth)
{
	edge_audio_position position;

	edge_audio_where(mouth->audio, &position);
	return position.played < mouth->end ? mouth->end - position.played : 0;
}

bool
edge_mouth_speaks_digits(edge_mouth *mouth)
{
	return mouth->digits && edge_mouth_speaks(mouth);
}

void
edge_mouth_played(edge_mouth *mouth, int16_t *samples, size_t n)
{
	uint64_t astray = (uint64_t) mouth->rate * ASTRAY_MS / 1000;
	edge_audio_position position;

	edge_audio_where(mouth->audio, &position);
	if (!mouth->telling && position.played > mouth->told)
	{
		mouth->telling = true;
		/* of a device that is always given something the clocks may part */
		if (mouth->silences)
			mouth->told = position.played;
		else if (position.written - mouth->told > mouth->size)
			mouth->told = position.written - mouth->size;
	}
	else if (mouth->telling && mouth->silences &&
			 (mouth->told > position.played + astray || position.played > mouth->told + astray))
		mouth->told = position.played;
	for (size_t i = 0; i < n; i++)
	{
		mouth->telling = mouth->telling && mouth->told < position.written;
		samples[i] = mouth->telling ? mouth->history[mouth->told++ % mouth->size] : 0;
	}
}
