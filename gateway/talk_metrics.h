/*
 * talk_metrics.h
 *	  What conversations measure, as histograms: the parts of the time that a caller waits.
 *
 * They are of the process, and are told by the kind of thing that is measured and the endpoint that it is of, never by the call.
 */
#ifndef GATEWAY_TALK_METRICS_H
#define GATEWAY_TALK_METRICS_H

#include "program/text.h"

typedef enum talk_stage
{
	TALK_EOU_DELAY,				 /* end of speech to the decision that the turn is over */
	TALK_TRANSCRIPTION_DELAY,	 /* end of speech to the final text */
	TALK_LLM_TTFT,				 /* asked to the first text */
	TALK_LLM_RATE,				 /* pieces of text a second */
	TALK_TTS_TTFB,				 /* asked to the first audio */
	TALK_FIRST_FRAME_SENT,		 /* decision to the first frame of the reply */
	TALK_VOICE_TO_VOICE,		 /* end of speech to the first frame of the reply */
	TALK_INTERRUPTION_DETECTION, /* speech to the decision that it interrupts */
	TALK_CLEAR_TO_BURST,		 /* clear to the first that comes back */
	TALK_FRAME_TO_DECISION,		 /* a frame that came, until what it leads to is carried out */
	TALK_STAGES
} talk_stage;

/* endpoint: NULL where none has to do with it. */
extern void talk_measure(talk_stage stage, const char *endpoint, double value);

struct gw_media;

/* All that there is of conversations and streams, in the text form of Prometheus. */
extern void gw_talk_write_metrics(const struct gw_media *media, program_text *text);

#endif /* GATEWAY_TALK_METRICS_H */
