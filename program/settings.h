/*
 * settings.h
 *	  The settings of a program: flags, and a configuration file whose names are the flags.
 *
 * A setting is a row of a table, from which its place, its range and its line of --help come. "--name value" and
 * "--name=value" are the same; in the file it is "name = value", a line each, and # begins a comment line. What
 * is said later counts, so flags behind --config overrule the file.
 */
#ifndef PROGRAM_SETTINGS_H
#define PROGRAM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum program_setting_kind
{
	PROGRAM_TEXT,	   /* const char *, of at least min characters */
	PROGRAM_TEXTS,	   /* an array of max of them, whose number is the int at count */
	PROGRAM_NUMBER,	   /* int */
	PROGRAM_MEGABYTES, /* size_t, in bytes; min and max are megabytes */
	PROGRAM_SWITCH	   /* bool: on or off, and on where a flag has no value */
} program_setting_kind;

typedef struct program_setting
{
	const char *name;
	program_setting_kind kind;
	size_t offset; /* of its field */
	size_t count;
	long max;
	long min;
	const char *help;
} program_setting;

typedef struct program_settings
{
	const char *program;
	const char *version;
	const char *about; /* above the list, and below it; each ends with a newline */
	const char *further;
	const program_setting *list;
	size_t n;
	int wrong; /* exit status of settings that are wrong */

	/* Takes a word that is no flag, and says what is wrong with it; NULL: there must be none. */
	bool (*word)(void *options, const char *word);
} program_settings;

/*
 * Reads the flags and the file that they name into options. 0: go on; else the program's exit status plus 1: what there is to
 * say has been said. Texts live as long as the program.
 */
extern int
program_settings_read(const program_settings *settings, void *options, int argc, char **argv);

#endif /* PROGRAM_SETTINGS_H */
