/*
 * media.h
 *	  Calls that are a stream of audio, both ways: one interface for all who bring such calls.
 *
 * A peer is what brings them (media_twilio.c, ...).  It is a table: what it can, and functions that do it.  A session is a call: it
 * knows its peer by that table and by no name, keeps what is heard and what was really played (media_track.h, media_play.h), and asks the
 * database whether it may and how it goes on.  A link is the peer's own side of a session, such as a socket; between them go the functions
 * below, all of them on the gateway's one loop.
 *
 * What is said and decided in a call is in media_conduct.c and nowhere else.
 */
#ifndef GATEWAY_MEDIA_H
#define GATEWAY_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mb.h"
#include "http.h"
#include "unit.h"

struct gw_gateway;

#define GW_MEDIA_RATE 8000 /* samples a second, of all of them */

typedef struct gw_media gw_media;
typedef struct gw_media_session gw_media_session;

/*
 * What a peer can.  A function that is NULL is something that it cannot: whoever wants it looks first.
 */
typedef struct gw_media_peer
{
	const char *name; /* for the database, and for people */

	int lead_ms; /* of audio that is sent before it is heard: what is heard behind a clear that comes too late */
	int step_ms;		/* of a message of it */
	bool keeps_no_time; /* it plays what comes when it comes: silence has to be sent as well */
	bool tells_digits;	/* keys that are pressed; else they are heard */
	bool listens_only;	/* nothing can be said in it */

	/* Says a piece of audio, in the encoding of the session. */
	void (*send)(void *link, const uint8_t *audio, size_t n);

	/* Has gw_media_marked() called with this number when everything sent before has been heard. */
	void (*mark)(void *link, unsigned number);

	/*
	 * Forgets what was sent and is not heard yet.  How much was heard is told by the marks that are left: they all come
	 * back at once, or by gw_media_cleared() where tells_unheard is set: until then nothing more is sent.
	 */
	void (*clear)(void *link);
	bool tells_unheard;

	/* Stops playing for a while, without forgetting anything; and goes on. */
	void (*pause)(void *link, bool paused);

	/*
	 * Ends the link, behind everything that was sent.  The call goes on where it came from, which knows whether it is handed to
	 * somebody (SQL says so there) or hung up.  code as of RFC 6455.
	 */
	void (*close)(void *link, int code, const char *reason);
} gw_media_peer;

/* By what a session is allowed: what begin_media() wants.  Texts are copied; NULL is allowed where it is so there. */
typedef struct gw_media_proof
{
	const char *token;
	const char *url;
	const char *signature;
	const char *params; /* JSON */
} gw_media_proof;

/* NULL without memory. */
extern gw_media *gw_media_new(struct gw_gateway *gateway);
extern void gw_media_free(gw_media *media);

/* Runs a unit for the gateway's own role. */
extern void gw_media_ask(gw_media *media, gw_unit *unit);

/* How many connections those have. */
extern int gw_media_connections(const gw_media *media);

/*
 * A link begins.  Its audio is taken from now on, whatever the database is about to say: when that refuses it, close is called.
 * NULL without memory.
 */
extern gw_media_session *gw_media_open(gw_media *media, const gw_media_peer *peer, void *link,
									   mb_encoding encoding, const gw_media_proof *proof);

/* What was said in the call.  at: when, in microseconds of the stream's own time; -1: now.  lost: samples before it that never came. */
extern void
gw_media_heard(gw_media_session *session, const uint8_t *audio, size_t n, int64_t at, int64_t lost);

/* Whether a text, or NULL, is a key of a telephone. */
extern bool gw_media_is_key(const char *text);

/* A key was pressed. */
extern void gw_media_digit(gw_media_session *session, char digit);

/* Everything before this mark was heard, or it was cleared. */
extern void gw_media_marked(gw_media_session *session, unsigned number);

/* What was cleared had so many samples that nobody heard. */
extern void gw_media_cleared(gw_media_session *session, uint64_t unheard);

/* The peer takes no more for now, or takes it again. */
extern void gw_media_flow(gw_media_session *session, bool flows);

/* The link is over, and is not used any more; why, in words that are stored. */
extern void gw_media_over(gw_media_session *session, const char *reason);

/* Ends a session from this side; its link is closed.  What was heard up to now is kept. */
extern void gw_media_end(gw_media_session *session, int code, const char *reason);

/* The gateway is about to end: what is not stored soon is given up. */
extern void gw_media_stop(gw_media *media);

/* How many there are, those that are about to end included. */
extern int gw_media_count(const gw_media *media);

/* Those of them in which somebody talks. */
extern int gw_media_talking(const gw_media *media);

/* Those of them whose token the database is being asked about. */
extern int gw_media_beginning(const gw_media *media);

/* media_twilio.c: a request for /twilio/ws, and what becomes of its socket. */
extern void gw_twilio_media_request(struct gw_gateway *gateway, http_server *server,
									http_request *request, const char *url);
extern void gw_twilio_media_message(http_request *socket, bool text, const char *bytes, size_t n);
extern void gw_twilio_media_stopping(http_request *socket);
extern void gw_twilio_media_gone(http_request *socket);

/* media_line.c: what becomes of the sockets of our own port that bring calls.  False: it is none of them. */
extern void gw_media_line_message(http_id id, bool text, const char *bytes, size_t n);
extern void gw_media_line_stopping(http_id id);
extern bool gw_media_line_gone(http_id id);

#endif /* GATEWAY_MEDIA_H */
