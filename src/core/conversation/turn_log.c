/*
 * turn_log.c
 *	  The inputs of a session as bytes; see turn_log.h.
 */
#include "core/conversation/turn_log.h"

#include <string.h>

#define VERSION 1

#define FRAME 0x80
#define FRAME_NEXT 0x20
#define FRAME_FLAGS 0x1F
#define FLAG 0x40
#define KIND 0x3F

/* A record has a transcript, or a piece with its times, and seven numbers. */
#define NUMBERS 64
#define TIME 8
#define BEGINNING 16 /* of a row */
_Static_assert(BEGINNING + NUMBERS + MB_TURN_PARTIAL_ROOM + MB_TURN_PIECE_POINTS * TIME <=
				   MB_TURN_LOG_ROW,
			   "the longest record has room");

void
mb_turn_log_init(mb_turn_log *log, mb_turn_log_callback take, void *arg)
{
	memset(log, 0, sizeof(*log));
	log->take = take;
	log->arg = arg;
}

/* A row that is being written. */
typedef struct writer
{
	uint8_t *row;
	size_t n;
} writer;

static void
put_byte(writer *to, int byte)
{
	to->row[to->n++] = (uint8_t) byte;
}

static void
put(writer *to, uint32_t value)
{
	while (value >= 0x80)
	{
		put_byte(to, (int) (value & 0x7F) | 0x80);
		value >>= 7;
	}
	put_byte(to, (int) value);
}

static void
put_signed(writer *to, int32_t value)
{
	put(to, ((uint32_t) value << 1) ^ (uint32_t) (value < 0 ? -1 : 0));
}

static void
put_text(writer *to, const char *text, uint32_t n)
{
	put(to, n);
	if (n > 0)
		memcpy(to->row + to->n, text, n);
	to->n += n;
}

void
mb_turn_log_flush(mb_turn_log *log)
{
	if (log->n > 0)
		log->take(log->arg, log->second, log->row, log->n);
	log->n = 0;
}

static void
put_piece(writer *to, const mb_turn_input *input)
{
	bool refused = input->bytes > MB_TURN_PIECE_ROOM || input->n_points > MB_TURN_PIECE_POINTS;

	put(to, (uint32_t) input->item_kind);
	put(to, input->item);
	put_signed(to, input->ms);
	/* one that is refused is read as one that is: too many points */
	put(to, refused ? MB_TURN_PIECE_POINTS + 1 : (uint32_t) input->n_points);
	if (refused)
		return;
	for (int i = 0; i < input->n_points; i++)
	{
		put_signed(to, input->points[i].ms);
		put(to, input->points[i].bytes);
	}
	put_text(to, input->text, input->bytes);
}

static void
put_frame(mb_turn_log *log, writer *to, const mb_turn_input *input, int32_t at)
{
	int32_t step = (int32_t) (input->media_ms - log->media_ms);
	bool next = step == MB_TURN_FRAME_MS;

	put_byte(to, FRAME | (input->flags & FRAME_FLAGS) | (next ? FRAME_NEXT : 0));
	put(to, (uint32_t) (at - log->at));
	if (!next)
		put_signed(to, step);
	put_byte(to, input->level);
	log->media_ms = input->media_ms;
}

static void
put_rest(writer *to, const mb_turn_input *input)
{
	switch (input->kind)
	{
		case MB_IN_TICK:
		case MB_IN_FRAME:
		case MB_IN_HOLD:
		case MB_IN_STOP:
			break;
		case MB_IN_PARTIAL:
		case MB_IN_FINAL:
			put_text(to, input->text,
					 mb_text_fitting(input->text, input->bytes, MB_TURN_PARTIAL_ROOM));
			break;
		case MB_IN_DIGIT:
			put_byte(to, input->digit);
			break;
		case MB_IN_SAY:
			put(to, (uint32_t) input->item_kind);
			break;
		case MB_IN_PIECE:
			put(to, input->generation);
			put_piece(to, input);
			break;
		case MB_IN_PIECE_END:
		case MB_IN_SENT:
			put(to, input->generation);
			put(to, input->item);
			put_signed(to, input->ms);
			break;
		case MB_IN_WORD:
			put(to, input->generation);
			put(to, input->item);
			put_signed(to, input->ms);
			put(to, input->bytes);
			break;
		case MB_IN_REPLY_END:
		case MB_IN_REPLY_FAILED:
			put(to, input->generation);
			break;
		case MB_IN_MARK_SENT:
		case MB_IN_MARK:
			put(to, input->generation);
			put(to, input->mark);
			break;
		case MB_IN_QUEUE:
		case MB_IN_EXPECT:
		case MB_IN_NOTE:
			put_signed(to, input->ms);
			break;
	}
}

