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
#define MEMORY (sizeof(gw_media_packet) + PACKET_BYTES)
#define SESSIONS 3

/* The database: whether it is there, how many packets it takes at a time, and those it has. */
static bool up;
static int room;
static int asked;
static gw_stored *taken[2 * GW_MEDIA_MAX_WAITING_PACKETS];
static int n_taken;
static int n_ended;
static int64_t timer_at;

static gw_options options;
static gw_gateway gateway = { .options = &options };
static gw_media_tenant tenant = { .name = "default" };
static gw_media media;
static gw_media_session sessions[SESSIONS];

int64_t
http_clock(void)
{
	return HTTP_SECOND;
}

bool
http_loop_set_timer(http_loop *loop, http_timer *timer, int64_t at)
{
	(void) loop;
	timer_at = at;
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
	n_ended++;
}

bool
gw_database_up(const gw_database *database)
{
	(void) database;
	return up;
}

int
gw_ingest_store(struct gw_gateway *of, gw_identity *identity, gw_stored *const *packets, int n)
{
	(void) of;
	(void) identity;
	asked++;
	if (n > room)
		n = room;
	for (int i = 0; i < n; i++)
		taken[n_taken++] = packets[i];
	room -= n;
	return n;
}

/* Sessions that are open, the newest first. */
static void
begin(int n, int max_waiting_audio)
{
	options.max_waiting_audio = max_waiting_audio;
	media = (gw_media){ .gateway = &gateway, .from = UINT_MAX };
	for (int i = 0; i < n; i++)
	{
		sessions[i] = (gw_media_session){ .media = &media,
										  .state = GW_MEDIA_OPEN,
										  .tenant = &tenant,
										  .recorded = true,
										  .number = media.made++,
										  .next = media.sessions };
		media.sessions = &sessions[i];
		check(gw_media_store_begin(&sessions[i], MB_MULAW));
	}
	up = true;
	room = INT_MAX;
	asked = n_taken = n_ended = 0;
}

