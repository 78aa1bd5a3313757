/*
 * media_play.c
 *	  What is said in a session, sent as far ahead as the peer allows: see media_play.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "media_play_internal.h"

#define FRAME (GW_MEDIA_RATE / 50)
#define MARK_EVERY (GW_MEDIA_RATE / 5) /* samples: one for each packet that is stored of it */
#define BURST_WITHIN HTTP_SECOND
#define MAX_STEP 3200 /* bytes */

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
		size_t part = piece->end - piece->at < n - taken ? piece->end - piece->at : n - taken;

		memcpy(bytes + taken, http_blob_text(piece->audio).data + piece->at, part);
		taken += part;
		piece->at += part;
		play->tag = piece->tag;
		if (piece->tag != 0 && play->tagged != NULL)
			play->tagged(play->arg, piece->tag, (piece->before + piece->at) / gw_play_width(play));
		if (piece->at < piece->end)
			break;
		play->first = piece->next;
		if (play->first == NULL)
			play->last = NULL;
		http_blob_release(piece->audio);
		free(piece);
	}
	return taken;
}

/* Bytes of whole frames that wait, of at most "most". */
static size_t
whole_frames(const gw_media_play *play, size_t most)
{
	size_t frame = FRAME * gw_play_width(play);
	size_t n = 0;

	for (const gw_play_piece *piece = play->first; piece != NULL && n < most; piece = piece->next)
		n += piece->end - piece->at;
	return (n < most ? n : most) / frame * frame;
}

/* Whether something can be sent: a piece of a frame has to wait for the rest of it. */
static bool
is_ready(const gw_media_play *play)
{
	return play->first != NULL && !play->paused &&
		   (!play->goes_on || whole_frames(play, FRAME * gw_play_width(play)) > 0);
}

/* The power of a frame, in dB below full scale. */
static double
level_of(const gw_media_play *play, const uint8_t *frame)
{
	int16_t samples[FRAME];
	double sum = 0;

	if (mb_audio_decode(play->encoding, frame, FRAME * gw_play_width(play), samples) != MB_OK)
		return -INFINITY;
	for (int i = 0; i < FRAME; i++)
		sum += (double) samples[i] * samples[i];
	return sum == 0 ? -INFINITY : 10 * log10(sum / FRAME / (32768.0 * 32768.0));
}

/* One step of what waits, in whole frames; the last one ends in silence. */
static void
send_step(gw_media_play *play)
{
	uint8_t bytes[MAX_STEP];
	size_t frame = FRAME * gw_play_width(play);
	size_t step = (size_t) (play->peer->step_ms * GW_MEDIA_RATE / 1000) * gw_play_width(play);
	size_t n = take(play, bytes, play->goes_on ? whole_frames(play, step) : step);
	size_t whole = (n + frame - 1) / frame * frame;

	(void) mb_audio_silence(play->encoding, (whole - n) / gw_play_width(play), bytes + n);
	play->peer->send(play->link, bytes, whole);
	if (play->peer->keeps_no_time)
		play->fed_level = level_of(play, bytes + whole - frame);
	program_text_add(&play->unheard, bytes, whole);
	play->sent += whole / gw_play_width(play);
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
			gw_play_heard_up_to(play, play->sent);
		}
		else
		{
			uint8_t bytes[MAX_STEP];
			size_t n = (size_t) (play->peer->step_ms * GW_MEDIA_RATE / 1000);

			(void) mb_audio_silence(play->encoding, n, bytes);
			play->peer->send(play->link, bytes, n * gw_play_width(play));
			play->fed_level = -INFINITY;
		}
		play->base_at += step;
	}
	http_loop_set_timer(play->loop, &play->timer, play->base_at - lead + step);
	gw_play_look_whether_done(play);
}

