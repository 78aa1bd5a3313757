/*
 * call_mix.c
 *	  Several tracks of a call in one WAV file, in time: two as left and right, or all of them
 *	  together.
 *
 * Each track is read once, from its first sample to its last, with the pauses of its timeline as
 * silence, and resampled to the highest rate among them; memory holds the result and a slice a track.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "audio/audio_input.h"
#include "calls/call_arguments.h"
#include "calls/call_audio.h"
#include "calls/call_timeline.h"
#include "calls/timed_audio.h"
#include "calls/tracks.h"
#include "core/audio/g711.h"
#include "core/audio/resample.h"
#include "core/audio/wav.h"

#define SLICE MULBERRY_AUDIO_SLICE

/* A track while it is read. */
typedef struct track_reader
{
	mulberry_timed_audio audio;
	mb_resampler *resampler; /* NULL: the rate is right */
	int16 *resampled;		 /* what it has made */
	size_t resampled_at;
	size_t resampled_n;
	bool flushed;
} track_reader;

static void
begin_reading(track_reader *reader, mulberry_timed_track *timed, int sample_rate)
{
	int own_rate = timed->track.sample_rate;

	*reader = (track_reader){ 0 };
	mulberry_begin_timed_audio(&reader->audio, timed);
	if (own_rate != sample_rate)
	{
		size_t size = mb_resampler_size(own_rate, sample_rate);

		mulberry_expect_ok(mb_resampler_init(&reader->resampler, mulberry_palloc_aligned(size),
											 size, own_rate, sample_rate));
		reader->resampled =
			palloc(mb_resampler_output_bound(reader->resampler, SLICE) * sizeof(int16));
	}
}

/* Fills n samples at the rate of the result, with silence behind the end of the track. */
static void
read_resampled(track_reader *reader, int16 *to, size_t n)
{
	size_t filled = 0;

	while (filled < n)
	{
		size_t got;

		if (reader->resampler == NULL)
			got = mulberry_next_timed_samples(&reader->audio, to + filled, n - filled);
		else
		{
			if (reader->resampled_at == reader->resampled_n && !reader->flushed)
			{
				int16 slice[SLICE];

				got = mulberry_next_timed_samples(&reader->audio, slice, SLICE);
				reader->resampled_at = 0;
				reader->flushed = got == 0;
				reader->resampled_n =
					got > 0 ? mb_resampler_feed(reader->resampler, slice, got, reader->resampled)
							: mb_resampler_flush(reader->resampler, reader->resampled);
				if (!reader->flushed && reader->resampled_n == 0)
					continue;
			}
			got = Min(n - filled, reader->resampled_n - reader->resampled_at);
			memcpy(to + filled, reader->resampled + reader->resampled_at, got * sizeof(int16));
			reader->resampled_at += got;
		}
		if (got == 0)
			break;
		filled += got;
	}
	memset(to + filled, 0, (n - filled) * sizeof(int16));
}

