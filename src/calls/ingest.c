/*
 * ingest.c
 *	  Takes a packet: checks it, decides under the call lock whether it is new, late,
 *	  a duplicate, too far ahead or too late, and records what it does to the call.  Holds the SQL
 *	  function ingest_packet(); batches are in ingest_batch.c.
 *
 * Everything that can be refused is refused before anything is written.
 */
#include "server/compat.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "access/access.h"
#include "calls/call_completion.h"
#include "calls/gaps.h"
#include "calls/known_ends.h"
#include "calls/tracks.h"
#include "core/audio/g711.h"
#include "metrics/counters.h"
#include "server/guc.h"
#include "server/row.h"
#include "server/xact.h"
#include "server/texts.h"
#include "calls/ingest.h"
#include "calls/intake_checks.h"

/* Whether a track has everything that it was announced to have. */
static bool
is_whole(const mulberry_intake *intake)
{
	return intake->missing == 0 && intake->next >= intake->track->expected_total;
}

/* How a track is that begins with a packet which says no more than "format". */
static void
plan_track(mulberry_track *track, const text *name, const mulberry_format *format,
		   mulberry_call_encoding encoding, int32 sample_rate)
{
	memset(track, 0, sizeof(*track));
	if (name == NULL)
		track->name_length = strlcpy(track->name, MULBERRY_FIRST_TRACK, sizeof(track->name));
	else
	{
		track->name_length = VARSIZE_ANY_EXHDR(name);
		memcpy(track->name, VARDATA_ANY(name), track->name_length);
	}
	track->encoding = format->has_encoding ? format->encoding : encoding;
	track->sample_rate = format->sample_rate ? format->sample_rate : sample_rate;
	track->expected_total = MULBERRY_NO_TOTAL;
	track->counter_bits = format->counter_bits;
	track->first_sequence = format->first_sequence;
	if (track->first_sequence == MULBERRY_NO_FIRST && track->counter_bits == 0)
		track->first_sequence = 0;
}

/* Finds the track of a call that exists, or how it will be. */
static void
begin_track(mulberry_intake *intake, const text *name, const mulberry_format *format)
{
	mulberry_call *call = &intake->call;
	mulberry_track *first = &call->track;

	intake->track = first;
	intake->track_exists = true;
	if (name == NULL || (VARSIZE_ANY_EXHDR(name) == first->name_length &&
						 memcmp(VARDATA_ANY(name), first->name, first->name_length) == 0))
		return;
	intake->track = &intake->other_track;
	intake->track_exists =
		mulberry_find_track(call, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), &intake->other_track);
	if (!intake->track_exists)
		plan_track(intake->track, name, format, first->encoding, first->sample_rate);
}

void
mulberry_look_for_end(mulberry_intake *intake)
{
	intake->next = mulberry_next_sequence(intake->partition, intake->track->id);
	intake->supposed = false;
	intake->was_whole = is_whole(intake);
}

/*
 * A track without gaps has all packets below its end.  If the one behind the last that is known is not there
 * then none is, and storing it finds that out as well as looking for the end would.
 */
static bool
suppose_end(mulberry_intake *intake)
{
	return intake->call.state == MULBERRY_IN_PROGRESS && intake->missing == 0 &&
		   mulberry_supposed_next(intake->partition, intake->track->id, &intake->next);
}

void
mulberry_begin_intake(mulberry_intake *intake, Relation calls, mulberry_open_partitions *partitions,
					  const mulberry_tenant *tenant, const text *call_id, const text *track,
					  const mulberry_format *format, TimestampTz arrived, bool suppose)
{
	mulberry_call *call = &intake->call;
	mulberry_call_encoding encoding;

	intake->arrived = arrived;
	intake->exists = mulberry_find_call(calls, &tenant->id, VARDATA_ANY(call_id),
										VARSIZE_ANY_EXHDR(call_id), call);
	intake->partitions = partitions;
	intake->partition = NULL;
	intake->next = 0;
	intake->supposed = false;
	intake->missing = 0;
	intake->was_whole = true;
	if (intake->exists)
	{
		begin_track(intake, track, format);
		intake->partition = mulberry_partition_of_day(partitions, mulberry_call_day(call->id));
		if (!intake->track_exists)
			return;
		intake->missing = intake->track->missing_count;
		intake->supposed = suppose && suppose_end(intake);
		if (!intake->supposed)
			mulberry_look_for_end(intake);
		return;
	}

	memset(call, 0, sizeof(*call));
	call->tenant = tenant->id;
	call->call_id_length = VARSIZE_ANY_EXHDR(call_id);
	memcpy(call->call_id, VARDATA_ANY(call_id), call->call_id_length);
	call->state = MULBERRY_IN_PROGRESS;
	if (!mulberry_call_encoding_from_name(tenant->default_encoding,
										  strlen(tenant->default_encoding), &encoding))
		elog(ERROR, "tenant \"%s\" has an unknown default encoding", NameStr(tenant->name));
	intake->track = &call->track;
	intake->track_exists = false;
	plan_track(intake->track, track, format, encoding, tenant->default_sample_rate);
}

