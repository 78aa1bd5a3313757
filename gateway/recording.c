/*
 * recording.c
 *	  Whole recordings by upload: a WAV file as the body of a request, or as the file of a form.
 *
 * The body is taken over from the request and not copied; how many there may be at a time is limited.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/web/multipart.h"
#include "query.h"

static const char *const encodings[] = { "mulaw", "alaw", "s16le", NULL };

static const gw_parameter of_recording[] = {
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = 1000 },
	{ GW_IN_QUERY, "tracks", GW_STRINGS,
	  .help = "a name for each channel, or one for all of them together; repeatable" },
	{ GW_IN_QUERY, "encoding", GW_STRING, .choices = encodings, .help = "that it is kept in" },
	{ GW_IN_QUERY, "sample_rate", GW_INTEGER, .least = 1, .most = INT32_MAX,
	  .help = "that it is kept at" },
	{ GW_IN_QUERY, "started_at", GW_TIME, .help = "when it begins" },
	{ GW_IN_QUERY, "complete", GW_BOOLEAN, .help = "nothing more will come" },
	{ GW_IN_QUERY, "packet_ms", GW_INTEGER, .least = 10, .most = 1000, .help = "100 unless given" },
	{ GW_IN_QUERY, "allow_truncated", GW_BOOLEAN, .help = "take what there is of a file" },
};

/* Its packets would be there the second time. */
static const gw_statement ingest_recording = {
	"ingest_recording",
	"SELECT row_to_json(r) FROM (SELECT 'accepted' AS status, 'Recording has been received' AS "
	"message, "
	"$1::text AS call_id, (SELECT json_agg(t) FROM mulberry.ingest_recording($1, $10::bytea, "
	"$3::text[], "
	"$4, $5::integer, $6::timestamptz, coalesce($7::boolean, false), coalesce($8::integer, 100), "
	"$2, "
	"coalesce($9::boolean, false)) AS t) AS tracks) AS r",
	false
};

const gw_plan gw_recording = { .statement = &ingest_recording,
							   GW_PARAMETERS(of_recording),
							   .status = 201 };

/* Whether a type of content begins so. */
static bool
is_type(http_text type, const char *name)
{
	size_t n = strlen(name);

	return type.length >= n && strncasecmp(type.data, name, n) == 0 &&
		   (type.length == n || type.data[n] == ';' || type.data[n] == ' ');
}

/*
 * The file of a form: the first part that is one.  Its pieces are moved together within the body.  Returns
 * NULL, or what is wrong.
 */
static const char *
find_file(http_text type, char *body, size_t n, char **file, size_t *length)
{
	mb_multipart multipart;
	size_t at = 0;
	bool within = false;

	*file = NULL;
	*length = 0;
	if (mb_multipart_begin(&multipart, type.data, type.length) != MB_OK)
		return "The form has no boundary";
	for (;;)
	{
		const char *data;
		size_t used;
		size_t piece;

		switch (mb_multipart_feed(&multipart, body + at, n - at, &used, &data, &piece))
		{
			case MB_MULTIPART_MORE:
				if (!mb_multipart_whole(&multipart))
					return "The form ends before its last boundary";
				return *file == NULL ? "The form has no file" : NULL;
			case MB_MULTIPART_REFUSED:
				return "The form is malformed";
			case MB_MULTIPART_PART:
				within = multipart.is_file && *file == NULL;
				if (within)
					*file = body + at + used;
				break;
			case MB_MULTIPART_DATA:
				if (within)
				{
					memmove(*file + *length, data, piece);
					*length += piece;
				}
				break;
		}
		at += used;
	}
}

/* POST /v1/call/{call_id}/recording */
void
gw_handle_recording(gw_call *call)
{
	gw_gateway *gateway = call->gateway;
	http_text type = http_request_header(call->request, "Content-Type");
	bool form = type.data != NULL && is_type(type, "multipart/form-data");
	gw_query *query = gw_query_new(call, &gw_recording);
	const char *wrong = NULL;
	char *file;
	size_t length;
	char *memory;
	size_t at;

	if (query == NULL)
		return;
	if (!gw_query_read(query, call))
	{
		gw_query_free(query);
		return;
	}
	if (type.data != NULL && !form && !is_type(type, "audio/wav") &&
		!is_type(type, "audio/x-wav") && !is_type(type, "audio/wave") &&
		!is_type(type, "audio/vnd.wave") && !is_type(type, "application/octet-stream"))
		gw_answer_detail(gateway, query->id, 415,
						 "A recording is audio/wav, or the file of a form (multipart/form-data)");
	else if (gateway->n_uploads >= gateway->options->max_uploads)
		gw_answer_detail(gateway, query->id, 503, "Too many recordings are under way");
	else
	{
		/* the type lies in memory that the body is taken out of */
		char kept[300] = "";

		memcpy(kept, type.data == NULL ? "" : type.data,
			   type.length < sizeof(kept) ? type.length : sizeof(kept) - 1);
		type = (http_text){ kept, strlen(kept) };
		memory = http_request_take_body(call->request, &at, &length);
		file = memory == NULL ? NULL : memory + at;
		if (memory == NULL)
			gw_answer_detail(gateway, query->id, 503, "Out of memory");
		else if (form && (wrong = find_file(type, memory + at, length, &file, &length)) != NULL)
		{
			free(memory);
			gw_answer_detail(gateway, query->id, 400, "%s", wrong);
		}
		else
		{
			gw_query_add_bytes(query, memory, file, length);
			gw_query_send(query);
			return;
		}
	}
	gw_query_free(query);
}
