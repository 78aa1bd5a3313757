/*
 * test_http_head.c
 *	  Heads of HTTP requests: what is read out of good ones, and that each rule refuses with its own
 *	  status, wherever the head is cut.
 */
#include "check.h"
#include "core/web/http_head.h"

/* Feeds a head in pieces of the given size, each time from memory of exactly its size. */
static mb_http_head_outcome
feed(mb_http_head *head, const char *text, size_t n, size_t step)
{
	mb_http_head_outcome outcome = MB_HTTP_HEAD_MORE;

	mb_http_head_begin(head);
	for (size_t seen = 0; seen < n && outcome == MB_HTTP_HEAD_MORE;)
	{
		char *copy;

		seen = n - seen < step ? n : seen + step;
		copy = malloc(seen);
		memcpy(copy, text, seen);
		outcome = mb_http_head_feed(head, copy, seen);
		free(copy);
	}
	return outcome;
}

static void
expect(const char *text, size_t n, mb_http_violation violation)
{
	static const size_t steps[] = { 1, 2, 3, 7, 100000 };
	mb_http_head head;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		mb_http_head_outcome outcome = feed(&head, text, n, n > 1000 ? 100000 : steps[i]);

		check_report(
			outcome == (violation == MB_HTTP_FINE ? MB_HTTP_HEAD_COMPLETE : MB_HTTP_HEAD_REFUSED) &&
				head.violation == violation,
			__FILE__, __LINE__, "\"%.60s\": outcome %d, violation %d, expected %d", text, outcome,
			head.violation, violation);
	}
}

static void
expect_text(const char *text, mb_http_violation violation)
{
	expect(text, strlen(text), violation);
}

/* A request line and headers, with the empty line and a Host around them. */
static void
expect_request(const char *line, const char *fields, mb_http_violation violation)
{
	char text[1000];

	snprintf(text, sizeof(text), "%s\r\nHost: x\r\n%s\r\n", line, fields);
	expect_text(text, violation);
}

static void
a_head_is_read(void)
{
	static const char text[] = "POST /v1/call/a%2Fb?x=1&y=%00 HTTP/1.1\r\n"
							   "Host: example.com:8080\r\n"
							   "content-LENGTH:  427 \t\r\n"
							   "Empty:\r\n"
							   "X-Name: \xc3\xa9 a\tb\r\n"
							   "Expect: 100-Continue\r\n"
							   "Connection: foo, Keep-Alive ,,upgrade\r\n"
							   "\r\n{\"body\"";
	size_t length = strlen(text) - strlen("{\"body\"");
	mb_http_head head;
	int i;

	REQUIRE(feed(&head, text, sizeof(text) - 1, 1) == MB_HTTP_HEAD_COMPLETE);
	check_int(head.size, length);
	check(mb_http_span_is(head.method, text, "POST"));
	check(mb_http_span_is(head.target, text, "/v1/call/a%2Fb?x=1&y=%00"));
	check(mb_http_span_is(head.path, text, "/v1/call/a%2Fb"));
	check(mb_http_span_is(head.query, text, "x=1&y=%00"));
	check(head.has_query);
	check_int(head.minor_version, 1);
	check_int(head.framing, MB_HTTP_LENGTH);
	check_int(head.content_length, 427);
	check(head.expect_continue);
	check(head.keep_alive);
	check(head.upgrade);
	check_int(head.n_fields, 6);
	i = mb_http_head_find(&head, text, "CONTENT-length", 0);
	REQUIRE(i == 1);
	check(mb_http_span_is(head.fields[i].value, text, "427"));
	check(!mb_http_span_is(head.fields[i].name, text, "Content-Length"));
	check_int(head.fields[2].value.length, 0);
	check(mb_http_span_is(head.fields[3].value, text, "\xc3\xa9 a\tb"));
	check_int(mb_http_head_find(&head, text, "X-Nam", 0), -1);
	check_int(mb_http_head_find(&head, text, "Host", 1), -1);
	check_int(mb_http_head_feed(&head, text, sizeof(text) - 1), MB_HTTP_HEAD_COMPLETE);
	check_int(feed(&head, text, length - 1, 5), MB_HTTP_HEAD_MORE);
}

