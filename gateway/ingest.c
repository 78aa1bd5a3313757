/*
 * ingest.c
 *	  Packets of calls: requests that arrive together become one batch, one statement, one commit.
 *
 * A batch is a unit that waits for a connection (database.h): until one is idle whatever comes for the
 * same identity and of the same kind is added to it, and then it leaves with all of it.  So a lone packet
 * leaves at once, and under load batches grow by themselves.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "core/text/utf8.h"
#include "core/web/packet_body.h"
#include "fields.h"
#include "query.h"
#include "log.h"
#include "program/arrays.h"

#define MAX_ROWS 500
#define MAX_BYTES (1024 * 1024)
#define MAX_SEQUENCE MB_PACKET_BODY_MAX_SEQUENCE
#define MAX_UNESCAPED 16384 /* bytes of a plain body's strings that have escapes */
#define MAX_TRACK 255		/* bytes of a header */
#define TIME_SIZE 40		/* of a timestamptz as text */
#define MAX_LISTED 100		/* missing sequences in an answer */
#define POSTGRES_EPOCH 946684800.0
#define LAST_TIMESTAMP 9224318015999.0 /* seconds: what a timestamptz holds */

#define COLUMNS                                                                                    \
	"status, call_id, sequence, total_received, missing_sequences, sqlstate, "                     \
	"CASE WHEN sqlstate IS NOT NULL THEN message END"
#define FROM_PACKETS                                                                               \
	" FROM mulberry.ingest_packets($1::text[], $2::bigint[], $3::bytea[], $4::timestamptz[], $5, " \
	"$6::integer, NULL, $7::text[])"

static const gw_statement ingest_packets = { "ingest", "SELECT " COLUMNS FROM_PACKETS, true };

/*
 * The same of a batch that was sent before, and whose answer was lost: which of the duplicates are its own.  It was
 * committed as a whole or not at all, so none are when one of its packets is only accepted now.  If it was, all that it
 * stored came at one time, behind $8, when another transaction had ended before it was sent; and nobody has
 * stored a packet of it since.  Of several with one number it has stored the first.
 */
static const gw_statement ingest_again = {
	"ingest_again",
	"SELECT " COLUMNS ", "
	"status = 'duplicate' AND received_at > coalesce($8::timestamptz, '-infinity') "
	"AND received_at = max(received_at) FILTER (WHERE status = 'duplicate') OVER () "
	"AND NOT bool_or(status = 'accepted') OVER () "
	"AND row_number() OVER (PARTITION BY status, call_id, ($7::text[])[ordinality], sequence "
	"ORDER BY ordinality) = 1" FROM_PACKETS " WITH ORDINALITY ORDER BY ordinality",
	true
};

enum
{
	ACCEPTED,
	DUPLICATE,
	REJECTED,
	BAD
};

/* All packets of a batch are of one kind, which is that of its statement's scalar arguments. */
typedef struct kind
{
	char encoding[16]; /* "": the call's */
	char sample_rate[12];
} kind;

typedef struct batch
{
	gw_unit unit;
	gw_ingest *ingest;
	gw_identity *identity;
	kind kind;
	int n;
	http_id ids[MAX_ROWS];
	size_t bytes;
	program_array call_ids;
	program_array sequences;
	program_array data;
	program_array sent_at;
	program_array tracks;
	bool has_tracks;
	char after[TIME_SIZE]; /* when a transaction began that had ended when this was sent */
	struct batch *next;	   /* while it waits */
} batch;

struct gw_ingest
{
	gw_gateway *gateway;
	batch *waiting;				/* to which packets can be added */
	char last_began[TIME_SIZE]; /* when the last transaction began that has been answered */
};

gw_ingest *
gw_ingest_new(gw_gateway *gateway)
{
	gw_ingest *ingest = calloc(1, sizeof(*ingest));

	if (ingest != NULL)
		ingest->gateway = gateway;
	return ingest;
}

void
gw_ingest_free(gw_ingest *ingest)
{
	free(ingest);
}