/*
 * The state decides whether a call still takes packets, never the clock: a
 * COMPLETED call takes them even past its grace period, because processing has not
 * begun and will read them.  So what is acknowledged is transcribed.
 */
static bool
takes_packets(const mulberry_call *call)
{
	return call->state == MULBERRY_IN_PROGRESS || call->state == MULBERRY_COMPLETED;
}

/* Creates what does not exist yet, and notes at which number a counter began. */
static void
begin_counting(mulberry_intake *intake, Relation calls, int64 number)
{
	mulberry_call *call = &intake->call;
	bool first = intake->track->first_sequence == MULBERRY_NO_FIRST;

	if (intake->track_exists)
	{
		if (first)
			mulberry_change_track(calls, call, intake->track, MULBERRY_TRACK_FIRST_SEQUENCE,
								  Int64GetDatum(number));
		return;
	}
	if (first)
		intake->track->first_sequence = number;
	if (intake->exists)
		mulberry_create_track(call, intake->track);
	else
		mulberry_create_call(calls, call, intake->arrived, DT_NOBEGIN);
	intake->exists = true;
	intake->track_exists = true;
	if (intake->partition == NULL)
		intake->partition =
			mulberry_partition_of_day(intake->partitions, mulberry_call_day(call->id));
}

/* A packet that fills its gap, or splits it, or shortens it. */
static void
count_late(const mulberry_call *call, const mulberry_range *gap, int32 sequence)
{
	mulberry_count(MULBERRY_METRIC_PACKETS_LATE, 0, 0, &call->tenant, 1);
	if (gap->first == gap->last)
		mulberry_count(MULBERRY_METRIC_GAPS_FILLED, 0, 0, &call->tenant, 1);
	else if (gap->first < sequence && sequence < gap->last)
		mulberry_count(MULBERRY_METRIC_GAPS_OPENED, 0, 0, &call->tenant, 1);
}

mulberry_packet_verdict
mulberry_admit_packet(mulberry_intake *intake, Relation calls, const mulberry_format *format,
					  int64 number, Datum data, int32 *place, mulberry_fault *fault)
{
	mulberry_call *call = &intake->call;
	mulberry_gap gap;
	int32 sequence;
	bool placed;

	if (!mulberry_check_format(&intake->call, intake->track, format, fault) ||
		!mulberry_check_content(intake, data, fault) || !mulberry_check_new_track(intake, fault))
		return MULBERRY_FAULTY;
	placed = mulberry_place_packet(intake, number, place, fault);
	if (intake->supposed && (!placed || *place != intake->next))
	{
		/* only of the packet that is next does storing it show whether that was right */
		mulberry_look_for_end(intake);
		placed = mulberry_place_packet(intake, number, place, fault);
	}
	if (!placed)
		return MULBERRY_FAULTY;
	sequence = *place;

	if (sequence < intake->next)
	{
		if (intake->missing == 0 || !mulberry_find_gap(intake->track, sequence, &gap))
			return MULBERRY_DUPLICATE;
		if (!takes_packets(call))
			return MULBERRY_REJECTED;
		mulberry_fill_gap(intake->track, &gap, sequence);
		intake->missing--;
		count_late(call, &gap.range, sequence);
		return MULBERRY_ACCEPTED;
	}

	if (!takes_packets(call))
		return MULBERRY_REJECTED;
	if (sequence - intake->next > mulberry_max_gap)
	{
		mulberry_refuse(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
						psprintf("sequence " INT64_FORMAT " is too far ahead of %s", number,
								 mulberry_describe_track(call, intake->track)));
		fault->detail =
			psprintf("The next expected sequence is " INT64_FORMAT ", and mulberry.max_gap is %d.",
					 mulberry_sender_number(intake->track, intake->next), mulberry_max_gap);
		return MULBERRY_FAULTY;
	}
	if (!intake->track_exists || intake->track->first_sequence == MULBERRY_NO_FIRST)
		begin_counting(intake, calls, number);
	if (sequence > intake->next)
	{
		mulberry_open_gap(intake->track, intake->next, sequence - 1);
		intake->missing += sequence - intake->next;
		mulberry_count(MULBERRY_METRIC_GAPS_OPENED, 0, 0, &call->tenant, 1);
	}
	intake->next = sequence + 1;
	return MULBERRY_ACCEPTED;
}

