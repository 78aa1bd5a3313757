/*
 * test_media_play.c
 *	  What is said in a stream and what of it was heard, by a clock that the test turns: how far ahead is sent, marks, where a clear cut
 *	  whatever the way takes, a peer without a clock.
 *
 * Link with: -I../http -I.. -I/usr/include/postgresql
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/media_heard.c"
#include "../../gateway/media_play.c"
#include "../../program/text.c"

static int64_t now = HTTP_SECOND;
static http_timer *timers[8];

struct http_blob
{
	int users;
	size_t n;
	uint8_t bytes[];
};

int64_t
http_clock(void)
{
	return now;
}

bool
http_loop_set_timer(http_loop *loop, http_timer *timer, int64_t at)
{
	(void) loop;
	for (size_t i = 0; i < 8; i++)
	{
		if (timers[i] == timer || timers[i] == NULL)
		{
			timers[i] = timer;
			timer->at = at;
			timer->place = 1;
			return true;
		}
	}
	return false;
}

void
http_loop_clear_timer(http_loop *loop, http_timer *timer)
{
	(void) loop;
	timer->place = 0;
}

http_text
http_blob_text(const http_blob *blob)
{
	return (http_text){ (const char *) blob->bytes, blob->n };
}

http_blob *
http_blob_share(http_blob *blob)
{
	blob->users++;
	return blob;
}

void
http_blob_release(http_blob *blob)
{
	if (--blob->users == 0)
		free(blob);
}

/* Turns the clock, and calls what is due on the way. */
static void
turn_to(int64_t then)
{
	for (;;)
	{
		http_timer *first = NULL;

		for (size_t i = 0; i < 8; i++)
		{
			if (timers[i] != NULL && timers[i]->place != 0 && timers[i]->at <= then &&
				(first == NULL || timers[i]->at < first->at))
				first = timers[i];
		}
		if (first == NULL)
			break;
		now = first->at > now ? first->at : now;
		first->place = 0;
		first->due(first->arg);
	}
	now = then;
}

/* The other side: what it was sent, with when. */
static struct
{
	uint64_t samples;
	unsigned marks[100];
	uint64_t places[100];
	int n_marks;
	int clears;
	uint64_t heard;
	uint64_t heard_sum;
	int done;
} other;

static gw_media_play play;

static void
take_audio(void *link, const uint8_t *audio, size_t n)
{
	(void) link;
	(void) audio;
	other.samples += n;
}

static void
take_mark(void *link, unsigned number)
{
	(void) link;
	other.marks[other.n_marks] = number;
	other.places[other.n_marks++] = other.samples;
}

static void
take_clear(void *link)
{
	(void) link;
	other.clears++;
}

static void
told_heard(void *arg, const uint8_t *audio, size_t n)
{
	(void) arg;
	other.heard += n;
	for (size_t i = 0; i < n; i++)
		other.heard_sum += audio[i];
}

static void
told_done(void *arg)
{
	(void) arg;
	other.done++;
}

static const gw_media_peer marks = { .name = "marks",
									 .lead_ms = 300,
									 .step_ms = 100,
									 .send = take_audio,
									 .mark = take_mark,
									 .clear = take_clear };
static const gw_media_peer telling = { .name = "telling",
									   .lead_ms = 300,
									   .step_ms = 100,
									   .send = take_audio,
									   .mark = take_mark,
									   .clear = take_clear,
									   .tells_unheard = true };
static const gw_media_peer clockless = {
	.name = "clockless", .lead_ms = 60, .step_ms = 20, .keeps_no_time = true, .send = take_audio
};

static void
begin(const gw_media_peer *peer)
{
	memset(timers, 0, sizeof(timers));
	memset(&other, 0, sizeof(other));
	memset(&play, 0, sizeof(play));
	gw_play_begin(&play, (http_loop *) &other, peer, &other, MB_MULAW);
	play.heard = told_heard;
	play.done = told_done;
}

static void
say(size_t samples)
{
	http_blob *blob = calloc(1, sizeof(*blob) + samples);

	blob->users = 1;
	blob->n = samples;
	memset(blob->bytes, 1, samples);
	gw_play_say(&play, blob);
}

/* One that has all marks up to a place come back, as a peer that plays in real time has them. */
static int answered;

static void
answer_up_to(uint64_t place)
{
	while (answered < other.n_marks && other.places[answered] <= place)
		gw_play_marked(&play, other.marks[answered++]);
}

