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

#include "gateway.h"
#include "ingest.h"
#include "log.h"
#include "session.h"
#include "program/arrays.h"

#define MAX_ROWS 500
#define MAX_BYTES (1024 * 1024)
#define MAX_CALLS 200 /* below mulberry.max_batch_calls, which is 250 where nobody has set it */
#define TOO_MANY_CALLS "54000"
#define GROW_AFTER (60 * HTTP_SECOND) /* what was too many may be few enough by then */
#define GROW_AT_LAST (3600 * HTTP_SECOND)
#define TIME_SIZE 40			 /* of a timestamptz as text */
#define MAX_LISTED 100			 /* missing sequences in an answer */
#define POSTGRES_EPOCH 946684800 /* seconds */

#define COLUMNS                                                                                    \
	"status, call_id, sequence, total_received, missing_sequences, sqlstate, "                     \
	"CASE WHEN sqlstate IS NOT NULL THEN message END"
#define FROM_PACKETS                                                                               \
	" FROM mulberry.ingest_packets($1::text[], $2::bigint[], $3::bytea[], $4::timestamptz[], $5, " \
	"$6::integer, $8, $7::text[])"

static const gw_statement ingest_packets = { "ingest", "SELECT " COLUMNS FROM_PACKETS, true };

/*
 * The same of a batch that was sent before, and whose answer was lost: which of the duplicates are its own.  It was
 * committed as a whole or not at all, so none are when one of its packets is only accepted now.  If it was, all that it
 * stored came at one time, behind $9, when another transaction had ended before it was sent; and nobody has
 * stored a packet of it since.  Of several with one number it has stored the first.
 */
static const gw_statement ingest_again = {
	"ingest_again",
	"SELECT " COLUMNS ", "
	"status = 'duplicate' AND received_at > coalesce($9::timestamptz, '-infinity') "
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
	char tenant[GW_MAX_TENANT + 1]; /* "": the identity's */
} kind;

typedef struct batch_call
{
	uint64_t sum; /* what its name comes to */
	size_t at;	  /* where that is in call_ids */
	size_t length;
} batch_call;

typedef struct batch
{
	gw_unit unit;
	gw_ingest *ingest;
	gw_identity *identity;
	kind kind;
	int n;
	http_id ids[MAX_ROWS];		 /* of requests, or */
	gw_stored *stored[MAX_ROWS]; /* what the gateway itself wants stored */
	size_t bytes;
	int n_calls;
	batch_call calls[MAX_CALLS];
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
	batch *waiting;		/* to which packets can be added */
	int n_behind;		/* batches of what the gateway itself wants stored, waiting or sent */
	int max_calls;		/* of a batch */
	int64_t grow_at;	/* when there may be twice as many */
	int64_t grow_after; /* how long that takes */
	bool grown;			/* since there were too many */
	char last_began[TIME_SIZE]; /* when the last transaction began that has been answered */
};

