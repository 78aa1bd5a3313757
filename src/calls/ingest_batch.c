/*
 * ingest_batch.c
 *	  ingest_packets(): many packets of several calls in one statement, each with a
 *	  result of its own.
 *
 * The batch is sorted by call lock, track and sequence, so that calls are locked in the one
 * order that cannot deadlock, each track is looked up once, and rows are
 * written many at a time.  What becomes of a packet is decided in ingest.c.
 */
#include "server/compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "access/access.h"
#include "calls/gaps.h"
#include "server/guc.h"
#include "server/xact.h"
#include "calls/ingest.h"
#include "calls/intake_checks.h"
#include "calls/tracks.h"

/* One packet of a batch, and what became of it. */
typedef struct batch_packet
{
	int position; /* in the arrays */
	uint64 lock_key;
	text *call_id;
	text *track; /* NULL: the first */
	int64 number;
	int32 sequence; /* its place in the track, where it has one */
	Datum data;
	bool has_sent_at;
	TimestampTz sent_at;
	TimestampTz received_at; /* of the packet that is stored; DT_NOBEGIN: none, or not known */
	mulberry_packet_verdict verdict;
	mulberry_fault fault;	 /* of a faulty one */
	struct batch_call *call; /* NULL for a faulty one that reached no call */
} batch_packet;

/* A track of a call after the batch, for the results of its packets. */
typedef struct batch_call
{
	int64 first_sequence; /* what the sender calls packet 0 */
	int64 total_received;
	int64 missing_count;
	Datum missing_sequences;
	const char *rejection; /* message for rejected packets */
} batch_call;

typedef struct batch
{
	int npackets;
	batch_packet *packets; /* in the order of the arrays */
	batch_packet **sorted; /* the good ones, by call, track and sequence */
	int nsorted;
} batch;

/* Arguments of the function, in order. */
enum batch_argument
{
	Arg_call_ids,
	Arg_sequences,
	Arg_data,
	Arg_sent_at,
	Arg_encoding,
	Arg_sample_rate,
	Arg_tenant,
	Arg_tracks,
	Arg_counter_bits
};

/* Takes an array apart; raises what makes it malformed. */
static int
read_array(FunctionCallInfo fcinfo, int argument, const char *name, Oid type, Datum **values,
		   bool **nulls)
{
	ArrayType *array;
	int n;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("%s must have one dimension", name)));
	if (nulls == NULL && array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not contain nulls", name)));
	switch (type)
	{
		case TEXTOID:
		case BYTEAOID:
			deconstruct_array(array, type, -1, false, TYPALIGN_INT, values, nulls, &n);
			break;
		default:
			Assert(type == INT8OID || type == TIMESTAMPTZOID);
			deconstruct_array(array, type, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, values,
							  nulls, &n);
	}
	return n;
}

static void
require_length(const char *name, int n, int expected)
{
	if (n != expected)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("arrays of a batch must have the same length"),
						errdetail("call_ids has %d elements and %s has %d.", expected, name, n)));
}

/* The tracks of n packets, or one of all of them; none are NULL. */
static Datum *
read_tracks(FunctionCallInfo fcinfo, int n, bool **nulls)
{
	Datum *tracks;
	int ntracks;

	if (PG_ARGISNULL(Arg_tracks))
		return NULL;
	ntracks = read_array(fcinfo, Arg_tracks, "tracks", TEXTOID, &tracks, nulls);
	if (ntracks == 1 && n != 1)
	{
		tracks = repalloc(tracks, Max(n, 1) * sizeof(Datum));
		*nulls = repalloc(*nulls, Max(n, 1) * sizeof(bool));
		for (int i = 1; i < n; i++)
		{
			tracks[i] = tracks[0];
			(*nulls)[i] = (*nulls)[0];
		}
		ntracks = n;
	}
	require_length("tracks", ntracks, n);
	return tracks;
}

