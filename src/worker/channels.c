/*
 * channels.c
 *	  Where the notifier sends the events of each tenant.
 *
 * The notifier is the only one who sends on these channels, so it is here that a
 * revocation is made sure of: before anything is sent after a commit that changed
 * who may hear or who listens, every channel is left that a role knows which may not
 * hear it (lost_channels()).  subscribe() tells who listens in the transaction that
 * begins to.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "events/event_kinds.h"
#include "events/subscriptions.h"
#include "server/arrays.h"
#include "server/plans.h"
#include "server/shared_state.h"
#include "worker/channels.h"

static MemoryContext channels_context;
static HTAB *audiences = NULL;
static bool roles_changed = true; /* since channels were last compared with who may hear them */
static uint64 turn = 1;			  /* in which we are; channels are read with 0 */

static void
on_role_change(Datum arg, int cache, uint32 hash)
{
	roles_changed = true;
}

void
mulberry_channels_init(void)
{
	CacheRegisterSyscacheCallback(AUTHOID, on_role_change, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_role_change, (Datum) 0);
	channels_context =
		AllocSetContextCreate(TopMemoryContext, "mulberry notifier channels", ALLOCSET_SMALL_SIZES);
}

void
mulberry_channels_begin_turn(void)
{
	turn++;
}

bool
mulberry_channels_are_stale(void)
{
	/* taken first: what changes while channels are read is looked at again */
	bool changed = mulberry_notifier_take_channels_changed(mulberry_my_slot());

	if (changed)
		roles_changed = true;
	return roles_changed || audiences == NULL;
}

/* The elements of a text[], in the current context. */
static char **
read_texts(HeapTuple tuple, TupleDesc desc, int column, int *count)
{
	bool isnull;
	Datum array = SPI_getbinval(tuple, desc, column, &isnull);
	Datum *elements;
	char **texts;

	*count = 0;
	if (isnull)
		return NULL;
	elements = mulberry_array_elements(DatumGetArrayTypeP(array), TEXTOID, count, NULL);
	texts = palloc(sizeof(char *) * *count);
	for (int i = 0; i < *count; i++)
		texts[i] = TextDatumGetCString(elements[i]);
	pfree(elements);
	return texts;
}

