/*
 * call_audio.c
 *	  Puts the packets of a call together: decoded, in order, with silence where packets
 *	  are missing, as a WAV file; or as text.
 *
 * Memory holds the result, where there is one, and one packet: packets are read one at a time, and where the
 * length of it all or of silence is wanted, for their lengths before.  Who only listens to a call without gaps
 * reads them once.  What is heard in the audio is not this file's (dtmf.c).  Nothing here changes a call.
 */
#include "server/compat.h"

#include <math.h>

#include "access/detoast.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "audio/audio_input.h"
#include "calls/call_arguments.h"
#include "calls/call_audio.h"
#include "calls/call_relations.h"
#include "calls/calls.h"
#include "core/audio/g711.h"
#include "core/audio/wav.h"
#include "calls/packet_reader.h"
#include "calls/tracks.h"
#include "server/relations.h"

/* Lengths that are counted to find the usual one; packets of further lengths do not vote. */
#define COUNTED_LENGTHS 32

/* A day of talking is 2 MB; what is made of it, in events and requests, must stay renderable. */
#define MAX_CALL_TEXT (16 * 1024 * 1024)

/*
 * How long the pieces of a call's audio are, before any of it is decoded.  For
 * text a "sample" is a byte, and nobody asks where a gap lies.
 */
typedef struct audio_plan
{
	int64 samples; /* of the packets alone */
	int64 packets;
	int usual_length;
	int nsilences;
	bool has_tail; /* the last silence stands for what was announced and never came */
	int room;
	mulberry_silence *silences;
} audio_plan;

/* Until plan_audio() its start leaves other silences out. */
static void
add_silence(audio_plan *plan, int32 first, int32 last)
{
	if (plan->nsilences == plan->room)
	{
		plan->room = Max(16, plan->room * 2);
		plan->silences =
			plan->silences == NULL
				? palloc_extended(plan->room * sizeof(mulberry_silence), MCXT_ALLOC_HUGE)
				: repalloc_huge(plan->silences, plan->room * sizeof(mulberry_silence));
	}
	plan->silences[plan->nsilences++] =
		(mulberry_silence){ .first = first, .last = last, .start = plan->samples };
}

/* Reads the lengths of all packets and finds what is missing. */
static void
read_lengths(const mulberry_packet_reader *reader, audio_plan *plan)
{
	struct
	{
		int64 length;
		int64 count;
	} lengths[COUNTED_LENGTHS];
	int nlengths = 0;
	int64 best = 0;
	int32 next = 0;
	int32 sequence;
	int sample_size;
	mulberry_packet_scan scan;
	const struct varlena *data;

	memset(plan, 0, sizeof(*plan));
	sample_size = reader->track.encoding == MULBERRY_ENCODING_TEXT
					  ? 1
					  : mb_encoding_sample_size((mb_encoding) reader->track.encoding);
	mulberry_begin_packets(reader, &scan);
	while (mulberry_next_packet(&scan, &sequence, &data))
	{
		int64 length = (toast_raw_datum_size(PointerGetDatum(data)) - VARHDRSZ) / sample_size;
		int i;

		if (sequence > next)
			add_silence(plan, next, sequence - 1);
		next = sequence + 1;
		plan->samples += length;
		plan->packets++;
		for (i = 0; i < nlengths && lengths[i].length != length; i++)
			;
		if (i == nlengths && nlengths < COUNTED_LENGTHS)
		{
			lengths[nlengths].length = length;
			lengths[nlengths++].count = 0;
		}
		if (i < nlengths)
			lengths[i].count++;
	}
	mulberry_end_packets(&scan);
	if (reader->track.expected_total > next)
	{
		add_silence(plan, next, reader->track.expected_total - 1);
		plan->has_tail = true;
	}

	for (int i = 0; i < nlengths; i++)
		if (lengths[i].count > best)
		{
			best = lengths[i].count;
			plan->usual_length = lengths[i].length;
		}
}

/* Whether a WAV with so many samples can be a bytea, and its size. */
static bool
fits(int64 samples, uint64 *size)
{
	return mb_wav_file_size(MB_S16LE, 1, samples, size) == MB_OK &&
		   *size + VARHDRSZ <= MaxAllocSize;
}

/* How long one silence is when none may be longer than so many samples. */
static int64
silence_length(const audio_plan *plan, const mulberry_silence *silence, int64 longest)
{
	int64 packets = (int64) silence->last - silence->first + 1;

	return Min(packets * plan->usual_length, longest);
}

/* All silence but the tail's, likewise. */
static int64
inner_silence(const audio_plan *plan, int64 longest)
{
	int64 samples = 0;

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < plan->nsilences - plan->has_tail; i++)
		samples += silence_length(plan, &plan->silences[i], longest);
	return samples;
}

