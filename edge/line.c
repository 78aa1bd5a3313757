/*
 * line.c
 *	  A telephone line that is listened to for commands; see line.h.
 */
#include "line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ear.h"
#include "mouth.h"
#include "packets.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define READ_MS 20
/* Between answering and the tone that says that we listen: lines are switched meanwhile. */
#define READY_AFTER (700 * MILLISECOND)
/* What is heard so long behind what we played is its echo. */
#define ECHO_MS 200
#define LATEST (2 * SECOND) /* what is read may be so old, and devices keep no more */
/* A call in which an answer is waited for is not hung up, but for a database that never answers. */
#define JUDGED_WITHIN (10 * SECOND)
/*
 * The sentence comes so long behind the tones of an answer: who plays commands begins the next one meanwhile, and goes before. What
 * does one at a time is deaf while it speaks, so it waits for longer.
 */
#define SENTENCE_AFTER (1 * SECOND)
#define SENTENCE_AFTER_LONG (4 * SECOND)
#define BEFORE 50 /* blocks before the first digit that belong to its call: a second */

const char *const edge_line_tracks[EDGE_LINE_TRACKS] = { "inbound", "outbound" };

/* A block that was heard, and what was played meanwhile. */
typedef struct moment
{
	edge_audio_block block;
	int16_t *samples[EDGE_LINE_TRACKS];
} moment;

/* A track of the call. */
typedef struct side
{
	edge_line *line;
	const char *track;
	edge_packets *packets;
} side;

struct edge_line
{
	edge_line_options options;
	edge_audio audio;
	bool open;
	char problem[256];
	edge_ear *ear;
	edge_mouth *mouth;
	moment now;
	moment before[BEFORE];
	unsigned n_before;
	edge_line_counters counters;
	edge_audio_position position;

	bool in_call;
	char call_id[EDGE_CALL_ID + 1];
	char caller[48];
	side sides[EDGE_LINE_TRACKS];
	bool refused; /* the server does not take this call any more */
	int64_t call_time;
	int64_t began;
	int64_t last_digit; /* edge_clock(); or when the call began */
	int64_t ready_at;	/* 0: no tone is to come */
	int64_t spoke;		/* when something was being said last */
	int64_t asked_at;	/* for the last of those that are being judged */
	unsigned pending;	/* so many of them */
	bool ends;			/* the database has said so */
};

/* ---------------------------------------------------------------------------
 * What is heard
 * ---------------------------------------------------------------------------
 */

static void
on_packet(void *arg, int64_t sequence, const uint8_t *data, size_t n)
{
	side *s = arg;
	edge_line *l = s->line;
	edge_packet packet = { .track = s->track,
						   .sequence = sequence,
						   .time = l->call_time + sequence * EDGE_BLOCK_MS * MILLISECOND,
						   .data = data,
						   .n = n };

	if (!l->refused && !edge_outbox_put(l->options.outbox, l->call_id, &packet))
		l->refused = true;
}

static void
on_digit(void *arg, char digit)
{
	edge_line *l = arg;

	if (!l->in_call && l->options.by_digit)
		edge_line_begin(l, NULL);
	l->last_digit = edge_clock();
	/* who plays already need not be told to, and does not listen to sentences */
	l->ready_at = 0;
	if (l->options.speech != NULL)
		edge_speech_drop(l->options.speech);
	if (!edge_mouth_speaks_digits(l->mouth))
		edge_mouth_hush(l->mouth);
	(void) digit;
}

static void
on_frame(void *arg, const char *symbols)
{
	edge_line *l = arg;

	if (!l->in_call || l->ends)
		return;
	if (!edge_judge_ask(l->options.judge, l->call_id, l->caller, symbols))
	{
		/* the next one finds room, and a sender plays it again */
		edge_complain("call %s: not judged: too many frames wait for the database", l->call_id);
		return;
	}
	l->pending++;
	l->asked_at = edge_clock();
}

/* The audio of a moment becomes the call's. */
static void
post(edge_line *l, const moment *m)
{
	for (int i = 0; i < EDGE_LINE_TRACKS; i++)
	{
		if (m->block.lost > 0 && i == 0)
			edge_packets_lost(l->sides[i].packets, m->block.lost);
		edge_packets_feed(l->sides[i].packets, m->samples[i], m->block.frames, 1);
	}
}

