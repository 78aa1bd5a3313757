/*
 * voices.c
 *	  Which voices there are; see voices.h.
 */
#include "voices.h"

#include <espeak-ng/espeak_ng.h>
#include <espeak-ng/speak_lib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buffer.h"
#include "log.h"

#define FLITE_PREFIX "flite:"
#define ESPEAK_PREFIX "espeak-ng:"

/* Priority byte of espeak-ng's lists: lower is better. */
typedef struct language
{
	char *code;		  /* "en-us" */
	char *identifier; /* "gmw/en-US" */
	char *title;	  /* "English (America)" */
	int priority;
	bool main_code; /* the first that its voice names */
} language;

typedef struct named_voice
{
	const char *name;
	const char *flite;
	const char *title;
} named_voice;

static const named_voice flite_voices[] = {
	{ "slt", "slt", "US English, female" },
	{ "rms", "rms", "US English, male" },
	{ "awb", "awb", "Scottish English, male" },
	{ "kal16", "kal16", "US English, male, diphones" },
};

/* OpenAI's names, by how its voices are usually heard. */
static const named_voice aliases[] = {
	{ "alloy", "slt", NULL },  { "ash", "rms", NULL },	 { "ballad", "awb", NULL },
	{ "cedar", "rms", NULL },  { "coral", "slt", NULL }, { "echo", "rms", NULL },
	{ "fable", "awb", NULL },  { "marin", "slt", NULL }, { "nova", "slt", NULL },
	{ "onyx", "kal16", NULL }, { "sage", "slt", NULL },	 { "shimmer", "slt", NULL },
	{ "verse", "rms", NULL },
};

#define N_ELEMENTS(array) ((int) (sizeof(array) / sizeof((array)[0])))

static language *languages;
static int n_languages;
static char **variants;
static int n_variants;
static speech_buffer names;

/* Adds a language, or a better voice for one that is known. */
static bool
add_language(const espeak_VOICE *voice, const char *code, int priority, bool main_code)
{
	language *bigger;
	language entry = { .priority = priority, .main_code = main_code };

	for (int i = 0; i < n_languages; i++)
		if (strcmp(languages[i].code, code) == 0)
		{
			char *identifier;

			if (languages[i].priority <= priority)
				return true;
			identifier = strdup(voice->identifier);
			if (identifier == NULL)
				return false;
			free(languages[i].identifier);
			languages[i].identifier = identifier;
			languages[i].priority = priority;
			return true;
		}
	bigger = reallocarray(languages, (size_t) n_languages + 1, sizeof(*languages));
	if (bigger == NULL)
		return false;
	languages = bigger;
	entry.code = strdup(code);
	entry.identifier = strdup(voice->identifier);
	entry.title = strdup(voice->name);
	languages[n_languages++] = entry;
	return entry.code != NULL && entry.identifier != NULL && entry.title != NULL;
}

static bool
add_variant(const espeak_VOICE *voice)
{
	const char *slash = strrchr(voice->identifier, '/');
	const char *name = slash != NULL ? slash + 1 : voice->identifier;
	char **bigger;

	if (strchr(name, ' ') != NULL)
		return true;
	bigger = reallocarray(variants, (size_t) n_variants + 1, sizeof(*variants));
	if (bigger == NULL)
		return false;
	variants = bigger;
	variants[n_variants] = strdup(name);
	return variants[n_variants++] != NULL;
}

/* Copies espeak-ng's lists. */
static bool
copy_lists(void)
{
	espeak_VOICE of_variants = { .languages = "variant" };

	for (const espeak_VOICE **voice = espeak_ListVoices(NULL); *voice != NULL; voice++)
	{
		bool first = true;

		/* pairs of a priority byte and a code, ended by a zero byte */
		for (const char *at = (*voice)->languages; *at != '\0'; at += strlen(at) + 1)
		{
			if (!add_language(*voice, at + 1, at[0], first))
				return false;
			first = false;
		}
	}
	for (const espeak_VOICE **voice = espeak_ListVoices(&of_variants); *voice != NULL; voice++)
		if (!add_variant(*voice))
			return false;
	return true;
}

static int
compare_languages(const void *a, const void *b)
{
	return strcmp(((const language *) a)->code, ((const language *) b)->code);
}

