/*
 * packet_body.c
 *	  Reads the plain body of a packet in JSON.
 */
#include "core/web/packet_body.h"

#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"

/* Digits of a time before its point: it is below 1e12 then. */
#define MAX_TIME_DIGITS 12
#define MAX_TIME_LENGTH 30

enum member
{
	SEQUENCE = 1,
	DATA = 2,
	TIMESTAMP = 4,
	ENCODING = 8,
	TRACK = 16
};

typedef struct reader
{
	const char *at;
	const char *end;
	char *storage; /* what is left of it */
	size_t room;
} reader;

static void
skip_space(reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
}

/* The character that comes behind white space, which is taken. */
static bool
take(reader *r, char c)
{
	skip_space(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool
is_digit(const reader *r)
{
	return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

/* How many digits come, which are taken; 0 also when there is a zero in front of others. */
static size_t
take_digits(reader *r)
{
	const char *first = r->at;

	while (is_digit(r))
		r->at++;
	return *first == '0' && r->at - first > 1 ? 0 : (size_t) (r->at - first);
}

/* A number goes on with a letter or a sign, in ways that are not read here. */
static bool
number_ends(const reader *r)
{
	return r->at < r->end && strchr(" \n\r\t,}", *r->at) != NULL && *r->at != '\0';
}

static bool
take_sequence(reader *r, int64_t *sequence)
{
	const char *first;
	size_t n;

	skip_space(r);
	first = r->at;
	if (!is_digit(r))
		return false;
	n = take_digits(r);
	if (n == 0 || n > 10 || !number_ends(r))
		return false;
	*sequence = 0;
	for (size_t i = 0; i < n; i++)
		*sequence = *sequence * 10 + (first[i] - '0');
	return *sequence <= MB_PACKET_BODY_MAX_SEQUENCE;
}

static bool
take_timestamp(reader *r, double *timestamp)
{
	char number[MAX_TIME_LENGTH + 1];
	const char *first;
	size_t n;

	skip_space(r);
	first = r->at;
	if (!is_digit(r))
		return false;
	n = take_digits(r);
	if (n == 0 || n > MAX_TIME_DIGITS)
		return false;
	if (r->at < r->end && *r->at == '.')
	{
		r->at++;
		if (!is_digit(r))
			return false;
		while (is_digit(r))
			r->at++;
	}
	n = (size_t) (r->at - first);
	if (n > MAX_TIME_LENGTH || !number_ends(r))
		return false;
	memcpy(number, first, n);
	number[n] = '\0';
	*timestamp = strtod(number, NULL);
	return *timestamp > 0;
}

/* What a letter behind a backslash stands for; 0: not plain. */
static char
unescape(char letter)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char stands_for[] = "\"\\/\b\f\n\r\t";
	const char *found = letter == '\0' ? NULL : strchr(letters, letter);

	return found == NULL ? '\0' : stands_for[found - letters];
}

/* A string of length bytes, the first escape of which is at the first backslash, into the storage. */
static bool
decode(reader *r, mb_packet_string *string)
{
	const char *from = string->text;
	const char *end = from + string->length;
	char *to = r->storage;

	while (from < end)
	{
		char c = *from++;

		if (c == '\\')
		{
			c = unescape(*from++);
			if (c == '\0')
				return false;
		}
		if (to == r->storage + r->room)
			return false;
		*to++ = c;
	}
	string->text = r->storage;
	string->length = (size_t) (to - r->storage);
	r->storage = to;
	r->room -= string->length;
	return true;
}

static bool
take_string(reader *r, mb_packet_string *string)
{
	bool escapes = false;
	unsigned char all = 0; /* bits of all bytes */

	if (!take(r, '"'))
		return false;
	string->text = r->at;
	for (;; r->at++)
	{
		if (r->at == r->end || (unsigned char) *r->at < 0x20)
			return false;
		if (*r->at == '"')
			break;
		all |= (unsigned char) *r->at;
		if (*r->at == '\\')
		{
			escapes = true;
			if (++r->at == r->end)
				return false;
			all |= (unsigned char) *r->at;
		}
	}
	string->length = (size_t) (r->at++ - string->text);
	if (all >= 0x80 && mb_utf8_prefix(string->text, string->length) != string->length)
		return false;
	return !escapes || decode(r, string);
}

/* The name of a member, as a bit; 0 for another. */
static int
member_of(const mb_packet_string *name)
{
	static const struct
	{
		const char *name;
		size_t length;
		int member;
	} members[] = { { "sequence", 8, SEQUENCE },
					{ "data", 4, DATA },
					{ "timestamp", 9, TIMESTAMP },
					{ "encoding", 8, ENCODING },
					{ "track", 5, TRACK } };

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (name->length == members[i].length &&
			memcmp(name->text, members[i].name, name->length) == 0)
			return members[i].member;
	return 0;
}

static bool
take_value(reader *r, int member, mb_packet_body *body)
{
	switch (member)
	{
		case SEQUENCE:
			return take_sequence(r, &body->sequence);
		case TIMESTAMP:
			return take_timestamp(r, &body->timestamp);
		case DATA:
			return take_string(r, &body->data) && body->data.length > 0;
		case ENCODING:
			return take_string(r, &body->encoding);
		case TRACK:
			return take_string(r, &body->track);
		default:
			return false;
	}
}

bool
mb_packet_body_read(const char *text, size_t n, char *storage, size_t room, mb_packet_body *body)
{
	reader r = { .at = text, .end = text + n, .storage = storage, .room = room };
	int there = 0;

	*body = (mb_packet_body){ 0 };
	if (!take(&r, '{'))
		return false;
	do
	{
		mb_packet_string name;
		int member;

		if (!take_string(&r, &name) || !take(&r, ':'))
			return false;
		member = member_of(&name);
		if ((there & member) != 0 || !take_value(&r, member, body))
			return false;
		there |= member;
	} while (take(&r, ','));
	if (!take(&r, '}'))
		return false;
	skip_space(&r);
	return r.at == r.end &&
		   (there & (SEQUENCE | DATA | TIMESTAMP)) == (SEQUENCE | DATA | TIMESTAMP);
}
