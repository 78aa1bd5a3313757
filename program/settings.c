/*
 * settings.c
 *	  The settings of a program: flags, and a configuration file whose names are the flags.
 */
#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINE 4096
#define MEGABYTE (1024 * 1024)

/* Settings that are being read. */
typedef struct reading
{
	const program_settings *settings;
	void *options;
	bool *copied; /* of each setting, whether its text is ours: one by default is not */
} reading;

static void
help(const program_settings *settings)
{
	printf("%s\n  --%-30s %s\n", settings->about, "config FILE",
		   "settings, one \"name = value\" a line, named as these flags");
	for (size_t i = 0; i < settings->n; i++)
	{
		const program_setting *setting = &settings->list[i];
		char flag[64];

		snprintf(flag, sizeof(flag), "%s%s", setting->name,
				 setting->kind == PROGRAM_SWITCH	  ? ""
				 : setting->kind == PROGRAM_NUMBER	  ? " NUMBER"
				 : setting->kind == PROGRAM_MEGABYTES ? " MB"
													  : " TEXT");
		printf("  --%-30s %s\n", flag, setting->help);
	}
	printf("  --%-30s %s\n  --%-30s %s\n", "version", "print the version and end", "help",
		   "print this and end");
	if (settings->further != NULL)
		printf("\n%s", settings->further);
}

/* Says what is wrong with a setting; false. */
static bool
wrong(const program_settings *settings, const char *where, const char *name, const char *why)
{
	fprintf(stderr, "%s: %s%s: %s\n", settings->program, where, name, why);
	return false;
}

static const program_setting *
find(const program_settings *settings, const char *name, size_t n)
{
	for (size_t i = 0; i < settings->n; i++)
	{
		if (strlen(settings->list[i].name) == n && memcmp(settings->list[i].name, name, n) == 0)
			return &settings->list[i];
	}
	return NULL;
}

static bool
set_number(const program_settings *settings, const program_setting *setting, char *place,
		   const char *value, const char *where)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || number < setting->min ||
		number > setting->max)
	{
		fprintf(stderr, "%s: %s%s: \"%s\" is no number from %ld to %ld\n", settings->program, where,
				setting->name, value, setting->min, setting->max);
		return false;
	}
	if (setting->kind == PROGRAM_NUMBER)
		*(int *) (void *) place = (int) number;
	else
		*(size_t *) (void *) place = (size_t) number * MEGABYTE;
	return true;
}

/* Texts are copied: they stand in a line of the file, or in argv. */
static bool
set(const reading *r, const program_setting *setting, const char *value, const char *where)
{
	const program_settings *settings = r->settings;
	char *place = (char *) r->options + setting->offset;
	const char **text = (const char **) (void *) place;
	bool *copied = &r->copied[setting - settings->list];
	int *count;

	switch (setting->kind)
	{
		case PROGRAM_TEXT:
			if (strlen(value) < (size_t) setting->min)
				return wrong(settings, where, setting->name, "must not be empty");
			if (*copied)
				free((char *) *text);
			*text = strdup(value);
			*copied = *text != NULL;
			return *copied || wrong(settings, where, setting->name, strerror(errno));
		case PROGRAM_TEXTS:
			count = (int *) (void *) ((char *) r->options + setting->count);
			if (*count >= setting->max)
				return wrong(settings, where, setting->name, "too many of them");
			text[*count] = strdup(value);
			return text[(*count)++] != NULL ||
				   wrong(settings, where, setting->name, strerror(errno));
		case PROGRAM_NUMBER:
		case PROGRAM_MEGABYTES:
			return set_number(settings, setting, place, value, where);
		case PROGRAM_SWITCH:
			if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
				return wrong(settings, where, setting->name, "must be on or off");
			*(bool *) place = strcmp(value, "on") == 0;
			return true;
	}
	return false;
}

/* The text between, without the white space around it. */
static char *
strip(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char) end[-1]))
		*--end = '\0';
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

static bool
read_file(const reading *r, const char *path)
{
	const program_settings *settings = r->settings;
	FILE *file = fopen(path, "r");
	char line[MAX_LINE];
	char where[PATH_MAX + 40];
	bool fine = true;

	if (file == NULL)
		return wrong(settings, "", path, strerror(errno));
	for (int n = 1; fgets(line, sizeof(line), file) != NULL; n++)
	{
		char *text = strip(line);
		char *equals = strchr(text, '=');
		const program_setting *setting;

		snprintf(where, sizeof(where), "%s:%d: ", path, n);
		if (*text == '\0' || *text == '#')
			continue;
		if (equals == NULL)
		{
			fine = wrong(settings, where, text, "is not of the form name = value");
			continue;
		}
		*equals = '\0';
		text = strip(text);
		setting = find(settings, text, strlen(text));
		if (setting == NULL)
			fine = wrong(settings, where, text, "there is no such setting");
		else
			fine = set(r, setting, strip(equals + 1), where) && fine;
	}
	if (ferror(file))
		fine = wrong(settings, "", path, strerror(errno));
	fclose(file);
	return fine;
}

/* One argument, and the one behind it where that is its value: how many were used. */
static int
read_argument(const reading *r, char **argument, bool more, bool *fine)
{
	const program_settings *settings = r->settings;
	const char *name = argument[0] + 2;
	size_t n = strcspn(name, "=");
	const program_setting *setting = find(settings, name, n);
	const char *value = name[n] == '=' ? name + n + 1 : NULL;
	bool config = n == strlen("config") && memcmp(name, "config", n) == 0;
	int used = 1;

	if (setting == NULL && !config)
	{
		*fine = wrong(settings, "", argument[0], "there is no such flag, see --help");
		return used;
	}
	if (value == NULL && setting != NULL && setting->kind == PROGRAM_SWITCH)
		value = "on";
	else if (value == NULL && more)
	{
		value = argument[1];
		used = 2;
	}
	if (value == NULL)
		*fine = wrong(settings, "", argument[0], "needs a value");
	else if (config)
		*fine = read_file(r, value) && *fine;
	else
		*fine = set(r, setting, value, "--") && *fine;
	return used;
}

static int
read_arguments(const reading *r, int argc, char **argv)
{
	const program_settings *settings = r->settings;
	bool fine = true;

	for (int i = 1; i < argc;)
	{
		if (strcmp(argv[i], "--help") == 0)
		{
			help(settings);
			return 1;
		}
		if (strcmp(argv[i], "--version") == 0)
		{
			printf("%s %s\n", settings->program, settings->version);
			return 1;
		}
		if (strncmp(argv[i], "--", 2) == 0)
			i += read_argument(r, &argv[i], i + 1 < argc, &fine);
		else if (settings->word != NULL)
			fine = settings->word(r->options, argv[i++]) && fine;
		else
			fine = wrong(settings, "", argv[i++], "there is no such flag, see --help");
	}
	return fine ? 0 : settings->wrong + 1;
}

int
program_settings_read(const program_settings *settings, void *options, int argc, char **argv)
{
	reading r = { .settings = settings,
				  .options = options,
				  .copied = calloc(settings->n, sizeof(bool)) };
	int status;

	if (r.copied == NULL)
	{
		wrong(settings, "", "settings", strerror(errno));
		return settings->wrong + 1;
	}
	status = read_arguments(&r, argc, argv);
	free(r.copied);
	return status;
}