/* What was played while nothing could be heard. */
static void
post_unheard(edge_line *l, uint64_t lost)
{
	int16_t *samples = l->now.samples[1];

	while (lost > 0)
	{
		size_t n = lost < l->audio.traits.block ? (size_t) lost : l->audio.traits.block;

		edge_mouth_played(l->mouth, samples, n);
		if (l->in_call)
			edge_packets_feed(l->sides[1].packets, samples, n, 1);
		lost -= n;
	}
}

/* What comes before the first digit may belong to its call. */
static void
keep(edge_line *l)
{
	moment *m = &l->before[l->n_before++ % BEFORE];

	m->block = l->now.block;
	for (int i = 0; i < EDGE_LINE_TRACKS; i++)
		memcpy(m->samples[i], l->now.samples[i], l->now.block.frames * sizeof(int16_t));
}

static void
take_block(edge_line *l)
{
	const edge_audio_block *block = &l->now.block;
	bool was_in_call = l->in_call;

	l->counters.frames += block->frames + block->lost;
	l->counters.lost += block->lost;
	if (block->lost > 0)
	{
		edge_ear_lost(l->ear, block->lost);
		post_unheard(l, block->lost);
	}
	edge_mouth_played(l->mouth, l->now.samples[1], block->frames);
	if (!l->in_call)
		keep(l);
	edge_ear_feed(l->ear, l->now.samples[0], block->frames);
	/* one that has begun with it has it already */
	if (was_in_call)
		post(l, &l->now);
}

/* ---------------------------------------------------------------------------
 * The device
 * ---------------------------------------------------------------------------
 */

edge_line *
edge_line_new(const edge_line_options *options)
{
	edge_line *l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->options = *options;
	return l;
}

void
edge_line_free(edge_line *l)
{
	if (l == NULL)
		return;
	edge_line_close(l);
	free(l);
}

static bool
make_moment(moment *m, size_t block)
{
	bool fine = true;

	for (int i = 0; i < EDGE_LINE_TRACKS; i++)
	{
		m->samples[i] = calloc(block, sizeof(int16_t));
		fine = fine && m->samples[i] != NULL;
	}
	return fine;
}

static void
free_moment(moment *m)
{
	for (int i = 0; i < EDGE_LINE_TRACKS; i++)
	{
		free(m->samples[i]);
		m->samples[i] = NULL;
	}
}

edge_audio_status
edge_line_open(edge_line *l, const char *device, const edge_audio_request *request, char *problem)
{
	edge_audio_request both = *request;
	edge_ear_options hearing = { .on_frame = on_frame, .on_digit = on_digit, .arg = l };
	edge_audio_status status;
	bool fine;

	both.capture = both.playback = true;
	both.channels = 1;
	status = edge_audio_open(&l->audio, device, &both);
	if (status != EDGE_AUDIO_OK)
	{
		snprintf(problem, 256, "%s", l->audio.problem);
		return status;
	}
	l->open = true;
	hearing.sample_rate = l->audio.traits.sample_rate;
	l->ear = edge_ear_new(&hearing);
	l->mouth = l->audio.traits.playback ? edge_mouth_new(&l->audio) : NULL;
	fine = make_moment(&l->now, l->audio.traits.block);
	for (int i = 0; i < BEFORE; i++)
		fine = make_moment(&l->before[i], l->audio.traits.block) && fine;
	l->n_before = 0;
	l->position = (edge_audio_position){ 0 };
	if (l->ear != NULL && l->mouth != NULL && fine)
		return EDGE_AUDIO_OK;
	if (!l->audio.traits.playback)
		snprintf(problem, 256, "%s: nothing can be played on it", device);
	else
		snprintf(problem, 256, "%s: tones need 8000, 16000, 44100 or 48000 Hz: say one by --rate",
				 device);
	edge_line_close(l);
	return EDGE_AUDIO_FORMAT;
}

void
edge_line_close(edge_line *l)
{
	if (!l->open)
		return;
	edge_line_end(l);
	edge_line_count(l);
	edge_audio_close(&l->audio);
	edge_ear_free(l->ear);
	edge_mouth_free(l->mouth);
	free_moment(&l->now);
	for (int i = 0; i < BEFORE; i++)
		free_moment(&l->before[i]);
	l->ear = NULL;
	l->mouth = NULL;
	l->open = false;
}

