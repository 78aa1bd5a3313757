/*
 * ledger.c
 *	  The playback ledger; see ledger.h.
 *
 * A queue of the peer is an anchor, a position at a time, from which it plays on in real time up to
 * the end of what it was sent.  A mark that comes back moves the anchor to itself, audio that arrives
 * when the queue is empty moves it to its arrival.
 */
#include "core/conversation/ledger.h"

#include <string.h>

/* Marks that come back within a frame of each other are one burst. */
#define BURST_MS 20

/* Until the first mark has come back. */
#define FIRST_ROUND_TRIP 100

/* A gap in playback that can be heard. */
#define UNDERRUN_MS 40

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

void
mb_ledger_init(mb_ledger *ledger, const mb_line *line)
{
	memset(ledger, 0, sizeof(*ledger));
	ledger->line = *line;
	ledger->round_trip = line->we_pace ? 0 : FIRST_ROUND_TRIP;
}

/* What a queue has played at a time. */
static int32_t
position_at(const mb_ledger_queue *queue, int32_t clock)
{
	int32_t since = queue->paused ? least(clock, queue->paused_at) - queue->anchor_at
								  : clock - queue->anchor_at;

	return most(least(queue->sent, queue->anchor + most(since, 0)), queue->confirmed);
}

/* When it has played all that it was sent. */
static int32_t
end_of(const mb_ledger_queue *queue)
{
	return queue->anchor_at + (queue->sent - queue->anchor);
}

/* What was heard of an item when its queue is at that position. */
static int32_t
heard_at(const mb_ledger_item *item, int32_t position)
{
	return item->start < 0
			   ? item->from
			   : item->from + most(least(position - item->start, item->sent - item->from), 0);
}

/* It is known how much of an item was heard, of what was on this queue; it was not later than that. */
static void
settle(mb_ledger_item *item, const mb_ledger_queue *queue, int32_t heard, int32_t clock)
{
	if (item->start >= 0 && heard > item->from)
		item->over =
			least(queue->anchor_at + (item->start + (heard - item->from) - queue->anchor), clock);
	item->heard = heard;
	item->done = true;
}

/* When what is sent now arrives. */
static int32_t
arrival(const mb_ledger *ledger, int32_t clock)
{
	return clock + ledger->round_trip;
}

static void
measure_round_trip(mb_ledger *ledger, int32_t ms)
{
	if (ms < 0 || ms > 5000 || ledger->line.we_pace)
		return;
	ledger->round_trip = ledger->round_trip_known ? (3 * ledger->round_trip + ms + 2) / 4 : ms;
	ledger->round_trip_known = true;
}

const mb_ledger_item *
mb_ledger_item_of(const mb_ledger *ledger, uint32_t generation, uint16_t number)
{
	for (int i = 0; i < ledger->n_items; i++)
		if (ledger->items[i].generation == generation && ledger->items[i].number == number)
			return &ledger->items[i];
	return NULL;
}

/* The same, to be changed. */
static mb_ledger_item *
find(mb_ledger *ledger, uint32_t generation, uint16_t number)
{
	const mb_ledger_item *item = mb_ledger_item_of(ledger, generation, number);

	return item != NULL ? &ledger->items[item - ledger->items] : NULL;
}

static bool
asks(const char *text, size_t n)
{
	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '"' || text[n - 1] == '\n'))
		n--;
	return n > 0 &&
		   (text[n - 1] == '?' || (n >= 3 && memcmp(text + n - 3, "\xEF\xBC\x9F", 3) == 0) ||
			(n >= 2 && memcmp(text + n - 2, "\xD8\x9F", 2) == 0));
}

mb_status
mb_ledger_add(mb_ledger *ledger, uint32_t generation, uint16_t number, mb_item_kind kind,
			  const char *text, size_t n, int32_t ms, const mb_ledger_point *points, int n_points)
{
	mb_ledger_item *item;

	if (ledger->n_items == MB_LEDGER_ITEMS || n > (size_t) (MB_LEDGER_TEXT - ledger->n_text) ||
		n_points > MB_LEDGER_POINTS - ledger->n_points)
		return MB_ERR_SPACE;
	if (find(ledger, generation, number) != NULL)
		return MB_ERR_RANGE;
	for (int i = 0; i < n_points; i++)
		if (points[i].ms < (i > 0 ? points[i - 1].ms : 0) || points[i].bytes > n ||
			points[i].bytes < (i > 0 ? points[i - 1].bytes : 0))
			return MB_ERR_RANGE;
	item = &ledger->items[ledger->n_items++];
	*item = (mb_ledger_item){
		.generation = generation,
		.number = number,
		.kind = (uint8_t) kind,
		.asks = asks(text, n),
		.complete = ms >= 0,
		.text = (uint16_t) ledger->n_text,
		.bytes = (uint16_t) n,
		.point = (uint16_t) ledger->n_points,
		.points = (uint16_t) n_points,
		.ms = most(ms, 0),
		.start = -1,
		.over = -1,
	};
	if (n > 0)
		memcpy(ledger->texts + ledger->n_text, text, n);
	ledger->n_text += (int) n;
	if (n_points > 0)
		memcpy(ledger->points + ledger->n_points, points, (size_t) n_points * sizeof(*points));
	ledger->n_points += n_points;
	return MB_OK;
}

