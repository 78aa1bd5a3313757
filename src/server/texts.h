/*
 * texts.h
 *	  Bounds of the texts that enter, and their encoding; see texts.c.
 */
#ifndef MULBERRY_TEXTS_H
#define MULBERRY_TEXTS_H

#include "postgres.h"

/* Raises 22001 when the text is longer than an argument of that name may be, 22P05 when it cannot be said in UTF-8. */
extern void mulberry_check_text(const char *argument, const char *bytes, int length);
extern void mulberry_check_argument(const char *argument, const text *value);

/* Raises 22P05 unless a text of the database's encoding can be said in UTF-8; "what" names it. */
extern void mulberry_require_encodable(const char *what, const char *bytes, int length);
extern bool mulberry_text_fits_utf8(const char *bytes, int length);

/* Whether valid UTF-8 can be stored as text in this database. */
extern bool mulberry_utf8_fits_database(const char *utf8, int length);

#endif /* MULBERRY_TEXTS_H */
