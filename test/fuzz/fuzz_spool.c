/*
 * fuzz_spool.c
 *	  Any bytes as a segment of the spool, cut anywhere: the same comes out, every record written again
 *	  gives the bytes it was read from, and every block is in a record, empty, or told as lost.
 *
 * Fuzz with: -max_len=20000
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/spool/record.h"

/* What does not depend on how the bytes were cut. */
typedef struct summary
{
	size_t records;
	size_t losses;
	uint64_t lost;
	uint64_t in_records; /* bytes */
	uint64_t hash;
} summary;

static void
mix(summary *summary, uint64_t value)
{
	summary->hash = (summary->hash ^ value) * 0x9E3779B97F4A7C15u;
	summary->hash ^= summary->hash >> 29;
}

static void
take_loss(summary *summary, const mb_spool_loss *loss, size_t size)
{
	require(loss->at <= size && loss->bytes <= size);
	summary->losses++;
	summary->lost += loss->bytes;
	mix(summary, loss->at);
	mix(summary, loss->bytes);
	mix(summary, loss->records);
	mix(summary, loss->last);
}

/* The record ends at "end" of the segment. */
static void
take_record(summary *summary, const mb_spool_record *record, const uint8_t *data, uint64_t end)
{
	static uint8_t again[MB_SPOOL_MAX_RECORD];
	size_t size = mb_spool_size(record);
	size_t body = MB_SPOOL_HEAD + record->call_length + record->track_length + record->length;

	require(size > 0 && size <= end);
	mb_spool_write(record, again);
	for (size_t i = 0; i < body; i += MB_SPOOL_PART)
	{
		size_t block = i / MB_SPOOL_PART * MB_SPOOL_BLOCK;
		size_t n = body - i < MB_SPOOL_PART ? body - i : MB_SPOOL_PART;

		require(memcmp(again + block, data + end - size + block, MB_SPOOL_MARK + n) == 0);
	}
	summary->records++;
	summary->in_records += size;
	mix(summary, end);
}

static summary
read_all(const uint8_t *data, size_t size, size_t step)
{
	static mb_spool_reader reader;
	summary summary = { 0 };
	mb_spool_record record;
	mb_spool_loss loss;

	mb_spool_reader_begin(&reader);
	for (size_t at = 0; at < size;)
	{
		size_t piece = size - at < step ? size - at : step;
		uint8_t *copy = malloc(piece);
		size_t done = 0;
		mb_spool_outcome outcome;

		memcpy(copy, data + at, piece);
		do
		{
			size_t used;

			outcome = mb_spool_read(&reader, copy + done, piece - done, &used, &record, &loss);
			require(used <= piece - done);
			done += used;
			if (outcome == MB_SPOOL_LOSS)
				take_loss(&summary, &loss, size);
			if (outcome == MB_SPOOL_RECORD)
				take_record(&summary, &record, data, reader.end);
		} while (outcome != MB_SPOOL_MORE);
		require(done == piece);
		free(copy);
		at += piece;
	}
	if (mb_spool_read_end(&reader, &loss))
		take_loss(&summary, &loss, size);
	return summary;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	summary whole;
	summary cut;

	if (size < 1)
		return 0;
	whole = read_all(data + 1, size - 1, size);
	cut = read_all(data + 1, size - 1, (size_t) data[0] * 3 + 1);
	require(memcmp(&whole, &cut, sizeof(whole)) == 0);
	for (size_t i = 0; i < size - 1; i += MB_SPOOL_BLOCK)
	{
		size_t n = size - 1 - i < MB_SPOOL_BLOCK ? size - 1 - i : MB_SPOOL_BLOCK;
		bool empty = true;

		for (size_t j = 0; j < n; j++)
			empty = empty && data[1 + i + j] == 0;
		if (!empty)
			require(whole.in_records + whole.lost > 0);
	}
	require(whole.in_records <= size - 1);
	return 0;
}
