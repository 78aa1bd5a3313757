/*
 * media_track.h
 *	  From pieces of audio with the numbers of their stream to packets of a track: 200 ms each, counted from 0.
 *
 * What never came is silence in its place, and where a whole packet never came its number is left out: a gap.  Where nothing was sent
 * on purpose, as the stream's own time says, a packet ends early and the next one carries a later time: a pause, and no gap.
 */
#ifndef GATEWAY_MEDIA_TRACK_H
#define GATEWAY_MEDIA_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mb.h"

#define GW_TRACK_PACKET_MS 200
#define GW_TRACK_PAUSE_US 100000 /* what is less than that is no pause but delay */

typedef struct gw_media_track
{
	void (*packet)(void *arg, struct gw_media_track *track, const uint8_t *audio, size_t n,
				   int64_t at); /* packet number "sequence" */
	void *arg;

	mb_encoding encoding;
	int rate;
	int64_t sequence; /* of the next packet; at the end their number */
	uint64_t samples; /* that came */
	uint64_t lost;	  /* that never came */

	/* the rest is its own */
	uint8_t *audio; /* of the next packet */
	size_t size;
	size_t fill;
	bool real;	   /* some of it came */
	int64_t at;	   /* of its first sample, microseconds */
	int64_t until; /* of what follows the last sample */
} gw_media_track;

/* False without memory. */
extern bool gw_track_begin(gw_media_track *track, mb_encoding encoding, int rate);
extern void gw_track_free(gw_media_track *track);

/* Samples that never came, before what comes next. */
extern void gw_track_lose(gw_media_track *track, int64_t samples);

/* Audio, which began at that time; -1: right behind the last. */
extern void gw_track_add(gw_media_track *track, const uint8_t *audio, size_t n, int64_t at);

/* What waits becomes a packet. */
extern void gw_track_flush(gw_media_track *track);

#endif /* GATEWAY_MEDIA_TRACK_H */
