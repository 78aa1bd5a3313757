/*
 * recognizer.h
 *	  Speech recognition by pocketsphinx, an utterance at a time.  The models are
 *	  loaded once in the server and shared by the children that recognize.
 */
#ifndef SPEECH_RECOGNIZER_H
#define SPEECH_RECOGNIZER_H

#include <stdint.h>

#include "options.h"
#include "transcript.h"

/* What the interface calls the model. */
#define SPEECH_RECOGNIZER_MODEL "pocketsphinx-en-us"

/*
 * Loads the models; takes about half a second and 100 MB.  False, and a reason
 * on standard error, when a file is missing or broken.
 */
extern bool speech_recognizer_load(const speech_options *options);

/*
 * Recognizes one utterance of n samples at SPEECH_RATE that begins at the given
 * second of the recording, and appends a segment with its words, or nothing when it
 * holds none.  False when the engine failed or memory ran out.
 */
extern bool speech_recognizer_run(const int16_t *samples, size_t n, double start,
								  speech_transcript *transcript);

/*
 * The same in pieces, for sound that is still coming: once, let it hear some speech of this line, whose mean it
 * starts from; then begin an utterance, feed it, look at the words so far, whose probabilities are 0, and end it.
 * Words that lie behind "until", in seconds, are left out.  False as above.
 */
extern bool speech_recognizer_adapt(const int16_t *samples, size_t n);
extern bool speech_recognizer_begin(void);
extern bool speech_recognizer_feed(const int16_t *samples, size_t n);
extern bool speech_recognizer_so_far(double start, speech_transcript *transcript);
extern bool speech_recognizer_end(double start, double until, speech_transcript *transcript);

extern void speech_recognizer_unload(void);

#endif /* SPEECH_RECOGNIZER_H */
