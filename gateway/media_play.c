/*
 * media_play.c
 *	  What is said in a session, and what of it was heard: see media_play.h.
 *
 * How much of a cleared buffer was heard (where marks come back whether they were heard or not): an echo and our
 * clear take one way each.  Place at the cut = place of the last mark that came back by itself + (arrival of the burst of cleared marks
 * - arrival of that mark); the way cancels out.  So a mark is always pending when something is cleared.
 */
#include "media_play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"

#define FRAME (GW_MEDIA_RATE / 50)
#define MARK_EVERY (GW_MEDIA_RATE / 5) /* samples: one for each packet that is stored of it */
#define BURST (15 * HTTP_MILLISECOND)  /* marks that are less than that apart come together */
#define BURST_WITHIN HTTP_SECOND
#define MARK_WITHIN (2 * HTTP_SECOND) /* after it should have come */
#define MAX_STEP 3200				  /* bytes */

static void send_more(gw_media_play *play, bool on_time);

static size_t
width(const gw_media_play *play)
{
	return mb_encoding_sample_size(play->encoding);
}

static int64_t
samples_in(int64_t microseconds)
{
	return microseconds * GW_MEDIA_RATE / HTTP_SECOND;
}

static int64_t
time_of(uint64_t samples)
{
	return (int64_t) samples * HTTP_SECOND / GW_MEDIA_RATE;
}

static uint64_t
between(uint64_t least, int64_t value, uint64_t most)
{
	if (value < (int64_t) least)
		return least;
	return value > (int64_t) most ? most : (uint64_t) value;
}

/* What is heard now, by our reckoning. */
static uint64_t
place_now(const gw_media_play *play, int64_t now)
{
	return between(play->known, (int64_t) play->base + samples_in(now - play->base_at), play->sent);
}

/* ---------------------------------------------------------------------------
 * What was heard
 * ---------------------------------------------------------------------------
 */

static void
drop_unheard(gw_media_play *play, uint64_t samples)
{
	size_t n = samples * width(play);

	if (n > 0)
	{
		memmove(play->unheard.data, play->unheard.data + n, play->unheard.length - n);
		play->unheard.length -= n;
	}
	play->known += samples;
	play->known_at = http_clock();
}

static void
heard_up_to(gw_media_play *play, uint64_t place)
{
	uint64_t n = place <= play->known ? 0 : place - play->known;

	if (n > 0 && play->heard != NULL)
		play->heard(play->arg, (const uint8_t *) play->unheard.data, n * width(play));
	drop_unheard(play, n);
}

static void
drop_marks(gw_media_play *play, int n)
{
	play->n_marks -= n;
	memmove(play->marks, play->marks + n, (size_t) play->n_marks * sizeof(gw_play_mark));
}

/* Tells when there is nothing more to be heard. */
static void
look_whether_done(gw_media_play *play)
{
	if (play->first != NULL || play->known < play->sent || play->clearing || !play->saying ||
		play->goes_on)
		return;
	play->saying = false;
	http_loop_clear_timer(play->loop, &play->patience);
	if (!play->silence)
		http_loop_clear_timer(play->loop, &play->timer);
	play->done(play->arg);
}

/* When the last mark should have come back at the latest. */
static void
wait_for_marks(gw_media_play *play)
{
	if (play->clearing)
		return;
	if (play->n_marks == 0)
		http_loop_clear_timer(play->loop, &play->patience);
	else
		http_loop_set_timer(play->loop, &play->patience,
							play->base_at + time_of(play->sent - play->base) + MARK_WITHIN);
}

static void
finish_clear(gw_media_play *play, uint64_t place)
{
	int marks = 0;

	while (marks < play->n_marks && play->marks[marks].cleared)
		marks++;
	drop_marks(play, marks);
	heard_up_to(play, place);
	play->cleared += play->clear_end - play->known;
	drop_unheard(play, play->clear_end - play->known);
	play->clearing = false;
	play->held = false;
	wait_for_marks(play);
	send_more(play, false);
	look_whether_done(play);
}

