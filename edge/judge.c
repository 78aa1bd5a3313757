/*
 * judge.c
 *	  Frames to the database, and its verdicts back; see judge.h.
 */
#include "judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audio.h"
#include "core/command/frame_collector.h"
#include "thread.h"

#define SECOND INT64_C(1000000000)
#define STACK (512 * 1024)
#define MOST_WAITING 16
/* A caller waits no longer for a database that is away. */
#define PATIENCE (4 * SECOND)
#define PAUSE (SECOND / 5)
/* A session that nobody uses is looked at from time to time, so that it is up when it is needed. */
#define LOOK_EVERY (30 * SECOND)

typedef struct request
{
	bool begins; /* a call; else a frame */
	int64_t asked_at;
	char call_id[EDGE_CALL_ID + 1];
	char caller[48]; /* empty: not known */
	char symbols[MB_COLLECTED_MAX + 1];
	char direction[16];
	char to[48];
	char encoding[16];
	char rate[8];
	char track[EDGE_MAX_CHANNELS][32];
	int n_tracks;
} request;

struct edge_judge
{
	edge_server *server;
	const char *tenant;
	bool prepared; /* the session is */
	int64_t
		until; /* edge_clock() to which the thread waits for the database; 0: until somebody asks for something */
	edge_worker worker; /* all below is under its mutex */
	bool connected;
	char problem[EDGE_JUDGE_TEXT]; /* why frames are not judged; empty: they are */
	request requests[MOST_WAITING];
	unsigned asked;
	unsigned answered;
	edge_verdict verdicts[MOST_WAITING];
	unsigned judged;
	unsigned taken;
};

static bool
stopping(edge_judge *j)
{
	bool answer;

	pthread_mutex_lock(&j->worker.mutex);
	answer = j->worker.stopping;
	pthread_mutex_unlock(&j->worker.mutex);
	return answer;
}

/* Whether the thread has waited long enough for the database. */
static bool
over(void *arg)
{
	edge_judge *j = arg;
	bool answer;

	pthread_mutex_lock(&j->worker.mutex);
	answer =
		j->worker.stopping || (j->until == 0 ? j->asked != j->answered : edge_clock() >= j->until);
	pthread_mutex_unlock(&j->worker.mutex);
	return answer;
}

static void
set_problem(edge_judge *j, const char *problem)
{
	pthread_mutex_lock(&j->worker.mutex);
	snprintf(j->problem, sizeof(j->problem), "%s", problem);
	pthread_mutex_unlock(&j->worker.mutex);
}

/*
 * What a session does for the first time takes it long, so it is done before a caller waits for it: a frame of a key that hardly
 * anybody has is judged, and that is taken back.
 */
static void
warm_up(edge_judge *j)
{
	static const char *const statements[] = {
		"BEGIN",
		"SELECT mulberry.handle_command_symbols('*999900000000000001869025457877#', tenant => $1)",
		"ROLLBACK"
	};
	const char *values[] = { j->tenant };

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
	{
		PGresult *result = NULL;

		(void) edge_server_query(j->server, &result, statements[i], i == 1 ? 1 : 0, values);
		PQclear(result);
		/* it was given up */
		if (j->server->pg == NULL)
			return;
	}
}

/* A session with everything prepared. */
static edge_exit
be_ready(edge_judge *j)
{
	edge_exit status = EDGE_EXIT_OK;

	if (j->server->pg != NULL && PQstatus(j->server->pg) != CONNECTION_OK)
		edge_server_disconnect(j->server);
	if (j->server->pg == NULL)
	{
		j->prepared = false;
		status = edge_server_connect(j->server);
	}
	if (status == EDGE_EXIT_OK && !j->prepared)
	{
		PGresult *result;

		status = edge_server_result(
			j->server,
			PQsendPrepare(j->server->pg, "judge",
						  "SELECT a.verdict, concat_ws('W', a.ack_digits, a.challenge), "
						  "concat_ws(': ', a.error, a.message), a.hang_up, a.speech "
						  "FROM mulberry.handle_command_symbols($1, $2, $3, 'voice', $4) AS a",
						  0, NULL),
			&result);
		PQclear(result);
		j->prepared = status == EDGE_EXIT_OK;
		if (j->prepared)
			warm_up(j);
		if (j->server->pg == NULL)
			status = EDGE_EXIT_UNREACHABLE;
	}
	pthread_mutex_lock(&j->worker.mutex);
	j->connected = status == EDGE_EXIT_OK;
	pthread_mutex_unlock(&j->worker.mutex);
	if (status != EDGE_EXIT_OK)
		set_problem(j, j->server->problem);
	return status;
}

