/*
 * mulberry.c
 *	  Entry point of the extension.  _PG_init only sets things up: settings,
 *	  shared memory and the launcher when preloaded, transaction callbacks.
 *	  No subject's logic lives here.
 */
#include "compat.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "guc.h"
#include "holds.h"
#include "secrets.h"
#include "shared_state.h"
#include "utility_hook.h"
#include "worker/launcher.h"
#include "xact.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	mulberry_define_gucs();
	mulberry_secrets_init();
	mulberry_xact_init();
	mulberry_shared_state_init();
	mulberry_holds_init();
	mulberry_utility_hook_init();
	mulberry_launcher_init();
}
