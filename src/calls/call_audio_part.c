/*
 * call_audio_part.c
 *	  A part of the WAV file of a track, for who hands it on piece by piece: the file is never made as a whole.
 */
#include "server/compat.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "audio/audio_input.h"
#include "calls/call_arguments.h"
#include "calls/call_audio.h"
#include "calls/tracks.h"
#include "core/audio/g711.h"
#include "core/audio/wav.h"

#define MAX_PART (16 * 1024 * 1024)

/*
 * A word for the file as it is now.  A packet never changes, so that which are there says it all: those that
 * are missing, the length, and whose they are.
 */
static text *
version_of(int64 track, mulberry_call_samples *audio)
{
	int n;
	const mulberry_silence *silences = mulberry_call_silences(audio, &n);
	int64 total = mulberry_call_sample_count(audio);
	uint64 hash = hash_bytes_extended((const unsigned char *) &track, sizeof(track), 0);

	hash = hash_bytes_extended((const unsigned char *) &total, sizeof(total), hash);
	for (int i = 0; i < n; i++)
	{
		int64 silence[] = { silences[i].first, silences[i].last, silences[i].start,
							silences[i].length };

		hash = hash_bytes_extended((const unsigned char *) silence, sizeof(silence), hash);
	}
	return cstring_to_text(psprintf("%016llx", (unsigned long long) hash));
}

/* The header of the file, from a place on; returns how many bytes of it. */
static size_t
copy_header(mulberry_call_samples *audio, uint64 from, size_t n, uint8 *to)
{
	uint8 header[MB_WAV_HEADER_MAX];
	size_t length = mb_wav_header_size(MB_S16LE);

	mulberry_expect_ok(mb_wav_write_header(header, sizeof(header), MB_S16LE, 1,
										   mulberry_call_sample_rate(audio),
										   mulberry_call_sample_count(audio)));
	if (from >= length)
		return 0;
	n = Min(n, length - from);
	memcpy(to, header + from, n);
	return n;
}

/* n bytes of the samples from a byte on, which may lie within one. */
static void
copy_samples(mulberry_call_samples *audio, uint64 from, size_t n, uint8 *to)
{
	int16 *samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	uint8 *encoded = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	size_t skip = from % sizeof(int16);

	mulberry_skip_call_samples(audio, from / sizeof(int16));
	while (n > 0)
	{
		size_t got = mulberry_next_call_samples(audio, samples);
		size_t taken;

		if (got == 0)
			elog(ERROR, "a call shrank within a snapshot");
		mulberry_expect_ok(mb_audio_encode(MB_S16LE, samples, got, encoded));
		taken = Min(n, got * sizeof(int16) - skip);
		memcpy(to, encoded + skip, taken);
		to += taken;
		n -= taken;
		skip = 0;
	}
}

PG_FUNCTION_INFO_V1(mulberry_call_audio_part);

/*
 * call_audio_part(call_id text, tenant text, track text, start bigint, max_bytes integer)
 *	-> (bytes bytea, total_bytes bigint, version text)
 */
Datum
mulberry_call_audio_part(PG_FUNCTION_ARGS)
{
	mulberry_track track;
	int64 id = mulberry_track_argument(fcinfo, 2, &track);
	int64 start = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
	int32 max = PG_ARGISNULL(4) ? 1024 * 1024 : PG_GETARG_INT32(4);
	mulberry_call_samples *audio;
	TupleDesc row;
	Datum values[3];
	bool nulls[3] = { false, false, false };
	uint64 size;
	size_t n;
	size_t header;
	bytea *bytes;

	if (max < 0 || max > MAX_PART)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("max_bytes must lie between 0 and %d", MAX_PART)));
	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	audio = mulberry_open_call_samples(id, GetActiveSnapshot());
	if (audio == NULL)
		elog(ERROR, "a call went away within a snapshot");
	if (mb_wav_file_size(MB_S16LE, 1, mulberry_call_sample_count(audio), &size) != MB_OK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("audio of call \"%s\" is too long", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errdetail("It has %lld samples.", (long long) mulberry_call_sample_count(audio))));
	if (start < 0)
		start = start + (int64) size < 0 ? 0 : start + (int64) size;
	n = (uint64) start >= size ? 0 : Min((uint64) max, size - start);
	bytes = palloc(n + VARHDRSZ);
	SET_VARSIZE(bytes, n + VARHDRSZ);
	header = copy_header(audio, start, n, (uint8 *) VARDATA(bytes));
	if (n > header)
		copy_samples(audio, start + header - mb_wav_header_size(MB_S16LE), n - header,
					 (uint8 *) VARDATA(bytes) + header);
	values[0] = PointerGetDatum(bytes);
	values[1] = Int64GetDatum(size);
	values[2] = PointerGetDatum(version_of(id, audio));
	mulberry_close_call_samples(audio);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
