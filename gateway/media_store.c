/*
 * media_store.c
 *	  What is heard and said in a session becomes packets of a call.  They leave ten times a second, together with those of a share of the
 *	  other sessions, in the batches of ingest.c; one that could not be stored is sent again until it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "media_session.h"

#define EVERY (HTTP_SECOND / 10)
#define SHARES                                                                                     \
	4 /* of the sessions, one after another: the database is never asked to store all of them at once */
#define ADJOINING                                                                                  \
	(60 * HTTP_MILLISECOND) /* what is heard of one sentence comes with so much jitter */

static void
send_soon(gw_media *media)
{
	if (media->store.place == 0)
		http_loop_set_timer(media->gateway->loop, &media->store, http_clock() + EVERY / SHARES);
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
	session->n_packets--;
	free(packet);
	if (session->state == GW_MEDIA_STORING && session->packets == NULL)
		gw_media_stored(session);
}

static void
stored(gw_stored *s, bool committed, const char *sqlstate)
{
	gw_media_packet *packet = (gw_media_packet *) s;
	gw_media_session *session = packet->session;

	packet->under_way = false;
	if (!committed && (sqlstate == NULL || gw_status_of(sqlstate) == 503))
	{
		send_soon(session->media);
		return;
	}
	if (!committed)
	{
		if (session->dropped++ == 0)
			gw_log(GW_ERROR, "audio of a call could not be stored", "call %s: %s", session->call_id,
				   *sqlstate == '\0' ? "it is complete" : sqlstate);
	}
	drop(packet);
}

/*
 * Sends what waits, unless some of the session is under way: two batches would wait for each other's lock of the call, and the later one
 * might be stored first, which is a gap as long as it lasts.  True: something goes on waiting.
 */
static bool
send_packets(gw_media_session *session)
{
	bool under_way = session->tenant == NULL;
	bool waiting = false;

	for (gw_media_packet *p = session->packets; p != NULL; p = p->next)
		under_way = under_way || p->under_way;
	for (gw_media_packet *p = session->packets; p != NULL; p = p->next)
	{
		if (!under_way)
		{
			p->stored.call_id = session->call_id;
			p->under_way =
				gw_ingest_store(session->media->gateway, &session->tenant->identity, &p->stored);
		}
		waiting = waiting || !p->under_way;
	}
	return waiting;
}

void
gw_media_store_all(void *arg)
{
	gw_media *media = arg;
	unsigned share = media->share++ % SHARES;
	bool waiting = false;

	/* sending tells nothing of a packet before the loop has turned */
	for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
		waiting = (s->share % SHARES != share ? s->packets != NULL : send_packets(s)) || waiting;
	if (waiting)
		send_soon(media);
}

/* The oldest that is not with the database; NULL: all are. */
static gw_media_packet *
oldest_waiting(const gw_media_session *session)
{
	gw_media_packet *packet = session->packets;

	while (packet != NULL && packet->under_way)
		packet = packet->next;
	return packet;
}

static void
take_packet(void *arg, gw_media_track *track, const uint8_t *audio, size_t n, int64_t at)
{
	gw_media_session *session = arg;
	gw_media *media = session->media;
	gw_media_packet *packet;

	if (!session->recorded)
		return;
	if (session->n_packets >= GW_MEDIA_MAX_WAITING_PACKETS)
	{
		packet = oldest_waiting(session);
		session->dropped++;
		if (packet == NULL)
			return;
		drop(packet);
	}
	packet = calloc(1, sizeof(*packet) + n);
	if (packet == NULL)
	{
		session->dropped++;
		return;
	}
	memcpy(packet->audio, audio, n);
	packet->session = session;
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
	send_soon(media);
}

void
gw_media_store_keep(gw_media_session *session, bool recorded)
{
	session->recorded = false;
	while (session->packets != NULL)
		drop(session->packets);
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
	if (send_packets(session))
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
		free(packet);
	}
}
