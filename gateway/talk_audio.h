/*
 * talk_audio.h
 *	  Audio that comes piece by piece and is kept: to be said, again too, and the playback shares it; or of what was heard, until its text
 *	  is known.
 */
#ifndef GATEWAY_TALK_AUDIO_H
#define GATEWAY_TALK_AUDIO_H

#include "http.h"
#include "media_play.h"

/* All zero is empty. */
typedef struct talk_audio
{
	http_blob **parts;
	int n_parts;
	size_t gone;   /* bytes before the first of them */
	size_t length; /* bytes that came */
	bool failed;   /* without memory: some are missing */
} talk_audio;

extern void talk_audio_add(talk_audio *audio, const void *bytes, size_t n);

/* Has it said from a byte of it on. */
extern void talk_audio_say(const talk_audio *audio, size_t from, gw_media_play *play, uint64_t tag);

/* The bytes from one of them on that lie together; length 0: there are no more. */
extern http_text talk_audio_look(const talk_audio *audio, size_t from);

/* What is before a byte of it is not looked at any more: parts that lie before it go. */
extern void talk_audio_forget_before(talk_audio *audio, size_t place);

/* It is not said any more; how long it was stays known. */
extern void talk_audio_forget(talk_audio *audio);

/* Memory of all there is. */
extern size_t talk_audio_kept(void);

#endif /* GATEWAY_TALK_AUDIO_H */