bool
mb_ledger_complete(mb_ledger *ledger, uint32_t generation, uint16_t number, int32_t ms)
{
	mb_ledger_item *item = find(ledger, generation, number);

	if (item == NULL)
		return false;
	item->ms = most(most(ms, item->sent), 0);
	item->complete = true;
	return true;
}

bool
mb_ledger_sent(mb_ledger *ledger, uint32_t generation, uint16_t number, int32_t ms, int32_t clock)
{
	mb_ledger_item *item = find(ledger, generation, number);
	mb_ledger_queue *queue = &ledger->queue;
	int32_t there = arrival(ledger, clock);

	if (item == NULL || item->clearing || item->done || item->dropped)
		return false;
	if (item->complete)
		ms = least(ms, item->ms);
	/* a day of audio is more than a queue has */
	if (ms <= item->sent || ms - item->sent > 86400000 - queue->sent)
		return ms == item->sent || ms < item->sent;
	if (!queue->paused && end_of(queue) < there)
	{
		if (queue->sent > 0 && ledger->last_sent == generation &&
			there - end_of(queue) > UNDERRUN_MS)
			ledger->underruns++;
		queue->anchor_at = there;
		queue->anchor = queue->sent;
	}
	ledger->last_sent = generation;
	if (item->start < 0)
		item->start = queue->sent;
	queue->sent += ms - item->sent;
	item->sent = ms;
	item->ms = most(item->ms, ms);
	return true;
}

static void
forget_marks(mb_ledger *ledger, int n)
{
	ledger->n_marks -= n;
	memmove(ledger->marks, ledger->marks + n, (size_t) ledger->n_marks * sizeof(ledger->marks[0]));
}

mb_status
mb_ledger_mark_sent(mb_ledger *ledger, uint32_t generation, uint32_t name, int32_t clock)
{
	if (ledger->n_marks == MB_LEDGER_MARKS)
		return MB_ERR_SPACE;
	ledger->marks[ledger->n_marks++] = (mb_ledger_mark){
		.generation = generation,
		.name = name,
		.position = ledger->queue.sent,
		.at = clock,
		.idle = !ledger->queue.paused &&
				(ledger->queue.sent == 0 || (end_of(&ledger->queue) <= clock &&
											 ledger->queue.confirmed == ledger->queue.sent)),
	};
	return MB_OK;
}

/* The clear is known to have cut at that time. */
static void
resolve(mb_ledger *ledger, int32_t clock, int32_t at_most)
{
	int32_t position = least(position_at(&ledger->old, clock), at_most);

	for (int i = 0; i < ledger->n_items; i++)
	{
		mb_ledger_item *item = &ledger->items[i];

		if (!item->clearing)
			continue;
		item->clearing = false;
		settle(item, &ledger->old, heard_at(item, position), clock);
		item->cut = item->cut || !item->complete || item->heard < item->ms;
	}
	for (int i = ledger->n_marks - 1; i >= 0; i--)
	{
		if (!ledger->marks[i].clearing)
			continue;
		memmove(ledger->marks + i, ledger->marks + i + 1,
				(size_t) (ledger->n_marks - i - 1) * sizeof(ledger->marks[0]));
		ledger->n_marks--;
	}
	ledger->clearing = false;
}

/* A mark of the queue that is being dropped is back: reached, or in the burst of those that were not. */
static void
echo_of_old(mb_ledger *ledger, const mb_ledger_mark *mark, bool cleared, int32_t clock)
{
	mb_ledger_queue *old = &ledger->old;
	bool told = ledger->line.marks_tell;

	if (!ledger->burst || (!told && clock - ledger->burst_to > BURST_MS))
	{
		if (ledger->burst)
		{
			old->anchor_at = ledger->burst_to;
			old->anchor = old->confirmed = ledger->burst_position;
		}
		ledger->burst = true;
		ledger->burst_from = clock;
		ledger->burst_first = mark->position;
	}
	if (told && !cleared)
	{
		old->anchor_at = clock;
		old->anchor = old->confirmed = mark->position;
		ledger->burst = false;
	}
	ledger->burst_to = clock;
	ledger->burst_position = mark->position;
	if (mark->name == ledger->barrier)
	{
		measure_round_trip(ledger, clock - ledger->cleared_at);
		resolve(ledger, ledger->burst ? ledger->burst_from : clock,
				ledger->burst ? ledger->burst_first : old->sent);
	}
}

