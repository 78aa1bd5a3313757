/*
 * packet_body.h
 *	  Reads the body of a packet in JSON when it is a plain one, as nearly all are: an object with "sequence", "data" and
 *	  "timestamp", "encoding" and "track" if they are wanted, each once and nothing else.
 *
 * Plain are integers of digits, a time of digits with or without a point, and strings in UTF-8 whose only escapes are
 * those of one letter.  What is not plain may be right or wrong: that is for a reader of all of JSON, which says what is
 * wrong with it.  What is plain, it reads in the same way.
 */
#ifndef MB_PACKET_BODY_H
#define MB_PACKET_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MB_PACKET_BODY_MAX_SEQUENCE 2147483645

/* Not NUL-terminated, no NUL within; NULL when it is not there. */
typedef struct mb_packet_string
{
	const char *text;
	size_t length;
} mb_packet_string;

typedef struct mb_packet_body
{
	int64_t sequence;	   /* from 0 to MB_PACKET_BODY_MAX_SEQUENCE */
	double timestamp;	   /* above 0 and below 1e12 */
	mb_packet_string data; /* at least a byte */
	mb_packet_string encoding;
	mb_packet_string track;
} mb_packet_body;

/*
 * False when n bytes are not plain.  Strings with escapes are decoded into storage, which has room for that many bytes
 * (what takes more is not plain; n is always enough); the others point into the text.
 */
extern bool
mb_packet_body_read(const char *text, size_t n, char *storage, size_t room, mb_packet_body *body);

#endif /* MB_PACKET_BODY_H */
