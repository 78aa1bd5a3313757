/*
 * http_head.c
 *	  Reads the head of an HTTP/1.1 request; see http_head.h.
 *
 * Lines are read as they end.  What depends on several fields (Host, the body's framing, what the
 * client expects) is judged at the empty line.
 */
#include "core/web/http_head.h"

#include <string.h>

#define MAX_METHOD 32

typedef struct violation_row
{
	int status;
	const char *message;
} violation_row;

static const violation_row violations[MB_HTTP_VIOLATIONS] = {
	[MB_HTTP_FINE] = { 0, "the request is in order" },
	[MB_HTTP_BAD_REQUEST_LINE] = { 400, "the request line is not method, target and HTTP version, "
										"each followed by one space or the end of the line" },
	[MB_HTTP_BAD_TARGET] = { 400, "the target is not a path of printable ASCII without a "
								  "fragment that begins with a slash" },
	[MB_HTTP_BAD_VERSION] = { 400, "the version is not of the form HTTP/1.1" },
	[MB_HTTP_OTHER_VERSION] = { 505, "only HTTP/1.1 and HTTP/1.0 are spoken here" },
	[MB_HTTP_BARE_LINE_FEED] = { 400, "a line ends in a line feed without a carriage return" },
	[MB_HTTP_FOLDED_FIELD] = { 400, "a header line begins with a space or a tab" },
	[MB_HTTP_BAD_FIELD_NAME] = { 400, "a header name is no token that ends at its colon" },
	[MB_HTTP_BAD_FIELD_VALUE] = { 400, "a header value holds a control character" },
	[MB_HTTP_TARGET_TOO_LONG] = { 414, "the request line is longer than a head may be" },
	[MB_HTTP_HEAD_TOO_LARGE] = { 431, "the head is larger than 16384 bytes" },
	[MB_HTTP_TOO_MANY_FIELDS] = { 431, "the head has more than 100 header lines" },
	[MB_HTTP_NO_HOST] = { 400, "the header Host is missing" },
	[MB_HTTP_SEVERAL_HOSTS] = { 400, "the header Host stands more than once" },
	[MB_HTTP_BAD_HOST] = { 400, "the header Host is no host with or without a port" },
	[MB_HTTP_BAD_LENGTH] = { 400, "Content-Length is not a number of digits only" },
	[MB_HTTP_SEVERAL_LENGTHS] = { 400, "Content-Length stands more than once" },
	[MB_HTTP_LENGTH_AND_CODING] = { 400, "Content-Length and Transfer-Encoding exclude each "
										 "other" },
	[MB_HTTP_SEVERAL_CODINGS] = { 400, "Transfer-Encoding stands more than once" },
	[MB_HTTP_OTHER_CODING] = { 501, "no Transfer-Encoding but chunked is supported" },
	[MB_HTTP_CODING_IN_1_0] = { 400, "HTTP/1.0 has no Transfer-Encoding" },
	[MB_HTTP_LENGTH_REQUIRED] = { 411, "a request of this method needs Content-Length or "
									   "Transfer-Encoding: chunked" },
	[MB_HTTP_OTHER_EXPECTATION] = { 417, "no expectation but 100-continue can be met" },
	[MB_HTTP_BODY_TOO_LARGE] = { 413, "the body is larger than it may be" },
	[MB_HTTP_BAD_CHUNK] = { 400, "the chunked body is malformed" },
	[MB_HTTP_BAD_TRAILER] = { 400, "the trailer of the chunked body is malformed or too large" },
};

int
mb_http_violation_status(mb_http_violation violation)
{
	return violations[violation].status;
}

const char *
mb_http_violation_message(mb_http_violation violation)
{
	return violations[violation].message;
}

/* Characters of a token, RFC 9110 section 5.6.2. */
static bool
is_token_char(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool
mb_http_is_token(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_token_char((unsigned char) text[i]))
			return false;
	return n > 0;
}

