/*
 * words.h
 *	  Texts as words that compare: small letters without accents, and where a clause ends.
 *
 * For looking for phrases in what people say, in whatever way it was written down: "CAN’T  Bréathe!" is
 * "cant breathe", and "l'urgence" is "l urgence".  It knows letters and no language.
 */
#ifndef MB_WORDS_H
#define MB_WORDS_H

#include "core/mb.h"

/* What stands between the clauses of a folded text. */
#define MB_CLAUSE_END "."

/* A buffer of this size holds n bytes folded, with the NUL. */
#define MB_WORDS_ROOM(n) (3 * (n) + 4)

/*
 * Folds n bytes of UTF-8 into out, which has room for MB_WORDS_ROOM(n): words with one space between, before
 * the first and after the last, so that " word " finds a whole one; " . " is the end of a clause.  What joins
 * or accents letters is left out, and so is what is no UTF-8.  Returns the length.
 *
 * origin, which may be NULL and has as much room, receives for each byte where in the text it comes from.
 */
extern size_t mb_words_fold(const char *text, size_t n, char *out, uint32_t *origin);

/*
 * True for a folded text with a letter of a script that does not put spaces between words, or joins
 * endings to them (Han, Kana, Hangul, Thai): it is looked for within words.
 */
extern bool mb_words_unspaced(const char *folded);

#endif /* MB_WORDS_H */
