/*
 * stream.h
 *	  Recognition of sound that is still coming, seen from the server: a bounded number of working processes (child.h,
 *	  live.h), to which sound goes and from which messages come, neither of which anybody waits for.
 */
#ifndef SPEECH_STREAM_H
#define SPEECH_STREAM_H

#include <stddef.h>

#include "http/loop.h"
#include "live.h"
#include "options.h"

typedef struct speech_stream speech_stream;

typedef struct speech_stream_owner
{
	void (*message)(void *arg, const char *json, size_t n);
	/* Nothing follows, and the stream is gone.  Not "well": the process failed. */
	void (*ended)(void *arg, bool well);
	void *arg;
} speech_stream_owner;

typedef struct speech_stream_stats
{
	int limit;
	int running;
	unsigned long done;
	unsigned long failed;
	unsigned long cancelled;
	unsigned long refused;
} speech_stream_stats;

/* Before anything else here.  SIGCHLD must be blocked; speech_streams_reap() follows it. */
extern void speech_streams_init(http_loop *loop, const speech_options *options);

/* Whether there is room for another one; else counts a refusal. */
extern bool speech_streams_admit(void);

/* NULL when the system refuses. */
extern speech_stream *
speech_stream_start(const speech_live_options *options, const speech_stream_owner *owner);

/* False when more waits already than the recognizer can make up for. */
extern bool speech_stream_audio(speech_stream *stream, const void *bytes, size_t n);

extern void speech_stream_finalize(speech_stream *stream);

/* No more sound; "ended" follows behind the last message. */
extern void speech_stream_close(speech_stream *stream);

/* Nobody wants to hear any more; the owner is not told. */
extern void speech_stream_cancel(speech_stream *stream);

extern void speech_streams_reap(void);

/* Ends all of them; the owners are told. */
extern void speech_streams_kill(void);

extern speech_stream_stats speech_streams_stats(void);

#endif /* SPEECH_STREAM_H */