bool
mb_http_is_field_value(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static char
small_letter(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

bool
mb_http_span_is(mb_http_span span, const char *bytes, const char *text)
{
	return strlen(text) == span.length && memcmp(bytes + span.at, text, span.length) == 0;
}

bool
mb_http_span_is_like(mb_http_span span, const char *bytes, const char *text)
{
	if (strlen(text) != span.length)
		return false;
	for (size_t i = 0; i < span.length; i++)
		if (small_letter(bytes[span.at + i]) != small_letter(text[i]))
			return false;
	return true;
}

int
mb_http_head_find(const mb_http_head *head, const char *bytes, const char *name, int from)
{
	for (int i = from; i < head->n_fields; i++)
		if (mb_http_span_is_like(head->fields[i].name, bytes, name))
			return i;
	return -1;
}

bool
mb_http_head_next_token(const mb_http_head *head, const char *bytes, const char *name,
						mb_http_walk *walk, mb_http_span *token)
{
	for (;;)
	{
		mb_http_span value;
		size_t end;
		size_t at;

		if (walk->field == 0)
		{
			walk->field = mb_http_head_find(head, bytes, name, 0) + 1;
			if (walk->field == 0)
				return false;
			walk->at = head->fields[walk->field - 1].value.at;
		}
		value = head->fields[walk->field - 1].value;
		end = (size_t) value.at + value.length;
		at = walk->at;
		while (at < end && (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == ','))
			at++;
		if (at < end)
		{
			const char *comma = memchr(bytes + at, ',', end - at);
			size_t stop = comma != NULL ? (size_t) (comma - bytes) : end;

			walk->at = (uint16_t) stop;
			while (bytes[stop - 1] == ' ' || bytes[stop - 1] == '\t')
				stop--;
			*token = (mb_http_span){ (uint16_t) at, (uint16_t) (stop - at) };
			return true;
		}
		walk->field = mb_http_head_find(head, bytes, name, walk->field) + 1;
		if (walk->field == 0)
		{
			/* stay behind the last field, so that a further call finds nothing either */
			walk->field = head->n_fields;
			walk->at = head->n_fields > 0
						   ? (uint16_t) (head->fields[head->n_fields - 1].value.at +
										 head->fields[head->n_fields - 1].value.length)
						   : 0;
			return false;
		}
		walk->at = head->fields[walk->field - 1].value.at;
	}
}

/* The version behind the second space: HTTP/digit.digit. */
static mb_http_violation
read_version(mb_http_head *head, const char *text, size_t n)
{
	if (n != 8 || memcmp(text, "HTTP/", 5) != 0 || text[5] < '0' || text[5] > '9' ||
		text[6] != '.' || text[7] < '0' || text[7] > '9')
		return MB_HTTP_BAD_VERSION;
	if (text[5] != '1' || text[7] > '1')
		return MB_HTTP_OTHER_VERSION;
	head->minor_version = text[7] - '0';
	return MB_HTTP_FINE;
}

/* method SP target SP version, RFC 9112 section 3; of the forms of a target the origin form only. */
static mb_http_violation
read_request_line(mb_http_head *head, const char *bytes, size_t n)
{
	const char *space = memchr(bytes, ' ', n);
	const char *second;
	const char *mark;
	mb_http_violation violation;
	size_t at;
	size_t length;

	if (space == NULL)
		return MB_HTTP_BAD_REQUEST_LINE;
	at = (size_t) (space - bytes);
	if (at > MAX_METHOD || !mb_http_is_token(bytes, at))
		return MB_HTTP_BAD_REQUEST_LINE;
	head->method = (mb_http_span){ 0, (uint16_t) at };
	at++;
	second = memchr(bytes + at, ' ', n - at);
	if (second == NULL)
		return MB_HTTP_BAD_REQUEST_LINE;
	length = (size_t) (second - bytes) - at;
	violation = read_version(head, second + 1, n - at - length - 1);
	if (violation != MB_HTTP_FINE)
		return violation;
	if (length == 0 || bytes[at] != '/')
		return MB_HTTP_BAD_TARGET;
	for (size_t i = at; i < at + length; i++)
		if (bytes[i] <= ' ' || bytes[i] >= 0x7f || bytes[i] == '#')
			return MB_HTTP_BAD_TARGET;
	head->target = (mb_http_span){ (uint16_t) at, (uint16_t) length };
	head->path = head->target;
	mark = memchr(bytes + at, '?', length);
	head->has_query = mark != NULL;
	if (mark != NULL)
	{
		head->path.length = (uint16_t) (mark - (bytes + at));
		head->query.at = (uint16_t) (mark + 1 - bytes);
		head->query.length = (uint16_t) (length - head->path.length - 1);
	}
	return MB_HTTP_FINE;
}

/* name ":" OWS value OWS, RFC 9112 section 5. */
static mb_http_violation
read_field(mb_http_head *head, const char *bytes, size_t at, size_t n)
{
	const char *colon = memchr(bytes + at, ':', n);
	mb_http_field *field;
	size_t begin;
	size_t end = at + n;

	if (bytes[at] == ' ' || bytes[at] == '\t')
		return MB_HTTP_FOLDED_FIELD;
	if (colon == NULL || !mb_http_is_token(bytes + at, (size_t) (colon - (bytes + at))))
		return MB_HTTP_BAD_FIELD_NAME;
	begin = (size_t) (colon + 1 - bytes);
	if (!mb_http_is_field_value(bytes + begin, end - begin))
		return MB_HTTP_BAD_FIELD_VALUE;
	while (begin < end && (bytes[begin] == ' ' || bytes[begin] == '\t'))
		begin++;
	while (end > begin && (bytes[end - 1] == ' ' || bytes[end - 1] == '\t'))
		end--;
	if (head->n_fields == MB_HTTP_MAX_FIELDS)
		return MB_HTTP_TOO_MANY_FIELDS;
	field = &head->fields[head->n_fields++];
	field->name = (mb_http_span){ (uint16_t) at, (uint16_t) (colon - (bytes + at)) };
	field->value = (mb_http_span){ (uint16_t) begin, (uint16_t) (end - begin) };
	return MB_HTTP_FINE;
}

/* The characters of a host and its port, RFC 3986 section 3.2: no user, no space, no slash. */
static bool
is_host(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
			(c == '\0' || strchr("-._~%!$&'()*+;=[]:", c) == NULL))
			return false;
	}
	return n > 0;
}

