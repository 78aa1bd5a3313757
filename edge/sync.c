/*
 * sync.c
 *	  The online path of an edge: asks the gateway for commands and mandates, has the database of this machine judge and apply
 *	  them, and hands back its acknowledgements.
 *
 * Nothing is kept here. What was taken is in the database when an answer to it is sent, and what was not acknowledged comes again; so
 * this program, the network, the gateway and the database may go away at any moment. The clock of this machine means nothing
 * for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "commands.h"
#include "gateway.h"
#include "server.h"
#include "status.h"

#define WAIT_SECONDS 25	  /* how long the gateway may keep a request that it has nothing for */
#define ANSWER_SECONDS 20 /* and how long its answer may take then */
#define LONGEST_PAUSE 60

typedef struct sync_state
{
	const edge_options *options;
	edge_server server;
	edge_gateway gateway;
	edge_status *status;
	char agent[64]; /* its uuid, which is the same here and there */
	char *acks;		/* JSON: what the gateway has to hear; NULL: nothing */
	char since[24];
	bool more;	/* the gateway is to be asked at once */
	bool known; /* whether it is known how we are: online or not */
	bool online;
	unsigned pause; /* seconds, before the next attempt */
	unsigned taken; /* acknowledgements since the program began */
} sync_state;

static volatile sig_atomic_t stopping;

static void
stop(int signal)
{
	stopping = signal;
}

/* Waits for about so many seconds: devices that lost one gateway do not come back to it all at once. */
static void
rest(double seconds)
{
	unsigned chance = 0;
	int64_t until;

	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		chance = 0;
	seconds *= 0.75 + 0.5 * chance / 4294967296.0;
	until = edge_clock() + (int64_t) (seconds * 1e9);
	while (!stopping && edge_clock() < until)
	{
		/* short enough for a signal that comes between the look and the sleep */
		nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000000 }, NULL);
	}
}

/* Tells once when the path is there, and once when it is not any more. */
static void
note(sync_state *sync, bool online, const char *why)
{
	if (sync->known && sync->online == online)
		return;
	if (online)
		fprintf(stderr, "mulberry-edge: online: %s\n", sync->gateway.url);
	else
		fprintf(stderr, "mulberry-edge: offline: %s\n", why);
	sync->known = true;
	sync->online = online;
}

