/*
 * twilio_signature.c
 *	  Checks the X-Twilio-Signature header; see twilio_signature.h.
 *
 * The string to sign is never put together in memory: its pieces go into the HMAC one after another.
 */
#include "core/web/twilio_signature.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "core/crypto/digest.h"

#define SHA1_SIZE 20

typedef struct slice
{
	const char *text;
	size_t length;
} slice;

/* A URL in its parts; put together again they are the URL, but for its fragment. */
typedef struct url_parts
{
	slice scheme;	/* without :// */
	slice userinfo; /* with its @, or empty */
	slice host;		/* with its brackets */
	slice port;		/* with its colon, or empty */
	slice path;		/* may be empty */
	slice query;	/* without its question mark */
	bool has_query;
} url_parts;

/* Computes signatures with one key, one after another. */
typedef struct signer
{
	EVP_MAC *mac;
	EVP_MAC_CTX *context;
	bool ok;
} signer;

const char *
mb_twilio_verdict_message(mb_twilio_verdict verdict)
{
	switch (verdict)
	{
		case MB_TWILIO_VALID:
			return "signature is valid";
		case MB_TWILIO_BAD_SIGNATURE:
			return "signature does not match";
		case MB_TWILIO_BODY_CHANGED:
			return "body does not match bodySHA256";
		case MB_TWILIO_BODY_NOT_SIGNED:
			return "URL has no bodySHA256, so the body is not signed";
		case MB_TWILIO_NO_TOKEN:
			return "auth token is empty";
		case MB_TWILIO_BAD_URL:
			return "URL cannot have been signed";
		case MB_TWILIO_FAILURE:
			return "signature could not be computed";
	}
	return "unknown verdict";
}

/* --- signing ------------------------------------------------------------ */

static void
signer_init(signer *s, const char *token, size_t token_length)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA1", 0),
		OSSL_PARAM_construct_end(),
	};

	s->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	s->context = s->mac != NULL ? EVP_MAC_CTX_new(s->mac) : NULL;
	s->ok = s->context != NULL &&
			EVP_MAC_init(s->context, (const unsigned char *) token, token_length, params) == 1;
}

static void
signer_end(signer *s)
{
	EVP_MAC_CTX_free(s->context);
	EVP_MAC_free(s->mac);
}

/* Begins another string with the same key. */
static void
signer_restart(signer *s)
{
	s->ok = s->ok && EVP_MAC_init(s->context, NULL, 0, NULL) == 1;
}

static void
put(signer *s, const char *text, size_t length)
{
	if (length > 0)
		s->ok = s->ok && EVP_MAC_update(s->context, (const unsigned char *) text, length) == 1;
}

static void
put_slice(signer *s, slice text)
{
	put(s, text.text, text.length);
}

static void
put_string(signer *s, const char *text)
{
	put(s, text, strlen(text));
}

/* The signature of what was put; empty when something failed. */
static void
signer_finish(signer *s, char signature[MB_TWILIO_SIGNATURE_LENGTH + 1])
{
	unsigned char mac[SHA1_SIZE];
	size_t length = 0;

	signature[0] = '\0';
	s->ok =
		s->ok && EVP_MAC_final(s->context, mac, &length, sizeof(mac)) == 1 && length == sizeof(mac);
	if (s->ok)
		EVP_EncodeBlock((unsigned char *) signature, mac, sizeof(mac));
}

static int
compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t shorter = a_length < b_length ? a_length : b_length;
	int order = shorter > 0 ? memcmp(a, b, shorter) : 0;

	return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static int
compare_names(const mb_form_field *a, const mb_form_field *b)
{
	return compare_bytes(a->name, a->name_length, b->name, b->name_length);
}

/* By name, then by value; for qsort. */
static int
compare_fields(const void *a, const void *b)
{
	const mb_form_field *left = a;
	const mb_form_field *right = b;
	int order = compare_names(left, right);

	return order != 0
			   ? order
			   : compare_bytes(left->value, left->value_length, right->value, right->value_length);
}

static void
sort_fields(mb_form_field *fields, size_t n)
{
	if (n > 1)
		qsort(fields, n, sizeof(fields[0]), compare_fields);
}

/* Sorted fields; what stands twice counts once. */
static void
put_fields(signer *s, const mb_form_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (i > 0 && compare_fields(&fields[i - 1], &fields[i]) == 0)
			continue;
		put(s, fields[i].name, fields[i].name_length);
		put(s, fields[i].value, fields[i].value_length);
	}
}