static void
never_more_than_the_lead(void)
{
	int64_t start;

	begin(&marks);
	answered = 0;
	start = now;
	say(8000);
	check_int(other.samples, 2400);
	for (int ms = 10; ms <= 900; ms += 10)
	{
		turn_to(start + ms * HTTP_MILLISECOND);
		check(other.samples <= 2400 + (uint64_t) ms * 8);
		check(other.samples >= (uint64_t) ms * 8);
		answer_up_to((uint64_t) ms * 8);
	}
	check_int(other.samples, 8000);
	check(play.unheard.data != NULL);
	check_int(play.underruns, 0);
	turn_to(start + HTTP_SECOND);
	answer_up_to(8000);
	check_int(other.heard, 8000);
	check_int(other.done, 1);
	check(!gw_play_is_saying(&play));
	/* nothing is kept of it */
	check(play.unheard.data == NULL);
	gw_play_end(&play);
}

/* Audio that comes bit by bit is one piece of a blob, which is shared, and is told by its place in what the tag names. */
static uint64_t tagged_up_to;

static void
note_tagged(void *arg, uint64_t tag, uint64_t place)
{
	(void) arg;
	check_int(tag, 7);
	tagged_up_to = place;
}

static void
parts_of_a_blob_are_shared(void)
{
	int64_t start = now;
	http_blob *blob = calloc(1, sizeof(*blob) + 2000);

	begin(&marks);
	play.tagged = note_tagged;
	answered = 0;
	blob->users = 1;
	gw_play_goes_on(&play, true);
	for (size_t from = 0; from < 2000; from += 200)
	{
		blob->n = from + 200;
		gw_play_say_part(&play, blob, from, 7, 6000);
	}
	check_int(blob->users, 2);
	gw_play_goes_on(&play, false);
	for (int ms = 0; ms <= 300; ms += 10)
	{
		turn_to(start + ms * HTTP_MILLISECOND);
		answer_up_to((uint64_t) ms * 8);
	}
	check_int(blob->users, 1);
	check_int(tagged_up_to, 8000);
	check_int(other.heard, 2080);
	check_int(other.done, 1);
	http_blob_release(blob);
	gw_play_end(&play);
}

/* A loop that hangs for a second sends the lead behind it, and not what it missed. */
static void
a_stall_is_not_made_up_for(void)
{
	begin(&marks);
	answered = 0;
	say(80000);
	now += HTTP_SECOND;
	turn_to(now);
	check_int(other.samples, 4800);
	check_int(play.underruns, 1);
	gw_play_end(&play);
}

/* The way there and back is the same for echoes and for the burst: where it was cut is known to the millisecond. */
static void
a_clear_cuts_where_it_was_played(void)
{
	for (int way = 0; way <= 300; way += 100)
	{
		int64_t start;
		int64_t cleared;
		uint64_t true_place;

		begin(&marks);
		answered = 0;
		start = now;
		say(40000);
		/* marks come back two ways after they were sent, or were played */
		for (int ms = 0; ms <= 1730; ms++)
		{
			turn_to(start + ms * HTTP_MILLISECOND);
			if (ms >= 2 * way)
				answer_up_to((uint64_t) (ms - 2 * way) * 8);
		}
		cleared = now;
		gw_play_clear(&play, 0);
		check_int(other.clears, 1);
		/* it is played until the clear is there, which takes a way; the burst takes another */
		true_place = (uint64_t) (1730) * 8;
		for (int ms = 1; ms <= 2 * way; ms++)
		{
			turn_to(cleared + ms * HTTP_MILLISECOND);
			answer_up_to((uint64_t) (1730 + ms - 2 * way) * 8);
		}
		while (answered < other.n_marks)
			gw_play_marked(&play, other.marks[answered++]);
		check_near((double) other.heard, (double) true_place, 8 * 2);
		check_int(other.heard_sum, other.heard);
		check_int(play.cleared, play.sent - other.heard);
		check_int(other.done, 1);
		if (way > 0)
			check_int(play.rtt, 2 * way * HTTP_MILLISECOND);
		gw_play_end(&play);
	}
}