/* A session that went away while nobody used it is noticed, and replaced. */
static void
look(edge_judge *j)
{
	PGresult *result = NULL;
	bool was_connected = j->connected;

	if (j->server->pg != NULL)
		(void) edge_server_query(j->server, &result, "SELECT 1", 0, NULL);
	PQclear(result);
	/* what else was wrong may be so still */
	if (be_ready(j) == EDGE_EXIT_OK && !was_connected)
		set_problem(j, "");
}

static void
rest(edge_judge *j, int64_t until)
{
	while (!stopping(j) && edge_clock() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

/*
 * One frame. What was judged and not answered because the session was lost is a duplicate when it is asked again, and answered
 * as it was.
 */
static void
judge_frame(edge_judge *j, const request *r, edge_verdict *verdict)
{
	const char *values[] = { r->symbols, r->caller[0] == '\0' ? NULL : r->caller, r->call_id,
							 j->tenant };
	edge_exit status;

	j->until = r->asked_at + PATIENCE;

	*verdict = (edge_verdict){ .verdict = "not judged", .tones = "A" };
	snprintf(verdict->call_id, sizeof(verdict->call_id), "%s", r->call_id);
	do
	{
		status = be_ready(j);
		if (status == EDGE_EXIT_OK)
		{
			PGresult *result;

			status = edge_server_result(
				j->server, PQsendQueryPrepared(j->server->pg, "judge", 4, values, NULL, NULL, 0),
				&result);
			if (status == EDGE_EXIT_OK)
			{
				snprintf(verdict->verdict, sizeof(verdict->verdict), "%s",
						 PQgetvalue(result, 0, 0));
				snprintf(verdict->tones, sizeof(verdict->tones), "%s", PQgetvalue(result, 0, 1));
				snprintf(verdict->said, sizeof(verdict->said), "%s", PQgetvalue(result, 0, 2));
				verdict->hang_up = PQgetvalue(result, 0, 3)[0] == 't';
				snprintf(verdict->speech, sizeof(verdict->speech), "%s", PQgetvalue(result, 0, 4));
			}
			PQclear(result);
		}
		set_problem(j, status == EDGE_EXIT_OK ? "" : j->server->problem);
		if (status == EDGE_EXIT_OK)
			break;
		rest(j, edge_clock() + PAUSE);
	} while (status != EDGE_EXIT_CREDENTIALS && !over(j));
	j->until = 0;
	if (status == EDGE_EXIT_OK)
		return;
	snprintf(verdict->said, sizeof(verdict->said), "%s", j->server->problem);
}

static void
begin_call(edge_judge *j, const request *r)
{
	const edge_call call = { .id = r->call_id,
							 .tenant = j->tenant,
							 .direction = r->direction[0] == '\0' ? NULL : r->direction,
							 .from = r->caller[0] == '\0' ? NULL : r->caller,
							 .to = r->to[0] == '\0' ? NULL : r->to,
							 .encoding = r->encoding,
							 .sample_rate = r->rate,
							 .whole = true };
	edge_track tracks[EDGE_MAX_CHANNELS] = { 0 };
	edge_exit status;

	j->until = edge_clock() + PATIENCE;
	status = be_ready(j);
	for (int i = 0; i < r->n_tracks; i++)
		tracks[i].name = r->track[i];
	if (status == EDGE_EXIT_OK)
		status = edge_call_begin(j->server, &call, tracks, r->n_tracks);
	/* without it the call begins with its first packet, and nothing says who called */
	if (status != EDGE_EXIT_OK)
		edge_complain("call %s: %s", r->call_id, j->server->problem);
	for (int i = 0; i < r->n_tracks; i++)
		edge_track_free(&tracks[i]);
	j->until = 0;
}

static bool
next_request(edge_judge *j, request *r)
{
	struct timespec at = edge_condition_until(LOOK_EVERY);
	bool there;

	pthread_mutex_lock(&j->worker.mutex);
	while (j->asked == j->answered && !j->worker.stopping)
	{
		if (pthread_cond_timedwait(&j->worker.change, &j->worker.mutex, &at) != 0)
			break;
	}
	there = j->asked != j->answered && !j->worker.stopping;
	if (there)
		*r = j->requests[j->answered++ % MOST_WAITING];
	pthread_mutex_unlock(&j->worker.mutex);
	return there;
}

static void *
judge_frames(void *arg)
{
	edge_judge *j = arg;
	edge_verdict verdict;
	request r;

	be_ready(j);
	while (!stopping(j))
	{
		if (!next_request(j, &r))
		{
			look(j);
			continue;
		}
		if (r.begins)
		{
			begin_call(j, &r);
			continue;
		}
		judge_frame(j, &r, &verdict);
		pthread_mutex_lock(&j->worker.mutex);
		j->verdicts[j->judged++ % MOST_WAITING] = verdict;
		pthread_mutex_unlock(&j->worker.mutex);
	}
	return NULL;
}

edge_judge *
edge_judge_start(edge_server *server, const char *tenant)
{
	edge_judge *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->server = server;
	j->tenant = tenant;
	server->over = over;
	server->arg = j;
	if (edge_worker_start(&j->worker, STACK, judge_frames, j))
		return j;
	free(j);
	return NULL;
}

void
edge_judge_stop(edge_judge *j)
{
	if (j == NULL)
		return;
	edge_worker_stop(&j->worker);
	j->server->over = NULL;
	free(j);
}

static bool
ask(edge_judge *j, const request *r)
{
	bool room;

	pthread_mutex_lock(&j->worker.mutex);
	/* each needs a place for its verdict, too */
	room = j->asked - j->answered + (j->judged - j->taken) < MOST_WAITING - 1;
	if (room)
	{
		j->requests[j->asked % MOST_WAITING] = *r;
		j->requests[j->asked++ % MOST_WAITING].asked_at = edge_clock();
	}
	pthread_cond_signal(&j->worker.change);
	pthread_mutex_unlock(&j->worker.mutex);
	return room;
}

static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from == NULL ? "" : from);
}