static void
free_batch(batch *b)
{
	program_array_free(&b->call_ids);
	program_array_free(&b->sequences);
	program_array_free(&b->data);
	program_array_free(&b->sent_at);
	program_array_free(&b->tracks);
	gw_identity_release(b->identity);
	free(b);
}

/* Nothing is added to it any more. */
static void
close_batch(batch *b)
{
	for (batch **place = &b->ingest->waiting; *place != NULL; place = &(*place)->next)
	{
		if (*place == b)
		{
			*place = b->next;
			return;
		}
	}
}

/* ---------------------------------------------------------------------------
 * Answers
 * ---------------------------------------------------------------------------
 */

/* The sequences of '{[3,5),[7,8)}', at most MAX_LISTED of them. */
static void
list_missing(program_text *body, const char *ranges)
{
	int listed = 0;
	long long first;
	long long end;
	int used;

	program_text_puts(body, "[");
	for (const char *at = strchr(ranges, '['); at != NULL && listed < MAX_LISTED;
		 at = strchr(at + used, '['))
	{
		used = 0;
		if (sscanf(at, "[%lld,%lld)%n", &first, &end, &used) != 2 || used == 0)
			break;
		for (; first < end && listed < MAX_LISTED; first++)
			program_text_printf(body, "%s%lld", listed++ == 0 ? "" : ",", first);
	}
	program_text_puts(body, "]");
}

/* Columns of those statements. */
enum
{
	STATUS,
	CALL_ID,
	SEQUENCE,
	TOTAL_RECEIVED,
	MISSING_SEQUENCES,
	SQLSTATE,
	MESSAGE, /* of an error */
	OWN		 /* of a batch that is sent again: the packet was stored by it */
};

static void
answer_row(gw_gateway *gateway, const batch *b, const PGresult *rows, int i, program_text *body)
{
	const char *status = PQgetvalue(rows, i, STATUS);
	const char *message;
	bool duplicate = strcmp(status, "duplicate") == 0;

	if (strcmp(status, "error") == 0)
	{
		gateway->packets[BAD]++;
		gw_answer_detail(gateway, b->ids[i], gw_status_of(PQgetvalue(rows, i, SQLSTATE)), "%s",
						 PQgetvalue(rows, i, MESSAGE));
		return;
	}
	if (duplicate && PQnfields(rows) > OWN && PQgetvalue(rows, i, OWN)[0] == 't')
	{
		duplicate = false;
		status = "accepted";
	}
	if (strcmp(status, "accepted") == 0)
		message = "Packet received successfully";
	else if (duplicate)
		message = "Packet already received";
	else
		message = "Call already completed, no longer accepting packets";
	gateway->packets[strcmp(status, "accepted") == 0 ? ACCEPTED
					 : duplicate					 ? DUPLICATE
													 : REJECTED]++;

	/* without printf(), which costs more than all the rest of it */
	body->length = 0;
	program_text_puts(body, "{\"status\":\"");
	program_text_puts(body, status);
	program_text_puts(body, "\",\"message\":\"");
	program_text_puts(body, message);
	program_text_puts(body, "\",\"call_id\":");
	program_text_json(body, PQgetvalue(rows, i, CALL_ID), (size_t) PQgetlength(rows, i, CALL_ID));
	program_text_puts(body, ",\"sequence\":");
	program_text_puts(body, PQgetvalue(rows, i, SEQUENCE));
	program_text_puts(body, ",\"total_received\":");
	program_text_puts(
		body, PQgetisnull(rows, i, TOTAL_RECEIVED) ? "null" : PQgetvalue(rows, i, TOTAL_RECEIVED));
	program_text_puts(body, ",\"missing_sequences\":");
	list_missing(body, PQgetvalue(rows, i, MISSING_SEQUENCES));
	program_text_puts(body, duplicate ? ",\"duplicate\":true}" : ",\"duplicate\":false}");
	gw_answer(gateway, b->ids[i], 202, body);
}