static void
connections_live_by_their_version(void)
{
	static const struct
	{
		const char *version;
		const char *fields;
		bool lives;
	} cases[] = {
		{ "1.1", "", true },
		{ "1.1", "Connection: close\r\n", false },
		{ "1.1", "Connection: keep-alive\r\nConnection: x, CLOSE\r\n", false },
		{ "1.1", "Connection: closed\r\n", true },
		{ "1.0", "", false },
		{ "1.0", "Connection: keep-alive\r\n", true },
		{ "1.0", "Connection: keep-alive, close\r\n", false },
	};
	mb_http_head head;
	char text[200];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		snprintf(text, sizeof(text), "GET / HTTP/%s\r\nHost: x\r\n%s\r\n", cases[i].version,
				 cases[i].fields);
		check_int(feed(&head, text, strlen(text), 100), MB_HTTP_HEAD_COMPLETE);
		check_report(head.keep_alive == cases[i].lives, __FILE__, __LINE__, "%s %s",
					 cases[i].version, cases[i].fields);
	}
}

static void
request_lines(void)
{
	expect_request("GET / HTTP/1.1", "", MB_HTTP_FINE);
	expect_request("GET / HTTP/1.0", "", MB_HTTP_FINE);
	expect_request("M-SEARCH /* HTTP/1.1", "", MB_HTTP_FINE);
	expect_request("GET /a?b?c/../d HTTP/1.1", "", MB_HTTP_FINE);
	expect_request("GET /? HTTP/1.1", "", MB_HTTP_FINE);
	expect_request("GET /", "", MB_HTTP_BAD_REQUEST_LINE);
	expect_request("GET", "", MB_HTTP_BAD_REQUEST_LINE);
	expect_request("", "", MB_HTTP_BAD_REQUEST_LINE);
	expect_request(" GET / HTTP/1.1", "", MB_HTTP_BAD_REQUEST_LINE);
	expect_request("G(T / HTTP/1.1", "", MB_HTTP_BAD_REQUEST_LINE);
	expect_request("GET\t/ HTTP/1.1", "", MB_HTTP_BAD_REQUEST_LINE);
	expect_request("GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1", "", MB_HTTP_BAD_REQUEST_LINE);
	expect_request("GET  / HTTP/1.1", "", MB_HTTP_BAD_VERSION);
	expect_request("GET / HTTP/1.1 ", "", MB_HTTP_BAD_VERSION);
	expect_request("GET /  HTTP/1.1", "", MB_HTTP_BAD_VERSION);
	expect_request("GET / a HTTP/1.1", "", MB_HTTP_BAD_VERSION);
	expect_request("GET / http/1.1", "", MB_HTTP_BAD_VERSION);
	expect_request("GET / HTTP/1.1.1", "", MB_HTTP_BAD_VERSION);
	expect_request("GET / HTTP/11", "", MB_HTTP_BAD_VERSION);
	expect_request("GET / HTTP/1.x", "", MB_HTTP_BAD_VERSION);
	expect_request("GET / HTTP/1.2", "", MB_HTTP_OTHER_VERSION);
	expect_request("GET / HTTP/2.0", "", MB_HTTP_OTHER_VERSION);
	expect_request("PRI * HTTP/2.0", "", MB_HTTP_OTHER_VERSION);
	expect_request("GET / HTTP/0.9", "", MB_HTTP_OTHER_VERSION);
	expect_request("GET http://x/ HTTP/1.1", "", MB_HTTP_BAD_TARGET);
	expect_request("OPTIONS * HTTP/1.1", "", MB_HTTP_BAD_TARGET);
	expect_request("CONNECT x:443 HTTP/1.1", "", MB_HTTP_BAD_TARGET);
	expect_request("GET /a#b HTTP/1.1", "", MB_HTTP_BAD_TARGET);
	expect_request("GET /\xc3\xa9 HTTP/1.1", "", MB_HTTP_BAD_TARGET);
	expect_request("GET /a\tb HTTP/1.1", "", MB_HTTP_BAD_TARGET);
	expect_request("GET /\x7f HTTP/1.1", "", MB_HTTP_BAD_TARGET);
	expect_text("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", MB_HTTP_BAD_REQUEST_LINE);
	expect("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 29, MB_HTTP_BAD_TARGET);
}

static void
line_ends(void)
{
	expect_text("GET / HTTP/1.1\nHost: x\r\n\r\n", MB_HTTP_BARE_LINE_FEED);
	expect_text("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", MB_HTTP_BARE_LINE_FEED);
	expect_text("GET / HTTP/1.1\r\nHost: x\n\r\n", MB_HTTP_BARE_LINE_FEED);
	expect_text("GET / HTTP/1.1\r\nHost: x\r\n\n", MB_HTTP_BARE_LINE_FEED);
	/* told at its line, before the head has ended */
	expect_text("GET / HTTP/1.1\r\nHost: x\n", MB_HTTP_BARE_LINE_FEED);
	expect_text("GET / HTTP/1.1\r\r\n", MB_HTTP_BAD_VERSION);
	expect_text("GET / HTTP/1.1\r\nA: b\rc\r\n", MB_HTTP_BAD_FIELD_VALUE);
	expect_text("GET / HTTP/1.1\r\nA: b\r\r\n", MB_HTTP_BAD_FIELD_VALUE);
}

static void
fields(void)
{
	expect_request("GET / HTTP/1.1", "A: b\r\n c\r\n", MB_HTTP_FOLDED_FIELD);
	expect_request("GET / HTTP/1.1", "A: b\r\n\tc: d\r\n", MB_HTTP_FOLDED_FIELD);
	expect_text("GET / HTTP/1.1\r\n Host: x\r\n\r\n", MB_HTTP_FOLDED_FIELD);
	expect_request("GET / HTTP/1.1", "A : b\r\n", MB_HTTP_BAD_FIELD_NAME);
	expect_request("GET / HTTP/1.1", "A\t: b\r\n", MB_HTTP_BAD_FIELD_NAME);
	expect_request("GET / HTTP/1.1", "A b: c\r\n", MB_HTTP_BAD_FIELD_NAME);
	expect_request("GET / HTTP/1.1", ": b\r\n", MB_HTTP_BAD_FIELD_NAME);
	expect_request("GET / HTTP/1.1", "A\r\n", MB_HTTP_BAD_FIELD_NAME);
	expect_request("GET / HTTP/1.1", "\xc3\xa9: b\r\n", MB_HTTP_BAD_FIELD_NAME);
	expect_request("GET / HTTP/1.1", "A(: b\r\n", MB_HTTP_BAD_FIELD_NAME);
	expect_request("GET / HTTP/1.1", "A: b\x01\r\n", MB_HTTP_BAD_FIELD_VALUE);
	expect_request("GET / HTTP/1.1", "A: \x0b\r\n", MB_HTTP_BAD_FIELD_VALUE);
	expect_request("GET / HTTP/1.1", "A: \x7f\r\n", MB_HTTP_BAD_FIELD_VALUE);
	expect_request("GET / HTTP/1.1", "A: \xff : ;\"\r\n", MB_HTTP_FINE);
	expect("GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", 33, MB_HTTP_BAD_FIELD_VALUE);
	expect("GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n", 34, MB_HTTP_BAD_FIELD_NAME);
}

static void
hosts(void)
{
	expect_text("GET / HTTP/1.1\r\n\r\n", MB_HTTP_NO_HOST);
	expect_text("GET / HTTP/1.0\r\n\r\n", MB_HTTP_FINE);
	expect_text("GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n", MB_HTTP_SEVERAL_HOSTS);
	expect_text("GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", MB_HTTP_SEVERAL_HOSTS);
	expect_text("GET / HTTP/1.1\r\nHost:\r\n\r\n", MB_HTTP_BAD_HOST);
	expect_text("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", MB_HTTP_BAD_HOST);
	expect_text("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", MB_HTTP_BAD_HOST);
	expect_text("GET / HTTP/1.1\r\nHost: me@a\r\n\r\n", MB_HTTP_BAD_HOST);
	expect_text("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", MB_HTTP_BAD_HOST);
	expect_text("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", MB_HTTP_BAD_HOST);
	expect_text("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", MB_HTTP_FINE);
	expect_text("GET / HTTP/1.1\r\nHost:localhost:8080\r\n\r\n", MB_HTTP_FINE);
}

static void
lengths(void)
{
	static const char *const bad[] = { "",	  "-1",	 "+1",	"1 2",		"1,1", "1, 1", "0x10",
									   "1.0", "1e2", "ten", "\xd9\xa1", "1;",  "--0" };
	char field[100];
	mb_http_head head;
	const char *largest =
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		snprintf(field, sizeof(field), "Content-Length: %s\r\n", bad[i]);
		expect_request("POST / HTTP/1.1", field, MB_HTTP_BAD_LENGTH);
	}
	expect_request("POST / HTTP/1.1", "Content-Length: 0\r\n", MB_HTTP_FINE);
	expect_request("POST / HTTP/1.1", "Content-Length: 007\r\n", MB_HTTP_FINE);
	check_int(feed(&head, largest, strlen(largest), 1000), MB_HTTP_HEAD_COMPLETE);
	check_int(head.content_length, INT64_MAX);
	expect_request("POST / HTTP/1.1", "Content-Length: 9223372036854775808\r\n",
				   MB_HTTP_BODY_TOO_LARGE);
	expect_request("POST / HTTP/1.1", "Content-Length: 18446744073709551617\r\n",
				   MB_HTTP_BODY_TOO_LARGE);
	expect_request("POST / HTTP/1.1", "Content-Length: 5\r\nContent-Length: 5\r\n",
				   MB_HTTP_SEVERAL_LENGTHS);
	expect_request("POST / HTTP/1.1", "Content-Length: 5\r\nContent-Length: 6\r\n",
				   MB_HTTP_SEVERAL_LENGTHS);
	expect_request("POST / HTTP/1.1", "", MB_HTTP_LENGTH_REQUIRED);
	expect_request("PUT / HTTP/1.0", "", MB_HTTP_LENGTH_REQUIRED);
	expect_request("PATCH / HTTP/1.1", "", MB_HTTP_LENGTH_REQUIRED);
	expect_request("DELETE / HTTP/1.1", "", MB_HTTP_FINE);
}