static void
echo_of_queue(mb_ledger *ledger, const mb_ledger_mark *mark, int32_t clock)
{
	mb_ledger_queue *queue = &ledger->queue;

	if (mark->idle)
		measure_round_trip(ledger, clock - mark->at);
	queue->confirmed = most(queue->confirmed, mark->position);
	/* what was sent behind a queue that had run dry began at its own time */
	if (mark->position > queue->anchor || clock > queue->anchor_at)
	{
		queue->anchor_at = clock;
		queue->anchor = mark->position;
	}
}

bool
mb_ledger_echo(mb_ledger *ledger, uint32_t generation, uint32_t name, bool cleared, int32_t clock)
{
	for (int i = 0; i < ledger->n_marks; i++)
	{
		mb_ledger_mark mark = ledger->marks[i];

		if (mark.name != name || mark.generation != generation)
			continue;
		/* those before it will not come any more */
		forget_marks(ledger, i + 1);
		if (mark.clearing && ledger->clearing)
			echo_of_old(ledger, &mark, cleared, clock);
		else
			echo_of_queue(ledger, &mark, clock);
		return true;
	}
	ledger->stale_marks++;
	return false;
}

void
mb_ledger_queued(mb_ledger *ledger, int32_t ms, int32_t clock)
{
	mb_ledger_queue *queue = ledger->clearing ? &ledger->old : &ledger->queue;

	ms = most(least(ms, queue->sent), 0);
	queue->anchor = queue->confirmed = queue->sent - ms;
	queue->anchor_at = queue->paused ? queue->paused_at : clock;
	if (ledger->clearing)
		resolve(ledger, clock, queue->anchor);
}

void
mb_ledger_pause(mb_ledger *ledger, int32_t clock)
{
	if (ledger->queue.paused)
		return;
	ledger->queue.paused = true;
	ledger->queue.paused_at = arrival(ledger, clock);
}

void
mb_ledger_continue(mb_ledger *ledger, int32_t clock)
{
	mb_ledger_queue *queue = &ledger->queue;

	if (!queue->paused)
		return;
	queue->anchor = position_at(queue, queue->paused_at);
	queue->anchor_at = arrival(ledger, clock);
	queue->paused = false;
}

/* The clear that is under way is not waited for any longer. */
static void
give_up_clear(mb_ledger *ledger)
{
	resolve(ledger, ledger->cleared_at + ledger->round_trip, ledger->old.sent);
}

uint32_t
mb_ledger_clear(mb_ledger *ledger, uint32_t generation, int32_t clock)
{
	uint32_t name = 0;

	if (ledger->clearing)
		give_up_clear(ledger);
	for (int i = 0; i < ledger->n_items; i++)
		ledger->items[i].clearing = ledger->items[i].start >= 0 && !ledger->items[i].done;
	if (ledger->line.marks)
	{
		ledger->barrier = (ledger->barrier | MB_LEDGER_BARRIER) + 1;
		name = ledger->barrier;
		if (ledger->n_marks == MB_LEDGER_MARKS)
			forget_marks(ledger, 1);
		mb_ledger_mark_sent(ledger, generation, name, clock);
	}
	for (int i = 0; i < ledger->n_marks; i++)
		ledger->marks[i].clearing = true;
	ledger->old = ledger->queue;
	ledger->queue = (mb_ledger_queue){ .anchor_at = arrival(ledger, clock) };
	ledger->clearing = true;
	ledger->cleared_at = clock;
	ledger->burst = false;
	if (ledger->line.we_pace)
		resolve(ledger, end_of(&ledger->old), ledger->old.sent);
	else if (!ledger->line.exact_queue && !ledger->line.marks)
		give_up_clear(ledger);
	return name;
}

bool
mb_ledger_clearing(const mb_ledger *ledger)
{
	return ledger->clearing;
}

bool
mb_ledger_tick(mb_ledger *ledger, int32_t burst_wait, int32_t overdue, int32_t clock)
{
	mb_ledger_queue *queue = &ledger->queue;
	bool given_up = false;
	bool marked;
	int32_t since;
	int32_t position;

	if (ledger->clearing && clock - ledger->cleared_at >= burst_wait)
		give_up_clear(ledger);
	marked = ledger->n_marks > 0 && !ledger->marks[ledger->n_marks - 1].clearing;
	since = end_of(queue);
	/* one that was sent into a queue that had run dry is not late from then on */
	if (marked && ledger->marks[ledger->n_marks - 1].at > since)
		since = ledger->marks[ledger->n_marks - 1].at;
	if (marked && !queue->paused && clock - since >= overdue)
	{
		queue->anchor_at = clock;
		queue->anchor = queue->confirmed = queue->sent;
		ledger->n_marks = ledger->clearing ? ledger->n_marks : 0;
		for (int i = ledger->n_marks - 1; i >= 0 && !ledger->marks[i].clearing; i--)
			ledger->n_marks = i;
		ledger->resyncs++;
		given_up = true;
		marked = false;
	}
	/* as long as a mark is to come, only those that came prove that something was heard */
	position = marked ? queue->confirmed : position_at(queue, clock);
	for (int i = 0; i < ledger->n_items; i++)
	{
		mb_ledger_item *item = &ledger->items[i];

		if (item->done || item->clearing || !item->complete || item->sent < item->ms)
			continue;
		if (item->start < 0 ? item->ms == item->from
							: position >= item->start + (item->ms - item->from))
			settle(item, queue, item->ms, clock);
	}
	return given_up;
}

