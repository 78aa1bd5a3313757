/*
 * media_caller.c
 *	  A caller of Twilio's Media Streams; see media_caller.h.
 */
#include "media_caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "gateway/base64.h"
#include "media_figures.h"

#define FRAME 160
#define FRAME_TEXT GW_BASE64_LENGTH(FRAME)
#define MAX_FRAMES 3000
#define LOUD 600
#define QUIET_AT_THE_END 40 /* frames, of an answer */
#define PATIENCE 750		/* frames until an answer begins */
#define MAX_GAP 25			/* frames; more of them are the end of what was said */

static char voice[MAX_FRAMES][FRAME_TEXT];
static int n_voice;
static char silence[FRAME_TEXT];

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
send_text(caller *c, const char *text, size_t n)
{
	if (c->line != NULL && c->open)
		(void) http_line_send(c->line, true, text, n);
}

static void
send_frame(caller *c, const char *payload)
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
send_event(caller *c, const char *event, const char *format, const char *value)
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
echo_mark(caller *c, const mark *m)
{
	send_event(c, "mark", "\"mark\":{\"name\":\"%s\"}", m->name);
}

/* --- what is heard ----------------------------------------------------------------- */

/* Marks before which everything was played. */
static void
echo_marks(caller *c, bool all)
{
	int n = 0;

	while (n < c->n_marks && (all || (int) (c->marks[n].place - c->played) <= 0))
		echo_mark(c, &c->marks[n++]);
	c->n_marks -= n;
	memmove(c->marks, c->marks + n, (size_t) c->n_marks * sizeof(*c->marks));
}

const char *
caller_value(const char *text, size_t n, const char *key, size_t *length)
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
take_audio(caller *c, const char *payload, size_t n)
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

void
caller_take(caller *c, bool text, const char *bytes, size_t n)
{
	size_t length;
	const char *value;

	if (!text)
		die("a message is binary");
	if ((value = caller_value(bytes, n, "\"payload\":\"", &length)) != NULL)
		take_audio(c, value, length);
	else if ((value = caller_value(bytes, n, "\"mark\":{\"name\":\"", &length)) != NULL)
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
			figures_add(KEYS, (double) (http_clock() - c->since_key) / HTTP_MILLISECOND);
		c->since_key = 0;
		c->played = c->queued;
		echo_marks(c, true);
	}
	else
		die("a message is none");
}

/* --- a caller ---------------------------------------------------------------------- */

static void
wait_to_speak(caller *c)
{
	c->doing = WAITING;
	c->wait = 50 + dice(100);
}

static void
begin_answer(caller *c)
{
	figures_add(WAITS, c->since * 20);
	figures_count(ANSWERS);
	c->doing = LISTENING;
	c->quiet = 0;
	c->way = c->number % 2 == 0 ? TO_ITS_END : (way) dice(WAYS);
	/* the second half of a sentence is no place for a key that ends it, nor the first second */
	c->wait = 75 + dice(150);
}

/* A frame was played: whether it sounded. */
static void
hear(caller *c, bool sounds)
{
	if (sounds)
		figures_count(HEARD_FRAMES);
	switch (c->doing)
	{
		case EXPECTING:
			if (sounds)
				begin_answer(c);
			else if (++c->since > PATIENCE)
			{
				figures_count(UNANSWERED);
				wait_to_speak(c);
			}
			break;
		case LISTENING:
			if (sounds && c->quiet > 0 && c->quiet <= MAX_GAP && c->since_key == 0)
				figures_add(GAPS, c->quiet * 20);
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
				figures_add(STOPS, c->since * 20);
			c->quiet = sounds ? 0 : c->quiet + 1;
			if (c->spoken == n_voice)
			{
				/* what he has said instead is a question as well */
				figures_count(sounds ? UNCUT : CUT);
				c->doing = EXPECTING;
				c->since = 0;
			}
			break;
		default:
			break;
	}
}

static const char *
next_frame(caller *c)
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

void
caller_turn(caller *c)
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

/* --- his beginning --- */

bool
caller_read_voice(const char *path)
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
	return n_voice > 0;
}

void
caller_begin(caller *c, const char *account, const char *token, size_t n)
{
	static const char connected[] =
		"{\"event\":\"connected\",\"protocol\":\"Call\",\"version\":\"1.0.0\"}";
	char start[700];

	c->open = true;
	send_text(c, connected, sizeof(connected) - 1);
	snprintf(start, sizeof(start),
			 "\"start\":{\"accountSid\":\"%s\",\"streamSid\":\"%s\",\"callSid\":\"%s\",\"tracks\":["
			 "\"inbound\"],"
			 "\"mediaFormat\":{\"encoding\":\"audio/x-mulaw\",\"sampleRate\":8000,\"channels\":1},"
			 "\"customParameters\":{\"token\":\"%.*s\"}}",
			 account, c->sid, c->call_id, (int) n, token);
	send_event(c, "start", "%s", start);
}

void
caller_talk(caller *c, int after)
{
	c->doing = WAITING;
	c->wait = after + dice(700);
}