/* A WAV of the tracks: each its own channel, or their sum in one. */
static bytea *
make_wav(const mulberry_call *call, List *tracks, bool mixed)
{
	int n = list_length(tracks);
	int channels = mixed ? 1 : n;
	mulberry_timed_track *timed = mulberry_open_timed_tracks(call, tracks, GetActiveSnapshot());
	track_reader *readers = palloc(n * sizeof(track_reader));
	int16 *samples = palloc(n * SLICE * sizeof(int16));
	int16 *frames = palloc(channels * SLICE * sizeof(int16));
	int sample_rate = 0;
	uint64 length = 0;
	uint64 size;
	bytea *wav;
	uint8 *out;

	for (int i = 0; i < n; i++)
		sample_rate = Max(sample_rate, timed[i].track.sample_rate);
	for (int i = 0; i < n; i++)
	{
		length = Max(length, mb_resample_length(mulberry_timed_length(&timed[i]),
												timed[i].track.sample_rate, sample_rate));
		begin_reading(&readers[i], &timed[i], sample_rate);
	}
	if (mb_wav_file_size(MB_S16LE, channels, length, &size) != MB_OK ||
		size + VARHDRSZ > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("audio of call \"%s\" is too long", call->call_id),
						errdetail("It has %llu samples.", (unsigned long long) length)));
	wav = palloc(size + VARHDRSZ);
	SET_VARSIZE(wav, size + VARHDRSZ);
	mulberry_expect_ok(
		mb_wav_write_header((uint8 *) VARDATA(wav), size, MB_S16LE, channels, sample_rate, length));
	out = (uint8 *) VARDATA(wav) + mb_wav_header_size(MB_S16LE);
	for (uint64 done = 0; done < length;)
	{
		size_t now = Min(length - done, SLICE);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			read_resampled(&readers[i], samples + i * SLICE, now);
		for (size_t k = 0; k < now; k++)
		{
			int32 sum = 0;

			for (int i = 0; i < n; i++)
			{
				if (mixed)
					sum += samples[i * SLICE + k];
				else
					frames[k * channels + i] = samples[i * SLICE + k];
			}
			if (mixed)
				frames[k] = (int16) Max(PG_INT16_MIN, Min(PG_INT16_MAX, sum));
		}
		mulberry_expect_ok(mb_audio_encode(MB_S16LE, frames, now * channels, out));
		out += now * channels * sizeof(int16);
		done += now;
	}
	for (int i = 0; i < n; i++)
		mulberry_close_call_samples(timed[i].audio);
	return wav;
}

static mulberry_track *
add_track(const mulberry_call *call, List *all, const text *name, int number)
{
	mulberry_track *track = palloc(sizeof(mulberry_track));

	if (name != NULL)
		mulberry_require_track(call, name, GetActiveSnapshot(), track);
	else if (number < list_length(all))
		*track = *(mulberry_track *) list_nth(all, number);
	else
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("call \"%s\" has no second track", call->call_id)));
	return track;
}

PG_FUNCTION_INFO_V1(mulberry_call_audio_stereo);

/*
 * call_audio_stereo(call_id text, tenant text, left_track text, right_track text) -> bytea
 */
Datum
mulberry_call_audio_stereo(PG_FUNCTION_ARGS)
{
	mulberry_call call;
	List *all;
	List *tracks = NIL;

	mulberry_call_argument(fcinfo, &call);
	all = mulberry_list_tracks(&call, GetActiveSnapshot());
	for (int side = 0; side < 2; side++)
		tracks = lappend(
			tracks, add_track(&call, all,
							  PG_ARGISNULL(2 + side) ? NULL : PG_GETARG_TEXT_PP(2 + side), side));
	PG_RETURN_BYTEA_P(make_wav(&call, tracks, false));
}

PG_FUNCTION_INFO_V1(mulberry_call_audio_mixed);

/*
 * call_audio_mixed(call_id text, tenant text, tracks text[]) -> bytea
 */
Datum
mulberry_call_audio_mixed(PG_FUNCTION_ARGS)
{
	mulberry_call call;
	List *tracks;

	mulberry_call_argument(fcinfo, &call);
	tracks = mulberry_list_tracks(&call, GetActiveSnapshot());
	if (!PG_ARGISNULL(2))
	{
		Datum *names;
		bool *nulls;
		int n;
		List *chosen = NIL;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &names,
						  &nulls, &n);
		if (n == 0 || n > MULBERRY_MAX_TRACKS)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("tracks must name 1 to %d tracks, or be null for all",
								   MULBERRY_MAX_TRACKS)));
		for (int i = 0; i < n; i++)
			chosen = lappend(
				chosen, add_track(&call, tracks, nulls[i] ? NULL : DatumGetTextPP(names[i]), 0));
		tracks = chosen;
	}
	PG_RETURN_BYTEA_P(make_wav(&call, tracks, true));
}
