/*
 * commands.h
 *	  What mulberry-edge can be told to do, a file each.
 */
#ifndef EDGE_COMMANDS_H
#define EDGE_COMMANDS_H

#include "exits.h"
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
extern edge_exit edge_check(const edge_options *options);
extern edge_exit edge_sync(const edge_options *options);
extern edge_exit edge_listen(const edge_options *options);

#endif /* EDGE_COMMANDS_H */