void
edge_judge_begin(edge_judge *j, const edge_call *call, const char *const *tracks, int n_tracks)
{
	request r = { .begins = true, .n_tracks = n_tracks };

	copy(r.call_id, sizeof(r.call_id), call->id);
	copy(r.caller, sizeof(r.caller), call->from);
	copy(r.direction, sizeof(r.direction), call->direction);
	copy(r.to, sizeof(r.to), call->to);
	copy(r.encoding, sizeof(r.encoding), call->encoding);
	copy(r.rate, sizeof(r.rate), call->sample_rate);
	for (int i = 0; i < n_tracks; i++)
		copy(r.track[i], sizeof(r.track[i]), tracks[i]);
	ask(j, &r);
}

bool
edge_judge_ask(edge_judge *j, const char *call_id, const char *caller, const char *symbols)
{
	request r = { 0 };

	copy(r.call_id, sizeof(r.call_id), call_id);
	copy(r.caller, sizeof(r.caller), caller);
	copy(r.symbols, sizeof(r.symbols), symbols);
	return ask(j, &r);
}

bool
edge_judge_take(edge_judge *j, edge_verdict *verdict)
{
	bool there;

	pthread_mutex_lock(&j->worker.mutex);
	there = j->taken != j->judged;
	if (there)
		*verdict = j->verdicts[j->taken++ % MOST_WAITING];
	pthread_mutex_unlock(&j->worker.mutex);
	return there;
}

void
edge_judge_problem(edge_judge *j, char problem[static EDGE_JUDGE_TEXT])
{
	pthread_mutex_lock(&j->worker.mutex);
	snprintf(problem, EDGE_JUDGE_TEXT, "%s", j->problem);
	pthread_mutex_unlock(&j->worker.mutex);
}

bool
edge_judge_connected(edge_judge *j)
{
	bool connected;

	pthread_mutex_lock(&j->worker.mutex);
	connected = j->connected;
	pthread_mutex_unlock(&j->worker.mutex);
	return connected;
}