/* Nothing has told where it cut. */
static void
reckon_clear(gw_media_play *play)
{
	int64_t elapsed = play->clearing_since - play->known_at + (play->rtt > 0 ? play->rtt : 0);

	finish_clear(
		play, between(play->known, (int64_t) play->known + samples_in(elapsed), play->clear_end));
}

/* No mark came when it should have. */
static void
patience_is_over(void *arg)
{
	gw_media_play *play = arg;

	if (play->clearing)
	{
		reckon_clear(play);
		return;
	}
	play->n_marks = 0;
	heard_up_to(play, play->sent);
	look_whether_done(play);
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
			finish_clear(play, between(play->burst_from,
									   (int64_t) play->burst_from +
										   samples_in(play->burst_at - play->burst_known_at),
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
	heard_up_to(play, mark.place);
	wait_for_marks(play);
	look_whether_done(play);
}

void
gw_play_cleared(gw_media_play *play, uint64_t unheard)
{
	if (play->clearing)
		finish_clear(play, between(play->known, (int64_t) play->clear_end - (int64_t) unheard,
								   play->clear_end));
}

/* ---------------------------------------------------------------------------
 * Sending
 * ---------------------------------------------------------------------------
 */

static void
send_mark(gw_media_play *play, unsigned number)
{
	if (play->peer->mark == NULL || play->n_marks == GW_PLAY_MAX_MARKS)
		return;
	play->marks[play->n_marks++] = (gw_play_mark){ number, play->sent, false };
	play->marked = play->sent;
	play->peer->mark(play->link, number);
}

static void
send_own_mark(gw_media_play *play, uint64_t tag)
{
	int n = play->n_marks;

	send_mark(play, ++play->number);
	if (play->n_marks > n && play->marking != NULL && tag != 0)
		play->marking(play->arg, tag, play->number);
}

/* Takes at most n bytes from the queue. */
static size_t
take(gw_media_play *play, uint8_t *bytes, size_t n)
{
	size_t taken = 0;

	while (play->first != NULL && taken < n)
	{
		gw_play_piece *piece = play->first;
		http_text audio = http_blob_text(piece->audio);
		size_t part = audio.length - piece->at < n - taken ? audio.length - piece->at : n - taken;

		memcpy(bytes + taken, audio.data + piece->at, part);
		taken += part;
		piece->at += part;
		play->tag = piece->tag;
		if (piece->tag != 0 && play->tagged != NULL)
			play->tagged(play->arg, piece->tag, piece->place + piece->at / width(play));
		if (piece->at < audio.length)
			break;
		play->first = piece->next;
		if (play->first == NULL)
			play->last = &play->first;
		http_blob_release(piece->audio);
		free(piece);
	}
	return taken;
}

/* Bytes of whole frames that wait, of at most "most". */
static size_t
whole_frames(const gw_media_play *play, size_t most)
{
	size_t frame = FRAME * width(play);
	size_t n = 0;

	for (const gw_play_piece *piece = play->first; piece != NULL && n < most; piece = piece->next)
		n += http_blob_text(piece->audio).length - piece->at;
	return (n < most ? n : most) / frame * frame;
}

/* Whether something can be sent: a piece of a frame has to wait for the rest of it. */
static bool
is_ready(const gw_media_play *play)
{
	return play->first != NULL && !play->paused &&
		   (!play->goes_on || whole_frames(play, FRAME * width(play)) > 0);
}

/* One step of what waits, in whole frames; the last one ends in silence. */
static void
send_step(gw_media_play *play)
{
	uint8_t bytes[MAX_STEP];
	size_t frame = FRAME * width(play);
	size_t step = (size_t) (play->peer->step_ms * GW_MEDIA_RATE / 1000) * width(play);
	size_t n = take(play, bytes, play->goes_on ? whole_frames(play, step) : step);
	size_t whole = (n + frame - 1) / frame * frame;

	(void) mb_audio_silence(play->encoding, (whole - n) / width(play), bytes + n);
	play->peer->send(play->link, bytes, whole);
	program_text_add(&play->unheard, bytes, whole);
	play->sent += whole / width(play);
	if (play->unheard.failed)
		play->known = play->sent;
}

/* What a peer without a clock plays is heard when it is sent. */
static void
feed(gw_media_play *play)
{
	int64_t now = http_clock();
	int64_t step = play->peer->step_ms * HTTP_MILLISECOND;
	int64_t lead = play->peer->lead_ms * HTTP_MILLISECOND;

	if (now > play->base_at)
	{
		/* silent up to now, or too late: never more than the lead at once */
		play->underruns += play->saying && play->silence;
		play->base_at = now;
	}
	play->silence = true;
	while (play->base_at <= now + lead - step)
	{
		if (is_ready(play))
		{
			send_step(play);
			heard_up_to(play, play->sent);
		}
		else
		{
			uint8_t bytes[MAX_STEP];
			size_t n = (size_t) (play->peer->step_ms * GW_MEDIA_RATE / 1000);

			(void) mb_audio_silence(play->encoding, n, bytes);
			play->peer->send(play->link, bytes, n * width(play));
		}
		play->base_at += step;
	}
	http_loop_set_timer(play->loop, &play->timer, play->base_at - lead + step);
	look_whether_done(play);
}

static void
send_more(gw_media_play *play, bool on_time)
{
	int64_t now = http_clock();
	int64_t step = samples_in(play->peer->step_ms * HTTP_MILLISECOND);
	int64_t lead = samples_in(play->peer->lead_ms * HTTP_MILLISECOND);

	if (play->link == NULL || play->held || (play->clearing && play->peer->tells_unheard))
		return;
	if (play->peer->keeps_no_time)
	{
		if (play->silence || play->first != NULL)
			feed(play);
		return;
	}
	if (!is_ready(play))
		return;
	if (!play->saying || place_now(play, now) == play->sent)
	{
		/* the other side has nothing to play: it begins now */
		play->underruns += play->saying && on_time;
		play->base = play->sent;
		play->base_at = now;
		if (play->n_marks == 0 && !play->clearing)
		{
			play->probed = now;
			send_own_mark(play, play->first->tag);
		}
	}
	play->saying = true;
	while (is_ready(play) && play->sent + (uint64_t) step <= place_now(play, now) + (uint64_t) lead)
	{
		send_step(play);
		if ((play->first == NULL && !play->goes_on) || play->sent - play->marked >= MARK_EVERY)
			send_own_mark(play, play->tag);
	}
	wait_for_marks(play);
	if (play->first != NULL)
		http_loop_set_timer(play->loop, &play->timer,
							play->base_at + time_of(play->sent + (uint64_t) step - play->base) -
								play->peer->lead_ms * HTTP_MILLISECOND);
	else if (play->peer->mark == NULL)
		http_loop_set_timer(play->loop, &play->timer,
							play->base_at + time_of(play->sent - play->base));
}

static void
is_due(void *arg)
{
	gw_media_play *play = arg;

	if (play->first == NULL && !play->peer->keeps_no_time)
	{
		heard_up_to(play, play->sent);
		look_whether_done(play);
		return;
	}
	send_more(play, true);
}

void
gw_play_say(gw_media_play *play, http_blob *audio)
{
	gw_play_say_tagged(play, audio, 0, 0);
}

void
gw_play_say_tagged(gw_media_play *play, http_blob *audio, uint64_t tag, uint64_t place)
{
	gw_play_piece *piece = calloc(1, sizeof(*piece));

	if (piece == NULL || play->link == NULL || play->peer->listens_only ||
		http_blob_text(audio).length == 0)
	{
		free(piece);
		http_blob_release(audio);
		return;
	}
	piece->audio = audio;
	piece->tag = tag;
	piece->place = place;
	*play->last = piece;
	play->last = &piece->next;
	if (play->peer->keeps_no_time)
		play->saying = true;
	send_more(play, false);
}

void
gw_play_forget(gw_media_play *play)
{
	while (play->first != NULL)
	{
		gw_play_piece *piece = play->first;

		play->first = piece->next;
		http_blob_release(piece->audio);
		free(piece);
	}
	play->last = &play->first;
}

void
gw_play_clear(gw_media_play *play, unsigned mark)
{
	int64_t now = http_clock();

	gw_play_forget(play);
	play->goes_on = false;
	if (play->link == NULL || play->known == play->sent || play->peer->clear == NULL ||
		(play->clearing && play->clear_end == play->sent))
	{
		/* whoever named a mark waits for it */
		if (mark != 0 && play->link != NULL && play->peer->mark != NULL)
			play->peer->mark(play->link, mark);
		if (!play->clearing)
			look_whether_done(play);
		return;
	}
	if (mark != 0)
		send_mark(play, mark);
	else if (play->n_marks == 0 && !play->peer->tells_unheard)
		send_own_mark(play, 0);
	for (int i = 0; i < play->n_marks; i++)
		play->marks[i].cleared = true;
	play->clearing = true;
	play->clearing_since = now;
	play->clear_end = play->sent;
	play->last_mark_at = 0;
	play->burst_from = play->known;
	play->burst_known_at = play->known_at;
	play->probed = 0;
	http_loop_clear_timer(play->loop, &play->timer);
	http_loop_set_timer(play->loop, &play->patience, now + BURST_WITHIN);
	/* what is said from now on begins at once */
	play->base = play->sent;
	play->base_at = now;
	play->peer->clear(play->link);
}

void
gw_play_goes_on(gw_media_play *play, bool goes_on)
{
	if (play->goes_on == goes_on)
		return;
	play->goes_on = goes_on;
	if (goes_on || play->link == NULL)
		return;
	send_more(play, false);
	/* the end of all that was said has no mark yet */
	if (play->first == NULL && play->marked < play->sent && play->known < play->sent)
		send_own_mark(play, play->tag);
	wait_for_marks(play);
	look_whether_done(play);
}

void
gw_play_pause(gw_media_play *play, bool paused)
{
	play->paused = paused;
	if (!paused)
		send_more(play, false);
}

double
gw_play_level(const gw_media_play *play)
{
	uint64_t at = play->saying ? place_now(play, http_clock()) - play->known : 0;
	uint64_t there = play->unheard.length / width(play);
	int16_t samples[FRAME];
	double sum = 0;

	if (!play->saying || at + FRAME > there ||
		mb_audio_decode(play->encoding, (const uint8_t *) play->unheard.data + at * width(play),
						FRAME * width(play), samples) != MB_OK)
		return -INFINITY;
	for (int i = 0; i < FRAME; i++)
		sum += (double) samples[i] * samples[i];
	return sum == 0 ? -INFINITY : 10 * log10(sum / FRAME / (32768.0 * 32768.0));
}

void
gw_play_flow(gw_media_play *play, bool flows)
{
	play->held = !flows;
	if (flows)
		send_more(play, false);
}

/* ---------------------------------------------------------------------------
 * All of it
 * ---------------------------------------------------------------------------
 */

bool
gw_play_is_saying(const gw_media_play *play)
{
	return play->saying;
}

uint64_t
gw_play_left(const gw_media_play *play)
{
	uint64_t left = play->sent - play->known;

	for (const gw_play_piece *piece = play->first; piece != NULL; piece = piece->next)
		left += (http_blob_text(piece->audio).length - piece->at) / width(play);
	return left;
}

void
gw_play_begin(gw_media_play *play, http_loop *loop, const gw_media_peer *peer, void *link,
			  mb_encoding encoding)
{
	play->loop = loop;
	play->peer = peer;
	play->link = link;
	play->encoding = encoding;
	play->last = &play->first;
	play->rtt = -1;
	play->timer = (http_timer){ .due = is_due, .arg = play };
	play->patience = (http_timer){ .due = patience_is_over, .arg = play };
}

void
gw_play_end(gw_media_play *play)
{
	if (play->loop == NULL)
		return;
	http_loop_clear_timer(play->loop, &play->timer);
	http_loop_clear_timer(play->loop, &play->patience);
	if (play->link != NULL)
	{
		uint64_t place = place_now(play, http_clock());

		if (play->clearing)
			place =
				between(play->known,
						(int64_t) play->known + samples_in(play->clearing_since - play->known_at),
						play->clear_end);
		heard_up_to(play, place);
		play->cleared += play->sent - play->known;
	}
	play->link = NULL;
	play->saying = false;
	gw_play_forget(play);
	program_text_free(&play->unheard);
}
