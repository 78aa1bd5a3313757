/*
 * media_engines.c
 *	  Services of speech and of language that cost next to nothing, for loads of hundreds of calls: Deepgram's WebSocket that listens,
 *	  OpenAI's chat and speech.
 *
 * usage: media_engines EAR MODEL MOUTH PHRASE ANSWER
 *		  milliseconds until each of them answers; what is heard whenever somebody has spoken; what is replied.  "#" in the answer
 *		  is a number that grows, so that no two of them are the same.
 *
 * Prints its port.  Ends with its standard input.  Whoever listens hears PHRASE in each stretch of sound, word by word; whoever speaks gives a tone without
 * a pause, 60 ms a character, ten times as fast as it sounds.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/audio/g711.h"
#include "http/http.h"

#define FRAME 160
#define LOUD 600			 /* of mu-law, decoded: a frame with a louder sample is sound */
#define FRAMES_OF_SPEECH 3	 /* begin it */
#define FRAMES_OF_SILENCE 15 /* end it */
#define FRAMES_OF_A_WORD 15
#define RATE 24000
#define SAMPLES_OF_A_CHARACTER (RATE * 60 / 1000)
#define PIECE 48000 /* bytes, each of them a second */
#define PIECE_EVERY (100 * HTTP_MILLISECOND)

static http_loop *loop;
static http_server *server;
static int delays[3]; /* ear, model, mouth: ms */
static const char *phrase;
static const char *answer;
static unsigned n_answers;
static int16_t tone[RATE / 10]; /* a tenth of a second, which repeats */

typedef struct ear
{
	int loud;
	int silent;
	int frames;
	bool speaking;
	bool heard; /* something that no final text told of */
} ear;

/* What belongs to a request: one of the two. */
typedef struct spoken
{
	struct later *speech;
	ear *ear;
} spoken;

/* Something that is said later. */
typedef struct later
{
	http_timer timer;
	http_id id;
	char *text;
	size_t length; /* of a body */
	size_t sent;
} later;

static void
die(const char *what)
{
	fprintf(stderr, "media_engines: %s\n", what);
	exit(1);
}

static later *
later_for(http_id id, int ms, void (*due)(void *))
{
	later *l = calloc(1, sizeof(*l));

	if (l == NULL)
		die("out of memory");
	l->timer = (http_timer){ .due = due, .arg = l };
	l->id = id;
	http_loop_set_timer(loop, &l->timer, http_clock() + ms * HTTP_MILLISECOND);
	return l;
}

static void
forget(later *l)
{
	http_loop_clear_timer(loop, &l->timer);
	free(l->text);
	free(l);
}

/* --- who listens ---------------------------------------------------------------- */

static void
send_text(void *arg)
{
	later *l = arg;

	(void) http_socket_send(server, l->id, true, l->text, strlen(l->text));
	forget(l);
}

/* The first words of the phrase, and all of it with a final text. */
static void
tell(http_id id, int words, bool final)
{
	later *l = later_for(id, delays[0], send_text);
	const char *end = phrase;

	for (int i = 0; i < words && end != NULL && *end != '\0'; i++)
		end = strchr(end + 1, ' ');
	if (end == NULL || final)
		end = phrase + (words > 0 ? strlen(phrase) : 0);
	if (asprintf(&l->text,
				 "{\"type\":\"Results\",\"is_final\":%s,\"speech_final\":false,\"from_finalize\":%"
				 "s,\"start\":0,"
				 "\"duration\":1,\"channel\":{\"alternatives\":[{\"transcript\":\"%.*s\","
				 "\"confidence\":0.9,"
				 "\"words\":[]}]}}",
				 final ? "true" : "false", final ? "true" : "false", (int) (end - phrase),
				 phrase) < 0)
		die("out of memory");
}

static void
hear(ear *e, http_id id, const uint8_t *audio)
{
	bool loud = false;

	/* one sample in four is enough to find sound */
	for (int i = 0; i < FRAME && !loud; i += 4)
		loud = abs(mb_mulaw_decode(audio[i])) > LOUD;
	e->loud = loud ? e->loud + 1 : e->speaking ? e->loud : 0;
	e->silent = loud ? 0 : e->silent + 1;
	if (!e->speaking && e->loud >= FRAMES_OF_SPEECH)
	{
		e->speaking = true;
		e->heard = true;
		e->frames = 0;
	}
	if (!e->speaking)
		return;
	if (++e->frames % FRAMES_OF_A_WORD == 0)
		tell(id, e->frames / FRAMES_OF_A_WORD, false);
	if (e->silent >= FRAMES_OF_SILENCE)
	{
		e->speaking = false;
		e->loud = 0;
	}
}

static void
take_message(void *context, http_request *socket, bool text, const char *bytes, size_t n)
{
	ear *e = ((spoken *) http_request_user(socket))->ear;
	http_id id = http_request_id(socket);

	(void) context;
	if (!text)
	{
		for (size_t at = 0; at + FRAME <= n; at += FRAME)
			hear(e, id, (const uint8_t *) bytes + at);
	}
	else if (memmem(bytes, n, "\"Finalize\"", 10) != NULL)
	{
		tell(id, e->heard ? 1 : 0, true);
		e->heard = false;
		e->speaking = false;
		e->loud = 0;
	}
	else if (memmem(bytes, n, "\"CloseStream\"", 13) != NULL)
		http_socket_close(server, id, 1000, "");
}

/* --- who thinks, and who speaks --------------------------------------------------- */

