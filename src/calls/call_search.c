/*
 * call_search.c
 *	  The newest calls whose transcripts match, for search_calls().
 *
 * Two indexes, neither of which the executor can use as well as it is done here.  transcripts_newest has a tenant's calls
 * in order of time: words that many calls have are found in the first few of them.  transcripts_search
 * says which rows match, in the order of their places; to learn which of those are the newest the executor would
 * read all of them, and a row with its words fills a fifth of a page.  Here a long answer is put in
 * order by the entries of the other index alone, and only those rows are read that are told, or that
 * the index is not sure of (phrases).
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "tsearch/ts_utils.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "calls/call_relations.h"
#include "calls/calls.h"
#include "server/catalog.h"
#include "server/relations.h"

/* Columns of "transcripts" and of transcripts_newest. */
enum
{
	Anum_transcripts_call = 1,
	Anum_transcripts_tenant,
	Anum_transcripts_language,
	Anum_transcripts_search
};

enum
{
	Anum_newest_tenant = 1,
	Anum_newest_language,
	Anum_newest_call
};

/*
 * So many of the newest calls are looked at before the index of words is asked, and so many more for each one
 * that is found among them: words that one call in so many has cost less in order of time.
 */
#define FIRST_LOOKS 100
#define LOOKS_FOR_EACH 20

/* So many places from the index of words are read at once, not put in order by the other index first. */
#define FEW_PLACES 1000

/* Calls have no ids of days beyond it. */
#define LAST_DAY ((1 << 22) - 1)

/* A place at which the index of words says that something matches; offset 0: all of the page. */
typedef struct mulberry_place_found
{
	BlockNumber block;
	OffsetNumber offset;
	bool recheck;
} mulberry_place_found;

typedef struct mulberry_search
{
	Relation transcripts;
	Relation calls;
	Snapshot snapshot;
	const pg_uuid_t *tenant;
	Datum language;
	Datum words;
	TimestampTz since; /* when calls began: from the first time on, before the second */
	TimestampTz before;
	int64 first_call; /* all that began then are among these */
	int64 end_call;
	int64 older_than; /* of these only earlier ones */
	int max_calls;
	int64 *found; /* newest first, at most max_calls of them */
	int nfound;
	mulberry_place_found *places;
	int64 nplaces;
	bool lossy;
} mulberry_search;

/* The first call that may have begun so many days after that of a time. */
static int64
first_call_near(TimestampTz time, int days)
{
	if (TIMESTAMP_IS_NOBEGIN(time))
		return 0;
	if (TIMESTAMP_IS_NOEND(time))
		return PG_INT64_MAX;
	return mulberry_first_call_of_day(Min(Max(mulberry_day_of(time) + days, 0), LAST_DAY));
}

/* A call began on the day that its id says; its time may be that of the next clock reading. */
static bool
began_in_time(mulberry_search *search, int64 call)
{
	mulberry_scan scan;
	ScanKeyData key;
	bool in_time;

	if (call >= search->first_call + 3 * mulberry_first_call_of_day(1) &&
		call < search->end_call - 3 * mulberry_first_call_of_day(1))
		return true;
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(call));
	mulberry_begin_scan_with(&scan, search->calls, mulberry_get_relations()->calls_id_key, &key, 1,
							 search->snapshot);
	in_time = mulberry_next_row(&scan, ForwardScanDirection);
	if (in_time)
	{
		bool isnull;
		TimestampTz created =
			DatumGetTimestampTz(slot_getattr(scan.slot, Anum_calls_created_at, &isnull));

		in_time = created >= search->since && created < search->before;
	}
	mulberry_end_scan(&scan);
	return in_time;
}

static int64
call_in(TupleTableSlot *slot)
{
	bool isnull;

	return DatumGetInt64(slot_getattr(slot, Anum_transcripts_call, &isnull));
}

static bool
has_words(mulberry_search *search, TupleTableSlot *slot)
{
	bool isnull;

	return DatumGetBool(DirectFunctionCall2(
		ts_match_vq, slot_getattr(slot, Anum_transcripts_search, &isnull), search->words));
}

