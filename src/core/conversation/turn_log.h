/*
 * turn_log.h
 *	  The inputs of a session written down, about 200 bytes for each second, and read again, so
 *	  that the turn engine can be run over them as often as somebody likes.
 *
 * A row is what happened in a second of the session's clock; a second with much text has more
 * than one.  Rows are read in the order in which they were written.  The form:
 *
 *	row		version 1, then the clock of its first input, then records
 *	record	0x80 | flags of a frame (5 bits) | 0x20 when its stamp is 20 ms after the one before: then
 *			clock, stamp unless it is, level
 *			or kind | 0x40 when its flag is set, clock, and what its kind has
 *
 * Clocks and stamps are differences to the one before in the row; numbers are LEB128, signed ones in
 * zigzag.
 */
#ifndef MB_TURN_LOG_H
#define MB_TURN_LOG_H

#include "core/conversation/turn.h"

#define MB_TURN_LOG_ROW 2048

/* A row has so many bytes, unless a single record has more. */
#define MB_TURN_LOG_USUAL 768

/* Takes a row of n bytes, which began in that second of the session. */
typedef void (*mb_turn_log_callback)(void *arg, int32_t second, const uint8_t *row, size_t n);

/* Caller-owned, zeroed by mb_turn_log_init(). */
typedef struct mb_turn_log
{
	mb_turn_log_callback take;
	void *arg;
	uint8_t row[MB_TURN_LOG_USUAL];
	size_t n;
	int32_t second;
	int32_t at; /* of the last input */
	uint32_t media_ms;
} mb_turn_log;

extern void mb_turn_log_init(mb_turn_log *log, mb_turn_log_callback take, void *arg);

/*
 * Writes an input as the engine is going to see it: texts and times beyond the engine's limits are cut
 * alike.  A row is handed over when another second begins, or it is full.
 */
extern void mb_turn_log_write(mb_turn_log *log, const mb_turn_input *input);

/* Hands over what is left. */
extern void mb_turn_log_flush(mb_turn_log *log);

/* A row that is being read. */
typedef struct mb_turn_log_reader
{
	const uint8_t *row;
	size_t n;
	size_t position;
	int32_t at;
	uint32_t media_ms;
	mb_ledger_point points[MB_TURN_PIECE_POINTS];
} mb_turn_log_reader;

/* MB_ERR_FORMAT for what is no row. */
extern mb_status mb_turn_log_open(mb_turn_log_reader *reader, const uint8_t *row, size_t n);

/*
 * The next input, whose texts and points are in the row and the reader; MB_ERR_EMPTY behind the last, MB_ERR_FORMAT
 * or MB_ERR_TRUNCATED for what was not written by mb_turn_log_write().
 */
extern mb_status mb_turn_log_read(mb_turn_log_reader *reader, mb_turn_input *input);

#endif /* MB_TURN_LOG_H */