/* How many samples all silences together may have; 0 when the packets alone fill a WAV. */
static int64
silence_budget(const audio_plan *plan, int sample_rate)
{
	int64 room = (MaxAllocSize - VARHDRSZ - mb_wav_header_size(MB_S16LE)) / sizeof(int16);

	return Max(
		0, Min((int64) MULBERRY_MAX_SILENCE * sample_rate + MULBERRY_SILENCE_RATIO * plan->samples,
			   room - plan->samples));
}

/*
 * Plans the audio of a call; returns its samples.  Anybody can send a few packets with sequences far
 * apart, so silence is bounded in proportion to what is there.  What is too much is taken from the tail,
 * behind which nothing has a time; then from the longest runs, all of which are cut to the same length,
 * so that those that are shorter keep theirs.
 */
static int64
plan_audio(const mulberry_packet_reader *reader, audio_plan *plan)
{
	int64 longest = (int64) MULBERRY_MAX_SILENCE * reader->track.sample_rate;
	int64 silent = 0;
	int64 budget;

	read_lengths(reader, plan);
	budget = silence_budget(plan, reader->track.sample_rate);
	if (inner_silence(plan, longest) > budget)
	{
		int64 fitting = 0;

		while (longest - fitting > 1)
		{
			int64 middle = fitting + (longest - fitting) / 2;

			if (inner_silence(plan, middle) <= budget)
				fitting = middle;
			else
				longest = middle;
		}
		longest = fitting;
	}
	for (int i = 0; i < plan->nsilences; i++)
	{
		mulberry_silence *silence = &plan->silences[i];

		silence->start += silent;
		/* which only the tail can exceed */
		silence->length = Min(silence_length(plan, silence, longest), budget - silent);
		silent += silence->length;
	}
	return plan->samples + silent;
}

/* The audio of a call in its order: what lies between two calls of mulberry_next_call_samples(). */
struct mulberry_call_samples
{
	mulberry_packet_reader reader;
	mb_encoding encoding;
	bool planned; /* the next two are known */
	audio_plan plan;
	int64 total; /* samples, silence included */

	mulberry_packet_scan scan;
	int32 next;		  /* sequence behind the packet in hand */
	bool ended;		  /* there is no further packet */
	int next_silence; /* of the plan's */
	int64 silent;	  /* samples of silence that come now */
	const uint8 *at;  /* then what is left of the packet in hand */
	size_t n_bytes;
};

mulberry_call_samples *
mulberry_open_call_samples(int64 track, Snapshot snapshot)
{
	mulberry_call_samples *audio = palloc0(sizeof(*audio));

	if (!mulberry_open_packets(&audio->reader, track, snapshot))
	{
		pfree(audio);
		return NULL;
	}
	if (audio->reader.track.encoding == MULBERRY_ENCODING_TEXT)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("call \"%s\" has text and no audio", audio->reader.call.call_id)));
	audio->encoding = (mb_encoding) audio->reader.track.encoding;
	mulberry_begin_packets(&audio->reader, &audio->scan);
	return audio;
}

/* Before anything of the plan is looked at. */
static void
require_plan(mulberry_call_samples *audio)
{
	MemoryContext before;

	if (audio->planned)
		return;
	before = MemoryContextSwitchTo(GetMemoryChunkContext(audio));
	audio->total = plan_audio(&audio->reader, &audio->plan);
	audio->planned = true;
	MemoryContextSwitchTo(before);
}

int
mulberry_call_sample_rate(const mulberry_call_samples *audio)
{
	return audio->reader.track.sample_rate;
}

int64
mulberry_call_sample_count(mulberry_call_samples *audio)
{
	require_plan(audio);
	return audio->total;
}

const mulberry_silence *
mulberry_call_silences(mulberry_call_samples *audio, int *n)
{
	require_plan(audio);
	*n = audio->plan.nsilences;
	return audio->plan.silences;
}

/*
 * Takes the silence in hand that comes next, if it begins before a sequence.  A plan is made when something is
 * missing for the first time, so that all silences before are none.
 */
static bool
take_silence(mulberry_call_samples *audio, int64 before)
{
	const audio_plan *plan = &audio->plan;

	require_plan(audio);
	if (audio->next_silence == plan->nsilences ||
		plan->silences[audio->next_silence].first >= before)
		return false;
	audio->silent = plan->silences[audio->next_silence++].length;
	return true;
}

/*
 * Takes the next packet and the silence in front of it in hand, or the silence at the
 * end; false when there is nothing more.
 */