/* Reads the arrays into packets and checks what can be checked without their calls. */
static void
read_batch(FunctionCallInfo fcinfo, batch *batch)
{
	Datum *call_ids;
	Datum *sequences;
	Datum *data;
	Datum *sent_at = NULL;
	bool *sent_at_nulls = NULL;
	Datum *tracks;
	bool *track_nulls = NULL;
	int n = read_array(fcinfo, Arg_call_ids, "call_ids", TEXTOID, &call_ids, NULL);

	require_length("sequences",
				   read_array(fcinfo, Arg_sequences, "sequences", INT8OID, &sequences, NULL), n);
	require_length("data", read_array(fcinfo, Arg_data, "data", BYTEAOID, &data, NULL), n);
	if (!PG_ARGISNULL(Arg_sent_at))
		require_length(
			"sent_at",
			read_array(fcinfo, Arg_sent_at, "sent_at", TIMESTAMPTZOID, &sent_at, &sent_at_nulls),
			n);
	tracks = read_tracks(fcinfo, n, &track_nulls);
	if (n > mulberry_max_batch_packets)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("batch of %d packets is larger than mulberry.max_batch_packets", n),
				 errdetail("A batch may have at most %d packets.", mulberry_max_batch_packets),
				 errhint("Send several batches.")));

	batch->npackets = n;
	batch->packets = palloc0(Max(n, 1) * sizeof(batch_packet));
	batch->sorted = palloc(Max(n, 1) * sizeof(batch_packet *));
	batch->nsorted = 0;
	for (int i = 0; i < n; i++)
	{
		batch_packet *packet = &batch->packets[i];

		packet->position = i;
		packet->call_id = DatumGetTextPP(call_ids[i]);
		packet->track = tracks && !track_nulls[i] ? DatumGetTextPP(tracks[i]) : NULL;
		packet->number = DatumGetInt64(sequences[i]);
		packet->data = data[i];
		packet->has_sent_at = sent_at != NULL && !sent_at_nulls[i];
		packet->sent_at = packet->has_sent_at ? DatumGetTimestampTz(sent_at[i]) : 0;
		packet->received_at = DT_NOBEGIN;
		if (mulberry_check_call_id(packet->call_id, &packet->fault) &&
			mulberry_check_track_name(packet->track, &packet->fault) &&
			mulberry_check_sequence(packet->number, &packet->fault) &&
			mulberry_check_size(packet->data, &packet->fault))
			batch->sorted[batch->nsorted++] = packet;
		else
			packet->verdict = MULBERRY_FAULTY;
	}
}

static int
compare_texts(const text *a, const text *b)
{
	int difference =
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(VARSIZE_ANY_EXHDR(a), VARSIZE_ANY_EXHDR(b)));

	return difference != 0 ? difference : (int) VARSIZE_ANY_EXHDR(a) - (int) VARSIZE_ANY_EXHDR(b);
}

/* The first track, which is NULL, in front. */
static int
compare_tracks(const batch_packet *a, const batch_packet *b)
{
	if (a->track == NULL || b->track == NULL)
		return (a->track != NULL) - (b->track != NULL);
	return compare_texts(a->track, b->track);
}

static bool
same_call(const batch_packet *a, const batch_packet *b)
{
	return a->lock_key == b->lock_key && compare_texts(a->call_id, b->call_id) == 0;
}

/* By lock key, call, track, sequence and position: of two equal packets the first counts. */
static int
compare_packets(const void *left, const void *right)
{
	const batch_packet *a = *(batch_packet *const *) left;
	const batch_packet *b = *(batch_packet *const *) right;
	int difference;

	if (a->lock_key != b->lock_key)
		return a->lock_key < b->lock_key ? -1 : 1;
	difference = compare_texts(a->call_id, b->call_id);
	if (difference == 0)
		difference = compare_tracks(a, b);
	if (difference != 0)
		return difference;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return a->position - b->position;
}

static int
compare_positions(const void *left, const void *right)
{
	return (*(batch_packet *const *) left)->position - (*(batch_packet *const *) right)->position;
}

/* Sorts the good packets and takes the locks of their calls, in the order of the keys. */
static void
lock_calls(batch *batch, const mulberry_tenant *tenant)
{
	int ncalls = 0;

	for (int i = 0; i < batch->nsorted; i++)
	{
		text *call_id = batch->sorted[i]->call_id;

		batch->sorted[i]->lock_key =
			mulberry_call_lock_key(&tenant->id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	}
	qsort(batch->sorted, batch->nsorted, sizeof(batch_packet *), compare_packets);
	for (int i = 0; i < batch->nsorted; i++)
		if (i == 0 || !same_call(batch->sorted[i - 1], batch->sorted[i]))
			ncalls++;
	if (ncalls > mulberry_max_batch_calls)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("batch with packets of %d calls is larger than mulberry.max_batch_calls",
					ncalls),
			 errdetail("A batch may have packets of at most %d calls.", mulberry_max_batch_calls),
			 errhint(
				 "Send several, each in a transaction of its own: locks are held until it ends.")));
	for (int i = 0; i < batch->nsorted; i++)
		if (i == 0 || batch->sorted[i - 1]->lock_key != batch->sorted[i]->lock_key)
			mulberry_lock_call_key(batch->sorted[i]->lock_key);
}

