/*
 * scrape.c
 *	  GET /metrics: the gateway's own figures and, where a token for that is given, those of the database.
 *
 * The gateway's are always there, and soon: what the database says is waited for two seconds at most, and not at all
 * while it cannot be reached.  Then mulberry_sql_up is 0.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "gateway.h"
#include "log.h"
#include "session.h"

#define PATIENCE (2 * HTTP_SECOND)

static const gw_statement metrics_text = { "metrics_text", "SELECT mulberry.metrics_text()", true };

typedef struct scrape
{
	gw_unit unit;
	gw_gateway *gateway;
	http_id id; /* of the request, which may be over */
	http_timer timer;
	bool answered;
} scrape;

static void
process(program_text *text)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	program_text_printf(text,
						"# HELP process_cpu_seconds_total CPU time of this process.\n"
						"# TYPE process_cpu_seconds_total counter\n"
						"process_cpu_seconds_total %.6f\n",
						(double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
							(double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

/* sql: what the database said, NULL when it said nothing. */
static void
respond(gw_gateway *gateway, http_id id, const char *sql)
{
	program_text text = { 0 };
	http_answer answer = { .status = 200,
						   .content_type = "text/plain; version=0.0.4; charset=utf-8" };

	gw_write_metrics(gateway, &text);
	process(&text);
	if (gateway->options->metrics_token != NULL)
		program_text_printf(
			&text,
			"# HELP mulberry_sql_up Whether the database's figures are among these.\n"
			"# TYPE mulberry_sql_up gauge\n"
			"mulberry_sql_up %d\n",
			sql != NULL);
	if (sql != NULL)
		program_text_puts(&text, sql);
	answer.body = text.failed ? "" : text.data;
	answer.length = text.failed ? 0 : text.length;
	http_respond(gateway->admin, id, &answer);
	program_text_free(&text);
}

static void
time_is_over(void *arg)
{
	scrape *s = arg;

	s->answered = true;
	respond(s->gateway, s->id, NULL);
}

static void
done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	scrape *s = (scrape *) unit;

	http_loop_clear_timer(s->gateway->loop, &s->timer);
	if (outcome == GW_REFUSED || outcome == GW_FAILED)
		gw_log(GW_WARNING, "the database does not give its figures",
			   "%s: is metrics-token one of access monitor?", gw_sqlstate(result));
	if (!s->answered)
		respond(s->gateway, s->id,
				outcome == GW_COMMITTED && PQntuples(result) == 1 ? PQgetvalue(result, 0, 0)
																  : NULL);
	free(s);
}

/* GET /metrics */
void
gw_handle_metrics(gw_call *call)
{
	gw_gateway *gateway = call->gateway;
	http_id id = http_request_id(call->request);
	scrape *s = NULL;

	if (gateway->options->metrics_token != NULL && gw_database_up(gateway->database))
		s = calloc(1, sizeof(*s));
	if (s == NULL)
	{
		respond(gateway, id, NULL);
		return;
	}
	s->gateway = gateway;
	s->id = id;
	s->unit.token = gateway->options->metrics_token;
	s->unit.statement = &metrics_text;
	s->unit.done = done;
	s->timer = (http_timer){ .due = time_is_over, .arg = s };
	http_loop_set_timer(gateway->loop, &s->timer, http_clock() + PATIENCE);
	gw_database_add(gateway->database, &s->unit);
}