/* Whether all tracks but the one at hand have everything that they were announced to have. */
static bool
others_are_whole(const mulberry_intake *intake)
{
	ListCell *cell;

	foreach (cell, mulberry_list_tracks(&intake->call, SnapshotSelf))
	{
		const mulberry_track *track = lfirst(cell);

		if (track->id != intake->track->id &&
			(track->missing_count > 0 ||
			 mulberry_next_sequence(intake->partition, track->id) < track->expected_total))
			return false;
	}
	return true;
}

void
mulberry_end_intake(mulberry_intake *intake, Relation calls)
{
	if (intake->track_exists && intake->missing != intake->track->missing_count)
		mulberry_settle_gaps(calls, &intake->call, intake->track, intake->missing);
	if (intake->call.state == MULBERRY_COMPLETED && !intake->was_whole && is_whole(intake) &&
		others_are_whole(intake))
		mulberry_end_grace(calls, &intake->call);
}

const char *
mulberry_packet_verdict_status(mulberry_packet_verdict verdict)
{
	static const char *const names[] = { "accepted", "duplicate", "rejected", "error" };

	return names[verdict];
}

const char *
mulberry_packet_verdict_message(mulberry_packet_verdict verdict, const mulberry_call *call)
{
	switch (verdict)
	{
		case MULBERRY_ACCEPTED:
			return "Packet received successfully";
		case MULBERRY_DUPLICATE:
			return "Packet already received";
		default:
			return psprintf("Call no longer takes packets: its state is %s",
							mulberry_call_state_name(call->state));
	}
}

static const char *
counted_verdict(int i)
{
	return i < MULBERRY_FAULTY ? mulberry_packet_verdict_status(i) : NULL;
}

void
mulberry_ingest_init(void)
{
	mulberry_metric_label_values(MULBERRY_METRIC_PACKETS, 0, counted_verdict);
	mulberry_known_ends_init();
}

static void
count_packet(const mulberry_intake *intake, mulberry_packet_verdict verdict, Datum data)
{
	const pg_uuid_t *tenant = &intake->call.tenant;
	const mulberry_track *track = intake->track;
	size_t size;
	size_t samples;

	mulberry_count(MULBERRY_METRIC_PACKETS, verdict, 0, tenant, 1);
	if (verdict != MULBERRY_ACCEPTED)
		return;
	size = toast_raw_datum_size(data) - VARHDRSZ;
	mulberry_count(MULBERRY_METRIC_PACKET_BYTES, 0, 0, tenant, size);
	if (track->encoding != MULBERRY_ENCODING_TEXT &&
		mb_audio_sample_count((mb_encoding) track->encoding, size, &samples) == MB_OK)
		mulberry_count(MULBERRY_METRIC_AUDIO_SECONDS, 0, 0, tenant,
					   samples * UINT64CONST(1000000) / track->sample_rate);
}

void
mulberry_report_intake(const mulberry_intake *intake, mulberry_packet_verdict verdict,
					   int32 sequence, Datum data)
{
	mulberry_packet_report report = {
		.kind = verdict == MULBERRY_ACCEPTED	? MULBERRY_PACKET_RECEIVED
				: verdict == MULBERRY_DUPLICATE ? MULBERRY_PACKET_DUPLICATE
												: MULBERRY_PACKET_REJECTED,
		.tenant = intake->call.tenant,
		.at = intake->arrived,
		.call = intake->call.id,
		.call_id = intake->call.call_id,
		.track = mulberry_shown_track_name(intake->track),
		.first_sequence = Max(0, intake->track->first_sequence),
		.sequence = sequence,
		.total_received = mulberry_total_received(intake),
		.missing_count = intake->missing,
	};

	if (verdict == MULBERRY_REJECTED)
		report.state = mulberry_call_state_name(intake->call.state);
	report.ranges = mulberry_first_gaps(intake->track, &report.nranges);
	mulberry_report_packet(&report);
	count_packet(intake, verdict, data);
}

