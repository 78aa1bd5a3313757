/*
 * packet.c
 *	  Packets of calls as requests have them: in JSON, or as bytes with headers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "core/text/utf8.h"
#include "fields.h"
#include "ingest.h"
#include "query.h"

#define MAX_SEQUENCE MB_PACKET_BODY_MAX_SEQUENCE
#define MAX_UNESCAPED 16384			   /* bytes of a plain body's strings that have escapes */
#define MAX_TRACK 255				   /* bytes of a header */
#define LAST_TIMESTAMP 9224318015999.0 /* seconds: what a timestamptz holds */

/* What a packet is made of: in JSON, or in headers beside a body of bytes. */
enum
{
	PATH_CALL_ID,
	QUERY_TENANT,
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
	[QUERY_TENANT] = { GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = GW_MAX_TENANT,
					   .help = "where the token is for several" },
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
take_plain(gw_call *call, const char *tenant)
{
	http_text text = http_request_body(call->request);
	char unescaped[MAX_UNESCAPED];
	mb_packet_body body;
	unsigned char *audio = NULL;
	gw_packet p;

	if (!gw_fields_may_begin(call->request) ||
		!mb_packet_body_read(text.data, text.length, unescaped, sizeof(unescaped), &body))
		return false;
	p = (gw_packet){ .sequence = body.sequence,
					 .data = body.data.text,
					 .length = body.data.length,
					 .timestamp = body.timestamp,
					 .track = body.track,
					 .tenant = tenant };
	if (body.encoding.text == NULL ||
		(body.encoding.length == 4 && memcmp(body.encoding.text, "text", 4) == 0))
		p.encoding = "text";
	else if (body.encoding.length != 6 || memcmp(body.encoding.text, "base64", 6) != 0)
		return false;
	else
	{
		audio = gw_base64_decode(p.data, p.length, &p.length);
		p.data = audio;
		if (audio == NULL)
			return false;
	}
	gw_ingest_add(call, &p);
	free(audio);
	return true;
}

/* A packet in JSON: sequence, data, timestamp; encoding "base64" for audio, track. */
static void
take_json(gw_call *call, const char *tenant)
{
	gw_fields fields = { 0 };
	gw_packet p = { .tenant = tenant };
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
			p.encoding = "text";
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
		gw_ingest_add(call, &p);
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
take_bytes(gw_call *call, const char *tenant)
{
	http_text body = http_request_body(call->request);
	http_text track = http_request_header(call->request, NAME(HEADER_TRACK));
	http_id id = http_request_id(call->request);
	double sequence;
	gw_packet p = { .data = body.data, .length = body.length, .timestamp = NAN, .tenant = tenant };

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
		gw_ingest_add(call, &p);
	}
}

static void
take(gw_call *call, const char *tenant)
{
	http_text type = http_request_header(call->request, "Content-Type");

	if (type.data != NULL && type.length >= 24 &&
		strncasecmp(type.data, "application/octet-stream", 24) == 0)
		take_bytes(call, tenant);
	else if (!take_plain(call, tenant))
		take_json(call, tenant);
}

/* POST /v1/call/stream/{call_id} */
void
gw_handle_packet(gw_call *call)
{
	gw_fields fields = { 0 };
	const char *tenant = NULL;

	if (http_request_query(call->request).length == 0)
	{
		take(call, NULL);
		return;
	}
	if (gw_fields_begin_query(&fields, call->request))
		tenant = gw_fields_text(&fields, NAME(QUERY_TENANT), false, 1, GW_MAX_TENANT);
	if (gw_fields_end(&fields))
		take(call, tenant);
	else
		refuse_fields(call, &fields);
	gw_fields_free(&fields);
}
