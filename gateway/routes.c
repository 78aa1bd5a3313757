/*
 * routes.c
 *	  What can be asked for; see routes.h.
 */
#include "routes.h"

#include "gateway.h"

#define OF_INGEST (GW_ACCESS_INGEST | GW_ACCESS_OPERATOR)
#define OF_READERS (GW_ACCESS_SUPERVISOR | GW_ACCESS_AUDITOR)

/* An action, and what is said of it; its answer may have one of two statuses. */
#define ACTION_OR(name, needed, function, what, tag, id, summary, schema, status, or_status, ...)  \
	static const gw_about about_##name = { tag, id, summary, schema, status, or_status };          \
	static const gw_action name = {                                                                \
		.access = needed, .handle = function, .plan = what, .about = &about_##name, ##__VA_ARGS__  \
	}
#define ACTION(name, needed, function, what, tag, id, summary, schema, status, ...)                \
	ACTION_OR(name, needed, function, what, tag, id, summary, schema, status, 0, ##__VA_ARGS__)

ACTION(packet, GW_ACCESS_INGEST, gw_handle_packet, &gw_packet_fields, "VoiceStream",
	   "ingest_packet", "Takes a packet", "Packet", 202);
ACTION(complete, OF_INGEST, gw_handle_query, &gw_complete, "VoiceStream", "complete_call",
	   "Says that a call has so many packets, and is complete", "Completion", 202);
ACTION(supervisor, OF_READERS, gw_handle_supervisor, NULL, "VoiceStream", "supervisor",
	   "Opens a WebSocket that hears of calls", NULL, 101, .socket = true);
ACTION(asterisk_media, GW_ACCESS_INGEST, gw_handle_asterisk_media, NULL, "telephone",
	   "asterisk_media", "Opens a WebSocket for the audio of a call, for Asterisk's chan_websocket",
	   NULL, 101, .socket = true, .basic = true);
ACTION(jambonz_media, GW_ACCESS_INGEST, gw_handle_jambonz_media, NULL, "telephone", "jambonz_media",
	   "Opens a WebSocket for the audio of a call, for the verb listen of jambonz", NULL, 101,
	   .socket = true, .basic = true);
ACTION(offer_media, GW_ACCESS_INGEST, gw_handle_query, &gw_offer_media, "telephone", "offer_media",
	   "Tells of a call that comes as a stream, and returns the token that opens it", NULL, 200);
ACTION(media_next, GW_ACCESS_INGEST, gw_handle_query, &gw_media_next, "telephone", "media_next",
	   "Where a call goes on whose stream is over", NULL, 200);
ACTION(listen, GW_ACCESS_SUPERVISOR, gw_handle_listen, &gw_listen, "telephone", "listen",
	   "Opens a WebSocket that hears a call: the caller left, the agent right", NULL, 101,
	   .socket = true);
ACTION(say, GW_ACCESS_SUPERVISOR, gw_handle_query, &gw_say_in_call, "telephone", "say_in_call",
	   "Has the agent's voice say something to the caller", "Accepted", 202);
ACTION(whisper, GW_ACCESS_SUPERVISOR, gw_handle_query, &gw_whisper_to_agent, "telephone",
	   "whisper_to_agent", "Tells the agent something that the caller does not hear", "Accepted",
	   202);
ACTION(take_over, GW_ACCESS_SUPERVISOR, gw_handle_query, &gw_take_over_call, "telephone",
	   "take_over_call", "Puts the caller through to a person", "Accepted", 202);
ACTION(end_call, GW_ACCESS_SUPERVISOR, gw_handle_query, &gw_end_call, "telephone", "end_call",
	   "Ends a call", "Accepted", 202);
ACTION(begin, GW_ACCESS_INGEST, gw_handle_query, &gw_begin, "calls", "begin_call",
	   "Tells of a call before its first packet", "Accepted", 201);
ACTION(describe, OF_INGEST, gw_handle_query, &gw_describe, "calls", "describe_call",
	   "Tells more of a call", "Accepted", 200);
ACTION(read_call, GW_ACCESS_INGEST | OF_READERS, gw_handle_query, &gw_read_call, "calls",
	   "read_call", "A call: its state, tracks, gaps and progress", "Call", 200);
ACTION(transcript_text, OF_READERS, gw_handle_query, &gw_transcript_text, "transcripts",
	   "transcript_text", "The transcript of a call, a line a turn", NULL, 200);
ACTION(transcript_srt, OF_READERS, gw_handle_query, &gw_transcript_srt, "transcripts",
	   "transcript_srt", "The transcript as subtitles (SubRip)", NULL, 200);
ACTION(transcript_vtt, OF_READERS, gw_handle_query, &gw_transcript_vtt, "transcripts",
	   "transcript_vtt", "The transcript as subtitles (WebVTT)", NULL, 200);
ACTION(transcript_json, OF_READERS, gw_handle_query, &gw_transcript_json, "transcripts",
	   "transcript_json", "The transcript with segments and words", "Transcript", 200);
ACTION(waveform, GW_ACCESS_SUPERVISOR, gw_handle_query, &gw_waveform, "audio", "waveform",
	   "A picture of a call", NULL, 200);
ACTION(audio, GW_ACCESS_SUPERVISOR, gw_handle_audio, &gw_audio, "audio", "audio",
	   "The audio of a call; ranges are served", NULL, 200);
ACTION(recording, GW_ACCESS_INGEST, gw_handle_recording, &gw_recording, "calls", "ingest_recording",
	   "Takes a whole recording, a WAV file", "Recording", 201, .large = true);
ACTION(erase, GW_ACCESS_ADMIN, gw_handle_query, &gw_erase, "calls", "erase_call",
	   "Erases a call and all that hangs on it", "Accepted", 200);
ACTION(calls, GW_ACCESS_SUPERVISOR, gw_handle_query, &gw_calls, "calls", "calls",
	   "Calls, the newest first", "Calls", 200);
ACTION(search, OF_READERS, gw_handle_query, &gw_search, "transcripts", "search",
	   "Calls by words of their transcripts", "Found", 200);
ACTION(twilio_sessions, GW_ACCESS_OPERATOR | OF_READERS, gw_handle_query, &gw_twilio_sessions,
	   "telephone", "twilio_sessions", "Calls of the telephone that are under way",
	   "TelephoneSessions", 200);
ACTION_OR(twilio_health, 0, gw_handle_twilio_health, NULL, "telephone", "twilio_health",
		  "Whether the telephone works", "TelephoneHealth", 200, 503);
ACTION(openapi, 0, gw_handle_openapi, NULL, "service", "openapi", "This description", "Description",
	   200);
ACTION(docs, 0, gw_handle_docs, NULL, "service", "docs", "This description, to be read", NULL, 200);
ACTION(root, 0, gw_handle_root, NULL, "VoiceStream", "root", "What service this is", "Service",
	   200);
ACTION_OR(health, 0, gw_handle_ready, NULL, "service", "health", "Whether requests can be served",
		  "Health", 200, 503);

/* What operators do, and what auditors read as well. */
#define OPERATOR(name, what, tag, id, summary, schema, status)                                     \
	ACTION(name, GW_ACCESS_OPERATOR, gw_handle_query, &what, tag, id, summary, schema, status)
#define COMMAND(name, what, id, summary)                                                           \
	ACTION_OR(name, GW_ACCESS_OPERATOR, gw_handle_query, &what, "commands", id, summary,           \
			  "Command", 202, 200)
#define READER(name, what, tag, id, summary, schema)                                               \
	ACTION(name, GW_ACCESS_OPERATOR | GW_ACCESS_AUDITOR, gw_handle_query, &what, tag, id, summary, \
		   schema, 200)

OPERATOR(create_mandate, gw_create_mandate, "mandates", "create_mandate",
		 "Gives an agent a mandate", "MandateDone", 201);
OPERATOR(alter_mandate, gw_alter_mandate, "mandates", "alter_mandate",
		 "Changes the amount, the end or the sponsor of a mandate", "MandateDone", 200);
READER(mandates, gw_mandates, "mandates", "mandates", "Mandates, by their numbers", "Mandates");
READER(mandate, gw_mandate, "mandates", "mandate", "A mandate, and what is left of it", "Mandate");
READER(mandate_history, gw_mandate_history, "mandates", "mandate_history",
	   "All changes of a mandate, and by whom", "MandateHistory");
OPERATOR(check_mandate, gw_check_mandate, "mandates", "check_mandate",
		 "Whether a mandate allows an amount now", "MandateCheck", 200);
OPERATOR(spend, gw_spend, "mandates", "spend",
		 "Takes an amount from a mandate, by a reference once", "Payment", 200);
COMMAND(revoke, gw_revoke, "revoke_mandate",
		"Revokes a mandate here, and commands its agent to do the same");
COMMAND(suspend, gw_suspend, "suspend_mandate", "Suspends a mandate here, and on its agent");
COMMAND(resume, gw_resume, "resume_mandate",
		"Ends the suspension of a mandate here, and on its agent");
COMMAND(extend, gw_extend, "extend_mandate", "Lets a mandate last longer here, and on its agent");
COMMAND(query, gw_ask, "query_mandate", "Asks an agent in what state a mandate is there");
COMMAND(ping, gw_ping, "ping_agent", "Asks an agent for a sign of life");
READER(commands, gw_commands, "commands", "commands", "Commands, the newest first", "Commands");
READER(command, gw_command, "commands", "command", "A command, and what became of it", "Command");
OPERATOR(cancel, gw_cancel, "commands", "cancel_command",
		 "Gives up a command that waits, or closes one that was handed to a person", "Command",
		 200);
COMMAND(retry, gw_retry, "retry_command", "Sends a command again that was handed to a person");
READER(agents, gw_agents_list, "agents", "agents", "Agents, by their names", "Agents");
READER(agent, gw_agent, "agents", "agent", "An agent, by its name or uuid", "Agent");
ACTION(agent_sync, GW_ACCESS_AGENT, gw_handle_agent_sync, &gw_agent_sync_fields, "agents",
	   "agent_sync", "What an agent asks: its commands, and changes of its mandates", "AgentSync",
	   200);
static const gw_action ready = { .handle = gw_handle_ready };
static const gw_action live = { .handle = gw_handle_live };
static const gw_action metrics = { .handle = gw_handle_metrics };

/* The first is looked for first. */
const http_route gw_client_routes[] = {
	{ "POST", "/v1/call/stream/{call_id}", &packet },
	{ "POST", "/v1/call/complete/{call_id}", &complete },
	{ "POST", "/v1/call/begin/{call_id}", &begin },
	{ "POST", "/v1/call/describe/{call_id}", &describe },
	{ "GET", "/v1/call/{call_id}", &read_call },
	{ "DELETE", "/v1/call/{call_id}", &erase },
	{ "POST", "/v1/call/{call_id}/recording", &recording },
	{ "GET", "/v1/calls", &calls },
	{ "GET", "/v1/search", &search },
	{ "GET", "/v1/call/{call_id}/transcript.txt", &transcript_text },
	{ "GET", "/v1/call/{call_id}/transcript.srt", &transcript_srt },
	{ "GET", "/v1/call/{call_id}/transcript.vtt", &transcript_vtt },
	{ "GET", "/v1/call/{call_id}/transcript.json", &transcript_json },
	{ "GET", "/v1/call/{call_id}/audio.wav", &audio },
	{ "GET", "/v1/call/{call_id}/waveform.svg", &waveform },
	{ "GET", "/ws/supervisor", &supervisor },
	{ "GET", "/ws/listen/{call_id}", &listen },
	{ "POST", "/v1/call/{call_id}/say", &say },
	{ "POST", "/v1/call/{call_id}/whisper", &whisper },
	{ "POST", "/v1/call/{call_id}/take_over", &take_over },
	{ "POST", "/v1/call/{call_id}/end", &end_call },
	{ "GET", "/asterisk/media", &asterisk_media },
	{ "GET", "/jambonz/media", &jambonz_media },
	{ "GET", "/v1/audiosocket/new", &offer_media },
	{ "GET", "/v1/audiosocket/{token}/next", &media_next },
	{ "GET", "/twilio/sessions", &twilio_sessions },
	{ "GET", "/twilio/health", &twilio_health },
	{ "POST", "/v1/agents/{agent}/sync", &agent_sync },
	{ "POST", "/v1/agents/{agent}/ping", &ping },
	{ "GET", "/v1/agents/{agent}", &agent },
	{ "GET", "/v1/agents", &agents },
	{ "POST", "/v1/mandates", &create_mandate },
	{ "GET", "/v1/mandates", &mandates },
	{ "GET", "/v1/mandates/{mandate_id}", &mandate },
	{ "PATCH", "/v1/mandates/{mandate_id}", &alter_mandate },
	{ "GET", "/v1/mandates/{mandate_id}/history", &mandate_history },
	{ "POST", "/v1/mandates/{mandate_id}/revoke", &revoke },
	{ "POST", "/v1/mandates/{mandate_id}/suspend", &suspend },
	{ "POST", "/v1/mandates/{mandate_id}/resume", &resume },
	{ "POST", "/v1/mandates/{mandate_id}/extend", &extend },
	{ "POST", "/v1/mandates/{mandate_id}/query", &query },
	{ "POST", "/v1/mandates/{mandate_id}/check", &check_mandate },
	{ "POST", "/v1/mandates/{mandate_id}/spend", &spend },
	{ "GET", "/v1/commands", &commands },
	{ "GET", "/v1/commands/{command_id}", &command },
	{ "POST", "/v1/commands/{command_id}/cancel", &cancel },
	{ "POST", "/v1/commands/{command_id}/retry", &retry },
	{ "GET", "/", &root },
	{ "GET", "/health", &health },
	{ "GET", "/openapi.json", &openapi },
	{ "GET", "/docs", &docs },
};
const size_t gw_n_client_routes = sizeof(gw_client_routes) / sizeof(gw_client_routes[0]);

const http_route gw_admin_routes[] = {
	{ "GET", "/health/live", &live },
	{ "GET", "/health/ready", &ready },
	{ "GET", "/metrics", &metrics },
};
const size_t gw_n_admin_routes = sizeof(gw_admin_routes) / sizeof(gw_admin_routes[0]);
