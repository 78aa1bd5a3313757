/*
 * test_media_store.c
 *	  What waits of a stream for a database that is away: no more than its limit, whatever the database keeps to itself.
 *
 * Link with: -I../http -I.. -I/usr/include/postgresql
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/media_store.c"
#include "../../gateway/media_track.c"

#define PACKET_BYTES (GW_MEDIA_RATE * GW_TRACK_PACKET_MS / 1000)

static bool database_takes;
static gw_stored *taken[2 * GW_MEDIA_MAX_WAITING_PACKETS];
static int n_taken;

int64_t
http_clock(void)
{
	return HTTP_SECOND;
}

bool
http_loop_set_timer(http_loop *loop, http_timer *timer, int64_t at)
{
	(void) loop;
	(void) at;
	timer->place = 1;
	return true;
}

void
gw_log(gw_level level, const char *message, const char *format, ...)
{
	(void) level;
	(void) message;
	(void) format;
}

int
gw_status_of(const char *sqlstate)
{
	return strcmp(sqlstate, "53100") == 0 ? 503 : 400;
}

void
gw_media_stored(gw_media_session *session)
{
	(void) session;
}

bool
gw_ingest_store(struct gw_gateway *gateway, gw_identity *identity, gw_stored *packet)
{
	(void) gateway;
	(void) identity;
	if (database_takes)
		taken[n_taken++] = packet;
	return database_takes;
}

static void
hear_packets(gw_media_session *session, int n)
{
	static const uint8_t audio[PACKET_BYTES];

	for (int i = 0; i < n; i++)
		gw_track_add(&session->tracks[GW_TRACK_CALLER], audio, sizeof(audio), -1);
}

/* A share of the sessions is sent at a time. */
static void
store_all(gw_media *media)
{
	for (int i = 0; i < SHARES; i++)
		gw_media_store_all(media);
}

/* Some are with the database, which says nothing: more than the limit is not kept, and these are not let go. */
static void
a_database_that_hangs(void)
{
	gw_gateway gateway = { 0 };
	gw_media media = { .gateway = &gateway };
	gw_media_tenant tenant = { .name = "default" };
	gw_media_session session = {
		.media = &media, .state = GW_MEDIA_OPEN, .tenant = &tenant, .recorded = true
	};

	media.sessions = &session;
	check(gw_media_store_begin(&session, MB_MULAW));
	database_takes = true;
	hear_packets(&session, 10);
	store_all(&media);
	check_int(n_taken, 10);
	database_takes = false;
	hear_packets(&session, 2 * GW_MEDIA_MAX_WAITING_PACKETS);
	check_int(session.n_packets, GW_MEDIA_MAX_WAITING_PACKETS);
	check_int(session.dropped, GW_MEDIA_MAX_WAITING_PACKETS + 10);
	/* the newest are there */
	check_int(session.tracks[GW_TRACK_CALLER].sequence, 2 * GW_MEDIA_MAX_WAITING_PACKETS + 10);
	for (int i = 0; i < n_taken; i++)
		taken[i]->done(taken[i], true, NULL);
	check_int(session.n_packets, GW_MEDIA_MAX_WAITING_PACKETS - 10);
	/* all that may wait are with it: what comes then is a gap */
	database_takes = true;
	n_taken = 0;
	hear_packets(&session, 10);
	store_all(&media);
	check_int(n_taken, GW_MEDIA_MAX_WAITING_PACKETS);
	hear_packets(&session, 10);
	check_int(session.n_packets, GW_MEDIA_MAX_WAITING_PACKETS);
	check_int(session.dropped, GW_MEDIA_MAX_WAITING_PACKETS + 20);
	gw_media_store_free(&session);
}

int
main(void)
{
	check_run("a database that hangs", a_database_that_hangs);
	return check_done();
}
