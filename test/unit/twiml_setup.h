/*
 * twiml_setup.h
 *	  The document that a test of TwiML writes, and what it is compared with.
 */
#ifndef TWIML_SETUP_H
#define TWIML_SETUP_H

#include "check.h"
#include "core/web/twiml.h"

#define PROLOG "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define FRAME "*070112345678000042608379340855#"

static char document[MB_TWIML_BUFFER_SIZE];
static mb_twiml twiml;
static size_t length;

CHECK_UNUSED static void
begin(void)
{
	memset(document, '?', sizeof(document));
	mb_twiml_begin(&twiml, document, sizeof(document));
}

/* The document is this one. */
#define check_document(expected)                                                                   \
	do                                                                                             \
	{                                                                                              \
		check_int(mb_twiml_end(&twiml, &length), MB_TWIML_OK);                                     \
		check_string(document, PROLOG expected);                                                   \
		check_int(length, strlen(document));                                                       \
	} while (0)

/* The document failed with this status at this verb, and there is nothing of it. */
#define check_refused(expected, verb)                                                              \
	do                                                                                             \
	{                                                                                              \
		check_int(mb_twiml_end(&twiml, &length), (expected));                                      \
		check_string(twiml.where, (verb));                                                         \
		check_string(document, "");                                                                \
		check_int(length, 0);                                                                      \
	} while (0)

#endif /* TWIML_SETUP_H */
