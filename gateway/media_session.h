/*
 * media_session.h
 *	  A session as the files that make it see it: media.c its life, media_store.c what it keeps, media_conduct.c what it says.
 */
#ifndef GATEWAY_MEDIA_SESSION_H
#define GATEWAY_MEDIA_SESSION_H

#include "core/audio/dtmf.h"
#include "gateway.h"
#include "ingest.h"
#include "media.h"
#include "media_play.h"
#include "media_track.h"

/*
 * So many packets of one session wait for a database that is away; what is older then is a gap.  Of a call whose sides both have audio all
 * the time that is two minutes, of one of whom only one has it is four.
 */
#define GW_MEDIA_MAX_WAITING_PACKETS (2 * 60 * 1000 / GW_TRACK_PACKET_MS * 2)

typedef enum gw_media_state
{
	GW_MEDIA_BEGINNING, /* the database is asked */
	GW_MEDIA_OPEN,
	GW_MEDIA_STORING, /* it is over, and the last packets are being stored */
	GW_MEDIA_ENDING	  /* the database is told */
} gw_media_state;

/* A tenant with calls: for whom its packets are stored. */
typedef struct gw_media_tenant
{
	gw_identity identity;
	char name[64];
	struct gw_media_tenant *next;
} gw_media_tenant;

typedef struct gw_media_packet
{
	gw_stored stored;
	gw_media_session *session;
	bool under_way;
	size_t bytes; /* of memory */
	struct gw_media_packet *next;
	uint8_t audio[];
} gw_media_packet;

enum
{
	GW_TRACK_CALLER,
	GW_TRACK_AGENT,
	GW_TRACKS
};

struct gw_media_session
{
	gw_media *media;
	const gw_media_peer *peer;
	void *link; /* NULL: it is over */
	gw_media_state state;
	gw_media_tenant *tenant;
	char id[24];
	char *call_id;
	const char *track_names[GW_TRACKS];
	bool recorded; /* what is heard from now on is kept */

	int64_t begun;	  /* of the monotonic clock */
	int64_t zero;	  /* the stream's time 0: of the monotonic clock */
	int64_t zero_utc; /* and since 1970 */
	bool clocked;	  /* zero is known */
	int64_t last_heard;
	http_timer watchdog;
	http_timer limit; /* of its whole length */

	gw_media_track tracks[GW_TRACKS];
	gw_media_packet *packets; /* that are not stored yet, in their order */
	gw_media_packet **last_packet;
	int n_packets;
	int n_under_way; /* of these, to the database */
	unsigned number; /* of the session */
	unsigned dropped;
	gw_media_play play;

	/* media_conduct.c */
	mb_dtmf *dtmf; /* of a peer that tells no digits, or has not told one yet */
	int64_t tone_at;
	char tone;
	bool leaving; /* ends when what is being said has been heard */
	http_timer leave;
	char early[8]; /* keys that were pressed before the database had spoken */
	unsigned digits;
	unsigned interruptions;

	struct gw_talk *talk; /* NULL: prompts and keys */

	/* orders.c: the last that was done, and whether they are being read */
	int64_t order;
	bool reading_orders;
	bool more_orders;
	struct gw_tap *tap; /* listen.c; NULL: nobody has listened */

	char reason[128];
	gw_media_session *next;
};

struct gw_media
{
	gw_gateway *gateway;
	gw_database *database;		/* NULL: that of the webhooks */
	struct http_client *client; /* to services; NULL: there was no need */
	gw_media_session *sessions;
	gw_media_tenant *tenants;
	int n;
	int n_beginning;
	int n_talks;	  /* some of which outlive their session until they are stored */
	http_timer store; /* packets of many sessions leave together */
	unsigned share;	  /* of them, that leaves next, */
	unsigned from;	  /* from the session with this number on, which is the newest; UINT_MAX: all */
	size_t waiting_bytes;
	uint64_t dropped;	 /* packets */
	bool full;			 /* some have been left out, and there has not been much room since */
	unsigned made;		 /* sessions up to now */
	http_timer patience; /* when the gateway ends */
	bool given_up;
};

/* media_store.c.  Begins to keep what is heard and said; packets leave with those of all others. */
extern bool gw_media_store_begin(gw_media_session *session, mb_encoding encoding);

/* Forgets what waits, and keeps nothing, or everything, from now on. */
extern void gw_media_store_keep(gw_media_session *session, bool recorded);
extern void gw_media_store_caller(gw_media_session *session, const uint8_t *audio, size_t n,
								  int64_t at, int64_t lost);
extern void gw_media_store_agent(gw_media_session *session, const uint8_t *audio, size_t n);

/* What waits leaves at once, and nothing more comes. */
extern void gw_media_store_end(gw_media_session *session);
extern void gw_media_store_free(gw_media_session *session);

/* The timer of gw_media. */
extern void gw_media_store_all(void *media);

/* The last packet has been stored, or never will be. */
extern void gw_media_stored(gw_media_session *session);

/* media_conduct.c: what is decided in a call, and nothing else decides. */
extern void gw_conduct_begin(gw_media_session *session, const char *opening, size_t n);
extern void gw_conduct_heard(gw_media_session *session, const uint8_t *audio, size_t n, int64_t at);
extern void gw_conduct_digit(gw_media_session *session, char digit);
extern void gw_conduct_said(gw_media_session *session);
extern void gw_conduct_end(gw_media_session *session);

/* A key whose outcome is the menu's. */
extern void gw_conduct_press(gw_media_session *session, char digit);

/* What is sent to services; NULL without memory. */
extern struct http_client *gw_media_client(gw_media *media);

#endif /* GATEWAY_MEDIA_SESSION_H */