static void
codings(void)
{
	mb_http_head head;
	const char *text = "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";

	check_int(feed(&head, text, strlen(text), 3), MB_HTTP_HEAD_COMPLETE);
	check_int(head.framing, MB_HTTP_CHUNKED);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding: gzip\r\n", MB_HTTP_OTHER_CODING);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n", MB_HTTP_OTHER_CODING);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding: chunked, chunked\r\n",
				   MB_HTTP_OTHER_CODING);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding: identity\r\n", MB_HTTP_OTHER_CODING);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding: xchunked\r\n", MB_HTTP_OTHER_CODING);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding:\r\n", MB_HTTP_OTHER_CODING);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
				   MB_HTTP_SEVERAL_CODINGS);
	expect_request("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
				   MB_HTTP_LENGTH_AND_CODING);
	expect_request("POST / HTTP/1.1", "Content-Length: 3\r\nTransfer-Encoding: x\r\n",
				   MB_HTTP_LENGTH_AND_CODING);
	expect_request("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n", MB_HTTP_CODING_IN_1_0);
}

static void
expectations(void)
{
	mb_http_head head;
	const char *old = "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";

	expect_request("PUT / HTTP/1.1", "Content-Length: 1\r\nExpect: 200-ok\r\n",
				   MB_HTTP_OTHER_EXPECTATION);
	expect_request("PUT / HTTP/1.1", "Content-Length: 1\r\nExpect: 100-continue, x\r\n",
				   MB_HTTP_OTHER_EXPECTATION);
	expect_request("PUT / HTTP/1.1", "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: y\r\n",
				   MB_HTTP_OTHER_EXPECTATION);
	check_int(feed(&head, old, strlen(old), 5), MB_HTTP_HEAD_COMPLETE);
	check(!head.expect_continue);
}

