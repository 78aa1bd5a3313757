/*
 * ingest_batch.c
 *	  ingest_packets(): many packets of several calls in one statement, each with a
 *	  result of its own.
 *
 * The batch is sorted by call lock, track and sequence, so that calls are locked in the one
 * order that cannot deadlock, each track is looked up once, and rows are
 * written many at a time, those of several tracks together.  What becomes of a packet is
 * decided in ingest.c.
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
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "access/access.h"
#include "calls/gaps.h"
#include "server/guc.h"
#include "server/xact.h"
#include "calls/ingest_batch.h"
#include "calls/intake_checks.h"
#include "calls/tracks.h"

typedef struct batch
{
	mulberry_batch_input input; /* sorted is so by call, track and sequence */
	const mulberry_tenant *tenant;
	mulberry_format format;
	TimestampTz arrived;
	Relation calls;
	mulberry_open_partitions partitions;
	List *waiting; /* tracks (batch_track *) that are decided, and whose rows wait to be stored */
	struct batch_track *unnamed; /* the last one of them whose packets name no track, or NULL */
	mulberry_packet *rows;		 /* that wait */
	mulberry_partition **rows_partitions;
	int nrows;
} batch;

/* The packets of one call that say the same of their track. */
typedef struct batch_track
{
	mulberry_intake intake;
	mulberry_batch_packet **packets;
	int n;
	int first_row; /* in the batch's rows */
	int nrows;
	bool refuted; /* its end was not where it was supposed to be */
	mulberry_batch_call *call;
} batch_track;

static int
compare_texts(const text *a, const text *b)
{
	int difference =
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(VARSIZE_ANY_EXHDR(a), VARSIZE_ANY_EXHDR(b)));

	return difference != 0 ? difference : (int) VARSIZE_ANY_EXHDR(a) - (int) VARSIZE_ANY_EXHDR(b);
}

/* The first track, which is NULL, in front. */
static int
compare_tracks(const mulberry_batch_packet *a, const mulberry_batch_packet *b)
{
	if (a->track == NULL || b->track == NULL)
		return (a->track != NULL) - (b->track != NULL);
	return compare_texts(a->track, b->track);
}

static bool
same_call(const mulberry_batch_packet *a, const mulberry_batch_packet *b)
{
	return a->lock_key == b->lock_key && compare_texts(a->call_id, b->call_id) == 0;
}

/* By lock key, call, track, sequence and position: of two equal packets the first counts. */
static int
compare_packets(const void *left, const void *right)
{
	const mulberry_batch_packet *a = *(mulberry_batch_packet *const *) left;
	const mulberry_batch_packet *b = *(mulberry_batch_packet *const *) right;
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
	return (*(mulberry_batch_packet *const *) left)->position -
		   (*(mulberry_batch_packet *const *) right)->position;
}

