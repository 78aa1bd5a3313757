/*
 * media_play.h
 *	  What is said in a session: it waits in a queue, is sent as far ahead as the peer's lead and no further, and is told as heard, with
 *	  when, once it was: by marks that came back, by what the peer counts, or by the clock where the peer keeps none.
 *
 * Places are samples since the session began; they count what is sent, and what is cleared stays counted.  Deadlines are absolute: a late
 * one does not delay those behind it, and after a stall that was longer than the lead no more than the lead is sent.
 */
#ifndef GATEWAY_MEDIA_PLAY_H
#define GATEWAY_MEDIA_PLAY_H

#include "http.h"
#include "media.h"
#include "program/text.h"

#define GW_PLAY_MAX_MARKS 64

typedef struct gw_play_mark
{
	unsigned number;
	uint64_t place;
	bool cleared; /* a clear was sent behind it */
} gw_play_mark;

typedef struct gw_play_piece
{
	http_blob *audio;
	size_t at;
	size_t end;
	uint64_t tag;  /* of whoever said it; 0: none */
	size_t before; /* bytes before the blob in what that names */
	struct gw_play_piece *next;
} gw_play_piece;

typedef struct gw_media_play
{
	const gw_media_peer *peer;
	void *link; /* NULL: there is none any more */
	http_loop *loop;
	mb_encoding encoding;

	/* So much was heard, and ended just now. */
	void (*heard)(void *arg, const uint8_t *audio, size_t n);

	/* All that there was to be said has been heard, or was cleared. */
	void (*done)(void *arg);

	/* What has a tag was sent up to a sample of it; a mark was sent behind it.  NULL is allowed. */
	void (*tagged)(void *arg, uint64_t tag, uint64_t place);
	void (*marking)(void *arg, uint64_t tag, unsigned number);
	void *arg;

	/* for whoever counts */
	uint64_t sent;
	uint64_t cleared;
	unsigned underruns;
	int64_t rtt; /* microseconds, of a mark on an empty buffer; -1: not known */

	/* the rest is its own */
	gw_play_piece *first;
	gw_play_piece *last; /* NULL: none */
	http_timer timer;
	http_timer patience;  /* for marks */
	bool saying;		  /* something is on its way to be heard */
	bool held;			  /* the peer takes nothing */
	bool paused;		  /* nothing is to be sent for now */
	bool goes_on;		  /* more comes behind what waits: it has no end yet */
	uint64_t tag;		  /* of what was sent last */
	bool silence;		  /* a peer without a clock is being fed */
	double fed_level;	  /* and with what; see gw_play_level() */
	uint64_t base;		  /* this place is heard at */
	int64_t base_at;	  /* that time, by our reckoning */
	uint64_t known;		  /* heard up to here for certain */
	int64_t known_at;	  /* when that was */
	program_text unheard; /* audio from known on */
	gw_play_mark marks[GW_PLAY_MAX_MARKS];
	int n_marks;
	unsigned number; /* of the last mark */
	uint64_t marked; /* place of it */
	int64_t probed;	 /* when a mark was sent on an empty buffer; 0: none is under way */

	/* a clear whose outcome is not known yet */
	bool clearing;
	int64_t clearing_since;
	uint64_t clear_end;	 /* nothing before it will be played */
	int64_t burst_at;	 /* when the marks that come together began to */
	uint64_t burst_from; /* heard for certain before them */
	int64_t burst_known_at;
	uint64_t burst_to; /* place of the first of them */
	int64_t last_mark_at;
} gw_media_play;

extern void gw_play_begin(gw_media_play *play, http_loop *loop, const gw_media_peer *peer,
						  void *link, mb_encoding encoding);

/* What was sent and not confirmed was heard as far as the clock says. */
extern void gw_play_end(gw_media_play *play);

/* Says audio, in the session's encoding, behind what waits; the blob is used up. */
extern void gw_play_say(gw_media_play *play, http_blob *audio);

/* The same from a byte of the blob on, which is shared, with a tag; before: so many bytes of what that names are before the blob. */
extern void
gw_play_say_part(gw_media_play *play, http_blob *audio, size_t from, uint64_t tag, size_t before);

/*
 * Stops speaking at once: what waits is forgotten, and what is sent is cleared where the peer can, behind a mark of this number (0: one
 * of its own, where none is pending).
 */
extern void gw_play_clear(gw_media_play *play, unsigned mark);

/* Says that more is going to come behind what waits, in the midst of a frame perhaps; or no more. */
extern void gw_play_goes_on(gw_media_play *play, bool goes_on);

/* Forgets what waits; what was sent is heard. */
extern void gw_play_forget(gw_media_play *play);

/* Sends nothing for now of what waits, or goes on. */
extern void gw_play_pause(gw_media_play *play, bool paused);

/* The level of what is heard now by our reckoning, dBFS; -INFINITY: nothing. */
extern double gw_play_level(const gw_media_play *play);

/* What the peer tells. */
extern void gw_play_marked(gw_media_play *play, unsigned number);
extern void gw_play_cleared(gw_media_play *play, uint64_t unheard);
extern void gw_play_flow(gw_media_play *play, bool flows);

/* Whether something waits or is on its way. */
extern bool gw_play_is_saying(const gw_media_play *play);

/* Samples that wait to be sent, or are sent and not known to be heard. */
extern uint64_t gw_play_left(const gw_media_play *play);

#endif /* GATEWAY_MEDIA_PLAY_H */
