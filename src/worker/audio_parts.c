/*
 * audio_parts.c
 *	  Divides the audio of a long call; see audio_parts.h.
 */
#include "server/compat.h"

#include "utils/memutils.h"

#include "core/audio/vad.h"
#include "core/audio/wav.h"
#include "worker/audio_parts.h"

#define SAMPLE_SIZE 2
#define FRAME_MS 20	 /* what is judged for loudness */
#define SEARCH_S 5	 /* how far from the even division a cut may be */
#define LEAST_MS 200 /* the OpenAI API refuses less than 0.1 s */
#define VAD_SLICE 1024

void
mulberry_audio_divide(bytea *wav, int max_seconds, mulberry_audio_division *division)
{
	mb_wav_info info;
	mb_status status =
		mb_wav_read((const uint8_t *) VARDATA_ANY(wav), VARSIZE_ANY_EXHDR(wav), &info);
	size_t limit = MULBERRY_MAX_UPLOAD - MB_WAV_HEADER_MAX;

	if (status != MB_OK || info.format != MB_WAV_S16 || info.channels != 1 || info.big_endian)
		ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION),
				errmsg("the audio of the call is not a WAV file of 16-bit samples"));
	division->samples = (const char *) info.data;
	division->bytes = info.frames * SAMPLE_SIZE;
	division->sample_rate = info.sample_rate;
	if (max_seconds > 0)
		limit = Min(limit, (size_t) max_seconds * info.sample_rate * SAMPLE_SIZE);
	division->part_bytes = limit - limit % SAMPLE_SIZE;
	division->parts = 1;

	/* Parts aim at 0.8 of the limit, so that a cut may move by 0.1 of it either way. */
	if (division->bytes > division->part_bytes)
		division->parts = (int) ((division->bytes - 1) / (division->part_bytes / 10 * 8) + 1);
}

/* Sum of magnitudes of a frame. */
static int64
loudness(const char *samples, size_t bytes)
{
	int64 sum = 0;

	for (size_t i = 0; i + SAMPLE_SIZE <= bytes; i += SAMPLE_SIZE)
	{
		int16 sample = (int16) ((uint8) samples[i] | (uint8) samples[i + 1] << 8);

		sum += abs((int) sample);
	}
	return sum;
}

/* Where part "part" begins, in bytes from the first sample. */
static size_t
beginning(const mulberry_audio_division *division, int part)
{
	size_t second = (size_t) division->sample_rate * SAMPLE_SIZE;
	size_t frame = second * FRAME_MS / 1000 / SAMPLE_SIZE * SAMPLE_SIZE;
	size_t reach = Min(SEARCH_S * second, division->part_bytes / 10);
	size_t even = (size_t) ((double) division->bytes * part / division->parts);
	size_t quietest;
	int64 least = PG_INT64_MAX;

	if (part == 0)
		return 0;
	if (part >= division->parts)
		return division->bytes;
	even -= even % SAMPLE_SIZE;
	reach -= reach % SAMPLE_SIZE;
	quietest = even;
	for (size_t at = even - reach; at + frame <= even + reach; at += frame)
	{
		int64 sum = loudness(division->samples + at, frame);

		if (sum < least)
		{
			least = sum;
			quietest = at + frame / 2 / SAMPLE_SIZE * SAMPLE_SIZE;
		}
	}
	return quietest;
}

/* Samples of at least the least duration, in bytes. */
static size_t
least_bytes(const mulberry_audio_division *division)
{
	return (size_t) division->sample_rate * LEAST_MS / 1000 * SAMPLE_SIZE;
}

bool
mulberry_audio_is_whole(const mulberry_audio_division *division)
{
	return division->parts == 1 && division->bytes >= least_bytes(division);
}

int
mulberry_audio_seconds(const mulberry_audio_division *division, int part)
{
	size_t bytes = beginning(division, part + 1) - beginning(division, part);
	size_t second = (size_t) division->sample_rate * SAMPLE_SIZE;

	return (int) ((bytes + second - 1) / second);
}

double
mulberry_audio_part_start(const mulberry_audio_division *division, int part)
{
	return (double) beginning(division, part) / SAMPLE_SIZE / division->sample_rate;
}

static void
note_speech(void *arg, const mb_vad_event *event)
{
	*(bool *) arg = true;
}

bool
mulberry_audio_has_speech(const mulberry_audio_division *division, int part)
{
	size_t at = beginning(division, part);
	size_t end = beginning(division, part + 1);
	mb_vad_options options = mb_vad_default_options;
	int16 samples[VAD_SLICE];
	bool speech = false;
	mb_vad vad;

	options.on_event = note_speech;
	options.arg = &speech;
	if (mb_vad_init(&vad, division->sample_rate, &options) != MB_OK)
		return true; /* of such a rate it cannot tell */
	while (at < end && !speech)
	{
		size_t n = Min((end - at) / SAMPLE_SIZE, VAD_SLICE);

		for (size_t i = 0; i < n; i++)
			samples[i] = (int16) ((uint8) division->samples[at + 2 * i] |
								  (uint8) division->samples[at + 2 * i + 1] << 8);
		mb_vad_feed(&vad, samples, n);
		at += n * SAMPLE_SIZE;
	}
	if (!speech)
		mb_vad_flush(&vad);
	return speech;
}

char *
mulberry_audio_part(const mulberry_audio_division *division, int part, size_t *size)
{
	size_t from = beginning(division, part);
	size_t bytes = beginning(division, part + 1) - from;
	size_t padded = Max(bytes, least_bytes(division));
	size_t header = mb_wav_header_size(MB_S16LE);
	char *wav = palloc_extended(header + padded, MCXT_ALLOC_HUGE);

	if (mb_wav_write_header((uint8_t *) wav, header, MB_S16LE, 1, division->sample_rate,
							padded / SAMPLE_SIZE) != MB_OK)
		elog(ERROR, "could not write the header of a part");
	memcpy(wav + header, division->samples + from, bytes);
	memset(wav + header + bytes, 0, padded - bytes);
	*size = header + padded;
	return wav;
}
