/*
 * utf8.h
 *	  Characters of UTF-8 texts: read, written and judged, and which of them XML takes.
 */
#ifndef MB_UTF8_H
#define MB_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decoded from no UTF-8. */
#define MB_NOT_UTF8 0xFFFFFFFFu

/*
 * Takes one character off a NUL-terminated text; its bytes are counted in *n, 1 for
 * MB_NOT_UTF8.  Surrogates encoded one by one are let through here, because they are to be
 * taken out and not to be an error.
 */
extern uint32_t mb_utf8_next(const char *text, size_t *n);

/*
 * Bytes of the character that begins a text of n bytes, at least one; 0 when there is none
 * (malformed, cut off, a surrogate).
 */
extern size_t mb_utf8_length(const char *text, size_t n);

/* How many of n bytes are whole characters, up to what is none; n when all are. */
extern size_t mb_utf8_prefix(const char *text, size_t n);

/* Writes a character and returns its bytes, at most 4. */
extern size_t mb_utf8_put(char *out, uint32_t c);

/* XML 1.0, production 2 [Char]. */
extern bool mb_xml_character(uint32_t c);

#endif /* MB_UTF8_H */
