/*
 * live.h
 *	  Recognition of sound that is still coming, in a process of its own: from frames on a socket to
 *	  messages as Deepgram's streaming interface has them.
 */
#ifndef SPEECH_LIVE_H
#define SPEECH_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mb.h"

typedef struct speech_live_options
{
	mb_encoding encoding;
	int sample_rate;
	int endpointing; /* ms of a pause that ends what is said; 0: none does */
	int utterance_end; /* ms behind the last word until it is told that nobody speaks; 0: it is not told */
	bool interim;	 /* tell what is heard before it is sure */
	bool vad_events; /* tell when somebody begins to speak */
	char request_id[17];
} speech_live_options;

/* What the server sends: a frame each, this head and then so many bytes. */
typedef enum speech_live_kind
{
	SPEECH_LIVE_AUDIO,
	SPEECH_LIVE_FINALIZE, /* tell now what was heard so far */
	SPEECH_LIVE_CLOSE	  /* and end */
} speech_live_kind;

typedef struct speech_live_head
{
	uint32_t kind;
	uint32_t length;
} speech_live_head;

/* Bytes of audio in a frame at most. */
#define SPEECH_LIVE_FRAME 65536

/*
 * What the process sends is a 32-bit length and as many bytes of JSON each.  Works until it is told to
 * close, which is success, or fails.
 */
extern bool speech_live_run(const speech_live_options *options);

#endif /* SPEECH_LIVE_H */
