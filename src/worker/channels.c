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

#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "server/plans.h"
#include "server/shared_state.h"
#include "worker/channels.h"

static MemoryContext channels_context;
static HTAB *audiences = NULL;
static bool roles_changed = true; /* since channels were last compared with who may hear them */

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

bool
mulberry_channels_are_stale(void)
{
	/* taken first: what changes while channels are read is looked at again */
	bool changed = mulberry_notifier_take_channels_changed(mulberry_my_slot());

	if (changed)
		roles_changed = true;
	return roles_changed || audiences == NULL;
}

void
mulberry_channels_read(void)
{
	static mulberry_statement rotate = { "SELECT mulberry_internal.rotate_lost_channels()", 0 };
	static mulberry_statement read = {
		"SELECT tenant, name, channel FROM mulberry_internal.notifier_channels()", 0
	};
	HASHCTL control;

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

		if (!known)
		{
			namestrcpy(&audience->tenant_name, SPI_getvalue(tuple, desc, 2));
			audience->channels = NIL;
		}
		audience->channels = lappend(audience->channels, SPI_getvalue(tuple, desc, 3));
		MemoryContextSwitchTo(spi_context);
	}
	SPI_finish();
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
