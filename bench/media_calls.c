/*
 * media_calls.c
 *	  Hundreds of callers of Twilio's Media Streams (media_caller.c) from one thread: they come in and go as they are told to.
 *
 * usage: media_calls NAME=VALUE …
 *		  port, base (the public URL), token (of the account), account, number; voice (a file of mu-law: what callers say)
 *		  name (two hexadecimal digits, of these calls)
 *
 * Reads a command a line:
 *	connect N RATE		N calls come in, so many a second, and say nothing; "connected" when all of them stream
 *	talk				from now on they converse: a question, an answer that is heard to its end, or interrupted by a key or by speech
 *	count				forgets what was measured up to now
 *	figures				what was measured
 *	hang				all of them end; "hung" when that is done
 *	short N AT_ONCE MS	N calls of that length, one after another, AT_ONCE at a time; "short n" for each 1000, "hung" at the end
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/web/twilio_signature.h"
#include "media_caller.h"
#include "media_figures.h"

typedef struct call
{
	caller caller;
	char answer[4096]; /* to the webhook */
	size_t n_answer;
	bool began;
	int64_t next; /* its next frame is due */
	struct call *following;
} call;

static http_loop *loop;
static http_client *client;
static http_timer beat;
static const char *port, *base, *token, *account, *number, *name = "00";
static call *first;
static int n_calls, n_open, n_wanted, n_made, n_refused, n_lost;
static int64_t connect_every, next_connect;
static int short_left, short_at_once, short_frames, n_done;
static bool talking, hanging, told_connected;

/* --- how a call comes in and goes -------------------------------------------------- */

static void
sign(const char *url, mb_form_field *fields, size_t n, char *header, size_t size)
{
	char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];

	if (mb_twilio_sign(token, strlen(token), url, strlen(url), fields, n, signature) != MB_OK)
		die("cannot sign");
	snprintf(header, size, "X-Twilio-Signature: %s", signature);
}

static void
has_answered(void *arg, int status, const char *bytes, size_t n)
{
	call *c = arg;

	if (status == 200 && c->n_answer + n < sizeof(c->answer))
	{
		memcpy(c->answer + c->n_answer, bytes, n);
		c->n_answer += n;
	}
}

/* A webhook of Twilio's. */
static void
tell(call *c, const char *path, const char *status, void (*done)(void *, int, const char *))
{
	mb_form_field fields[6];
	const char *pairs[6][2] = { { "AccountSid", account },	{ "CallSid", c->caller.call_id },
								{ "From", "+12025550123" }, { "To", number },
								{ "CallStatus", status },	{ "SequenceNumber", "1" } };
	char body[512] = "";
	char header[128];
	char url[512];
	size_t n = 0;

	for (int i = 0; i < 6; i++)
	{
		fields[i] =
			(mb_form_field){ pairs[i][0], strlen(pairs[i][0]), pairs[i][1], strlen(pairs[i][1]) };
		n += (size_t) snprintf(body + n, sizeof(body) - n, "%s%s=%s%s", i == 0 ? "" : "&",
							   pairs[i][0], pairs[i][1][0] == '+' ? "%2B" : "",
							   pairs[i][1] + (pairs[i][1][0] == '+'));
	}
	snprintf(url, sizeof(url), "%s%s", base, path);
	sign(url, fields, 6, header, sizeof(header));
	snprintf(url, sizeof(url), "http://127.0.0.1:%s%s", port, path);
	if (http_client_ask(
			client,
			&(http_ask){
				.url = url,
				.headers = (const char *const[]){ "Content-Type: application/x-www-form-urlencoded",
												  header, NULL },
				.body = body,
				.length = n,
				.reach = { .allow_http = true, .allow_private = true, .first_ms = 30000 },
				.piece = has_answered,
				.done = done,
				.arg = c }) == NULL)
		die("cannot ask");
}

static void
forget(call *c)
{
	call **place = &first;

	while (*place != c)
		place = &(*place)->following;
	*place = c->following;
	n_calls--;
	if (short_left + short_at_once > 0 && ++n_done % 1000 == 0)
		printf("short %d\n", n_done);
	if (n_calls == 0 && (hanging || short_at_once > 0) && short_left == 0)
	{
		printf("hung\n");
		hanging = false;
		short_at_once = 0;
	}
	fflush(stdout);
	free(c);
}

static void
is_told(void *arg, int status, const char *why)
{
	if (status != 204 && status != 200)
		fprintf(stderr, "media_calls: an end was not taken: %d %s\n", status, why);
	forget(arg);
}

static void
is_closed(void *arg, int code, const char *why)
{
	call *c = arg;

	if (!c->caller.leaving)
	{
		fprintf(stderr, "media_calls: a stream was closed: %d %s\n", code, why);
		n_lost++;
	}
	n_open -= c->began ? 1 : 0;
	c->caller.open = false;
	c->caller.line = NULL;
	tell(c, "/twilio/status", "completed", is_told);
}

static void
is_open(void *arg)
{
	call *c = arg;
	size_t length;
	const char *secret = caller_value(c->answer, c->n_answer, "name=\"token\" value=\"", &length);

	if (secret == NULL)
		die("the call has no token");
	caller_begin(&c->caller, account, secret, length);
	c->next = http_clock() + CALLER_FRAME_TIME;
	c->began = true;
	c->caller.left = short_frames;
	n_open++;
	if (talking)
		caller_talk(&c->caller, 200);
}

static void
take_message(void *arg, bool text, const char *bytes, size_t n)
{
	call *c = arg;

	caller_take(&c->caller, text, bytes, n);
}

