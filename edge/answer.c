/*
 * answer.c
 *	  "mulberry-edge answer": a line on which commands come as tones. It is answered, by a modem or because the device is the line,
 *	  and what is heard is judged by the database, whose answer is played.
 *
 * This thread has the modem and the device and waits for nothing else; one has frames judged, another one posts the audio of
 * the calls.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "line.h"
#include "modem.h"
#include "status.h"
#include "thread.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define IDLE_MS 50
#define FIRST_PAUSE (SECOND / 2) /* until a device that is away is looked for again */
#define LAST_PAUSE (10 * SECOND)
#define STATUS_EVERY SECOND

typedef struct answerer
{
	const edge_options *options;
	const char *device;
	edge_audio_request request;
	edge_line *line;
	edge_modem *modem; /* NULL: the device is the line */
	bool modem_away;
	edge_judge *judge;
	edge_speech *speech; /* NULL: sentences are not spoken */
	edge_outbox *outbox;
	edge_status *status;
	int64_t status_set;
	unsigned departures;
	int64_t retry_at;
	int64_t pause;
	int signals;
	bool stop;
	edge_exit end;
} answerer;

/* ---------------------------------------------------------------------------
 * The modem
 * ---------------------------------------------------------------------------
 */

static void
begin_call(answerer *a, const char *number)
{
	char problem[256];

	if (edge_line_open(a->line, a->device, &a->request, problem) != EDGE_AUDIO_OK)
		edge_complain("%s", problem);
	else if (!edge_line_begin(a->line, number[0] == '\0' ? NULL : number))
	{
		edge_complain("out of memory");
		edge_line_close(a->line);
	}
}

static void
tell(void *context, const mb_modem_news *news)
{
	answerer *a = context;
	const char *number = news->caller->number[0] == '\0' ? "somebody" : news->caller->number;

	switch (news->what)
	{
		case MB_MODEM_READY:
			edge_complain("the modem is ready");
			break;
		case MB_MODEM_CALLED:
			begin_call(a, news->caller->number);
			break;
		case MB_MODEM_ENDED:
			edge_line_close(a->line);
			break;
		case MB_MODEM_MISSED:
			edge_complain("%s called, and was gone before being answered", number);
			break;
		case MB_MODEM_REFUSED:
			edge_complain("%s called, and is none of the callers allowed", number);
			break;
		case MB_MODEM_LIMITED:
			edge_complain("%s called, and there were too many calls within the hour", number);
			break;
		case MB_MODEM_WAITING:
			edge_complain("somebody else calls meanwhile, and is not answered");
			break;
		case MB_MODEM_NO_AUDIO:
			edge_complain("no audio comes from the modem");
			break;
		case MB_MODEM_RESTARTED:
			edge_complain("the modem begins anew");
			break;
		case MB_MODEM_PROBLEM:
			edge_complain("the modem fails at %s", news->text);
			break;
		case MB_MODEM_DIGIT:
			/* the modem's own ear misses calls as a whole; ours has heard it as well */
			break;
	}
}

static edge_exit
open_modem(answerer *a)
{
	edge_modem_options options = { .tell = tell, .context = a };
	edge_exit status = edge_answer_modem(a->options, a->device, &options);
	edge_audio_status opened;
	char problem[256];

	if (status != EDGE_EXIT_OK)
		return status;
	opened = edge_modem_open(&options, &a->modem, problem);
	return opened == EDGE_AUDIO_OK ? EDGE_EXIT_OK
								   : edge_fail(edge_exit_of_audio(opened), "%s", problem);
}