/* The places that the index of words tells, in their order. */
static void
ask_words(mulberry_search *search, Relation index, Datum scoped)
{
	TIDBitmap *bitmap = tbm_create((long) work_mem * 1024, NULL);
	IndexScanDesc scan = begin_bitmap_scan(index, search->snapshot, 1);
	mulberry_bitmap_pages pages;
	ScanKeyData key;
	int64 room = 1024;

	ScanKeyInit(&key, 1, TSearchStrategyNumber, F_TS_MATCH_VQ, scoped);
	index_rescan(scan, &key, 1, NULL, 0);
	index_getbitmap(scan, bitmap);
	index_endscan(scan);

	search->places = palloc(room * sizeof(mulberry_place_found));
	begin_bitmap_pages(&pages, bitmap);
	while (next_bitmap_page(&pages))
	{
		int n = pages.lossy ? 1 : pages.noffsets;

		CHECK_FOR_INTERRUPTS();
		while (search->nplaces + n > room)
		{
			room *= 2;
			search->places = repalloc_huge(search->places, room * sizeof(mulberry_place_found));
		}
		for (int i = 0; i < n; i++)
			search->places[search->nplaces++] = (mulberry_place_found){
				pages.block, pages.lossy ? InvalidOffsetNumber : pages.offsets[i], pages.recheck
			};
		search->lossy = search->lossy || pages.lossy;
	}
	end_bitmap_pages(&pages);
	tbm_free(bitmap);
}

