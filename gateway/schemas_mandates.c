/*
 * schemas_mandates.c
 *	  The forms of answers about mandates, commands, agents and the telephone; see schemas.h.
 */
#include "schemas.h"

/* clang-format off */
#define TEXT "{\"type\":\"string\"}"
#define TEXT_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define TEXTS_OR_NULL "{\"type\":[\"array\",\"null\"],\"items\":" TEXT "}"
#define NUMBER "{\"type\":\"number\"}"
#define NUMBER_OR_NULL "{\"type\":[\"number\",\"null\"]}"
#define INTEGER "{\"type\":\"integer\",\"format\":\"int64\"}"
#define INTEGER_OR_NULL "{\"type\":[\"integer\",\"null\"],\"format\":\"int64\"}"
#define TRUTH "{\"type\":\"boolean\"}"
#define TIME "{\"type\":\"string\",\"format\":\"date-time\"}"
#define TIME_OR_NULL "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define ONE_OF(list) "{\"type\":\"string\",\"enum\":[" list "]}"
#define REFERENCE(name) "{\"$ref\":\"#/components/schemas/" name "\"}"
#define LIST_OF(schema) "{\"type\":\"array\",\"items\":" schema "}"
#define OBJECT(required, members) "{\"type\":\"object\",\"required\":[" required "],\"properties\":{" members "}}"
#define MEMBER(name, schema) "\"" name "\":" schema

