/*
 * segmenter.h
 *	  Cuts a recording into utterances at its pauses, so that each fits the recognizer and
 *	  memory stays bounded however long the recording is.  Which sound is speech
 *	  is the core's voice activity detector's to say (vad.h).
 */
#ifndef SPEECH_SEGMENTER_H
#define SPEECH_SEGMENTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest utterance in seconds; speech without a pause is cut where it is quietest. */
#define SPEECH_UTTERANCE_SECONDS 20

typedef struct speech_segmenter speech_segmenter;

/*
 * Called with each utterance, in order; they do not overlap.  first is the position of
 * its first sample in the recording.  False stops the segmenter.  Within it speech_segmenter_speaking() tells
 * whether it was cut, and the next one follows it.
 */
typedef bool (*speech_utterance_callback)(void *arg, const int16_t *samples, size_t n,
										  uint64_t first);

/* A pause that ends an utterance of a recording; at the detector's usual quarter of a second sentences fall apart. */
#define SPEECH_PAUSE_MS 500

/* NULL when there is no memory. */
extern speech_segmenter *
speech_segmenter_new(speech_utterance_callback callback, void *arg, int pause_ms);

/* Takes the next samples at SPEECH_RATE; false when stopped or out of memory. */
extern bool speech_segmenter_feed(speech_segmenter *segmenter, const int16_t *samples, size_t n);

/*
 * The utterance that is being spoken, as far as it has come: its samples, which stay until the next call, and
 * the position of the first.  False while nobody speaks.
 */
extern bool speech_segmenter_so_far(const speech_segmenter *segmenter, const int16_t **samples,
									size_t *n, uint64_t *first);

extern bool speech_segmenter_speaking(const speech_segmenter *segmenter);

/* Hands out what has been spoken so far, as if there was a pause; false as above. */
extern bool speech_segmenter_cut(speech_segmenter *segmenter);

/* The recording has ended; false as above. */
extern bool speech_segmenter_end(speech_segmenter *segmenter);

extern void speech_segmenter_free(speech_segmenter *segmenter);

#endif /* SPEECH_SEGMENTER_H */
