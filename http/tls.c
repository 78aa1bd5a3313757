/*
 * tls.c
 *	  TLS of a connection, by OpenSSL, without blocking.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

struct http_tls
{
	SSL_CTX *context;
};

/* The last reason of OpenSSL, and an empty list of them. */
static void
explain(const char *what, const char *file, char *error, size_t error_size)
{
	char reason[200];

	ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
	ERR_clear_error();
	snprintf(error, error_size, "could not use the %s \"%s\": %s", what, file, reason);
}

http_tls *
http_tls_new(const char *certificate_file, const char *key_file, char *error, size_t error_size)
{
	http_tls *tls = calloc(1, sizeof(*tls));

	if (tls != NULL)
		tls->context = SSL_CTX_new(TLS_server_method());
	if (tls == NULL || tls->context == NULL)
	{
		snprintf(error, error_size, "out of memory");
		free(tls);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
									   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
									   SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION);
	if (SSL_CTX_use_certificate_chain_file(tls->context, certificate_file) != 1)
		explain("certificate", certificate_file, error, error_size);
	else if (SSL_CTX_use_PrivateKey_file(tls->context, key_file, SSL_FILETYPE_PEM) != 1 ||
			 SSL_CTX_check_private_key(tls->context) != 1)
		explain("key", key_file, error, error_size);
	else
		return tls;
	http_tls_free(tls);
	return NULL;
}

void
http_tls_free(http_tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

bool
http_tls_begin(http_request *request, http_tls *tls)
{
	request->tls = SSL_new(tls->context);
	if (request->tls == NULL || SSL_set_fd(request->tls, request->watch.fd) != 1)
	{
		ERR_clear_error();
		return false;
	}
	SSL_set_accept_state(request->tls);
	return true;
}

bool
http_tls_holds_bytes(const http_request *request)
{
	return SSL_pending(request->tls) > 0;
}

/* What an unsuccessful call means: -1 for not now, 0 for the end, -2 for a broken connection. */
static int
meaning_of(http_request *request, int result)
{
	int error = SSL_get_error(request->tls, result);

	ERR_clear_error();
	switch (error)
	{
		case SSL_ERROR_WANT_WRITE:
			request->tls_wants_write = true;
			return -1;
		case SSL_ERROR_WANT_READ:
			return -1;
		case SSL_ERROR_ZERO_RETURN:
			return 0;
		default:
			return -2;
	}
}

int
http_tls_read(http_request *request, void *bytes, int n)
{
	int result = SSL_read(request->tls, bytes, n);

	return result > 0 ? result : meaning_of(request, result);
}

int
http_tls_write(http_request *request, const void *bytes, int n)
{
	int result = SSL_write(request->tls, bytes, n);
	int meaning;

	request->tls_again = 0;
	if (result > 0)
		return result;
	meaning = meaning_of(request, result);
	/* it has made a record of these bytes, which must be given to it again */
	if (meaning == -1)
		request->tls_again = (size_t) n;
	return meaning == 0 ? -2 : meaning;
}

void
http_tls_end(http_request *request, bool in_order)
{
	if (request->tls == NULL)
		return;
	if (in_order)
		SSL_shutdown(request->tls);
	SSL_free(request->tls);
	ERR_clear_error();
	request->tls = NULL;
}
