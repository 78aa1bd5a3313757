/*
 * transcribe.c
 *	  From a recording to its transcript; see transcribe.h.
 */
#include "transcribe.h"

#include "recognizer.h"
#include "segmenter.h"

static bool
recognize(void *arg, const int16_t *samples, size_t n, uint64_t first)
{
	return speech_recognizer_run(samples, n, (double) first / SPEECH_RATE, arg);
}

bool
speech_transcribe(speech_audio *audio, speech_transcript *transcript)
{
	speech_segmenter *segmenter = speech_segmenter_new(recognize, transcript, SPEECH_PAUSE_MS);
	const int16_t *samples;
	size_t n;
	bool ok = segmenter != NULL;

	while (ok && (n = speech_audio_read(audio, &samples)) > 0)
		ok = speech_segmenter_feed(segmenter, samples, n);
	ok = ok && speech_segmenter_end(segmenter);
	speech_segmenter_free(segmenter);
	return ok;
}