/* The elements of an integer[], in the current context. */
static int *
read_integers(HeapTuple tuple, TupleDesc desc, int column, int *count)
{
	bool isnull;
	Datum array = SPI_getbinval(tuple, desc, column, &isnull);
	Datum *elements = mulberry_array_elements(DatumGetArrayTypeP(array), INT4OID, count, NULL);
	int *integers;

	integers = palloc(sizeof(int) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		integers[i] = DatumGetInt32(elements[i]);
	pfree(elements);
	return integers;
}

/* A row of notifier_channels(). */
static mulberry_channel *
read_channel(HeapTuple tuple, TupleDesc desc)
{
	mulberry_channel *channel = palloc0(sizeof(mulberry_channel));
	char **kinds;
	int nkinds;
	bool isnull;

	channel->name = SPI_getvalue(tuple, desc, 3);
	channel->listener = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
	channel->calls = read_texts(tuple, desc, 5, &channel->ncalls);
	if (channel->ncalls > 1)
		qsort(channel->calls, channel->ncalls, sizeof(char *), pg_qsort_strcmp);
	kinds = read_texts(tuple, desc, 6, &nkinds);
	if (kinds == NULL)
		channel->kinds = PG_UINT64_MAX;
	for (int i = 0; kinds != NULL && i < nkinds; i++)
	{
		int kind = mulberry_event_kind_number(kinds[i]);

		if (kind >= 0)
			channel->kinds |= UINT64CONST(1) << kind;
	}
	channel->told = DatumGetInt64(SPI_getbinval(tuple, desc, 7, &isnull));
	channel->subscribers = read_integers(tuple, desc, 8, &channel->nsubscribers);
	return channel;
}

/* How far the channels of one session each have been told, by their names. */
typedef struct told_channel
{
	NameData name; /* hash key */
	int64 told;
} told_channel;

static HTAB *
remember_told(void)
{
	HASHCTL control;
	HTAB *remembered;
	ListCell *cell;

	memset(&control, 0, sizeof(control));
	control.keysize = NAMEDATALEN;
	control.entrysize = sizeof(told_channel);
	control.hcxt = CurrentMemoryContext;
	remembered =
		hash_create("mulberry told", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	foreach (cell, audiences != NULL ? mulberry_audiences() : NIL)
	{
		const mulberry_audience *audience = lfirst(cell);
		ListCell *place;

		foreach (place, audience->channels)
		{
			const mulberry_channel *channel = lfirst(place);

			if (channel->listener != 0)
				((told_channel *) hash_search(remembered, channel->name, HASH_ENTER, NULL))->told =
					channel->told;
		}
	}
	return remembered;
}

static bool
somebody_is_there(const mulberry_channel *channel)
{
	for (int i = 0; i < channel->nsubscribers; i++)
		if (mulberry_session_is_there(channel->subscribers[i]))
			return true;
	return false;
}

static bool
packets_are_wanted(void)
{
	uint64 packets = 0;
	ListCell *cell;
	ListCell *place;

	for (int i = 0; mulberry_event_kind_at(i) != NULL; i++)
		if (mulberry_event_kind_at(i)->delivery == MULBERRY_EVENT_PACKET)
			packets |= UINT64CONST(1) << i;
	foreach (cell, mulberry_audiences())
		foreach (place, ((const mulberry_audience *) lfirst(cell))->channels)
		{
			const mulberry_channel *channel = lfirst(place);

			if ((channel->kinds & packets) && somebody_is_there(channel))
				return true;
		}
	return false;
}

void
mulberry_channels_tell_wants(void)
{
	mulberry_notifier_wants_packets(mulberry_my_slot(), packets_are_wanted());
}

void
mulberry_channels_read(void)
{
	static mulberry_statement rotate = { "SELECT mulberry_internal.rotate_lost_channels()", 0 };
	static mulberry_statement read = {
		"SELECT tenant, name, channel, listener, calls, kinds, last_seq, listeners "
		"FROM mulberry_internal.notifier_channels()",
		0
	};
	HASHCTL control;
	HTAB *remembered = remember_told();

	audiences = NULL;
	roles_changed = false;
	MemoryContextReset(channels_context);
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(pg_uuid_t);
	control.entrysize = sizeof(mulberry_audience);
	control.hcxt = channels_context;

	SPI_connect();
	mulberry_statement_run(&rotate, NULL, NULL);
	mulberry_statement_run(&read, NULL, NULL);
	audiences =
		hash_create("mulberry channels", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool isnull;
		Datum tenant = SPI_getbinval(tuple, desc, 1, &isnull);
		bool known;
		mulberry_audience *audience =
			hash_search(audiences, DatumGetUUIDP(tenant), HASH_ENTER, &known);
		MemoryContext spi_context = MemoryContextSwitchTo(channels_context);
		mulberry_channel *channel = read_channel(tuple, desc);
		const told_channel *before = hash_search(remembered, channel->name, HASH_FIND, NULL);

		if (!known)
		{
			namestrcpy(&audience->tenant_name, SPI_getvalue(tuple, desc, 2));
			audience->channels = NIL;
		}
		if (before != NULL)
			channel->told = before->told;
		audience->channels = lappend(audience->channels, channel);
		MemoryContextSwitchTo(spi_context);
	}
	SPI_finish();
	hash_destroy(remembered);
	mulberry_channels_tell_wants();
}

void
mulberry_channels_forget(void)
{
	audiences = NULL;
}

const mulberry_audience *
mulberry_audience_of(const pg_uuid_t *tenant)
{
	return hash_search(audiences, tenant, HASH_FIND, NULL);
}

List *
mulberry_audiences(void)
{
	List *all = NIL;
	HASH_SEQ_STATUS scan;
	mulberry_audience *audience;

	hash_seq_init(&scan, audiences);
	while ((audience = hash_seq_search(&scan)) != NULL)
		all = lappend(all, audience);
	return all;
}

/* A session that ends meanwhile is one that hears nothing, as always. */
static bool
listener_is_there(mulberry_channel *channel)
{
	if (channel->listener == 0)
		return true;
	if (channel->asked_in != turn)
	{
		channel->there = mulberry_session_is_there(channel->listener);
		channel->asked_in = turn;
	}
	return channel->there;
}

bool
mulberry_channel_wants(mulberry_channel *channel, int kind, const char *call_id)
{
	/* whoever wants everything wants what he does not know */
	if (kind < 0 ? channel->kinds != PG_UINT64_MAX
				 : (channel->kinds & (UINT64CONST(1) << kind)) == 0)
		return false;
	if (channel->ncalls > 0 &&
		(call_id == NULL || bsearch(&call_id, channel->calls, channel->ncalls, sizeof(char *),
									pg_qsort_strcmp) == NULL))
		return false;
	return listener_is_there(channel);
}

bool
mulberry_audience_wants(const mulberry_audience *audience, int kind, const char *call_id)
{
	ListCell *cell;

	foreach (cell, audience->channels)
		if (mulberry_channel_wants(lfirst(cell), kind, call_id))
			return true;
	return false;
}