/* It takes no more bytes than that. */
static size_t
longest(const mb_turn_input *input)
{
	size_t text = input->bytes < MB_TURN_PARTIAL_ROOM ? input->bytes : MB_TURN_PARTIAL_ROOM;
	int times = input->n_points < MB_TURN_PIECE_POINTS ? input->n_points : MB_TURN_PIECE_POINTS;

	return NUMBERS + text + (size_t) times * TIME;
}

void
mb_turn_log_write(mb_turn_log *log, const mb_turn_input *input)
{
	int32_t at = input->at > log->at && input->at <= MB_TURN_LONGEST_MS ? input->at : log->at;
	size_t room = longest(input);
	uint8_t row[MB_TURN_LOG_ROW];
	writer to = { log->row, log->n };

	if (to.n > 0 && (at / 1000 != log->second || to.n + room > sizeof(log->row)))
	{
		mb_turn_log_flush(log);
		to.n = 0;
	}
	if (to.n == 0)
	{
		/* one that is longer than a row is one by itself */
		if (BEGINNING + room > sizeof(log->row))
			to.row = row;
		log->second = at / 1000;
		put_byte(&to, VERSION);
		put(&to, (uint32_t) at);
		log->at = at;
		log->media_ms = 0;
	}
	if (input->kind == MB_IN_FRAME)
		put_frame(log, &to, input, at);
	else
	{
		put_byte(&to, (int) input->kind | (input->flag ? FLAG : 0));
		put(&to, (uint32_t) (at - log->at));
		put_rest(&to, input);
	}
	log->at = at;
	if (to.row == log->row)
		log->n = to.n;
	else
		log->take(log->arg, log->second, row, to.n);
}

/* A number of at most 32 bits. */
static bool
get(mb_turn_log_reader *reader, uint32_t *value)
{
	uint64_t got = 0;

	for (int shift = 0; shift < 35; shift += 7)
	{
		uint8_t byte;

		if (reader->position == reader->n)
			return false;
		byte = reader->row[reader->position++];
		got |= (uint64_t) (byte & 0x7F) << shift;
		if ((byte & 0x80) == 0)
		{
			*value = (uint32_t) got;
			return got <= UINT32_MAX;
		}
	}
	return false;
}

static bool
get_signed(mb_turn_log_reader *reader, int32_t *value)
{
	uint32_t got;

	if (!get(reader, &got))
		return false;
	*value = (int32_t) ((got >> 1) ^ (0u - (got & 1)));
	return true;
}

static bool
get_text(mb_turn_log_reader *reader, mb_turn_input *input)
{
	if (!get(reader, &input->bytes) || input->bytes > reader->n - reader->position)
		return false;
	input->text = (const char *) reader->row + reader->position;
	reader->position += input->bytes;
	return true;
}

static bool
get_byte(mb_turn_log_reader *reader, uint8_t *byte)
{
	if (reader->position == reader->n)
		return false;
	*byte = reader->row[reader->position++];
	return true;
}

static bool
get_item_kind(mb_turn_log_reader *reader, mb_turn_input *input)
{
	uint32_t kind;

	if (!get(reader, &kind) || kind >= MB_ITEM_KINDS)
		return false;
	input->item_kind = (mb_item_kind) kind;
	return true;
}

static bool
get_item(mb_turn_log_reader *reader, mb_turn_input *input)
{
	uint32_t item;

	if (!get(reader, &item) || item > UINT16_MAX)
		return false;
	input->item = (uint16_t) item;
	return true;
}

