/*
 * test_packet_body.c
 *	  Plain bodies of packets are read, and read as jansson reads them; the others are left to it.
 *
 * Link with: -ljansson
 */
#include "core/web/packet_body.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static char storage[4096];

static bool
reads(const char *text, mb_packet_body *body)
{
	/* on the heap, so that reading beyond its end is seen */
	size_t n = strlen(text);
	char *copy = memcpy(malloc(n + 1), text, n);
	bool plain = mb_packet_body_read(copy, n, storage, sizeof(storage), body);

	free(copy);
	return plain;
}

static bool
is(const mb_packet_string *string, const char *text)
{
	return string->text != NULL && string->length == strlen(text) &&
		   memcmp(string->text, text, string->length) == 0;
}

static void
plain(void)
{
	static const char text[] =
		" {\"sequence\": 7,\r\n\t\"data\" :\"a b\xC3\xA4\", \"timestamp\":1772364615.25 } ";
	mb_packet_body body;

	check(mb_packet_body_read(text, strlen(text), storage, 0, &body));
	check(body.sequence == 7 && body.timestamp == 1772364615.25);
	check(is(&body.data, "a b\xC3\xA4") && body.encoding.text == NULL && body.track.text == NULL);

	static const char all[] =
		"{\"track\":\"\",\"encoding\":\"base64\",\"timestamp\":1,\"data\":\"AA\\/\\\"\\\\\\n\","
		"\"sequence\":2147483645}";
	check(mb_packet_body_read(all, strlen(all), storage, 6, &body));
	check(body.sequence == MB_PACKET_BODY_MAX_SEQUENCE && body.timestamp == 1);
	check(is(&body.data, "AA/\"\\\n") && is(&body.encoding, "base64") && is(&body.track, ""));
	check(!mb_packet_body_read(all, strlen(all), storage, 5, &body));
}

