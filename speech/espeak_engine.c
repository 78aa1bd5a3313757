/*
 * espeak_engine.c
 *	  Speech by espeak-ng.  The library has one global state; this runs in a child
 *	  process that speaks one text and ends, so nothing else is in its way.
 */
#include <espeak-ng/speak_lib.h>
#include <math.h>
#include <string.h>

#include "synthesize.h"

static speech_sound *sound_being_made;
static int engine_rate;

/* Called with each piece of sound; 1 stops the engine. */
static int
take_sound(short *samples, int n, espeak_EVENT *events)
{
	(void) events;
	if (samples == NULL || n <= 0)
		return 0;
	return speech_sound_append(sound_being_made, samples, (size_t) n, engine_rate) ? 0 : 1;
}

speech_synthesis_status
speech_espeak_speak(const char *text, const char *voice, double speed, speech_sound *sound)
{
	long rate = lround(espeakRATE_NORMAL * speed);
	espeak_ERROR error;

	if (sound_being_made == NULL)
	{
		engine_rate =
			espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL, espeakINITIALIZE_DONT_EXIT);
		if (engine_rate <= 0 || espeak_SetVoiceByName(voice) != EE_OK)
			return SPEECH_SYNTHESIS_FAILED;
		espeak_SetSynthCallback(take_sound);
	}
	sound_being_made = sound;
	if (rate < espeakRATE_MINIMUM)
		rate = espeakRATE_MINIMUM;
	if (rate > espeakRATE_MAXIMUM)
		rate = espeakRATE_MAXIMUM;
	if (espeak_SetParameter(espeakRATE, (int) rate, 0) != EE_OK)
		return SPEECH_SYNTHESIS_FAILED;
	error = espeak_Synth(text, strlen(text) + 1, 0, POS_CHARACTER, 0,
						 espeakCHARS_UTF8 | espeakENDPAUSE, NULL, NULL);
	if (speech_sound_is_full(sound))
		return SPEECH_SYNTHESIS_TOO_LONG;
	return error == EE_OK ? SPEECH_SYNTHESIS_OK : SPEECH_SYNTHESIS_FAILED;
}
