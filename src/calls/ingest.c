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
#include "calls/call_processing.h"
#include "calls/gaps.h"
#include "calls/tracks.h"
#include "core/audio/counter.h"
#include "server/guc.h"
#include "server/row.h"
#include "server/xact.h"
#include "server/texts.h"
#include "calls/ingest.h"

static bool
refuse(mulberry_fault *fault, int sqlstate, const char *message)
{
	*fault = (mulberry_fault){ .sqlstate = sqlstate, .message = message };
	return false;
}

pg_noreturn static void raise_fault(const mulberry_fault *fault);

static void
raise_fault(const mulberry_fault *fault)
{
	ereport(ERROR, (errcode(fault->sqlstate), errmsg("%s", fault->message),
					fault->detail ? errdetail("%s", fault->detail) : 0,
					fault->hint ? errhint("%s", fault->hint) : 0));
	pg_unreachable();
}

static void
read_counter(FunctionCallInfo fcinfo, int counter_bits, int first_sequence, mulberry_format *format)
{
	int64 last = MULBERRY_MAX_SEQUENCE;

	format->counter_bits = PG_ARGISNULL(counter_bits) ? 0 : PG_GETARG_INT32(counter_bits);
	format->first_sequence = MULBERRY_NO_FIRST;
	if (!PG_ARGISNULL(counter_bits))
	{
		if (format->counter_bits != 16 && format->counter_bits != 32)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("counters of %d bits are not known", format->counter_bits),
							errdetail("counter_bits is 16, 32 or null.")));
		last = (INT64CONST(1) << format->counter_bits) - 1;
	}
	if (first_sequence < 0 || PG_ARGISNULL(first_sequence))
		return;
	format->first_sequence = PG_GETARG_INT64(first_sequence);
	if (format->first_sequence < 0 || format->first_sequence > last)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("first_sequence %lld is out of range", (long long) format->first_sequence),
				 errdetail("It must lie between 0 and %lld.", (long long) last)));
}

void
mulberry_read_format(FunctionCallInfo fcinfo, int encoding, int sample_rate, int counter_bits,
					 int first_sequence, mulberry_format *format)
{
	format->has_encoding = !PG_ARGISNULL(encoding);
	format->encoding = MULBERRY_ENCODING_TEXT;
	format->sample_rate = 0;
	if (format->has_encoding)
	{
		text *name = PG_GETARG_TEXT_PP(encoding);

		if (!mulberry_call_encoding_from_name(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
											  &format->encoding))
		{
			mulberry_check_argument("encoding", name);
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("unknown encoding \"%s\"", text_to_cstring(name)),
							errdetail("Encodings are mulaw, alaw, s16le and text.")));
		}
	}
	if (!PG_ARGISNULL(sample_rate))
	{
		format->sample_rate = PG_GETARG_INT32(sample_rate);
		if (!mb_rate_supported(format->sample_rate))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("unsupported sample rate %d", format->sample_rate),
							errdetail("Sample rates are 8000, 16000, 44100 and 48000 Hz.")));
	}
	read_counter(fcinfo, counter_bits, first_sequence, format);
}

static bool
check_name(const char *what, const text *name, int longest, mulberry_fault *fault)
{
	int length = VARSIZE_ANY_EXHDR(name);

	if (length >= 1 && length <= longest)
	{
		if (mulberry_text_fits_utf8(VARDATA_ANY(name), length))
			return true;
		return refuse(fault, ERRCODE_UNTRANSLATABLE_CHARACTER,
					  psprintf("%s has a character that UTF-8 does not have", what));
	}
	refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
		   psprintf(length == 0 ? "%s is empty" : "%s is too long", what));
	fault->detail = psprintf("It must have 1 to %d bytes and has %d.", longest, length);
	return false;
}

bool
mulberry_check_call_id(const text *call_id, mulberry_fault *fault)
{
	return check_name("call id", call_id, MULBERRY_MAX_CALL_ID, fault);
}

bool
mulberry_check_track_name(const text *track, mulberry_fault *fault)
{
	return track == NULL || check_name("name of a track", track, MULBERRY_MAX_TRACK, fault);
}

