/*
 * event_kinds.c
 *	  The kinds of events; see event_kinds.h.
 */
#include "server/compat.h"

#include "events/event_kinds.h"

/* Fields, by the kind that has them; one without a name ends them. */

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

static const mulberry_event_field packet_fields[] = {
	PACKET_FIELDS,
	{ NULL },
};

static const mulberry_event_field rejected_fields[] = {
	PACKET_FIELDS,
	{ "state", MULBERRY_FIELD_STRING, false, "of the call, because of which it takes no packets" },
	{ NULL },
};

static const mulberry_event_field resync_fields[] = {
	{ "dropped", MULBERRY_FIELD_NUMBER, false, "packet events that were lost so far" },
	{ NULL },
};

static const mulberry_event_field details_fields[] = {
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

static const mulberry_event_field state_changed_fields[] = {
	{ "from_state", MULBERRY_FIELD_STRING, false, "the state before" },
	{ "to_state", MULBERRY_FIELD_STRING, false, "the state now, see state_machines()" },
	{ NULL },
};

static const mulberry_event_field ai_completed_fields[] = {
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

static const mulberry_event_field ai_failed_fields[] = {
	{ "reason", MULBERRY_FIELD_STRING, false, "why the call could not be processed" },
	{ NULL },
};

static const mulberry_event_field role_fields[] = {
	{ "role", MULBERRY_FIELD_STRING, false, "who asked for it" },
	{ NULL },
};

static const mulberry_event_field job_fields[] = {
	{ "job", MULBERRY_FIELD_NUMBER, false, "jobs.id" },
	{ "kind", MULBERRY_FIELD_STRING, false, "kind of the job, see job_kinds()" },
	{ "role", MULBERRY_FIELD_STRING, false, "who asked for it" },
	{ NULL },
};

static const mulberry_event_field endpoint_fields[] = {
	{ "endpoint", MULBERRY_FIELD_STRING, false, "name of the endpoint" },
	{ "error", MULBERRY_FIELD_STRING, true, "what is wrong with it" },
	{ NULL },
};

static const mulberry_event_field mandate_fields[] = {
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

static const mulberry_event_field command_fields[] = {
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

static const mulberry_event_field queued_fields[] = {
	{ "reason", MULBERRY_FIELD_STRING, true, "why it was given" },
	{ "requester", MULBERRY_FIELD_STRING, true, "who wanted it" },
	{ "argument", MULBERRY_FIELD_NUMBER, true, "its argument, unless 0" },
	{ "force_voice", MULBERRY_FIELD_BOOLEAN, true, "true when only the telephone may carry it" },
	{ "role", MULBERRY_FIELD_STRING, true, "who had an escalated one tried again" },
	{ NULL },
};

static const mulberry_event_field sent_fields[] = {
	{ "key_id", MULBERRY_FIELD_NUMBER, false, "the key that signed it" },
	{ "counter", MULBERRY_FIELD_NUMBER, false, "its number with that key" },
	{ "voice_at", MULBERRY_FIELD_STRING, true, "when the telephone takes over" },
	{ NULL },
};

static const mulberry_event_field cancelled_fields[] = {
	{ "error", MULBERRY_FIELD_STRING, true, "why" },
	{ "from_state", MULBERRY_FIELD_STRING, true, "the state before" },
	{ NULL },
};

static const mulberry_event_field confirmed_fields[] = {
	{ "latency", MULBERRY_FIELD_NUMBER, true, "seconds since it was given" },
	{ "status", MULBERRY_FIELD_STRING, true, "status of the acknowledgement" },
	{ "mandate_state", MULBERRY_FIELD_STRING, true, "state of the mandate on the agent" },
	{ "after", MULBERRY_FIELD_STRING, true, "the state before, unless it was outstanding" },
	{ "told_as", MULBERRY_FIELD_NUMBER, true,
	  "the number under which the online path told the mandate instead" },
	{ NULL },
};

static const mulberry_event_field refused_fields[] = {
	{ "error", MULBERRY_FIELD_STRING, false, "what the agent said" },
	{ "status", MULBERRY_FIELD_STRING, false, "status of the acknowledgement" },
	{ "mandate_state", MULBERRY_FIELD_STRING, false, "state of the mandate on the agent" },
	{ NULL },
};

static const mulberry_event_field attempt_failed_fields[] = {
	{ "attempt", MULBERRY_FIELD_NUMBER, false, "number of the call in this turn" },
	{ "outcome", MULBERRY_FIELD_STRING, false, "what the call brought" },
	{ "error", MULBERRY_FIELD_STRING, true, "details" },
	{ "call_sid", MULBERRY_FIELD_STRING, true, "Twilio's name of the call" },
	{ NULL },
};

static const mulberry_event_field spoken_fields[] = {
	{ "transcript", MULBERRY_FIELD_STRING, false, "what was said, cut to 1,000 characters" },
	{ NULL },
};

static const mulberry_event_field escalated_fields[] = {
	{ "error", MULBERRY_FIELD_STRING, false, "why" },
	{ "reason", MULBERRY_FIELD_STRING, true, "why it was given" },
	{ "requester", MULBERRY_FIELD_STRING, true, "who wanted it" },
	{ "spoken", MULBERRY_FIELD_OBJECT, true, "what a voice said on the telephone" },
	{ NULL },
};

static const mulberry_event_field differs_fields[] = {
	{ "mandate_state", MULBERRY_FIELD_STRING, false, "state of the mandate on the agent" },
	{ "registry_state", MULBERRY_FIELD_STRING, false, "its status in the registry" },
	{ NULL },
};

static const mulberry_event_field forged_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, true, "the command that it came as an answer to" },
	{ "agent", MULBERRY_FIELD_STRING, false, "name of the agent" },
	{ "method", MULBERRY_FIELD_STRING, true, "api or voice" },
	{ NULL },
};

static const mulberry_event_field voice_call_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, false, "its command" },
	{ "purpose", MULBERRY_FIELD_STRING, false, "command or escalation" },
	{ "attempt", MULBERRY_FIELD_NUMBER, false, "number of the call" },
	{ "call_sid", MULBERRY_FIELD_STRING, true, "Twilio's name of it" },
	{ "status", MULBERRY_FIELD_STRING, false, "what Twilio says of it" },
	{ "answered_by", MULBERRY_FIELD_STRING, true, "human, machine, fax, as far as it is known" },
	{ NULL },
};

