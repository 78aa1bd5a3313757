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

extern void speech_recognizer_unload(void);

#endif /* SPEECH_RECOGNIZER_H */