static void
has_come_in(void *arg, int status, const char *why)
{
	call *c = arg;
	char header[128];
	char url[512];

	if (status != 200 || why != NULL)
	{
		fprintf(stderr, "media_calls: a call was not taken: %d %s\n", status, why);
		n_refused++;
		forget(c);
		return;
	}
	snprintf(url, sizeof(url), "wss%s/twilio/ws", strchr(base, ':'));
	sign(url, NULL, 0, header, sizeof(header));
	snprintf(url, sizeof(url), "ws://127.0.0.1:%s/twilio/ws", port);
	c->caller.line = http_client_dial(
		client,
		&(http_dial){ .url = url,
					  .headers = (const char *const[]){ header, NULL },
					  .reach = { .allow_http = true, .allow_private = true, .first_ms = 30000 },
					  .open = is_open,
					  .message = take_message,
					  .closed = is_closed,
					  .arg = c });
	if (c->caller.line == NULL)
		die("cannot dial");
}

static void
come_in(void)
{
	call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		die("out of memory");
	c->caller.number = n_made++;
	snprintf(c->caller.call_id, sizeof(c->caller.call_id), "CA%s%030x", name,
			 (unsigned) c->caller.number);
	snprintf(c->caller.sid, sizeof(c->caller.sid), "MZ%s%030x", name, (unsigned) c->caller.number);
	c->following = first;
	first = c;
	n_calls++;
	tell(c, "/twilio/voice", "ringing", has_come_in);
}

/* --- all of it --------------------------------------------------------------------- */

/* Each millisecond: the frames that are due. */
static void
go_on(void *arg)
{
	int64_t now = http_clock();

	(void) arg;
	while (n_wanted > 0 && now >= next_connect)
	{
		come_in();
		n_wanted--;
		next_connect += connect_every;
	}
	while (short_left > 0 && n_calls < short_at_once)
	{
		come_in();
		short_left--;
	}
	for (call *c = first, *next; c != NULL; c = next)
	{
		next = c->following;
		while (c->caller.open && c->next <= now)
		{
			figures_add(LATE, (double) (now - c->next) / HTTP_MILLISECOND);
			c->next += CALLER_FRAME_TIME;
			caller_turn(&c->caller);
		}
	}
	if (!told_connected && n_wanted == 0 && n_open == n_calls && n_open > 0)
	{
		printf("connected\n");
		fflush(stdout);
		told_connected = true;
	}
	http_loop_set_timer(loop, &beat, now + HTTP_MILLISECOND);
}

static void
print_figures(void)
{
	printf("figures {");
	figures_print();
	printf("\"open\":%d,\"refused\":%d,\"lost\":%d}\n", n_open, n_refused, n_lost);
	fflush(stdout);
}

static void
carry_out(const char *command)
{
	int n, at_once, ms;

	if (sscanf(command, "connect %d %d", &n, &at_once) == 2)
	{
		n_wanted = n;
		connect_every = HTTP_SECOND / at_once;
		next_connect = http_clock();
		told_connected = false;
	}
	else if (sscanf(command, "short %d %d %d", &n, &at_once, &ms) == 3)
	{
		short_left = n;
		short_at_once = at_once;
		short_frames = ms / 20;
		told_connected = true;
	}
	else if (strcmp(command, "talk") == 0)
	{
		talking = true;
		for (call *c = first; c != NULL; c = c->following)
			caller_talk(&c->caller, 0);
	}
	else if (strcmp(command, "count") == 0)
		figures_begin();
	else if (strcmp(command, "figures") == 0)
		print_figures();
	else if (strcmp(command, "hang") == 0)
	{
		hanging = true;
		for (call *c = first; c != NULL; c = c->following)
			c->caller.leaving = true;
	}
	else
		die(command);
}

static void
take_input(void *arg, uint32_t events)
{
	static char text[4096];
	static size_t length;
	ssize_t n = read(0, text + length, sizeof(text) - length);
	char *end;

	(void) arg;
	(void) events;
	if (n <= 0)
		exit(0);
	length += (size_t) n;
	while ((end = memchr(text, '\n', length)) != NULL)
	{
		*end = '\0';
		carry_out(text);
		length -= (size_t) (end + 1 - text);
		memmove(text, end + 1, length);
	}
}

int
main(int argc, char **argv)
{
	http_watch input = { .fd = 0, .ready = take_input };
	struct rlimit limit;
	bool speaks = false;

	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 1; i < argc; i++)
	{
		static const struct
		{
			const char *name;
			const char **value;
		} options[] = { { "port=", &port },		  { "base=", &base },	  { "token=", &token },
						{ "account=", &account }, { "number=", &number }, { "name=", &name } };

		for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++)
		{
			if (strncmp(argv[i], options[k].name, strlen(options[k].name)) == 0)
				*options[k].value = argv[i] + strlen(options[k].name);
		}
		if (strncmp(argv[i], "voice=", 6) == 0)
			speaks = caller_read_voice(argv[i] + 6);
	}
	loop = http_loop_new();
	client = loop == NULL ? NULL : http_client_new(loop);
	if (client == NULL || port == NULL || base == NULL || token == NULL || account == NULL ||
		number == NULL || !speaks)
		die("usage: media_calls port=… base=… token=… account=… number=… voice=… [name=…]");
	if (!http_loop_add(loop, &input, EPOLLIN))
		die("no input");
	beat = (http_timer){ .due = go_on };
	http_loop_set_timer(loop, &beat, http_clock());
	for (;;)
		http_loop_turn(loop, -1);
}
