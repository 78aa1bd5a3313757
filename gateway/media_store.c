/*
 * media_store.c
 *	  What is heard and said in a session becomes packets of a call.  They leave ten times a second, together with those of a share of the
 *	  other sessions, in the batches of ingest.c; one that could not be stored is sent again until it is.
 *
 * While the database is away they wait, and nothing is sent.  What all sessions have has a limit (max-waiting-audio), and so has what one
 * of them has; beyond it the oldest of the session that has most is left out: its number is missing, which is a gap of the call.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "media_session.h"

#define EVERY (HTTP_SECOND / 10)
#define SHARES                                                                                     \
	4 /* of the sessions, one after another: the database is never asked to store all of them at once */
#define ADJOINING                                                                                  \
	(60 * HTTP_MILLISECOND)			 /* what is heard of one sentence comes with so much jitter */
#define WHILE_AWAY (HTTP_SECOND / 4) /* until the database is looked for again */
#define MAX_UNDER_WAY 50			 /* packets of a session: five seconds of both sides */
#define LEFT_OUT_AT_ONCE 10			 /* a second of both: looking for the session costs time */

static void
send_soon(gw_media *media)
{
	if (media->store.place == 0 && !media->given_up)
		http_loop_set_timer(media->gateway->loop, &media->store,
							http_clock() + (gw_database_up(media->gateway->database)
												? EVERY / SHARES
												: WHILE_AWAY));
}

static void
forget(gw_media_packet *packet)
{
	gw_media_session *session = packet->session;

	session->n_packets--;
	session->n_under_way -= packet->under_way;
	session->media->waiting_bytes -= packet->bytes;
	free(packet);
}

/* A packet that is gone: stored, or given up. */
static void
drop(gw_media_packet *packet)
{
	gw_media_session *session = packet->session;
	gw_media_packet **place = &session->packets;

	while (*place != packet)
		place = &(*place)->next;
	*place = packet->next;
	if (packet->next == NULL)
		session->last_packet = place;
	forget(packet);
	if (session->state == GW_MEDIA_STORING && session->packets == NULL)
		gw_media_stored(session);
}

static void
stored(gw_stored *s, bool committed, const char *sqlstate)
{
	gw_media_packet *packet = (gw_media_packet *) s;
	gw_media_session *session = packet->session;
	gw_media *media = session->media;

	packet->under_way = false;
	session->n_under_way--;
	if (!committed && (sqlstate == NULL || gw_status_of(sqlstate) == 503))
	{
		send_soon(media);
		return;
	}
	/* others wait for its place */
	if (committed && media->from != UINT_MAX)
		http_loop_set_timer(media->gateway->loop, &media->store, http_clock());
	if (!committed)
	{
		media->dropped++;
		if (session->dropped++ == 0)
			gw_log(GW_ERROR, "audio of a call could not be stored", "call %s: %s", session->call_id,
				   *sqlstate == '\0' ? "it is complete" : sqlstate);
	}
	drop(packet);
}

/*
 * Sends the first that wait, as many as fit into one batch, unless some of the session are under way: two batches may wait for each other's
 * locks of calls, and the later one may be stored first, which is a gap as long as it lasts.  False: none may be sent for now.
 */
static bool
send_packets(gw_media_session *session)
{
	gw_gateway *gateway = session->media->gateway;
	gw_stored *packets[MAX_UNDER_WAY];
	int n = 0;

	if (session->tenant == NULL || session->n_under_way > 0 || session->packets == NULL)
		return true;
	if (session->media->given_up || !gw_database_up(gateway->database))
		return false;
	for (gw_media_packet *p = session->packets; p != NULL && n < MAX_UNDER_WAY; p = p->next)
	{
		p->stored.call_id = session->call_id;
		packets[n++] = &p->stored;
	}
	session->n_under_way = gw_ingest_store(gateway, &session->tenant->identity, packets, n);
	for (int i = 0; i < session->n_under_way; i++)
		((gw_media_packet *) packets[i])->under_way = true;
	return session->n_under_way > 0;
}

/* The sessions of a share, one after another; where that had to end it goes on the next time. */
void
gw_media_store_all(void *arg)
{
	gw_media *media = arg;
	bool sent = true;
	bool waiting = false;

	/* sending tells nothing of a packet before the loop has turned */
	for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
	{
		if (sent && s->number <= media->from && s->number % SHARES == media->share)
		{
			sent = send_packets(s);
			if (!sent)
				media->from = s->number;
		}
		waiting = waiting || s->n_packets > s->n_under_way;
	}
	if (sent)
	{
		media->from = UINT_MAX;
		media->share = (media->share + 1) % SHARES;
	}
	if (waiting)
		send_soon(media);
}

/* The oldest that is not with the database: there is one. */
static void
leave_out_oldest(gw_media_session *session)
{
	gw_media_packet *packet = session->packets;

	while (packet->under_way)
		packet = packet->next;
	session->dropped++;
	session->media->dropped++;
	drop(packet);
}

