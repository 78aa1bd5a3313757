/*
 * metadata.c
 *	  What is told of a call beside its packets: before the first one, and at any time.
 */
#include "query.h"

#define MAX_TEXT 1000 /* characters; how long each may be, the database says */

/* Which call, and between whom it is. */
#define CALL_AND_PARTIES                                                                           \
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },                                        \
		{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT },                        \
		{ GW_IN_BODY, "direction",		GW_STRING,                                                 \
		  .least = 1, .most = MAX_TEXT, .help = "inbound, outbound or internal" },                 \
		{ GW_IN_BODY, "from_number",	GW_STRING,                                                 \
		  .least = 1, .most = MAX_TEXT, .help = "E.164, SIP URI, or as it came" },                 \
	{                                                                                              \
		GW_IN_BODY, "to_number", GW_STRING, .least = 1, .most = MAX_TEXT                           \
	}

static const gw_parameter of_begin[] = {
	CALL_AND_PARTIES,
	{ GW_IN_BODY, "attributes", GW_OBJECT, .help = "to find it by, at most 8 kB" },
	{ GW_IN_BODY, "encoding", GW_STRING, .least = 1, .most = MAX_TEXT,
	  .help = "of its audio: mulaw, alaw, s16le or text" },
	{ GW_IN_BODY, "sample_rate", GW_INTEGER, .least = 1, .most = INT32_MAX,
	  .help = "samples a second: 8000, 16000, 44100 or 48000" },
	{ GW_IN_BODY, "tracks", GW_STRINGS,
	  .help = "names of all its tracks, such as caller and agent" },
	{ GW_IN_BODY, "started_at", GW_TIME, .required = false },
	{ GW_IN_BODY, "first_sequence", GW_INTEGER, .least = 0, .most = UINT32_MAX,
	  .help = "that its packets are counted from" },
	{ GW_IN_BODY, "counter_bits", GW_INTEGER, .least = 1, .most = 32,
	  .help = "of a counter that begins again at 0" },
	{ GW_IN_BODY, "endpoint", GW_STRING, .most = MAX_TEXT, .help = "that must transcribe it" },
};

static const gw_statement begin_call = {
	"begin_call",
	"SELECT row_to_json(r), CASE WHEN begun THEN 201 ELSE 200 END FROM (SELECT 'accepted' AS "
	"status, "
	"CASE WHEN b.begun THEN 'Call has begun' ELSE 'Call had begun before' END AS message, "
	"$1::text AS call_id, b.begun FROM mulberry.begin_call($1, $3, $4, $5, $6::jsonb, $7, "
	"$8::integer, $9::text[], $10::timestamptz, $2, $11::bigint, $12::integer, $13) AS b (begun)) "
	"AS r",
	true
};

const gw_plan gw_begin = { .statement = &begin_call, GW_PARAMETERS(of_begin) };

static const gw_parameter of_describe[] = {
	CALL_AND_PARTIES,
	{ GW_IN_BODY, "attributes", GW_OBJECT,
	  .help = "are added to those that it has; one goes when it is null" },
	{ GW_IN_BODY, "endpoint", GW_STRING, .most = MAX_TEXT,
	  .help = "that must transcribe it; empty: any" },
};

/* It is told of each time, and may overwrite what somebody else said meanwhile: not to be run again. */
static const gw_statement describe_call = {
	"describe_call",
	"SELECT row_to_json(r) FROM (SELECT 'accepted' AS status, 'Call has been described' AS "
	"message, "
	"$1::text AS call_id FROM mulberry.describe_call($1, $3, $4, $5, $6::jsonb, $2, $7)) AS r",
	false
};

const gw_plan gw_describe = { .statement = &describe_call,
							  GW_PARAMETERS(of_describe),
							  .missing = "Call %s not found" };
