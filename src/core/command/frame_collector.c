/*
 * frame_collector.c
 *	  From symbols with times to frames; see frame_collector.h.
 */
#include "core/command/frame_collector.h"

#include <string.h>

void
mb_frame_collector_init(mb_frame_collector *collector)
{
	memset(collector, 0, sizeof(*collector));
}

/* Hands out what was collected and waits for the next *. */
static mb_collected
end_frame(mb_frame_collector *collector, mb_collected how, char *frame, size_t *n)
{
	memcpy(frame, collector->symbols, collector->n);
	frame[collector->n] = '\0';
	*n = collector->n;
	collector->collecting = false;
	collector->n = 0;
	return how;
}

static void
append(mb_frame_collector *collector, char symbol)
{
	if (collector->n < MB_COLLECTED_MAX)
		collector->symbols[collector->n++] = symbol;
}

mb_collected
mb_frame_collector_silence(mb_frame_collector *collector, int64_t now_ms,
						   char frame[MB_COLLECTED_MAX + 1], size_t *n)
{
	/* the difference of two far apart times does not fit an int64_t */
	if (!collector->collecting || now_ms < collector->last_end_ms ||
		(uint64_t) now_ms - (uint64_t) collector->last_end_ms < MB_FRAME_PAUSE_MS)
		return MB_COLLECTED_NOTHING;
	return end_frame(collector, MB_COLLECTED_CUT_OFF, frame, n);
}

mb_collected
mb_frame_collector_add(mb_frame_collector *collector, char symbol, int64_t start_ms,
					   int64_t duration_ms, char frame[MB_COLLECTED_MAX + 1], size_t *n)
{
	mb_collected result = mb_frame_collector_silence(collector, start_ms, frame, n);
	int64_t end_ms;

	if (duration_ms < 0)
		duration_ms = 0;
	end_ms = start_ms <= INT64_MAX - duration_ms ? start_ms + duration_ms : INT64_MAX;
	if (symbol == '*')
	{
		collector->collecting = true;
		collector->n = 0;
		collector->last_end_ms = end_ms;
		append(collector, symbol);
		return result;
	}
	if (!collector->collecting)
		return result;

	if (end_ms > collector->last_end_ms)
		collector->last_end_ms = end_ms;
	append(collector, symbol);
	return symbol == '#' ? end_frame(collector, MB_COLLECTED_FRAME, frame, n) : result;
}