/* Stores what was accepted so far. */
static void
store_accepted(const mulberry_intake *intake, const mulberry_packet *accepted, int *n)
{
	if (*n == 0)
		return;
	mulberry_store_packets(&intake->partition, accepted, *n);
	mulberry_require_durable_commit();
	*n = 0;
}

/* Takes the packets of one track of a call. */
static void
take_track(batch_packet **packets, int n, Relation calls, const mulberry_tenant *tenant,
		   const mulberry_format *format, TimestampTz arrived, mulberry_packet *accepted)
{
	mulberry_intake intake;
	batch_call *call = palloc0(sizeof(batch_call));
	int naccepted = 0;

	mulberry_begin_intake(&intake, calls, tenant, packets[0]->call_id, packets[0]->track, format,
						  arrived, false);
	/* The numbers of a counter have no order of their own. */
	if (intake.track->counter_bits != 0)
		qsort(packets, n, sizeof(batch_packet *), compare_positions);
	for (int i = 0; i < n; i++)
	{
		batch_packet *packet = packets[i];

		packet->verdict = mulberry_admit_packet(&intake, calls, format, packet->number,
												packet->data, &packet->sequence, &packet->fault);
		packet->call = call;
		/* what lies before it may have opened the gap that the next one fills */
		if (packet->verdict == MULBERRY_ACCEPTED && intake.track->counter_bits != 0)
			CommandCounterIncrement();
		if (packet->verdict == MULBERRY_ACCEPTED)
			accepted[naccepted++] = (mulberry_packet){ .call = intake.track->id,
													   .sequence = packet->sequence,
													   .has_sent_at = packet->has_sent_at,
													   .sent_at = packet->sent_at,
													   .received_at = arrived,
													   .data = packet->data };
		else if (packet->verdict == MULBERRY_REJECTED && call->rejection == NULL)
			call->rejection = mulberry_packet_verdict_message(packet->verdict, &intake.call);
		else if (packet->verdict == MULBERRY_DUPLICATE && intake.track->counter_bits != 0)
		{
			store_accepted(&intake, accepted, &naccepted);
			if (!mulberry_check_duplicate(&intake, packet->sequence, packet->data, &packet->fault))
				packet->verdict = MULBERRY_FAULTY;
		}
	}
	store_accepted(&intake, accepted, &naccepted);
	for (int i = 0; i < n; i++)
	{
		if (packets[i]->verdict == MULBERRY_ACCEPTED)
			packets[i]->received_at = arrived;
		else if (packets[i]->verdict == MULBERRY_DUPLICATE)
			packets[i]->received_at =
				mulberry_arrival(&intake.partition, intake.track->id, packets[i]->sequence);
	}
	mulberry_end_intake(&intake, calls);

	call->first_sequence = mulberry_sender_number(intake.track, 0);
	call->total_received = mulberry_total_received(&intake);
	call->missing_count = intake.missing;
	call->missing_sequences = mulberry_first_gaps_text(intake.track);
	for (int i = 0; i < n; i++)
		if (packets[i]->verdict != MULBERRY_FAULTY)
			mulberry_report_intake(&intake, packets[i]->verdict, packets[i]->sequence,
								   packets[i]->data);
}

/* Columns of the type batch_result. */
enum batch_result_column
{
	Anum_batch_status,
	Anum_batch_message,
	Anum_batch_call_id,
	Anum_batch_sequence,
	Anum_batch_total_received,
	Anum_batch_missing_count,
	Anum_batch_missing_sequences,
	Anum_batch_duplicate,
	Anum_batch_sqlstate,
	Anum_batch_received_at,
	Natts_batch
};