static void
reply(void *arg)
{
	later *l = arg;
	char text[8192] = "";
	size_t n = 0;

	/* a word an event */
	for (const char *word = answer; *word != '\0' && n + 200 < sizeof(text);)
	{
		size_t length = strcspn(word + 1, " ") + 1;

		n += (size_t) snprintf(text + n, sizeof(text) - n,
							   "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
		if (memchr(word, '#', length) != NULL)
			n += (size_t) snprintf(text + n, sizeof(text) - n, " %u", n_answers++);
		else
			n += (size_t) snprintf(text + n, sizeof(text) - n, "%.*s", (int) length, word);
		n += (size_t) snprintf(text + n, sizeof(text) - n, "\"}}]}\n\n");
		word += length;
	}
	n += (size_t) snprintf(text + n, sizeof(text) - n, "data: [DONE]\n\n");
	http_respond(
		server, l->id,
		&(http_answer){
			.status = 200, .content_type = "text/event-stream", .body = text, .length = n });
	forget(l);
}

static void
speak_more(void *arg)
{
	later *l = arg;
	size_t n = l->length - l->sent < PIECE ? l->length - l->sent : PIECE;
	char *bytes = malloc(n);

	if (bytes == NULL)
		die("out of memory");
	if (l->sent == 0)
		http_respond(server, l->id,
					 &(http_answer){ .status = 200,
									 .content_type = "audio/pcm",
									 .length = l->length,
									 .in_pieces = true });
	for (size_t i = 0; i < n; i++)
		bytes[i] = ((const char *) tone)[(l->sent + i) % sizeof(tone)];
	l->sent += n;
	(void) http_respond_more(server, l->id, http_blob_take(bytes, n));
}

/* What was said up to now has left. */
static void
has_left(void *context, http_request *request)
{
	spoken *s = http_request_user(request);

	(void) context;
	if (s->speech != NULL && s->speech->sent < s->speech->length)
		http_loop_set_timer(loop, &s->speech->timer, http_clock() + PIECE_EVERY);
}

/* Characters of the text that is to be said; escapes count as they stand. */
static size_t
length_of_input(http_text body)
{
	const char *begin = memmem(body.data, body.length, "\"input\":", 8);
	const char *end;

	if (begin == NULL)
		return 1;
	begin = memchr(begin + 8, '"', (size_t) (body.data + body.length - begin - 8));
	end = begin == NULL ? NULL
						: memchr(begin + 1, '"', (size_t) (body.data + body.length - begin - 1));
	return end == NULL ? 1 : (size_t) (end - begin);
}

static bool
ends_with(http_text text, const char *end)
{
	size_t n = strlen(end);

	return text.length >= n && memcmp(text.data + text.length - n, end, n) == 0;
}

static void
take_request(void *context, http_request *request)
{
	http_id id = http_request_id(request);
	http_text path = http_request_path(request);
	spoken *own = calloc(1, sizeof(*own));

	(void) context;
	if (own == NULL)
		die("out of memory");
	http_request_set_user(request, own);
	if (ends_with(path, "/listen"))
	{
		own->ear = calloc(1, sizeof(*own->ear));
		if (own->ear == NULL)
			die("out of memory");
		(void) http_upgrade(server, id, &(http_socket_options){ .ping_ms = 600000 });
	}
	else if (ends_with(path, "/chat/completions"))
		(void) later_for(id, delays[1], reply);
	else if (ends_with(path, "/audio/speech"))
	{
		own->speech = later_for(id, delays[2], speak_more);
		own->speech->length =
			length_of_input(http_request_body(request)) * SAMPLES_OF_A_CHARACTER * 2;
	}
	else
		http_respond(server, id, &(http_answer){ .status = 404 });
}

static void
is_over(void *context, http_request *request, bool delivered)
{
	spoken *own = http_request_user(request);

	(void) context;
	(void) delivered;
	if (own == NULL)
		return;
	if (own->speech != NULL)
		forget(own->speech);
	free(own->ear);
	free(own);
}

/* --- all of it -------------------------------------------------------------------- */

static void
input_has_ended(void *arg, uint32_t events)
{
	char bytes[256];

	(void) arg;
	(void) events;
	if (read(0, bytes, sizeof(bytes)) <= 0)
		exit(0);
}

int
main(int argc, char **argv)
{
	http_watch input = { .fd = 0, .ready = input_has_ended };
	struct rlimit limit;
	int port;

	if (argc != 6)
		die("usage: media_engines EAR MODEL MOUTH PHRASE ANSWER");
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 3; i++)
		delays[i] = atoi(argv[1 + i]);
	phrase = argv[4];
	answer = argv[5];
	/* 440 Hz: whole periods in a tenth of a second */
	for (size_t i = 0; i < sizeof(tone) / sizeof(tone[0]); i++)
		tone[i] = (int16_t) lrint(6000 * sin(2 * M_PI * 440 * (double) i / RATE));
	loop = http_loop_new();
	server = loop == NULL ? NULL
						  : http_server_new(loop, &(http_options){ .idle_ms = 600000 },
											&(http_handlers){ .request = take_request,
															  .more = has_left,
															  .message = take_message,
															  .done = is_over },
											NULL);
	if (server == NULL)
		die("out of memory");
	port = http_listen(server, &(http_listener_options){ .address = "127.0.0.1" });
	if (port < 0 || !http_loop_add(loop, &input, EPOLLIN))
		die("cannot listen");
	printf("%d\n", port);
	fflush(stdout);
	for (;;)
		http_loop_turn(loop, -1);
}