static mb_http_violation
judge_host(const mb_http_head *head, const char *bytes)
{
	int i = mb_http_head_find(head, bytes, "Host", 0);

	if (i < 0)
		return head->minor_version == 0 ? MB_HTTP_FINE : MB_HTTP_NO_HOST;
	if (mb_http_head_find(head, bytes, "Host", i + 1) >= 0)
		return MB_HTTP_SEVERAL_HOSTS;
	if (!is_host(bytes + head->fields[i].value.at, head->fields[i].value.length))
		return MB_HTTP_BAD_HOST;
	return MB_HTTP_FINE;
}

/* Digits only; a number that does not fit is as good as one that is too large. */
static mb_http_violation
read_length(mb_http_head *head, const char *text, size_t n)
{
	uint64_t length = 0;

	for (size_t i = 0; i < n; i++)
		if (text[i] < '0' || text[i] > '9')
			return MB_HTTP_BAD_LENGTH;
	if (n == 0)
		return MB_HTTP_BAD_LENGTH;
	for (size_t i = 0; i < n; i++)
	{
		unsigned digit = (unsigned) (text[i] - '0');

		if (length > (UINT64_MAX / 2 - digit) / 10)
			return MB_HTTP_BODY_TOO_LARGE;
		length = length * 10 + digit;
	}
	head->content_length = length;
	head->framing = MB_HTTP_LENGTH;
	return MB_HTTP_FINE;
}

/* Where the body ends, RFC 9112 section 6. */
static mb_http_violation
judge_framing(mb_http_head *head, const char *bytes)
{
	int length = mb_http_head_find(head, bytes, "Content-Length", 0);
	int coding = mb_http_head_find(head, bytes, "Transfer-Encoding", 0);

	if (length >= 0 && coding >= 0)
		return MB_HTTP_LENGTH_AND_CODING;
	if (length >= 0)
	{
		if (mb_http_head_find(head, bytes, "Content-Length", length + 1) >= 0)
			return MB_HTTP_SEVERAL_LENGTHS;
		return read_length(head, bytes + head->fields[length].value.at,
						   head->fields[length].value.length);
	}
	if (coding >= 0)
	{
		if (head->minor_version == 0)
			return MB_HTTP_CODING_IN_1_0;
		if (mb_http_head_find(head, bytes, "Transfer-Encoding", coding + 1) >= 0)
			return MB_HTTP_SEVERAL_CODINGS;
		if (!mb_http_span_is_like(head->fields[coding].value, bytes, "chunked"))
			return MB_HTTP_OTHER_CODING;
		head->framing = MB_HTTP_CHUNKED;
		return MB_HTTP_FINE;
	}
	if (mb_http_span_is(head->method, bytes, "POST") ||
		mb_http_span_is(head->method, bytes, "PUT") ||
		mb_http_span_is(head->method, bytes, "PATCH"))
		return MB_HTTP_LENGTH_REQUIRED;
	return MB_HTTP_FINE;
}