static bool
refuse_sequence(int64 sequence, mulberry_fault *fault)
{
	refuse(fault, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
		   psprintf("sequence " INT64_FORMAT " is out of range", sequence));
	fault->detail = psprintf("It must lie between 0 and %d.", MULBERRY_MAX_SEQUENCE);
	return false;
}

/* What no track can have; the rest is seen in place_packet(). */
bool
mulberry_check_sequence(int64 sequence, mulberry_fault *fault)
{
	if (sequence >= 0 && sequence <= PG_UINT32_MAX)
		return true;
	refuse_sequence(sequence, fault);
	fault->detail =
		psprintf("It must lie between 0 and %d, that of a counter of 32 bits between 0 and %u.",
				 MULBERRY_MAX_SEQUENCE, PG_UINT32_MAX);
	return false;
}

bool
mulberry_check_size(Datum data, mulberry_fault *fault)
{
	Size size = toast_raw_datum_size(data) - VARHDRSZ;

	if (size == 0)
		return refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE, "packet is empty");
	if (size <= mulberry_max_packet_size)
		return true;
	refuse(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		   psprintf("packet of %zu bytes is larger than mulberry.max_packet_size", size));
	fault->detail = psprintf("A packet may have at most %d bytes.", mulberry_max_packet_size);
	return false;
}

/* "call "x"", or "track "y" of call "x"" when the call need not have only one. */
static char *
describe_track(const mulberry_call *call, const mulberry_track *track)
{
	if (mulberry_shown_track_name(track)[0] == '\0')
		return psprintf("call \"%s\"", call->call_id);
	return psprintf("track \"%s\" of call \"%s\"", track->name, call->call_id);
}

/* Checks that what the sender says about the track is what it already is. */
static bool
check_format(const mulberry_intake *intake, const mulberry_format *format, mulberry_fault *fault)
{
	const mulberry_track *track = intake->track;

	if ((format->has_encoding && format->encoding != track->encoding) ||
		(format->sample_rate != 0 && format->sample_rate != track->sample_rate))
	{
		refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
			   psprintf("packet does not have the encoding and sample rate of %s",
						describe_track(&intake->call, track)));
		fault->detail =
			psprintf("The %s began as %s at %d Hz.", track->number == 0 ? "call" : "track",
					 mulberry_call_encoding_name(track->encoding), track->sample_rate);
		return false;
	}
	if (format->counter_bits != 0 && format->counter_bits != track->counter_bits)
	{
		refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
			   psprintf("%s does not count in %d bits", describe_track(&intake->call, track),
						format->counter_bits));
		fault->detail = track->counter_bits == 0
							? "It began with sequences that do not wrap."
							: psprintf("It began with a counter of %d bits.", track->counter_bits);
		return false;
	}
	if (format->first_sequence != MULBERRY_NO_FIRST && track->first_sequence != MULBERRY_NO_FIRST &&
		format->first_sequence != track->first_sequence)
	{
		refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
			   psprintf("%s does not begin with sequence " INT64_FORMAT,
						describe_track(&intake->call, track), format->first_sequence));
		fault->detail = psprintf("It began with sequence " INT64_FORMAT ".", track->first_sequence);
		return false;
	}
	return true;
}

/*
 * Where a packet with the sender's number belongs: how many after the first.  Counters are unwrapped
 * to the number that is nearest to the expected one.
 */
