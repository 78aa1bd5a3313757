/*
 * fuzz_twilio_signature.c
 *	  Any URL, form body and header: nothing passes that was not signed, and whatever can be
 *	  signed passes.  The input is the URL, a form body and a header, each in a line.
 *
 * Fuzz with: -max_len=9000
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/web/form.h"
#include "core/web/twilio_signature.h"

/* not the token of the published vectors, which are among the seeds */
#define TOKEN "54321"
#define MAX_FIELDS 64

/* The next line in memory of exactly its size. */
static char *
next_line(const uint8_t **at, const uint8_t *end, size_t *n)
{
	const uint8_t *stop = memchr(*at, '\n', (size_t) (end - *at));
	char *line;

	*n = (size_t) ((stop != NULL ? stop : end) - *at);
	line = malloc(*n > 0 ? *n : 1);
	memcpy(line, *at, *n);
	*at = stop != NULL ? stop + 1 : end;
	return line;
}

static void
check_form(const char *url, size_t url_length, mb_form_field *fields, size_t n_fields,
		   const char *header, size_t header_length)
{
	char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];
	mb_twilio_proof proof = { TOKEN, strlen(TOKEN), header, header_length };
	const char *fragment = memchr(url, '#', url_length);
	size_t without_fragment = fragment != NULL ? (size_t) (fragment - url) : url_length;
	mb_twilio_verdict verdict =
		mb_twilio_check_form(&proof, url, url_length, fields, n_fields, NULL);

	/* nobody guesses a signature */
	require(verdict == MB_TWILIO_BAD_SIGNATURE || verdict == MB_TWILIO_BAD_URL);
	require(mb_twilio_sign(TOKEN, strlen(TOKEN), url, without_fragment, fields, n_fields,
						   signature) == MB_OK);
	proof.signature = signature;
	proof.signature_length = strlen(signature);
	require(strlen(signature) == MB_TWILIO_SIGNATURE_LENGTH);

	proof.token = "54322";
	require(mb_twilio_check_form(&proof, url, url_length, fields, n_fields, NULL) !=
			MB_TWILIO_VALID);
	proof.token_length = 0;
	require(mb_twilio_check_form(&proof, url, url_length, fields, n_fields, NULL) ==
			MB_TWILIO_NO_TOKEN);
}

/* https://example.com/ and whatever follows can be signed, and then passes. */
static void
check_known_host(const char *path, size_t n, mb_form_field *fields, size_t n_fields)
{
	static const char host[] = "https://example.com/";
	size_t length = strlen(host) + n;
	char *url = malloc(length);
	char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];
	mb_twilio_proof proof = { TOKEN, strlen(TOKEN), signature, MB_TWILIO_SIGNATURE_LENGTH };
	mb_form_field *query = malloc(MB_TWILIO_MAX_QUERY_FIELDS * sizeof(*query));
	char *storage = malloc(length);
	size_t n_query;
	const char *mark;
	mb_twilio_verdict verdict;

	memcpy(url, host, strlen(host));
	memcpy(url + strlen(host), path, n);
	mark = memchr(url, '?', length);
	require(mb_twilio_sign(TOKEN, strlen(TOKEN), url, length, fields, n_fields, signature) ==
			MB_OK);
	verdict = mb_twilio_check_form(&proof, url, length, fields, n_fields, NULL);
	if (length <= MB_TWILIO_MAX_URL && memchr(url, '#', length) == NULL &&
		memchr(url, '\0', length) == NULL &&
		(mark == NULL || mb_form_parse(mark + 1, length - (size_t) (mark + 1 - url), storage, query,
									   MB_TWILIO_MAX_QUERY_FIELDS, &n_query) == MB_OK))
		require(verdict == MB_TWILIO_VALID);
	else
		require(verdict != MB_TWILIO_FAILURE);
	require(mb_twilio_check_websocket(&proof, url, length, NULL) != MB_TWILIO_VALID);
	require(mb_twilio_check_body(&proof, url, length, path, n, NULL) != MB_TWILIO_VALID);
	free(storage);
	free(query);
	free(url);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *at = data;
	const uint8_t *end = data + size;
	size_t url_length;
	size_t body_length;
	size_t header_length;
	char *url = next_line(&at, end, &url_length);
	char *body = next_line(&at, end, &body_length);
	char *header = next_line(&at, end, &header_length);
	char *storage = malloc(body_length > 0 ? body_length : 1);
	mb_form_field fields[MAX_FIELDS];
	size_t n_fields;

	(void) mb_form_parse(body, body_length, storage, fields, MAX_FIELDS, &n_fields);
	check_form(url, url_length, fields, n_fields, header, header_length);
	check_known_host(url, url_length, fields, n_fields);
	free(storage);
	free(header);
	free(body);
	free(url);
	return 0;
}
