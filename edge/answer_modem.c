/*
 * answer_modem.c
 *	  The modem of "mulberry-edge answer": what the settings say of it; see modem.h.
 */
#include <string.h>

#include "commands.h"
#include "modem.h"

#define WATCHDOG_MS 2000

/* What the settings say in place of the profile. */
static void
replace(const char **text, const char *by)
{
	if (by != NULL)
		*text = by;
}

edge_exit
edge_answer_modem(const edge_options *o, const char *device, edge_modem_options *options)
{
	const mb_modem_profile *profile = mb_modem_profile_of(o->modem);
	const char *colon = strchr(device, ':');

	if (profile == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "modem: must be sim7600, quectel or v253");
	options->profile = *profile;
	replace(&options->profile.init, o->modem_init);
	replace(&options->profile.answer, o->modem_answer);
	replace(&options->profile.start, o->modem_start);
	replace(&options->profile.stop, o->modem_stop);
	replace(&options->profile.hang_up, o->modem_hang_up);
	replace(&options->profile.list, o->modem_list);
	replace(&options->profile.reset, o->modem_reset);
	if (o->rings > 0)
		options->profile.rings = o->rings;
	options->rules = (mb_modem_rules){ .allowed = o->allowed_callers,
									   .withheld = o->withheld,
									   .answers = o->answers };
	/* one that is not told to give audio cannot be told to give it once more */
	if (options->profile.start[0] != '\0')
		options->rules.watchdog_ms = WATCHDOG_MS;
	/* a landline modem has its audio on the port of its commands */
	options->port = o->port != NULL ? o->port : colon == NULL ? NULL : colon + 1;
	if (options->port == NULL || (o->port == NULL && strncmp(device, "v253:", 5) != 0))
		return edge_fail(EDGE_EXIT_USAGE, "a modem needs --port, on which it takes commands");
	return EDGE_EXIT_OK;
}
