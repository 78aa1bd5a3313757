/*
 * event_fields.c
 *	  The fields of events; see event_fields.h.
 */
#include "server/compat.h"

#include "events/event_fields.h"

/* What all events of packets have. */
#define PACKET_FIELDS                                                                              \
	{ "track", MULBERRY_FIELD_STRING, true,                                                        \
	  "of a call with several tracks or a named one: which, and the numbers are its own" },        \
		{ "sequence", MULBERRY_FIELD_NUMBER, false,                                                \
		  "of the last packet that the message stands for" },                                      \
		{ "total_received", MULBERRY_FIELD_NUMBER, false, "packets of the call so far" },          \
		{ "missing_count", MULBERRY_FIELD_NUMBER, false,                                           \
		  "sequences below the highest that are missing" },                                        \
		{ "missing_sequences", MULBERRY_FIELD_ARRAY, false, "the first 100 of them" },             \
		{ "missing_ranges", MULBERRY_FIELD_ARRAY, false,                                           \
		  "the first 100 ranges of them, as [first, last]" },                                      \
	{                                                                                              \
		"packets", MULBERRY_FIELD_NUMBER, false,                                                   \
			"how many packets the message stands for, since the one before"                        \
	}

const mulberry_event_field mulberry_packet_fields[] = {
	PACKET_FIELDS,
	{ NULL },
};

const mulberry_event_field mulberry_rejected_fields[] = {
	PACKET_FIELDS,
	{ "state", MULBERRY_FIELD_STRING, false, "of the call, because of which it takes no packets" },
	{ NULL },
};

const mulberry_event_field mulberry_resync_fields[] = {
	{ "dropped", MULBERRY_FIELD_NUMBER, false, "packet events that were lost so far" },
	{ NULL },
};

const mulberry_event_field mulberry_details_fields[] = {
	{ "direction", MULBERRY_FIELD_STRING, true, "inbound, outbound or internal" },
	{ "from_number", MULBERRY_FIELD_STRING, true,
	  "who calls: E.164, a SIP URI, or text as it came" },
	{ "to_number", MULBERRY_FIELD_STRING, true, "who is called" },
	{ "attributes", MULBERRY_FIELD_OBJECT, true, "whatever the sender wants to find the call by" },
	{ "endpoint", MULBERRY_FIELD_STRING, true, "which must transcribe it, when one was named" },
	{ "tracks", MULBERRY_FIELD_ARRAY, true, "names of the tracks, when they were named" },
	{ "started_at", MULBERRY_FIELD_STRING, true, "when it began, UTC" },
	{ NULL },
};

const mulberry_event_field mulberry_state_changed_fields[] = {
	{ "from_state", MULBERRY_FIELD_STRING, false, "the state before" },
	{ "to_state", MULBERRY_FIELD_STRING, false, "the state now, see state_machines()" },
	{ NULL },
};

const mulberry_event_field mulberry_ai_completed_fields[] = {
	{ "transcription", MULBERRY_FIELD_STRING, false, "what was said" },
	{ "sentiment", MULBERRY_FIELD_STRING, true, "positive, neutral or negative" },
	{ "confidence", MULBERRY_FIELD_NUMBER, true, "how sure that is, from 0 to 1" },
	{ "missing_packets", MULBERRY_FIELD_NUMBER, false, "packets that never came, of all tracks" },
	{ "missing_ranges", MULBERRY_FIELD_ARRAY, false,
	  "the first 100 ranges of those of the first track, as [first, last]" },
	{ "missing_tracks", MULBERRY_FIELD_OBJECT, true,
	  "of a call with several tracks: the ranges of each of the others, by its name" },
	{ NULL },
};

const mulberry_event_field mulberry_ai_failed_fields[] = {
	{ "reason", MULBERRY_FIELD_STRING, false, "why the call could not be processed" },
	{ NULL },
};

const mulberry_event_field mulberry_role_fields[] = {
	{ "role", MULBERRY_FIELD_STRING, false, "who asked for it" },
	{ NULL },
};

const mulberry_event_field mulberry_job_fields[] = {
	{ "job", MULBERRY_FIELD_NUMBER, false, "jobs.id" },
	{ "kind", MULBERRY_FIELD_STRING, false, "kind of the job, see job_kinds()" },
	{ "role", MULBERRY_FIELD_STRING, false, "who asked for it" },
	{ NULL },
};

const mulberry_event_field mulberry_endpoint_fields[] = {
	{ "endpoint", MULBERRY_FIELD_STRING, false, "name of the endpoint" },
	{ "error", MULBERRY_FIELD_STRING, true, "what is wrong with it" },
	{ NULL },
};