static const mulberry_event_field inbound_call_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "from_number", MULBERRY_FIELD_STRING, true, "who calls, as Twilio says it" },
	{ "to_number", MULBERRY_FIELD_STRING, false, "number that is called" },
	{ "status", MULBERRY_FIELD_STRING, false, "what Twilio says of it" },
	{ "settings_version", MULBERRY_FIELD_NUMBER, false, "version of the settings it runs under" },
	{ "seconds", MULBERRY_FIELD_NUMBER, true, "how long it was, once it has ended" },
	{ NULL },
};

static const mulberry_event_field inbound_key_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "menu", MULBERRY_FIELD_STRING, false, "menu in which the key was pressed" },
	{ "key", MULBERRY_FIELD_STRING, false, "0 to 9, * or #" },
	{ "action", MULBERRY_FIELD_STRING, false,
	  "what it does: say, menu, transfer, record, agent, emergency" },
	{ NULL },
};

static const mulberry_event_field inbound_transfer_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "status", MULBERRY_FIELD_STRING, false, "completed, busy, no-answer, failed or canceled" },
	{ NULL },
};

static const mulberry_event_field inbound_recording_fields[] = {
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ "recording_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the recording" },
	{ "seconds", MULBERRY_FIELD_NUMBER, true, "how long it is" },
	{ "channels", MULBERRY_FIELD_NUMBER, true, "1, or 2 with the caller and the other side apart" },
	{ NULL },
};

static const mulberry_event_field emergency_fields[] = {
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

static const mulberry_event_field escalation_ended_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, false, "the command that nobody confirmed" },
	{ "phone", MULBERRY_FIELD_STRING, true, "number that was called" },
	{ "outcome", MULBERRY_FIELD_STRING, true, "what the call brought" },
	{ "endpoint", MULBERRY_FIELD_STRING, true, "endpoint that was to be told" },
	{ "error", MULBERRY_FIELD_STRING, true, "details" },
	{ NULL },
};

