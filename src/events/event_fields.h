/*
 * event_fields.h
 *	  The fields of events, in lists by the kinds that have them; one without a name ends a list.
 */
#ifndef MULBERRY_EVENT_FIELDS_H
#define MULBERRY_EVENT_FIELDS_H

#include "events/event_kinds.h"

extern const mulberry_event_field mulberry_packet_fields[];
extern const mulberry_event_field mulberry_rejected_fields[];
extern const mulberry_event_field mulberry_resync_fields[];
extern const mulberry_event_field mulberry_details_fields[];
extern const mulberry_event_field mulberry_state_changed_fields[];
extern const mulberry_event_field mulberry_ai_completed_fields[];
extern const mulberry_event_field mulberry_ai_failed_fields[];
extern const mulberry_event_field mulberry_role_fields[];
extern const mulberry_event_field mulberry_job_fields[];
extern const mulberry_event_field mulberry_endpoint_fields[];
extern const mulberry_event_field mulberry_mandate_fields[];
extern const mulberry_event_field mulberry_command_fields[];
extern const mulberry_event_field mulberry_queued_fields[];
extern const mulberry_event_field mulberry_sent_fields[];
extern const mulberry_event_field mulberry_cancelled_fields[];
extern const mulberry_event_field mulberry_confirmed_fields[];
extern const mulberry_event_field mulberry_refused_fields[];
extern const mulberry_event_field mulberry_attempt_failed_fields[];
extern const mulberry_event_field mulberry_spoken_fields[];
extern const mulberry_event_field mulberry_escalated_fields[];
extern const mulberry_event_field mulberry_differs_fields[];
extern const mulberry_event_field mulberry_forged_fields[];
extern const mulberry_event_field mulberry_voice_call_fields[];
extern const mulberry_event_field mulberry_inbound_call_fields[];
extern const mulberry_event_field mulberry_inbound_key_fields[];
extern const mulberry_event_field mulberry_inbound_transfer_fields[];
extern const mulberry_event_field mulberry_inbound_recording_fields[];
extern const mulberry_event_field mulberry_emergency_fields[];
extern const mulberry_event_field mulberry_escalation_ended_fields[];
extern const mulberry_event_field mulberry_escalation_acknowledged_fields[];
extern const mulberry_event_field mulberry_received_fields[];
extern const mulberry_event_field mulberry_challenge_mode_fields[];
extern const mulberry_event_field mulberry_alarm_fields[];

#endif /* MULBERRY_EVENT_FIELDS_H */
