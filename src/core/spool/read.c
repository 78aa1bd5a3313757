/*
 * read.c
 *	  Reads a segment of the spool, whatever became of it; see record.h.
 *
 * Each block is looked at once.  What is no part of a good record is counted, and told before the next
 * good record or at the end; empty blocks count once something stands behind them.
 */
#include "core/spool/record.h"

#include <string.h>

#include "core/spool/bytes.h"
#include "core/spool/crc32c.h"

void
mb_spool_reader_begin(mb_spool_reader *reader)
{
	memset(reader, 0, offsetof(mb_spool_reader, block));
}

static bool
is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

/* Bytes from "at" on are lost. */
static void
lose(mb_spool_reader *reader, uint64_t at, uint64_t bytes)
{
	if (bytes == 0)
		return;
	if (reader->loss.bytes == 0)
		reader->loss.at = at;
	reader->loss.bytes += bytes;
}

/* The record under way came to nothing. */
static void
lose_record(mb_spool_reader *reader)
{
	if (reader->want > 0)
		lose(reader, reader->begin, reader->have / MB_SPOOL_PART * MB_SPOOL_BLOCK);
	reader->want = 0;
}

/* The length of the body that begins here; 0 when none does. */
static size_t
length_of(const uint8_t *head)
{
	size_t length = mb_spool_get(head + MB_SPOOL_AT_LENGTH, 4);
	size_t least = (size_t) MB_SPOOL_HEAD + head[MB_SPOOL_AT_CALL] + head[MB_SPOOL_AT_TRACK];

	if (length < least || length - least > MB_SPOOL_MAX_BYTES || head[MB_SPOOL_AT_ZERO] != 0)
		return 0;
	return length;
}

static bool
is_good(const uint8_t *body, size_t length)
{
	uint32_t crc = mb_crc32c(0, body, MB_SPOOL_AT_CRC);

	crc = mb_crc32c(crc, body + MB_SPOOL_AT_KIND, length - MB_SPOOL_AT_KIND);
	return crc == mb_spool_get(body + MB_SPOOL_AT_CRC, 4);
}

/* The block is full. */
static void
take_block(mb_spool_reader *reader)
{
	uint64_t at = reader->offset - MB_SPOOL_BLOCK;
	bool begins = memcmp(reader->block, MB_SPOOL_BEGINS, MB_SPOOL_MARK) == 0;
	bool goes_on = memcmp(reader->block, MB_SPOOL_GOES_ON, MB_SPOOL_MARK) == 0;

	if (!goes_on)
		lose_record(reader);
	if (is_zero(reader->block, MB_SPOOL_BLOCK))
	{
		reader->blank += MB_SPOOL_BLOCK;
		return;
	}
	lose(reader, at - reader->blank, reader->blank);
	reader->blank = 0;
	if (begins)
	{
		reader->want = length_of(reader->block + MB_SPOOL_MARK);
		reader->have = 0;
		reader->begin = at;
	}
	if (reader->want == 0)
	{
		lose(reader, at, MB_SPOOL_BLOCK);
		return;
	}
	memcpy(reader->body + reader->have, reader->block + MB_SPOOL_MARK, MB_SPOOL_PART);
	reader->have += MB_SPOOL_PART;
	if (reader->have < reader->want)
		return;
	if (is_good(reader->body, reader->want))
		reader->ready = true;
	else
		lose_record(reader);
}

/* The record in body, which the reader is done with. */
static void
hand_out(mb_spool_reader *reader, mb_spool_record *record)
{
	const uint8_t *body = reader->body;

	record->kind = body[MB_SPOOL_AT_KIND];
	record->duration_us = (uint32_t) mb_spool_get(body + MB_SPOOL_AT_DURATION, 4);
	record->number = mb_spool_get(body + MB_SPOOL_AT_NUMBER, 8);
	record->sequence = (int64_t) mb_spool_get(body + MB_SPOOL_AT_SEQUENCE, 8);
	record->monotonic_us = (int64_t) mb_spool_get(body + MB_SPOOL_AT_MONOTONIC, 8);
	record->wall_us = (int64_t) mb_spool_get(body + MB_SPOOL_AT_WALL, 8);
	memcpy(record->boot, body + MB_SPOOL_AT_BOOT, MB_SPOOL_BOOT);
	record->call = (const char *) body + MB_SPOOL_HEAD;
	record->call_length = body[MB_SPOOL_AT_CALL];
	record->track = record->call + record->call_length;
	record->track_length = body[MB_SPOOL_AT_TRACK];
	record->bytes = record->track + record->track_length;
	record->length = reader->want - MB_SPOOL_HEAD - record->call_length - record->track_length;

	reader->end = reader->offset;
	reader->expected = record->number + 1;
	/* what fills the block belongs to nobody, but a disk that changes it will change more */
	for (size_t i = reader->want; i < reader->have; i++)
	{
		if (body[i] != 0)
			lose(reader, reader->offset - (reader->have - i), 1);
	}
	reader->ready = false;
	reader->want = 0;
}

/* Whether something is missing before the record in body. */
static bool
lost_before(mb_spool_reader *reader, mb_spool_loss *loss)
{
	uint64_t number = mb_spool_get(reader->body + MB_SPOOL_AT_NUMBER, 8);

	if (reader->expected != 0 && number > reader->expected)
		reader->loss.records = number - reader->expected;
	if (reader->loss.bytes == 0 && reader->loss.records == 0)
		return false;
	if (reader->loss.bytes == 0)
		reader->loss.at = reader->begin;
	*loss = reader->loss;
	memset(&reader->loss, 0, sizeof(reader->loss));
	reader->expected = number;
	return true;
}

mb_spool_outcome
mb_spool_read(mb_spool_reader *reader, const uint8_t *bytes, size_t n, size_t *used,
			  mb_spool_record *record, mb_spool_loss *loss)
{
	*used = 0;
	while (!reader->ready && *used < n)
	{
		size_t piece = MB_SPOOL_BLOCK - reader->filled;

		piece = piece < n - *used ? piece : n - *used;
		memcpy(reader->block + reader->filled, bytes + *used, piece);
		*used += piece;
		reader->filled += piece;
		reader->offset += piece;
		if (reader->filled == MB_SPOOL_BLOCK)
		{
			reader->filled = 0;
			take_block(reader);
		}
	}
	if (!reader->ready)
		return MB_SPOOL_MORE;
	if (lost_before(reader, loss))
		return MB_SPOOL_LOSS;
	hand_out(reader, record);
	return MB_SPOOL_RECORD;
}

bool
mb_spool_read_end(mb_spool_reader *reader, mb_spool_loss *loss)
{
	uint64_t expected = reader->expected;
	bool lost;

	lose_record(reader);
	if (!is_zero(reader->block, reader->filled))
	{
		lose(reader, reader->offset - reader->filled - reader->blank, reader->blank);
		lose(reader, reader->offset - reader->filled, reader->filled);
	}
	*loss = reader->loss;
	loss->last = true;
	lost = loss->bytes > 0;
	mb_spool_reader_begin(reader);
	reader->expected = expected;
	return lost;
}
