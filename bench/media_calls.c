/*
 * media_calls.c
 *	  Hundreds of callers of Twilio's Media Streams from one thread, who speak, listen and interrupt, and what they hear.
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
 *
 * A caller sends a frame each 20 ms and plays what comes in frames of 20 ms, in real time.  What he hears is looked at frame by frame: a pause
 * in the midst of an answer is a gap, since whoever speaks makes none.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/audio/g711.h"
#include "core/web/twilio_signature.h"
#include "gateway/base64.h"
#include "http/client.h"

#define FRAME 160
#define FRAME_TEXT GW_BASE64_LENGTH(FRAME)
#define FRAME_TIME (20 * HTTP_MILLISECOND)
#define PHASES 20 /* calls have their frames at so many moments */
#define MAX_FRAMES 3000
#define MAX_QUEUE 1024 /* frames that wait to be played */
#define MAX_MARKS 128
#define MAX_VALUES 2000000
#define LOUD 600
#define QUIET_AT_THE_END 40 /* frames, of an answer */
#define PATIENCE 750		/* frames until an answer begins */
#define MAX_GAP 25			/* frames; more of them are the end of what was said */

typedef enum doing
{
	NOTHING,
	WAITING,   /* until it speaks */
	SPEAKING,  /* a question */
	EXPECTING, /* an answer */
	LISTENING, /* to it */
	CUTTING	   /* into it, by speech */
} doing;

typedef enum way
{
	TO_ITS_END,
	BY_A_KEY,
	BY_SPEECH,
	WAYS
} way;

typedef struct mark
{
	char name[16];
	unsigned place; /* frames that lie before it */
} mark;

typedef struct call
{
	int number;
	char call_id[35];
	char sid[35];
	char answer[4096];
	size_t n_answer;
	http_line *line;
	bool open;
	bool began;
	bool leaving;
	int left; /* frames, of a short one */
	int phase;
	unsigned sequence;
	unsigned chunk;

	/* what is played: whether each frame sounds */
	bool queue[MAX_QUEUE];
	unsigned queued; /* frames that came */
	unsigned played;
	mark marks[MAX_MARKS];
	int n_marks;
	unsigned clock; /* frames since it began */

	doing doing;
	way way;
	int wait;		   /* frames */
	int spoken;		   /* of the voice */
	int since;		   /* frames since the end of the question, or of what is waited for */
	int quiet;		   /* frames without a sound, of an answer */
	int64_t since_key; /* 0: none was pressed */
	int64_t next;	   /* its next frame is due */
	struct call *following;
} call;

typedef struct values
{
	const char *name;
	float *list;
	size_t n;
} values;

static http_loop *loop;
static http_client *client;
static http_timer beat;
static const char *port, *base, *token, *account, *number, *name = "00";
static char voice[MAX_FRAMES][FRAME_TEXT];
static int n_voice;
static char silence[FRAME_TEXT];
static call *first;
static int n_calls, n_open, n_wanted, n_made, n_refused, n_lost;
static int64_t connect_every, next_connect;
static int short_left, short_at_once, short_frames, n_done;
static bool talking, counting, hanging, told_connected;

static values waits = { .name =
							"waits_ms" }; /* end of a question to the first sound of the answer */
static values stops = { .name = "stops_ms" }; /* beginning of speech to silence */
static values keys = { .name = "keys_ms" };	  /* a key to the clear that follows */
static values gaps = { .name = "gaps_ms" };	  /* in answers */
static values late = { .name = "late_ms" };	  /* our own frames */
static unsigned answers, unanswered, heard_frames, cut, uncut;

static void
die(const char *what)
{
	fprintf(stderr, "media_calls: %s\n", what);
	exit(1);
}

static void
add(values *v, double value)
{
	if (v->list == NULL)
		v->list = malloc(MAX_VALUES * sizeof(*v->list));
	if (v->list == NULL)
		die("out of memory");
	if (counting && v->n < MAX_VALUES)
		v->list[v->n++] = (float) value;
}

/* From 0 to below n; the same each time the program runs. */
static int
dice(int n)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (int) (state % (uint64_t) n);
}

/* --- what is said ------------------------------------------------------------------ */

