/*
 * xml_writer.h
 *	  Writes an XML 1.0 document into the caller's buffer: elements, attributes, text, escaped
 *	  and free of characters that XML does not allow.
 *
 * It knows nothing of any vocabulary.  An error sticks: what follows writes
 * nothing, and the caller asks once at the end.
 */
#ifndef MB_XML_WRITER_H
#define MB_XML_WRITER_H

#include "core/mb.h"

#define MB_XML_MAX_DEPTH 8

typedef enum mb_xml_status
{
	MB_XML_OK = 0,
	MB_XML_SPACE,	 /* the caller's buffer is too small */
	MB_XML_TOO_LONG, /* more characters than allowed */
	MB_XML_ENCODING, /* text is not UTF-8 */
	MB_XML_STRUCTURE /* elements opened and closed, or attributes given, out of turn: a caller's mistake */
} mb_xml_status;

typedef struct mb_xml_writer
{
	char *buffer;
	size_t capacity;
	size_t length; /* bytes written, without the NUL */
	size_t characters;
	size_t max_characters;
	const char *open[MB_XML_MAX_DEPTH]; /* elements not yet closed, the outermost first */
	int depth;
	bool in_tag; /* the innermost start tag still takes attributes */
	mb_xml_status status;
} mb_xml_writer;

/*
 * Begins a document with the XML declaration.  The buffer has room for
 * capacity bytes, the final NUL included.  Characters are counted as UTF-16 code units (one beyond
 * U+FFFF counts twice), the larger of the readings of "character"; at most max_characters
 * are written.
 */
extern void mb_xml_begin(mb_xml_writer *xml, char *buffer, size_t capacity, size_t max_characters);

/* Names are literals of the caller and are not escaped; they must outlive the element. */
extern void mb_xml_open(mb_xml_writer *xml, const char *element);
extern void mb_xml_attribute(mb_xml_writer *xml, const char *name, const char *value);
extern void mb_xml_attribute_int(mb_xml_writer *xml, const char *name, int value);
extern void mb_xml_text(mb_xml_writer *xml, const char *text);

/* Closes the innermost element; an empty one becomes <name/>. */
extern void mb_xml_close(mb_xml_writer *xml);

/* The innermost open element, or NULL. */
extern const char *mb_xml_innermost(const mb_xml_writer *xml);

/*
 * Ends the document, which must have all its elements closed, and puts the NUL.  With
 * anything but MB_XML_OK the buffer holds an empty string (if it holds anything).
 */
extern mb_xml_status mb_xml_end(mb_xml_writer *xml, size_t *length);

/*
 * True when the text is UTF-8 (surrogates allowed) without anything that XML 1.0 leaves out: what
 * the writer would take out of a text is an error in a URL.
 */
extern bool mb_xml_clean(const char *text);

/* True when a text has nothing but white space once the writer has taken out what it must. */
extern bool mb_xml_blank(const char *text);

#endif /* MB_XML_WRITER_H */