/* Fills a head of n fields, or of n bytes. */
static void
sizes(void)
{
	static char text[2 * MB_HTTP_MAX_HEAD];
	size_t at;

	for (int n = MB_HTTP_MAX_FIELDS - 1; n <= MB_HTTP_MAX_FIELDS; n++)
	{
		at = (size_t) sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
		for (int i = 0; i < n; i++)
			at += (size_t) sprintf(text + at, "X-%d: y\r\n", i);
		memcpy(text + at, "\r\n", 2);
		expect(text, at + 2, n < MB_HTTP_MAX_FIELDS ? MB_HTTP_FINE : MB_HTTP_TOO_MANY_FIELDS);
	}
	for (int over = 0; over <= 1; over++)
	{
		at = (size_t) sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
		memset(text + at, 'a', sizeof(text) - at);
		at = MB_HTTP_MAX_HEAD - 4 + (size_t) over;
		memcpy(text + at, "\r\n\r\n", 4);
		expect(text, at + 4, over ? MB_HTTP_HEAD_TOO_LARGE : MB_HTTP_FINE);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	expect(text, sizeof(text), MB_HTTP_TARGET_TOO_LONG);
}

static void
every_violation_has_its_answer(void)
{
	for (int i = 1; i < MB_HTTP_VIOLATIONS; i++)
	{
		check_range(mb_http_violation_status((mb_http_violation) i), 400, 505);
		check(strlen(mb_http_violation_message((mb_http_violation) i)) > 10);
	}
	check_int(mb_http_violation_status(MB_HTTP_BARE_LINE_FEED), 400);
	check_int(mb_http_violation_status(MB_HTTP_LENGTH_REQUIRED), 411);
	check_int(mb_http_violation_status(MB_HTTP_BODY_TOO_LARGE), 413);
	check_int(mb_http_violation_status(MB_HTTP_OTHER_EXPECTATION), 417);
	check_int(mb_http_violation_status(MB_HTTP_HEAD_TOO_LARGE), 431);
	check_int(mb_http_violation_status(MB_HTTP_OTHER_CODING), 501);
	check_int(mb_http_violation_status(MB_HTTP_OTHER_VERSION), 505);
}

static void
tokens_are_walked(void)
{
	const char *text = "GET / HTTP/1.1\r\nHost: x\r\nL: a, ,b c ,\r\nM: q\r\nL:\r\nl:d\r\n\r\n";
	static const char *const wanted[] = { "a", "b c", "d" };
	mb_http_walk walk = { 0 };
	mb_http_span token;
	mb_http_head head;

	REQUIRE(feed(&head, text, strlen(text), 9) == MB_HTTP_HEAD_COMPLETE);
	for (int i = 0; i < 3; i++)
	{
		REQUIRE(mb_http_head_next_token(&head, text, "L", &walk, &token));
		check(mb_http_span_is(token, text, wanted[i]));
	}
	check(!mb_http_head_next_token(&head, text, "L", &walk, &token));
	check(!mb_http_head_next_token(&head, text, "L", &walk, &token));
	walk = (mb_http_walk){ 0 };
	check(!mb_http_head_next_token(&head, text, "None", &walk, &token));
}

int
main(void)
{
	check_run("a head is read, in whatever pieces it comes", a_head_is_read);
	check_run("connections live as their version and header say",
			  connections_live_by_their_version);
	check_run("request lines", request_lines);
	check_run("lines end in CR LF, and a bare LF is refused at once", line_ends);
	check_run("header lines", fields);
	check_run("Host stands exactly once", hosts);
	check_run("Content-Length is digits and stands once", lengths);
	check_run("no coding but chunked, and none beside a length", codings);
	check_run("no expectation but 100-continue", expectations);
	check_run("heads and their number of lines are bounded", sizes);
	check_run("every violation has a status and a sentence", every_violation_has_its_answer);
	check_run("tokens in lists are walked through all lines of the name", tokens_are_walked);
	return check_done();
}
