/*
 * blot.h
 *	  Blots a secret out of text that a stranger wrote who was told it, in whatever form he repeats
 *	  it: as it is, in base64 at any offset (the credentials of Basic authentication hold it so),
 *	  percent-encoded, with JSON's escapes, as HTML, and in mixtures of these.
 *
 * A secret of fewer than MB_BLOT_LEAST bytes is not looked for: it would be found everywhere.
 */
#ifndef MB_BLOT_H
#define MB_BLOT_H

#include "core/mb.h"

#define MB_BLOT_LEAST 4

/*
 * Overwrites each occurrence of the secret in n bytes of text with asterisks; the length stays.
 * True when there was one.
 */
extern bool mb_blot_out(char *text, size_t n, const char *secret, size_t secret_length);

#endif /* MB_BLOT_H */