/* Writes the line of all names. */
static bool
write_names(void)
{
	bool ok = true;
	int n = 0;

	for (int i = 0; i < N_ELEMENTS(flite_voices); i++)
		ok = ok && speech_buffer_printf(&names, "%s%s", i > 0 ? ", " : "", flite_voices[i].name);
	ok = ok && speech_buffer_printf(&names, "; OpenAI's ");
	for (int i = 0; i < N_ELEMENTS(aliases); i++)
		ok = ok && speech_buffer_printf(&names, "%s%s", i > 0 ? ", " : "", aliases[i].name);
	ok = ok && speech_buffer_printf(
				   &names, "; languages of espeak-ng (a variant may follow, as in en-us+f3): ");
	for (int i = 0; i < n_languages; i++)
		if (languages[i].main_code)
			ok = ok && speech_buffer_printf(&names, "%s%s", n++ > 0 ? ", " : "", languages[i].code);
	return ok;
}

bool
speech_voices_load(void)
{
	/* enough for the lists; espeak_Initialize() would start a thread, and this process is yet to fork */
	espeak_ng_InitializePath(NULL);
	if (!copy_lists())
	{
		speech_log_error("out of memory");
		return false;
	}
	if (n_languages == 0)
	{
		speech_log_error("could not read the voices of espeak-ng; install espeak-ng-data");
		return false;
	}
	qsort(languages, (size_t) n_languages, sizeof(*languages), compare_languages);
	if (!write_names())
	{
		speech_log_error("out of memory");
		return false;
	}
	return true;
}

static void
use_flite(speech_voice *voice, const char *name)
{
	voice->engine = SPEECH_ENGINE_FLITE;
	snprintf(voice->name, sizeof(voice->name), "%s", name);
}

/* An espeak-ng voice from "code" or "code+variant", as what espeak_SetVoiceByName() takes. */
static bool
find_espeak(const char *name, speech_voice *voice)
{
	const char *plus = strchr(name, '+');
	size_t length = plus != NULL ? (size_t) (plus - name) : strlen(name);

	for (int i = 0; i < n_languages; i++)
	{
		if (strlen(languages[i].code) != length ||
			strncasecmp(languages[i].code, name, length) != 0)
			continue;
		voice->engine = SPEECH_ENGINE_ESPEAK;
		if (plus == NULL)
			return snprintf(voice->name, sizeof(voice->name), "%s", languages[i].identifier) <
				   (int) sizeof(voice->name);
		for (int k = 0; k < n_variants; k++)
			if (strcmp(variants[k], plus + 1) == 0)
				return snprintf(voice->name, sizeof(voice->name), "%s+%s", languages[i].identifier,
								variants[k]) < (int) sizeof(voice->name);
		return false;
	}
	return false;
}

bool
speech_voice_from_name(const char *name, speech_voice *voice)
{
	bool only_flite = strncmp(name, FLITE_PREFIX, strlen(FLITE_PREFIX)) == 0;

	if (strncmp(name, ESPEAK_PREFIX, strlen(ESPEAK_PREFIX)) == 0)
		return find_espeak(name + strlen(ESPEAK_PREFIX), voice);
	if (only_flite)
		name += strlen(FLITE_PREFIX);
	for (int i = 0; i < N_ELEMENTS(flite_voices); i++)
		if (strcmp(name, flite_voices[i].name) == 0)
		{
			use_flite(voice, flite_voices[i].flite);
			return true;
		}
	if (only_flite)
		return false;
	for (int i = 0; i < N_ELEMENTS(aliases); i++)
		if (strcmp(name, aliases[i].name) == 0)
		{
			use_flite(voice, aliases[i].flite);
			return true;
		}
	return find_espeak(name, voice);
}

const char *
speech_voice_names(void)
{
	return (const char *) names.data;
}

json_t *
speech_voices_json(void)
{
	json_t *array = json_array();

	for (int i = 0; i < N_ELEMENTS(flite_voices); i++)
		json_array_append_new(array,
							  json_pack("{s:s, s:s, s:s}", "id", flite_voices[i].name, "engine",
										"flite", "description", flite_voices[i].title));
	for (int i = 0; i < N_ELEMENTS(aliases); i++)
		json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "id", aliases[i].name, "engine",
											   "flite", "alias_of", aliases[i].flite));
	for (int i = 0; i < n_languages; i++)
		json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "id", languages[i].code, "engine",
											   "espeak-ng", "description", languages[i].title));
	return array;
}

void
speech_voices_unload(void)
{
	for (int i = 0; i < n_languages; i++)
	{
		free(languages[i].code);
		free(languages[i].identifier);
		free(languages[i].title);
	}
	free(languages);
	for (int i = 0; i < n_variants; i++)
		free(variants[i]);
	free(variants);
	languages = NULL;
	variants = NULL;
	n_languages = n_variants = 0;
	speech_buffer_free(&names);
}