void
gw_play_send_more(gw_media_play *play, bool on_time)
{
	int64_t now = http_clock();
	int64_t step = gw_play_samples(play->peer->step_ms * HTTP_MILLISECOND);
	int64_t lead = gw_play_samples(play->peer->lead_ms * HTTP_MILLISECOND);

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
	if (!play->saying || gw_play_place_now(play, now) == play->sent)
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
	while (is_ready(play) &&
		   play->sent + (uint64_t) step <= gw_play_place_now(play, now) + (uint64_t) lead)
	{
		send_step(play);
		if ((play->first == NULL && !play->goes_on) || play->sent - play->marked >= MARK_EVERY)
			send_own_mark(play, play->tag);
	}
	gw_play_wait_for_marks(play);
	if (play->first != NULL)
		http_loop_set_timer(play->loop, &play->timer,
							play->base_at +
								gw_play_time(play->sent + (uint64_t) step - play->base) -
								play->peer->lead_ms * HTTP_MILLISECOND);
	else if (play->peer->mark == NULL)
		http_loop_set_timer(play->loop, &play->timer,
							play->base_at + gw_play_time(play->sent - play->base));
}

static void
is_due(void *arg)
{
	gw_media_play *play = arg;

	if (play->first == NULL && !play->peer->keeps_no_time)
	{
		gw_play_heard_up_to(play, play->sent);
		gw_play_look_whether_done(play);
		return;
	}
	gw_play_send_more(play, true);
}

void
gw_play_say(gw_media_play *play, http_blob *audio)
{
	gw_play_say_part(play, audio, 0, 0, 0);
	http_blob_release(audio);
}

/* Puts it behind what waits; false without memory. */
static bool
append(gw_media_play *play, http_blob *audio, size_t from, uint64_t tag, size_t before)
{
	size_t end = http_blob_text(audio).length;
	gw_play_piece *piece = play->last;

	/* more has come of what waits */
	if (piece != NULL && piece->audio == audio && piece->end == from && piece->tag == tag)
	{
		piece->end = end;
		return true;
	}
	piece = calloc(1, sizeof(*piece));
	if (piece == NULL)
		return false;
	piece->audio = http_blob_share(audio);
	piece->at = from;
	piece->end = end;
	piece->tag = tag;
	piece->before = before;
	if (play->last == NULL)
		play->first = piece;
	else
		play->last->next = piece;
	play->last = piece;
	return true;
}

void
gw_play_say_part(gw_media_play *play, http_blob *audio, size_t from, uint64_t tag, size_t before)
{
	if (audio == NULL || play->link == NULL || play->peer->listens_only ||
		from >= http_blob_text(audio).length || !append(play, audio, from, tag, before))
		return;
	if (play->peer->keeps_no_time)
		play->saying = true;
	gw_play_send_more(play, false);
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
	play->last = NULL;
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
			gw_play_look_whether_done(play);
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
	gw_play_send_more(play, false);
	/* the end of all that was said has no mark yet */
	if (play->first == NULL && play->marked < play->sent && play->known < play->sent)
		send_own_mark(play, play->tag);
	gw_play_wait_for_marks(play);
	gw_play_look_whether_done(play);
}

void
gw_play_pause(gw_media_play *play, bool paused)
{
	play->paused = paused;
	if (!paused)
		gw_play_send_more(play, false);
}

double
gw_play_level(const gw_media_play *play)
{
	uint64_t at = play->saying ? gw_play_place_now(play, http_clock()) - play->known : 0;
	uint64_t there = play->unheard.length / gw_play_width(play);

	/* what such a peer was sent is taken as heard at once, and is no more at hand */
	if (play->peer->keeps_no_time)
		return play->saying ? play->fed_level : -INFINITY;
	if (!play->saying || at + FRAME > there)
		return -INFINITY;
	return level_of(play, (const uint8_t *) play->unheard.data + at * gw_play_width(play));
}

void
gw_play_flow(gw_media_play *play, bool flows)
{
	play->held = !flows;
	if (flows)
		gw_play_send_more(play, false);
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
		left += (piece->end - piece->at) / gw_play_width(play);
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
	play->rtt = -1;
	play->fed_level = -INFINITY;
	play->timer = (http_timer){ .due = is_due, .arg = play };
	play->patience = (http_timer){ .due = gw_play_patience_is_over, .arg = play };
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
		uint64_t place = gw_play_place_now(play, http_clock());

		if (play->clearing)
			place = gw_play_between(play->known,
									(int64_t) play->known +
										gw_play_samples(play->clearing_since - play->known_at),
									play->clear_end);
		gw_play_heard_up_to(play, place);
		play->cleared += play->sent - play->known;
	}
	play->link = NULL;
	play->saying = false;
	gw_play_forget(play);
	program_text_free(&play->unheard);
}
