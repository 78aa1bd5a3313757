/*
 * mandates.c
 *	  Mandates, the commands about them and the agents that they are for: what operators do by HTTP.  What an agent itself
 *	  asks is in agents.c.
 */
#include "query.h"

#include <string.h>

#include "session.h"

#define MAX_TEXT 1000 /* characters; how long each may be, the database says */
#define MOST_DAYS 99
#define MOST_ROWS 1000

/* Amounts are texts, such as "120.50": numbers of JSON are rounded on their way. */

/* clang-format off */
#define OF_PATH(name) { GW_IN_PATH, name, GW_STRING, .required = true }
#define OF_TENANT { GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = MAX_TEXT, .help = "where the token is for several" }
#define OF_LIMIT { GW_IN_QUERY, "limit", GW_INTEGER, .least = 1, .most = MOST_ROWS, .help = "rows, 100 unless said" }
#define OF_COMMAND \
	{ GW_IN_BODY, "requester", GW_STRING, .most = MAX_TEXT, .help = "who asks for it" }, \
	{ GW_IN_BODY, "force_voice", GW_BOOLEAN, .help = "by telephone, even to an agent that is online" }
#define OF_REASON { GW_IN_BODY, "reason", GW_STRING, .most = MAX_TEXT }
/* clang-format on */

/* What a command's mandate, or the command, is not fit for is a conflict. */
static bool
conflict(gw_query *query, gw_outcome outcome, const PGresult *error)
{
	if (outcome != GW_FAILED || strcmp(gw_sqlstate(error), "55000") != 0)
		return false;
	gw_answer_detail(query->gateway, query->id, 409, "%s",
					 PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY));
	return true;
}

/* ---------------------------------------------------------------------------
 * Commands
 * ---------------------------------------------------------------------------
 */

/* What waits for its agent is accepted, no more. */
#define ANSWER_OF(call)                                                                            \
	"SELECT r, CASE r->>'status' WHEN 'pending' THEN 202 ELSE 200 END FROM mulberry." call " AS r"

static const gw_parameter of_command[] = { OF_PATH("mandate_id"), OF_TENANT, OF_REASON,
										   OF_COMMAND };
static const gw_parameter of_extend[] = { OF_PATH("mandate_id"),
										  OF_TENANT,
										  { GW_IN_BODY, "days", GW_INTEGER, .required = true,
											.least = 1, .most = MOST_DAYS },
										  OF_REASON,
										  OF_COMMAND };
static const gw_parameter of_asking[] = { OF_PATH("mandate_id"), OF_TENANT, OF_COMMAND };
static const gw_parameter of_ping[] = { OF_PATH("agent"), OF_TENANT, OF_COMMAND };

static const gw_statement revoke = {
	"revoke", ANSWER_OF("revoke_mandate($1, $3, $4, coalesce($5::boolean, false), $2)"), true
};
static const gw_statement suspend = {
	"suspend", ANSWER_OF("suspend_mandate($1, $3, $4, coalesce($5::boolean, false), $2)"), true
};
static const gw_statement resume = {
	"resume", ANSWER_OF("resume_mandate($1, $3, $4, coalesce($5::boolean, false), $2)"), true
};
/* twice is not once */
static const gw_statement extend = {
	"extend",
	ANSWER_OF("extend_mandate($1, $3::integer, $4, $5, coalesce($6::boolean, false), $2)"), false
};
static const gw_statement ask = {
	"ask", ANSWER_OF("query_mandate($1, $3, coalesce($4::boolean, false), $2)"), false
};
static const gw_statement ping = {
	"ping", ANSWER_OF("ping_agent($1, $3, coalesce($4::boolean, false), $2)"), false
};

#define NO_MANDATE "Mandate %s not found"
#define NO_AGENT "Agent %s not found"
#define NO_COMMAND "Command %s not found"

const gw_plan gw_revoke = {
	.statement = &revoke, GW_PARAMETERS(of_command), .fail = conflict, .missing = NO_MANDATE
};
const gw_plan gw_suspend = {
	.statement = &suspend, GW_PARAMETERS(of_command), .fail = conflict, .missing = NO_MANDATE
};
const gw_plan gw_resume = {
	.statement = &resume, GW_PARAMETERS(of_command), .fail = conflict, .missing = NO_MANDATE
};
const gw_plan gw_extend = {
	.statement = &extend, GW_PARAMETERS(of_extend), .fail = conflict, .missing = NO_MANDATE
};
const gw_plan gw_ask = {
	.statement = &ask, GW_PARAMETERS(of_asking), .fail = conflict, .missing = NO_MANDATE
};
const gw_plan gw_ping = {
	.statement = &ping, GW_PARAMETERS(of_ping), .fail = conflict, .missing = NO_AGENT
};