mb_status
mb_twilio_sign(const char *token, size_t token_length, const char *url, size_t url_length,
			   mb_form_field *params, size_t n_params,
			   char signature[MB_TWILIO_SIGNATURE_LENGTH + 1])
{
	signer s;

	sort_fields(params, n_params);
	signer_init(&s, token, token_length);
	put(&s, url, url_length);
	put_fields(&s, params, n_params);
	signer_finish(&s, signature);
	signer_end(&s);
	return s.ok ? MB_OK : MB_ERR_CRYPTO;
}

/* --- URLs --------------------------------------------------------------- */

/* Bytes before the first of the given ones. */
static size_t
span_without(const char *text, size_t n, const char *stops)
{
	size_t i;

	for (i = 0; i < n && strchr(stops, text[i]) == NULL; i++)
		;
	return i;
}

/* Cuts n bytes off the front of "from". */
static slice
cut(slice *from, size_t n)
{
	slice front = { from->text, n };

	from->text += n;
	from->length -= n;
	return front;
}

/* Where the last of these bytes ends, or 0. */
static size_t
end_of_last(slice text, char c)
{
	size_t n = text.length;

	while (n > 0 && text.text[n - 1] != c)
		n--;
	return n;
}

static bool
ends_in_slash(slice path)
{
	return path.length > 0 && path.text[path.length - 1] == '/';
}

static bool
scheme_is(slice scheme, const char *name)
{
	return scheme.length == strlen(name) && strncasecmp(scheme.text, name, scheme.length) == 0;
}

static bool
split_url(const char *url, size_t n, url_parts *parts)
{
	slice rest = { url, n };
	slice authority;
	size_t host_end;

	memset(parts, 0, sizeof(*parts));
	if (n > MB_TWILIO_MAX_URL || memchr(url, '\0', n) != NULL)
		return false;
	rest.length = span_without(url, n, "#");

	parts->scheme = cut(&rest, span_without(rest.text, rest.length, ":/?"));
	if (parts->scheme.length == 0 || rest.length < 3 || memcmp(rest.text, "://", 3) != 0)
		return false;
	(void) cut(&rest, 3);

	authority = cut(&rest, span_without(rest.text, rest.length, "/?"));
	parts->userinfo = cut(&authority, end_of_last(authority, '@'));
	/* in an IPv6 literal the port's colon comes after the bracket */
	host_end = end_of_last(authority, ']');
	host_end += span_without(authority.text + host_end, authority.length - host_end, ":");
	parts->host = cut(&authority, host_end);
	parts->port = authority;

	parts->path = cut(&rest, span_without(rest.text, rest.length, "?"));
	parts->has_query = rest.length > 0;
	if (parts->has_query)
		(void) cut(&rest, 1);
	parts->query = rest;
	return parts->host.length > 0;
}

static void
put_lower(signer *s, slice text)
{
	for (size_t i = 0; i < text.length; i++)
	{
		char c = text.text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char) (c - 'A' + 'a');
		put(s, &c, 1);
	}
}

static void
put_percent(signer *s, unsigned char byte)
{
	static const char hex[] = "0123456789ABCDEF";
	const char encoded[3] = { '%', hex[byte >> 4], hex[byte & 0xF] };

	put(s, encoded, sizeof(encoded));
}

/* Encodes what the URL Standard does not let stand in this part. */
static void
put_normalised(signer *s, slice text, const char *encoded)
{
	for (size_t i = 0; i < text.length; i++)
	{
		unsigned char byte = (unsigned char) text.text[i];

		if (byte <= 0x20 || byte >= 0x7F || strchr(encoded, byte) != NULL)
			put_percent(s, byte);
		else
			put(s, &text.text[i], 1);
	}
}

/* Leaves letters, digits and -_.!~*'() as they are. */
static void
put_form_encoded(signer *s, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		unsigned char byte = (unsigned char) text[i];

		if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
			(byte >= 'a' && byte <= 'z') || (byte != 0 && strchr("-_.!~*'()", byte) != NULL))
			put(s, &text[i], 1);
		else
			put_percent(s, byte);
	}
}

/*
 * The query decoded and encoded again, equal names brought together where the first of
 * them stood, each with an equals sign.
 */
