/*
 * test_websocket.c
 *	  The opening handshake of a WebSocket: the key of RFC 6455, and what is refused.
 */
#include "check.h"
#include "core/web/websocket.h"

#define GOOD_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define GOOD_VERSION "Sec-WebSocket-Version: 13\r\n"
#define GOOD_UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"

static mb_websocket_verdict
verdict_of(const char *line, const char *fields)
{
	char text[1000];
	mb_http_head head;
	mb_http_span key;

	snprintf(text, sizeof(text), "%s\r\nHost: x\r\n%s\r\n", line, fields);
	mb_http_head_begin(&head);
	if (!check(mb_http_head_feed(&head, text, strlen(text)) == MB_HTTP_HEAD_COMPLETE))
		return MB_WEBSOCKET_FINE;
	return mb_websocket_check(&head, text, &key);
}

static void
the_key_of_the_standard(void)
{
	char accept[MB_WEBSOCKET_ACCEPT_LENGTH + 1];

	check_int(mb_websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", 24, accept), MB_OK);
	check_string(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void
good_requests(void)
{
	check_int(verdict_of("GET /ws HTTP/1.1", GOOD_UPGRADE GOOD_KEY GOOD_VERSION),
			  MB_WEBSOCKET_FINE);
	check_int(verdict_of("GET /ws HTTP/1.1", "connection: upgrade\r\nupgrade: h2c, websocket\r\n"
											 "Content-Length: 0\r\n" GOOD_KEY GOOD_VERSION),
			  MB_WEBSOCKET_FINE);
}

static void
bad_requests(void)
{
	static const struct
	{
		const char *line;
		const char *fields;
		mb_websocket_verdict verdict;
	} cases[] = {
		{ "GET / HTTP/1.1", "", MB_WEBSOCKET_NOT_ASKED },
		{ "GET / HTTP/1.1", "Upgrade: websocket\r\n" GOOD_KEY GOOD_VERSION,
		  MB_WEBSOCKET_NOT_ASKED },
		{ "GET / HTTP/1.1", "Connection: upgrade\r\n" GOOD_KEY GOOD_VERSION,
		  MB_WEBSOCKET_NOT_ASKED },
		{ "GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n" GOOD_KEY GOOD_VERSION,
		  MB_WEBSOCKET_NOT_ASKED },
		{ "DELETE / HTTP/1.1", GOOD_UPGRADE GOOD_KEY GOOD_VERSION, MB_WEBSOCKET_BAD_METHOD },
		{ "GET / HTTP/1.0", GOOD_UPGRADE GOOD_KEY GOOD_VERSION, MB_WEBSOCKET_BAD_METHOD },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_KEY, MB_WEBSOCKET_OTHER_VERSION },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_KEY "Sec-WebSocket-Version: 8\r\n",
		  MB_WEBSOCKET_OTHER_VERSION },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_KEY GOOD_VERSION GOOD_VERSION,
		  MB_WEBSOCKET_OTHER_VERSION },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_VERSION, MB_WEBSOCKET_BAD_KEY },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_VERSION GOOD_KEY GOOD_KEY, MB_WEBSOCKET_BAD_KEY },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_VERSION "Sec-WebSocket-Key: dGhl\r\n",
		  MB_WEBSOCKET_BAD_KEY },
		{ "GET / HTTP/1.1",
		  GOOD_UPGRADE GOOD_VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n",
		  MB_WEBSOCKET_BAD_KEY },
		{ "GET / HTTP/1.1",
		  GOOD_UPGRADE GOOD_VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSB*b25jZQ==\r\n",
		  MB_WEBSOCKET_BAD_KEY },
		{ "GET / HTTP/1.1",
		  GOOD_UPGRADE GOOD_VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n",
		  MB_WEBSOCKET_BAD_KEY },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_KEY GOOD_VERSION "Content-Length: 1\r\n",
		  MB_WEBSOCKET_HAS_BODY },
		{ "GET / HTTP/1.1", GOOD_UPGRADE GOOD_KEY GOOD_VERSION "Transfer-Encoding: chunked\r\n",
		  MB_WEBSOCKET_HAS_BODY },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		mb_websocket_verdict verdict = verdict_of(cases[i].line, cases[i].fields);

		check_report(verdict == cases[i].verdict, __FILE__, __LINE__, "case %zu: %s", i,
					 mb_websocket_verdict_message(verdict));
		check_int(mb_websocket_verdict_status(cases[i].verdict),
				  cases[i].verdict == MB_WEBSOCKET_NOT_ASKED ||
						  cases[i].verdict == MB_WEBSOCKET_OTHER_VERSION
					  ? 426
					  : 400);
	}
}

static void
subprotocols(void)
{
	const char *text =
		"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: token.a, mulberry.v1\r\n"
		"Sec-WebSocket-Protocol: media\r\n\r\n";
	mb_http_head head;

	mb_http_head_begin(&head);
	REQUIRE(mb_http_head_feed(&head, text, strlen(text)) == MB_HTTP_HEAD_COMPLETE);
	check(mb_websocket_offers(&head, text, "mulberry.v1"));
	check(mb_websocket_offers(&head, text, "media"));
	check(!mb_websocket_offers(&head, text, "Media"));
	check(!mb_websocket_offers(&head, text, "mulberry"));
}

int
main(void)
{
	check_run("the example of RFC 6455", the_key_of_the_standard);
	check_run("good requests", good_requests);
	check_run("requests that are refused, each with its verdict", bad_requests);
	check_run("subprotocols", subprotocols);
	return check_done();
}