static bool
get_piece(mb_turn_log_reader *reader, mb_turn_input *input)
{
	uint32_t points;

	if (!get_item_kind(reader, input) || !get_item(reader, input) ||
		!get_signed(reader, &input->ms) || !get(reader, &points) ||
		points > MB_TURN_PIECE_POINTS + 1)
		return false;
	input->n_points = (int) points;
	if (points > MB_TURN_PIECE_POINTS)
		return true;
	input->points = reader->points;
	for (uint32_t i = 0; i < points; i++)
	{
		uint32_t bytes;

		if (!get_signed(reader, &reader->points[i].ms) || !get(reader, &bytes) ||
			bytes > UINT16_MAX)
			return false;
		reader->points[i].bytes = (uint16_t) bytes;
	}
	return get_text(reader, input);
}

static bool
get_rest(mb_turn_log_reader *reader, mb_turn_input *input)
{
	uint8_t byte;

	switch (input->kind)
	{
		case MB_IN_TICK:
		case MB_IN_FRAME:
		case MB_IN_HOLD:
		case MB_IN_STOP:
			return true;
		case MB_IN_PARTIAL:
		case MB_IN_FINAL:
			return get_text(reader, input);
		case MB_IN_DIGIT:
			if (!get_byte(reader, &byte))
				return false;
			input->digit = (char) byte;
			return true;
		case MB_IN_SAY:
			return get_item_kind(reader, input);
		case MB_IN_PIECE:
			return get(reader, &input->generation) && get_piece(reader, input);
		case MB_IN_PIECE_END:
		case MB_IN_SENT:
			return get(reader, &input->generation) && get_item(reader, input) &&
				   get_signed(reader, &input->ms);
		case MB_IN_WORD:
			return get(reader, &input->generation) && get_item(reader, input) &&
				   get_signed(reader, &input->ms) && get(reader, &input->bytes);
		case MB_IN_REPLY_END:
		case MB_IN_REPLY_FAILED:
			return get(reader, &input->generation);
		case MB_IN_MARK_SENT:
		case MB_IN_MARK:
			return get(reader, &input->generation) && get(reader, &input->mark);
		case MB_IN_QUEUE:
		case MB_IN_EXPECT:
		case MB_IN_NOTE:
			return get_signed(reader, &input->ms);
	}
	return false;
}

/* Time goes on by what is read; false when it would run out. */
static bool
get_clock(mb_turn_log_reader *reader)
{
	uint32_t step;

	if (!get(reader, &step) || step > (uint32_t) (INT32_MAX - reader->at))
		return false;
	reader->at += (int32_t) step;
	return true;
}

mb_status
mb_turn_log_open(mb_turn_log_reader *reader, const uint8_t *row, size_t n)
{
	reader->row = row;
	reader->n = n;
	reader->position = 1;
	reader->at = 0;
	reader->media_ms = 0;
	if (n == 0 || row[0] != VERSION || !get_clock(reader))
		return MB_ERR_FORMAT;
	return MB_OK;
}

static bool
get_frame(mb_turn_log_reader *reader, uint8_t head, mb_turn_input *input)
{
	int32_t step = MB_TURN_FRAME_MS;
	uint8_t level;

	input->kind = MB_IN_FRAME;
	input->flags = head & FRAME_FLAGS;
	if (!get_clock(reader) || ((head & FRAME_NEXT) == 0 && !get_signed(reader, &step)))
		return false;
	if (!get_byte(reader, &level))
		return false;
	input->level = (int8_t) level;
	reader->media_ms += (uint32_t) step;
	input->media_ms = reader->media_ms;
	return true;
}

mb_status
mb_turn_log_read(mb_turn_log_reader *reader, mb_turn_input *input)
{
	uint8_t head;

	memset(input, 0, sizeof(*input));
	if (!get_byte(reader, &head))
		return MB_ERR_EMPTY;
	if ((head & FRAME) != 0)
	{
		if (!get_frame(reader, head, input))
			return MB_ERR_TRUNCATED;
	}
	else
	{
		if ((head & KIND) >= MB_INPUT_KINDS || (head & KIND) == MB_IN_FRAME)
			return MB_ERR_FORMAT;
		input->kind = (mb_turn_input_kind) (head & KIND);
		input->flag = (head & FLAG) != 0;
		if (!get_clock(reader) || !get_rest(reader, input))
			return MB_ERR_TRUNCATED;
	}
	input->at = reader->at;
	return MB_OK;
}