const mulberry_event_field mulberry_mandate_fields[] = {
	{ "mandate_id", MULBERRY_FIELD_STRING, false, "eight digits" },
	{ "from_status", MULBERRY_FIELD_STRING, true, "the status before; null when it was made" },
	{ "to_status", MULBERRY_FIELD_STRING, false, "the status now" },
	{ "version", MULBERRY_FIELD_NUMBER, false, "counts its changes" },
	{ "max_amount", MULBERRY_FIELD_NUMBER, false, "what may be spent in all" },
	{ "expires_at", MULBERRY_FIELD_STRING, false, "when it expires, UTC" },
	{ "cause", MULBERRY_FIELD_STRING, true, "what set the change off" },
	{ "agent", MULBERRY_FIELD_STRING, true, "name of its agent" },
	{ "command_id", MULBERRY_FIELD_NUMBER, true, "the command that changed it" },
	{ NULL },
};

const mulberry_event_field mulberry_command_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, false, "command_status.command_id" },
	{ "command", MULBERRY_FIELD_STRING, false, "see command_kinds()" },
	{ "mandate_id", MULBERRY_FIELD_STRING, true, "its mandate" },
	{ "agent", MULBERRY_FIELD_STRING, false, "name of the agent" },
	{ "state", MULBERRY_FIELD_STRING, false, "the state of the command, see state_machines()" },
	{ "method", MULBERRY_FIELD_STRING, true,
	  "api or voice: path of the answer, or the one that is being tried" },
	{ "attempts", MULBERRY_FIELD_NUMBER, false, "calls placed for it" },
	{ NULL },
};

const mulberry_event_field mulberry_queued_fields[] = {
	{ "reason", MULBERRY_FIELD_STRING, true, "why it was given" },
	{ "requester", MULBERRY_FIELD_STRING, true, "who wanted it" },
	{ "argument", MULBERRY_FIELD_NUMBER, true, "its argument, unless 0" },
	{ "force_voice", MULBERRY_FIELD_BOOLEAN, true, "true when only the telephone may carry it" },
	{ "role", MULBERRY_FIELD_STRING, true, "who had an escalated one tried again" },
	{ NULL },
};

const mulberry_event_field mulberry_sent_fields[] = {
	{ "key_id", MULBERRY_FIELD_NUMBER, false, "the key that signed it" },
	{ "counter", MULBERRY_FIELD_NUMBER, false, "its number with that key" },
	{ "voice_at", MULBERRY_FIELD_STRING, true, "when the telephone takes over" },
	{ NULL },
};

const mulberry_event_field mulberry_cancelled_fields[] = {
	{ "error", MULBERRY_FIELD_STRING, true, "why" },
	{ "from_state", MULBERRY_FIELD_STRING, true, "the state before" },
	{ NULL },
};

const mulberry_event_field mulberry_confirmed_fields[] = {
	{ "latency", MULBERRY_FIELD_NUMBER, true, "seconds since it was given" },
	{ "status", MULBERRY_FIELD_STRING, true, "status of the acknowledgement" },
	{ "mandate_state", MULBERRY_FIELD_STRING, true, "state of the mandate on the agent" },
	{ "after", MULBERRY_FIELD_STRING, true, "the state before, unless it was outstanding" },
	{ "told_as", MULBERRY_FIELD_NUMBER, true,
	  "the number under which the online path told the mandate instead" },
	{ NULL },
};

const mulberry_event_field mulberry_refused_fields[] = {
	{ "error", MULBERRY_FIELD_STRING, false, "what the agent said" },
	{ "status", MULBERRY_FIELD_STRING, false, "status of the acknowledgement" },
	{ "mandate_state", MULBERRY_FIELD_STRING, false, "state of the mandate on the agent" },
	{ NULL },
};

const mulberry_event_field mulberry_attempt_failed_fields[] = {
	{ "attempt", MULBERRY_FIELD_NUMBER, false, "number of the call in this turn" },
	{ "outcome", MULBERRY_FIELD_STRING, false, "what the call brought" },
	{ "error", MULBERRY_FIELD_STRING, true, "details" },
	{ "call_sid", MULBERRY_FIELD_STRING, true, "Twilio's name of the call" },
	{ NULL },
};

const mulberry_event_field mulberry_spoken_fields[] = {
	{ "transcript", MULBERRY_FIELD_STRING, false, "what was said, cut to 1,000 characters" },
	{ NULL },
};

const mulberry_event_field mulberry_escalated_fields[] = {
	{ "error", MULBERRY_FIELD_STRING, false, "why" },
	{ "reason", MULBERRY_FIELD_STRING, true, "why it was given" },
	{ "requester", MULBERRY_FIELD_STRING, true, "who wanted it" },
	{ "spoken", MULBERRY_FIELD_OBJECT, true, "what a voice said on the telephone" },
	{ NULL },
};

const mulberry_event_field mulberry_differs_fields[] = {
	{ "mandate_state", MULBERRY_FIELD_STRING, false, "state of the mandate on the agent" },
	{ "registry_state", MULBERRY_FIELD_STRING, false, "its status in the registry" },
	{ NULL },
};

const mulberry_event_field mulberry_forged_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, true, "the command that it came as an answer to" },
	{ "agent", MULBERRY_FIELD_STRING, false, "name of the agent" },
	{ "method", MULBERRY_FIELD_STRING, true, "api or voice" },
	{ NULL },
};

