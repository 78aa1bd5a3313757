/*
 * render.h
 *	  Writes a transcript in the forms of OpenAI's interface: json, verbose_json, text,
 *	  srt (SubRip) and vtt (W3C WebVTT).
 */
#ifndef SPEECH_RENDER_H
#define SPEECH_RENDER_H

#include "reply.h"
#include "transcript.h"

typedef enum speech_form_of_answer
{
	SPEECH_ANSWER_JSON,
	SPEECH_ANSWER_VERBOSE_JSON,
	SPEECH_ANSWER_TEXT,
	SPEECH_ANSWER_SRT,
	SPEECH_ANSWER_VTT
} speech_form_of_answer;

/* Names of the forms in the order above, for messages. */
#define SPEECH_ANSWER_NAMES "json, verbose_json, text, srt, vtt"

/* False for a name that is none. */
extern bool speech_answer_from_name(const char *name, speech_form_of_answer *answer);

/* Makes the reply; words and segments say what verbose_json is to have. */
extern void speech_render(const speech_transcript *transcript, speech_form_of_answer answer,
						  bool words, bool segments, speech_reply *reply);

#endif /* SPEECH_RENDER_H */
