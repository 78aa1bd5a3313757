/*
 * modem.c
 *	  A modem that answers calls; see modem.h.
 */
#include "modem.h"

#include <stdlib.h>
#include <time.h>

#include "port.h"

#define MILLISECOND INT64_C(1000000)
#define LEAST_PAUSE 500
#define MOST_PAUSE 10000
/* What is said to a modem that is left: no more than this is waited for. */
#define LEAVE_MS 3000

struct edge_modem
{
	edge_modem_options options;
	mb_modem control;
	edge_port *port; /* NULL: it is gone */
	int64_t retry_at;
	int pause;
};

static int64_t
now_ms(void)
{
	return edge_clock() / MILLISECOND;
}

static void
send(void *context, const char *command)
{
	edge_modem *modem = context;

	/* a port that is gone is noticed by reading */
	if (modem->port != NULL)
		edge_port_send(modem->port, command);
}

static void
tell(void *context, const mb_modem_news *news)
{
	edge_modem *modem = context;

	modem->options.tell(modem->options.context, news);
}

edge_audio_status
edge_modem_open(const edge_modem_options *options, edge_modem **modem, char *problem)
{
	edge_modem *made = calloc(1, sizeof(*made));
	edge_audio_status status = EDGE_AUDIO_BUSY;

	*modem = NULL;
	if (made == NULL)
		return status;
	made->options = *options;
	made->pause = LEAST_PAUSE;
	status = edge_port_open(options->port, &made->port, problem);
	if (status != EDGE_AUDIO_OK)
	{
		free(made);
		return status;
	}
	made->control.profile = &made->options.profile;
	made->control.rules = &made->options.rules;
	made->control.send = send;
	made->control.tell = tell;
	made->control.context = made;
	mb_modem_begin(&made->control, now_ms());
	*modem = made;
	return EDGE_AUDIO_OK;
}

/* The port is gone: whatever call there was is over, and the modem will begin anew. */
static void
lose(edge_modem *modem)
{
	static const mb_at_event restarted = { .kind = MB_AT_RESTARTED, .text = "" };
	edge_port *port = modem->port;

	/* whoever has audio on the same port gives it back when told */
	mb_modem_take(&modem->control, &restarted, now_ms());
	modem->port = NULL;
	edge_port_close(port);
	modem->pause = LEAST_PAUSE;
	modem->retry_at = now_ms() + modem->pause;
}

static void
find_again(edge_modem *modem)
{
	char problem[256];

	if (now_ms() < modem->retry_at)
		return;
	if (edge_port_open(modem->options.port, &modem->port, problem) == EDGE_AUDIO_OK)
	{
		mb_modem_begin(&modem->control, now_ms());
		return;
	}
	modem->pause = modem->pause * 2 < MOST_PAUSE ? modem->pause * 2 : MOST_PAUSE;
	modem->retry_at = now_ms() + modem->pause;
}

static void
sleep_ms(int64_t ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MILLISECOND };

	nanosleep(&time, NULL);
}

bool
edge_modem_turn(edge_modem *modem, int timeout)
{
	static const mb_at_event restarted = { .kind = MB_AT_RESTARTED, .text = "" };
	int64_t until = now_ms() + timeout;
	int64_t next;

	if (modem->port == NULL)
		find_again(modem);
	if (modem->port == NULL)
	{
		sleep_ms(timeout);
		return false;
	}
	if (edge_port_restarted(modem->port))
		mb_modem_take(&modem->control, &restarted, now_ms());
	next = mb_modem_turn(&modem->control, now_ms());
	if (edge_port_taken(modem->port))
	{
		sleep_ms(timeout);
		return true;
	}
	do
	{
		int64_t wait = (next < until ? next : until) - now_ms();
		mb_at_event event;
		int state = edge_port_hear(modem->port, &event, wait > 0 ? (int) wait : 0);

		if (state < 0)
		{
			lose(modem);
			return false;
		}
		if (state > 0)
			mb_modem_take(&modem->control, &event, now_ms());
		next = mb_modem_turn(&modem->control, now_ms());
	} while (now_ms() < until && !edge_port_taken(modem->port));
	return true;
}

void
edge_modem_heard(edge_modem *modem)
{
	mb_modem_heard(&modem->control, now_ms());
}

void
edge_modem_hang_up(edge_modem *modem)
{
	mb_modem_hang_up(&modem->control, now_ms());
}

mb_modem_state
edge_modem_state(const edge_modem *modem)
{
	return modem->control.state;
}

void
edge_modem_close(edge_modem *modem)
{
	int64_t until = now_ms() + LEAVE_MS;

	edge_modem_hang_up(modem);
	while (modem->control.state == MB_MODEM_ENDING && modem->port != NULL && now_ms() < until)
		edge_modem_turn(modem, 20);
	if (modem->port != NULL)
		edge_port_close(modem->port);
	free(modem);
}
