/*
 * transcribe.h
 *	  From a recording to its transcript: reads, cuts, recognizes.
 */
#ifndef SPEECH_TRANSCRIBE_H
#define SPEECH_TRANSCRIBE_H

#include "audio.h"
#include "transcript.h"

/*
 * Transcribes a recording to its end.  False when the engine failed or memory
 * ran out.
 */
extern bool speech_transcribe(speech_audio *audio, speech_transcript *transcript);

#endif /* SPEECH_TRANSCRIBE_H */
