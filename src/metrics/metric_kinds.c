/*
 * metric_kinds.c
 *	  What is measured; see metric_kinds.h.
 *
 * Names follow Prometheus: counters end in _total, units are seconds and bytes.  Those without prefix
 * are what dashboards of gateways already ask for.  No label may have a value for each call, number,
 * agent or text.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "catalog/pg_type.h"

#include "core/command/command_judge.h"
#include "core/command/command_kinds.h"
#include "core/state/machine.h"
#include "metrics/metric_kinds.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_metric_kinds);

/* Seconds.  A job takes what its engine takes, after what is before it in the queue. */
static const double job_buckets[] = { 0.1, 0.25, 0.5, 1,   2.5,	 5,	   10,	 30,
									  60,  120,	 300, 600, 1800, 3600, 14400 };
static const double voice_call_buckets[] = { 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600 };

static const mulberry_metric_kind metric_kinds[] = {
	[MULBERRY_METRIC_PACKETS] = {
		.name = "mulberry_packets_total",
		.type = MULBERRY_COUNTER,
		.subject = "calls",
		.labels = { "outcome" },
		.help = "Packets of calls that were answered: accepted, duplicate (there already), or "
				"rejected (their call takes none any more).",
	},
	[MULBERRY_METRIC_PACKETS_LATE] = {
		.name = "mulberry_packets_late_total",
		.type = MULBERRY_COUNTER,
		.subject = "calls",
		.help = "Accepted packets that came after a later one of their track and filled a part "
				"of a gap.",
	},
	[MULBERRY_METRIC_PACKET_BYTES] = {
		.name = "mulberry_packet_bytes_total",
		.type = MULBERRY_COUNTER,
		.subject = "calls",
		.help = "Bytes of accepted packets.",
	},
	[MULBERRY_METRIC_AUDIO_SECONDS] = {
		.name = "mulberry_audio_seconds_total",
		.type = MULBERRY_COUNTER,
		.subject = "calls",
		.in_millionths = true,
		.help = "Audio in accepted packets, tracks added up.",
	},
	[MULBERRY_METRIC_GAPS_OPENED] = {
		.name = "mulberry_gaps_opened_total",
		.type = MULBERRY_COUNTER,
		.subject = "calls",
		.help = "Gaps (runs of missing packets) that were opened, by a packet that was ahead or "
				"by one that split a gap.",
	},
	[MULBERRY_METRIC_GAPS_FILLED] = {
		.name = "mulberry_gaps_filled_total",
		.type = MULBERRY_COUNTER,
		.subject = "calls",
		.help = "Gaps of which nothing was left.",
	},
	[MULBERRY_METRIC_CALL_TRANSITIONS] = {
		.name = "mulberry_call_transitions_total",
		.type = MULBERRY_COUNTER,
		.subject = "calls",
		.labels = { "state" },
		.help = "Calls that came into a state; IN_PROGRESS: that began.",
	},
	[MULBERRY_METRIC_JOBS] = {
		.name = "mulberry_jobs_total",
		.type = MULBERRY_COUNTER,
		.subject = "jobs",
		.labels = { "kind", "outcome" },
		.help = "Jobs that ended: done, dead (given up) or cancelled.",
	},
	[MULBERRY_METRIC_JOB_SECONDS] = {
		.name = "mulberry_job_duration_seconds",
		.type = MULBERRY_HISTOGRAM,
		.subject = "jobs",
		.labels = { "kind" },
		.buckets = job_buckets,
		.nbuckets = lengthof(job_buckets),
		.help = "How long jobs that are done took, from being queued to their result.",
	},
	[MULBERRY_METRIC_EVENTS] = {
		.name = "mulberry_events_total",
		.type = MULBERRY_COUNTER,
		.subject = "events",
		.labels = { "event" },
		.help = "Stored events that got their number.",
	},
	[MULBERRY_METRIC_COMMANDS] = {
		.name = "mulberry_commands_total",
		.type = MULBERRY_COUNTER,
		.subject = "commands",
		.labels = { "command", "outcome" },
		.help = "Commands to agents by what became of them, as their events were numbered; "
				"queued: given. One may be escalated and confirmed later.",
	},
	[MULBERRY_METRIC_COMMAND_FRAMES] = {
		.name = "mulberry_command_frames_total",
		.type = MULBERRY_COUNTER,
		.subject = "commands",
		.labels = { "verdict" },
		.help = "Command frames that an edge judged.",
	},
	[MULBERRY_METRIC_ACKNOWLEDGEMENTS] = {
		.name = "mulberry_acknowledgements_total",
		.type = MULBERRY_COUNTER,
		.subject = "commands",
		.labels = { "verdict" },
		.help = "Acknowledgements of agents that were verified.",
	},
	[MULBERRY_METRIC_VERIFICATION_FAILURES] = {
		.name = "dtmf_verification_failures_total",
		.type = MULBERRY_COUNTER,
		.subject = "commands",
		.help = "Command frames and acknowledgements that were forged or stale.",
	},
	[MULBERRY_METRIC_VOICE_CALLS] = {
		.name = "voice_calls_total",
		.type = MULBERRY_COUNTER,
		.subject = "telephone",
		.labels = { "status" },
		.help = "Telephone calls for commands that are over, by their last status.",
	},
	[MULBERRY_METRIC_VOICE_CALL_SECONDS] = {
		.name = "voice_call_duration_seconds",
		.type = MULBERRY_HISTOGRAM,
		.subject = "telephone",
		.buckets = voice_call_buckets,
		.nbuckets = lengthof(voice_call_buckets),
		.help = "How long telephone calls lasted that were answered.",
	},

	/* Read from tables. */
	{
		.name = "mulberry_calls",
		.type = MULBERRY_GAUGE,
		.subject = "calls",
		.labels = { "state" },
		.help = "Calls that are not finished.",
	},
	{
		.name = "mulberry_jobs_waiting",
		.type = MULBERRY_GAUGE,
		.subject = "jobs",
		.labels = { "kind" },
		.help = "Jobs in the queue that nobody works on.",
	},
	{
		.name = "mulberry_jobs_running",
		.type = MULBERRY_GAUGE,
		.subject = "jobs",
		.labels = { "kind" },
		.help = "Jobs under a lease.",
	},
	{
		.name = "mulberry_job_queue_age_seconds",
		.type = MULBERRY_GAUGE,
		.subject = "jobs",
		.help = "For how long the job is due that waits longest; 0: none is.",
	},
	{
		.name = "mulberry_endpoint_up",
		.type = MULBERRY_GAUGE,
		.subject = "jobs",
		.labels = { "endpoint" },
		.help = "Whether an enabled endpoint takes requests (1) or is out (0); of several of one "
				"name the worst.",
	},
	{
		.name = "mulberry_events_unnumbered",
		.type = MULBERRY_GAUGE,
		.subject = "events",
		.help = "Stored events that wait for their number.",
	},
	{
		.name = "active_mandates",
		.type = MULBERRY_GAUGE,
		.subject = "commands",
		.help = "Mandates that are ACTIVE and not past their end.",
	},

	/* Of the processes. */
	{
		.name = "mulberry_packet_events_total",
		.type = MULBERRY_COUNTER,
		.subject = "events",
		.of_server = true,
		.help = "Packet events that went into the ring for subscribers; packets of a transaction "
				"are one.",
	},
	{
		.name = "mulberry_packet_events_lost_total",
		.type = MULBERRY_COUNTER,
		.subject = "events",
		.of_server = true,
		.help = "Packet events that a full ring or a full NOTIFY queue lost; subscribers were "
				"told.",
	},
	{
		.name = "mulberry_notifications_total",
		.type = MULBERRY_COUNTER,
		.subject = "events",
		.of_server = true,
		.help = "Messages that the notifier sent.",
	},
	{
		.name = "mulberry_notifications_failed_total",
		.type = MULBERRY_COUNTER,
		.subject = "events",
		.of_server = true,
		.help = "Messages that the notifier gave up.",
	},
	{
		.name = "mulberry_job_attempts_failed_total",
		.type = MULBERRY_COUNTER,
		.subject = "jobs",
		.of_server = true,
		.help = "Attempts of jobs that failed; most are tried again.",
	},
	{
		.name = "mulberry_requests_in_flight",
		.type = MULBERRY_GAUGE,
		.subject = "jobs",
		.of_server = true,
		.help = "Requests to services under way.",
	},
	{
		.name = "mulberry_processes",
		.type = MULBERRY_GAUGE,
		.subject = "processes",
		.labels = { "type" },
		.of_server = true,
		.help = "Background processes of this database that are alive.",
	},
	{
		.name = "mulberry_process_starts_total",
		.type = MULBERRY_COUNTER,
		.subject = "processes",
		.labels = { "type" },
		.of_server = true,
		.help = "Times that a background process of this database began.",
	},
	{
		.name = "mulberry_counting_start_time_seconds",
		.type = MULBERRY_GAUGE,
		.subject = "processes",
		.of_server = true,
		.help = "Unix time at which the counters began at 0.",
	},
	{
		.name = "mulberry_build_info",
		.type = MULBERRY_GAUGE,
		.subject = "processes",
		.labels = { "version" },
		.of_server = true,
		.help = "Version of the extension, as the label; always 1.",
	},
};

