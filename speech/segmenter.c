/*
 * segmenter.c
 *	  Cuts a recording into utterances; see segmenter.h.
 *
 * The buffer holds the samples from base on: while nobody speaks the last second,
 * because speech is detected some time after it began, otherwise the utterance so far.
 */
#include "segmenter.h"

#include <stdlib.h>
#include <string.h>

#include "audio.h"
#include "core/audio/vad.h"

/* Kept before the first and behind the last active frame, for soft sounds; in samples. */
#define PADDING (SPEECH_RATE * 3 / 10)

/* How late a beginning can be detected, with margin; in samples. */
#define LOOK_BACK SPEECH_RATE

#define LONGEST (SPEECH_UTTERANCE_SECONDS * SPEECH_RATE)

/* An utterance without a pause is cut at the quietest 100 ms of its last 5 seconds. */
#define CUT_RANGE (5 * SPEECH_RATE)
#define CUT_WINDOW (SPEECH_RATE / 10)
#define CUT_STEP (SPEECH_RATE / 100)

/*
 * More willing than the core's defaults, which are made for interruptions: what is no
 * speech costs the recognizer time, what is missed is lost.
 */
#define ON_DB 8
#define OFF_DB 5
#define MIN_DBFS (-60)
#define START_MS 60

struct speech_segmenter
{
	speech_utterance_callback callback;
	void *arg;
	mb_vad vad;
	int16_t *samples;
	size_t n;
	size_t capacity;
	uint64_t base; /* position of samples[0] */
	bool speaking;
	uint64_t start; /* of the utterance, while speaking */
	uint64_t done;	/* everything before has been handed out */
	bool stopped;
};

static void
hand_out(speech_segmenter *segmenter, uint64_t end)
{
	if (end < segmenter->start) /* it was cut behind the last sound */
		end = segmenter->start;
	if (!segmenter->stopped && end > segmenter->start &&
		!segmenter->callback(segmenter->arg,
							 segmenter->samples + (segmenter->start - segmenter->base),
							 (size_t) (end - segmenter->start), segmenter->start))
		segmenter->stopped = true;
	segmenter->done = end;
	segmenter->start = end;
}

static void
on_vad_event(void *arg, const mb_vad_event *event)
{
	speech_segmenter *segmenter = arg;
	uint64_t available = segmenter->base + segmenter->n;

	if (event->kind == MB_VAD_SPEECH_STARTED)
	{
		segmenter->start = event->onset > PADDING ? event->onset - PADDING : 0;
		if (segmenter->start < segmenter->done)
			segmenter->start = segmenter->done;
		if (segmenter->start < segmenter->base)
			segmenter->start = segmenter->base;
		segmenter->speaking = true;
	}
	else
	{
		uint64_t end = event->end + PADDING;

		segmenter->speaking = false;
		hand_out(segmenter, end < available ? end : available);
	}
}

/* Where to cut an utterance that has become too long: a position within it. */
static uint64_t
quietest_place(const speech_segmenter *segmenter)
{
	uint64_t limit = segmenter->start + LONGEST;
	uint64_t best = limit;
	int64_t lowest = INT64_MAX;

	for (uint64_t at = limit - CUT_RANGE; at + CUT_WINDOW <= limit; at += CUT_STEP)
	{
		const int16_t *window = segmenter->samples + (at - segmenter->base);
		int64_t energy = 0;

		for (int i = 0; i < CUT_WINDOW; i++)
			energy += (int32_t) window[i] * window[i];
		if (energy < lowest)
		{
			lowest = energy;
			best = at + CUT_WINDOW / 2;
		}
	}
	return best;
}

/* Drops the samples that are not needed any more. */
static void
trim(speech_segmenter *segmenter)
{
	uint64_t end = segmenter->base + segmenter->n;
	uint64_t keep =
		segmenter->speaking ? segmenter->start : (end > LOOK_BACK ? end - LOOK_BACK : 0);

	if (keep <= segmenter->base)
		return;
	segmenter->n = (size_t) (end - keep);
	memmove(segmenter->samples, segmenter->samples + (keep - segmenter->base),
			segmenter->n * sizeof(int16_t));
	segmenter->base = keep;
}

speech_segmenter *
speech_segmenter_new(speech_utterance_callback callback, void *arg, int pause_ms)
{
	speech_segmenter *segmenter = calloc(1, sizeof(*segmenter));
	mb_vad_options options = mb_vad_default_options;

	if (segmenter == NULL)
		return NULL;
	segmenter->callback = callback;
	segmenter->arg = arg;
	options.on_db = ON_DB;
	options.off_db = OFF_DB;
	options.min_dbfs = MIN_DBFS;
	options.start_ms = START_MS;
	options.hangover_ms = pause_ms;
	options.on_event = on_vad_event;
	options.arg = segmenter;
	if (mb_vad_init(&segmenter->vad, SPEECH_RATE, &options) != MB_OK)
	{
		free(segmenter);
		return NULL;
	}
	return segmenter;
}

bool
speech_segmenter_feed(speech_segmenter *segmenter, const int16_t *samples, size_t n)
{
	if (n == 0)
		return !segmenter->stopped;
	if (segmenter->n + n > segmenter->capacity)
	{
		size_t capacity = (segmenter->n + n) * 2;
		int16_t *bigger = reallocarray(segmenter->samples, capacity, sizeof(int16_t));

		if (bigger == NULL)
			return false;
		segmenter->samples = bigger;
		segmenter->capacity = capacity;
	}
	memcpy(segmenter->samples + segmenter->n, samples, n * sizeof(int16_t));
	segmenter->n += n;
	mb_vad_feed(&segmenter->vad, samples, n);
	while (segmenter->speaking && segmenter->base + segmenter->n >= segmenter->start + LONGEST)
		hand_out(segmenter, quietest_place(segmenter));
	trim(segmenter);
	return !segmenter->stopped;
}

bool
speech_segmenter_so_far(const speech_segmenter *segmenter, const int16_t **samples, size_t *n,
						uint64_t *first)
{
	if (!segmenter->speaking)
		return false;
	*samples = segmenter->samples + (segmenter->start - segmenter->base);
	*n = segmenter->n - (size_t) (segmenter->start - segmenter->base);
	*first = segmenter->start;
	return true;
}

bool
speech_segmenter_speaking(const speech_segmenter *segmenter)
{
	return segmenter->speaking;
}

bool
speech_segmenter_cut(speech_segmenter *segmenter)
{
	if (segmenter->speaking)
		hand_out(segmenter, segmenter->base + segmenter->n);
	return !segmenter->stopped;
}

bool
speech_segmenter_end(speech_segmenter *segmenter)
{
	mb_vad_flush(&segmenter->vad);
	return !segmenter->stopped;
}

void
speech_segmenter_free(speech_segmenter *segmenter)
{
	if (segmenter == NULL)
		return;
	free(segmenter->samples);
	free(segmenter);
}
