/*
 * url_path.h
 *	  Takes the raw path of a request apart: segments first, percent-encoding afterwards, so that an
 *	  encoded slash is part of a segment and no dots climb anywhere.  Queries are form.h's.
 */
#ifndef MB_URL_PATH_H
#define MB_URL_PATH_H

#include "core/mb.h"

/*
 * The next segment of a path: from *at, which begins at 0 and stands on a slash, to the next slash or
 * the end.  False at the end.  "/a//b/" has four segments: "a", "", "b", "".
 */
extern bool
mb_path_next(const char *path, size_t n, size_t *at, const char **segment, size_t *length);

/*
 * Decodes %XX in n bytes to "to", which has room for n (and may be text itself); *length says how
 * many came out.  A plus is a plus here.  MB_ERR_FORMAT for a % without two hex digits,
 * MB_ERR_RANGE for %00, which no text may hold.  Whether it is UTF-8 is for the caller.
 */
extern mb_status mb_percent_decode(const char *text, size_t n, char *to, size_t *length);

#endif /* MB_URL_PATH_H */