/* What is said behind a clear is no part of what was cleared, and one without an answer is reckoned. */
static void
what_is_said_next_is_heard(void)
{
	int64_t start;

	begin(&marks);
	answered = 0;
	start = now;
	say(16000);
	for (int ms = 0; ms <= 500; ms++)
	{
		turn_to(start + ms * HTTP_MILLISECOND);
		answer_up_to((uint64_t) ms * 8);
	}
	gw_play_clear(&play, 0);
	say(1600);
	turn_to(now + 2 * HTTP_SECOND);
	check_near((double) other.heard, 500 * 8, 8 * 2);
	check_int(other.done, 0);
	while (answered < other.n_marks)
		gw_play_marked(&play, other.marks[answered++]);
	check_near((double) other.heard, 500 * 8 + 1600, 8 * 2);
	check_int(other.done, 1);
	gw_play_end(&play);
}

/* One that leaves out the marks it cleared, and has a later one come back: nothing is counted twice, and nothing behind the audio. */
static void
cleared_marks_that_are_left_out(void)
{
	int64_t start;

	begin(&marks);
	answered = 0;
	start = now;
	say(16000);
	for (int ms = 0; ms <= 500; ms++)
	{
		turn_to(start + ms * HTTP_MILLISECOND);
		answer_up_to((uint64_t) ms * 8);
	}
	gw_play_clear(&play, 0);
	say(1600);
	turn_to(now + 250 * HTTP_MILLISECOND);
	gw_play_marked(&play, other.marks[other.n_marks - 1]);
	turn_to(now + 2 * HTTP_SECOND);
	check_near((double) other.heard, 500 * 8 + 1600, 8 * 2);
	check_int(other.heard + play.cleared, play.sent);
	check_int(other.done, 1);
	gw_play_end(&play);
}

/* One that tells what it had not played: until then its queue is not empty, even when all marks were reached. */
static void
nothing_is_sent_into_a_queue_that_is_dropped(void)
{
	begin(&telling);
	answered = 0;
	say(1600);
	turn_to(now + 150 * HTTP_MILLISECOND);
	gw_play_clear(&play, 0);
	say(800);
	while (answered < other.n_marks)
		gw_play_marked(&play, other.marks[answered++]);
	check_int(other.samples, 1600);
	gw_play_cleared(&play, 160);
	check_int(other.heard, 1440);
	check_int(other.samples, 2400);
	gw_play_end(&play);
}

/* A peer that never answers a mark: what it was sent counts as heard two seconds after it should have been. */
static void
marks_that_never_come(void)
{
	begin(&marks);
	say(1600);
	turn_to(now + 2100 * HTTP_MILLISECOND);
	check_int(other.done, 0);
	turn_to(now + 200 * HTTP_MILLISECOND);
	check_int(other.heard, 1600);
	check_int(other.done, 1);
	gw_play_end(&play);
}

static void
who_keeps_no_time_is_fed(void)
{
	int64_t start = now;

	begin(&clockless);
	turn_to(start + HTTP_SECOND);
	check_int(other.samples, 0);
	say(1600);
	check_int(other.samples, 480);
	for (int ms = 20; ms <= 2000; ms += 20)
	{
		turn_to(start + HTTP_SECOND + ms * HTTP_MILLISECOND);
		check_int(other.samples, 480 + (uint64_t) ms * 8);
	}
	check_int(other.heard, 1600);
	check_int(other.done, 1);
	/* late: the lead, and no more */
	now += HTTP_SECOND;
	turn_to(now);
	check_int(other.samples, 480 + 16000 + 480);
	say(1600);
	turn_to(now + 100 * HTTP_MILLISECOND);
	gw_play_clear(&play, 0);
	check(other.heard < 3200);
	check_int(other.done, 2);
	gw_play_end(&play);
}

int
main(void)
{
	check_run("parts of a blob are shared", parts_of_a_blob_are_shared);
	check_run("no more is sent than the lead, and no less", never_more_than_the_lead);
	check_run("a stall is not made up for", a_stall_is_not_made_up_for);
	check_run("a clear cuts where it was played", a_clear_cuts_where_it_was_played);
	check_run("what is said next is heard", what_is_said_next_is_heard);
	check_run("cleared marks that are left out", cleared_marks_that_are_left_out);
	check_run("nothing is sent into a queue that is dropped",
			  nothing_is_sent_into_a_queue_that_is_dropped);
	check_run("marks that never come", marks_that_never_come);
	check_run("who keeps no time is fed", who_keeps_no_time_is_fed);
	return check_done();
}