/* Which agent this machine is: the one whose voice key it has. */
static edge_exit
find_agent(sync_state *sync)
{
	const char *values[] = { sync->options->tenant };
	PGresult *result;
	edge_exit status = edge_server_query(
		&sync->server, &result,
		"SELECT DISTINCT a.id FROM mulberry.voice_key_status AS k JOIN mulberry.agent_status AS a "
		"USING (tenant, agent) WHERE k.role = 'receiver' AND k.enabled "
		"AND k.tenant = coalesce($1, k.tenant)",
		1, values);

	if (status == EDGE_EXIT_CREDENTIALS)
		return edge_server_say(
			&sync->server, status,
			"role \"%s\" needs operator access to this database: see grant_access()",
			PQuser(sync->server.pg));
	if (status != EDGE_EXIT_OK)
		return status;
	if (PQntuples(result) == 0)
		status = edge_server_say(
			&sync->server, EDGE_EXIT_REFUSED,
			"this database has no voice key that is enabled: see export_voice_key()");
	else if (PQntuples(result) > 1)
		status = edge_server_say(
			&sync->server, EDGE_EXIT_USAGE,
			"this database stands for several agents: --tenant says which one is meant");
	else
		snprintf(sync->agent, sizeof(sync->agent), "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return status;
}

/* Has the database take an answer; *new_acks is what it says to that, the caller's to free; NULL: nothing. */
static edge_exit
apply(sync_state *sync, const char *answer, char **new_acks)
{
	const char *values[] = { answer, sync->options->tenant };
	PGresult *result;
	edge_exit status = edge_server_query(
		&sync->server, &result,
		"SELECT r->>'acks', jsonb_array_length(r->'acks'), r->>'since', (r->>'more')::boolean, "
		"p.text "
		"FROM mulberry.apply_agent_sync($1::jsonb, $2) AS r, LATERAL (SELECT string_agg(x, '; ') "
		"FROM jsonb_array_elements_text(r->'problems') AS x) AS p (text)",
		2, values);
	int acks;

	*new_acks = NULL;
	if (status != EDGE_EXIT_OK)
		return status;
	acks = atoi(PQgetvalue(result, 0, 1));
	if (acks > 0)
	{
		*new_acks = strdup(PQgetvalue(result, 0, 0));
		if (*new_acks == NULL)
			status = edge_server_say(&sync->server, EDGE_EXIT_FAILED, "out of memory");
	}
	sync->more = PQgetvalue(result, 0, 3)[0] == 't';
	snprintf(sync->since, sizeof(sync->since), "%s", PQgetvalue(result, 0, 2));
	sync->taken += (unsigned) acks;
	if (acks > 0)
		fprintf(stderr, "mulberry-edge: took %d command%s, %u since the program began\n", acks,
				acks == 1 ? "" : "s", sync->taken);
	if (!PQgetisnull(result, 0, 4))
		fprintf(stderr, "mulberry-edge: %s\n", PQgetvalue(result, 0, 4));
	PQclear(result);
	return status;
}

/* Begins a session with the database of this machine, and asks it where it stands. What is to be acknowledged stays. */
static edge_exit
begin(sync_state *sync)
{
	char nothing[128];
	char *none;
	edge_exit status = edge_server_connect(&sync->server);

	if (status == EDGE_EXIT_OK)
		status = find_agent(sync);
	if (status != EDGE_EXIT_OK)
		return status;
	snprintf(nothing, sizeof(nothing), "{\"agent\": \"%s\", \"commands\": []}", sync->agent);
	status = apply(sync, nothing, &none);
	free(none);
	sync->more = true; /* so that it is soon known whether there is a way */
	return status;
}

/* Asks the gateway, once. *problem says what failed, *same that it had nothing to say but what it said before. */
static edge_exit
exchange(sync_state *sync, bool wait, bool *same, const char **problem)
{
	char path[128];
	size_t room = (sync->acks != NULL ? strlen(sync->acks) : 2) + 64;
	char *question = malloc(room);
	char *acks;
	char since[sizeof(sync->since)];
	edge_exit status;

	*problem = sync->server.problem;
	if (question == NULL)
		return edge_server_say(&sync->server, EDGE_EXIT_FAILED, "out of memory");
	memcpy(since, sync->since, sizeof(since));
	snprintf(question, room, "{\"acks\": %s, \"since\": %s}",
			 sync->acks != NULL ? sync->acks : "[]", sync->since);
	snprintf(path, sizeof(path), "/v1/agents/%s/sync?wait=%d", sync->agent,
			 wait ? WAIT_SECONDS : 0);
	status = edge_gateway_post(&sync->gateway, path, question,
							   ANSWER_SECONDS + (wait ? WAIT_SECONDS : 0));
	free(question);
	if (status != EDGE_EXIT_OK)
	{
		/* what a gateway refuses it is not told again; the commands come again */
		if (status == EDGE_EXIT_REFUSED)
		{
			free(sync->acks);
			sync->acks = NULL;
		}
		*problem = sync->gateway.problem;
		return status;
	}
	status = apply(sync, sync->gateway.body.text, &acks);
	if (status == EDGE_EXIT_REFUSED)
	{
		edge_server_disconnect(&sync->server);
		return EDGE_EXIT_UNREACHABLE;
	}
	/* what was handed over stays with us until it is certain that this was an answer */
	if (status != EDGE_EXIT_OK)
		return status;
	*same = strcmp(since, sync->since) == 0 &&
			(acks == NULL || (sync->acks != NULL && strcmp(acks, sync->acks) == 0));
	free(sync->acks);
	sync->acks = acks;
	return status;
}

/* Once, and as often as there is more. */
static edge_exit
run_once(sync_state *sync)
{
	const char *problem = sync->server.problem;
	bool same = false;
	edge_exit status = begin(sync);

	do
	{
		if (status == EDGE_EXIT_OK)
			status = exchange(sync, false, &same, &problem);
	} while (status == EDGE_EXIT_OK && sync->more && !stopping);
	return status == EDGE_EXIT_OK ? status : edge_fail(status, "%s", problem);
}

/* Longer and longer, from a second on. */
static void
pause_longer(sync_state *sync, unsigned most)
{
	sync->pause = sync->pause == 0 ? 1 : 2 * sync->pause;
	if (sync->pause > most)
		sync->pause = most;
}

/* Tells the database of this machine how we are. */
static void
report(sync_state *sync, const char *state, const char *problem)
{
	edge_status_set_device(sync->status,
						   &(edge_status_device){ .state = state, .device = sync->gateway.url });
	edge_status_set_posting(sync->status,
							&(edge_status_posting){ .spool = -1, .problem = problem });
	if (sync->server.pg != NULL)
		edge_status_report(&sync->server, sync->status);
}

/* Until a signal comes. What is wrong from the beginning ends the program, but for what time may mend. */
static edge_exit
run(sync_state *sync)
{
	bool began = false;

	while (!stopping)
	{
		const char *problem = sync->server.problem;
		edge_exit status = sync->server.pg == NULL ? begin(sync) : EDGE_EXIT_OK;
		int64_t asked = edge_clock();
		bool waits = !sync->more;
		bool same = false;

		if (status == EDGE_EXIT_OK)
			status = exchange(sync, waits, &same, &problem);
		if (stopping)
			break;
		if (status == EDGE_EXIT_OK)
		{
			began = true;
			note(sync, true, NULL);
			report(sync, "online", NULL);
			/* whoever tells the same again and again is not asked again and again */
			if (same && (waits || sync->acks != NULL) && edge_clock() - asked < 1000000000)
			{
				pause_longer(sync, LONGEST_PAUSE / 6);
				rest(sync->pause);
			}
			else
				sync->pause = 0;
			continue;
		}
		if (!began && status != EDGE_EXIT_UNREACHABLE)
			return edge_fail(status, "%s", problem);
		note(sync, false, problem);
		report(sync, "offline", problem);
		if (status == EDGE_EXIT_REFUSED || PQstatus(sync->server.pg) != CONNECTION_OK)
			edge_server_disconnect(&sync->server);
		sync->more = true;
		pause_longer(sync, LONGEST_PAUSE);
		rest(sync->gateway.retry_after > (int) sync->pause ? sync->gateway.retry_after
														   : sync->pause);
		sync->gateway.retry_after = 0;
	}
	report(sync, "ended", NULL);
	return EDGE_EXIT_OK;
}

edge_exit
edge_sync(const edge_options *options)
{
	sync_state sync = { .options = options,
						.server = { .conninfo =
										options->database != NULL ? options->database : "" },
						.gateway = { .url = options->gateway,
									 .token_file = options->token_file,
									 .ca_file = options->ca_file,
									 .stop = &stopping } };
	struct sigaction action = { .sa_handler = stop };
	edge_exit status;

	if (options->gateway == NULL || options->token_file == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "sync needs --gateway and --token-file");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	status = edge_gateway_open(&sync.gateway);
	if (status != EDGE_EXIT_OK)
		return edge_fail(status, "%s", sync.gateway.problem);
	sync.status = edge_status_new("sync", options->name, options->tenant);
	if (sync.status == NULL)
		status = edge_fail(EDGE_EXIT_FAILED, "out of memory");
	else
		status = options->once ? run_once(&sync) : run(&sync);
	edge_status_free(sync.status);
	free(sync.acks);
	edge_gateway_close(&sync.gateway);
	edge_server_disconnect(&sync.server);
	return status;
}
