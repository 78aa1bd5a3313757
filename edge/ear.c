/*
 * ear.c
 *	  Digits and frames of them in a call; see ear.h.
 */
#include "ear.h"

#include <stdlib.h>

#include "core/audio/dtmf.h"
#include "core/audio/dtmf_holes.h"
#include "core/command/frame_collector.h"

/* A digit is told so much later than it ends, at most. */
#define LATEST_MS 200

struct edge_ear
{
	edge_ear_options options;
	mb_dtmf receiver;
	mb_dtmf_holes holes;
	mb_frame_collector collector;
	uint64_t heard;		 /* samples, those that are missing among them */
	uint64_t deaf_from;	 /* the echo of what was played last */
	uint64_t deaf_until; /* 0: nothing was */
};

static int64_t
ms_of(const edge_ear *ear, uint64_t samples)
{
	return (int64_t) (samples * 1000 / (uint64_t) ear->options.sample_rate);
}

static void
hand_over(edge_ear *ear, mb_collected collected, const char *symbols)
{
	if (collected != MB_COLLECTED_NOTHING)
		ear->options.on_frame(ear->options.arg, symbols);
}

static void
on_event(void *arg, const mb_dtmf_event *event)
{
	edge_ear *ear = arg;
	char symbols[MB_COLLECTED_MAX + 1];
	size_t n;

	if (event->onset >= ear->deaf_from && event->onset < ear->deaf_until)
		return;
	ear->options.on_digit(ear->options.arg, event->digit);
	hand_over(ear,
			  mb_frame_collector_add(&ear->collector, event->digit, ms_of(ear, event->onset),
									 ms_of(ear, event->duration), symbols, &n),
			  symbols);
}

void
edge_ear_reset(edge_ear *ear)
{
	const mb_dtmf_options options = { .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
									  .on_digit = on_event,
									  .arg = ear };

	mb_dtmf_holes_init(&ear->holes, &ear->receiver, ear->options.sample_rate, &options);
	mb_frame_collector_init(&ear->collector);
	ear->heard = ear->deaf_from = ear->deaf_until = 0;
}

edge_ear *
edge_ear_new(const edge_ear_options *options)
{
	edge_ear *ear = mb_dtmf_size(options->sample_rate) == 0 ? NULL : calloc(1, sizeof(*ear));

	if (ear == NULL)
		return NULL;
	ear->options = *options;
	edge_ear_reset(ear);
	return ear;
}

void
edge_ear_free(edge_ear *ear)
{
	free(ear);
}

void
edge_ear_feed(edge_ear *ear, const int16_t *samples, size_t n)
{
	char symbols[MB_COLLECTED_MAX + 1];
	size_t length;

	ear->heard += n;
	mb_dtmf_holes_feed(&ear->holes, samples, n);
	/* a frame that somebody gave up */
	if (!mb_dtmf_in_progress(&ear->receiver))
		hand_over(ear,
				  mb_frame_collector_silence(&ear->collector, ms_of(ear, ear->heard) - LATEST_MS,
											 symbols, &length),
				  symbols);
}

void
edge_ear_lost(edge_ear *ear, uint64_t n)
{
	ear->heard += n;
	mb_dtmf_holes_lost(&ear->holes, n);
}

void
edge_ear_deafen(edge_ear *ear, uint64_t samples)
{
	if (ear->deaf_until < ear->heard)
		ear->deaf_from = ear->heard;
	if (ear->deaf_until < ear->heard + samples)
		ear->deaf_until = ear->heard + samples;
}