static void
send_text(call *c, const char *text, size_t n)
{
	if (c->line != NULL && c->open)
		(void) http_line_send(c->line, true, text, n);
}

static void
send_frame(call *c, const char *payload)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
					 "{\"event\":\"media\",\"sequenceNumber\":\"%u\",\"media\":{\"track\":"
					 "\"inbound\",\"chunk\":\"%u\","
					 "\"timestamp\":\"%u\",\"payload\":\"",
					 ++c->sequence, c->chunk + 1, c->chunk * 20);

	c->chunk++;
	memcpy(text + n, payload, FRAME_TEXT);
	n += FRAME_TEXT;
	n += snprintf(text + n, sizeof(text) - n, "\"},\"streamSid\":\"%s\"}", c->sid);
	send_text(c, text, (size_t) n);
}

static void
send_event(call *c, const char *event, const char *format, const char *value)
{
	char text[1024];
	char within[700];
	int n;

	snprintf(within, sizeof(within), format, value);
	n = snprintf(text, sizeof(text),
				 "{\"event\":\"%s\",\"sequenceNumber\":\"%u\",%s,\"streamSid\":\"%s\"}", event,
				 ++c->sequence, within, c->sid);
	send_text(c, text, (size_t) n);
}

static void
echo_mark(call *c, const mark *m)
{
	send_event(c, "mark", "\"mark\":{\"name\":\"%s\"}", m->name);
}

/* --- what is heard ----------------------------------------------------------------- */

/* Marks before which everything was played. */
static void
echo_marks(call *c, bool all)
{
	int n = 0;

	while (n < c->n_marks && (all || (int) (c->marks[n].place - c->played) <= 0))
		echo_mark(c, &c->marks[n++]);
	c->n_marks -= n;
	memmove(c->marks, c->marks + n, (size_t) c->n_marks * sizeof(*c->marks));
}

static const char *
value_of(const char *text, size_t n, const char *key, size_t *length)
{
	const char *at = memmem(text, n, key, strlen(key));
	const char *end;

	if (at == NULL)
		return NULL;
	at += strlen(key);
	end = memchr(at, '"', (size_t) (text + n - at));
	*length = end == NULL ? 0 : (size_t) (end - at);
	return end == NULL ? NULL : at;
}

static void
take_audio(call *c, const char *payload, size_t n)
{
	size_t length = 0;
	unsigned char *audio = gw_base64_decode(payload, n, &length);

	if (audio == NULL || length % FRAME != 0)
		die("what came is no audio of whole frames");
	for (size_t at = 0; at < length; at += FRAME)
	{
		bool sounds = false;

		for (size_t i = 0; i < FRAME && !sounds; i += 2)
			sounds = abs(mb_mulaw_decode(audio[at + i])) > LOUD;
		if (c->queued - c->played == MAX_QUEUE)
			die("more was sent than can be played");
		c->queue[c->queued++ % MAX_QUEUE] = sounds;
	}
	free(audio);
}

static void
take_message(void *arg, bool text, const char *bytes, size_t n)
{
	call *c = arg;
	size_t length;
	const char *value;

	if (!text)
		die("a message is binary");
	if ((value = value_of(bytes, n, "\"payload\":\"", &length)) != NULL)
		take_audio(c, value, length);
	else if ((value = value_of(bytes, n, "\"mark\":{\"name\":\"", &length)) != NULL)
	{
		mark *m = &c->marks[c->n_marks++];

		if (c->n_marks == MAX_MARKS || length >= sizeof(m->name))
			die("too many marks");
		memcpy(m->name, value, length);
		m->name[length] = '\0';
		m->place = c->queued;
		echo_marks(c, false);
	}
	else if (memmem(bytes, n, "\"clear\"", 7) != NULL)
	{
		if (c->since_key != 0)
			add(&keys, (double) (http_clock() - c->since_key) / HTTP_MILLISECOND);
		c->since_key = 0;
		c->played = c->queued;
		echo_marks(c, true);
	}
	else
		die("a message is none");
}

/* --- a caller ---------------------------------------------------------------------- */

static void
wait_to_speak(call *c)
{
	c->doing = WAITING;
	c->wait = 50 + dice(100);
}

