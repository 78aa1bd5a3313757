/*
 * main.c
 *	  mulberry-edge: audio from files, sound cards and modems into PostgreSQL.
 */
#include <signal.h>
#include <string.h>

#include "commands.h"

const edge_command edge_commands[] = {
	{ "send", true, "send FILE --call ID",
	  "makes a call of a file, or adds what it has not got yet", edge_send },
	{ "capture", true, "capture [KIND:NAME]",
	  "makes calls of what a device hears, for as long as it runs", edge_capture },
	{ "answer", true, "answer [KIND:NAME]",
	  "answers a line on which commands come as tones, and has the database judge them",
	  edge_answer },
	{ "sync", false, "sync",
	  "keeps an edge's mandates as the cloud has them, and carries out its commands", edge_sync },
	{ "listen", true, "listen [KIND:NAME]",
	  "says what a device or file is, how loud, and which digits it has", edge_listen },
	{ 0 },
};

/*
 * Libraries that libcurl brings along, and nobody here uses, bring GnuTLS, which makes itself ready when it is loaded: that is a
 * tenth of all the memory there is to be. Whoever uses it makes it ready himself; see GNUTLS_SKIP_GLOBAL_INIT in its header.
 */
int _gnutls_global_init_skip(
	void); /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

int
_gnutls_global_init_skip(void)
{
	return 1;
}

int
main(int argc, char **argv)
{
	static edge_options options;
	int status = edge_options_read(&options, argc, argv);

	if (status != 0)
		return status - 1;
	signal(SIGPIPE, SIG_IGN);
	/* a spool that may not grow is a full one */
	signal(SIGXFSZ, SIG_IGN);
	if (options.n_words == 0)
		return options.check ? edge_check(&options)
							 : edge_fail(EDGE_EXIT_USAGE, "needs a command, see --help");
	for (int i = 0; edge_commands[i].name != NULL; i++)
	{
		if (strcmp(edge_commands[i].name, options.word[0]) != 0)
			continue;
		if (options.n_words > 1 && !edge_commands[i].named)
			return edge_fail(EDGE_EXIT_USAGE, "\"%s\" is one word too many, see --help",
							 options.word[1]);
		if (options.check && !edge_commands[i].named)
			return edge_fail(EDGE_EXIT_USAGE, "--check looks at a device; %s --once tries the path",
							 options.word[0]);
		return options.check ? edge_check(&options) : edge_commands[i].run(&options);
	}
	return edge_fail(EDGE_EXIT_USAGE, "there is no command \"%s\", see --help", options.word[0]);
}
