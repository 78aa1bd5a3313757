/*
 * utf8.h
 *	  Takes characters off UTF-8 texts, and says which of them XML takes.
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

/* XML 1.0, production 2 [Char]. */
extern bool mb_xml_character(uint32_t c);

#endif /* MB_UTF8_H */
