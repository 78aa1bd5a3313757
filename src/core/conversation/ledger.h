/*
 * ledger.h
 *	  The playback ledger: what was given to the peer to be played, how much of it has been,
 *	  and to which word it was heard.
 *
 * Its clock is that of the line, in ms from the start of the session: the time stamp of the
 * last frame that came in, which advances with the peer's own playback and has waited in the same
 * queue as the peer's marks.  So a mark that comes back behind the frame of time T was reached at T,
 * whatever the network does.  What we send at T reaches the peer a round trip later on that clock.
 *
 * Positions are ms of audio.  Where the peer is after a mark is the time since, and
 * never more than what was sent.  To find out where a clear cut, one mark is sent before it:
 * all that are pending come back in one burst when the peer carries it out, and the
 * beginning of the burst dates the cut.  Where the peer says the length of its queue that is taken, where we
 * pace it what was sent was heard.
 *
 * Items are pieces of what the agent says.  They leave when it is known of all what
 * was heard; the caller takes them with mb_ledger_take().  Everything has a
 * limit: what does not fit is refused with MB_ERR_SPACE and nothing changes.
 */
#ifndef MB_LEDGER_H
#define MB_LEDGER_H

#include "core/mb.h"

#define MB_LEDGER_ITEMS 32
#define MB_LEDGER_TEXT 4096	 /* bytes of the texts of all items */
#define MB_LEDGER_POINTS 256 /* times of words of all items */
#define MB_LEDGER_MARKS 32

/* Names of marks that mb_ledger_clear() makes; the caller's own are smaller. */
#define MB_LEDGER_BARRIER 0x40000000

/* What the peer can do. */
typedef struct mb_line
{
	bool clear;		  /* drops what it has not played, when told to */
	bool pause;		  /* stops and goes on where it was */
	bool marks;		  /* tells when a place in the audio was reached */
	bool marks_tell;  /* and of a mark whether it was cleared */
	bool exact_queue; /* says how much it has left */
	bool we_pace;	  /* it plays what it gets when it gets it */
} mb_line;

typedef enum mb_item_kind
{
	MB_ITEM_REPLY,
	MB_ITEM_GREETING,  /* not interrupted for in its first seconds */
	MB_ITEM_LEGAL,	   /* never interrupted */
	MB_ITEM_EMERGENCY, /* never interrupted */
	MB_ITEM_FILLER,	   /* not part of the conversation */
	MB_ITEM_PROMPT	   /* an apology, or a question whether somebody is there */
} mb_item_kind;

#define MB_ITEM_KINDS 6

/* When a place in the text is reached: that many bytes of it have been said at ms. */
typedef struct mb_ledger_point
{
	int32_t ms;
	uint16_t bytes;
} mb_ledger_point;

typedef struct mb_ledger_item
{
	uint32_t generation;
	uint16_t number; /* in its generation, ascending */
	uint8_t kind;
	bool asks;		/* ends with a question mark */
	bool complete;	/* ms is what it has */
	bool clearing;	/* waits for where the clear cut */
	bool done;		/* it is known how much was heard */
	bool cut;		/* its audio ended before its end */
	bool dropped;	/* no more of it is to be played */
	uint16_t text;	/* first byte in texts */
	uint16_t bytes; /* of text */
	uint16_t point; /* first of its points */
	uint16_t points;
	int32_t ms;	   /* length, or what is known of it */
	int32_t from;  /* where in it its audio on the queue begins */
	int32_t sent;  /* to where it was sent */
	int32_t start; /* of "from", on the queue; -1: nothing was sent */
	int32_t heard; /* to where it was heard, for certain */
	int32_t
		over; /* clock at which its sound ended, once it is known how much was heard; -1: nothing was */
	int32_t length; /* of one that was cut short, as it was to be; -1: not known, 0: ms is it */
} mb_ledger_item;

typedef struct mb_ledger_mark
{
	uint32_t generation;
	uint32_t name;
	int32_t position; /* on the queue */
	int32_t at;		  /* when it was sent */
	bool clearing;	  /* of the queue that a clear is dropping */
	bool idle;		  /* nothing else was to be played */
} mb_ledger_mark;

/* A queue of the peer: a position at a time, from which it has played on. */
typedef struct mb_ledger_queue
{
	int32_t sent;	   /* end of what it was given */
	int32_t anchor_at; /* on the clock, possibly to come */
	int32_t anchor;	   /* position then */
	int32_t confirmed; /* position that marks have told */
	bool paused;	   /* by the peer, from then on */
	int32_t paused_at;
} mb_ledger_queue;

typedef struct mb_ledger
{
	mb_line line;
	mb_ledger_item items[MB_LEDGER_ITEMS];
	int n_items;
	char texts[MB_LEDGER_TEXT];
	int n_text;
	mb_ledger_point points[MB_LEDGER_POINTS];
	int n_points;
	mb_ledger_mark marks[MB_LEDGER_MARKS];
	int n_marks;
	mb_ledger_queue queue;

	/* a clear that is not yet known to be carried out */
	bool clearing;
	mb_ledger_queue old;
	uint32_t barrier;	/* last name of one */
	int32_t cleared_at; /* when it was sent */
	bool burst;			/* marks have come back since, of which these may be its beginning */
	int32_t burst_from;
	int32_t burst_to;
	int32_t burst_first; /* positions of the first and the last mark of it */
	int32_t burst_position;

	int32_t round_trip;
	bool round_trip_known;
	uint32_t stale_marks;
	uint32_t underruns; /* the peer had nothing for more than 40 ms in the middle of a generation */
	uint32_t resyncs;
	uint32_t last_sent; /* generation */
} mb_ledger;