static bool
take_packet(mulberry_call_samples *audio)
{
	int32 sequence;
	const struct varlena *bytes;

	/* A scan that has ended must not be asked again: it would begin anew. */
	if (audio->ended || !mulberry_next_packet(&audio->scan, &sequence, &bytes))
	{
		audio->ended = true;
		return audio->reader.track.expected_total > audio->next &&
			   take_silence(audio, PG_INT64_MAX);
	}
	if (sequence > audio->next)
		(void) take_silence(audio, sequence);
	audio->next = sequence + 1;
	/* most lie in the row as they are */
	if (VARATT_IS_EXTERNAL(bytes) || VARATT_IS_COMPRESSED(bytes))
	{
		MemoryContext before = MemoryContextSwitchTo(audio->reader.packet_context);

		MemoryContextReset(audio->reader.packet_context);
		bytes = pg_detoast_datum_packed((struct varlena *) bytes);
		MemoryContextSwitchTo(before);
	}
	audio->at = (const uint8 *) VARDATA_ANY(bytes);
	audio->n_bytes = VARSIZE_ANY_EXHDR(bytes);
	return true;
}

void
mulberry_rewind_call_samples(mulberry_call_samples *audio)
{
	mulberry_end_packets(&audio->scan);
	MemoryContextReset(audio->reader.packet_context);
	audio->next = 0;
	audio->ended = false;
	audio->next_silence = 0;
	audio->silent = 0;
	audio->n_bytes = 0;
	mulberry_begin_packets(&audio->reader, &audio->scan);
}

size_t
mulberry_next_heard_samples(mulberry_call_samples *audio, int16 *samples, int64 *lost)
{
	size_t size = mb_encoding_sample_size(audio->encoding);
	size_t n = 0;

	CHECK_FOR_INTERRUPTS();
	*lost = 0;
	/* as many packets as fit: what is done with the samples costs least a sample in large portions */
	while (n < MULBERRY_AUDIO_SLICE)
	{
		size_t taken;

		if (audio->silent == 0 && audio->n_bytes < size && !take_packet(audio))
			break;
		if (audio->silent > 0)
		{
			if (n > 0)
				break;
			*lost = audio->silent;
			audio->silent = 0;
			return 0;
		}
		/* a division takes as long as ten samples */
		/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): this is no text */
		taken = Min(size == 1 ? audio->n_bytes : audio->n_bytes / size, MULBERRY_AUDIO_SLICE - n);
		mulberry_expect_ok(mb_audio_decode(audio->encoding, audio->at, taken * size, samples + n));
		audio->at += taken * size;
		audio->n_bytes -= taken * size;
		n += taken;
	}
	return n;
}

size_t
mulberry_next_call_samples(mulberry_call_samples *audio, int16 *samples)
{
	int64 lost;
	size_t n = mulberry_next_heard_samples(audio, samples, &lost);

	if (lost == 0)
		return n;
	n = Min(lost, MULBERRY_AUDIO_SLICE);
	memset(samples, 0, n * sizeof(int16));
	audio->silent = lost - n;
	return n;
}

void
mulberry_skip_call_samples(mulberry_call_samples *audio, int64 n)
{
	size_t size = mb_encoding_sample_size(audio->encoding);

	while (n > 0)
	{
		int64 passed;

		if (audio->silent == 0 && audio->n_bytes < size)
		{
			CHECK_FOR_INTERRUPTS();
			if (!take_packet(audio))
				return;
			continue;
		}
		if (audio->silent > 0)
		{
			passed = Min(n, audio->silent);
			audio->silent -= passed;
		}
		else
		{
			passed = Min(n, (int64) (audio->n_bytes / size));
			audio->at += passed * size;
			audio->n_bytes -= passed * size;
		}
		n -= passed;
	}
}

void
mulberry_close_call_samples(mulberry_call_samples *audio)
{
	mulberry_end_packets(&audio->scan);
	mulberry_close_packets(&audio->reader);
	pfree(audio);
}

