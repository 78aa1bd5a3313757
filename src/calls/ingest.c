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

void
mulberry_read_format(const text *encoding, bool has_rate, int32 rate, mulberry_format *format)
{
	format->has_encoding = encoding != NULL;
	format->encoding = MULBERRY_ENCODING_TEXT;
	format->sample_rate = 0;
	if (encoding && !mulberry_call_encoding_from_name(
						VARDATA_ANY(encoding), VARSIZE_ANY_EXHDR(encoding), &format->encoding))
	{
		mulberry_check_argument("encoding", encoding);
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown encoding \"%s\"", text_to_cstring(encoding)),
						errdetail("Encodings are mulaw, alaw, s16le and text.")));
	}
	if (has_rate)
	{
		if (!mb_rate_supported(rate))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("unsupported sample rate %d", rate),
							errdetail("Sample rates are 8000, 16000, 44100 and 48000 Hz.")));
		format->sample_rate = rate;
	}
}

bool
mulberry_check_call_id(const text *call_id, mulberry_fault *fault)
{
	int length = VARSIZE_ANY_EXHDR(call_id);

	if (length >= 1 && length <= MULBERRY_MAX_CALL_ID)
	{
		if (mulberry_text_fits_utf8(VARDATA_ANY(call_id), length))
			return true;
		refuse(fault, ERRCODE_UNTRANSLATABLE_CHARACTER,
			   "call id has a character that UTF-8 does not have");
		return false;
	}
	refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
		   length == 0 ? "call id is empty" : "call id is too long");
	fault->detail =
		psprintf("It must have 1 to %d bytes and has %d.", MULBERRY_MAX_CALL_ID, length);
	return false;
}

bool
mulberry_check_sequence(int32 sequence, mulberry_fault *fault)
{
	if (sequence >= 0 && sequence <= MULBERRY_MAX_SEQUENCE)
		return true;
	refuse(fault, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
		   psprintf("sequence %d is out of range", sequence));
	fault->detail = psprintf("It must lie between 0 and %d.", MULBERRY_MAX_SEQUENCE);
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

/* Checks that what the sender says about the audio is what the call already is. */
static bool
check_format(const mulberry_call *call, const mulberry_format *format, mulberry_fault *fault)
{
	if ((!format->has_encoding || format->encoding == call->encoding) &&
		(format->sample_rate == 0 || format->sample_rate == call->sample_rate))
		return true;
	refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
		   psprintf("packet does not have the encoding and sample rate of call \"%s\"",
					call->call_id));
	fault->detail = psprintf("The call began as %s at %d Hz.",
							 mulberry_call_encoding_name(call->encoding), call->sample_rate);
	return false;
}

/* Checks that the bytes can be what the encoding says. */
static bool
check_content(const mulberry_call *call, Datum data, mulberry_fault *fault)
{
	if (call->encoding == MULBERRY_ENCODING_S16LE)
	{
		if ((toast_raw_datum_size(data) - VARHDRSZ) % 2 == 0)
			return true;
		refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE, "s16le packet has an odd number of bytes");
		fault->detail = "Each sample takes two bytes.";
		return false;
	}
	if (call->encoding == MULBERRY_ENCODING_TEXT)
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

/* Whether a call has everything that it was announced to have. */
static bool
is_whole(const mulberry_intake *intake)
{
	return intake->missing == 0 && intake->next >= intake->call.expected_total;
}

void
mulberry_begin_intake(mulberry_intake *intake, Relation calls, const mulberry_tenant *tenant,
					  const char *call_id, int length, const mulberry_format *format,
					  TimestampTz arrived)
{
	mulberry_call *call = &intake->call;

	intake->arrived = arrived;
	intake->exists = mulberry_find_call(calls, &tenant->id, call_id, length, call);
	intake->partition_open = intake->exists;
	if (intake->exists)
	{
		mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &intake->partition);
		intake->next = mulberry_next_sequence(&intake->partition, call->id);
		intake->missing = call->missing_count;
		intake->was_whole = is_whole(intake);
		return;
	}

	memset(call, 0, sizeof(*call));
	call->tenant = tenant->id;
	memcpy(call->call_id, call_id, length);
	call->call_id_length = length;
	call->state = MULBERRY_IN_PROGRESS;
	if (format->has_encoding)
		call->encoding = format->encoding;
	else if (!mulberry_call_encoding_from_name(tenant->default_encoding,
											   strlen(tenant->default_encoding), &call->encoding))
		elog(ERROR, "tenant \"%s\" has an unknown default encoding", NameStr(tenant->name));
	call->sample_rate = format->sample_rate ? format->sample_rate : tenant->default_sample_rate;
	intake->next = 0;
	intake->missing = 0;
	intake->was_whole = true;
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