/* A packet has come, which waits. */
static void
keep_to_limits(gw_media_session *session)
{
	gw_media *media = session->media;
	size_t most_bytes = (size_t) media->gateway->options->max_waiting_audio;

	if (session->n_packets > GW_MEDIA_MAX_WAITING_PACKETS)
		leave_out_oldest(session);
	if (media->waiting_bytes <= most_bytes / 2)
		media->full = false;
	while (media->waiting_bytes > most_bytes)
	{
		gw_media_session *most = NULL;
		int n = 0;

		for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
		{
			if (s->n_packets - s->n_under_way > n)
			{
				most = s;
				n = s->n_packets - s->n_under_way;
			}
		}
		/* the database has all */
		if (most == NULL)
			break;
		if (!media->full)
			gw_log(GW_WARNING, "audio of calls is left out", "%zu bytes wait for the database",
				   media->waiting_bytes);
		media->full = true;
		if (n > LEFT_OUT_AT_ONCE)
			n = LEFT_OUT_AT_ONCE;
		/* with its last one a session that is over may go */
		while (n-- > 0)
			leave_out_oldest(most);
	}
}

static void
take_packet(void *arg, gw_media_track *track, const uint8_t *audio, size_t n, int64_t at)
{
	gw_media_session *session = arg;
	gw_media *media = session->media;
	gw_media_packet *packet;

	if (!session->recorded)
		return;
	packet = calloc(1, sizeof(*packet) + n);
	if (packet == NULL)
	{
		session->dropped++;
		media->dropped++;
		return;
	}
	memcpy(packet->audio, audio, n);
	packet->session = session;
	packet->bytes = sizeof(*packet) + n;
	packet->stored = (gw_stored){ .track = session->track_names[track - session->tracks],
								  .encoding = mb_encoding_name(track->encoding),
								  .sample_rate = "8000",
								  .sequence = track->sequence,
								  .sent_at = session->zero_utc + at,
								  .data = packet->audio,
								  .length = n,
								  .done = stored };
	*session->last_packet = packet;
	session->last_packet = &packet->next;
	session->n_packets++;
	media->waiting_bytes += packet->bytes;
	keep_to_limits(session);
	send_soon(media);
}

void
gw_media_store_keep(gw_media_session *session, bool recorded)
{
	session->recorded = false;
	while (session->packets != NULL)
		drop(session->packets); /* NOLINT(clang-analyzer-unix.Malloc): it is taken out */
	for (int i = 0; i < GW_TRACKS; i++)
	{
		gw_track_flush(&session->tracks[i]);
		session->tracks[i].sequence = 0;
	}
	session->recorded = recorded;
}

bool
gw_media_store_begin(gw_media_session *session, mb_encoding encoding)
{
	session->last_packet = &session->packets;
	session->track_names[GW_TRACK_CALLER] = "caller";
	session->track_names[GW_TRACK_AGENT] = "agent";
	for (int i = 0; i < GW_TRACKS; i++)
	{
		session->tracks[i].packet = take_packet;
		session->tracks[i].arg = session;
		if (!gw_track_begin(&session->tracks[i], encoding, GW_MEDIA_RATE))
			return false;
	}
	return true;
}

void
gw_media_store_caller(gw_media_session *session, const uint8_t *audio, size_t n, int64_t at,
					  int64_t lost)
{
	gw_media_track *track = &session->tracks[GW_TRACK_CALLER];

	if (lost > 0)
		gw_track_lose(track, lost);
	gw_track_add(track, audio, n, at);
}

/* It ended just now, by the clock that the caller's audio has. */
void
gw_media_store_agent(gw_media_session *session, const uint8_t *audio, size_t n)
{
	gw_media_track *track = &session->tracks[GW_TRACK_AGENT];
	int64_t lasts =
		(int64_t) (n / mb_encoding_sample_size(track->encoding)) * HTTP_SECOND / GW_MEDIA_RATE;
	int64_t at = http_clock() - session->zero - lasts;

	if (track->samples > 0 && llabs(at - track->until) < ADJOINING)
		at = -1;
	else if (track->samples > 0 && at > track->until)
	{
		/* a sentence of its own: less than a pause must not move it either */
		gw_track_flush(track);
		track->at = track->until = at;
	}
	gw_track_add(track, audio, n, at < 0 ? -1 : at);
}

void
gw_media_store_end(gw_media_session *session)
{
	for (int i = 0; i < GW_TRACKS; i++)
		gw_track_flush(&session->tracks[i]);
	(void) send_packets(session);
	if (session->packets != NULL)
		send_soon(session->media);
}

void
gw_media_store_free(gw_media_session *session)
{
	for (int i = 0; i < GW_TRACKS; i++)
		gw_track_free(&session->tracks[i]);
	while (session->packets != NULL)
	{
		gw_media_packet *packet = session->packets;

		session->packets = packet->next;
		forget(packet);
	}
}
