/*
 * media_track.c
 *	  From pieces of audio to packets of a track: see media_track.h.
 */
#include "media_track.h"

#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"

#define US 1000000

static int64_t
duration(const gw_media_track *track, size_t bytes)
{
	return (int64_t) (bytes / mb_encoding_sample_size(track->encoding)) * US / track->rate;
}

bool
gw_track_begin(gw_media_track *track, mb_encoding encoding, int rate)
{
	track->encoding = encoding;
	track->rate = rate;
	track->size = (size_t) rate * GW_TRACK_PACKET_MS / 1000 * mb_encoding_sample_size(encoding);
	track->audio = malloc(track->size);
	return track->audio != NULL;
}

void
gw_track_free(gw_media_track *track)
{
	free(track->audio);
	track->audio = NULL;
}

/* The packet is done: told, or left out when nothing of it came. */
static void
finish(gw_media_track *track)
{
	if (track->real)
		track->packet(track->arg, track, track->audio, track->fill, track->at);
	track->sequence++;
	track->at += duration(track, track->fill);
	track->fill = 0;
	track->real = false;
}

/* So many bytes of audio, or of silence where it is NULL. */
static void
fill(gw_media_track *track, const uint8_t *audio, size_t n)
{
	size_t width = mb_encoding_sample_size(track->encoding);

	track->until += duration(track, n);
	while (n > 0)
	{
		size_t part = track->size - track->fill < n ? track->size - track->fill : n;

		if (audio == NULL)
			(void) mb_audio_silence(track->encoding, part / width, track->audio + track->fill);
		else
		{
			memcpy(track->audio + track->fill, audio, part);
			audio += part;
			track->real = true;
		}
		track->fill += part;
		n -= part;
		if (track->fill == track->size)
			finish(track);
	}
}

void
gw_track_lose(gw_media_track *track, int64_t samples)
{
	track->lost += (uint64_t) samples;
	fill(track, NULL, (size_t) samples * mb_encoding_sample_size(track->encoding));
}

void
gw_track_add(gw_media_track *track, const uint8_t *audio, size_t n, int64_t at)
{
	if (at >= 0 && (track->samples + track->lost == 0 || at > track->until + GW_TRACK_PAUSE_US))
	{
		gw_track_flush(track);
		track->at = track->until = at;
	}
	track->samples += n / mb_encoding_sample_size(track->encoding);
	fill(track, audio, n);
}

void
gw_track_flush(gw_media_track *track)
{
	if (track->fill > 0)
		finish(track);
}
