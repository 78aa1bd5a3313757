/*
 * write.c
 *	  Writes a record of the spool; see record.h.
 */
#include "core/spool/record.h"

#include <string.h>

#include "core/spool/bytes.h"
#include "core/spool/crc32c.h"

static size_t
body_size(const mb_spool_record *record)
{
	return MB_SPOOL_HEAD + record->call_length + record->track_length + record->length;
}

size_t
mb_spool_size(const mb_spool_record *record)
{
	if (record->call_length > MB_SPOOL_MAX_NAME || record->track_length > MB_SPOOL_MAX_NAME ||
		record->length > MB_SPOOL_MAX_BYTES)
		return 0;
	return (body_size(record) + MB_SPOOL_PART - 1) / MB_SPOOL_PART * MB_SPOOL_BLOCK;
}

/* Puts n bytes of the body, from position "at" of it on, between the marks. */
static void
place(uint8_t *out, size_t at, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;

	while (n > 0)
	{
		size_t within = at % MB_SPOOL_PART;
		size_t piece = n < MB_SPOOL_PART - within ? n : MB_SPOOL_PART - within;

		memcpy(out + at / MB_SPOOL_PART * MB_SPOOL_BLOCK + MB_SPOOL_MARK + within, from, piece);
		at += piece;
		from += piece;
		n -= piece;
	}
}

void
mb_spool_write(const mb_spool_record *record, uint8_t *out)
{
	uint8_t head[MB_SPOOL_HEAD] = { 0 };
	size_t size = mb_spool_size(record);
	size_t at = MB_SPOOL_HEAD;
	uint32_t crc;

	mb_spool_put(head + MB_SPOOL_AT_LENGTH, body_size(record), 4);
	head[MB_SPOOL_AT_KIND] = record->kind;
	head[MB_SPOOL_AT_CALL] = (uint8_t) record->call_length;
	head[MB_SPOOL_AT_TRACK] = (uint8_t) record->track_length;
	mb_spool_put(head + MB_SPOOL_AT_DURATION, record->duration_us, 4);
	mb_spool_put(head + MB_SPOOL_AT_NUMBER, record->number, 8);
	mb_spool_put(head + MB_SPOOL_AT_SEQUENCE, (uint64_t) record->sequence, 8);
	mb_spool_put(head + MB_SPOOL_AT_MONOTONIC, (uint64_t) record->monotonic_us, 8);
	mb_spool_put(head + MB_SPOOL_AT_WALL, (uint64_t) record->wall_us, 8);
	memcpy(head + MB_SPOOL_AT_BOOT, record->boot, MB_SPOOL_BOOT);
	crc = mb_crc32c(0, head, MB_SPOOL_AT_CRC);
	crc = mb_crc32c(crc, head + MB_SPOOL_AT_KIND, MB_SPOOL_HEAD - MB_SPOOL_AT_KIND);
	crc = mb_crc32c(crc, record->call, record->call_length);
	crc = mb_crc32c(crc, record->track, record->track_length);
	crc = mb_crc32c(crc, record->bytes, record->length);
	mb_spool_put(head + MB_SPOOL_AT_CRC, crc, 4);

	memset(out, 0, size);
	for (size_t block = 0; block < size; block += MB_SPOOL_BLOCK)
		memcpy(out + block, block == 0 ? MB_SPOOL_BEGINS : MB_SPOOL_GOES_ON, MB_SPOOL_MARK);
	place(out, 0, head, MB_SPOOL_HEAD);
	place(out, at, record->call, record->call_length);
	at += record->call_length;
	place(out, at, record->track, record->track_length);
	at += record->track_length;
	place(out, at, record->bytes, record->length);
}