static void
numbers(void)
{
	static const struct
	{
		const char *sequence;
		const char *timestamp;
		bool plain;
	} cases[] = {
		{ "0", "0.5", true },
		{ "00", "1", false },
		{ "01", "1", false },
		{ "-0", "1", false },
		{ "-1", "1", false },
		{ "1.0", "1", false },
		{ "1e1", "1", false },
		{ "2147483646", "1", false },
		{ "99999999999", "1", false },
		{ "\"1\"", "1", false },
		{ "true", "1", false },
		{ "null", "1", false },
		{ "", "1", false },
		{ "1", "", false },
		{ "1", "0", false },
		{ "1", "0.0", false },
		{ "1", "01", false },
		{ "1", "1.", false },
		{ "1", ".5", false },
		{ "1", "-1", false },
		{ "1", "1e3", false },
		{ "1", "1.5e3", false },
		{ "1", "NaN", false },
		{ "1", "1772364615.1234567", true },
		{ "1", "999999999999.9", true },
		{ "1", "1000000000000", false },
		{ "1", "1.00000000000000000000000000001", false },
		{ "1", "1 ", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		mb_packet_body body;
		char text[200];

		snprintf(text, sizeof(text), "{\"sequence\":%s,\"timestamp\":%s,\"data\":\"x\"}",
				 cases[i].sequence, cases[i].timestamp);
		check_report(reads(text, &body) == cases[i].plain, __FILE__, __LINE__, "%s", text);
		if (cases[i].plain)
			check_report(body.timestamp == strtod(cases[i].timestamp, NULL), __FILE__, __LINE__,
						 "%s", text);
	}
}

static void
not_plain(void)
{
	static const char *const texts[] = {
		"",
		"{",
		"{}",
		"[]",
		"null",
		"{\"sequence\":1,\"timestamp\":1}",
		"{\"sequence\":1,\"data\":\"x\"}",
		"{\"timestamp\":1,\"data\":\"x\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\",}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\"",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\"}}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\"} x",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\",\"data\":\"y\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\",\"more\":1}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\",\"track\":null}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"\\u0041\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"\\x\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"a\nb\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"\xFF\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"\xED\xA0\x80\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"\\",
		"{\"sequence\":1,\"timestamp\":1,\"data\":\"x\\\"}",
		"{\"sequence\":1,\"timestamp\":1,\"data\":12}",
		"{\"sequence\":1\v,\"timestamp\":1,\"data\":\"x\"}",
		"{\"sequence\" 1,\"timestamp\":1,\"data\":\"x\"}",
		"{sequence:1,\"timestamp\":1,\"data\":\"x\"}",
		"{\"Sequence\":1,\"timestamp\":1,\"data\":\"x\"}",
		"\xEF\xBB\xBF{\"sequence\":1,\"timestamp\":1,\"data\":\"x\"}",
	};
	mb_packet_body body;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_report(!reads(texts[i], &body), __FILE__, __LINE__, "%s", texts[i]);
	/* a NUL behind it */
	check(!mb_packet_body_read("{\"sequence\":1,\"timestamp\":1,\"data\":\"x\"}", 41, storage,
							   sizeof(storage), &body));
	check(!mb_packet_body_read("{\"sequence\":1\0,\"timestamp\":1,\"data\":\"x\"}", 41, storage,
							   sizeof(storage), &body));
}

/* ---- bodies made by chance: what is plain here, jansson reads as well, and the same ---- */

static check_random generator = { 1 };

static unsigned
chance(unsigned n)
{
	return (unsigned) check_random_below(&generator, n);
}

static void
put(char *text, const char *const *choices, unsigned n)
{
	strcat(text, choices[chance(n)]);
}

#define PUT(text, ...)                                                                             \
	do                                                                                             \
	{                                                                                              \
		static const char *const choices[] = { __VA_ARGS__ };                                      \
		put(text, choices, sizeof(choices) / sizeof(choices[0]));                                  \
	} while (0)

static void
make_string(char *text)
{
	strcat(text, "\"");
	for (unsigned n = chance(5); n > 0; n--)
	{
		if (chance(12) == 0)
			PUT(text, "\\u00e4", "\\ud83d\\ude00", "\\u0000", "\\v", "\t", "\xC3");
		else
			PUT(text, "a", "zz", " ", "\\n", "\\\"", "\\\\", "\\/", "\\b", "\xC3\xA4",
				"\xF0\x9F\x98\x80", "\xE2\x82\xAC", "\x7F", "{", "}", ",", ":");
	}
	strcat(text, chance(40) ? "\"" : "");
}

static void
make_value(char *text)
{
	char number[40];

	switch (chance(9))
	{
		case 0:
		case 1:
		case 2:
			make_string(text);
			break;
		case 3:
			PUT(text, "null", "true", "false", "[]", "{}", "nul", "-1", "-0", "1E5", "0x1", "1e400",
				"12345678901234567890");
			break;
		case 4:
			snprintf(number, sizeof(number), "%u.%0*u", chance(2000000000), (int) (1 + chance(9)),
					 chance(100000));
			strcat(text, number);
			break;
		default:
			snprintf(number, sizeof(number), "%s%u", chance(20) ? "" : "0",
					 chance(2) ? chance(100) : chance(2147483648u));
			strcat(text, number);
	}
}

static void
make_body(char *text)
{
	unsigned order = chance(5);
	unsigned members = 3 + chance(3);

	text[0] = '\0';
	PUT(text, "", "", "", " ", "\n");
	strcat(text, "{");
	for (unsigned i = 0; i < members; i++)
	{
		static const char *const names[] = { "sequence", "data", "timestamp", "encoding", "track" };
		unsigned name = (i + order) % 5;

		if (i > 0)
			strcat(text, chance(60) ? "," : " ,\t");
		strcat(text, "\"");
		strcat(text, chance(30) ? names[name] : "other");
		strcat(text, chance(60) ? "\":" : "\" : ");
		if (chance(6) == 0)
			make_value(text);
		else if (name == 0)
			PUT(text, "0", "1", "17", "2147483645", "2147483646", "007");
		else if (name == 2)
			PUT(text, "1", "1234567890.5", "1772364615.1234567", "0.1", "1e9", "0");
		else
			make_string(text);
	}
	PUT(text, "}", "}", "}", "}", "}", "} ", "}\n", "", "}x");
}

static bool
same_string(const mb_packet_string *ours, const json_t *theirs)
{
	if (ours->text == NULL || theirs == NULL)
		return ours->text == NULL && theirs == NULL;
	return json_is_string(theirs) && json_string_length(theirs) == ours->length &&
		   memcmp(json_string_value(theirs), ours->text, ours->length) == 0;
}

static bool
same(const mb_packet_body *body, const json_t *object)
{
	const json_t *sequence = json_object_get(object, "sequence");
	const json_t *timestamp = json_object_get(object, "timestamp");

	return json_is_object(object) && json_is_integer(sequence) &&
		   json_integer_value(sequence) == body->sequence && json_is_number(timestamp) &&
		   json_number_value(timestamp) == body->timestamp &&
		   same_string(&body->data, json_object_get(object, "data")) &&
		   same_string(&body->encoding, json_object_get(object, "encoding")) &&
		   same_string(&body->track, json_object_get(object, "track"));
}

static void
as_jansson(void)
{
	int read = 0;
	int right = 0;
	mb_packet_body body;
	char text[1000];

	for (int i = 0; i < 100000; i++)
	{
		json_t *object;

		make_body(text);
		object = json_loadb(text, strlen(text), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		right += object != NULL;
		if (mb_packet_body_read(text, strlen(text), storage, sizeof(storage), &body))
		{
			read++;
			check_report(same(&body, object), __FILE__, __LINE__, "%s", text);
		}
		json_decref(object);
	}
	check_report(read > 2000 && right > read + 2000, __FILE__, __LINE__,
				 "%d of 100000 are plain, %d are right", read, right);
}

int
main(void)
{
	check_run("plain bodies are read, with escapes as far as there is room", plain);
	check_run("numbers are digits within their bounds", numbers);
	check_run("what is not plain is left to others", not_plain);
	check_run("of bodies by chance the plain ones are what jansson reads", as_jansson);
	return check_done();
}