static void
turn_with_modem(answerer *a)
{
	edge_audio_status status;
	bool there;

	if (!edge_line_is_open(a->line))
	{
		/* a call whose audio could not be had */
		if (edge_modem_state(a->modem) == MB_MODEM_CALL)
			edge_modem_hang_up(a->modem);
		there = edge_modem_turn(a->modem, IDLE_MS);
	}
	else
	{
		status = edge_line_turn(a->line);
		if (status == EDGE_AUDIO_OK)
			edge_modem_heard(a->modem);
		else if (status != EDGE_AUDIO_LATER)
		{
			if (status != EDGE_AUDIO_END)
				edge_complain("%s", edge_line_problem(a->line));
			edge_line_close(a->line);
		}
		if (!edge_line_is_open(a->line) || edge_line_is_over(a->line))
			edge_modem_hang_up(a->modem);
		there = edge_modem_turn(a->modem, 0);
	}
	if (there == a->modem_away)
		edge_complain(there ? "the modem's port is back" : "the modem's port is gone");
	a->departures += !there && !a->modem_away;
	a->modem_away = !there;
}

/* ---------------------------------------------------------------------------
 * A line without a modem
 * ---------------------------------------------------------------------------
 */

static bool
one_call(const answerer *a)
{
	return strcmp(a->options->gate, "off") == 0;
}

static void
open_again(answerer *a)
{
	char problem[256];

	nanosleep(&(struct timespec){ .tv_nsec = 20 * MILLISECOND }, NULL);
	if (edge_clock() < a->retry_at)
		return;
	if (edge_line_open(a->line, a->device, &a->request, problem) == EDGE_AUDIO_OK)
	{
		edge_complain("the device is back");
		a->pause = FIRST_PAUSE;
		return;
	}
	a->pause = a->pause * 2 < LAST_PAUSE ? a->pause * 2 : LAST_PAUSE;
	a->retry_at = edge_clock() + a->pause;
}

static void
turn_without_modem(answerer *a)
{
	edge_audio_status status;

	if (!edge_line_is_open(a->line))
	{
		open_again(a);
		return;
	}
	status = edge_line_turn(a->line);
	if (status == EDGE_AUDIO_END)
		a->stop = true;
	else if (status != EDGE_AUDIO_OK && status != EDGE_AUDIO_LATER)
	{
		edge_complain("the device is away: %s", edge_line_problem(a->line));
		edge_line_close(a->line);
		a->departures++;
		a->pause = FIRST_PAUSE;
		a->retry_at = edge_clock() + a->pause;
		a->stop = one_call(a);
	}
	else if (edge_line_is_over(a->line))
	{
		edge_line_end(a->line);
		a->stop = one_call(a);
	}
}

/* ---------------------------------------------------------------------------
 * What is said of it
 * ---------------------------------------------------------------------------
 */

static const char *
state_of(const answerer *a)
{
	if (a->stop)
		return "ended";
	if (edge_line_call(a->line) != NULL)
		return "in a call";
	if (a->modem != NULL && (a->modem_away || edge_modem_state(a->modem) == MB_MODEM_STARTING ||
							 edge_modem_state(a->modem) == MB_MODEM_RESETTING))
		return "device away";
	if (a->modem == NULL && !edge_line_is_open(a->line))
		return "device away";
	return "waiting for calls";
}

static void
set_status(answerer *a, const char *state)
{
	const edge_line_counters *counters = edge_line_count(a->line);
	double rate = edge_line_traits(a->line)->sample_rate;
	char why[EDGE_JUDGE_TEXT];
	char problem[EDGE_JUDGE_TEXT + 64] = "";

	rate = rate > 0 ? rate : 8000;
	edge_judge_problem(a->judge, why);
	if (why[0] != '\0')
		snprintf(problem, sizeof(problem), "commands are not judged: %s", why);
	edge_status_set_device(
		a->status,
		&(edge_status_device){ .state = state != NULL ? state : state_of(a),
							   .device = a->device,
							   .call_id = edge_line_call(a->line),
							   .problem = problem,
							   .heard = (double) (counters->frames - counters->lost) / rate,
							   .lost = (double) counters->lost / rate,
							   .overruns = counters->overruns,
							   .suspends = counters->suspends,
							   .departures = a->departures });
	a->status_set = edge_clock();
}