static void
put_legacy_query(signer *s, const mb_form_field *fields, size_t n)
{
	bool first = true;

	for (size_t i = 0; i < n; i++)
	{
		bool seen = false;

		for (size_t j = 0; j < i && !seen; j++)
			seen = compare_names(&fields[j], &fields[i]) == 0;
		for (size_t j = i; j < n && !seen; j++)
		{
			if (compare_names(&fields[j], &fields[i]) != 0)
				continue;
			if (!first)
				put_string(s, "&");
			first = false;
			put_form_encoded(s, fields[j].name, fields[j].name_length);
			put_string(s, "=");
			put_form_encoded(s, fields[j].value, fields[j].value_length);
		}
	}
}

/* A query decoded; what it is decoded into is too large to make more than one of. */
typedef struct query_fields
{
	mb_form_field fields[MB_TWILIO_MAX_QUERY_FIELDS];
	size_t n;
	char storage[MB_TWILIO_MAX_URL];
} query_fields;

static bool
parse_query(const url_parts *parts, query_fields *query)
{
	return mb_form_parse(parts->query.text, parts->query.length, query->storage, query->fields,
						 MB_TWILIO_MAX_QUERY_FIELDS, &query->n) == MB_OK;
}

/* The URL in one of the forms in which Twilio may have signed it. */
static void
put_url(signer *s, const url_parts *parts, const query_fields *query, unsigned form)
{
	bool normalised = (form & MB_TWILIO_FORM_NORMALISED) != 0;

	if (normalised)
		put_lower(s, parts->scheme);
	else
		put_slice(s, parts->scheme);
	put_string(s, "://");
	put_slice(s, parts->userinfo);
	if (normalised)
		put_lower(s, parts->host);
	else
		put_slice(s, parts->host);

	if ((form & MB_TWILIO_FORM_PORT) != 0)
	{
		if (parts->port.length > 1)
			put_slice(s, parts->port);
		else if (scheme_is(parts->scheme, "https") || scheme_is(parts->scheme, "wss"))
			put_string(s, ":443");
		else
			put_string(s, ":80");
	}

	if (normalised)
		put_normalised(s, parts->path, "\"<>`{}");
	else
		put_slice(s, parts->path);
	if ((normalised && parts->path.length == 0) ||
		((form & MB_TWILIO_FORM_SLASH) != 0 && !ends_in_slash(parts->path)))
		put_string(s, "/");

	if (!parts->has_query || (form & MB_TWILIO_FORM_QUERY_FIELDS) != 0)
		return;
	put_string(s, "?");
	if ((form & MB_TWILIO_FORM_LEGACY_QUERY) != 0)
		put_legacy_query(s, query->fields, query->n);
	else if (normalised)
		put_normalised(s, parts->query, "\"<>'");
	else
		put_slice(s, parts->query);
}

/* --- checking ----------------------------------------------------------- */

/* What a check works on. */
typedef struct check
{
	const mb_twilio_proof *proof;
	url_parts parts;
	query_fields query;
	signer signer;
	bool valid;
	unsigned form; /* the first that fitted */
} check;

/* Tries one form; params are sorted. */
static void
try_form(check *c, unsigned form, const mb_form_field *params, size_t n_params)
{
	char expected[MB_TWILIO_SIGNATURE_LENGTH + 1];

	signer_restart(&c->signer);
	put_url(&c->signer, &c->parts, &c->query, form);
	put_fields(&c->signer, params, n_params);
	signer_finish(&c->signer, expected);
	if (c->signer.ok && c->proof->signature_length == MB_TWILIO_SIGNATURE_LENGTH &&
		mb_equal(expected, c->proof->signature, MB_TWILIO_SIGNATURE_LENGTH))
	{
		if (!c->valid)
			c->form = form;
		c->valid = true;
	}
}

/* Prepares a check; what is not MB_TWILIO_VALID is the verdict and ends it. */
static mb_twilio_verdict
check_begin(check *c, const mb_twilio_proof *proof, const char *url, size_t url_length)
{
	c->proof = proof;
	c->valid = false;
	c->form = 0;
	if (proof->token_length == 0)
		return MB_TWILIO_NO_TOKEN;
	if (!split_url(url, url_length, &c->parts) || !parse_query(&c->parts, &c->query))
		return MB_TWILIO_BAD_URL;
	signer_init(&c->signer, proof->token, proof->token_length);
	return MB_TWILIO_VALID;
}