static void
done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	batch *b = (batch *) unit;
	gw_gateway *gateway = b->ingest->gateway;
	program_text body = { 0 };

	/* units that were never sent */
	close_batch(b);
	if (outcome == GW_COMMITTED)
	{
		gw_identity_is_used(b->identity);
		snprintf(b->ingest->last_began, TIME_SIZE, "%s",
				 PQgetvalue(identity, 0, PQnfields(identity) - 1));
	}
	for (int i = 0; i < b->n; i++)
	{
		if (outcome == GW_COMMITTED && i < PQntuples(result))
			answer_row(gateway, b, result, i, &body);
		else
			gw_answer_outcome(gateway, b->ids[i], b->identity, outcome, result);
	}
	program_text_free(&body);
	free_batch(b);
}

/* ---------------------------------------------------------------------------
 * Batches
 * ---------------------------------------------------------------------------
 */

static void
set_parameter(gw_unit *unit, int i, program_array *array)
{
	const program_text *bytes = program_array_finish(array);

	unit->values[i] = bytes->data;
	unit->lengths[i] = (int) bytes->length;
	unit->formats[i] = 1;
}

static void
send_batch(gw_unit *unit)
{
	batch *b = (batch *) unit;

	close_batch(b);
	b->ingest->gateway->batches++;
	set_parameter(unit, 0, &b->call_ids);
	set_parameter(unit, 1, &b->sequences);
	set_parameter(unit, 2, &b->data);
	set_parameter(unit, 3, &b->sent_at);
	unit->values[4] = b->kind.encoding[0] == '\0' ? NULL : b->kind.encoding;
	unit->values[5] = b->kind.sample_rate[0] == '\0' ? NULL : b->kind.sample_rate;
	if (b->has_tracks)
		set_parameter(unit, 6, &b->tracks);
	unit->n_parameters = 7;
	memcpy(b->after, b->ingest->last_began, TIME_SIZE);
}

static void
send_batch_again(gw_unit *unit)
{
	batch *b = (batch *) unit;

	unit->statement = &ingest_again;
	unit->values[unit->n_parameters++] = b->after[0] == '\0' ? NULL : b->after;
}

/* The batch that waits for such packets and has room, or a new one. */
static batch *
batch_for(gw_ingest *ingest, gw_identity *identity, const kind *kind, size_t bytes)
{
	batch *b;

	for (b = ingest->waiting; b != NULL; b = b->next)
	{
		if (b->identity == identity && b->n < MAX_ROWS && b->bytes + bytes <= MAX_BYTES &&
			strcmp(b->kind.encoding, kind->encoding) == 0 &&
			strcmp(b->kind.sample_rate, kind->sample_rate) == 0)
			return b;
	}
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->ingest = ingest;
	b->identity = gw_identity_hold(identity);
	b->kind = *kind;
	b->call_ids.element = PROGRAM_OID_TEXT;
	b->sequences.element = PROGRAM_OID_INT8;
	b->data.element = PROGRAM_OID_BYTEA;
	b->sent_at.element = PROGRAM_OID_TIMESTAMPTZ;
	b->tracks.element = PROGRAM_OID_TEXT;
	b->unit.statement = &ingest_packets;
	b->unit.send = send_batch;
	b->unit.resend = send_batch_again;
	b->unit.done = done;
	gw_unit_for(&b->unit, identity);
	b->next = ingest->waiting;
	ingest->waiting = b;
	gw_database_add(ingest->gateway->database, &b->unit);
	return b;
}

typedef struct packet
{
	int64_t sequence;
	const void *data;
	size_t length;
	double timestamp; /* seconds since 1970; NAN: none */
	mb_packet_string track;
	kind kind;
} packet;

static void
take(gw_call *call, const packet *packet)
{
	batch *b = batch_for(call->gateway->ingest, call->identity, &packet->kind, packet->length);

	if (b == NULL)
	{
		gw_answer_detail(call->gateway, http_request_id(call->request), 503, "Out of memory");
		return;
	}
	b->ids[b->n++] = http_request_id(call->request);
	b->bytes += packet->length;
	program_array_add(&b->call_ids, call->segments[0].data, call->segments[0].length);
	program_array_add_int64(&b->sequences, packet->sequence);
	program_array_add(&b->data, packet->data, packet->length);
	if (isnan(packet->timestamp))
		program_array_add_null(&b->sent_at);
	else
		program_array_add_int64(&b->sent_at,
								(int64_t) llround((packet->timestamp - POSTGRES_EPOCH) * 1e6));
	if (packet->track.text == NULL)
		program_array_add_null(&b->tracks);
	else
		program_array_add(&b->tracks, packet->track.text, packet->track.length);
	b->has_tracks = b->has_tracks || packet->track.text != NULL;
}