/* On standard error, a line. */
static void
tell_all(answerer *a)
{
	const edge_line_counters *counters = edge_line_count(a->line);
	edge_outbox_state posting;

	edge_outbox_look(a->outbox, &posting);
	edge_complain(
		"device %s, %s; call %s; %u calls, %u commands; database %s; acknowledged %" PRIu64
		", waiting %" PRIu64 ", dropped %" PRIu64 " packets%s%s",
		a->device, state_of(a), edge_line_call(a->line) == NULL ? "none" : edge_line_call(a->line),
		counters->calls, counters->commands, edge_judge_connected(a->judge) ? "connected" : "away",
		posting.acknowledged, posting.waiting, posting.dropped,
		posting.problem[0] == '\0' ? "" : "; ", posting.problem);
}

static void
heed_signals(answerer *a)
{
	int signal;

	while ((signal = edge_signals_next(a->signals)) != 0)
	{
		if (signal == SIGUSR1)
			tell_all(a);
		else
			a->stop = true;
	}
}

/* ---------------------------------------------------------------------------
 * The program
 * ---------------------------------------------------------------------------
 */

static edge_exit
serve(answerer *a)
{
	edge_exit status = EDGE_EXIT_OK;
	char problem[256];

	if (a->options->modem != NULL)
		status = open_modem(a);
	else
	{
		edge_audio_status opened = edge_line_open(a->line, a->device, &a->request, problem);

		if (opened != EDGE_AUDIO_OK)
			status = edge_fail(edge_exit_of_audio(opened), "%s", problem);
		else if (one_call(a) && !edge_line_begin(a->line, a->options->from))
			status = edge_fail(EDGE_EXIT_FAILED, "out of memory");
		else
			edge_complain("listening: %s", edge_line_traits(a->line)->detail);
	}
	while (status == EDGE_EXIT_OK && !a->stop)
	{
		if (a->modem != NULL)
			turn_with_modem(a);
		else
			turn_without_modem(a);
		heed_signals(a);
		if (edge_clock() - a->status_set >= STATUS_EVERY)
			set_status(a, NULL);
	}
	edge_line_close(a->line);
	if (a->modem != NULL)
		edge_modem_close(a->modem);
	return status;
}

/* What the settings say of the calls. */
static edge_exit
prepare(const edge_options *options, edge_line_options *line)
{
	*line = (edge_line_options){
		.name = options->name,
		.sample_rate = options->call_rate == 0 ? 8000 : options->call_rate,
		.silence = options->silence,
		.call_minutes = options->call_minutes,
		.ready = options->ready && (options->modem != NULL || strcmp(options->gate, "off") == 0),
		.by_digit = options->modem == NULL && strcmp(options->gate, "off") != 0,
	};
	if (strcmp(options->gate, "off") != 0 && strcmp(options->gate, "dtmf") != 0)
		return edge_fail(EDGE_EXIT_USAGE, "gate: of answer must be dtmf or off");
	if (mb_encoding_from_name(options->call_encoding == NULL ? "mulaw" : options->call_encoding,
							  &line->encoding) != MB_OK)
		return edge_fail(EDGE_EXIT_USAGE, "call-encoding: must be mulaw, alaw or s16le");
	return EDGE_EXIT_OK;
}

