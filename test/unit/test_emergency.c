/*
 * test_emergency.c
 *	  Proves what is taken for an emergency: spelling, borders of words, clauses, and denial, language by
 *	  language.
 */
#include <stdlib.h>

#include "check.h"
#include "core/text/emergency.h"
#include "core/text/words.h"

static char *
fold(const char *text)
{
	static char folded[4096];

	mb_words_fold(text, strlen(text), folded, NULL);
	return folded;
}

/* Whether a text is an emergency in any language. */
static bool
found(const char *text)
{
	char folded[4096];
	size_t length = mb_words_fold(text, strlen(text), folded, NULL);
	const mb_emergency_language *language;
	mb_emergency_place place;

	for (int i = 0; (language = mb_emergency_language_at(i)) != NULL; i++)
	{
		for (const char *const *phrase = language->phrases; *phrase; phrase++)
		{
			if (mb_emergency_find(folded, length, 0, fold(*phrase), language, &place))
				return true;
		}
	}
	return false;
}

static void
words_are_folded(void)
{
	check_string(fold("CAN\xE2\x80\x99T  Br\xC3\xA9"
					  "athe!"),
				 " cant breathe . ");
	check_string(fold("It's we've o'clock d'urgence un'emergenza"),
				 " its weve o clock d urgence un emergenza ");
	check_string(fold("e\xCC\x81 ZO\xC3\x8B gro\xC3\x9F \xC5\x81\xC3\xB3"
					  "d\xC5\xBA \xC4\xB0STANBUL \xC3\x86ther"),
				 " e zoe gross lodz istanbul aether ");
	check_string(fold("\xD0\x9C\xD0\x9E\xD0\x99 \xCE\x86\xCE\xA3\xCE\x9F\xCE\xA3"),
				 " \xD0\xBC\xD0\xBE\xD0\xB8 \xCE\xB1\xCF\x83\xCE\xBF\xCF\x83 ");
	check_string(fold("\xEF\xBC\xA1\xEF\xBD\x82\xEF\xBC\x91"), " ab1 ");
	check_string(fold("one-two, three...four"), " one two . three . four ");
	check_string(fold(""), " ");
	check_string(fold(" . ,"), " . ");
	check_string(fold("a\xFF\xC3z\xE2\x82"), " az ");
	check(mb_words_unspaced(fold("\xEA\xB8\xB4\xEA\xB8\x89")));
	check(!mb_words_unspaced(fold("plain")));
}

static void
the_origin_of_each_byte_is_known(void)
{
	const char text[] = "A \xC3\x9F, x";
	char folded[MB_WORDS_ROOM(sizeof text)];
	uint32_t origin[MB_WORDS_ROOM(sizeof text)];
	size_t length = mb_words_fold(text, sizeof text - 1, folded, origin);

	check_string(folded, " a ss . x ");
	check_int(length, 10);
	check_int(origin[1], 0);
	check_int(origin[3], 2);
	check_int(origin[4], 2);
	check_int(origin[8], 6);
	/* a NUL parts words */
	check_int(mb_words_fold("a\0b", 3, folded, NULL), 5);
	check_string(folded, " a b ");
}

/* What denies must be as the folded text has it, or it never would. */
static void
denials_are_folded(void)
{
	const mb_emergency_language *language;

	for (int i = 0; (language = mb_emergency_language_at(i)) != NULL; i++)
	{
		const char *const *lists[] = { language->no, language->not, language->articles,
									   language->verbs, language->behind };

		for (int k = 0; k < 5; k++)
		{
			for (const char *const *word = lists[k]; word && *word; word++)
			{
				char spaced[100];

				snprintf(spaced, sizeof spaced, " %s ", *word);
				check_string(fold(*word), spaced);
			}
		}
		for (const char *const *phrase = language->phrases; *phrase; phrase++)
		{
			check(strlen(*phrase) < MB_EMERGENCY_PHRASE);
			check(found(*phrase));
		}
		check(mb_emergency_language_by_code(language->code) == language);
	}
	check_int(mb_emergency_language_by_code("xx") == NULL, 1);
}