const mulberry_event_field mulberry_voice_call_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, false, "its command" },
	{ "purpose", MULBERRY_FIELD_STRING, false, "command or escalation" },
	{ "attempt", MULBERRY_FIELD_NUMBER, false, "number of the call" },
	{ "call_sid", MULBERRY_FIELD_STRING, true, "Twilio's name of it" },
	{ "status", MULBERRY_FIELD_STRING, false, "what Twilio says of it" },
	{ "answered_by", MULBERRY_FIELD_STRING, true, "human, machine, fax, as far as it is known" },
	{ NULL },
};

const mulberry_event_field mulberry_inbound_call_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "from_number", MULBERRY_FIELD_STRING, true, "who calls, as Twilio says it" },
	{ "to_number", MULBERRY_FIELD_STRING, false, "number that is called" },
	{ "status", MULBERRY_FIELD_STRING, false, "what Twilio says of it" },
	{ "settings_version", MULBERRY_FIELD_NUMBER, false, "version of the settings it runs under" },
	{ "seconds", MULBERRY_FIELD_NUMBER, true, "how long it was, once it has ended" },
	{ NULL },
};

const mulberry_event_field mulberry_inbound_key_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "menu", MULBERRY_FIELD_STRING, false, "menu in which the key was pressed" },
	{ "key", MULBERRY_FIELD_STRING, false, "0 to 9, * or #" },
	{ "action", MULBERRY_FIELD_STRING, false,
	  "what it does: say, menu, transfer, record, agent, emergency" },
	{ NULL },
};

const mulberry_event_field mulberry_inbound_transfer_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "status", MULBERRY_FIELD_STRING, false, "completed, busy, no-answer, failed or canceled" },
	{ NULL },
};

const mulberry_event_field mulberry_inbound_recording_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "recording_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the recording" },
	{ "seconds", MULBERRY_FIELD_NUMBER, true, "how long it is" },
	{ "channels", MULBERRY_FIELD_NUMBER, true, "1, or 2 with the caller and the other side apart" },
	{ NULL },
};

const mulberry_event_field mulberry_emergency_fields[] = {
	{ "reference", MULBERRY_FIELD_STRING, false, "the call: its call_id, or Twilio's name of it" },
	{ "phrase", MULBERRY_FIELD_STRING, false,
	  "what was said, as the list of words has it, or the key" },
	{ "language", MULBERRY_FIELD_STRING, true, "of the phrase" },
	{ "source", MULBERRY_FIELD_STRING, false, "segment, partial, transcript or key" },
	{ "track", MULBERRY_FIELD_STRING, true, "who said it" },
	{ "excerpt", MULBERRY_FIELD_STRING, true, "what stands around it" },
	{ "answer", MULBERRY_FIELD_STRING, false, "what is said to that" },
	{ "emergency_number", MULBERRY_FIELD_STRING, true, "who is called then" },
	{ NULL },
};

const mulberry_event_field mulberry_escalation_ended_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, false, "the command that nobody confirmed" },
	{ "phone", MULBERRY_FIELD_STRING, true, "number that was called" },
	{ "outcome", MULBERRY_FIELD_STRING, true, "what the call brought" },
	{ "endpoint", MULBERRY_FIELD_STRING, true, "endpoint that was to be told" },
	{ "error", MULBERRY_FIELD_STRING, true, "details" },
	{ NULL },
};

const mulberry_event_field mulberry_escalation_acknowledged_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, false, "the command that nobody confirmed" },
	{ "phone", MULBERRY_FIELD_STRING, false, "number that was called" },
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ NULL },
};

const mulberry_event_field mulberry_received_fields[] = {
	{ "agent", MULBERRY_FIELD_STRING, false, "uuid of the agent, this edge" },
	{ "command", MULBERRY_FIELD_STRING, true, "see command_kinds()" },
	{ "mandate_id", MULBERRY_FIELD_STRING, true, "its mandate" },
	{ "status", MULBERRY_FIELD_STRING, false, "what became of it" },
	{ "mandate_state", MULBERRY_FIELD_STRING, true, "state of the mandate here" },
	{ "method", MULBERRY_FIELD_STRING, true, "api or voice" },
	{ NULL },
};

const mulberry_event_field mulberry_challenge_mode_fields[] = {
	{ "key_id", MULBERRY_FIELD_NUMBER, false, "the key" },
	{ "until", MULBERRY_FIELD_STRING, false, "until when" },
	{ "agent", MULBERRY_FIELD_STRING, false, "uuid of its agent" },
	{ NULL },
};

const mulberry_event_field mulberry_alarm_fields[] = {
	{ "key_id", MULBERRY_FIELD_NUMBER, false, "the key" },
	{ "forgeries_in_row", MULBERRY_FIELD_NUMBER, false, "forgeries since the last genuine frame" },
	{ "agent", MULBERRY_FIELD_STRING, false, "uuid of its agent" },
	{ NULL },
};
