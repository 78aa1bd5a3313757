/*
 * emergency.h
 *	  Finds in what somebody says that it is an emergency: whole words and phrases, not those that are denied
 *	  ("it is not an emergency"), in the languages of the table.
 *
 * It would rather hear one too many: a denial counts when it belongs to the phrase for certain.  It does
 * not know irony, and who says it is for the caller to know.
 */
#ifndef MB_EMERGENCY_H
#define MB_EMERGENCY_H

#include "core/mb.h"

#define MB_EMERGENCY_LANGUAGES 13

/* No phrase of the table has more bytes. */
#define MB_EMERGENCY_PHRASE 64

typedef struct mb_emergency_language
{
	const char *code;			/* ISO 639-1 */
	const char *const *phrases; /* as people write them; NULL ends them */

	/*
	 * Words that deny what follows, folded.  Between them and the phrase may stand articles, and, behind those that
	 * deny a verb, that verb and what goes with it.
	 */
	const char *const *no;		 /* no, without */
	const char *const * not ;	 /* not, don't */
	const char *const *articles; /* a, any, real */
	const char *const *verbs;	 /* is, think, this */
	const char *const *behind; /* denies what comes before it in the clause, within a few letters */
} mb_emergency_language;

/* NULL behind the last one. */
extern const mb_emergency_language *mb_emergency_language_at(int i);
extern const mb_emergency_language *mb_emergency_language_by_code(const char *code);

/* Where a phrase was found, in bytes of the folded text. */
typedef struct mb_emergency_place
{
	size_t at;
	size_t length;
} mb_emergency_place;

/*
 * Looks for a phrase, folded, in a folded text (words.h), from "from" on.  What denies it is said by its language,
 * which may be NULL, and by others that have the same phrase.
 */
extern bool mb_emergency_find(const char *folded, size_t length, size_t from, const char *phrase,
							  const mb_emergency_language *language, mb_emergency_place *place);

#endif /* MB_EMERGENCY_H */