/* ---------------------------------------------------------------------------
 * Requests
 * ---------------------------------------------------------------------------
 */

/* What a packet is made of: in JSON, or in headers beside a body of bytes. */
enum
{
	PATH_CALL_ID,
	HEADER_SEQUENCE,
	HEADER_TIMESTAMP,
	HEADER_TRACK,
	FIELD_SEQUENCE,
	FIELD_DATA,
	FIELD_TIMESTAMP,
	FIELD_ENCODING,
	FIELD_TRACK
};

static const gw_parameter of_packet[] = {
	[PATH_CALL_ID] = { GW_IN_PATH, "call_id", GW_STRING, .required = true },
	[HEADER_SEQUENCE] = { GW_IN_HEADER, "Mulberry-Sequence", GW_INTEGER, .most = MAX_SEQUENCE,
						  .help = "of bytes, which must have it" },
	[HEADER_TIMESTAMP] = { GW_IN_HEADER, "Mulberry-Timestamp", GW_NUMBER,
						   .help = "of bytes: seconds since 1970" },
	[HEADER_TRACK] = { GW_IN_HEADER, "Mulberry-Track", GW_STRING, .most = MAX_TRACK,
					   .help = "of bytes: the first track unless said" },
	[FIELD_SEQUENCE] = { GW_IN_BODY, "sequence", GW_INTEGER, .required = true,
						 .most = MAX_SEQUENCE },
	[FIELD_DATA] = { GW_IN_BODY, "data", GW_STRING, .required = true, .least = 1 },
	[FIELD_TIMESTAMP] = { GW_IN_BODY, "timestamp", GW_NUMBER, .required = true,
						  .help = "seconds since 1970" },
	[FIELD_ENCODING] = { GW_IN_BODY, "encoding", GW_STRING,
						 .help = "of data: text, or base64 for audio" },
	[FIELD_TRACK] = { GW_IN_BODY, "track", GW_STRING, .help = "the first one unless said" },
};

const gw_plan gw_packet_fields = { GW_PARAMETERS(of_packet) };

#define NAME(parameter) of_packet[parameter].name

static void
refuse_fields(gw_call *call, gw_fields *fields)
{
	gw_answer(call->gateway, http_request_id(call->request), fields->status, &fields->error);
}

/* A packet whose body is plain; false, and nothing was done, when it is not, or not right. */
static bool
take_plain(gw_call *call)
{
	http_text text = http_request_body(call->request);
	char unescaped[MAX_UNESCAPED];
	mb_packet_body body;
	unsigned char *audio = NULL;
	packet p;

	if (!gw_fields_may_begin(call->request) ||
		!mb_packet_body_read(text.data, text.length, unescaped, sizeof(unescaped), &body))
		return false;
	p = (packet){ .sequence = body.sequence,
				  .data = body.data.text,
				  .length = body.data.length,
				  .timestamp = body.timestamp,
				  .track = body.track };
	if (body.encoding.text == NULL ||
		(body.encoding.length == 4 && memcmp(body.encoding.text, "text", 4) == 0))
		strcpy(p.kind.encoding, "text");
	else if (body.encoding.length != 6 || memcmp(body.encoding.text, "base64", 6) != 0)
		return false;
	else
	{
		audio = gw_base64_decode(p.data, p.length, &p.length);
		p.data = audio;
		if (audio == NULL)
			return false;
	}
	take(call, &p);
	free(audio);
	return true;
}

