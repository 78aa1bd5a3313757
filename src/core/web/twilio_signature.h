/*
 * twilio_signature.h
 *	  Checks the X-Twilio-Signature header of webhooks and WebSocket upgrades: base64 of
 *	  HMAC-SHA-1, keyed with the account's primary auth token, over the URL as Twilio requested it
 *	  and the sorted parameters of a form body (Twilio, "Webhooks security").
 *
 * A signature has neither time nor nonce, and joins names to values without a mark between
 * them: it proves who sent the bytes, not that they are new.  Replays are the
 * caller's to recognise, and which account's token applies is his to know.
 * No HTTP, no tokens' storage here.
 */
#ifndef MB_TWILIO_SIGNATURE_H
#define MB_TWILIO_SIGNATURE_H

#include "core/web/form.h"
#include "core/mb.h"

#define MB_TWILIO_SIGNATURE_LENGTH 28 /* base64 of 20 bytes */

/* What is longer, or has more parameters in a query, is refused. */
#define MB_TWILIO_MAX_URL 8192
#define MB_TWILIO_MAX_QUERY_FIELDS 256

typedef enum mb_twilio_verdict
{
	MB_TWILIO_VALID = 0,
	MB_TWILIO_BAD_SIGNATURE,
	MB_TWILIO_BODY_CHANGED,	   /* signature right, but the body is not the one it was made for */
	MB_TWILIO_BODY_NOT_SIGNED, /* signature right, but nothing ties the body to it */
	MB_TWILIO_NO_TOKEN,		   /* the auth token is empty: anybody could sign */
	MB_TWILIO_BAD_URL,		   /* no scheme://host, a scheme of another kind, or too long */
	MB_TWILIO_FAILURE		   /* libcrypto failed */
} mb_twilio_verdict;

/*
 * In which form the URL was signed, for logs: 0 is the URL as given without a port, or these
 * added.
 */
#define MB_TWILIO_FORM_PORT 1		/* with its port, or with the scheme's own */
#define MB_TWILIO_FORM_NORMALISED 2 /* as the URL Standard writes it: small letters in the host … */
#define MB_TWILIO_FORM_LEGACY_QUERY 4  /* query decoded and encoded again */
#define MB_TWILIO_FORM_SLASH 8		   /* with a slash after the path */
#define MB_TWILIO_FORM_QUERY_FIELDS 16 /* query left out of the URL and signed as parameters */

/* The auth token and the header to check with it. */
typedef struct mb_twilio_proof
{
	const char *token;
	size_t token_length;
	const char *signature; /* the header's value */
	size_t signature_length;
} mb_twilio_proof;

/* One sentence for a verdict, in PostgreSQL's message style. */
extern const char *mb_twilio_verdict_message(mb_twilio_verdict verdict);

/*
 * The signature of exactly this URL with these parameters.  Names are sorted by byte, a repeated
 * name contributes each of its distinct values once, sorted.  params is sorted in place.
 * MB_ERR_CRYPTO; signature is then empty.
 */
extern mb_status mb_twilio_sign(const char *token, size_t token_length, const char *url,
								size_t url_length, mb_form_field *params, size_t n_params,
								char signature[MB_TWILIO_SIGNATURE_LENGTH + 1]);

/*
 * Checks a webhook whose parameters are in the query (GET: no params here) or in a form
 * body (params are its decoded fields, all of them; sorted in place).
 *
 * url is the one Twilio requested: scheme, host, path and query unchanged, a
 * fragment is ignored.  Behind a proxy it is made from the configured public address.  Since
 * Twilio is not consistent, the URL is tried without port and with port (its own, else 443 for https
 * and 80 for http), and in both ways again as the URL Standard writes it and with its query encoded
 * anew; but a slash at the end of a path is neither added nor taken away.
 *
 * All forms are computed and compared in constant time, whichever fits.
 * form, which may be NULL, receives the first that did.
 */
extern mb_twilio_verdict
mb_twilio_check_form(const mb_twilio_proof *proof, const char *url, size_t url_length,
					 mb_form_field *params, size_t n_params, unsigned *form);

/*
 * Checks a webhook with a body of another kind (JSON).  Twilio signs the URL alone, which
 * carries the body's SHA-256 as bodySHA256, and both must hold.  Without that parameter the
 * body is not authenticated: MB_TWILIO_BODY_NOT_SIGNED, even though the URL is genuine.
 */
extern mb_twilio_verdict
mb_twilio_check_body(const mb_twilio_proof *proof, const char *url, size_t url_length,
					 const void *body, size_t body_length, unsigned *form);

/*
 * Checks the upgrade request of a media stream.  Twilio signs wss://…; a URL spelled https:// or
 * http:// is taken as wss:// or ws://.  Forms tried: without and with port, with and without a
 * slash after the path, the query in the URL and as parameters.
 */
extern mb_twilio_verdict mb_twilio_check_websocket(const mb_twilio_proof *proof, const char *url,
												   size_t url_length, unsigned *form);

#endif /* MB_TWILIO_SIGNATURE_H */