static mb_http_violation
judge_expectation(mb_http_head *head, const char *bytes)
{
	for (int i = -1; (i = mb_http_head_find(head, bytes, "Expect", i + 1)) >= 0;)
	{
		if (!mb_http_span_is_like(head->fields[i].value, bytes, "100-continue"))
			return MB_HTTP_OTHER_EXPECTATION;
		/* RFC 9110, section 10.1.1: one of HTTP/1.0 is ignored */
		head->expect_continue = head->minor_version > 0;
	}
	return MB_HTTP_FINE;
}

static void
read_connection(mb_http_head *head, const char *bytes)
{
	mb_http_walk walk = { 0 };
	mb_http_span token;
	bool lives = false;
	bool ends = false;

	while (mb_http_head_next_token(head, bytes, "Connection", &walk, &token))
	{
		if (mb_http_span_is_like(token, bytes, "close"))
			ends = true;
		else if (mb_http_span_is_like(token, bytes, "keep-alive"))
			lives = true;
		else if (mb_http_span_is_like(token, bytes, "upgrade"))
			head->upgrade = true;
	}
	head->keep_alive = !ends && (head->minor_version > 0 || lives);
}

/* The empty line is there. */
static mb_http_violation
judge(mb_http_head *head, const char *bytes)
{
	mb_http_violation violation = judge_host(head, bytes);

	if (violation == MB_HTTP_FINE)
		violation = judge_framing(head, bytes);
	if (violation == MB_HTTP_FINE)
		violation = judge_expectation(head, bytes);
	if (violation == MB_HTTP_FINE)
		read_connection(head, bytes);
	return violation;
}

void
mb_http_head_begin(mb_http_head *head)
{
	/* the fields are those that n_fields counts */
	memset(head, 0, offsetof(mb_http_head, fields));
	head->framing = MB_HTTP_NO_BODY;
	head->content_length = 0;
	head->keep_alive = false;
	head->upgrade = false;
	head->expect_continue = false;
	head->violation = MB_HTTP_FINE;
}

static mb_http_head_outcome
refuse(mb_http_head *head, mb_http_violation violation)
{
	head->violation = violation;
	return MB_HTTP_HEAD_REFUSED;
}

mb_http_head_outcome
mb_http_head_feed(mb_http_head *head, const char *bytes, size_t n)
{
	size_t limit = n < MB_HTTP_MAX_HEAD ? n : MB_HTTP_MAX_HEAD;

	if (head->violation != MB_HTTP_FINE)
		return MB_HTTP_HEAD_REFUSED;
	if (head->size > 0)
		return MB_HTTP_HEAD_COMPLETE;
	while (head->scanned < limit)
	{
		const char *feed = memchr(bytes + head->scanned, '\n', limit - head->scanned);
		mb_http_violation violation;
		size_t end; /* of the line, where its CR is */

		if (feed == NULL)
		{
			head->scanned = (uint16_t) limit;
			break;
		}
		head->scanned = (uint16_t) (feed + 1 - bytes);
		end = (size_t) (feed - bytes);
		if (end == head->line || bytes[end - 1] != '\r')
			return refuse(head, MB_HTTP_BARE_LINE_FEED);
		end--;
		if (head->line == 0)
			violation = read_request_line(head, bytes, end);
		else if (end > head->line)
			violation = read_field(head, bytes, head->line, end - head->line);
		else
		{
			violation = judge(head, bytes);
			if (violation == MB_HTTP_FINE)
			{
				head->size = head->scanned;
				return MB_HTTP_HEAD_COMPLETE;
			}
		}
		if (violation != MB_HTTP_FINE)
			return refuse(head, violation);
		head->line = head->scanned;
	}
	if (limit == MB_HTTP_MAX_HEAD)
		return refuse(head, head->line == 0 ? MB_HTTP_TARGET_TOO_LONG : MB_HTTP_HEAD_TOO_LARGE);
	return MB_HTTP_HEAD_MORE;
}
