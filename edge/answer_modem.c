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
edge_answer_modem(const edge_options *options, const char *device, edge_modem_options *modem)
{
	const mb_modem_profile *profile = mb_modem_profile_of(options->modem);
	const char *colon = strchr(device, ':');

	if (profile == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "modem: must be sim7600, quectel or v253");
	modem->profile = *profile;
	replace(&modem->profile.init, options->modem_init);
	replace(&modem->profile.answer, options->modem_answer);
	replace(&modem->profile.start, options->modem_start);
	replace(&modem->profile.stop, options->modem_stop);
	replace(&modem->profile.hang_up, options->modem_hang_up);
	replace(&modem->profile.list, options->modem_list);
	replace(&modem->profile.reset, options->modem_reset);
	if (options->rings > 0)
		modem->profile.rings = options->rings;
	modem->rules = (mb_modem_rules){ .allowed = options->allowed_callers,
									 .withheld = options->withheld,
									 .answers = options->answers };
	/* one that is not told to give audio cannot be told to give it once more */
	if (modem->profile.start[0] != '\0')
		modem->rules.watchdog_ms = WATCHDOG_MS;
	/* a landline modem has its audio on the port of its commands */
	modem->port = options->port != NULL ? options->port : colon == NULL ? NULL : colon + 1;
	if (modem->port == NULL || (options->port == NULL && strncmp(device, "v253:", 5) != 0))
		return edge_fail(EDGE_EXIT_USAGE, "a modem needs --port, on which it takes commands");
	return EDGE_EXIT_OK;
}