/* Sorts the good packets and takes the locks of their calls, in the order of the keys. */
static void
lock_calls(batch *batch, const mulberry_tenant *tenant)
{
	int ncalls = 0;

	for (int i = 0; i < batch->input.nsorted; i++)
	{
		text *call_id = batch->input.sorted[i]->call_id;

		batch->input.sorted[i]->lock_key =
			mulberry_call_lock_key(&tenant->id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	}
	qsort(batch->input.sorted, batch->input.nsorted, sizeof(mulberry_batch_packet *),
		  compare_packets);
	for (int i = 0; i < batch->input.nsorted; i++)
		if (i == 0 || !same_call(batch->input.sorted[i - 1], batch->input.sorted[i]))
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
	for (int i = 0; i < batch->input.nsorted; i++)
		if (i == 0 || batch->input.sorted[i - 1]->lock_key != batch->input.sorted[i]->lock_key)
			mulberry_lock_call_key(batch->input.sorted[i]->lock_key);
}

static void take_track(batch *batch, mulberry_batch_packet **packets, int n, bool suppose);

/* What becomes of a track whose rows are stored. */
static void
finish_track(batch *batch, batch_track *track)
{
	mulberry_intake *intake = &track->intake;
	mulberry_batch_call *call = track->call;

	for (int i = 0; i < track->n; i++)
	{
		mulberry_batch_packet *packet = track->packets[i];

		if (packet->verdict == MULBERRY_ACCEPTED)
			packet->received_at = batch->arrived;
		else if (packet->verdict == MULBERRY_DUPLICATE)
			packet->received_at =
				mulberry_arrival(intake->partition, intake->track->id, packet->sequence);
	}
	mulberry_end_intake(intake, batch->calls);

	call->first_sequence = mulberry_sender_number(intake->track, 0);
	call->total_received = mulberry_total_received(intake);
	call->missing_count = intake->missing;
	/* of its own: what is remembered of this track may give way to another one of the batch */
	call->missing_sequences = datumCopy(mulberry_first_gaps_text(intake->track), false, -1);
	for (int i = 0; i < track->n; i++)
		if (track->packets[i]->verdict != MULBERRY_FAULTY)
			mulberry_report_intake(intake, track->packets[i]->verdict, track->packets[i]->sequence,
								   track->packets[i]->data);
}

/* Nothing was done for it but to write its rows: of a counter, for which more is done, no end is ever supposed. */
static void
take_back_if_refuted(batch *batch, batch_track *track)
{
	const mulberry_packet *rows = &batch->rows[track->first_row];

	track->refuted = false;
	for (int i = 0; i < track->nrows; i++)
		track->refuted = track->refuted || rows[i].was_there;
	for (int i = 0; track->refuted && i < track->nrows; i++)
		mulberry_take_back_packet(track->intake.partition, &rows[i]);
}

/*
 * Stores all rows that wait, and finishes the tracks that wait for that.  Of those "current" is not one: it may be
 * NULL, and is told whether it is refuted.
 */
static void
store_waiting(batch *batch, batch_track *current)
{
	List *tracks = batch->waiting;
	ListCell *cell;

	for (int first = 0, end; first < batch->nrows; first = end)
	{
		mulberry_partition *partition = batch->rows_partitions[first];

		for (end = first + 1; end < batch->nrows && batch->rows_partitions[end] == partition;)
			end++;
		mulberry_store_packets(partition, &batch->rows[first], end - first);
		mulberry_require_durable_commit();
	}
	foreach (cell, tracks)
		take_back_if_refuted(batch, lfirst(cell));
	if (current != NULL)
	{
		take_back_if_refuted(batch, current);
		current->nrows = 0;
	}
	batch->nrows = 0;
	batch->waiting = NIL;
	batch->unnamed = NULL;
	foreach (cell, tracks)
	{
		batch_track *track = lfirst(cell);

		if (track->refuted)
		{
			take_track(batch, track->packets, track->n, false);
			/* at once: somebody else may have the end that it was refuted by in flight */
			store_waiting(batch, NULL);
		}
		else
			finish_track(batch, track);
	}
	list_free(tracks);
	if (current != NULL)
		current->first_row = batch->nrows;
}

static void
add_row(batch *batch, batch_track *track, const mulberry_batch_packet *packet)
{
	batch->rows_partitions[batch->nrows] = track->intake.partition;
	batch->rows[batch->nrows++] = (mulberry_packet){ .call = track->intake.track->id,
													 .sequence = packet->sequence,
													 .has_sent_at = packet->has_sent_at,
													 .sent_at = packet->sent_at,
													 .received_at = batch->arrived,
													 .data = packet->data,
													 .supposed = track->intake.supposed };
	track->nrows++;
}

/*
 * Whether the track can be finished later, when others of the same call may have been decided: nothing is looked up in it or written
 * for it then.
 */
static bool
may_wait(const batch_track *track)
{
	const mulberry_intake *intake = &track->intake;

	for (int i = 0; i < track->n; i++)
		if (track->packets[i]->verdict == MULBERRY_DUPLICATE)
			return false;
	return intake->call.state == MULBERRY_IN_PROGRESS &&
		   (!intake->track_exists || intake->missing == intake->track->missing_count);
}

/* Decides about a packet. */
static void
admit(batch *batch, batch_track *track, mulberry_batch_packet *packet)
{
	mulberry_intake *intake = &track->intake;
	bool counter = intake->track->counter_bits != 0;

	packet->verdict = mulberry_admit_packet(intake, batch->calls, &batch->format, packet->number,
											packet->data, &packet->sequence, &packet->fault);
	packet->call = track->call;
	/* what lies before it may have opened the gap that the next one fills */
	if (packet->verdict == MULBERRY_ACCEPTED && counter)
		CommandCounterIncrement();
	if (packet->verdict == MULBERRY_ACCEPTED)
		add_row(batch, track, packet);
	else if (packet->verdict == MULBERRY_REJECTED && track->call->rejection == NULL)
		track->call->rejection = mulberry_packet_verdict_message(packet->verdict, &intake->call);
	else if (packet->verdict == MULBERRY_DUPLICATE && counter)
	{
		store_waiting(batch, track);
		if (!mulberry_check_duplicate(intake, packet->sequence, packet->data, &packet->fault))
			packet->verdict = MULBERRY_FAULTY;
	}
}

/* Whether the track that a packet names is that of packets which wait and name none. */
static bool
is_unnamed(const batch *batch, const mulberry_batch_packet *packet)
{
	const batch_track *unnamed = batch->unnamed;
	const mulberry_track *track;

	if (unnamed == NULL || packet->track == NULL || !same_call(unnamed->packets[0], packet))
		return false;
	track = unnamed->intake.track;
	return VARSIZE_ANY_EXHDR(packet->track) == track->name_length &&
		   memcmp(VARDATA_ANY(packet->track), track->name, track->name_length) == 0;
}

/* Takes the packets of one track of a call; they wait to be stored with those of others. */
static void
take_track(batch *batch, mulberry_batch_packet **packets, int n, bool suppose)
{
	batch_track *track = palloc0(sizeof(batch_track));
	mulberry_intake *intake = &track->intake;

	while (is_unnamed(batch, packets[0]))
		store_waiting(batch, NULL);
	track->packets = packets;
	track->n = n;
	track->call = palloc0(sizeof(mulberry_batch_call));
	mulberry_begin_intake(intake, batch->calls, &batch->partitions, batch->tenant,
						  packets[0]->call_id, packets[0]->track, &batch->format, batch->arrived,
						  suppose);
	/* The numbers of a counter have no order of their own. */
	if (intake->track->counter_bits != 0)
	{
		if (intake->supposed)
			mulberry_look_for_end(intake);
		qsort(packets, n, sizeof(mulberry_batch_packet *), compare_positions);
	}
	track->first_row = batch->nrows;
	for (int i = 0; i < n; i++)
	{
		/* where the track ends by the index is of use when what was admitted is stored */
		if (intake->supposed && track->nrows > 0 &&
			packets[i]->number != mulberry_sender_number(intake->track, intake->next))
		{
			store_waiting(batch, track);
			if (track->refuted)
			{
				take_track(batch, packets, n, false);
				return;
			}
			intake->supposed = false;
		}
		admit(batch, track, packets[i]);
	}
	/* of none of its packets was the place compared with the end, and storing them will not tell either */
	if (intake->supposed && track->nrows == 0)
		mulberry_look_for_end(intake);
	batch->waiting = lappend(batch->waiting, track);
	if (packets[0]->track == NULL)
		batch->unnamed = track;
	if (!may_wait(track))
		store_waiting(batch, NULL);
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
put_result(ReturnSetInfo *result, const mulberry_batch_packet *packet)
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
	batch batch = { .tenant = &tenant, .arrived = GetCurrentTimestamp() };
	MemoryContext rows;

	mulberry_require_writable("ingest_packets()");
	mulberry_read_format(fcinfo, Arg_encoding, Arg_sample_rate, Arg_counter_bits, -1,
						 &batch.format);
	mulberry_read_batch(fcinfo, &batch.input);
	InitMaterializedSRF(fcinfo, 0);

	mulberry_make_partition(mulberry_day_of(batch.arrived));
	lock_calls(&batch, &tenant);
	batch.calls = mulberry_open_calls();
	batch.rows = palloc(Max(batch.input.nsorted, 1) * sizeof(mulberry_packet));
	batch.rows_partitions = palloc(Max(batch.input.nsorted, 1) * sizeof(mulberry_partition *));
	for (int first = 0, end; first < batch.input.nsorted; first = end)
	{
		for (end = first + 1;
			 end < batch.input.nsorted &&
			 same_call(batch.input.sorted[first], batch.input.sorted[end]) &&
			 compare_tracks(batch.input.sorted[first], batch.input.sorted[end]) == 0;)
			end++;
		CHECK_FOR_INTERRUPTS();
		take_track(&batch, &batch.input.sorted[first], end - first, true);
	}
	while (batch.waiting != NIL)
		store_waiting(&batch, NULL);
	mulberry_close_partitions(&batch.partitions);
	table_close(batch.calls, NoLock);

	rows = AllocSetContextCreate(CurrentMemoryContext, "results of a batch", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < batch.input.npackets; i++)
	{
		MemoryContext before = MemoryContextSwitchTo(rows);

		put_result((ReturnSetInfo *) fcinfo->resultinfo, &batch.input.packets[i]);
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