static const mulberry_event_field escalation_acknowledged_fields[] = {
	{ "command_id", MULBERRY_FIELD_NUMBER, false, "the command that nobody confirmed" },
	{ "phone", MULBERRY_FIELD_STRING, false, "number that was called" },
	{ "call_sid", MULBERRY_FIELD_STRING, false, "Twilio's name of the call" },
	{ NULL },
};

static const mulberry_event_field received_fields[] = {
	{ "agent", MULBERRY_FIELD_STRING, false, "uuid of the agent, this edge" },
	{ "command", MULBERRY_FIELD_STRING, true, "see command_kinds()" },
	{ "mandate_id", MULBERRY_FIELD_STRING, true, "its mandate" },
	{ "status", MULBERRY_FIELD_STRING, false, "what became of it" },
	{ "mandate_state", MULBERRY_FIELD_STRING, true, "state of the mandate here" },
	{ "method", MULBERRY_FIELD_STRING, true, "api or voice" },
	{ NULL },
};

static const mulberry_event_field challenge_mode_fields[] = {
	{ "key_id", MULBERRY_FIELD_NUMBER, false, "the key" },
	{ "until", MULBERRY_FIELD_STRING, false, "until when" },
	{ "agent", MULBERRY_FIELD_STRING, false, "uuid of its agent" },
	{ NULL },
};

static const mulberry_event_field alarm_fields[] = {
	{ "key_id", MULBERRY_FIELD_NUMBER, false, "the key" },
	{ "forgeries_in_row", MULBERRY_FIELD_NUMBER, false, "forgeries since the last genuine frame" },
	{ "agent", MULBERRY_FIELD_STRING, false, "uuid of its agent" },
	{ NULL },
};

