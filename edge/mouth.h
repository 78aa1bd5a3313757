/*
 * mouth.h
 *	  What is said in a call: tones, in the order in which they are given. Where a device plays and hears at once, it is given
 *	  silence between them, so that the next one is heard as soon as it is there; what was played is also told in step with what was heard.
 */
#ifndef EDGE_MOUTH_H
#define EDGE_MOUTH_H

#include "audio.h"

typedef struct edge_mouth edge_mouth;

/* On an open device that plays. NULL: tones cannot be made at its rate, or out of memory. */
extern edge_mouth *edge_mouth_new(edge_audio *audio);
extern void edge_mouth_free(edge_mouth *mouth);

/* Digits, w and W as of core/audio/tone.h; and the tone that says that we listen. False: out of memory, or no digits. */
extern bool edge_mouth_digits(edge_mouth *mouth, const char *digits);
extern bool edge_mouth_ready(edge_mouth *mouth);

/* Samples at the device's rate, behind what is being said. False: out of memory. */
extern bool edge_mouth_sentence(edge_mouth *mouth, const int16_t *samples, size_t n);

/* Gives the device what it has room for; of a device that does one at a time, this waits until all has been heard. Nothing to say is OK. */
extern edge_audio_status edge_mouth_turn(edge_mouth *mouth);

/* What the device has not been given yet is not said any more. */
extern void edge_mouth_hush(edge_mouth *mouth);

/* Whether something is being said, or is to be; whether it is digits. */
extern bool edge_mouth_speaks(edge_mouth *mouth);
extern bool edge_mouth_speaks_digits(edge_mouth *mouth);

/* How many samples of that the device has been given and has not played yet. */
extern uint64_t edge_mouth_left(edge_mouth *mouth);

/* The next n samples of what was played, beside n that were heard. */
extern void edge_mouth_played(edge_mouth *mouth, int16_t *samples, size_t n);

#endif /* EDGE_MOUTH_H */
