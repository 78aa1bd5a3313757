/*
 * listen.h
 *	  Supervisors who hear a call while it is under way: GET /ws/listen/{call_id}.
 *
 * A listener gets the caller on the left and the agent on the right, as they are heard: the caller's audio keeps time, the agent's is added
 * when it is known to have been played, and nothing that was cleared is in it.  Who does not keep up loses the oldest; the call never
 * waits.
 */
#ifndef GATEWAY_LISTEN_H
#define GATEWAY_LISTEN_H

#include "media.h"

/* Of a session that somebody listens to. */
typedef struct gw_tap gw_tap;

/* What a session tells, in its encoding; tap NULL: nobody listens. */
extern void gw_tap_caller(gw_tap *tap, mb_encoding encoding, const uint8_t *audio, size_t n);
extern void gw_tap_agent(gw_tap *tap, mb_encoding encoding, const uint8_t *audio, size_t n);

/* The session is over: all who listen are told why (NULL: their sockets are gone as well). */
extern void gw_tap_end(gw_tap *tap, const char *reason);

/* A token is said to be revoked (NULL: any may have been): nothing is sent to those who came with it before the database has said. */
extern void gw_listeners_revoked(gw_media *media, const char *id);

/* For http_handlers; false: it is nobody who listens. */
extern bool gw_listener_gone(gw_media *media, http_id id);

#endif /* GATEWAY_LISTEN_H */