void
mb_ledger_drop(mb_ledger *ledger, uint32_t generation)
{
	for (int i = 0; i < ledger->n_items; i++)
	{
		mb_ledger_item *item = &ledger->items[i];

		if (item->generation != generation || item->dropped)
			continue;
		item->dropped = true;
		if (item->start < 0 && !item->done)
		{
			item->heard = item->from;
			item->done = true;
			item->cut = true;
		}
		else if (!item->done && !item->clearing && (!item->complete || item->sent < item->ms))
		{
			/* what was sent still plays */
			item->length = item->complete ? item->ms : -1;
			item->ms = item->sent;
			item->complete = true;
			item->cut = true;
		}
	}
}

bool
mb_ledger_rewind(mb_ledger *ledger, uint32_t generation, uint16_t *number, int32_t *ms)
{
	bool found = false;

	for (int i = 0; i < ledger->n_items; i++)
	{
		mb_ledger_item *item = &ledger->items[i];

		if (item->generation != generation || item->clearing || item->dropped ||
			(item->done && !item->cut))
			continue;
		if (item->done)
		{
			item->from = mb_ledger_word_start(ledger, item, item->heard);
			item->sent = item->from;
			item->start = -1;
			item->done = false;
			item->cut = false;
		}
		if (!found)
		{
			*number = item->number;
			*ms = item->from;
			found = true;
		}
	}
	return found;
}

bool
mb_ledger_unsent(const mb_ledger *ledger, uint32_t generation, uint16_t *number, int32_t *ms)
{
	for (int i = 0; i < ledger->n_items; i++)
	{
		const mb_ledger_item *item = &ledger->items[i];

		if (item->generation != generation || item->done || item->clearing || item->dropped ||
			(item->complete && item->sent >= item->ms))
			continue;
		*number = item->number;
		*ms = item->sent;
		return true;
	}
	return false;
}

int32_t
mb_ledger_position(const mb_ledger *ledger, int32_t clock)
{
	return position_at(&ledger->queue, clock);
}

const mb_ledger_item *
mb_ledger_settled(const mb_ledger *ledger)
{
	for (int i = 0; i < ledger->n_items; i++)
		if (ledger->items[i].done && (!ledger->items[i].cut || ledger->items[i].dropped))
			return &ledger->items[i];
	return NULL;
}

void
mb_ledger_take(mb_ledger *ledger)
{
	const mb_ledger_item *settled = mb_ledger_settled(ledger);
	mb_ledger_item gone;
	int at;

	if (settled == NULL)
		return;
	gone = *settled;
	at = (int) (settled - ledger->items);
	ledger->n_items--;
	memmove(ledger->items + at, ledger->items + at + 1,
			(size_t) (ledger->n_items - at) * sizeof(ledger->items[0]));
	ledger->n_text -= gone.bytes;
	memmove(ledger->texts + gone.text, ledger->texts + gone.text + gone.bytes,
			(size_t) (ledger->n_text - gone.text));
	ledger->n_points -= gone.points;
	memmove(ledger->points + gone.point, ledger->points + gone.point + gone.points,
			(size_t) (ledger->n_points - gone.point) * sizeof(ledger->points[0]));
	for (int i = 0; i < ledger->n_items; i++)
	{
		if (ledger->items[i].text > gone.text)
			ledger->items[i].text -= gone.bytes;
		if (ledger->items[i].point > gone.point)
			ledger->items[i].point -= gone.points;
	}
}

void
mb_ledger_end(mb_ledger *ledger, int32_t clock)
{
	int32_t position;

	if (ledger->clearing)
		give_up_clear(ledger);
	position = position_at(&ledger->queue, clock);
	for (int i = 0; i < ledger->n_items; i++)
	{
		mb_ledger_item *item = &ledger->items[i];

		item->dropped = true;
		if (item->done)
			continue;
		settle(item, &ledger->queue, heard_at(item, position), clock);
		item->cut = item->cut || !item->complete || item->heard < item->ms;
	}
	ledger->n_marks = 0;
}
