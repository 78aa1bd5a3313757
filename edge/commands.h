/*
 * commands.h
 *	  What mulberry-edge can be told to do, a file each.
 */
#ifndef EDGE_COMMANDS_H
#define EDGE_COMMANDS_H

#include "exits.h"
#include "modem.h"
#include "options.h"

typedef struct edge_command
{
	const char *name;
	bool named; /* a word follows it */
	const char *usage;
	const char *help;
	edge_exit (*run)(const edge_options *options);
} edge_command;

/* Ended by one without a name. */
extern const edge_command edge_commands[];

extern edge_exit edge_send(const edge_options *options);
extern edge_exit edge_capture(const edge_options *options);
extern edge_exit edge_answer(const edge_options *options);
/* What the settings say of the modem of "answer" on a device; what is wrong with them was said. */
extern edge_exit
edge_answer_modem(const edge_options *options, const char *device, edge_modem_options *modem);
extern edge_exit edge_check(const edge_options *options);
extern edge_exit edge_sync(const edge_options *options);
extern edge_exit edge_listen(const edge_options *options);

#endif /* EDGE_COMMANDS_H */
