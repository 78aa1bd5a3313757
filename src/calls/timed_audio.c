/*
 * timed_audio.c
 *	  Reads the audio of a track in the time of its call: see timed_audio.h.
 */
#include "server/compat.h"

#include <math.h>

#include "datatype/timestamp.h"

#include "audio/audio_input.h"
#include "calls/timed_audio.h"

static int64
to_samples(int64 microseconds, int sample_rate)
{
	return (int64) rint((double) microseconds * sample_rate / USECS_PER_SEC);
}

void
mulberry_begin_timed_audio(mulberry_timed_audio *audio, mulberry_timed_track *timed)
{
	*audio = (mulberry_timed_audio){ .timed = timed,
									 .samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16)) };
}

int64
mulberry_timed_length(const mulberry_timed_track *timed)
{
	const mulberry_time_piece *last;

	if (timed->npieces == 0)
		return mulberry_call_sample_count(timed->audio);
	last = &timed->pieces[timed->npieces - 1];
	return mulberry_call_sample_count(timed->audio) +
		   to_samples(last->time, timed->track.sample_rate) -
		   to_samples(last->place, timed->track.sample_rate);
}

size_t
mulberry_next_heard_timed(mulberry_timed_audio *audio, int16 *to, size_t n, int64 *lost)
{
	const mulberry_timed_track *timed = audio->timed;
	int rate = timed->track.sample_rate;
	int64 until = PG_INT64_MAX;

	*lost = 0;
	while (audio->piece < timed->npieces)
	{
		const mulberry_time_piece *piece = &timed->pieces[audio->piece];

		until = to_samples(piece->place, rate);
		if (audio->place < until)
			break;
		*lost = Max(0, to_samples(piece->time, rate) - audio->moment);
		audio->moment += *lost;
		audio->piece++;
		until = PG_INT64_MAX;
		if (*lost > 0)
			return 0;
	}
	if (audio->at == audio->n)
	{
		audio->at = 0;
		audio->n = mulberry_next_heard_samples(timed->audio, audio->samples, lost);
		/* A piece begins with a packet, behind what is missing in front of it. */
		audio->place += *lost;
		audio->moment += *lost;
	}
	n = Min(Min(n, audio->n - audio->at), until - audio->place);
	memcpy(to, audio->samples + audio->at, n * sizeof(int16));
	audio->at += n;
	audio->place += n;
	audio->moment += n;
	return n;
}

size_t
mulberry_next_timed_samples(mulberry_timed_audio *audio, int16 *to, size_t n)
{
	if (audio->silent == 0)
	{
		size_t heard = mulberry_next_heard_timed(audio, to, n, &audio->silent);

		if (audio->silent == 0)
			return heard;
	}
	n = Min(n, audio->silent);
	memset(to, 0, n * sizeof(int16));
	audio->silent -= n;
	return n;
}
