/*
 * alsa.h
 *	  The two directions of a sound card, of which alsa.c makes one device: setting one up, and playing.
 */
#ifndef EDGE_ALSA_H
#define EDGE_ALSA_H

#include <alsa/asoundlib.h>

#include "audio.h"

#define EDGE_ALSA_CHANNELS 8 /* that a device may have, of which the first ones are used */
#define EDGE_ALSA_BYTES 4	 /* of the widest sample */

/* One direction of a card, as it is set up. */
typedef struct edge_alsa
{
	snd_pcm_t *pcm;
	snd_pcm_format_t format;
	unsigned channels; /* the device's */
	unsigned rate;
	snd_pcm_uframes_t period;
	snd_pcm_uframes_t buffer;
} edge_alsa;

/*
 * Opens the card of that name for one direction, with so many channels, blocks of 20 ms and a buffer of so many milliseconds, or what comes
 * next to them. Anything but OK leaves it closed, and audio->problem says why.
 */
extern edge_audio_status
edge_alsa_open(edge_audio *audio, edge_alsa *side, const char *name, snd_pcm_stream_t direction,
			   int sample_rate, int channels, int buffer_ms);
extern void edge_alsa_close(edge_alsa *side);

/*
 * Makes a direction ready that has over- or underrun, or was suspended with the machine: 0, or -EAGAIN while it sleeps on, to
 * be tried again.
 */
extern int edge_alsa_wake(edge_alsa *side, bool *suspended);

/* What is played. The card is given silence first, and behind the last of it, because codecs and amplifiers need time to wake. */
typedef struct edge_alsa_player
{
	edge_alsa side;
	int channels;
	uint8_t *raw;		/* a period, as the device wants it */
	bool begun;			/* the device has something to play, or had */
	uint64_t silence;	/* frames that go before what is played next */
	uint64_t written;	/* frames of ours in all */
	uint64_t before;	/* of these, what was written before the device began */
	int64_t written_at; /* edge_clock() */
	unsigned underruns;
	bool suspended;
} edge_alsa_player;

extern edge_audio_status edge_alsa_player_open(edge_audio *audio, edge_alsa_player *player,
											   const char *name, int sample_rate, int channels);
extern void edge_alsa_player_close(edge_alsa_player *player);

/* As of an edge_audio_driver. */
extern edge_audio_status edge_alsa_player_write(edge_audio *audio, edge_alsa_player *player,
												const int16_t *samples, size_t frames, int timeout);
extern edge_audio_status edge_alsa_player_drain(edge_audio *audio, edge_alsa_player *player);
extern void edge_alsa_player_drop(edge_alsa_player *player);
extern uint64_t edge_alsa_player_played(const edge_alsa_player *player);

#endif /* EDGE_ALSA_H */