static void
end(int n)
{
	for (int i = 0; i < n; i++)
		gw_media_store_free(&sessions[i]);
	check_int(media.waiting_bytes, 0);
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
store_all(void)
{
	for (int i = 0; i < SHARES; i++)
	{
		media.store.place = 0;
		gw_media_store_all(&media);
	}
}

/* It tells of all that it has. */
static void
answer(bool committed)
{
	int n = n_taken;

	n_taken = 0;
	for (int i = 0; i < n; i++)
		taken[i]->done(taken[i], committed, NULL);
}

/* Some are with the database, which says nothing: more than the limit is not kept, and these are not let go. */
static void
a_database_that_hangs(void)
{
	gw_media_session *session = &sessions[0];

	begin(1, INT_MAX);
	hear_packets(session, 10);
	store_all();
	check_int(n_taken, 10);
	hear_packets(session, 2 * GW_MEDIA_MAX_WAITING_PACKETS);
	store_all();
	check_int(n_taken, 10);
	check_int(session->n_packets, GW_MEDIA_MAX_WAITING_PACKETS);
	check_int(session->dropped, GW_MEDIA_MAX_WAITING_PACKETS + 10);
	check_int(media.dropped, session->dropped);
	/* the newest are there, and the numbers in between are missing */
	check_int(session->tracks[GW_TRACK_CALLER].sequence, 2 * GW_MEDIA_MAX_WAITING_PACKETS + 10);
	check_int(session->packets->stored.sequence, 0);
	answer(true);
	check_int(session->packets->stored.sequence, GW_MEDIA_MAX_WAITING_PACKETS + 20);
	check_int(session->n_packets, GW_MEDIA_MAX_WAITING_PACKETS - 10);
	end(1);
}

/* Of a session no more leaves at a time than fits into one batch, and nothing more before that is answered. */
static void
a_part_at_a_time(void)
{
	begin(1, INT_MAX);
	hear_packets(&sessions[0], 3 * MAX_UNDER_WAY);
	store_all();
	check_int(n_taken, MAX_UNDER_WAY);
	store_all();
	check_int(n_taken, MAX_UNDER_WAY);
	answer(true);
	room = 7;
	store_all();
	check_int(n_taken, 7);
	check_int(taken[0]->sequence, MAX_UNDER_WAY);
	check_int(sessions[0].n_under_way, 7);
	answer(false);
	check_int(sessions[0].n_under_way, 0);
	room = INT_MAX;
	store_all();
	check_int(n_taken, MAX_UNDER_WAY);
	check_int(taken[0]->sequence, MAX_UNDER_WAY);
	end(1);
}

/* Nothing is tried, and seldom looked for. */
static void
a_database_that_is_away(void)
{
	begin(SESSIONS, INT_MAX);
	up = false;
	for (int i = 0; i < SESSIONS; i++)
		hear_packets(&sessions[i], 2);
	for (int i = 0; i < 10; i++)
		store_all();
	check_int(asked, 0);
	check_int(timer_at, HTTP_SECOND + WHILE_AWAY);
	up = true;
	store_all();
	check_int(n_taken, 2 * SESSIONS);
	media.given_up = true;
	answer(true);
	hear_packets(&sessions[0], 1);
	asked = 0;
	gw_media_store_end(&sessions[0]);
	check_int(asked, 0);
	end(SESSIONS);
}

/* More than all may have: who has most loses its oldest, and what others wait with is theirs. */
static void
a_budget_of_all(void)
{
	begin(SESSIONS, 100 * MEMORY);
	up = false;
	hear_packets(&sessions[0], 20);
	hear_packets(&sessions[1], 30);
	hear_packets(&sessions[2], 50);
	check_int(media.dropped, 0);
	check_int(media.waiting_bytes, 100 * MEMORY);
	hear_packets(&sessions[0], 1);
	check_int(sessions[2].dropped, LEFT_OUT_AT_ONCE);
	check_int(sessions[2].packets->stored.sequence, LEFT_OUT_AT_ONCE);
	hear_packets(&sessions[0], 200);
	check_int(sessions[1].dropped, 0);
	check(media.waiting_bytes <= 100 * MEMORY);
	check_int(media.dropped, sessions[0].dropped + sessions[2].dropped);
	check_int(sessions[0].n_packets + sessions[0].dropped, 221);
	check_int(sessions[2].n_packets + sessions[2].dropped, 50);
	/* what is with the database stays */
	up = true;
	store_all();
	check_int(n_taken, sessions[0].n_under_way + 30 + sessions[2].n_packets);
	hear_packets(&sessions[1], 200);
	answer(true);
	check_int(sessions[2].n_packets, 0);
	end(SESSIONS);
}

/* What the database has is more than all may have: nothing else waits, and nobody looks for it for ever. */
static void
a_budget_that_the_database_has(void)
{
	begin(2, INT_MAX);
	hear_packets(&sessions[0], 12);
	store_all();
	hear_packets(&sessions[1], 1);
	options.max_waiting_audio = 12 * MEMORY;
	hear_packets(&sessions[0], 1);
	check_int(sessions[0].dropped, 1);
	check_int(sessions[1].dropped, 1);
	options.max_waiting_audio = 5 * MEMORY;
	hear_packets(&sessions[1], 1);
	check_int(sessions[1].dropped, 2);
	check_int(sessions[0].n_under_way, 12);
	check_int(media.waiting_bytes, 12 * MEMORY);
	answer(true);
	end(2);
}

/* What a session that is over waited with is left out: it is over. */
static void
a_budget_with_the_last_packet(void)
{
	begin(2, 10 * MEMORY);
	up = false;
	hear_packets(&sessions[0], 10);
	gw_media_store_end(&sessions[0]);
	sessions[0].state = GW_MEDIA_STORING;
	hear_packets(&sessions[1], 1);
	check_int(n_ended, 1);
	check_int(sessions[0].n_packets, 0);
	check_int(sessions[1].n_packets, 1);
	end(2);
}

/* The database takes one session's at a time: all have their turn, though the newest always have some. */
static void
a_turn_for_each(void)
{
	gw_media_session *newest;

	begin(SESSIONS, INT_MAX);
	for (int i = 0; i < SESSIONS; i++)
		sessions[i].number *= SHARES; /* all in one share */
	newest = &sessions[SESSIONS - 1];
	hear_packets(&sessions[0], 1);
	hear_packets(&sessions[1], 1);
	for (int i = 0; i < 3 * SHARES * SESSIONS; i++)
	{
		hear_packets(newest, 1);
		room = 1;
		gw_media_store_all(&media);
		answer(true);
	}
	check_int(sessions[0].n_packets, 0);
	check_int(sessions[1].n_packets, 0);
	end(SESSIONS);
}

int
main(void)
{
	check_run("a database that hangs", a_database_that_hangs);
	check_run("a part at a time", a_part_at_a_time);
	check_run("a database that is away", a_database_that_is_away);
	check_run("a budget of all", a_budget_of_all);
	check_run("a budget that the database has", a_budget_that_the_database_has);
	check_run("a budget with the last packet", a_budget_with_the_last_packet);
	check_run("a turn for each", a_turn_for_each);
	return check_done();
}