static bool
place_packet(const mulberry_intake *intake, int64 number, int32 *sequence, mulberry_fault *fault)
{
	const mulberry_track *track = intake->track;
	int64 first = track->first_sequence;
	int64 place;

	if (track->counter_bits == 0)
	{
		if (number > MULBERRY_MAX_SEQUENCE)
			return refuse_sequence(number, fault);
		place = number - first;
	}
	else if (number >> track->counter_bits != 0)
	{
		refuse(fault, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
			   psprintf("sequence " INT64_FORMAT " is no counter of %d bits", number,
						track->counter_bits));
		fault->detail = psprintf("%s counts from 0 to " INT64_FORMAT ", and begins at 0 again.",
								 describe_track(&intake->call, track),
								 (INT64CONST(1) << track->counter_bits) - 1);
		return false;
	}
	else
		place = first == MULBERRY_NO_FIRST ? 0
										   : mb_counter_unwrap(track->counter_bits, (uint32) number,
															   first + intake->next) -
												 first;
	if (place < 0)
	{
		refuse(fault, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
			   psprintf("sequence " INT64_FORMAT " lies before the first one of %s", number,
						describe_track(&intake->call, track)));
		fault->detail = psprintf("It begins with sequence " INT64_FORMAT ".", first);
		return false;
	}
	if (place > MULBERRY_MAX_SEQUENCE)
		return refuse_sequence(number, fault);
	*sequence = (int32) place;
	return true;
}

/* Checks that the bytes can be what the encoding says. */
static bool
check_content(const mulberry_track *track, Datum data, mulberry_fault *fault)
{
	if (track->encoding == MULBERRY_ENCODING_S16LE)
	{
		if ((toast_raw_datum_size(data) - VARHDRSZ) % 2 == 0)
			return true;
		refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE, "s16le packet has an odd number of bytes");
		fault->detail = "Each sample takes two bytes.";
		return false;
	}
	if (track->encoding == MULBERRY_ENCODING_TEXT)
	{
		bytea *bytes = DatumGetByteaPP(data);
		const char *start = VARDATA_ANY(bytes);
		int length = VARSIZE_ANY_EXHDR(bytes);
		bool valid =
			memchr(start, '\0', length) == NULL && pg_verify_mbstr(PG_UTF8, start, length, true);

		bool fits = valid && mulberry_utf8_fits_database(start, length);

		if ((Pointer) bytes != DatumGetPointer(data))
			pfree(bytes);
		if (fits)
			return true;
		if (valid)
		{
			refuse(fault, ERRCODE_UNTRANSLATABLE_CHARACTER,
				   "text packet has a character that the database's encoding does not have");
			return false;
		}
		refuse(fault, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, "text packet is not valid UTF-8");
		fault->detail = "Packets of encoding text hold UTF-8 without NUL.";
		return false;
	}
	return true;
}

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
mulberry_begin_intake(mulberry_intake *intake, Relation calls, const mulberry_tenant *tenant,
					  const text *call_id, const text *track, const mulberry_format *format,
					  TimestampTz arrived)
{
	mulberry_call *call = &intake->call;
	mulberry_call_encoding encoding;

	intake->arrived = arrived;
	intake->exists = mulberry_find_call(calls, &tenant->id, VARDATA_ANY(call_id),
										VARSIZE_ANY_EXHDR(call_id), call);
	intake->partition_open = intake->exists;
	intake->next = 0;
	intake->missing = 0;
	intake->was_whole = true;
	if (intake->exists)
	{
		begin_track(intake, track, format);
		mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &intake->partition);
		if (!intake->track_exists)
			return;
		intake->next = mulberry_next_sequence(&intake->partition, intake->track->id);
		intake->missing = intake->track->missing_count;
		intake->was_whole = is_whole(intake);
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

/* Whether the call can have the track that its packet would begin. */
static bool
check_new_track(const mulberry_intake *intake, mulberry_fault *fault)
{
	const mulberry_call *call = &intake->call;

	if (!intake->exists || intake->track_exists)
		return true;
	if (call->tracks_named)
	{
		refuse(fault, ERRCODE_UNDEFINED_OBJECT,
			   psprintf("call \"%s\" has no track \"%s\"", call->call_id, intake->track->name));
		fault->detail =
			psprintf("It began with the tracks %s.", mulberry_track_names(call, SnapshotSelf));
		return false;
	}
	if (list_length(mulberry_list_tracks(call, SnapshotSelf)) < MULBERRY_MAX_TRACKS)
		return true;
	refuse(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		   psprintf("call \"%s\" has too many tracks for \"%s\" as well", call->call_id,
					intake->track->name));
	fault->detail = psprintf("A call may have at most %d tracks.", MULBERRY_MAX_TRACKS);
	return false;
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
		mulberry_create_call(calls, call, intake->arrived, intake->arrived);
	intake->exists = true;
	intake->track_exists = true;
	if (!intake->partition_open)
		mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &intake->partition);
	intake->partition_open = true;
}