/* Those of packets first, by their number. */
static const mulberry_event_kind event_kinds[] = {
	[MULBERRY_PACKET_RECEIVED] = {
		.name = "packet_received",
		.subject = "call",
		.delivery = MULBERRY_EVENT_PACKET,
		.fields = packet_fields,
		.meaning = "packets of a call came",
	},
	[MULBERRY_PACKET_DUPLICATE] = {
		.name = "packet_duplicate",
		.subject = "call",
		.delivery = MULBERRY_EVENT_PACKET,
		.fields = packet_fields,
		.meaning = "packets came that were there already",
	},
	[MULBERRY_PACKET_REJECTED] = {
		.name = "packet_rejected",
		.subject = "call",
		.delivery = MULBERRY_EVENT_PACKET,
		.fields = rejected_fields,
		.meaning = "packets came too late, or for no call",
	},
	{
		.name = "resync",
		.subject = "subscription",
		.delivery = MULBERRY_EVENT_CONTROL,
		.fields = resync_fields,
		.meaning = "messages may have been lost: read the state anew",
	},
	{
		.name = "resubscribe",
		.subject = "subscription",
		.delivery = MULBERRY_EVENT_CONTROL,
		.meaning = "the channel is given up, or there is a new tenant: call subscribe() again",
	},
	{
		.name = "call_began",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = details_fields,
		.meaning = "begin_call() told of a call; one that begins with its first packet has no event",
	},
	{
		.name = "call_described",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = details_fields,
		.meaning = "more is known of a call; all that is known now",
	},
	{
		.name = "state_changed",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = state_changed_fields,
		.meaning = "a call is in another state",
	},
	{
		.name = "ai_completed",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = ai_completed_fields,
		.meaning = "a call has its transcript",
	},
	{
		.name = "ai_failed",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = ai_failed_fields,
		.meaning = "a call could not be processed",
	},
	{
		.name = "call_reopened",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = role_fields,
		.meaning = "a failed call is processed again",
	},
	{
		.name = "call_erased",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = role_fields,
		.meaning = "a call was erased; what its events said is gone as well",
	},
	{
		.name = "job_retried",
		.subject = "job",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = job_fields,
		.meaning = "a dead or cancelled job is queued again",
	},
	{
		.name = "job_cancelled",
		.subject = "job",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = job_fields,
		.meaning = "a job was taken out of the queue",
	},
	{
		.name = "endpoint_unavailable",
		.subject = "endpoint",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = endpoint_fields,
		.meaning = "an endpoint fails; its jobs wait",
	},
	{
		.name = "endpoint_available",
		.subject = "endpoint",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = endpoint_fields,
		.meaning = "an endpoint is back",
	},
	{
		.name = "mandate_changed",
		.subject = "mandate",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mandate_fields,
		.meaning = "a mandate was made or changed",
	},
	{
		.name = "mandate_differs",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = command_fields,
		.fields = differs_fields,
		.meaning = "the answer to QUERY shows another state of the mandate than the registry has",
	},
	{
		.name = "command_queued",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = command_fields,
		.fields = queued_fields,
		.meaning = "a command was given, or has its turn again",
	},
	{
		.name = "command_sent",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = command_fields,
		.fields = sent_fields,
		.meaning = "a command is signed and on its way",
	},
	{
		.name = "command_displaced",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = command_fields,
		.meaning = "a revocation took its turn; it waits for another",
	},
	{
		.name = "command_challenged",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = command_fields,
		.meaning = "the agent wants a challenge answered",
	},
	{
		.name = "command_attempt_failed",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = command_fields,
		.fields = attempt_failed_fields,
		.meaning = "a call brought no acknowledgement",
	},
	{
		.name = "command_spoken",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = command_fields,
		.fields = spoken_fields,
		.meaning = "a voice on the telephone sounded like a confirmation, which settles nothing",
	},
	{
		.name = "command_confirmed",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = command_fields,
		.fields = confirmed_fields,
		.meaning = "the agent has carried it out",
	},
	{
		.name = "command_refused",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = command_fields,
		.fields = refused_fields,
		.meaning = "the agent has refused it, or does not know the mandate",
	},
	{
		.name = "command_cancelled",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = command_fields,
		.fields = cancelled_fields,
		.meaning = "it is pointless, or was cancelled",
	},
	{
		.name = "acknowledgement_forged",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = forged_fields,
		.meaning = "an acknowledgement came that the agent has not signed",
	},
	{
		.name = "escalated",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = command_fields,
		.fields = escalated_fields,
		.meaning = "a person must act",
	},
	{
		.name = "escalation_acknowledged",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = escalation_acknowledged_fields,
		.meaning = "the person who was called pressed a key",
	},
	{
		.name = "escalation_delivered",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = escalation_ended_fields,
		.meaning = "the person who must act was told",
	},
	{
		.name = "escalation_failed",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = escalation_ended_fields,
		.meaning = "the person or endpoint was not reached",
	},
	{
		.name = "voice_call",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = voice_call_fields,
		.meaning = "a telephone call for a command has come further",
	},
	{
		.name = "inbound_call",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = inbound_call_fields,
		.meaning = "a telephone call came in, or has come further",
	},
	{
		.name = "inbound_key",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = inbound_key_fields,
		.meaning = "a caller pressed a key of a menu",
	},
	{
		.name = "inbound_transfer",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = inbound_transfer_fields,
		.meaning = "a call was handed to a person, or was not answered there",
	},
	{
		.name = "inbound_recording",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = inbound_recording_fields,
		.meaning = "a recording of the call is there",
	},
	{
		.name = "emergency_detected",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = emergency_fields,
		.meaning = "somebody means an emergency; once for each call and phrase",
	},
	{
		.name = "voice_command_received",
		.subject = "edge",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = received_fields,
		.meaning = "this edge has heard and judged a genuine command",
	},
	{
		.name = "voice_key_challenge_mode",
		.subject = "edge",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = challenge_mode_fields,
		.meaning = "so many forgeries came that every command must answer a challenge",
	},
	{
		.name = "voice_key_alarm",
		.subject = "edge",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = alarm_fields,
		.meaning = "100 forgeries in a row, or a multiple of that",
	},
};

StaticAssertDecl(lengthof(event_kinds) <= MULBERRY_MAX_EVENT_KINDS, "too many kinds of events");

const mulberry_event_kind *
mulberry_event_kind_at(int i)
{
	return i >= 0 && i < lengthof(event_kinds) ? &event_kinds[i] : NULL;
}

int
mulberry_event_kind_number(const char *name)
{
	for (int i = 0; i < lengthof(event_kinds); i++)
		if (strcmp(event_kinds[i].name, name) == 0)
			return i;
	return -1;
}
