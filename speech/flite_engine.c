/*
 * flite_engine.c
 *	  Speech by flite's built-in voices, which are English.
 */
#include <flite/flite.h>
#include <string.h>

#include "synthesize.h"

/* Without a header of their own. */
extern cst_voice *register_cmu_us_slt(const char *directory);
extern cst_voice *register_cmu_us_rms(const char *directory);
extern cst_voice *register_cmu_us_awb(const char *directory);
extern cst_voice *register_cmu_us_kal16(const char *directory);

static cst_voice *
find_voice(const char *name)
{
	if (strcmp(name, "slt") == 0)
		return register_cmu_us_slt(NULL);
	if (strcmp(name, "rms") == 0)
		return register_cmu_us_rms(NULL);
	if (strcmp(name, "awb") == 0)
		return register_cmu_us_awb(NULL);
	if (strcmp(name, "kal16") == 0)
		return register_cmu_us_kal16(NULL);
	return NULL;
}

void
speech_flite_load(void)
{
	flite_init();
}

speech_synthesis_status
speech_flite_speak(const char *text, const char *voice_name, double speed, speech_sound *sound)
{
	cst_voice *voice = find_voice(voice_name); /* made once, later only returned */
	cst_wave *wave;
	bool ok;

	if (voice == NULL)
		return SPEECH_SYNTHESIS_FAILED;
	flite_feat_set_float(voice->features, "duration_stretch", (float) (1 / speed));
	wave = flite_text_to_wave(text, voice);
	if (wave == NULL)
		return SPEECH_SYNTHESIS_FAILED;
	ok = speech_sound_append(sound, wave->samples, (size_t) wave->num_samples, wave->sample_rate);
	delete_wave(wave);
	if (ok)
		return SPEECH_SYNTHESIS_OK;
	return speech_sound_is_full(sound) ? SPEECH_SYNTHESIS_TOO_LONG : SPEECH_SYNTHESIS_FAILED;
}
