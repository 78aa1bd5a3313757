/*
 * media_twilio.c
 *	  Twilio Media Streams, /twilio/ws: a WebSocket whose text frames are JSON, and those who speak nearly the same.
 *
 * Who comes is known twice: the upgrade is signed by an account that has a call waiting, and the first message names that call by a token
 * that opens it once.  Until then a socket has its few names and a deadline, and no more.  What it sends is read strictly but for the
 * names of things; one message that is none of the form ends the stream, and what was heard up to there is kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "gateway.h"
#include "log.h"
#include "media_dialect.h"
#include "media_quick.h"
#include "queue.h"
#include "program/text.h"

#define START_WITHIN (5 * HTTP_SECOND)
#define MAX_MESSAGE 65536
#define MAX_READ 262144	  /* beyond that the library closes */
#define MAX_HANDSHAKES 64 /* at the database at a time: each costs it a little, whoever sends it */
#define MAX_WAITING 2000  /* for that: many calls may begin at once */
#define MAX_STREAM 128	  /* bytes of its id */
#define MAX_MISSING 3000  /* chunks in a row */
#define MAX_LOST (120 * GW_MEDIA_RATE)		 /* samples in them */
#define MAX_NUMBER INT64_C(1000000000000000) /* times that are one can be counted in samples */
#define POLICY 1008
#define STEP_MS 100
#define LEAD_MS 300

static const gw_statement check_handshake = { "check_media_handshake",
											  "SELECT mulberry.check_media_handshake($1, $2)",
											  true };

/* A socket. */
typedef struct stream
{
	gw_gateway *gateway;
	http_server *server;
	http_id id;
	http_timer start; /* until it has begun */
	char *url;
	char *signature;

	gw_media_session *session; /* NULL: it has not begun, or is over */
	bool over;
	const gw_dialect *dialect;
	char sid[MAX_STREAM];
	mb_encoding encoding;
	int64_t sequence;
	int64_t chunk;	   /* the last one */
	int64_t samples;   /* in it */
	int64_t timestamp; /* of it, milliseconds; -1: none */
} stream;

/* An upgrade that waits for the database. */
typedef struct handshake
{
	gw_unit unit;
	stream *made;
} handshake;

static int n_handshakes; /* that the database is being asked about */
static gw_queue waiting = { .last = &waiting.first };

/* ---------------------------------------------------------------------------
 * What is sent
 * ---------------------------------------------------------------------------
 */

static void
send_media(void *link, const uint8_t *audio, size_t n)
{
	stream *s = link;
	size_t length = GW_BASE64_LENGTH(n);
	char *base64 = malloc(length);
	program_text text = { 0 };

	if (base64 == NULL)
		return;
	gw_base64_encode(audio, n, base64);
	program_text_printf(&text, s->dialect->media, s->sid, (int) length, base64);
	if (!text.failed)
		(void) http_socket_send(s->server, s->id, true, text.data, text.length);
	program_text_free(&text);
	free(base64);
}

static void
send_text(stream *s, const char *format, unsigned number)
{
	char text[MAX_STREAM + 128];
	int n = snprintf(text, sizeof(text), format, s->sid, number);

	(void) http_socket_send(s->server, s->id, true, text, (size_t) n);
}

static void
send_mark(void *link, unsigned number)
{
	send_text(link, ((stream *) link)->dialect->mark, number);
}

static void
send_clear(void *link)
{
	send_text(link, ((stream *) link)->dialect->clear, 0);
}

static void
close_stream(void *link, int code, const char *reason)
{
	stream *s = link;

	s->session = NULL;
	s->over = true;
	http_socket_close(s->server, s->id, code, reason);
}

static const gw_media_peer peer = { .name = "twilio",
									.lead_ms = LEAD_MS,
									.step_ms = STEP_MS,
									.tells_digits = true,
									.send = send_media,
									.mark = send_mark,
									.clear = send_clear,
									.close = close_stream };

/* ---------------------------------------------------------------------------
 * The end
 * ---------------------------------------------------------------------------
 */

/* It is none of the form: the stream ends. */
static void
refuse(stream *s, const char *why)
{
	gw_media_session *session = s->session;

	if (s->over)
		return;
	gw_log(GW_WARNING, "a stream sent what it must not", "%s", why);
	if (session != NULL)
		gw_media_end(session, POLICY, why);
	else
		close_stream(s, POLICY, why);
}

static void
is_late(void *arg)
{
	refuse(arg, "it has not begun in time");
}