static void
put_result(ReturnSetInfo *result, const batch_packet *packet)
{
	Datum values[Natts_batch] = { 0 };
	bool nulls[Natts_batch] = { 0 };
	bool faulty = packet->verdict == MULBERRY_FAULTY;

	values[Anum_batch_status] =
		CStringGetTextDatum(mulberry_packet_verdict_status(packet->verdict));
	if (faulty)
		values[Anum_batch_message] = CStringGetTextDatum(packet->fault.message);
	else if (packet->verdict == MULBERRY_REJECTED)
		values[Anum_batch_message] = CStringGetTextDatum(packet->call->rejection);
	else
		values[Anum_batch_message] =
			CStringGetTextDatum(mulberry_packet_verdict_message(packet->verdict, NULL));
	values[Anum_batch_call_id] = PointerGetDatum(packet->call_id);
	/* as the answer to a single packet; one that is refused has no other number than that it came with */
	values[Anum_batch_sequence] =
		Int64GetDatum(faulty ? packet->number : packet->call->first_sequence + packet->sequence);
	if (packet->call != NULL)
	{
		values[Anum_batch_total_received] = Int64GetDatum(packet->call->total_received);
		values[Anum_batch_missing_count] = Int64GetDatum(packet->call->missing_count);
		values[Anum_batch_missing_sequences] = packet->call->missing_sequences;
	}
	nulls[Anum_batch_total_received] = packet->call == NULL;
	nulls[Anum_batch_missing_count] = packet->call == NULL;
	nulls[Anum_batch_missing_sequences] = packet->call == NULL;
	values[Anum_batch_duplicate] = BoolGetDatum(packet->verdict == MULBERRY_DUPLICATE);
	nulls[Anum_batch_sqlstate] = !faulty;
	if (faulty)
		values[Anum_batch_sqlstate] = CStringGetTextDatum(unpack_sql_state(packet->fault.sqlstate));
	values[Anum_batch_received_at] = TimestampTzGetDatum(packet->received_at);
	nulls[Anum_batch_received_at] = packet->received_at == DT_NOBEGIN;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
ingest(FunctionCallInfo fcinfo, mulberry_tenant tenant)
{
	TimestampTz arrived = GetCurrentTimestamp();
	mulberry_format format;
	mulberry_packet *accepted;
	Relation calls;
	batch batch;
	MemoryContext rows;

	mulberry_require_writable("ingest_packets()");
	mulberry_read_format(fcinfo, Arg_encoding, Arg_sample_rate, Arg_counter_bits, -1, &format);
	read_batch(fcinfo, &batch);
	InitMaterializedSRF(fcinfo, 0);

	mulberry_make_partition(mulberry_day_of(arrived));
	lock_calls(&batch, &tenant);
	calls = mulberry_open_calls();
	accepted = palloc(Max(batch.nsorted, 1) * sizeof(mulberry_packet));
	for (int first = 0, end; first < batch.nsorted; first = end)
	{
		for (end = first + 1; end < batch.nsorted &&
							  same_call(batch.sorted[first], batch.sorted[end]) &&
							  compare_tracks(batch.sorted[first], batch.sorted[end]) == 0;)
			end++;
		CHECK_FOR_INTERRUPTS();
		take_track(&batch.sorted[first], end - first, calls, &tenant, &format, arrived, accepted);
	}
	table_close(calls, NoLock);

	rows = AllocSetContextCreate(CurrentMemoryContext, "results of a batch", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < batch.npackets; i++)
	{
		MemoryContext before = MemoryContextSwitchTo(rows);

		put_result((ReturnSetInfo *) fcinfo->resultinfo, &batch.packets[i]);
		MemoryContextSwitchTo(before);
		MemoryContextReset(rows);
	}
	MemoryContextDelete(rows);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(mulberry_ingest_packets);
PG_FUNCTION_INFO_V1(mulberry_ingest_packets_of);

/*
 * ingest_packets(call_ids, sequences, data, sent_at, encoding, sample_rate, tenant, tracks, counter_bits)
 */
Datum
mulberry_ingest_packets(PG_FUNCTION_ARGS)
{
	return ingest(fcinfo,
				  *mulberry_resolve_tenant(PG_ARGISNULL(Arg_tenant)
											   ? NULL
											   : text_to_cstring(PG_GETARG_TEXT_PP(Arg_tenant)),
										   MULBERRY_ACCESS_INGEST));
}

/* The same for a tenant by its id, whoever asks: for functions of ours that have looked who does. */
Datum
mulberry_ingest_packets_of(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(Arg_tenant))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("tenant must not be null")));
	return ingest(fcinfo, *mulberry_tenant_by_id(PG_GETARG_UUID_P(Arg_tenant)));
}
