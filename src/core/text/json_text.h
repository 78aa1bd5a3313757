/*
 * json_text.h
 *	  JSON as services really send it, made into JSON that a strict reader takes, and JSON found in
 *	  what a language model wrote around it.
 *
 * Nothing is parsed here: these functions look at strings and tokens alone, and what is wrong with
 * the structure stays wrong.
 */
#ifndef MB_JSON_TEXT_H
#define MB_JSON_TEXT_H

#include "core/mb.h"

/* Bytes that mb_json_repair() may need for n. */
#define MB_JSON_REPAIR_SIZE(n) (4 * (n) + 2)

/*
 * Writes n bytes of JSON to "to", mended so far:
 *
 * - a byte order mark is dropped; bytes that are not UTF-8 become U+FFFD each;
 * - escapes of characters beyond ASCII become these characters; \u0000 and halves of surrogate pairs
 *   become U+FFFD; raw control characters within strings are escaped;
 * - outside of strings, what is neither a number, true, false nor null (NaN, Infinity, None), and
 *   a number with an exponent beyond four digits or more than 400 characters, becomes null.
 *
 * Returns the length; a NUL is written behind it.
 */
extern size_t mb_json_repair(const char *text, size_t n, char *to);

#define MB_JSON_OPENINGS 64

/*
 * Finds the next stretch of "text" from *at on that begins with { and ends with the } that closes it,
 * with strings in between respected.  True when there is one: it is *length bytes from *at on.
 * After MB_JSON_OPENINGS of them that nothing closes the search ends, so that its work is bounded.
 */
extern bool mb_json_find_object(const char *text, size_t n, size_t *at, size_t *length);

#endif /* MB_JSON_TEXT_H */