static void
free_stream(stream *s)
{
	http_loop_clear_timer(s->gateway->loop, &s->start);
	free(s->url);
	free(s->signature);
	free(s);
}

void
gw_twilio_media_gone(http_request *socket)
{
	stream *s = http_request_user(socket);

	if (s == NULL)
		return;
	http_request_set_user(socket, NULL);
	if (s->session != NULL)
		gw_media_over(s->session, "the connection was lost");
	free_stream(s);
}

void
gw_twilio_media_stopping(http_request *socket)
{
	stream *s = http_request_user(socket);

	if (s == NULL || s->session == NULL)
		return;
	/* the library is about to close it */
	gw_media_over(s->session, "the gateway ended");
	s->session = NULL;
	s->over = true;
}

/* ---------------------------------------------------------------------------
 * What comes
 * ---------------------------------------------------------------------------
 */

/* A number that is a number, or text: how Twilio writes them; -1: it is none. */
static int64_t
number_of(const json_t *value)
{
	const char *text = json_string_value(value);
	char *end;
	long long number;

	if (json_is_integer(value))
		number = json_integer_value(value);
	else if (text == NULL || *text < '0' || *text > '9' || strlen(text) > GW_MEDIA_MAX_DIGITS)
		return -1;
	else
	{
		number = strtoll(text, &end, 10);
		if (*end != '\0')
			return -1;
	}
	return number >= 0 && number < MAX_NUMBER ? number : -1;
}

static bool
read_format(stream *s, const json_t *format)
{
	static const struct
	{
		const char *name;
		mb_encoding encoding;
	} names[] = { { "audio/x-mulaw", MB_MULAW },
				  { "PCMU", MB_MULAW },
				  { "audio/x-raw", MB_S16LE },
				  { "audio/x-l16", MB_S16LE } };
	const char *name = json_string_value(gw_dialect_member(format, GW_WORD_ENCODING));
	const json_t *channels = json_object_get(format, "channels");

	if (number_of(gw_dialect_member(format, GW_WORD_RATE)) != GW_MEDIA_RATE ||
		(channels != NULL && number_of(channels) != 1))
		return false;
	for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (strcmp(name, names[i].name) == 0)
		{
			s->encoding = names[i].encoding;
			return true;
		}
	}
	return false;
}

/* Whether the stream's id can be said in JSON as it is. */
static bool
is_plain(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || (unsigned char) *c > '~' || *c == '"' || *c == '\\')
			return false;
	}
	return *text != '\0' && strlen(text) < MAX_STREAM;
}

static void
take_start(stream *s, const json_t *message)
{
	const json_t *start = gw_dialect_member(message, GW_WORD_START);
	const json_t *parameters = gw_dialect_member(start, GW_WORD_PARAMETERS);
	const char *account = json_string_value(gw_dialect_member(start, GW_WORD_ACCOUNT));
	const char *call = json_string_value(gw_dialect_member(start, GW_WORD_CALL));
	const char *token = json_string_value(json_object_get(parameters, "token"));
	const char *sid;
	json_t *params;
	char *text;

	if (s->dialect != NULL)
	{
		refuse(s, "it begins twice");
		return;
	}
	s->dialect = gw_dialect_of(message, &sid);
	if (s->dialect == NULL || !is_plain(sid))
	{
		refuse(s, "the stream has no id");
		return;
	}
	snprintf(s->sid, sizeof(s->sid), "%s", sid);
	if (!read_format(s, gw_dialect_member(start, GW_WORD_FORMAT)))
	{
		refuse(s,
			   "its audio is not of one channel with 8000 samples a second, in mu-law or linear");
		return;
	}
	if (token == NULL)
	{
		refuse(s, "it has no token");
		return;
	}
	http_loop_clear_timer(s->gateway->loop, &s->start);
	params = json_pack("{s:s*,s:s*}", "AccountSid", account, "CallSid", call);
	text = params == NULL ? NULL : json_dumps(params, JSON_COMPACT);
	if (text != NULL)
		s->session = gw_media_open(
			s->gateway->media, &peer, s, s->encoding,
			&(gw_media_proof){
				.token = token, .url = s->url, .signature = s->signature, .params = text });
	free(text);
	json_decref(params);
	if (s->session == NULL)
		refuse(s, "out of memory");
}