mulberry_packet_verdict
mulberry_admit_packet(mulberry_intake *intake, Relation calls, const mulberry_format *format,
					  int32 sequence, Datum data, mulberry_fault *fault)
{
	mulberry_call *call = &intake->call;
	mulberry_gap gap;

	if (!check_format(call, format, fault) || !check_content(call, data, fault))
		return MULBERRY_FAULTY;

	if (sequence < intake->next)
	{
		if (intake->missing == 0 || !mulberry_find_gap(call, sequence, &gap))
			return MULBERRY_DUPLICATE;
		if (!takes_packets(call))
			return MULBERRY_REJECTED;
		mulberry_fill_gap(call, &gap, sequence);
		intake->missing--;
		return MULBERRY_ACCEPTED;
	}

	if (!takes_packets(call))
		return MULBERRY_REJECTED;
	if (sequence - intake->next > mulberry_max_gap)
	{
		refuse(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
			   psprintf("sequence %d is too far ahead of call \"%s\"", sequence, call->call_id));
		fault->detail = psprintf("The next expected sequence is %d, and mulberry.max_gap is %d.",
								 intake->next, mulberry_max_gap);
		return MULBERRY_FAULTY;
	}
	if (!intake->exists)
	{
		mulberry_create_call(calls, &call->tenant, call->call_id, call->call_id_length,
							 call->encoding, call->sample_rate, intake->arrived, call);
		intake->exists = true;
	}
	if (!intake->partition_open)
	{
		mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &intake->partition);
		intake->partition_open = true;
	}
	if (sequence > intake->next)
	{
		mulberry_open_gap(call, intake->next, sequence - 1);
		intake->missing += sequence - intake->next;
	}
	intake->next = sequence + 1;
	return MULBERRY_ACCEPTED;
}

void
mulberry_end_intake(mulberry_intake *intake, Relation calls)
{
	if (intake->exists && intake->missing != intake->call.missing_count)
		mulberry_settle_gaps(calls, &intake->call, intake->missing);
	if (intake->call.state == MULBERRY_COMPLETED && !intake->was_whole && is_whole(intake))
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
		.sequence = sequence,
		.total_received = mulberry_total_received(intake),
		.missing_count = intake->missing,
	};

	report.ranges = mulberry_first_gaps(&intake->call, &report.nranges);
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
	mulberry_row_add(&row, Int32GetDatum(sequence));
	mulberry_row_add(&row, Int64GetDatum(mulberry_total_received(intake)));
	mulberry_row_add(&row, Int64GetDatum(intake->missing));
	mulberry_row_add(&row, mulberry_first_gaps_text(&intake->call));
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
 * ingest_packet(call_id, sequence, data, sent_at, encoding, sample_rate, tenant)
 */
Datum
mulberry_ingest_packet(PG_FUNCTION_ARGS)
{
	mulberry_tenant tenant = *mulberry_resolve_tenant(
		PG_ARGISNULL(6) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(6)), MULBERRY_ACCESS_INGEST);
	text *call_id;
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
	packet.sequence = PG_GETARG_INT32(1);
	packet.data = PG_GETARG_DATUM(2);
	packet.has_sent_at = !PG_ARGISNULL(3);
	packet.sent_at = packet.has_sent_at ? PG_GETARG_TIMESTAMPTZ(3) : 0;
	packet.received_at = GetCurrentTimestamp();
	if (!mulberry_check_call_id(call_id, &fault) ||
		!mulberry_check_sequence(packet.sequence, &fault) ||
		!mulberry_check_size(packet.data, &fault))
		raise_fault(&fault);
	mulberry_read_format(PG_ARGISNULL(4) ? NULL : PG_GETARG_TEXT_PP(4), !PG_ARGISNULL(5),
						 PG_ARGISNULL(5) ? 0 : PG_GETARG_INT32(5), &format);

	mulberry_make_partition(mulberry_day_of(packet.received_at));
	mulberry_lock_call(&tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	calls = mulberry_open_calls();
	mulberry_begin_intake(&intake, calls, &tenant, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id),
						  &format, packet.received_at);
	verdict = mulberry_admit_packet(&intake, calls, &format, packet.sequence, packet.data, &fault);
	if (verdict == MULBERRY_FAULTY)
		raise_fault(&fault);
	if (verdict == MULBERRY_ACCEPTED)
	{
		packet.call = intake.call.id;
		mulberry_store_packet(&intake.partition, &packet);
		mulberry_require_durable_commit();
	}
	mulberry_end_intake(&intake, calls);
	mulberry_report_intake(&intake, verdict, packet.sequence);
	table_close(calls, NoLock);
	return form_result(fcinfo, &intake, verdict, packet.sequence);
}