/* The answer about a packet, a packet_result. */
static Datum
form_result(FunctionCallInfo fcinfo, const mulberry_intake *intake, mulberry_packet_verdict verdict,
			int32 sequence)
{
	mulberry_row row;

	mulberry_row_begin_named(&row, fcinfo);
	mulberry_row_add_text(&row, mulberry_packet_verdict_status(verdict));
	mulberry_row_add_text(&row, mulberry_packet_verdict_message(verdict, &intake->call));
	mulberry_row_add_text(&row, intake->call.call_id);
	mulberry_row_add(&row, Int64GetDatum(mulberry_sender_number(intake->track, sequence)));
	mulberry_row_add(&row, Int64GetDatum(mulberry_total_received(intake)));
	mulberry_row_add(&row, Int64GetDatum(intake->missing));
	mulberry_row_add(&row, mulberry_first_gaps_text(intake->track));
	mulberry_row_add(&row, BoolGetDatum(verdict == MULBERRY_DUPLICATE));
	return mulberry_row_end(&row);
}

static void
require_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
}

/* Decides about a packet and stores it if it is accepted. */
static mulberry_packet_verdict
take_packet(mulberry_intake *intake, Relation calls, const mulberry_format *format, int64 number,
			mulberry_packet *packet, mulberry_fault *fault)
{
	for (;;)
	{
		mulberry_packet_verdict verdict = mulberry_admit_packet(
			intake, calls, format, number, packet->data, &packet->sequence, fault);

		if (verdict != MULBERRY_ACCEPTED)
			return verdict;
		packet->call = intake->track->id;
		packet->supposed = intake->supposed;
		mulberry_store_packet(intake->partition, packet);
		if (packet->was_there)
		{
			mulberry_take_back_packet(intake->partition, packet);
			mulberry_look_for_end(intake);
			continue;
		}
		mulberry_require_durable_commit();
		return verdict;
	}
}

PG_FUNCTION_INFO_V1(mulberry_ingest_packet);

/*
 * ingest_packet(call_id, sequence, data, sent_at, encoding, sample_rate, tenant, track, counter_bits,
 *		first_sequence)
 */
Datum
mulberry_ingest_packet(PG_FUNCTION_ARGS)
{
	mulberry_tenant tenant = *mulberry_resolve_tenant(
		PG_ARGISNULL(6) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(6)), MULBERRY_ACCESS_INGEST);
	text *call_id;
	text *track;
	int64 number;
	mulberry_format format;
	mulberry_fault fault;
	mulberry_open_partitions partitions = { 0 };
	mulberry_intake intake;
	mulberry_packet_verdict verdict;
	Relation calls;
	mulberry_packet packet = { 0 };

	mulberry_require_writable("ingest_packet()");
	require_argument(fcinfo, 0, "call id");
	require_argument(fcinfo, 1, "sequence");
	require_argument(fcinfo, 2, "data");
	call_id = PG_GETARG_TEXT_PP(0);
	track = PG_ARGISNULL(7) ? NULL : PG_GETARG_TEXT_PP(7);
	number = PG_GETARG_INT64(1);
	packet.data = PG_GETARG_DATUM(2);
	packet.has_sent_at = !PG_ARGISNULL(3);
	packet.sent_at = packet.has_sent_at ? PG_GETARG_TIMESTAMPTZ(3) : 0;
	packet.received_at = GetCurrentTimestamp();
	if (!mulberry_check_call_id(call_id, &fault) || !mulberry_check_track_name(track, &fault) ||
		!mulberry_check_sequence(number, &fault) || !mulberry_check_size(packet.data, &fault) ||
		!mulberry_check_sent_at(packet.sent_at, &fault))
		mulberry_raise_fault(&fault);
	mulberry_read_format(fcinfo, 4, 5, 8, 9, &format);

	mulberry_make_partition(mulberry_day_of(packet.received_at));
	mulberry_lock_call(&tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	calls = mulberry_open_calls();
	mulberry_begin_intake(&intake, calls, &partitions, &tenant, call_id, track, &format,
						  packet.received_at, true);
	verdict = take_packet(&intake, calls, &format, number, &packet, &fault);
	if (verdict == MULBERRY_FAULTY ||
		(verdict == MULBERRY_DUPLICATE &&
		 !mulberry_check_duplicate(&intake, packet.sequence, packet.data, &fault)))
		mulberry_raise_fault(&fault);
	mulberry_end_intake(&intake, calls);
	mulberry_report_intake(&intake, verdict, packet.sequence, packet.data);
	mulberry_close_partitions(&partitions);
	table_close(calls, NoLock);
	return form_result(fcinfo, &intake, verdict, packet.sequence);
}
