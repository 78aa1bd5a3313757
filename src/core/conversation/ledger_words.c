/*
 * ledger_words.c
 *	  What can be asked of the playback ledger: what is left, what is heard, and which words of a
 *	  text a time in its audio is.
 */
#include "core/conversation/ledger.h"

#include <string.h>

/* Speech, of audio whose length is not known. */
#define MS_PER_BYTE 65

static int32_t
least(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static int32_t
most(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

int32_t
mb_ledger_left(const mb_ledger *ledger, int32_t clock)
{
	const mb_ledger_queue *queue = &ledger->queue;
	int32_t left = queue->sent - mb_ledger_position(ledger, clock);

	if (ledger->n_marks > 0 && !ledger->marks[ledger->n_marks - 1].clearing &&
		queue->confirmed < queue->sent)
		return most(left, 1);
	return left;
}

bool
mb_ledger_has(const mb_ledger *ledger, uint32_t generation)
{
	for (int i = 0; i < ledger->n_items; i++)
		if (ledger->items[i].generation == generation)
			return true;
	return false;
}

const mb_ledger_item *
mb_ledger_now(const mb_ledger *ledger, int32_t clock)
{
	int32_t position = mb_ledger_position(ledger, clock);

	for (int i = 0; i < ledger->n_items; i++)
	{
		const mb_ledger_item *item = &ledger->items[i];

		if (!item->clearing && !item->done && item->start >= 0 &&
			position < item->start + (item->ms - item->from))
			return item;
	}
	return NULL;
}

bool
mb_ledger_asks(const mb_ledger *ledger, uint32_t generation, int32_t clock, int32_t *left)
{
	int32_t position = mb_ledger_position(ledger, clock);
	bool question = false;

	*left = 0;
	for (int i = 0; i < ledger->n_items; i++)
	{
		const mb_ledger_item *item = &ledger->items[i];

		if (item->generation != generation || item->dropped)
			continue;
		question = item->asks;
		if (item->done)
			*left += item->ms - item->heard;
		else if (item->clearing || item->start < 0)
			*left += item->ms - item->from;
		else
			*left += most(item->ms - item->from - most(position - item->start, 0), 0);
	}
	return question;
}

const char *
mb_ledger_text(const mb_ledger *ledger, const mb_ledger_item *item)
{
	return ledger->texts + item->text;
}

/* The time in an item at which so many bytes of its text have been said. */
static int32_t
time_of(const mb_ledger *ledger, const mb_ledger_item *item, int32_t bytes)
{
	int32_t before_ms = 0;
	int32_t before = 0;
	int32_t after_ms = item->ms;
	int32_t after = item->bytes;

	if (item->length > 0)
		after_ms = item->length;
	else if (item->length < 0 || !item->complete)
		after_ms = most(item->ms, item->bytes * MS_PER_BYTE);
	for (int i = 0; i < item->points; i++)
	{
		const mb_ledger_point *point = &ledger->points[item->point + i];

		if (point->bytes < bytes)
		{
			before_ms = point->ms;
			before = point->bytes;
		}
		else
		{
			after_ms = point->ms;
			after = point->bytes;
			break;
		}
	}
	if (after <= before || after_ms <= before_ms)
		return after_ms;
	return before_ms +
		   (int32_t) ((int64_t) (after_ms - before_ms) * (bytes - before) / (after - before));
}

mb_status
mb_ledger_time(mb_ledger *ledger, uint32_t generation, uint16_t number, mb_ledger_point point)
{
	const mb_ledger_item *known = mb_ledger_item_of(ledger, generation, number);
	mb_ledger_item *item = known == NULL ? NULL : &ledger->items[known - ledger->items];
	const mb_ledger_point *last;
	int place;

	if (item == NULL || point.ms < 0 || point.bytes > item->bytes)
		return MB_ERR_RANGE;
	if (ledger->n_points == MB_LEDGER_POINTS)
		return MB_ERR_SPACE;
	if (item->points == 0)
		item->point = (uint16_t) ledger->n_points;
	place = item->point + item->points;
	last = item->points == 0 ? NULL : &ledger->points[place - 1];
	if (last != NULL && (point.ms < last->ms || point.bytes < last->bytes))
		return MB_ERR_RANGE;
	memmove(ledger->points + place + 1, ledger->points + place,
			(size_t) (ledger->n_points - place) * sizeof(point));
	ledger->points[place] = point;
	ledger->n_points++;
	for (int i = 0; i < ledger->n_items; i++)
		ledger->items[i].point += &ledger->items[i] != item && ledger->items[i].point >= place;
	item->points++;
	return MB_OK;
}

/* A word ends before byte i: there is a space, or the character before needs none. */
static bool
word_ends(const char *text, int i, int n)
{
	if (i <= 0 || i > n || text[i - 1] == ' ')
		return false;
	if (i == n || text[i] == ' ')
		return true;
	/* Kana, Han, Hangul: from U+3000 on */
	return i >= 3 && (unsigned char) text[i - 3] >= 0xE3 && (unsigned char) text[i - 3] < 0xF0 &&
		   ((unsigned char) text[i] & 0xC0) != 0x80;
}

size_t
mb_ledger_bytes_at(const mb_ledger *ledger, const mb_ledger_item *item, int32_t ms)
{
	const char *text = mb_ledger_text(ledger, item);
	int heard = 0;

	if (item->complete && !item->cut && ms >= item->ms)
		return item->bytes;
	if (ms <= 0)
		return 0;
	for (int i = 1; i <= item->bytes; i++)
	{
		if (!word_ends(text, i, item->bytes))
			continue;
		if (time_of(ledger, item, i) > ms)
			break;
		heard = i;
	}
	return (size_t) heard;
}

int32_t
mb_ledger_word_start(const mb_ledger *ledger, const mb_ledger_item *item, int32_t ms)
{
	const char *text = mb_ledger_text(ledger, item);
	int32_t start = 0;

	for (int i = 1; i < item->bytes; i++)
	{
		int32_t time;

		if (text[i] == ' ' || !(text[i - 1] == ' ' || word_ends(text, i, item->bytes)))
			continue;
		time = time_of(ledger, item, i);
		if (time > ms)
			break;
		start = time;
	}
	return least(start, ms);
}