static mb_twilio_verdict
check_end(check *c, unsigned *form)
{
	bool ok = c->signer.ok;

	signer_end(&c->signer);
	if (!ok)
		return MB_TWILIO_FAILURE;
	if (!c->valid)
		return MB_TWILIO_BAD_SIGNATURE;
	if (form != NULL)
		*form = c->form;
	return MB_TWILIO_VALID;
}

/* Tries all forms of a webhook's URL. */
static mb_twilio_verdict
check_url(check *c, const mb_twilio_proof *proof, const char *url, size_t url_length,
		  mb_form_field *params, size_t n_params, unsigned *form)
{
	static const unsigned forms[] = { 0, MB_TWILIO_FORM_NORMALISED,
									  MB_TWILIO_FORM_NORMALISED | MB_TWILIO_FORM_LEGACY_QUERY };
	mb_twilio_verdict verdict = check_begin(c, proof, url, url_length);

	if (verdict != MB_TWILIO_VALID)
		return verdict;
	sort_fields(params, n_params);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		try_form(c, forms[i], params, n_params);
		try_form(c, forms[i] | MB_TWILIO_FORM_PORT, params, n_params);
	}
	return check_end(c, form);
}

mb_twilio_verdict
mb_twilio_check_form(const mb_twilio_proof *proof, const char *url, size_t url_length,
					 mb_form_field *params, size_t n_params, unsigned *form)
{
	check c;

	return check_url(&c, proof, url, url_length, params, n_params, form);
}

/* True when the hex digits are the SHA-256 of the body. */
static bool
digest_fits(const mb_form_field *stated, const uint8_t digest[MB_SHA256_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	char expected[2 * MB_SHA256_SIZE];

	for (size_t i = 0; i < MB_SHA256_SIZE; i++)
	{
		expected[2 * i] = hex[digest[i] >> 4];
		expected[2 * i + 1] = hex[digest[i] & 0xF];
	}
	return stated->value_length == sizeof(expected) &&
		   mb_equal(stated->value, expected, sizeof(expected));
}

mb_twilio_verdict
mb_twilio_check_body(const mb_twilio_proof *proof, const char *url, size_t url_length,
					 const void *body, size_t body_length, unsigned *form)
{
	check c;
	uint8_t digest[MB_SHA256_SIZE];
	mb_twilio_verdict verdict = check_url(&c, proof, url, url_length, NULL, 0, form);

	if (verdict != MB_TWILIO_VALID)
		return verdict;
	if (mb_sha256(body, body_length, digest) != MB_OK)
		return MB_TWILIO_FAILURE;
	for (size_t i = 0; i < c.query.n; i++)
	{
		if (mb_form_field_is(&c.query.fields[i], "bodySHA256"))
			return digest_fits(&c.query.fields[i], digest) ? MB_TWILIO_VALID
														   : MB_TWILIO_BODY_CHANGED;
	}
	return MB_TWILIO_BODY_NOT_SIGNED;
}

mb_twilio_verdict
mb_twilio_check_websocket(const mb_twilio_proof *proof, const char *url, size_t url_length,
						  unsigned *form)
{
	static const slice wss = { "wss", 3 };
	static const slice ws = { "ws", 2 };
	const unsigned all = MB_TWILIO_FORM_PORT | MB_TWILIO_FORM_SLASH | MB_TWILIO_FORM_QUERY_FIELDS;
	check c;
	mb_twilio_verdict verdict = check_begin(&c, proof, url, url_length);

	if (verdict != MB_TWILIO_VALID)
		return verdict;
	if (scheme_is(c.parts.scheme, "https") || scheme_is(c.parts.scheme, "wss"))
		c.parts.scheme = wss;
	else if (scheme_is(c.parts.scheme, "http") || scheme_is(c.parts.scheme, "ws"))
		c.parts.scheme = ws;
	else
	{
		signer_end(&c.signer);
		return MB_TWILIO_BAD_URL;
	}

	sort_fields(c.query.fields, c.query.n);
	for (unsigned f = 0; f <= all; f++)
	{
		if ((f & ~all) != 0)
			continue;
		if ((f & MB_TWILIO_FORM_QUERY_FIELDS) != 0)
			try_form(&c, f, c.query.fields, c.query.n);
		else
			try_form(&c, f, NULL, 0);
	}
	return check_end(&c, form);
}