/* Where a chunk lies among the others; false when it must not be there. */
static bool
place_chunk(stream *s, int64_t chunk, int64_t timestamp, int64_t samples, int64_t *lost)
{
	int64_t missing = chunk - s->chunk - 1;
	int64_t elapsed =
		s->timestamp < 0 || timestamp < 0
			? 0
			: timestamp * GW_MEDIA_RATE / 1000 - s->timestamp * GW_MEDIA_RATE / 1000 - s->samples;

	*lost = 0;
	if (chunk < 0)
		return true; /* it does not count them */
	if (missing < 0 || missing > MAX_MISSING)
		return false;
	if (missing > 0)
	{
		*lost = missing * (s->samples > 0 ? s->samples : samples);
		/* the stream's own time says it best, as long as it makes sense */
		if (elapsed > 0 && elapsed <= 2 * *lost)
			*lost = elapsed;
		if (*lost > MAX_LOST)
			return false;
	}
	s->chunk = chunk;
	s->timestamp = timestamp;
	s->samples = samples;
	return true;
}

static void
take_media(stream *s, int64_t chunk, int64_t timestamp, const char *payload, size_t n)
{
	size_t length = 0;
	unsigned char *audio = gw_base64_decode(payload, n, &length);
	size_t width = mb_encoding_sample_size(s->encoding);
	int64_t lost;

	if (audio == NULL || length == 0)
		refuse(s, "its audio is not base64");
	else if (length % width != 0)
		refuse(s, "its audio has half a sample");
	else if (place_chunk(s, chunk, timestamp, (int64_t) (length / width), &lost))
		gw_media_heard(s->session, audio, length, timestamp < 0 ? -1 : timestamp * HTTP_MILLISECOND,
					   lost);
	else if (s->dialect->ordered || chunk > s->chunk)
		refuse(s, "its audio is out of order");
	free(audio);
}

/* Fifty times a second and call: the message that Twilio sends.  False: read it the long way. */
static bool
take_quickly(stream *s, const char *text, size_t n)
{
	gw_quick_media media;

	if (s->session == NULL || !gw_quick_media_read(text, n, &media) ||
		media.sid_length != strlen(s->sid) || memcmp(media.sid, s->sid, media.sid_length) != 0 ||
		media.sequence <= s->sequence)
		return false;
	s->sequence = media.sequence;
	take_media(s, media.chunk, media.timestamp, media.payload, media.payload_length);
	return true;
}

static void
take_event(stream *s, const char *event, const json_t *message)
{
	const json_t *media = gw_dialect_member(message, GW_WORD_MEDIA);
	const json_t *mark = gw_dialect_member(message, GW_WORD_MARK);
	const char *payload = json_string_value(gw_dialect_member(media, GW_WORD_PAYLOAD));
	const char *track = json_string_value(gw_dialect_member(media, GW_WORD_TRACK));
	const char *digit = json_string_value(
		gw_dialect_member(gw_dialect_member(message, GW_WORD_DTMF), GW_WORD_DIGIT));
	const json_t *chunk = gw_dialect_member(media, GW_WORD_CHUNK);

	if (strcmp(event, "media") == 0)
	{
		if (payload == NULL || (chunk != NULL && number_of(chunk) < 0))
			refuse(s, "a message of media has no audio, or no number");
		else if (track == NULL || strncmp(track, "inbound", 7) == 0)
			take_media(s, number_of(chunk), number_of(gw_dialect_member(media, GW_WORD_TIMESTAMP)),
					   payload, strlen(payload));
	}
	else if (strcmp(event, "dtmf") == 0)
	{
		if (gw_media_is_key(digit))
			gw_media_digit(s->session, *digit);
		else
			refuse(s, "a key is none");
	}
	else if (strcmp(event, "mark") == 0 || strcmp(event, "playedStream") == 0)
	{
		json_t *name = gw_dialect_member(mark != NULL ? mark : message, GW_WORD_NAME);

		/* one that is not ours is nothing to us */
		if (number_of(name) >= 0)
			gw_media_marked(s->session, (unsigned) number_of(name));
	}
	else if (strcmp(event, "stop") == 0)
	{
		gw_media_session *session = s->session;

		close_stream(s, 1000, "");
		gw_media_over(session, "the other side stopped it");
	}
	else if (strcmp(event, "clearedAudio") != 0)
		refuse(s, "an event is not known");
}

