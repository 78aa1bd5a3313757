/*
 * multipart.h
 *	  Takes the parts out of a multipart/form-data body (RFC 7578, RFC 2046 section 5.1) as it comes,
 *	  in pieces of any size.  What the parts mean, and how many there may be, is for the caller.
 */
#ifndef MB_MULTIPART_H
#define MB_MULTIPART_H

#include "core/mb.h"

#define MB_MULTIPART_MAX_BOUNDARY 70 /* RFC 2046, section 5.1.1 */
#define MB_MULTIPART_MAX_NAME 100
#define MB_MULTIPART_MAX_HEAD 2048 /* all headers of a part */

/* Owned by the caller.  name, is_file and status are for him, the rest is this module's. */
typedef struct mb_multipart
{
	char name[MB_MULTIPART_MAX_NAME + 1]; /* of the part under way, with a NUL */
	bool is_file;						  /* it has a file name */
	mb_status status;

	char delimiter[4 + MB_MULTIPART_MAX_BOUNDARY]; /* CR LF -- boundary */
	size_t delimiter_length;
	size_t matched; /* bytes of the delimiter seen */
	int state;
	bool in_part;
	char head[MB_MULTIPART_MAX_HEAD];
	size_t head_length;
} mb_multipart;

typedef enum mb_multipart_outcome
{
	MB_MULTIPART_MORE, /* all n bytes are used */
	MB_MULTIPART_PART, /* another part begins: name and is_file are its */
	MB_MULTIPART_DATA, /* the next piece of its contents */
	MB_MULTIPART_REFUSED
} mb_multipart_outcome;

/*
 * Begins a body with the Content-Type of its request.  MB_ERR_UNSUPPORTED when that is not
 * multipart/form-data, MB_ERR_FORMAT without a boundary of 1 to 70 characters.
 */
extern mb_status mb_multipart_begin(mb_multipart *multipart, const char *content_type, size_t n);

/*
 * Looks at n bytes; *used says how many are done with, and it is to be called again with the others
 * until it says MORE.  data and length are the piece of MB_MULTIPART_DATA.  When it refuses, status is
 * MB_ERR_FORMAT, or MB_ERR_SPACE for a name or head too long.
 */
extern mb_multipart_outcome mb_multipart_feed(mb_multipart *multipart, const char *bytes, size_t n,
											  size_t *used, const char **data, size_t *length);

/* The body has ended: false when its last boundary is missing. */
extern bool mb_multipart_whole(const mb_multipart *multipart);

#endif /* MB_MULTIPART_H */
