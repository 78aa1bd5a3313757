/*
 * record.h
 *	  The form in which an edge keeps on disk what no database has acknowledged yet.
 *
 * A segment is a row of blocks of MB_SPOOL_BLOCK bytes.  Each begins with a mark, "MSP1" where a
 * record begins, "MSP+" where one goes on, so that bytes of a caller never stand where a reader
 * looks for a record; a record has blocks of its own.  Damage therefore costs the records whose blocks it
 * hits and no others, and a reader is back in step at the next block.  Blocks of zeroes are not
 * written yet.  Behind the marks a record is, numbers little endian:
 *
 *		length		u32, of all this, without marks and what fills the last block
 *		crc			u32, CRC-32C of all this but these four bytes
 *		kind		u8
 *		call		u8, length of the call's id
 *		track		u8, length of the track's name
 *		0			u8
 *		duration	u32, microseconds of audio
 *		number		u64, of the record in its spool, each one more than the one before
 *		sequence	i64
 *		monotonic	i64, microseconds since the machine started
 *		wall		i64, microseconds since 1970-01-01 00:00 UTC, MB_SPOOL_NO_TIME when nobody knew
 *		boot		16 bytes, which start of the machine that was
 *		call, track, bytes
 *
 * The last block is filled with zeroes.  What kinds and bytes mean is the caller's.
 */
#ifndef MB_SPOOL_RECORD_H
#define MB_SPOOL_RECORD_H

#include "core/mb.h"

#define MB_SPOOL_BLOCK 512
#define MB_SPOOL_MARK 4
#define MB_SPOOL_HEAD 64
#define MB_SPOOL_MAX_NAME 255
#define MB_SPOOL_MAX_BYTES 16384
#define MB_SPOOL_MAX_BODY (MB_SPOOL_HEAD + 2 * MB_SPOOL_MAX_NAME + MB_SPOOL_MAX_BYTES)
#define MB_SPOOL_PART (MB_SPOOL_BLOCK - MB_SPOOL_MARK)
/* Bytes of the largest record. */
#define MB_SPOOL_MAX_RECORD                                                                        \
	((MB_SPOOL_MAX_BODY + MB_SPOOL_PART - 1) / MB_SPOOL_PART * MB_SPOOL_BLOCK)

#define MB_SPOOL_NO_TIME INT64_MIN

#define MB_SPOOL_BOOT 16

typedef struct mb_spool_record
{
	uint8_t kind;
	uint32_t duration_us;
	uint64_t number;
	int64_t sequence;
	int64_t monotonic_us;
	int64_t wall_us;
	uint8_t boot[MB_SPOOL_BOOT];
	const char *call; /* not terminated */
	size_t call_length;
	const char *track; /* not terminated */
	size_t track_length;
	const void *bytes;
	size_t length;
} mb_spool_record;

/* Bytes that the record takes, whole blocks; 0 when a part of it is too long. */
extern size_t mb_spool_size(const mb_spool_record *record);

/* Writes mb_spool_size() bytes. */
extern void mb_spool_write(const mb_spool_record *record, uint8_t *out);

/* What could not be read. */
typedef struct mb_spool_loss
{
	uint64_t at;	  /* offset in the segment of the first of the bytes */
	uint64_t bytes;	  /* that are no record and are not empty */
	uint64_t records; /* known to be missing from the numbers of those that were read */
	bool
		last; /* nothing came behind it: most likely what was being written when the power failed */
} mb_spool_loss;

/* Owned by the caller; what is in it is this module's. */
typedef struct mb_spool_reader
{
	uint64_t offset;   /* of the next byte in the segment */
	uint64_t begin;	   /* of the record under way */
	uint64_t end;	   /* behind the last good record */
	uint64_t expected; /* number of the next record; 0 when there was none yet */
	uint64_t blank;	   /* bytes of empty blocks since the last that was not */
	mb_spool_loss loss;
	size_t filled; /* bytes in block */
	size_t have;   /* bytes in body */
	size_t want;   /* of them in all; 0 when no record is under way */
	bool ready;	   /* the record in body is good and not handed out */
	uint8_t block[MB_SPOOL_BLOCK];
	uint8_t body[(MB_SPOOL_MAX_BODY / MB_SPOOL_PART + 1) * MB_SPOOL_PART];
} mb_spool_reader;

typedef enum mb_spool_outcome
{
	MB_SPOOL_MORE,	 /* all n bytes are used */
	MB_SPOOL_RECORD, /* one record; call again with what was not used */
	MB_SPOOL_LOSS	 /* something before what comes next was lost; call again */
} mb_spool_outcome;

extern void mb_spool_reader_begin(mb_spool_reader *reader);

/*
 * Reads on in a segment.  *used says how many of n bytes are done with; with MB_SPOOL_RECORD *record is
 * set, its texts and bytes are in the reader and stay until the next call; with MB_SPOOL_LOSS *loss.
 */
extern mb_spool_outcome mb_spool_read(mb_spool_reader *reader, const uint8_t *bytes, size_t n,
									  size_t *used, mb_spool_record *record, mb_spool_loss *loss);

/*
 * The segment ends here; what is read next is another one, which goes on with the numbers.  True when
 * something behind the last record was lost.
 */
extern bool mb_spool_read_end(mb_spool_reader *reader, mb_spool_loss *loss);

#endif /* MB_SPOOL_RECORD_H */