/* Whether the database lets us; one that is away may come. */
static edge_exit
look_at_database(edge_server *server)
{
	PGresult *result = NULL;
	edge_exit status = edge_server_connect(server);

	if (status == EDGE_EXIT_UNREACHABLE)
	{
		edge_complain("%s", server->problem);
		return EDGE_EXIT_OK;
	}
	if (status == EDGE_EXIT_OK)
		status = edge_server_query(server, &result,
								   "SELECT has_function_privilege('mulberry.handle_command_symbols("
								   "text,text,text,text,text)', 'EXECUTE')",
								   0, NULL);
	if ((status == EDGE_EXIT_OK && PQgetvalue(result, 0, 0)[0] != 't') ||
		(status == EDGE_EXIT_CREDENTIALS && server->pg != NULL))
		status = edge_server_say(server, EDGE_EXIT_CREDENTIALS,
								 "role \"%s\" needs operator access to this database, and ingest "
								 "access for the audio: see grant_access()",
								 PQuser(server->pg));
	PQclear(result);
	return status == EDGE_EXIT_OK ? status : edge_fail(status, "%s", server->problem);
}

static edge_exit
run(answerer *a, edge_line_options *line, edge_server *judging, edge_server *posting)
{
	const edge_options *options = a->options;
	char rate[8];
	edge_outbox_options outbox = { .server = posting,
								   .n_tracks = EDGE_LINE_TRACKS,
								   .seconds = options->memory,
								   .batch_ms = options->batch_ms,
								   .grace = options->grace,
								   .spool = options->spool,
								   .spool_bytes = options->spool_bytes,
								   .spool_free = options->spool_free,
								   .spool_sync = options->spool_sync,
								   .spool_pace = options->spool_pace };
	edge_exit status = EDGE_EXIT_OK;
	edge_exit posted;

	snprintf(rate, sizeof(rate), "%d", line->sample_rate);
	outbox.call = (edge_call){ .tenant = options->tenant,
							   .direction = "inbound",
							   .attributes = options->attributes,
							   .encoding = mb_encoding_name(line->encoding),
							   .sample_rate = rate,
							   .whole = true };
	for (int i = 0; i < EDGE_LINE_TRACKS; i++)
		outbox.track[i] = edge_line_tracks[i];
	outbox.status = a->status = edge_status_new("answer", options->name, options->tenant);
	a->judge = edge_judge_start(judging, options->tenant);
	if (a->status != NULL && a->judge != NULL)
		a->outbox = edge_outbox_start(&outbox, &status);
	line->judge = a->judge;
	line->outbox = a->outbox;
	if (a->outbox != NULL && strcmp(options->speech, "off") != 0)
		line->speech = a->speech = edge_speech_start(options->speech);
	if (a->outbox != NULL && (a->speech != NULL || strcmp(options->speech, "off") == 0))
		a->line = edge_line_new(line);
	if (a->line == NULL)
	{
		edge_speech_stop(a->speech);
		if (a->outbox != NULL)
			edge_outbox_stop(a->outbox);
		edge_judge_stop(a->judge);
		return status != EDGE_EXIT_OK ? status : edge_fail(EDGE_EXIT_FAILED, "out of memory");
	}
	status = serve(a);
	tell_all(a);
	set_status(a, "ended");
	edge_line_free(a->line);
	edge_speech_stop(a->speech);
	posted = edge_outbox_stop(a->outbox);
	edge_judge_stop(a->judge);
	return posted != EDGE_EXIT_OK ? posted : status;
}

edge_exit
edge_answer(const edge_options *options)
{
	edge_server judging = { .conninfo = options->database };
	edge_server posting = { .conninfo = options->database };
	answerer a = { .options = options,
				   .device = options->n_words > 1 ? options->word[1] : options->device,
				   .request = edge_options_request(options) };
	edge_line_options line;
	edge_exit status = prepare(options, &line);

	if (a.device == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "answer needs a device, such as alsa:hw:CARD=Device");
	if (status == EDGE_EXIT_OK)
		status = look_at_database(&judging);
	if (status != EDGE_EXIT_OK)
	{
		edge_server_disconnect(&judging);
		return status;
	}
	/* before there are threads, which would take them */
	a.signals = edge_signals_catch();
	status = run(&a, &line, &judging, &posting);
	edge_server_disconnect(&judging);
	edge_server_disconnect(&posting);
	edge_status_free(a.status);
	close(a.signals);
	return status;
}