static void
emergencies(void)
{
	static const char *const said[] = {
		"This is an EMERGENCY!",
		"No, this is an emergency",
		"no this is an emergency",
		"It is not raining. Emergency!",
		"I can\xE2\x80\x99t breathe",
		"he is not breathing",
		"this is not urgent but he is dying",
		"Is that an emergency?",
		"Das ist ein Notfall",
		"Nein, es ist dringend",
		"\xC3\x9C"
		"BERDOSIS",
		"ich bekomme keine Luft",
		"c'est une urgence",
		"c'est plus urgent",
		"il ne respire plus",
		"No, es una emergencia",
		"no puedo respirar",
		"\xC3\x88 un'emergenza",
		"\xC3\xA9 uma emergencia",
		"spoed!",
		"nag\xC5\x82y wypadek",
		"\xD0\xA1\xD0\xA0\xD0\x9E\xD0\xA7\xD0\x9D\xD0\x9E",
		"AC\xC4\xB0L DURUM",
		"\xEC\x9D\x91\xEA\xB8\x89 \xEC\x83\x81\xED\x99\xA9\xEC\x9D\xB4\xEC\x97\x90\xEC\x9A\x94",
		"\xE7\xB7\x8A\xE6\x80\xA5\xE4\xBA\x8B\xE6\x85\x8B\xE3\x81\xA7\xE3\x81\x99",
		"\xE8\xBF\x99\xE6\x98\xAF\xE7\xB4\xA7\xE6\x80\xA5\xE6\x83\x85\xE5\x86\xB5",
	};

	for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
	{
		if (!found(said[i]))
			printf("# not found: %s\n", said[i]);
		check(found(said[i]));
	}
}

static void
no_emergencies(void)
{
	static const char *const said[] = {
		"",
		"good morning",
		"emergencyroom",
		"the emergent urgently nonurgent",
		"there is no emergency",
		"it is not an emergency",
		"It's not a real medical emergency",
		"I don\xE2\x80\x99t think this is an emergency",
		"nobody is bleeding, no one is dying",
		"without any bleeding",
		"isn't urgent",
		"kein Notfall",
		"es ist nicht so dringend",
		"das ist kein echter Notfall",
		"ce n'est pas une urgence",
		"pas d'urgence",
		"aucune h\xC3\xA9morragie",
		"no es una emergencia",
		"Non \xC3\xA8 un'emergenza",
		"n\xC3\xA3o \xC3\xA9 uma emerg\xC3\xAAncia",
		"geen spoed",
		"het is niet dringend",
		"to nie jest nag\xC5\x82y wypadek",
		"\xD0\xAD\xD1\x82\xD0\xBE \xD0\xBD\xD0\xB5 "
		"\xD1\x81\xD1\x80\xD0\xBE\xD1\x87\xD0\xBD\xD0\xBE",
		"acil de\xC4\x9Fil",
		"\xEC\x9D\x91\xEA\xB8\x89 \xEC\x83\x81\xED\x99\xA9\xEC\x9D\xB4 "
		"\xEC\x95\x84\xEB\x8B\x88\xEC\x97\x90\xEC\x9A\x94",
		"\xE7\xB7\x8A\xE6\x80\xA5\xE3\x81\xA7\xE3\x81\xAF\xE3\x81\x82\xE3\x82\x8A\xE3\x81\xBE\xE3"
		"\x81\x9B\xE3\x82\x93",
		"\xE8\xBF\x99\xE4\xB8\x8D\xE6\x98\xAF\xE7\xB4\xA7\xE6\x80\xA5\xE6\x83\x85\xE5\x86\xB5",
	};

	for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
	{
		if (found(said[i]))
			printf("# found: %s\n", said[i]);
		check(!found(said[i]));
	}
}

static void
one_that_is_denied_does_not_hide_another(void)
{
	char folded[200];
	const char *text = "it is not an emergency, I mean it is an emergency";
	size_t length = mb_words_fold(text, strlen(text), folded, NULL);
	mb_emergency_place place;

	check(mb_emergency_find(folded, length, 0, " emergency ", mb_emergency_language_by_code("en"),
							&place));
	check_int(place.at, length - strlen("emergency "));
	/* without a language nothing is denied but by those that have the phrase too */
	check(mb_emergency_find(" no printer paper ", 18, 0, " printer paper ", NULL, &place));
	check(!mb_emergency_find(" no printer paper ", 18, 0, " printer paper ",
							 mb_emergency_language_by_code("en"), &place));
	check(!mb_emergency_find(" x ", 3, 0, " ", NULL, &place));
}

int
main(void)
{
	check_run("words are folded", words_are_folded);
	check_run("the origin of each byte is known", the_origin_of_each_byte_is_known);
	check_run("denials are folded", denials_are_folded);
	check_run("emergencies", emergencies);
	check_run("no emergencies", no_emergencies);
	check_run("one that is denied does not hide another", one_that_is_denied_does_not_hide_another);
	return check_done();
}
