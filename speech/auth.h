/*
 * auth.h
 *	  Who may use the server: keys from a file, sent as "Bearer" or, as clients of Deepgram do, as "Token".
 */
#ifndef SPEECH_AUTH_H
#define SPEECH_AUTH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads the keys, one a line, empty lines and those that begin with # left out.  False, and why on
 * standard error, when there is none or the file cannot be read.
 */
extern bool speech_auth_load(const char *path);

/* Whether a key is asked for at all. */
extern bool speech_auth_required(void);

/* Whether n bytes, the value of an Authorization header (none at all without one), hold a key. */
extern bool speech_auth_check(const char *authorization, size_t n);

extern void speech_auth_free(void);

#endif /* SPEECH_AUTH_H */