bytea *
mulberry_call_wav(int64 track, Snapshot snapshot, mulberry_audio_report *report)
{
	mulberry_call_samples *audio = mulberry_open_call_samples(track, snapshot);
	const audio_plan *plan;
	int sample_rate;
	uint64 size;
	bytea *wav;
	int16 *samples;
	uint8 *out;
	uint8 *end;
	size_t n;

	if (audio == NULL)
		return NULL;
	require_plan(audio);
	plan = &audio->plan;
	sample_rate = mulberry_call_sample_rate(audio);
	if (!fits(audio->total, &size))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("audio of call \"%s\" is too long", audio->reader.call.call_id),
						errdetail("It has %lld samples.", (long long) plan->samples)));

	wav = palloc(size + VARHDRSZ);
	SET_VARSIZE(wav, size + VARHDRSZ);
	mulberry_expect_ok(
		mb_wav_write_header((uint8 *) VARDATA(wav), size, MB_S16LE, 1, sample_rate, audio->total));
	out = (uint8 *) VARDATA(wav) + mb_wav_header_size(MB_S16LE);
	end = (uint8 *) wav + VARSIZE(wav);
	samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	while ((n = mulberry_next_call_samples(audio, samples)) > 0)
	{
		if (n * 2 > end - out)
			elog(ERROR, "a call grew within a snapshot");
		mulberry_expect_ok(mb_audio_encode(MB_S16LE, samples, n, out));
		out += n * 2;
	}
	if (out != end)
		elog(ERROR, "a call shrank within a snapshot");
	pfree(samples);

	if (report)
	{
		*report = (mulberry_audio_report){ .sample_rate = sample_rate,
										   .samples = audio->total,
										   .packets = plan->packets,
										   .usual_length = plan->usual_length,
										   .nsilences = plan->nsilences,
										   .silences = plan->silences };
		for (int i = 0; i < plan->nsilences; i++)
			report->missing_packets += (int64) plan->silences[i].last - plan->silences[i].first + 1;
	}
	mulberry_close_call_samples(audio);
	return wav;
}

text *
mulberry_call_text(int64 track, Snapshot snapshot)
{
	mulberry_packet_reader reader;
	mulberry_packet_scan scan;
	StringInfoData joined;
	int32 sequence;
	const struct varlena *data;
	char *converted;
	text *result;

	if (!mulberry_open_packets(&reader, track, snapshot))
		return NULL;
	if (reader.track.encoding != MULBERRY_ENCODING_TEXT)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("call \"%s\" has audio and no text", reader.call.call_id)));
	initStringInfo(&joined);
	mulberry_begin_packets(&reader, &scan);
	while (mulberry_next_packet(&scan, &sequence, &data))
	{
		MemoryContext before = MemoryContextSwitchTo(reader.packet_context);
		bytea *bytes = DatumGetByteaPP(PointerGetDatum(data));

		MemoryContextSwitchTo(before);
		if (joined.len > 0)
			appendStringInfoChar(&joined, ' ');
		if (joined.len + VARSIZE_ANY_EXHDR(bytes) > MAX_CALL_TEXT)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("the text of call \"%s\" is longer than %d bytes",
								   reader.call.call_id, MAX_CALL_TEXT)));
		appendBinaryStringInfo(&joined, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
		MemoryContextReset(reader.packet_context);
	}
	mulberry_end_packets(&scan);
	mulberry_close_packets(&reader);

	/* Packets hold UTF-8 whatever the database's encoding is. */
	converted = pg_any_to_server(joined.data, joined.len, PG_UTF8);
	result = converted == joined.data ? cstring_to_text_with_len(joined.data, joined.len)
									  : cstring_to_text(converted);
	return result;
}

PG_FUNCTION_INFO_V1(mulberry_call_audio);

/*
 * call_audio(call_id text, tenant text, track text) -> bytea
 */
Datum
mulberry_call_audio(PG_FUNCTION_ARGS)
{
	mulberry_track track;
	bytea *wav =
		mulberry_call_wav(mulberry_track_argument(fcinfo, 2, &track), GetActiveSnapshot(), NULL);

	if (wav == NULL)
		elog(ERROR, "a call went away within a snapshot");
	PG_RETURN_BYTEA_P(wav);
}

PG_FUNCTION_INFO_V1(mulberry_call_gaps);

/*
 * call_gaps(call_id text, tenant text, track text) -> setof (first, last, packets, start_ms, duration_ms)
 */
Datum
mulberry_call_gaps(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	mulberry_track track;
	mulberry_packet_reader reader;
	audio_plan plan;
	double rate;
	bool is_text;

	InitMaterializedSRF(fcinfo, 0);
	(void) mulberry_track_argument(fcinfo, 2, &track);
	if (!mulberry_open_packets(&reader, track.id, GetActiveSnapshot()))
		elog(ERROR, "a call went away within a snapshot");
	rate = reader.track.sample_rate / 1000.0;
	is_text = reader.track.encoding == MULBERRY_ENCODING_TEXT;
	plan_audio(&reader, &plan);
	mulberry_close_packets(&reader);

	for (int i = 0; i < plan.nsilences; i++)
	{
		const mulberry_silence *silence = &plan.silences[i];
		Datum values[] = { Int64GetDatum(mulberry_sender_number(&track, silence->first)),
						   Int64GetDatum(mulberry_sender_number(&track, silence->last)),
						   Int64GetDatum((int64) silence->last - silence->first + 1),
						   Int64GetDatum(rint(silence->start / rate)),
						   Int64GetDatum(rint(silence->length / rate)) };
		bool nulls[] = { false, false, false, is_text, is_text };

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