extern void mb_ledger_init(mb_ledger *ledger, const mb_line *line);

/*
 * A piece that is going to be said: n bytes of text, its length in ms or -1, times of its
 * words, ascending, or none.  MB_ERR_SPACE; MB_ERR_RANGE for times that go back.
 */
extern mb_status
mb_ledger_add(mb_ledger *ledger, uint32_t generation, uint16_t number, mb_item_kind kind,
			  const char *text, size_t n, int32_t ms, const mb_ledger_point *points, int n_points);

/* Its length is known now.  False when there is no such item, here and below. */
extern bool mb_ledger_complete(mb_ledger *ledger, uint32_t generation, uint16_t number, int32_t ms);

/* One more time of an item, behind those that are known; MB_ERR_RANGE for one that is not, or where there is no such item. */
extern mb_status
mb_ledger_time(mb_ledger *ledger, uint32_t generation, uint16_t number, mb_ledger_point point);

/* It was sent up to ms. */
extern bool
mb_ledger_sent(mb_ledger *ledger, uint32_t generation, uint16_t number, int32_t ms, int32_t clock);

/* A mark was sent behind all that was.  MB_ERR_SPACE: too many are pending; it will be stale. */
extern mb_status
mb_ledger_mark_sent(mb_ledger *ledger, uint32_t generation, uint32_t name, int32_t clock);

/* A mark came back; "cleared" as the peer says it, if it does.  False when it is stale. */
extern bool
mb_ledger_echo(mb_ledger *ledger, uint32_t generation, uint32_t name, bool cleared, int32_t clock);

/* The peer has ms left to play; while a clear is under way this is what it dropped. */
extern void mb_ledger_queued(mb_ledger *ledger, int32_t ms, int32_t clock);

/*
 * The peer is told to drop what it has, by who calls this, behind a mark of the name that is
 * returned, where there are marks.  Where the cut was is known at once or later: mb_ledger_clearing().
 */
extern uint32_t mb_ledger_clear(mb_ledger *ledger, uint32_t generation, int32_t clock);
extern bool mb_ledger_clearing(const mb_ledger *ledger);

/* Time passes: gives up what is overdue by so many ms.  True when marks were given up. */
extern bool mb_ledger_tick(mb_ledger *ledger, int32_t burst_wait, int32_t overdue, int32_t clock);

/* All of a generation that was not sent is not going to be; what was sent and not cleared still plays. */
extern void mb_ledger_drop(mb_ledger *ledger, uint32_t generation);

/*
 * Puts back what was not heard of a generation that was cleared, so that it is sent again, from the
 * word on that was being said: item and place where it begins.  False when nothing is left.
 */
extern bool mb_ledger_rewind(mb_ledger *ledger, uint32_t generation, uint16_t *number, int32_t *ms);

/* The first that was not sent of a generation: where feeding stopped.  False when there is none. */
extern bool
mb_ledger_unsent(const mb_ledger *ledger, uint32_t generation, uint16_t *number, int32_t *ms);

/* The peer was told to pause, and to go on. */
extern void mb_ledger_pause(mb_ledger *ledger, int32_t clock);
extern void mb_ledger_continue(mb_ledger *ledger, int32_t clock);

/* Where the peer is, as far as can be known now. */
extern int32_t mb_ledger_position(const mb_ledger *ledger, int32_t clock);

/* ms that were sent and not played by now; with marks, until the last has come back, at least 1. */
extern int32_t mb_ledger_left(const mb_ledger *ledger, int32_t clock);

/* The item of a number, or NULL. */
extern const mb_ledger_item *
mb_ledger_item_of(const mb_ledger *ledger, uint32_t generation, uint16_t number);

/* True while there are items of a generation. */
extern bool mb_ledger_has(const mb_ledger *ledger, uint32_t generation);

/* The item that is heard now, or comes next on the queue; NULL: none. */
extern const mb_ledger_item *mb_ledger_now(const mb_ledger *ledger, int32_t clock);

/* True when what is known of a generation ends with a question; *left is what is still to be heard of it. */
extern bool
mb_ledger_asks(const mb_ledger *ledger, uint32_t generation, int32_t clock, int32_t *left);

/* Its text; not ended by a NUL. */
extern const char *mb_ledger_text(const mb_ledger *ledger, const mb_ledger_item *item);

/* Bytes of its text, whole words, that are said in its first ms. */
extern size_t mb_ledger_bytes_at(const mb_ledger *ledger, const mb_ledger_item *item, int32_t ms);

/* The time in it at which the word begins that is said at ms. */
extern int32_t
mb_ledger_word_start(const mb_ledger *ledger, const mb_ledger_item *item, int32_t ms);

/*
 * The first item of which it is known what was heard of it: all, or, once it was dropped, up to its
 * cut; nothing of one that was not sent.  NULL: none yet.  mb_ledger_take() takes it away.
 * With marks something is heard for certain only when one has come back from behind it.
 */
extern const mb_ledger_item *mb_ledger_settled(const mb_ledger *ledger);
extern void mb_ledger_take(mb_ledger *ledger);

/* The line is gone: what was heard is what the position says. */
extern void mb_ledger_end(mb_ledger *ledger, int32_t clock);

#endif /* MB_LEDGER_H */
