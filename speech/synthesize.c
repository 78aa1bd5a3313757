/*
 * synthesize.c
 *	  From text to samples; see synthesize.h.
 */
#include "synthesize.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

bool
speech_sound_is_full(const speech_sound *sound)
{
	return sound->sample_rate > 0 && (double) sound->n / sound->sample_rate > sound->max_seconds;
}

bool
speech_sound_append(speech_sound *sound, const int16_t *samples, size_t n, int sample_rate)
{
	sound->sample_rate = sample_rate;
	if (sound->n + n > sound->capacity)
	{
		size_t capacity = (sound->n + n) * 2;
		int16_t *bigger = reallocarray(sound->samples, capacity, sizeof(int16_t));

		if (bigger == NULL)
			return false;
		sound->samples = bigger;
		sound->capacity = capacity;
	}
	if (n > 0)
		memcpy(sound->samples + sound->n, samples, n * sizeof(int16_t));
	sound->n += n;
	return !speech_sound_is_full(sound);
}

void
speech_sound_free(speech_sound *sound)
{
	free(sound->samples);
	*sound = (speech_sound){ 0 };
}

/*
 * Speaks an English text piece by piece: flite keeps everything it derives from a
 * text in memory, about 50 kB a character, until the text is spoken.
 */
static speech_synthesis_status
speak_in_pieces(const char *text, const char *voice, double speed, speech_sound *sound)
{
	speech_synthesis_status status = SPEECH_SYNTHESIS_OK;

	while (status == SPEECH_SYNTHESIS_OK && *text != '\0')
	{
		size_t length = speech_text_piece(text);
		char *piece = strndup(text, length);

		if (piece == NULL)
			return SPEECH_SYNTHESIS_FAILED;
		if (speech_text_is_speakable(piece))
			status = speech_flite_speak(piece, voice, speed, sound);
		free(piece);
		text += length;
	}
	return status;
}

static speech_synthesis_status
speak_english(const char *text, const char *voice, double speed, speech_sound *sound,
			  uint32_t *code_point)
{
	speech_buffer ascii = { 0 };
	speech_synthesis_status status = SPEECH_SYNTHESIS_FAILED;

	switch (speech_text_to_ascii(text, &ascii, code_point))
	{
		case SPEECH_TEXT_OK:
			status = speak_in_pieces((const char *) ascii.data, voice, speed, sound);
			break;
		case SPEECH_TEXT_CHARACTER:
			status = SPEECH_SYNTHESIS_CHARACTER;
			break;
		case SPEECH_TEXT_NO_MEMORY:
			break;
	}
	speech_buffer_free(&ascii);
	return status;
}

speech_synthesis_status
speech_synthesize(const char *text, const speech_voice *voice, double speed, speech_sound *sound,
				  uint32_t *code_point)
{
	speech_synthesis_status status;

	if (!speech_text_is_speakable(text))
		return SPEECH_SYNTHESIS_NOTHING;
	if (voice->engine == SPEECH_ENGINE_FLITE)
		status = speak_english(text, voice->name, speed, sound, code_point);
	else
		status = speech_espeak_speak(text, voice->name, speed, sound);
	if (status == SPEECH_SYNTHESIS_OK && sound->n == 0)
		return SPEECH_SYNTHESIS_NOTHING;
	return status;
}
