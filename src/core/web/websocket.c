/*
 * websocket.c
 *	  The opening handshake of a WebSocket; see websocket.h.
 */
#include "core/web/websocket.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_LENGTH 24 /* base64 of 16 bytes */
#define DIGEST_LENGTH 20

static const char version[] = "13";

/* RFC 6455, section 1.3 */
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

int
mb_websocket_verdict_status(mb_websocket_verdict verdict)
{
	switch (verdict)
	{
		case MB_WEBSOCKET_FINE:
			return 0;
		case MB_WEBSOCKET_NOT_ASKED:
		case MB_WEBSOCKET_OTHER_VERSION:
			return 426;
		case MB_WEBSOCKET_BAD_METHOD:
		case MB_WEBSOCKET_BAD_KEY:
		case MB_WEBSOCKET_HAS_BODY:
			break;
	}
	return 400;
}

const char *
mb_websocket_verdict_message(mb_websocket_verdict verdict)
{
	switch (verdict)
	{
		case MB_WEBSOCKET_FINE:
			return "the request asks for a WebSocket";
		case MB_WEBSOCKET_NOT_ASKED:
			return "this is a WebSocket, and the request does not ask for an upgrade to one";
		case MB_WEBSOCKET_OTHER_VERSION:
			return "only version 13 of the WebSocket protocol is spoken here";
		case MB_WEBSOCKET_BAD_METHOD:
			return "a WebSocket is asked for with GET and HTTP/1.1";
		case MB_WEBSOCKET_BAD_KEY:
			return "Sec-WebSocket-Key is not 16 bytes in base64";
		case MB_WEBSOCKET_HAS_BODY:
			return "a request for a WebSocket has no body";
	}
	return "unknown verdict";
}

/* base64 of exactly 16 bytes: 22 characters of which the last has two bits, then the padding. */
static bool
is_key(const char *text, size_t n)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (n != KEY_LENGTH || text[22] != '=' || text[23] != '=')
		return false;
	for (size_t i = 0; i < 22; i++)
		if (text[i] == '\0' || strchr(alphabet, text[i]) == NULL)
			return false;
	return (strchr(alphabet, text[21]) - alphabet) % 16 == 0;
}

static bool
has_token(const mb_http_head *head, const char *bytes, const char *name, const char *wanted)
{
	mb_http_walk walk = { 0 };
	mb_http_span token;

	while (mb_http_head_next_token(head, bytes, name, &walk, &token))
		if (mb_http_span_is_like(token, bytes, wanted))
			return true;
	return false;
}

mb_websocket_verdict
mb_websocket_check(const mb_http_head *head, const char *bytes, mb_http_span *key)
{
	int at = mb_http_head_find(head, bytes, "Sec-WebSocket-Version", 0);

	if (!head->upgrade || !has_token(head, bytes, "Upgrade", "websocket"))
		return MB_WEBSOCKET_NOT_ASKED;
	if (!mb_http_span_is(head->method, bytes, "GET") || head->minor_version < 1)
		return MB_WEBSOCKET_BAD_METHOD;
	if (at < 0 || !mb_http_span_is(head->fields[at].value, bytes, version) ||
		mb_http_head_find(head, bytes, "Sec-WebSocket-Version", at + 1) >= 0)
		return MB_WEBSOCKET_OTHER_VERSION;
	at = mb_http_head_find(head, bytes, "Sec-WebSocket-Key", 0);
	if (at < 0 || mb_http_head_find(head, bytes, "Sec-WebSocket-Key", at + 1) >= 0)
		return MB_WEBSOCKET_BAD_KEY;
	*key = head->fields[at].value;
	if (!is_key(bytes + key->at, key->length))
		return MB_WEBSOCKET_BAD_KEY;
	if (head->framing == MB_HTTP_CHUNKED || head->content_length > 0)
		return MB_WEBSOCKET_HAS_BODY;
	return MB_WEBSOCKET_FINE;
}

mb_status
mb_websocket_accept(const char *key, size_t n, char accept[MB_WEBSOCKET_ACCEPT_LENGTH + 1])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	bool ok = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
			  EVP_DigestUpdate(context, key, n) == 1 &&
			  EVP_DigestUpdate(context, guid, sizeof(guid) - 1) == 1 &&
			  EVP_DigestFinal_ex(context, digest, &length) == 1 && length == DIGEST_LENGTH;

	EVP_MD_CTX_free(context);
	accept[0] = '\0';
	if (!ok)
		return MB_ERR_CRYPTO;
	EVP_EncodeBlock((unsigned char *) accept, digest, DIGEST_LENGTH);
	return MB_OK;
}

bool
mb_websocket_offers(const mb_http_head *head, const char *bytes, const char *protocol)
{
	mb_http_walk walk = { 0 };
	mb_http_span token;

	/* a subprotocol's case matters */
	while (mb_http_head_next_token(head, bytes, "Sec-WebSocket-Protocol", &walk, &token))
		if (mb_http_span_is(token, bytes, protocol))
			return true;
	return false;
}
