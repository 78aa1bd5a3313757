/*
 * ingest_batch_input.c
 *	  Reads the arrays of ingest_packets().
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "calls/ingest_batch.h"
#include "calls/intake_checks.h"
#include "server/guc.h"

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

void
mulberry_read_batch(FunctionCallInfo fcinfo, mulberry_batch_input *input)
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

	input->npackets = n;
	input->packets = palloc0(Max(n, 1) * sizeof(mulberry_batch_packet));
	input->sorted = palloc(Max(n, 1) * sizeof(mulberry_batch_packet *));
	input->nsorted = 0;
	for (int i = 0; i < n; i++)
	{
		mulberry_batch_packet *packet = &input->packets[i];

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
			mulberry_check_size(packet->data, &packet->fault) &&
			mulberry_check_sent_at(packet->sent_at, &packet->fault))
			input->sorted[input->nsorted++] = packet;
		else
			packet->verdict = MULBERRY_FAULTY;
	}
}
