/*
 * reading.c
 *	  A call as it is now: its state, its transcript, its picture.  None of it changes anything.
 */
#include "query.h"

#define MAX_TEXT 1000

#define OF_CALL                                                                                    \
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },                                        \
	{                                                                                              \
		GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT                             \
	}

static const gw_parameter of_call[] = { OF_CALL };

/* What is missing is listed up to a hundred. */
static const gw_statement call = {
	"call",
	"SELECT row_to_json(r) FROM (SELECT c.call_id, c.tenant, c.state, c.direction, c.from_number, "
	"c.to_number, c.attributes, c.created_at, c.started_at, c.completed_at, c.finished_at, "
	"c.last_packet_at, c.total_packets_received AS total_received, c.expected_total_packets, "
	"c.missing_count, c.first_missing_sequences AS missing_sequences, c.extra_packets, "
	"c.transcription, c.sentiment, c.confidence, c.failure_reason, c.endpoint, "
	"(SELECT json_agg(t) FROM (SELECT t.track, t.encoding, t.sample_rate, "
	"t.total_packets_received AS total_received, t.expected_total_packets, t.missing_count, "
	"t.last_packet_at, ARRAY(SELECT json_build_array(lower(g.gap), upper(g.gap) - 1) "
	"FROM unnest(t.missing_sequences) AS g (gap) ORDER BY g.gap LIMIT 100) AS gaps "
	"FROM mulberry.call_tracks t WHERE t.call_id = c.call_id AND t.tenant = c.tenant "
	"ORDER BY t.number) AS t) AS tracks, "
	"(SELECT row_to_json(p) FROM (SELECT p.job, p.track, p.endpoint, p.running, p.parts_done, "
	"p.parts, p.queue_position, p.waits_for, p.until, p.attempts, p.audio_seconds, "
	"p.estimated_seconds) AS p) AS progress "
	"FROM mulberry.call_progress($1::text, $2::text) AS p CROSS JOIN LATERAL "
	"(SELECT s.* FROM mulberry.call_status s WHERE s.call_id = $1 AND ($2 IS NULL OR s.tenant = "
	"$2) "
	"ORDER BY s.tenant <> 'default' LIMIT 1) AS c) AS r",
	true
};

const gw_plan gw_read_call = { .statement = &call,
							   GW_PARAMETERS(of_call),
							   .answer = gw_answer_document,
							   .missing = "Call %s not found" };

#define TRANSCRIPT(format)                                                                         \
	{                                                                                              \
		"transcript_" format, "SELECT mulberry.call_transcript($1, '" format "', $2)", true        \
	}
#define TRANSCRIPT_PLAN(place, type, suffix)                                                       \
	{                                                                                              \
		.statement = place, GW_PARAMETERS(of_call), .answer = gw_answer_document,                  \
		.missing = "Call %s not found", .absent = "Call %s has no transcript yet",                 \
		.content_type = type, .file = "%s" suffix                                                  \
	}

static const gw_statement transcripts[] = { TRANSCRIPT("text"), TRANSCRIPT("srt"),
											TRANSCRIPT("vtt"), TRANSCRIPT("json") };

const gw_plan gw_transcript_text =
	TRANSCRIPT_PLAN(&transcripts[0], "text/plain; charset=utf-8", ".txt");
const gw_plan gw_transcript_srt =
	TRANSCRIPT_PLAN(&transcripts[1], "application/x-subrip; charset=utf-8", ".srt");
const gw_plan gw_transcript_vtt =
	TRANSCRIPT_PLAN(&transcripts[2], "text/vtt; charset=utf-8", ".vtt");
const gw_plan gw_transcript_json = TRANSCRIPT_PLAN(&transcripts[3], "application/json", ".json");

static const gw_parameter of_waveform[] = {
	OF_CALL,
	{ GW_IN_QUERY, "width", GW_INTEGER, .least = 1, .most = INT32_MAX },
	{ GW_IN_QUERY, "height", GW_INTEGER, .least = 1, .most = INT32_MAX },
	{ GW_IN_QUERY, "title", GW_STRING, .most = MAX_TEXT, .help = "else the call's id" },
};

static const gw_statement waveform = {
	"waveform", "SELECT mulberry.call_waveform($1, $2, $3::integer, $4::integer, $5)", true
};

const gw_plan gw_waveform = { .statement = &waveform,
							  GW_PARAMETERS(of_waveform),
							  .answer = gw_answer_document,
							  .missing = "Call %s not found",
							  .content_type = "image/svg+xml; charset=utf-8",
							  .file = "%s.svg" };