static const char *
job_outcome(int i)
{
	static const char *const outcomes[] = { "done", "dead", "cancelled" };

	return i < lengthof(outcomes) ? outcomes[i] : NULL;
}

static const char *
command_name(int i)
{
	const mb_command_kind *kind = mb_command_kind_at(i);

	return kind ? kind->name : NULL;
}

static const char *
command_outcome(int i)
{
	static const char *const outcomes[] = { "queued", "confirmed", "refused", "escalated",
											"cancelled" };

	return i < lengthof(outcomes) ? outcomes[i] : NULL;
}

static const char *
frame_verdict(int i)
{
	return i <= MB_VERDICT_NOT_JUDGED ? mb_verdict_name(i) : NULL;
}

static const char *
ack_verdict(int i)
{
	static const char *const verdicts[] = { "genuine", "other command", "forgery" };

	return i < lengthof(verdicts) ? verdicts[i] : NULL;
}

/* The i-th of a machine's states, in the order in which its table first leads to them. */
static const char *
state_of(const mb_machine *machine, int i)
{
	for (size_t k = 0; k < machine->ntransitions; k++)
	{
		const char *state = machine->transitions[k].to;
		size_t before = 0;

		while (before < k && strcmp(machine->transitions[before].to, state) != 0)
			before++;
		if (before == k && i-- == 0)
			return state;
	}
	return NULL;
}