static void
begin_answer(call *c)
{
	add(&waits, c->since * 20);
	answers += counting;
	c->doing = LISTENING;
	c->quiet = 0;
	c->way = c->number % 2 == 0 ? TO_ITS_END : (way) dice(WAYS);
	/* the second half of a sentence is no place for a key that ends it, nor the first second */
	c->wait = 75 + dice(150);
}

/* A frame was played: whether it sounded. */
static void
hear(call *c, bool sounds)
{
	heard_frames += counting && sounds;
	switch (c->doing)
	{
		case EXPECTING:
			if (sounds)
				begin_answer(c);
			else if (++c->since > PATIENCE)
			{
				unanswered += counting;
				wait_to_speak(c);
			}
			break;
		case LISTENING:
			if (sounds && c->quiet > 0 && c->quiet <= MAX_GAP && c->since_key == 0)
				add(&gaps, c->quiet * 20);
			c->quiet = sounds ? 0 : c->quiet + 1;
			if (c->quiet > QUIET_AT_THE_END)
				wait_to_speak(c);
			else if (c->way != TO_ITS_END && --c->wait == 0 && sounds)
			{
				if (c->way == BY_A_KEY)
				{
					c->since_key = http_clock();
					send_event(c, "dtmf", "\"dtmf\":{\"track\":\"inbound_track\",\"digit\":\"%s\"}",
							   "9");
					wait_to_speak(c);
					c->wait += 100;
				}
				else
				{
					c->doing = CUTTING;
					c->spoken = 0;
					c->since = 0;
				}
			}
			break;
		case CUTTING:
			c->since++;
			if (!sounds && c->quiet == 0)
				add(&stops, c->since * 20);
			c->quiet = sounds ? 0 : c->quiet + 1;
			if (c->spoken == n_voice)
			{
				/* what he has said instead is a question as well */
				cut += counting && !sounds;
				uncut += counting && sounds;
				c->doing = EXPECTING;
				c->since = 0;
			}
			break;
		default:
			break;
	}
}

static const char *
next_frame(call *c)
{
	if (c->doing == WAITING && c->wait-- <= 0)
	{
		c->doing = SPEAKING;
		c->spoken = 0;
	}
	if ((c->doing == SPEAKING || c->doing == CUTTING) && c->spoken < n_voice)
	{
		const char *frame = voice[c->spoken++];

		if (c->doing == SPEAKING && c->spoken == n_voice)
		{
			c->doing = EXPECTING;
			c->since = 0;
		}
		return frame;
	}
	return silence;
}

/* 20 ms of a call: what was to be played, and what is said. */
static void
turn(call *c)
{
	bool sounds = false;

	echo_marks(c, false);
	if (c->played != c->queued)
		sounds = c->queue[c->played++ % MAX_QUEUE];
	hear(c, sounds);
	echo_marks(c, false);
	send_frame(c, next_frame(c));
	if (c->left > 0 && --c->left == 0)
		c->leaving = true;
	if (c->leaving)
	{
		send_event(c, "stop", "\"stop\":{\"callSid\":\"%s\"}", c->call_id);
		c->open = false;
	}
}

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
	const char *pairs[6][2] = { { "AccountSid", account },	{ "CallSid", c->call_id },
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

	if (!c->leaving)
	{
		fprintf(stderr, "media_calls: a stream was closed: %d %s\n", code, why);
		n_lost++;
	}
	n_open -= c->began ? 1 : 0;
	c->open = false;
	c->line = NULL;
	tell(c, "/twilio/status", "completed", is_told);
}

static void
is_open(void *arg)
{
	call *c = arg;
	static const char connected[] =
		"{\"event\":\"connected\",\"protocol\":\"Call\",\"version\":\"1.0.0\"}";
	char start[700];
	size_t length;
	const char *secret = value_of(c->answer, c->n_answer, "name=\"token\" value=\"", &length);

	if (secret == NULL)
		die("the call has no token");
	c->open = true;
	send_text(c, connected, sizeof(connected) - 1);
	snprintf(start, sizeof(start),
			 "\"start\":{\"accountSid\":\"%s\",\"streamSid\":\"%s\",\"callSid\":\"%s\",\"tracks\":["
			 "\"inbound\"],"
			 "\"mediaFormat\":{\"encoding\":\"audio/x-mulaw\",\"sampleRate\":8000,\"channels\":1},"
			 "\"customParameters\":{\"token\":\"%.*s\"}}",
			 account, c->sid, c->call_id, (int) length, secret);
	send_event(c, "start", "%s", start);
	c->next = http_clock() + FRAME_TIME;
	c->began = true;
	c->left = short_frames;
	n_open++;
	if (talking)
	{
		wait_to_speak(c);
		c->wait += 150 + dice(700);
	}
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
	c->line = http_client_dial(
		client,
		&(http_dial){ .url = url,
					  .headers = (const char *const[]){ header, NULL },
					  .reach = { .allow_http = true, .allow_private = true, .first_ms = 30000 },
					  .open = is_open,
					  .message = take_message,
					  .closed = is_closed,
					  .arg = c });
	if (c->line == NULL)
		die("cannot dial");
}