static const gw_parameter of_one_command[] = { OF_PATH("command_id") };
static const gw_parameter of_cancel[] = { OF_PATH("command_id"), OF_REASON };
static const gw_parameter of_commands[] = {
	OF_TENANT,
	{ GW_IN_QUERY, "state", GW_STRING, .least = 1, .most = MAX_TEXT,
	  .help = "such as escalated: those that a person must deal with" },
	{ GW_IN_QUERY, "agent", GW_STRING, .least = 1, .most = MAX_TEXT },
	{ GW_IN_QUERY, "before", GW_INTEGER, .least = 1, .most = INT64_MAX,
	  .help = "the last command_id of the page before: they come newest first" },
	OF_LIMIT
};
static const gw_statement command = {
	"command",
	"SELECT answer || jsonb_build_object('command_state', state) FROM mulberry.command_status "
	"WHERE command_id = $1::bigint",
	true
};
static const gw_statement commands = {
	"commands",
	"SELECT jsonb_build_object('commands', coalesce(jsonb_agg(x.answer ORDER BY x.command_id "
	"DESC), "
	"'[]')) FROM (SELECT command_id, answer || jsonb_build_object('command_state', state, "
	"'created_at', "
	"created_at) AS answer FROM mulberry.command_status WHERE ($1::text IS NULL OR tenant = $1) "
	"AND "
	"($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR agent = $3) AND ($4::bigint IS NULL "
	"OR "
	"command_id < $4::bigint) ORDER BY command_id DESC LIMIT coalesce($5::integer, 100)) AS x",
	true
};
static const gw_statement cancel = { "cancel", "SELECT mulberry.cancel_command($1::bigint, $2)",
									 false };
static const gw_statement retry = { "retry", ANSWER_OF("retry_command($1::bigint)"), false };

const gw_plan gw_command = { .statement = &command,
							 GW_PARAMETERS(of_one_command),
							 .missing = NO_COMMAND };
const gw_plan gw_commands = { .statement = &commands, GW_PARAMETERS(of_commands) };
const gw_plan gw_cancel = { .statement = &cancel, GW_PARAMETERS(of_cancel), .fail = conflict };
const gw_plan gw_retry = { .statement = &retry, GW_PARAMETERS(of_one_command), .fail = conflict };

/* ---------------------------------------------------------------------------
 * Mandates
 * ---------------------------------------------------------------------------
 */

static const gw_parameter of_create[] = {
	OF_TENANT,
	{ GW_IN_BODY, "mandate_id", GW_STRING, .required = true, .least = 8, .most = 8 },
	{ GW_IN_BODY, "agent", GW_STRING, .required = true, .least = 1, .most = MAX_TEXT },
	{ GW_IN_BODY, "sponsor", GW_STRING, .required = true, .least = 1, .most = MAX_TEXT },
	{ GW_IN_BODY, "max_amount", GW_STRING, .required = true, .least = 1, .most = MAX_TEXT,
	  .help = "as text, such as \"120.50\"" },
	{ GW_IN_BODY, "currency", GW_STRING, .required = true, .least = 3, .most = 3 },
	{ GW_IN_BODY, "expires_at", GW_TIME, .required = true }
};
static const gw_parameter of_alter[] = {
	OF_PATH("mandate_id"),
	OF_TENANT,
	{ GW_IN_BODY, "max_amount", GW_STRING, .least = 1, .most = MAX_TEXT },
	{ GW_IN_BODY, "expires_at", GW_TIME, .required = false },
	{ GW_IN_BODY, "sponsor", GW_STRING, .least = 1, .most = MAX_TEXT }
};
static const gw_parameter of_one_mandate[] = { OF_PATH("mandate_id"), OF_TENANT };
static const gw_parameter of_mandates[] = {
	OF_TENANT,
	{ GW_IN_QUERY, "agent", GW_STRING, .least = 1, .most = MAX_TEXT },
	{ GW_IN_QUERY, "status", GW_STRING, .least = 1, .most = MAX_TEXT },
	{ GW_IN_QUERY, "after", GW_STRING, .least = 8, .most = 8,
	  .help = "the last mandate_id of the page before" },
	OF_LIMIT
};
static const gw_parameter of_check[] = { OF_PATH("mandate_id"),
										 OF_TENANT,
										 { GW_IN_BODY, "amount", GW_STRING, .least = 1,
										   .most = MAX_TEXT } };
