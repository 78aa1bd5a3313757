/*
 * emergency_text.c
 *	  Emergencies in SQL: the words, and where they are in a text; see core/text/emergency.h.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "core/text/emergency.h"
#include "core/text/words.h"
#include "server/row.h"
#include "server/texts.h"

PG_FUNCTION_INFO_V1(mulberry_emergency_words);
PG_FUNCTION_INFO_V1(mulberry_find_emergencies);

/* What is shown of a text around a phrase, on either side. */
#define EXCERPT 60 /* bytes */

typedef struct folded_text
{
	const char *utf8;
	size_t n;
	char *words;
	size_t length;
	uint32 *origin;
} folded_text;

/* emergency_words() → setof (language, phrase): those that a text of this database can have */
Datum
mulberry_emergency_words(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; mb_emergency_language_at(i); i++)
	{
		const mb_emergency_language *language = mb_emergency_language_at(i);

		for (const char *const *phrase = language->phrases; *phrase; phrase++)
		{
			mulberry_row row;

			if (!mulberry_utf8_fits_database(*phrase, (int) strlen(*phrase)))
				continue;
			mulberry_row_begin(&row, fcinfo);
			mulberry_row_add_text(&row, language->code);
			mulberry_row_add_text(&row, pg_any_to_server(*phrase, (int) strlen(*phrase), PG_UTF8));
			mulberry_row_put(&row, fcinfo);
		}
	}
	return (Datum) 0;
}

static char *
fold(const char *utf8, size_t n, size_t *length, uint32 **origin)
{
	char *words = palloc_extended(MB_WORDS_ROOM(n), MCXT_ALLOC_HUGE);

	if (origin)
		*origin = palloc_extended(MB_WORDS_ROOM(n) * sizeof(uint32), MCXT_ALLOC_HUGE);
	*length = mb_words_fold(utf8, n, words, origin ? *origin : NULL);
	return words;
}

/* The text around a place, in whole characters. */
static char *
excerpt(const folded_text *text, const mb_emergency_place *place)
{
	size_t from = text->origin[place->at];
	size_t to = text->origin[place->at + place->length - 1];

	from = from > EXCERPT ? from - EXCERPT : 0;
	to = Min(to + EXCERPT, text->n);
	while (from > 0 && ((unsigned char) text->utf8[from] & 0xC0) == 0x80)
		from--;
	while (to < text->n && ((unsigned char) text->utf8[to] & 0xC0) == 0x80)
		to++;
	return pnstrdup(text->utf8 + from, to - from);
}

/* Looks for one phrase, and adds a row when it is there. */
static void
look_for(const folded_text *text, const char *phrase, const char *code, FunctionCallInfo fcinfo)
{
	mb_emergency_place place;
	mulberry_row row;
	size_t size;
	char *words = fold(phrase, strlen(phrase), &size, NULL);

	CHECK_FOR_INTERRUPTS();
	if (mb_emergency_find(text->words, text->length, 0, words, mb_emergency_language_by_code(code),
						  &place))
	{
		char *around = excerpt(text, &place);

		mulberry_row_begin(&row, fcinfo);
		mulberry_row_add_text(&row, code);
		mulberry_row_add_text(&row, pg_any_to_server(phrase, (int) strlen(phrase), PG_UTF8));
		mulberry_row_add_text(&row, pg_any_to_server(around, (int) strlen(around), PG_UTF8));
		mulberry_row_put(&row, fcinfo);
	}
	pfree(words);
}

/*
 * find_emergencies(text text, languages text[], phrases text[]) → setof (language, phrase, excerpt)
 *
 * languages and phrases belong together, one by one; null: those of emergency_words().
 */
Datum
mulberry_find_emergencies(PG_FUNCTION_ARGS)
{
	folded_text said = { 0 };
	Datum *codes;
	Datum *phrases;
	int n_codes;
	int n_phrases;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	said.utf8 = text_to_cstring(PG_GETARG_TEXT_PP(0));
	said.utf8 = pg_server_to_any(said.utf8, (int) strlen(said.utf8), PG_UTF8);
	said.n = strlen(said.utf8);
	said.words = fold(said.utf8, said.n, &said.length, &said.origin);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		for (int i = 0; mb_emergency_language_at(i); i++)
		{
			const mb_emergency_language *language = mb_emergency_language_at(i);

			for (const char *const *phrase = language->phrases; *phrase; phrase++)
			{
				if (mulberry_utf8_fits_database(*phrase, (int) strlen(*phrase)))
					look_for(&said, *phrase, language->code, fcinfo);
			}
		}
		return (Datum) 0;
	}
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &codes, NULL,
					  &n_codes);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &phrases, NULL,
					  &n_phrases);
	for (int i = 0; i < Min(n_codes, n_phrases); i++)
	{
		char *phrase = TextDatumGetCString(phrases[i]);

		look_for(&said, pg_server_to_any(phrase, (int) strlen(phrase), PG_UTF8),
				 TextDatumGetCString(codes[i]), fcinfo);
	}
	return (Datum) 0;
}