bool
edge_line_is_open(const edge_line *l)
{
	return l->open;
}

const edge_audio_traits *
edge_line_traits(const edge_line *l)
{
	return &l->audio.traits;
}

const char *
edge_line_problem(const edge_line *l)
{
	return l->audio.problem;
}

const edge_line_counters *
edge_line_count(edge_line *l)
{
	edge_audio_position position;

	if (l->open)
	{
		edge_audio_where(&l->audio, &position);
		l->counters.overruns += position.overruns - l->position.overruns;
		l->counters.suspends += position.suspends - l->position.suspends;
		l->position = position;
	}
	return &l->counters;
}

/* ---------------------------------------------------------------------------
 * Calls
 * ---------------------------------------------------------------------------
 */

/* Its audio from a second ago on, where a call has begun by what was heard. */
static void
begin_tracks(edge_line *l)
{
	unsigned first = l->n_before > BEFORE ? l->n_before - BEFORE : 0;

	l->call_time = edge_clock();
	for (unsigned i = first; i < l->n_before; i++)
	{
		moment *m = &l->before[i % BEFORE];

		if (i == first && m->block.time != 0)
			l->call_time = m->block.time;
		if (i == first)
			m->block.lost = 0;
		/* the other track has no gap */
		if (m->block.lost > 0)
		{
			memset(l->now.samples[1], 0, l->audio.traits.block * sizeof(int16_t));
			for (uint64_t left = m->block.lost; left > 0;)
			{
				size_t n = left < l->audio.traits.block ? (size_t) left : l->audio.traits.block;

				edge_packets_feed(l->sides[1].packets, l->now.samples[1], n, 1);
				left -= n;
			}
		}
		post(l, m);
	}
	l->n_before = 0;
}

bool
edge_line_begin(edge_line *l, const char *caller)
{
	char rate[8];
	edge_call call = { .id = l->call_id,
					   .direction = "inbound",
					   .from = caller,
					   .encoding = mb_encoding_name(l->options.encoding),
					   .sample_rate = rate };

	snprintf(rate, sizeof(rate), "%d", l->options.sample_rate);
	edge_call_name(l->options.name, l->call_id);
	snprintf(l->caller, sizeof(l->caller), "%s", caller == NULL ? "" : caller);
	for (int i = 0; i < EDGE_LINE_TRACKS; i++)
	{
		l->sides[i] = (side){ .line = l, .track = edge_line_tracks[i] };
		l->sides[i].packets = edge_packets_new(l->audio.traits.sample_rate, l->options.sample_rate,
											   l->options.encoding, on_packet, &l->sides[i]);
	}
	if (l->sides[0].packets == NULL || l->sides[1].packets == NULL)
	{
		edge_packets_free(l->sides[0].packets);
		edge_packets_free(l->sides[1].packets);
		return false;
	}
	l->in_call = true;
	l->refused = l->ends = false;
	l->pending = 0;
	l->began = l->last_digit = edge_clock();
	l->ready_at = l->options.ready ? l->began + READY_AFTER : 0;
	l->counters.calls++;
	edge_judge_begin(l->options.judge, &call, edge_line_tracks, EDGE_LINE_TRACKS);
	begin_tracks(l);
	fprintf(stderr, "mulberry-edge: call %s%s%s\n", l->call_id,
			l->caller[0] == '\0' ? "" : " from ", l->caller);
	return true;
}

void
edge_line_end(edge_line *l)
{
	int64_t total = 0;

	if (!l->in_call)
		return;
	for (int i = 0; i < EDGE_LINE_TRACKS; i++)
	{
		edge_packets_flush(l->sides[i].packets);
		total = edge_packets_sequences(l->sides[i].packets);
		edge_packets_free(l->sides[i].packets);
		l->sides[i].packets = NULL;
	}
	if (!l->refused)
		edge_outbox_complete(l->options.outbox, l->call_id, total);
	l->in_call = false;
	edge_mouth_hush(l->mouth);
	if (l->options.speech != NULL)
		edge_speech_drop(l->options.speech);
	edge_ear_reset(l->ear);
	fprintf(stderr, "mulberry-edge: call %s is over\n", l->call_id);
}

const char *
edge_line_call(const edge_line *l)
{
	return l->in_call ? l->call_id : NULL;
}