static void
take_message(stream *s, const json_t *message)
{
	const char *event = json_string_value(gw_dialect_member(message, GW_WORD_EVENT));
	const json_t *numbered = gw_dialect_member(message, GW_WORD_SEQUENCE);
	const char *sid;

	if (event == NULL)
		refuse(s, "a message has no event");
	else if (strcmp(event, "connected") == 0 && s->dialect == NULL)
		; /* it says nothing */
	else if (numbered != NULL && number_of(numbered) <= s->sequence)
		refuse(s, "its messages are out of order");
	else
	{
		s->sequence = numbered == NULL ? s->sequence : number_of(numbered);
		if (strcmp(event, "start") == 0)
			take_start(s, message);
		else if (s->session == NULL)
			refuse(s, "it has not begun");
		else if (gw_dialect_of(message, &sid) != NULL && strcmp(sid, s->sid) != 0)
			refuse(s, "a message is of another stream");
		else
			take_event(s, event, message);
	}
}

void
gw_twilio_media_message(http_request *socket, bool text, const char *bytes, size_t n)
{
	stream *s = http_request_user(socket);
	json_t *message;

	if (s == NULL || s->over)
		return;
	if (!text)
		refuse(s, "a message is binary");
	else if (n > MAX_MESSAGE)
		refuse(s, "a message is too long");
	else if (!take_quickly(s, bytes, n))
	{
		message = json_loadb(bytes, n, 0, NULL);
		if (json_is_object(message))
			take_message(s, message);
		else
			refuse(s, "a message is not JSON");
		json_decref(message);
	}
}

/* ---------------------------------------------------------------------------
 * The upgrade
 * ---------------------------------------------------------------------------
 */

static void
respond(stream *s, int status)
{
	http_headers headers = { 0 };

	if (status == 503)
		http_headers_add(&headers, "Retry-After", "1");
	http_respond(
		s->server, s->id,
		&(http_answer){ .status = status, .content_type = "text/plain", .headers = &headers });
}

/* The database is asked about those that wait, as far as it may be.  Who is gone need not be known. */
static void
ask_about_handshakes(void)
{
	while (n_handshakes < MAX_HANDSHAKES && waiting.first != NULL)
	{
		handshake *h = (handshake *) gw_queue_take(&waiting);
		stream *s = h->made;

		if (http_request_find(s->server, s->id) == NULL)
		{
			free(h);
			free_stream(s);
			continue;
		}
		n_handshakes++;
		gw_media_ask(s->gateway->media, &h->unit);
	}
}

static void
checked(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	handshake *h = (handshake *) unit;
	stream *s = h->made;
	http_request *request = http_request_find(s->server, s->id);

	n_handshakes--;
	ask_about_handshakes();
	free(h);
	if (request == NULL)
		;
	else if (outcome != GW_COMMITTED)
		respond(s, 503);
	else if (PQgetvalue(result, 0, 0)[0] != 't')
	{
		gw_log(GW_WARNING, "a stream was refused", "its upgrade is signed by nobody who is called");
		respond(s, 403);
	}
	else if (http_upgrade(s->server, s->id,
						  &(http_socket_options){ .max_message = MAX_READ, .prompt = true }))
	{
		http_request_set_user(request, s);
		s->start = (http_timer){ .due = is_late, .arg = s };
		http_loop_set_timer(s->gateway->loop, &s->start, http_clock() + START_WITHIN);
		return;
	}
	free_stream(s);
}

void
gw_twilio_media_request(gw_gateway *gateway, http_server *server, http_request *request,
						const char *url)
{
	http_text signature = http_request_header(request, "X-Twilio-Signature");
	stream *s = calloc(1, sizeof(*s));
	handshake *h = calloc(1, sizeof(*h));

	if (s == NULL || h == NULL || url == NULL)
	{
		free(s);
		free(h);
		http_abort(server, http_request_id(request));
		return;
	}
	s->gateway = gateway;
	s->server = server;
	s->id = http_request_id(request);
	s->timestamp = -1;
	s->url = strdup(url);
	if (http_request_header_count(request, "X-Twilio-Signature") == 1)
		s->signature = strndup(signature.data, signature.length);
	if (s->signature == NULL || s->url == NULL || waiting.n >= MAX_WAITING)
	{
		respond(s, s->signature == NULL ? 403 : 503);
		free_stream(s);
		free(h);
		return;
	}
	h->made = s;
	h->unit.statement = &check_handshake;
	h->unit.n_parameters = 2;
	h->unit.values[0] = s->url;
	h->unit.values[1] = s->signature;
	h->unit.done = checked;
	gw_queue_add(&waiting, &h->unit);
	ask_about_handshakes();
}
