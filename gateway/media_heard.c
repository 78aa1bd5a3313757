/*
 * media_heard.c
 *	  What of that which was said was heard: see media_play.h.
 *
 * How much of a cleared buffer was heard (where marks come back whether they were heard or not): an echo and our
 * clear take one way each.  Place at the cut = place of the last mark that came back by itself + (arrival of the burst of cleared marks
 * - arrival of that mark); the way cancels out.  So a mark is always pending when something is cleared.
 */
#include <string.h>

#include "core/audio/g711.h"
#include "media_play_internal.h"

#define BURST (15 * HTTP_MILLISECOND) /* marks that are less than that apart come together */
#define MARK_WITHIN (2 * HTTP_SECOND) /* after it should have come */

size_t
gw_play_width(const gw_media_play *play)
{
	return mb_encoding_sample_size(play->encoding);
}

int64_t
gw_play_samples(int64_t microseconds)
{
	return microseconds * GW_MEDIA_RATE / HTTP_SECOND;
}

int64_t
gw_play_time(uint64_t samples)
{
	return (int64_t) samples * HTTP_SECOND / GW_MEDIA_RATE;
}

uint64_t
gw_play_between(uint64_t least, int64_t value, uint64_t most)
{
	if (value < (int64_t) least)
		return least;
	return value > (int64_t) most ? most : (uint64_t) value;
}

/* What is heard now, by our reckoning. */
uint64_t
gw_play_place_now(const gw_media_play *play, int64_t now)
{
	return gw_play_between(play->known, (int64_t) play->base + gw_play_samples(now - play->base_at),
						   play->sent);
}

/* ---------------------------------------------------------------------------
 * What was heard
 * ---------------------------------------------------------------------------
 */

void
gw_play_drop_unheard(gw_media_play *play, uint64_t samples)
{
	size_t n = samples * gw_play_width(play);

	if (n > 0)
	{
		memmove(play->unheard.data, play->unheard.data + n, play->unheard.length - n);
		play->unheard.length -= n;
	}
	play->known += samples;
	play->known_at = http_clock();
}

void
gw_play_heard_up_to(gw_media_play *play, uint64_t place)
{
	uint64_t n = place <= play->known ? 0 : place - play->known;

	if (n > 0 && play->heard != NULL)
		play->heard(play->arg, (const uint8_t *) play->unheard.data, n * gw_play_width(play));
	gw_play_drop_unheard(play, n);
}

static void
drop_marks(gw_media_play *play, int n)
{
	play->n_marks -= n;
	memmove(play->marks, play->marks + n, (size_t) play->n_marks * sizeof(gw_play_mark));
}

/* Tells when there is nothing more to be heard. */
void
gw_play_look_whether_done(gw_media_play *play)
{
	if (play->first != NULL || play->known < play->sent || play->clearing || !play->saying ||
		play->goes_on)
		return;
	play->saying = false;
	program_text_free(&play->unheard);
	http_loop_clear_timer(play->loop, &play->patience);
	if (!play->silence)
		http_loop_clear_timer(play->loop, &play->timer);
	play->done(play->arg);
}

/* When the last mark should have come back at the latest. */
void
gw_play_wait_for_marks(gw_media_play *play)
{
	if (play->clearing)
		return;
	if (play->n_marks == 0)
		http_loop_clear_timer(play->loop, &play->patience);
	else
		http_loop_set_timer(play->loop, &play->patience,
							play->base_at + gw_play_time(play->sent - play->base) + MARK_WITHIN);
}

static void
finish_clear(gw_media_play *play, uint64_t place)
{
	int marks = 0;

	while (marks < play->n_marks && play->marks[marks].cleared)
		marks++;
	drop_marks(play, marks);
	gw_play_heard_up_to(play, place);
	play->cleared += play->clear_end - play->known;
	gw_play_drop_unheard(play, play->clear_end - play->known);
	play->clearing = false;
	play->held = false;
	gw_play_wait_for_marks(play);
	gw_play_send_more(play, false);
	gw_play_look_whether_done(play);
}

/* Nothing has told where it cut. */
static void
reckon_clear(gw_media_play *play)
{
	int64_t elapsed = play->clearing_since - play->known_at + (play->rtt > 0 ? play->rtt : 0);

	finish_clear(play,
				 gw_play_between(play->known, (int64_t) play->known + gw_play_samples(elapsed),
								 play->clear_end));
}

/* No mark came when it should have. */
void
gw_play_patience_is_over(void *arg)
{
	gw_media_play *play = arg;

	if (play->clearing)
	{
		reckon_clear(play);
		return;
	}
	play->n_marks = 0;
	gw_play_heard_up_to(play, play->sent);
	gw_play_look_whether_done(play);
}

/* A mark that was pending when its buffer was cleared. */
static void
take_cleared_mark(gw_media_play *play, const gw_play_mark *mark, int64_t now)
{
	if (play->last_mark_at == 0 || now - play->last_mark_at > BURST)
	{
		if (play->last_mark_at != 0)
		{
			/* those before came by themselves */
			play->burst_from = play->burst_to;
			play->burst_known_at = play->last_mark_at;
		}
		play->burst_at = now;
	}
	play->burst_to = mark->place;
	play->last_mark_at = now;
}

void
gw_play_marked(gw_media_play *play, unsigned number)
{
	int64_t now = http_clock();
	gw_play_mark mark;
	int i = 0;

	while (i < play->n_marks && play->marks[i].number != number)
		i++;
	if (i == play->n_marks)
		return;
	mark = play->marks[i];
	drop_marks(play, i + 1);
	if (mark.cleared)
	{
		take_cleared_mark(play, &mark, now);
		/* who tells what was not heard has yet to drop his queue: nothing may be sent into it */
		if (!play->peer->tells_unheard && (play->n_marks == 0 || !play->marks[0].cleared))
			/* an echo that a busy machine kept until the burst lies in it: so the time decides, and not the first mark of it */
			finish_clear(play,
						 gw_play_between(play->burst_from,
										 (int64_t) play->burst_from +
											 gw_play_samples(play->burst_at - play->burst_known_at),
										 play->clear_end));
		return;
	}
	/* from behind a clear whose own marks were left out */
	if (play->clearing)
		reckon_clear(play);
	if (play->probed != 0 && mark.place == play->base)
	{
		play->rtt = now - play->probed;
		play->probed = 0;
	}
	gw_play_heard_up_to(play, mark.place);
	gw_play_wait_for_marks(play);
	gw_play_look_whether_done(play);
}

void
gw_play_cleared(gw_media_play *play, uint64_t unheard)
{
	if (play->clearing)
		finish_clear(play,
					 gw_play_between(play->known, (int64_t) play->clear_end - (int64_t) unheard,
									 play->clear_end));
}
