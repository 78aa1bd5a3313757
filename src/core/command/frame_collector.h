/*
 * frame_collector.h
 *	  Cuts a stream of DTMF symbols with their times into frames: VOICE_COMMANDS.md section 3,
 *	  step 1.  A frame begins with *, ends with # or with a pause of 3 s, and a new * starts
 *	  it over.
 *
 * Whether what was collected is a frame, and what it is worth, is for command.h and command_judge.h.
 */
#ifndef MB_FRAME_COLLECTOR_H
#define MB_FRAME_COLLECTOR_H

#include "core/command/command.h"

/* Silence between the end of one tone and the start of the next that ends a frame. */
#define MB_FRAME_PAUSE_MS 3000

/* One more than the longest frame, so that what is too long is seen to be. */
#define MB_COLLECTED_MAX (MB_COMMAND_FRAME_LENGTH + 1)

typedef enum mb_collected
{
	MB_COLLECTED_NOTHING = 0, /* go on */
	MB_COLLECTED_FRAME,		  /* from * to #: parse and judge it */
	MB_COLLECTED_CUT_OFF	  /* begun with * and ended by a pause: a decode error */
} mb_collected;

typedef struct mb_frame_collector
{
	bool collecting;
	char symbols[MB_COLLECTED_MAX + 1]; /* the frame under way, with a NUL */
	size_t n;							/* of them; stays at MB_COLLECTED_MAX when more come */
	int64_t last_end_ms;				/* end of the last tone */
} mb_frame_collector;

extern void mb_frame_collector_init(mb_frame_collector *collector);

/*
 * Takes a symbol whose tone began at start_ms and lasted duration_ms.  Times are on
 * any one clock of the call; a start before the last end is no pause.  Symbols outside a frame are
 * passed over.  Where the result is not MB_COLLECTED_NOTHING, frame receives the symbols and a NUL,
 * *n their number: with more than MB_COMMAND_FRAME_LENGTH symbols the first
 * MB_COLLECTED_MAX of them, which no parser takes.
 *
 * A symbol after a pause first ends the frame before it and then counts for the next one.
 */
extern mb_collected
mb_frame_collector_add(mb_frame_collector *collector, char symbol, int64_t start_ms,
					   int64_t duration_ms, char frame[MB_COLLECTED_MAX + 1], size_t *n);

/*
 * Says that it is now_ms and no tone is sounding, so that a pause is noticed without a further
 * symbol.  At the end of a call INT64_MAX ends whatever is under way.
 */
extern mb_collected mb_frame_collector_silence(mb_frame_collector *collector, int64_t now_ms,
											   char frame[MB_COLLECTED_MAX + 1], size_t *n);

#endif /* MB_FRAME_COLLECTOR_H */