static const char *
call_state(int i)
{
	return state_of(&mb_call_machine, i);
}

static const char *
voice_call_state(int i)
{
	return state_of(&mb_voice_call_machine, i);
}

/* The labels that have other values are their subjects' to tell. */
static mulberry_label_values label_values[MULBERRY_METRICS_COUNTED][MULBERRY_MAX_LABELS] = {
	[MULBERRY_METRIC_CALL_TRANSITIONS] = { call_state },
	[MULBERRY_METRIC_JOBS] = { NULL, job_outcome },
	[MULBERRY_METRIC_COMMANDS] = { command_name, command_outcome },
	[MULBERRY_METRIC_COMMAND_FRAMES] = { frame_verdict },
	[MULBERRY_METRIC_ACKNOWLEDGEMENTS] = { ack_verdict },
	[MULBERRY_METRIC_VOICE_CALLS] = { voice_call_state },
};

const mulberry_metric_kind *
mulberry_metric_kind_at(int i)
{
	return i < lengthof(metric_kinds) ? &metric_kinds[i] : NULL;
}

void
mulberry_metric_label_values(mulberry_metric metric, int label, mulberry_label_values values)
{
	label_values[metric][label] = values;
}

const char *
mulberry_metric_label_value(mulberry_metric metric, int label, int i)
{
	mulberry_label_values values = label_values[metric][label];

	Assert((values != NULL) == (metric_kinds[metric].labels[label] != NULL));
	return values ? values(i) : NULL;
}

int
mulberry_metric_nvalues(mulberry_metric metric, int label)
{
	int n = 0;

	while (mulberry_metric_label_value(metric, label, n) != NULL)
		n++;
	return Max(n, 1);
}

/* metric_kinds() → setof (metric, type, subject, labels, of_server, help) */
Datum
mulberry_metric_kinds(PG_FUNCTION_ARGS)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lengthof(metric_kinds); i++)
	{
		const mulberry_metric_kind *kind = &metric_kinds[i];
		Datum labels[MULBERRY_MAX_LABELS];
		int nlabels = 0;
		mulberry_row row;

		while (nlabels < MULBERRY_MAX_LABELS && kind->labels[nlabels] != NULL)
		{
			labels[nlabels] = CStringGetTextDatum(kind->labels[nlabels]);
			nlabels++;
		}
		mulberry_row_begin(&row, fcinfo);
		mulberry_row_add_text(&row, kind->name);
		mulberry_row_add_text(&row, types[kind->type]);
		mulberry_row_add_text(&row, kind->subject);
		mulberry_row_add(&row, PointerGetDatum(construct_array(labels, nlabels, TEXTOID, -1, false,
															   TYPALIGN_INT)));
		mulberry_row_add(&row, BoolGetDatum(kind->of_server));
		mulberry_row_add_text(&row, kind->help);
		mulberry_row_put(&row, fcinfo);
	}
	return (Datum) 0;
}