/* The place if it is one that the index of words has told, else NULL. */
static const mulberry_place_found *
told_place(const mulberry_search *search, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	int64 low = 0;
	int64 high = search->nplaces;

	while (low < high)
	{
		int64 middle = low + (high - low) / 2;

		if (search->places[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < search->nplaces && search->places[low].block == block; low++)
		if (search->places[low].offset == InvalidOffsetNumber ||
			search->places[low].offset == ItemPointerGetOffsetNumber(tid))
			return &search->places[low];
	return NULL;
}

static int
newer_first(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return x > y ? -1 : x < y;
}

/* Reads every place told, because they are few, and keeps the newest calls older than "end". */
static void
read_places(mulberry_search *search, int64 end)
{
	IndexFetchTableData *fetch = table_index_fetch_begin(search->transcripts);
	TupleTableSlot *slot = table_slot_create(search->transcripts, NULL);
	int64 *calls = palloc(search->nplaces * sizeof(int64));
	int n = 0;

	for (int64 i = 0; i < search->nplaces; i++)
	{
		const mulberry_place_found *place = &search->places[i];
		ItemPointerData tid;
		bool again = false;
		bool isnull;
		int64 call;

		CHECK_FOR_INTERRUPTS();
		ItemPointerSet(&tid, place->block, place->offset);
		if (!table_index_fetch_tuple(fetch, &tid, search->snapshot, slot, &again, NULL))
			continue;
		call = call_in(slot);
		if (call < search->first_call || call >= end ||
			!DatumGetBool(DirectFunctionCall2(uuid_eq,
											  slot_getattr(slot, Anum_transcripts_tenant, &isnull),
											  UUIDPGetDatum(search->tenant))) ||
			(place->recheck && !has_words(search, slot)))
			continue;
		calls[n++] = call;
	}
	ExecDropSingleTupleTableSlot(slot);
	table_index_fetch_end(fetch);

	qsort(calls, n, sizeof(int64), newer_first);
	for (int i = 0; i < n && search->nfound < search->max_calls; i++)
		if (began_in_time(search, calls[i]))
			search->found[search->nfound++] = calls[i];
}

/*
 * Looks at calls older than "end", the newest first, which is where it stops: at all that the index of words
 * has told or, when it has not been asked, at each for as long as that seems
 * worth while.  Returns from where on calls are older than what it has looked at.
 */
static int64
walk(mulberry_search *search, Relation newest, bool asked, bool may_stop, int64 end)
{
	TupleTableSlot *slot = table_slot_create(search->transcripts, NULL);
	IndexScanDesc scan = begin_index_scan(search->transcripts, newest, search->snapshot, 4);
	ScanKeyData keys[4];
	int64 looks = 0;

	ScanKeyInit(&keys[0], Anum_newest_tenant, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(search->tenant));
	ScanKeyEntryInitialize(&keys[1], 0, Anum_newest_language, BTEqualStrategyNumber, InvalidOid,
						   C_COLLATION_OID, F_TEXTEQ, search->language);
	ScanKeyInit(&keys[2], Anum_newest_call, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(search->first_call));
	ScanKeyInit(&keys[3], Anum_newest_call, BTLessStrategyNumber, F_INT8LT, Int64GetDatum(end));
	index_rescan(scan, keys, 4, NULL, 0);
	while (search->nfound < search->max_calls)
	{
		ItemPointer tid = index_getnext_tid(scan, BackwardScanDirection);
		const mulberry_place_found *place = NULL;
		int64 call;

		if (tid == NULL)
		{
			end = search->first_call;
			break;
		}
		CHECK_FOR_INTERRUPTS();
		if (asked && (place = told_place(search, tid)) == NULL)
			continue;
		if (!index_fetch_heap(scan, slot))
			continue;
		call = call_in(slot);
		if (((place != NULL && !place->recheck) || has_words(search, slot)) &&
			began_in_time(search, call))
			search->found[search->nfound++] = call;
		if (may_stop && ++looks >= FIRST_LOOKS + LOOKS_FOR_EACH * (int64) search->nfound)
		{
			end = call;
			break;
		}
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return end;
}

static void
find_newest(mulberry_search *search, Datum scoped)
{
	Relation newest = index_open(mulberry_relation_oid("transcripts_newest"), AccessShareLock);
	Relation words = index_open(mulberry_relation_oid("transcripts_search"), AccessShareLock);
	/* not while an administrator builds it anew */
	bool usable = words->rd_index->indisvalid;
	int64 end = walk(search, newest, false, usable, Min(search->end_call, search->older_than));

	if (search->nfound < search->max_calls && end > search->first_call)
	{
		ask_words(search, words, scoped);
		if (search->nplaces <= FEW_PLACES && !search->lossy)
			read_places(search, end);
		else
			(void) walk(search, newest, true, false, end);
	}
	index_close(words, NoLock);
	index_close(newest, NoLock);
}

/*
 * newest_matches(tenant, language, words, scoped, since, before, max_calls, older_than): see search.sql.  "scoped" is what the
 * index of words is asked for, "words" what a transcript must have.
 */
PG_FUNCTION_INFO_V1(mulberry_newest_matches);

Datum
mulberry_newest_matches(PG_FUNCTION_ARGS)
{
	mulberry_search search = {
		.snapshot = GetActiveSnapshot(),
		.tenant = PG_GETARG_UUID_P(0),
		.language = PG_GETARG_DATUM(1),
		.words = PG_GETARG_DATUM(2),
		.since = PG_GETARG_TIMESTAMPTZ(4),
		.before = PG_GETARG_TIMESTAMPTZ(5),
		.max_calls = PG_GETARG_INT32(6),
		.older_than = PG_GETARG_INT64(7),
	};
	Datum *calls;

	search.first_call = first_call_near(search.since, -1);
	search.end_call = first_call_near(search.before, 2);
	search.found = palloc(search.max_calls * sizeof(int64));
	search.transcripts = table_open(mulberry_get_relations()->transcripts, AccessShareLock);
	search.calls = table_open(mulberry_get_relations()->calls, AccessShareLock);
	find_newest(&search, PG_GETARG_DATUM(3));
	table_close(search.calls, NoLock);
	table_close(search.transcripts, NoLock);

	calls = palloc(search.max_calls * sizeof(Datum));
	for (int i = 0; i < search.nfound; i++)
		calls[i] = Int64GetDatum(search.found[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(calls, search.nfound, INT8OID, sizeof(int64),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