bool
edge_line_is_over(edge_line *l)
{
	int64_t now = edge_clock();

	if (!l->in_call)
		return false;
	/* whatever is said or judged: a card may stand still, and frames may never end */
	if (now - l->began >= l->options.call_minutes * 60 * SECOND)
		return true;
	if (edge_mouth_speaks(l->mouth))
		return false;
	if (l->ends)
		return true;
	if (l->pending > 0 && now - l->asked_at < JUDGED_WITHIN)
		return false;
	return now - l->last_digit >= l->options.silence * SECOND;
}

/* What the database says to what was heard. */
static void
take_verdicts(edge_line *l)
{
	edge_verdict verdict;

	while (edge_judge_take(l->options.judge, &verdict))
	{
		l->counters.commands += strcmp(verdict.verdict, "accepted") == 0;
		fprintf(stderr, "mulberry-edge: call %s: %s%s%s\n", verdict.call_id, verdict.verdict,
				verdict.said[0] == '\0' ? "" : ": ", verdict.said);
		/* the caller has hung up meanwhile */
		if (!l->in_call || strcmp(verdict.call_id, l->call_id) != 0)
			continue;
		l->pending -= l->pending > 0;
		l->ends = l->ends || verdict.hang_up;
		edge_mouth_digits(l->mouth, verdict.tones);
		if (l->options.speech != NULL && verdict.speech[0] != '\0' && !l->ends)
			edge_speech_ask(l->options.speech, l->call_id, verdict.speech,
							l->audio.traits.sample_rate);
	}
}

/* The sentence of the last answer, when it is there and nobody plays anything. */
static void
say_sentence(edge_line *l)
{
	int64_t now = edge_clock();
	int64_t quiet;
	int16_t *samples;
	size_t n;

	quiet = now - (l->spoke > l->last_digit ? l->spoke : l->last_digit);
	if (!l->in_call || l->ends || l->pending > 0 ||
		quiet < (l->audio.traits.duplex ? SENTENCE_AFTER : SENTENCE_AFTER_LONG) ||
		!edge_speech_take(l->options.speech, l->call_id, &samples, &n))
		return;
	edge_mouth_sentence(l->mouth, samples, n);
	free(samples);
}

/*
 * How many of the samples that are heard from now on may have the echo of what the device has been given: what it still plays, the way
 * of that through the line, and what it has recorded meanwhile and nobody has read.
 */
static uint64_t
echo_of(const edge_line *l)
{
	uint64_t rate = (uint64_t) l->audio.traits.sample_rate;
	const edge_audio_block *block = &l->now.block;
	int64_t late = 0;

	if (block->time != 0)
		late = edge_clock() - block->time - (int64_t) (block->frames * SECOND / rate);
	late = late < 0 ? 0 : late > LATEST ? LATEST : late;
	return edge_mouth_left(l->mouth) + rate * ECHO_MS / 1000 + rate * (uint64_t) late / SECOND;
}

edge_audio_status
edge_line_turn(edge_line *l)
{
	edge_audio_status status = EDGE_AUDIO_LATER;
	edge_audio_status spoke;
	bool speaks;

	/* what does one at a time is not turned around twice for the first tone */
	if (l->in_call && l->ready_at != 0 && !l->audio.traits.duplex)
		nanosleep(&(struct timespec){ .tv_nsec = READ_MS * MILLISECOND }, NULL);
	else
		status = edge_audio_read(&l->audio, l->now.samples[0], &l->now.block, READ_MS);
	if (status == EDGE_AUDIO_OK)
		take_block(l);
	else if (status != EDGE_AUDIO_LATER)
		return status;
	take_verdicts(l);
	if (l->in_call && l->ready_at != 0 && edge_clock() >= l->ready_at)
	{
		l->ready_at = 0;
		edge_mouth_ready(l->mouth);
	}
	if (l->options.speech != NULL)
		say_sentence(l);
	speaks = edge_mouth_speaks(l->mouth);
	spoke = edge_mouth_turn(l->mouth);
	if (speaks)
		l->spoke = edge_clock();
	if (spoke != EDGE_AUDIO_OK)
		return spoke;
	if (l->audio.traits.duplex && edge_mouth_speaks_digits(l->mouth))
		edge_ear_deafen(l->ear, echo_of(l));
	return status;
}
