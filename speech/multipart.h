/*
 * multipart.h
 *	  Collects the parts of a multipart/form-data body (RFC 7578) while it arrives.
 *	  What the parts mean is the caller's.
 */
#ifndef SPEECH_MULTIPART_H
#define SPEECH_MULTIPART_H

#include "buffer.h"
#include "core/web/multipart.h"

/* Limits of everything but the contents of files. */
#define SPEECH_FORM_MAX_PARTS 32
#define SPEECH_FORM_MAX_VALUE 65536

typedef struct speech_form_part
{
	char name[MB_MULTIPART_MAX_NAME + 1];
	bool is_file;		 /* it came with a file name */
	speech_buffer value; /* with a NUL behind it that size does not count */
} speech_form_part;

typedef struct speech_form speech_form;

typedef enum speech_form_status
{
	SPEECH_FORM_OK,
	SPEECH_FORM_MALFORMED, /* not multipart, or it ends early */
	SPEECH_FORM_TOO_MANY,  /* parts */
	SPEECH_FORM_TOO_LONG,  /* a name, or a value that is no file */
	SPEECH_FORM_NO_MEMORY
} speech_form_status;

/* One sentence for a status. */
extern const char *speech_form_message(speech_form_status status);

/*
 * Begins a form for a request with this Content-Type; NULL when that is not
 * multipart/form-data with a usable boundary.
 */
extern speech_form *speech_form_begin(const char *content_type, size_t n);

/* Takes the next bytes of the body.  After an error it takes no more. */
extern speech_form_status speech_form_feed(speech_form *form, const char *data, size_t n);

/* The body has ended: MALFORMED when the last boundary is missing. */
extern speech_form_status speech_form_end(speech_form *form);

/* The parts in the order they came. */
extern int speech_form_count(const speech_form *form);
extern const speech_form_part *speech_form_part_at(const speech_form *form, int i);

extern void speech_form_free(speech_form *form);

#endif /* SPEECH_MULTIPART_H */