static const gw_parameter of_spend[] = {
	OF_PATH("mandate_id"),
	OF_TENANT,
	{ GW_IN_BODY, "amount", GW_STRING, .required = true, .least = 1, .most = MAX_TEXT,
	  .help = "as text, such as \"12.50\"" },
	{ GW_IN_BODY, "reference", GW_STRING, .required = true, .least = 1, .most = MAX_TEXT,
	  .help = "of the payment: the same one counts once" }
};

static const gw_statement create = {
	"create_mandate",
	"SELECT jsonb_build_object('status', 'created', 'mandate_id', r), 201 FROM "
	"mulberry.create_mandate($2, $3, $4, $5::numeric, $6, $7::timestamptz, $1) AS r",
	false
};
static const gw_statement alter = {
	"alter_mandate",
	"SELECT jsonb_build_object('status', 'altered', 'mandate_id', $1::text) FROM "
	"mulberry.alter_mandate($1, $3::numeric, $4::timestamptz, $5, $2) AS r",
	true
};
static const gw_statement mandate = { "mandate",
									  "SELECT to_jsonb(m) FROM mulberry.mandate_status m WHERE "
									  "mandate_id = $1 AND ($2::text IS NULL OR "
									  "tenant = $2) ORDER BY tenant LIMIT 1",
									  true };
static const gw_statement mandates = {
	"mandates",
	"SELECT jsonb_build_object('mandates', coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.mandate_id, "
	"x.tenant), '[]')) FROM (SELECT * FROM mulberry.mandate_status WHERE ($1::text IS NULL OR "
	"tenant = $1) "
	"AND ($2::text IS NULL OR agent = $2) AND ($3::text IS NULL OR status = $3) AND ($4::text IS "
	"NULL OR "
	"mandate_id > $4) ORDER BY mandate_id, tenant LIMIT coalesce($5::integer, 100)) AS x",
	true
};
static const gw_statement history = {
	"history",
	"SELECT jsonb_build_object('history', jsonb_agg(to_jsonb(h) ORDER BY h.version)) FROM "
	"mulberry.mandate_history h WHERE mandate_id = $1 AND ($2::text IS NULL OR tenant = $2) HAVING "
	"count(*) > 0",
	true
};
static const gw_statement check = {
	"check",
	"SELECT to_jsonb(r) FROM mulberry.check_mandate($1, coalesce($3::numeric, 0), $2) AS r", true
};
/* by its reference a payment counts once */
static const gw_statement spend = {
	"spend", "SELECT to_jsonb(r) FROM mulberry.spend($1, $3::numeric, $4, $2) AS r", true
};

const gw_plan gw_create_mandate = { .statement = &create, GW_PARAMETERS(of_create) };
const gw_plan gw_alter_mandate = {
	.statement = &alter, GW_PARAMETERS(of_alter), .fail = conflict, .missing = NO_MANDATE
};
const gw_plan gw_mandate = { .statement = &mandate,
							 GW_PARAMETERS(of_one_mandate),
							 .missing = NO_MANDATE };
const gw_plan gw_mandates = { .statement = &mandates, GW_PARAMETERS(of_mandates) };
const gw_plan gw_mandate_history = { .statement = &history,
									 GW_PARAMETERS(of_one_mandate),
									 .missing = NO_MANDATE };
const gw_plan gw_check_mandate = { .statement = &check, GW_PARAMETERS(of_check) };
const gw_plan gw_spend = { .statement = &spend, GW_PARAMETERS(of_spend) };

/* ---------------------------------------------------------------------------
 * Agents
 * ---------------------------------------------------------------------------
 */

static const gw_parameter of_agents[] = { OF_TENANT,
										  { GW_IN_QUERY, "after", GW_STRING, .most = MAX_TEXT,
											.help = "the last agent of the page before" },
										  OF_LIMIT };
static const gw_parameter of_one_agent[] = { OF_PATH("agent"), OF_TENANT };

static const gw_statement agent = {
	"agent",
	"SELECT to_jsonb(a) FROM mulberry.agent_status a WHERE (agent = $1 OR id::text = lower($1)) "
	"AND "
	"($2::text IS NULL OR tenant = $2) ORDER BY agent = $1 DESC, tenant LIMIT 1",
	true
};
static const gw_statement agents = {
	"agents",
	"SELECT jsonb_build_object('agents', coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.agent, "
	"x.tenant), '[]')) "
	"FROM (SELECT * FROM mulberry.agent_status WHERE ($1::text IS NULL OR tenant = $1) AND "
	"($2::text IS NULL "
	"OR agent > $2) ORDER BY agent, tenant LIMIT coalesce($3::integer, 100)) AS x",
	true
};

const gw_plan gw_agent = { .statement = &agent, GW_PARAMETERS(of_one_agent), .missing = NO_AGENT };
const gw_plan gw_agents_list = { .statement = &agents, GW_PARAMETERS(of_agents) };
