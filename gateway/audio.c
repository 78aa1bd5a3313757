/*
 * audio.c
 *	  The audio of a call as a file: in parts, each read from the database when the one before has left, so that memory
 *	  holds one of them; or, put together of several tracks, as a whole up to a limit.
 *
 * A part is a transaction of its own.  When the call has changed in between, the parts would not fit together: then the
 * connection is ended, and the client sees that something is missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "query.h"

#define PART (512 * 1024)

struct gw_download
{
	gw_gateway *gateway;
	gw_identity *identity;
	http_id id;
	char *call_id;
	char *tenant;
	char *track;
	char version[40];
	int64_t at;	 /* the next byte */
	int64_t end; /* behind the last one */
	bool asking;
	bool gone;
	struct gw_download *next;
};

/* What a Range asks for: from a byte (negative: so many before the end) to a last one, -1 for the end. */
typedef struct range
{
	bool asked;
	int64_t first;
	int64_t last;
} range;

/* ---------------------------------------------------------------------------
 * Ranges
 * ---------------------------------------------------------------------------
 */

/* Digits; false when there are none, or too many. */
static bool
take_number(const char **at, const char *end, int64_t *number)
{
	const char *begin = *at;

	*number = 0;
	for (; *at < end && **at >= '0' && **at <= '9' && *at - begin < 18; (*at)++)
		*number = *number * 10 + (**at - '0');
	return *at > begin;
}

/* One range of bytes.  What is none, and several, may be passed over (RFC 9110, section 14.2). */
static range
read_range(const http_request *request)
{
	http_text header = http_request_header(request, "Range");
	const char *at = header.data;
	const char *end = at + header.length;
	range wanted = { .last = -1 };

	if (header.length < 8 || strncasecmp(at, "bytes=", 6) != 0 ||
		http_request_header_count(request, "Range") != 1)
		return wanted;
	at += 6;
	if (*at == '-')
	{
		at++;
		wanted.asked = take_number(&at, end, &wanted.first) && at == end;
		/* the last 0 bytes lie behind everything */
		wanted.first = wanted.first == 0 ? INT64_MAX : -wanted.first;
		return wanted;
	}
	if (!take_number(&at, end, &wanted.first) || at == end || *at++ != '-')
		return wanted;
	wanted.asked = at == end || (take_number(&at, end, &wanted.last) && at == end &&
								 wanted.last >= wanted.first);
	return wanted;
}

/* ---------------------------------------------------------------------------
 * Downloads
 * ---------------------------------------------------------------------------
 */

static const gw_statement audio_part = { "audio_part",
										 "SELECT bytes, total_bytes::text::bytea, version::bytea "
										 "FROM mulberry.call_audio_part($1, $2, $3, "
										 "$4::bigint, $5::integer)",
										 true };

static void
free_download(gw_download *download)
{
	gw_gateway *gateway = download->gateway;

	for (gw_download **place = &gateway->downloads; *place != NULL; place = &(*place)->next)
	{
		if (*place == download)
		{
			*place = download->next;
			gateway->n_downloads--;
			break;
		}
	}
	gw_identity_release(download->identity);
	free(download->call_id);
	free(download->tenant);
	free(download->track);
	free(download);
}

static gw_download *
find(gw_gateway *gateway, http_id id)
{
	for (gw_download *download = gateway->downloads; download != NULL; download = download->next)
	{
		if (download->id == id)
			return download;
	}
	return NULL;
}

/* A part, of whatever has come. */
static http_blob *
part_of(const PGresult *rows)
{
	return http_blob_new(PQgetvalue(rows, 0, 0), (size_t) PQgetlength(rows, 0, 0));
}

static int64_t
number_of(const PGresult *rows, int column)
{
	char text[24] = "";

	snprintf(text, sizeof(text), "%.*s", PQgetlength(rows, 0, column), PQgetvalue(rows, 0, column));
	return strtoll(text, NULL, 10);
}

static void
have_part(gw_query *query, const PGresult *rows)
{
	gw_download *download = find(query->gateway, query->id);
	size_t n = (size_t) strlen(download->version);
	http_blob *blob = part_of(rows);

	download->asking = false;
	if (blob != NULL && !download->gone && n == (size_t) PQgetlength(rows, 0, 2) &&
		memcmp(download->version, PQgetvalue(rows, 0, 2), n) == 0)
	{
		download->at += PQgetlength(rows, 0, 0);
		http_respond_more(query->gateway->server, query->id, blob);
	}
	else
	{
		http_blob_release(blob);
		http_abort(query->gateway->server, query->id);
	}
	if (download->gone)
		free_download(download);
}

