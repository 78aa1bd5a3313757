/*
 * listing.c
 *	  Which calls there are, which have words in their transcripts, and the end of one.
 */
#include <string.h>

#include "query.h"
#include "session.h"

#define MAX_TEXT 1000
#define MAX_QUERY 10000
#define MAX_CURSOR 20000 /* of tenant and call, in JSON and hexadecimal digits */

static const char *const directions[] = { "inbound", "outbound", "internal", NULL };
static const char *const states[] = { "IN_PROGRESS", "COMPLETED", "PROCESSING_AI",
									  "ARCHIVED",	 "FAILED",	  NULL };

static const gw_parameter of_calls[] = {
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT },
	{ GW_IN_QUERY, "number", GW_STRING, .least = 1, .most = MAX_TEXT, .help = "either side's" },
	{ GW_IN_QUERY, "since", GW_TIME, .help = "that began then or later" },
	{ GW_IN_QUERY, "until", GW_TIME, .help = "that began before" },
	{ GW_IN_QUERY, "attributes", GW_OBJECT,
	  .help = "that have these, such as {\"queue\":\"sales\"}" },
	{ GW_IN_QUERY, "direction", GW_STRING, .choices = directions },
	{ GW_IN_QUERY, "state", GW_STRING, .choices = states },
	{ GW_IN_QUERY, "limit", GW_INTEGER, .least = 1, .most = 1000, .help = "100 unless given" },
	{ GW_IN_QUERY, "cursor", GW_STRING, .least = 1, .most = MAX_TEXT,
	  .help = "next_cursor of the page before, with the same filters" },
};

/*
 * A cursor says when the last call of a page began and how many of those that began at that very time were shown: it
 * stands still however many calls begin meanwhile.
 */
static const gw_statement calls = {
	"calls",
	"WITH place AS (SELECT split_part(c.t, '|', 1)::timestamptz AS began, "
	"coalesce(split_part(c.t, '|', 2)::integer, 0) AS shown "
	"FROM (SELECT convert_from(decode($9, 'hex'), 'UTF8') AS t) AS c), "
	"asked AS (SELECT coalesce($8::integer, 100) AS rows, coalesce(p.shown, 0) AS shown, "
	"least($4::timestamptz, p.began + interval '1 microsecond') AS until FROM place p), "
	"found AS (SELECT c.* FROM asked a CROSS JOIN LATERAL mulberry.calls($2, $3::timestamptz, "
	"a.until, "
	"$5::jsonb, $6, $7, $1, least(a.rows + a.shown + 1, 10000)) WITH ORDINALITY AS c (tenant, "
	"call_id, "
	"state, direction, from_number, to_number, attributes, tracks, started_at, completed_at, "
	"finished_at, sentiment, n)), "
	"page AS (SELECT f.* FROM found f, asked a WHERE f.n > a.shown AND f.n <= a.shown + a.rows) "
	"SELECT row_to_json(r) FROM (SELECT coalesce((SELECT json_agg(s.call ORDER BY s.n) FROM "
	"(SELECT p.n, "
	"(SELECT row_to_json(x) FROM (SELECT p.tenant, p.call_id, p.state, p.direction, p.from_number, "
	"p.to_number, p.attributes, p.tracks, p.started_at, p.completed_at, p.finished_at, "
	"p.sentiment) AS x) "
	"AS call FROM page p) AS s), '[]') AS calls, "
	"CASE WHEN (SELECT max(f.n) FROM found f) > (SELECT max(p.n) FROM page p) THEN "
	"(SELECT encode(convert_to(l.started_at || '|' || (SELECT count(*) FROM found f "
	"WHERE f.started_at = l.started_at AND f.n <= l.n), 'UTF8'), 'hex') "
	"FROM page l ORDER BY l.n DESC LIMIT 1) END AS next_cursor) AS r",
	true
};

/* What a cursor is made of is nobody's business, nor what is wrong with one: what else could be has been looked at. */
static bool
bad_cursor(gw_query *query, gw_outcome outcome, const PGresult *error)
{
	static const char *const states_of_it[] = { "22P02", "22P03", "22003", "22007",
												"22008", "22021", "22023" };
	const char *sqlstate = gw_sqlstate(error);

	if (outcome != GW_FAILED || query->unit.values[query->plan->n_parameters - 1] == NULL)
		return false;
	for (size_t i = 0; i < sizeof(states_of_it) / sizeof(states_of_it[0]); i++)
	{
		if (strcmp(sqlstate, states_of_it[i]) == 0)
		{
			gw_answer_detail(query->gateway, query->id, 400, "The cursor, or a filter, is none");
			return true;
		}
	}
	return false;
}

const gw_plan gw_calls = { .statement = &calls, GW_PARAMETERS(of_calls), .fail = bad_cursor };

static const gw_parameter of_search[] = {
	{ GW_IN_QUERY, "q", GW_STRING, .required = true, .least = 1, .most = MAX_QUERY,
	  .help = "words that all must be there, \"a phrase\", or, -without" },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT },
	{ GW_IN_QUERY, "since", GW_TIME, .required = false },
	{ GW_IN_QUERY, "before", GW_TIME, .required = false },
	{ GW_IN_QUERY, "limit", GW_INTEGER, .least = 1, .most = 1000, .help = "20 unless given" },
	{ GW_IN_QUERY, "cursor", GW_STRING, .least = 1, .most = MAX_CURSOR,
	  .help = "next_cursor of the page before, with the same filters" },
};

/* A cursor names the last call of a page. */
static const gw_statement search = {
	"search",
	"WITH found AS (SELECT c.* FROM mulberry.search_calls($1, $3::timestamptz, $4::timestamptz, "
	"coalesce($5::integer, 20), $2, (SELECT ARRAY[p.place->>0, p.place->>1] FROM "
	"(SELECT convert_from(decode($6, 'hex'), 'UTF8')::json AS place) AS p WHERE $6 IS NOT NULL)) "
	"WITH ORDINALITY AS c (tenant, call_id, created_at, headline, rank, track, speaker, start_ms, "
	"n)) "
	"SELECT row_to_json(r) FROM (SELECT coalesce((SELECT json_agg(json_build_object('tenant', "
	"f.tenant, 'call_id', f.call_id, 'created_at', f.created_at, 'headline', f.headline, 'rank', "
	"f.rank, 'track', f.track, 'speaker', f.speaker, 'start_ms', f.start_ms) ORDER BY f.n) "
	"FROM found f), '[]') AS results, "
	"(SELECT encode(convert_to(json_build_array(f.tenant, f.call_id)::text, 'UTF8'), 'hex') "
	"FROM found f WHERE f.n = coalesce($5::integer, 20)) AS next_cursor) AS r",
	true
};

const gw_plan gw_search = { .statement = &search, GW_PARAMETERS(of_search), .fail = bad_cursor };

static const gw_parameter of_erase[] = {
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT },
};

/* There is nothing to be erased twice: the second time would say that there is no such call. */
static const gw_statement erase = {
	"erase",
	"SELECT row_to_json(r) FROM (SELECT 'accepted' AS status, 'Call has been erased' AS message, "
	"$1::text AS call_id FROM mulberry.erase_call($1, $2)) AS r",
	false
};

const gw_plan gw_erase = { .statement = &erase,
						   GW_PARAMETERS(of_erase),
						   .missing = "Call %s not found" };