const char gw_schemas_mandates[] =
	MEMBER("Mandate", OBJECT("\"tenant\",\"mandate_id\",\"agent\",\"sponsor\",\"status\",\"max_amount\",\"spent\","
		"\"remaining\",\"currency\",\"expires_at\",\"version\",\"created_at\",\"updated_at\"",
		MEMBER("tenant", TEXT) "," MEMBER("mandate_id", TEXT) "," MEMBER("agent", TEXT) "," MEMBER("sponsor", TEXT) ","
		MEMBER("status", TEXT) "," MEMBER("max_amount", NUMBER) "," MEMBER("spent", NUMBER) ","
		MEMBER("remaining", NUMBER) "," MEMBER("currency", TEXT) "," MEMBER("expires_at", TIME) ","
		MEMBER("version", INTEGER) "," MEMBER("created_at", TIME) "," MEMBER("updated_at", TIME))) ","
	MEMBER("Mandates", OBJECT("\"mandates\"",
		MEMBER("mandates", LIST_OF(REFERENCE("Mandate"))))) ","
	MEMBER("MandateDone", OBJECT("\"status\",\"mandate_id\"",
		MEMBER("status", ONE_OF("\"created\",\"altered\"")) "," MEMBER("mandate_id", TEXT))) ","
	MEMBER("MandateChange", OBJECT("\"tenant\",\"mandate_id\",\"version\",\"at\",\"role\",\"status\"",
		MEMBER("tenant", TEXT) "," MEMBER("mandate_id", TEXT) "," MEMBER("version", INTEGER) "," MEMBER("at", TIME) ","
		MEMBER("role", TEXT) "," MEMBER("from_status", TEXT_OR_NULL) "," MEMBER("status", TEXT) ","
		MEMBER("max_amount", NUMBER) "," MEMBER("expires_at", TIME) "," MEMBER("sponsor", TEXT) ","
		MEMBER("cause", TEXT_OR_NULL) "," MEMBER("command_id", INTEGER_OR_NULL))) ","
	MEMBER("MandateHistory", OBJECT("\"history\"",
		MEMBER("history", LIST_OF(REFERENCE("MandateChange"))))) ","
	MEMBER("MandateCheck", OBJECT("\"allowed\"",
		MEMBER("allowed", TRUTH) "," MEMBER("error", TEXT_OR_NULL) "," MEMBER("message", TEXT_OR_NULL) ","
		MEMBER("status", TEXT_OR_NULL) "," MEMBER("remaining", NUMBER_OR_NULL) "," MEMBER("expires_at", TIME_OR_NULL) ","
		MEMBER("reason", TEXT_OR_NULL))) ","
	MEMBER("Payment", OBJECT("\"accepted\",\"duplicate\"",
		MEMBER("accepted", TRUTH) "," MEMBER("duplicate", TRUTH) "," MEMBER("error", TEXT_OR_NULL) ","
		MEMBER("message", TEXT_OR_NULL) "," MEMBER("remaining", NUMBER_OR_NULL) "," MEMBER("status", TEXT_OR_NULL) ","
		MEMBER("reason", TEXT_OR_NULL))) ","
	MEMBER("Command", OBJECT("\"status\"",
		MEMBER("status", TEXT) "," MEMBER("method", TEXT) "," MEMBER("command_id", INTEGER_OR_NULL) ","
		MEMBER("command", TEXT) "," MEMBER("mandate_id", TEXT_OR_NULL) "," MEMBER("agent", TEXT) ","
		MEMBER("call_sid", TEXT_OR_NULL) "," MEMBER("confirmed", TRUTH) "," MEMBER("attempts", INTEGER) ","
		MEMBER("error", TEXT) "," MEMBER("registry_status", TEXT) "," MEMBER("acknowledgement", TEXT) ","
		MEMBER("mandate_status", TEXT) "," MEMBER("retry_scheduled", TRUTH) "," MEMBER("latency", NUMBER) ","
		MEMBER("command_state", TEXT) "," MEMBER("created_at", TIME))) ","
	MEMBER("Commands", OBJECT("\"commands\"",
		MEMBER("commands", LIST_OF(REFERENCE("Command"))))) ","
	MEMBER("Agent", OBJECT("\"tenant\",\"agent\",\"id\",\"online\",\"mandates\",\"mandates_version\",\"created_at\"",
		MEMBER("tenant", TEXT) "," MEMBER("agent", TEXT) "," MEMBER("id", TEXT) "," MEMBER("phone", TEXT_OR_NULL) ","
		MEMBER("allowed_callers", TEXTS_OR_NULL) "," MEMBER("online", TRUTH) "," MEMBER("seen_at", TIME_OR_NULL) ","
		MEMBER("online_until", TIME_OR_NULL) "," MEMBER("mandates", INTEGER) "," MEMBER("mandates_version", INTEGER) ","
		MEMBER("created_at", TIME))) ","
	MEMBER("Agents", OBJECT("\"agents\"",
		MEMBER("agents", LIST_OF(REFERENCE("Agent"))))) ","
	MEMBER("AgentAck", OBJECT("\"ack\",\"verdict\"",
		MEMBER("ack", TEXT) "," MEMBER("verdict", TEXT) "," MEMBER("command_id", INTEGER) "," MEMBER("challenge", TEXT))) ","
	MEMBER("AgentCommand", OBJECT("\"command_id\",\"frame\"",
		MEMBER("command_id", INTEGER) "," MEMBER("frame", TEXT))) ","
	MEMBER("AgentUpdates", OBJECT("\"key_id\",\"data\",\"mac\"",
		MEMBER("key_id", INTEGER) "," MEMBER("data", TEXT) "," MEMBER("mac", TEXT))) ","
	MEMBER("AgentSync", OBJECT("\"agent\",\"online_until\",\"acks\",\"commands\"",
		MEMBER("agent", TEXT) "," MEMBER("online_until", TIME) "," MEMBER("acks", LIST_OF(REFERENCE("AgentAck"))) ","
		MEMBER("commands", LIST_OF(REFERENCE("AgentCommand"))) "," MEMBER("updates", REFERENCE("AgentUpdates")))) ","
	MEMBER("TelephoneSession", OBJECT("\"call_sid\",\"tenant\",\"direction\",\"started_at\"",
		MEMBER("call_sid", TEXT) "," MEMBER("tenant", TEXT) "," MEMBER("direction", TEXT) "," MEMBER("from", TEXT) ","
		MEMBER("to", TEXT) "," MEMBER("status", TEXT) "," MEMBER("started_at", TIME) ","
		MEMBER("duration_seconds", INTEGER) "," MEMBER("place", TEXT) "," MEMBER("menu", TEXT) ","
		MEMBER("recorded", TRUTH) "," MEMBER("settings_version", INTEGER) "," MEMBER("purpose", TEXT))) ","
	MEMBER("TelephoneSessions", OBJECT("\"active_sessions\",\"sessions\"",
		MEMBER("active_sessions", INTEGER) "," MEMBER("sessions", LIST_OF(REFERENCE("TelephoneSession"))))) ","
	MEMBER("TelephoneHealth", OBJECT("\"status\",\"active_sessions\"",
		MEMBER("status", ONE_OF("\"healthy\",\"unavailable\"")) "," MEMBER("active_sessions", INTEGER_OR_NULL)));
/* clang-format on */
