/*
 * engine_voice.h
 *	  Text to speech over a WebSocket that many replies share, each with a context of its own: ElevenLabs' multi-stream-input.
 *
 * A voice is such a socket: of one tenant, one service and one of its voices, kept open while somebody may speak with it.
 */
#ifndef GATEWAY_ENGINE_VOICE_H
#define GATEWAY_ENGINE_VOICE_H

#include "engine_service.h"

typedef struct gw_sentence gw_sentence;

/* Whether a service speaks so. */
extern bool gw_voice_is_of(const gw_service *service);

/* Opens the socket, and keeps it open until the service is freed. */
extern void gw_voice_hold(http_client *client, gw_service *service);
extern void gw_voice_let_go(gw_service *service);

/*
 * Speaks a sentence in a context, which is made when there is none; context NULL: in one of its own.  NULL when there is no socket for
 * it at present.  The events are those of utterances, of which "done" and "failed" are the last.
 */
extern gw_sentence *
gw_voice_say(http_client *client, gw_service *service, gw_context **context, const char *text,
			 size_t n, const gw_utterance_events *events, void *arg);

/* No event follows. */
extern void gw_sentence_cancel(gw_sentence *sentence);

#endif /* GATEWAY_ENGINE_VOICE_H */