mulberry_packet_verdict
mulberry_admit_packet(mulberry_intake *intake, Relation calls, const mulberry_format *format,
					  int64 number, Datum data, int32 *place, mulberry_fault *fault)
{
	mulberry_call *call = &intake->call;
	mulberry_gap gap;
	int32 sequence;

	if (!check_format(intake, format, fault) || !check_content(intake->track, data, fault) ||
		!check_new_track(intake, fault) || !place_packet(intake, number, place, fault))
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
		return MULBERRY_ACCEPTED;
	}

	if (!takes_packets(call))
		return MULBERRY_REJECTED;
	if (sequence - intake->next > mulberry_max_gap)
	{
		refuse(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
			   psprintf("sequence " INT64_FORMAT " is too far ahead of %s", number,
						describe_track(call, intake->track)));
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
	}
	intake->next = sequence + 1;
	return MULBERRY_ACCEPTED;
}

bool
mulberry_check_duplicate(const mulberry_intake *intake, int32 sequence, Datum data,
						 mulberry_fault *fault)
{
	const mulberry_track *track = intake->track;

	if (track->counter_bits == 0 ||
		mulberry_has_data(&intake->partition, track->id, sequence, data))
		return true;
	refuse(fault, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		   psprintf("sequence " INT64_FORMAT " of %s came before with other data",
					mulberry_sender_number(track, sequence), describe_track(&intake->call, track)));
	fault->detail = "Its counter seems to have begun anew.";
	fault->hint = "What it counts now belongs into another track or call.";
	return false;
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
			 mulberry_next_sequence(&intake->partition, track->id) < track->expected_total))
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
	if (intake->partition_open)
		mulberry_close_partition(&intake->partition);
	intake->partition_open = false;
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

void
mulberry_report_intake(const mulberry_intake *intake, mulberry_packet_verdict verdict,
					   int32 sequence)
{
	mulberry_packet_report report = {
		.kind = verdict == MULBERRY_ACCEPTED	? MULBERRY_PACKET_RECEIVED
				: verdict == MULBERRY_DUPLICATE ? MULBERRY_PACKET_DUPLICATE
												: MULBERRY_PACKET_REJECTED,
		.tenant = intake->call.tenant,
		.call = intake->call.id,
		.call_id = intake->call.call_id,
		.track = mulberry_shown_track_name(intake->track),
		.first_sequence = Max(0, intake->track->first_sequence),
		.sequence = sequence,
		.total_received = mulberry_total_received(intake),
		.missing_count = intake->missing,
	};

	report.ranges = mulberry_first_gaps(intake->track, &report.nranges);
	mulberry_report_packet(&report);
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
		!mulberry_check_sequence(number, &fault) || !mulberry_check_size(packet.data, &fault))
		raise_fault(&fault);
	mulberry_read_format(fcinfo, 4, 5, 8, 9, &format);

	mulberry_make_partition(mulberry_day_of(packet.received_at));
	mulberry_lock_call(&tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	calls = mulberry_open_calls();
	mulberry_begin_intake(&intake, calls, &tenant, call_id, track, &format, packet.received_at);
	verdict = mulberry_admit_packet(&intake, calls, &format, number, packet.data, &packet.sequence,
									&fault);
	if (verdict == MULBERRY_FAULTY ||
		(verdict == MULBERRY_DUPLICATE &&
		 !mulberry_check_duplicate(&intake, packet.sequence, packet.data, &fault)))
		raise_fault(&fault);
	if (verdict == MULBERRY_ACCEPTED)
	{
		packet.call = intake.track->id;
		mulberry_store_packet(&intake.partition, &packet);
		mulberry_require_durable_commit();
	}
	mulberry_end_intake(&intake, calls);
	mulberry_report_intake(&intake, verdict, packet.sequence);
	table_close(calls, NoLock);
	return form_result(fcinfo, &intake, verdict, packet.sequence);
}
