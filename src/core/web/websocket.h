/*
 * websocket.h
 *	  The opening handshake of a WebSocket from the server's side (RFC 6455, section 4.2): checks the
 *	  headers of the request and makes the answer to its key.  Frames are not its business.
 */
#ifndef MB_WEBSOCKET_H
#define MB_WEBSOCKET_H

#include "core/web/http_head.h"

#define MB_WEBSOCKET_ACCEPT_LENGTH 28 /* base64 of 20 bytes */

typedef enum mb_websocket_verdict
{
	MB_WEBSOCKET_FINE = 0,
	MB_WEBSOCKET_NOT_ASKED,		/* an ordinary request: 426 where only a WebSocket will do */
	MB_WEBSOCKET_OTHER_VERSION, /* 426, with Sec-WebSocket-Version: 13 */
	MB_WEBSOCKET_BAD_METHOD,	/* not GET, or HTTP/1.0: 400 */
	MB_WEBSOCKET_BAD_KEY,		/* missing, twice, or not 16 bytes in base64: 400 */
	MB_WEBSOCKET_HAS_BODY		/* 400 */
} mb_websocket_verdict;

/* The status of HTTP that answers it (0 for MB_WEBSOCKET_FINE), and one sentence for people. */
extern int mb_websocket_verdict_status(mb_websocket_verdict verdict);
extern const char *mb_websocket_verdict_message(mb_websocket_verdict verdict);

/* Checks a head that is complete; with MB_WEBSOCKET_FINE, key is the value of its key. */
extern mb_websocket_verdict
mb_websocket_check(const mb_http_head *head, const char *bytes, mb_http_span *key);

/*
 * The value of Sec-WebSocket-Accept for a key of n bytes.  MB_ERR_CRYPTO; accept is then empty.
 */
extern mb_status
mb_websocket_accept(const char *key, size_t n, char accept[MB_WEBSOCKET_ACCEPT_LENGTH + 1]);

/* True when the client offers this subprotocol. */
extern bool mb_websocket_offers(const mb_http_head *head, const char *bytes, const char *protocol);

#endif /* MB_WEBSOCKET_H */