static void
come_in(void)
{
	call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		die("out of memory");
	c->number = n_made++;
	snprintf(c->call_id, sizeof(c->call_id), "CA%s%030x", name, (unsigned) c->number);
	snprintf(c->sid, sizeof(c->sid), "MZ%s%030x", name, (unsigned) c->number);
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
		while (c->open && c->next <= now)
		{
			add(&late, (double) (now - c->next) / HTTP_MILLISECOND);
			c->next += FRAME_TIME;
			turn(c);
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

static int
ascending(const void *a, const void *b)
{
	return (*(const float *) a > *(const float *) b) - (*(const float *) a < *(const float *) b);
}

static void
print_values(values *v)
{
	static const double shares[] = { 0.5, 0.95, 0.99, 1 };

	qsort(v->list, v->n, sizeof(*v->list), ascending);
	printf("\"%s\":{\"n\":%zu", v->name, v->n);
	for (int i = 0; i < 4; i++)
		printf(",\"%g\":%.1f", 100 * shares[i],
			   v->n == 0 ? 0.0 : v->list[(size_t) ((double) (v->n - 1) * shares[i])]);
	printf("},");
}

static void
print_figures(void)
{
	printf("figures {");
	for (values **v = (values *[]){ &waits, &stops, &keys, &gaps, &late, NULL }; *v != NULL; v++)
		print_values(*v);
	printf("\"open\":%d,\"refused\":%d,\"lost\":%d,\"answers\":%u,\"unanswered\":%u,\"cut\":%u,"
		   "\"uncut\":%u,"
		   "\"heard_s\":%u}\n",
		   n_open, n_refused, n_lost, answers, unanswered, cut, uncut, heard_frames / 50);
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
		{
			wait_to_speak(c);
			c->wait = dice(700);
		}
	}
	else if (strcmp(command, "count") == 0)
	{
		counting = true;
		waits.n = stops.n = keys.n = gaps.n = late.n = 0;
		answers = unanswered = cut = uncut = heard_frames = 0;
	}
	else if (strcmp(command, "figures") == 0)
		print_figures();
	else if (strcmp(command, "hang") == 0)
	{
		hanging = true;
		for (call *c = first; c != NULL; c = c->following)
			c->leaving = true;
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

static void
read_voice(const char *path)
{
	FILE *file = fopen(path, "rb");
	unsigned char frame[FRAME];

	if (file == NULL)
		die(path);
	while (n_voice < MAX_FRAMES && fread(frame, FRAME, 1, file) == 1)
		gw_base64_encode(frame, FRAME, voice[n_voice++]);
	fclose(file);
	memset(frame, 0xff, FRAME);
	gw_base64_encode(frame, FRAME, silence);
}

int
main(int argc, char **argv)
{
	http_watch input = { .fd = 0, .ready = take_input };
	struct rlimit limit;

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
			read_voice(argv[i] + 6);
	}
	loop = http_loop_new();
	client = loop == NULL ? NULL : http_client_new(loop);
	if (client == NULL || port == NULL || base == NULL || token == NULL || account == NULL ||
		number == NULL || n_voice == 0)
		die("usage: media_calls port=… base=… token=… account=… number=… voice=… [name=…]");
	if (!http_loop_add(loop, &input, EPOLLIN))
		die("no input");
	beat = (http_timer){ .due = go_on };
	http_loop_set_timer(loop, &beat, http_clock());
	for (;;)
		http_loop_turn(loop, -1);
}