gw_ingest *
gw_ingest_new(gw_gateway *gateway)
{
	gw_ingest *ingest = calloc(1, sizeof(*ingest));

	if (ingest != NULL)
	{
		ingest->gateway = gateway;
		ingest->max_calls = MAX_CALLS;
		ingest->grow_after = GROW_AFTER;
	}
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
tell_stored(gw_gateway *gateway, gw_stored *packet, gw_outcome outcome, const PGresult *result,
			int i)
{
	bool row = outcome == GW_COMMITTED && i < PQntuples(result);
	bool failed = outcome == GW_FAILED || outcome == GW_REFUSED;
	const char *status = row ? PQgetvalue(result, i, STATUS) : "";

	if (row)
		gateway->packets[strcmp(status, "accepted") == 0	? ACCEPTED
						 : strcmp(status, "duplicate") == 0 ? DUPLICATE
						 : strcmp(status, "rejected") == 0	? REJECTED
															: BAD]++;
	packet->done(packet,
				 row && (strcmp(status, "accepted") == 0 || strcmp(status, "duplicate") == 0),
				 row	  ? PQgetvalue(result, i, SQLSTATE)
				 : failed ? gw_sqlstate(result)
						  : NULL);
}

/* Somebody has set less than the calls of a batch: none of them is to blame, and smaller batches will do. */
static void
make_smaller(gw_ingest *ingest, int n_calls)
{
	if (n_calls / 2 >= ingest->max_calls)
		return; /* sent before it was known */
	if (ingest->grown && ingest->grow_after < GROW_AT_LAST)
		ingest->grow_after *= 2;
	ingest->grown = false;
	ingest->max_calls = n_calls / 2;
	ingest->grow_at = http_clock() + ingest->grow_after;
	gw_log(GW_WARNING, "batches of packets become smaller", "of %d calls at most",
		   ingest->max_calls);
}

/* It may have been set for a moment only.  Each attempt in vain fails a batch: they become rarer. */
static void
make_larger(gw_ingest *ingest)
{
	if (ingest->max_calls == MAX_CALLS || http_clock() < ingest->grow_at)
		return;
	ingest->grown = true;
	ingest->max_calls = 2 * ingest->max_calls > MAX_CALLS ? MAX_CALLS : 2 * ingest->max_calls;
	ingest->grow_at = http_clock() + ingest->grow_after;
}

static void
done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	batch *b = (batch *) unit;
	gw_gateway *gateway = b->ingest->gateway;
	program_text body = { 0 };

	/* units that were never sent */
	close_batch(b);
	b->ingest->n_behind -= unit->behind;
	if (outcome == GW_COMMITTED)
	{
		gw_identity_is_used(b->identity);
		snprintf(b->ingest->last_began, TIME_SIZE, "%s",
				 PQgetvalue(identity, 0, PQnfields(identity) - 1));
	}
	else if (outcome == GW_FAILED && b->n_calls > 1 &&
			 strcmp(gw_sqlstate(result), TOO_MANY_CALLS) == 0)
	{
		make_smaller(b->ingest, b->n_calls);
		outcome = GW_UNAVAILABLE;
	}
	for (int i = 0; i < b->n; i++)
	{
		if (b->stored[i] != NULL)
			tell_stored(gateway, b->stored[i], outcome, result, i);
		else if (outcome == GW_COMMITTED && i < PQntuples(result))
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
	unit->values[7] = b->kind.tenant[0] == '\0' ? NULL : b->kind.tenant;
	unit->n_parameters = 8;
	memcpy(b->after, b->ingest->last_began, TIME_SIZE);
}

static void
send_batch_again(gw_unit *unit)
{
	batch *b = (batch *) unit;

	unit->statement = &ingest_again;
	unit->values[unit->n_parameters++] = b->after[0] == '\0' ? NULL : b->after;
}

/* FNV-1a.  Names can be made up that come to the same: it only saves looking at most of the others. */
static uint64_t
sum_of(http_text call_id)
{
	uint64_t sum = 14695981039346656037u;

	for (size_t i = 0; i < call_id.length; i++)
		sum = (sum ^ (unsigned char) call_id.data[i]) * 1099511628211u;
	return sum;
}

static bool
has_call(const batch *b, http_text call_id, uint64_t sum)
{
	const program_text *names = &b->call_ids.bytes;

	/* the packets of a call often come behind each other */
	for (int i = b->n_calls - 1; i >= 0; i--)
	{
		const batch_call *call = &b->calls[i];

		if (call->sum == sum && call->length == call_id.length && !names->failed &&
			memcmp(names->data + call->at, call_id.data, call_id.length) == 0)
			return true;
	}
	return false;
}

static bool
has_room(const batch *b, http_text call_id, uint64_t sum, size_t bytes)
{
	return b->n < MAX_ROWS && b->bytes + bytes <= MAX_BYTES &&
		   (b->n_calls < b->ingest->max_calls || has_call(b, call_id, sum));
}

/* The batch that waits for such packets and has room, or a new one; NULL: there may be no other, or there is no memory. */
static batch *
batch_for(gw_ingest *ingest, gw_identity *identity, const kind *kind, size_t bytes,
		  http_text call_id, uint64_t sum, bool behind)
{
	batch *b;

	make_larger(ingest);
	for (b = ingest->waiting; b != NULL; b = b->next)
	{
		if (b->identity == identity && b->unit.behind == behind &&
			strcmp(b->kind.encoding, kind->encoding) == 0 &&
			strcmp(b->kind.sample_rate, kind->sample_rate) == 0 &&
			strcmp(b->kind.tenant, kind->tenant) == 0 && has_room(b, call_id, sum, bytes))
			return b;
	}
	if (behind && ingest->n_behind >= 2 * gw_database_for_behind(ingest->gateway->database))
		return NULL;
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
	b->unit.behind = behind;
	ingest->n_behind += behind;
	gw_unit_for(&b->unit, identity);
	b->next = ingest->waiting;
	ingest->waiting = b;
	gw_database_add(ingest->gateway->database, &b->unit);
	return b;
}

/* A packet of a batch beside what tells whose it is. */
static void
add_to_batch(batch *b, http_text call_id, uint64_t sum, int64_t sequence, http_text data)
{
	bool known = has_call(b, call_id, sum);

	b->n++;
	b->bytes += data.length;
	program_array_add(&b->call_ids, call_id.data, call_id.length);
	if (!known)
		b->calls[b->n_calls++] = (batch_call){ .sum = sum,
											   .at = b->call_ids.bytes.length - call_id.length,
											   .length = call_id.length };
	program_array_add_int64(&b->sequences, sequence);
	program_array_add(&b->data, data.data, data.length);
}

int
gw_ingest_store(gw_gateway *gateway, gw_identity *identity, gw_stored *const *packets, int n)
{
	const gw_stored *first = packets[0];
	http_text call_id = { first->call_id, strlen(first->call_id) };
	uint64_t sum = sum_of(call_id);
	kind kind = { 0 };
	batch *b;
	int taken = 0;

	snprintf(kind.encoding, sizeof(kind.encoding), "%s", first->encoding);
	snprintf(kind.sample_rate, sizeof(kind.sample_rate), "%s", first->sample_rate);
	b = batch_for(gateway->ingest, identity, &kind, first->length, call_id, sum, true);
	if (b == NULL)
		return 0;
	do
	{
		gw_stored *p = packets[taken++];

		b->stored[b->n] = p;
		add_to_batch(b, call_id, sum, p->sequence, (http_text){ p->data, p->length });
		program_array_add_int64(&b->sent_at, p->sent_at - POSTGRES_EPOCH * INT64_C(1000000));
		program_array_add(&b->tracks, p->track, strlen(p->track));
	} while (taken < n && has_room(b, call_id, sum, packets[taken]->length));
	b->has_tracks = true;
	return taken;
}

void
gw_ingest_add(gw_call *call, const gw_packet *packet)
{
	uint64_t sum = sum_of(call->segments[0]);
	kind kind = { 0 };
	batch *b;

	snprintf(kind.encoding, sizeof(kind.encoding), "%s",
			 packet->encoding == NULL ? "" : packet->encoding);
	snprintf(kind.tenant, sizeof(kind.tenant), "%s", packet->tenant == NULL ? "" : packet->tenant);
	b = batch_for(call->gateway->ingest, call->identity, &kind, packet->length, call->segments[0],
				  sum, false);
	if (b == NULL)
	{
		gw_answer_detail(call->gateway, http_request_id(call->request), 503, "Out of memory");
		return;
	}
	b->ids[b->n] = http_request_id(call->request);
	add_to_batch(b, call->segments[0], sum, packet->sequence,
				 (http_text){ packet->data, packet->length });
	if (isnan(packet->timestamp))
		program_array_add_null(&b->sent_at);
	else
		program_array_add_int64(
			&b->sent_at, (int64_t) llround((packet->timestamp - (double) POSTGRES_EPOCH) * 1e6));
	if (packet->track.text == NULL)
		program_array_add_null(&b->tracks);
	else
		program_array_add(&b->tracks, packet->track.text, packet->track.length);
	b->has_tracks = b->has_tracks || packet->track.text != NULL;
}