static bool
have_no_part(gw_query *query, gw_outcome outcome, const PGresult *error)
{
	gw_download *download = find(query->gateway, query->id);

	download->asking = false;
	http_abort(query->gateway->server, query->id);
	if (download->gone)
		free_download(download);
	return true;
}

static const gw_plan next_part = { .statement = &audio_part,
								   .answer = have_part,
								   .fail = have_no_part };

/* The next part, for a client that has taken the one before. */
void
gw_download_more(gw_gateway *gateway, http_request *request)
{
	gw_download *download = find(gateway, http_request_id(request));
	gw_call call = { .gateway = gateway, .request = request };
	gw_query *query;
	char number[24];

	if (download == NULL || download->asking)
		return;
	call.identity = download->identity;
	query = gw_query_new(&call, &next_part);
	if (query == NULL)
	{
		http_abort(gateway->server, download->id);
		return;
	}
	gw_query_add(query, download->call_id);
	gw_query_add(query, download->tenant);
	gw_query_add(query, download->track);
	snprintf(number, sizeof(number), "%lld", (long long) download->at);
	gw_query_add(query, number);
	snprintf(number, sizeof(number), "%d",
			 (int) (download->end - download->at < PART ? download->end - download->at : PART));
	gw_query_add(query, number);
	query->unit.binary = true;
	download->asking = true;
	gw_query_send(query);
}

void
gw_download_gone(gw_gateway *gateway, http_id id)
{
	gw_download *download = find(gateway, id);

	if (download == NULL)
		return;
	download->gone = true;
	if (!download->asking)
		free_download(download);
}

/* What is left of a file behind its first part; false when it cannot be remembered. */
static bool
begin_download(gw_query *query, const char *version, int64_t at, int64_t end)
{
	gw_gateway *gateway = query->gateway;
	const char *const *values = query->unit.values;
	gw_download *download = calloc(1, sizeof(*download));

	if (download == NULL)
		return false;
	download->gateway = gateway;
	download->identity = gw_identity_hold(query->identity);
	download->id = query->id;
	download->call_id = strdup(values[0]);
	download->tenant = values[1] == NULL ? NULL : strdup(values[1]);
	download->track = values[2] == NULL ? NULL : strdup(values[2]);
	snprintf(download->version, sizeof(download->version), "%s", version);
	download->at = at;
	download->end = end;
	download->next = gateway->downloads;
	gateway->downloads = download;
	gateway->n_downloads++;
	if (download->call_id == NULL || (values[1] != NULL && download->tenant == NULL) ||
		(values[2] != NULL && download->track == NULL))
	{
		free_download(download);
		return false;
	}
	return true;
}

/* ---------------------------------------------------------------------------
 * The first part, which says what it is part of
 * ---------------------------------------------------------------------------
 */

/* The bytes that are asked for, of so many: 200 and all of them, or 206, or 416. */
static int
choose(const http_request *request, const char *version, int64_t total, int64_t *first,
	   int64_t *end, http_headers *headers)
{
	range wanted = read_range(request);

	*first = 0;
	*end = total;
	/* a rest of another file is of no use */
	if (!wanted.asked || gw_document_named(request, "If-Range", version) == 0)
		return 200;
	*first = wanted.first >= 0 ? wanted.first : wanted.first + total;
	if (*first < 0)
		*first = 0;
	if (wanted.last >= 0 && wanted.last < total)
		*end = wanted.last + 1;
	if (*first >= total)
	{
		http_headers_add(headers, "Content-Range", "bytes */%lld", (long long) total);
		return 416;
	}
	http_headers_add(headers, "Content-Range", "bytes %lld-%lld/%lld", (long long) *first,
					 (long long) *end - 1, (long long) total);
	return 206;
}