/* A packet in JSON: sequence, data, timestamp; encoding "base64" for audio, track. */
static void
take_json(gw_call *call)
{
	gw_fields fields = { 0 };
	packet p = { 0 };
	unsigned char *audio = NULL;
	const char *encoding = NULL;

	if (gw_fields_begin(&fields, call->request))
	{
		(void) gw_fields_integer(&fields, NAME(FIELD_SEQUENCE), true, 0, false,
								 of_packet[FIELD_SEQUENCE].most, &p.sequence);
		p.data = gw_fields_string(&fields, NAME(FIELD_DATA), &p.length);
		p.timestamp = gw_fields_positive(&fields, NAME(FIELD_TIMESTAMP));
		if (p.timestamp > LAST_TIMESTAMP)
			gw_fields_refuse(&fields, NAME(FIELD_TIMESTAMP),
							 "a time is in seconds since 1970, before the year 294276");
		encoding = gw_fields_optional(&fields, NAME(FIELD_ENCODING));
		p.track.text = gw_fields_optional(&fields, NAME(FIELD_TRACK));
		p.track.length = p.track.text == NULL ? 0 : strlen(p.track.text);
		if (encoding == NULL || strcmp(encoding, "text") == 0)
			strcpy(p.kind.encoding, "text");
		else if (strcmp(encoding, "base64") != 0)
			gw_fields_refuse(&fields, NAME(FIELD_ENCODING), "encoding is text or base64");
		else if (fields.status == 0)
		{
			audio = gw_base64_decode(p.data, p.length, &p.length);
			p.data = audio;
			if (audio == NULL)
				gw_fields_refuse(&fields, NAME(FIELD_DATA), "data is not base64");
		}
	}
	if (gw_fields_end(&fields))
		take(call, &p);
	else
		refuse_fields(call, &fields);
	free(audio);
	gw_fields_free(&fields);
}

/* A header that must be a number; false when it is none. */
static bool
number_in_header(const http_request *request, const char *name, double most, double *number)
{
	http_text header = http_request_header(request, name);
	char text[40];
	char *end;

	if (header.data == NULL || header.length == 0 || header.length >= sizeof(text) ||
		http_request_header_count(request, name) != 1)
		return false;
	memcpy(text, header.data, header.length);
	text[header.length] = '\0';
	if (strspn(text, "0123456789.") != header.length)
		return false;
	*number = strtod(text, &end);
	return *end == '\0' && *number <= most;
}

/* A packet of bytes: what goes with them is in headers. */
static void
take_bytes(gw_call *call)
{
	http_text body = http_request_body(call->request);
	http_text track = http_request_header(call->request, NAME(HEADER_TRACK));
	http_id id = http_request_id(call->request);
	double sequence;
	packet p = { .data = body.data, .length = body.length, .timestamp = NAN };

	if (!number_in_header(call->request, NAME(HEADER_SEQUENCE), MAX_SEQUENCE, &sequence) ||
		sequence != floor(sequence))
		gw_answer_detail(call->gateway, id, 400,
						 "The header Mulberry-Sequence must be a number from 0 to %d",
						 MAX_SEQUENCE);
	else if (http_request_header(call->request, NAME(HEADER_TIMESTAMP)).data != NULL &&
			 !number_in_header(call->request, NAME(HEADER_TIMESTAMP), LAST_TIMESTAMP, &p.timestamp))
		gw_answer_detail(call->gateway, id, 400,
						 "The header Mulberry-Timestamp must be seconds since 1970");
	else if (track.data != NULL && track.length > MAX_TRACK)
		gw_answer_detail(call->gateway, id, 400, "The header Mulberry-Track is too long");
	else if (track.data != NULL && mb_utf8_prefix(track.data, track.length) != track.length)
		gw_answer_detail(call->gateway, id, 400, "The header Mulberry-Track is not UTF-8");
	else if (body.length == 0)
		gw_answer_detail(call->gateway, id, 400, "The body must be at least one byte");
	else
	{
		p.sequence = (int64_t) sequence;
		if (track.data != NULL)
			p.track = (mb_packet_string){ track.data, track.length };
		take(call, &p);
	}
}

/* POST /v1/call/stream/{call_id} */
void
gw_handle_packet(gw_call *call)
{
	http_text type = http_request_header(call->request, "Content-Type");

	if (type.data != NULL && type.length >= 24 &&
		strncasecmp(type.data, "application/octet-stream", 24) == 0)
		take_bytes(call);
	else if (!take_plain(call))
		take_json(call);
}
