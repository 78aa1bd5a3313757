/*
 * mulberry.c
 *	  Entry point of the extension.  _PG_init only sets things up: settings,
 *	  shared memory and the launcher when preloaded, transaction callbacks, and
 *	  what subjects register with them.  No subject's logic lives here.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "access/narrowing.h"
#include "audit/refusals.h"
#include "calls/ingest.h"
#include "events/events.h"
#include "jobs/kinds.h"
#include "metrics/counters.h"
#include "secrets/secrets.h"
#include "server/catalog.h"
#include "server/guc.h"
#include "server/holds.h"
#include "server/shared_state.h"
#include "server/utility_hook.h"
#include "server/xact.h"
#include "worker/breaker.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC_EXT(.name = MULBERRY_EXTENSION, .version = MULBERRY_VERSION);

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	mulberry_define_gucs();
	mulberry_secrets_init();
	mulberry_xact_init();
	mulberry_narrowing_init();
	mulberry_counters_init();
	mulberry_events_init();
	mulberry_job_kinds_init();
	mulberry_ingest_init();
	mulberry_refusals_init();
	mulberry_breaker_init();
	mulberry_shared_state_init();
	mulberry_holds_init();
	mulberry_utility_hook_init();
	mulberry_launcher_init();
}