static void
have_first(gw_query *query, const PGresult *rows)
{
	gw_gateway *gateway = query->gateway;
	http_request *request = http_request_find(gateway->server, query->id);
	http_headers headers = { 0 };
	http_answer answer = { .content_type = "audio/wav", .headers = &headers, .in_pieces = true };
	int64_t got = PQgetlength(rows, 0, 0);
	http_blob *blob = NULL;
	char version[40];
	int64_t first;
	int64_t end;

	if (request == NULL)
		return;
	snprintf(version, sizeof(version), "%.*s", PQgetlength(rows, 0, 2), PQgetvalue(rows, 0, 2));
	gw_document_headers(query, version, &headers);
	http_headers_add(&headers, "Accept-Ranges", "bytes");
	if (gw_document_named(request, "If-None-Match", version) == 1)
		answer.status = 304;
	else
		answer.status = choose(request, version, number_of(rows, 1), &first, &end, &headers);
	if (answer.status >= 300)
	{
		answer.in_pieces = false;
		http_respond(gateway->server, query->id, &answer);
		return;
	}
	/* the part was read for the range that was asked for, even if it gets another one */
	if (answer.status == 200 && read_range(request).asked)
		got = 0;
	if (got > end - first)
		got = end - first;
	answer.length = (size_t) (end - first);
	if (mb_http_span_is(http_request_head(request)->method, http_request_bytes(request), "HEAD"))
	{
		http_respond(gateway->server, query->id, &answer);
		return;
	}
	if (got > 0)
		blob = http_blob_new(PQgetvalue(rows, 0, 0), (size_t) got);
	if ((got > 0 && blob == NULL) ||
		(got < end - first && !begin_download(query, version, first + got, end)))
	{
		http_blob_release(blob);
		gw_answer_detail(gateway, query->id, 503, "Out of memory");
		return;
	}
	http_respond(gateway->server, query->id, &answer);
	if (blob != NULL)
		http_respond_more(gateway->server, query->id, blob);
}

static const char *const layouts[] = { "stereo", "mono", NULL };

static const gw_parameter of_audio[] = {
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = 1000 },
	{ GW_IN_QUERY, "track", GW_STRING, .least = 1, .most = 1000, .help = "else the first" },
	{ GW_IN_QUERY, "layout", GW_STRING, .choices = layouts,
	  .help = "all tracks in time: the first two as left and right, or their sum; as a whole, up "
			  "to a limit" },
};

const gw_plan gw_audio = { .statement = &audio_part,
						   GW_PARAMETERS(of_audio),
						   .answer = have_first,
						   .missing = "Call %s not found",
						   .file = "%s.wav" };

#define WHOLE(function)                                                                            \
	"SELECT a, convert_to(encode(sha256(a), 'hex'), 'UTF8') FROM mulberry." function               \
	"($1, $2) AS a "                                                                               \
	"WHERE length(a) <= $3::integer"

static const gw_statement stereo = { "audio_stereo", WHOLE("call_audio_stereo"), true };
static const gw_statement mixed = { "audio_mixed", WHOLE("call_audio_mixed"), true };

static const gw_plan whole = {
	.statement = &stereo,
	.answer = gw_answer_document,
	.missing = "Call %s not found",
	.absent = "The audio of call %s is too long for one answer: ask for a track",
	.content_type = "audio/wav",
	.file = "%s.wav"
};

/* GET /v1/call/{call_id}/audio.wav */
void
gw_handle_audio(gw_call *call)
{
	gw_gateway *gateway = call->gateway;
	gw_query *query = gw_query_new(call, &gw_audio);
	range wanted = read_range(call->request);
	bool head = mb_http_span_is(http_request_head(call->request)->method,
								http_request_bytes(call->request), "HEAD");
	const char *layout;
	char number[24];

	if (query == NULL)
		return;
	if (!gw_query_read(query, call))
	{
		gw_query_free(query);
		return;
	}
	if (gateway->n_downloads >= gateway->options->max_downloads)
	{
		gw_answer_detail(gateway, query->id, 503, "Too many downloads are under way");
		gw_query_free(query);
		return;
	}
	query->unit.binary = true;
	layout = gw_query_text(query, 3);
	if (layout != NULL)
	{
		query->plan = &whole;
		query->unit.statement = strcmp(layout, "stereo") == 0 ? &stereo : &mixed;
		query->unit.n_parameters = 2;
		snprintf(number, sizeof(number), "%d", gateway->options->max_answer);
		gw_query_add(query, number);
		gw_query_send(query);
		return;
	}
	query->unit.n_parameters = 3;
	snprintf(number, sizeof(number), "%lld", (long long) (wanted.asked ? wanted.first : 0));
	gw_query_add(query, number);
	snprintf(number, sizeof(number), "%d", head ? 0 : PART);
	gw_query_add(query, number);
	gw_query_send(query);
}
