/*
 * event_kinds.c
 *	  The kinds of events; see event_kinds.h.
 */
#include "server/compat.h"

#include "events/event_fields.h"
#include "events/event_kinds.h"

/* Those of packets first, by their number. */
static const mulberry_event_kind event_kinds[] = {
	[MULBERRY_PACKET_RECEIVED] = {
		.name = "packet_received",
		.subject = "call",
		.delivery = MULBERRY_EVENT_PACKET,
		.fields = mulberry_packet_fields,
		.meaning = "packets of a call came",
	},
	[MULBERRY_PACKET_DUPLICATE] = {
		.name = "packet_duplicate",
		.subject = "call",
		.delivery = MULBERRY_EVENT_PACKET,
		.fields = mulberry_packet_fields,
		.meaning = "packets came that were there already",
	},
	[MULBERRY_PACKET_REJECTED] = {
		.name = "packet_rejected",
		.subject = "call",
		.delivery = MULBERRY_EVENT_PACKET,
		.fields = mulberry_rejected_fields,
		.meaning = "packets came too late, or for no call",
	},
	{
		.name = "resync",
		.subject = "subscription",
		.delivery = MULBERRY_EVENT_CONTROL,
		.fields = mulberry_resync_fields,
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
		.fields = mulberry_details_fields,
		.meaning = "begin_call() told of a call; one that begins with its first packet has no event",
	},
	{
		.name = "call_described",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_details_fields,
		.meaning = "more is known of a call; all that is known now",
	},
	{
		.name = "state_changed",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_state_changed_fields,
		.meaning = "a call is in another state",
	},
	{
		.name = "ai_completed",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_ai_completed_fields,
		.meaning = "a call has its transcript",
	},
	{
		.name = "ai_failed",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_ai_failed_fields,
		.meaning = "a call could not be processed",
	},
	{
		.name = "call_reopened",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_role_fields,
		.meaning = "a failed call is processed again",
	},
	{
		.name = "call_erased",
		.subject = "call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_role_fields,
		.meaning = "a call was erased; what its events said is gone as well",
	},
	{
		.name = "job_retried",
		.subject = "job",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_job_fields,
		.meaning = "a dead or cancelled job is queued again",
	},
	{
		.name = "job_cancelled",
		.subject = "job",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_job_fields,
		.meaning = "a job was taken out of the queue",
	},
	{
		.name = "endpoint_unavailable",
		.subject = "endpoint",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_endpoint_fields,
		.meaning = "an endpoint fails; its jobs wait",
	},
	{
		.name = "endpoint_available",
		.subject = "endpoint",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_endpoint_fields,
		.meaning = "an endpoint is back",
	},
	{
		.name = "mandate_changed",
		.subject = "mandate",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_mandate_fields,
		.meaning = "a mandate was made or changed",
	},
	{
		.name = "mandate_differs",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = mulberry_command_fields,
		.fields = mulberry_differs_fields,
		.meaning = "the answer to QUERY shows another state of the mandate than the registry has",
	},
	{
		.name = "command_queued",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = mulberry_command_fields,
		.fields = mulberry_queued_fields,
		.meaning = "a command was given, or has its turn again",
	},
	{
		.name = "command_sent",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = mulberry_command_fields,
		.fields = mulberry_sent_fields,
		.meaning = "a command is signed and on its way",
	},
	{
		.name = "command_displaced",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = mulberry_command_fields,
		.meaning = "a revocation took its turn; it waits for another",
	},
	{
		.name = "command_challenged",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = mulberry_command_fields,
		.meaning = "the agent wants a challenge answered",
	},
	{
		.name = "command_attempt_failed",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = mulberry_command_fields,
		.fields = mulberry_attempt_failed_fields,
		.meaning = "a call brought no acknowledgement",
	},
	{
		.name = "command_spoken",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = mulberry_command_fields,
		.fields = mulberry_spoken_fields,
		.meaning = "a voice on the telephone sounded like a confirmation, which settles nothing",
	},
	{
		.name = "command_confirmed",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = mulberry_command_fields,
		.fields = mulberry_confirmed_fields,
		.meaning = "the agent has carried it out",
	},
	{
		.name = "command_refused",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.open = true,
		.common = mulberry_command_fields,
		.fields = mulberry_refused_fields,
		.meaning = "the agent has refused it, or does not know the mandate",
	},
	{
		.name = "command_cancelled",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = mulberry_command_fields,
		.fields = mulberry_cancelled_fields,
		.meaning = "it is pointless, or was cancelled",
	},
	{
		.name = "acknowledgement_forged",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_forged_fields,
		.meaning = "an acknowledgement came that the agent has not signed",
	},
	{
		.name = "escalated",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.common = mulberry_command_fields,
		.fields = mulberry_escalated_fields,
		.meaning = "a person must act",
	},
	{
		.name = "escalation_acknowledged",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_escalation_acknowledged_fields,
		.meaning = "the person who was called pressed a key",
	},
	{
		.name = "escalation_delivered",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_escalation_ended_fields,
		.meaning = "the person who must act was told",
	},
	{
		.name = "escalation_failed",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_escalation_ended_fields,
		.meaning = "the person or endpoint was not reached",
	},
	{
		.name = "voice_call",
		.subject = "command",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_voice_call_fields,
		.meaning = "a telephone call for a command has come further",
	},
	{
		.name = "inbound_call",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_inbound_call_fields,
		.meaning = "a telephone call came in, or has come further",
	},
	{
		.name = "inbound_key",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_inbound_key_fields,
		.meaning = "a caller pressed a key of a menu",
	},
	{
		.name = "inbound_transfer",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_inbound_transfer_fields,
		.meaning = "a call was handed to a person, or was not answered there",
	},
	{
		.name = "inbound_recording",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_inbound_recording_fields,
		.meaning = "a recording of the call is there",
	},
	{
		.name = "emergency_detected",
		.subject = "telephone call",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_emergency_fields,
		.meaning = "somebody means an emergency; once for each call and phrase",
	},
	{
		.name = "voice_command_received",
		.subject = "edge",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_received_fields,
		.meaning = "this edge has heard and judged a genuine command",
	},
	{
		.name = "voice_key_challenge_mode",
		.subject = "edge",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_challenge_mode_fields,
		.meaning = "so many forgeries came that every command must answer a challenge",
	},
	{
		.name = "voice_key_alarm",
		.subject = "edge",
		.delivery = MULBERRY_EVENT_STORED,
		.fields = mulberry_alarm_fields,
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
