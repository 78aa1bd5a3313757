/*
 * transfer.c
 *	  One HTTP transfer on a curl easy handle; see transfer.h.
 *
 * curl allocates with malloc; so do we for everything that a callback touches,
 * because palloc may raise an error and an error must not jump through curl.
 * Callbacks set fields and use malloc; they never raise.
 */
#include "server/compat.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "common/base64.h"

#include "core/web/address.h"
#include "core/web/blot.h"
#include "core/web/header_time.h"
#include "worker/transfer.h"

/* PREREQFUNCTION, which looks at the peer of a reused connection. */
#if LIBCURL_VERSION_NUM < 0x075000
#error "Mulberry needs libcurl 7.80 or later"
#endif

#define CONNECT_TIMEOUT_MS 10000

/* Reads one part of a multipart body. */
typedef struct part_reader
{
	const char *data;
	size_t size;
	size_t position;
} part_reader;

/* Collects the body, up to its limit. */
static size_t
on_body(char *data, size_t one, size_t size, void *arg)
{
	mulberry_transfer *transfer = arg;

	if (transfer->body_size + size > transfer->max_response)
	{
		transfer->too_large = true;
		return 0;
	}
	if (transfer->body_size + size > transfer->body_capacity)
	{
		size_t capacity = Max(transfer->body_capacity * 2, transfer->body_size + size);
		char *body;

		capacity = Max(capacity, 4096);
		capacity = Min(capacity, transfer->max_response);
		body = realloc(transfer->body, capacity);
		if (body == NULL)
		{
			transfer->out_of_memory = true;
			return 0;
		}
		transfer->body = body;
		transfer->body_capacity = capacity;
	}
	memcpy(transfer->body + transfer->body_size, data, size);
	transfer->body_size += size;
	return size;
}

/* The value of a header, with its length, when the line is one of this name; otherwise NULL. */
static const char *
header_value(const char *line, size_t size, const char *name, size_t *length)
{
	size_t name_length = strlen(name);

	if (size <= name_length || line[name_length] != ':' ||
		pg_strncasecmp(line, name, name_length) != 0)
		return NULL;
	*length = size - name_length - 1;
	return line + name_length + 1;
}

/* Keeps the headers that curl does not keep for us. */
static size_t
on_header(char *data, size_t one, size_t size, void *arg)
{
	static const char *const resets[] = { "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens",
										  "x-ratelimit-reset", "ratelimit-reset" };
	mulberry_transfer *transfer = arg;
	size_t length;
	size_t kept = 0;
	const char *value = header_value(data, size, "x-request-id", &length);

	if (value)
	{
		for (size_t i = 0; i < length && kept < sizeof transfer->request_id - 1; i++)
		{
			if (value[i] > ' ' && value[i] < 0x7f)
				transfer->request_id[kept++] = value[i];
		}
		transfer->request_id[kept] = '\0';
	}
	for (int i = 0; i < lengthof(resets); i++)
	{
		value = header_value(data, size, resets[i], &length);
		if (value)
		{
			int64 delay = mb_reset_delay(value, length, (int64) time(NULL));

			transfer->reset_delay = Max(transfer->reset_delay, delay);
		}
	}
	return size;
}

static size_t
read_part(char *buffer, size_t one, size_t room, void *arg)
{
	part_reader *reader = arg;
	size_t size = Min(room * one, reader->size - reader->position);

	memcpy(buffer, reader->data + reader->position, size);
	reader->position += size;
	return size;
}

static int
seek_part(void *arg, curl_off_t offset, int origin)
{
	part_reader *reader = arg;

	if (origin != SEEK_SET || offset < 0 || (size_t) offset > reader->size)
		return CURL_SEEKFUNC_FAIL;
	reader->position = (size_t) offset;
	return CURL_SEEKFUNC_OK;
}

/*
 * Opens the socket unless the address that the name resolved to is private and
 * the endpoint does not allow that.
 */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	mulberry_transfer *transfer = arg;
	bool is_public = false;
	const void *bytes = NULL;

	if (address->family == AF_INET)
	{
		bytes = &((struct sockaddr_in *) &address->addr)->sin_addr;
		is_public = mb_ipv4_is_public(bytes);
	}
	else if (address->family == AF_INET6)
	{
		bytes = &((struct sockaddr_in6 *) &address->addr)->sin6_addr;
		is_public = mb_ipv6_is_public(bytes);
	}
	if (!is_public && !transfer->allow_private)
	{
		transfer->address_refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/*
 * Looks at the peer once more before the request is sent: a reused connection
 * may have been opened for an endpoint that allows more.
 */
static int
on_before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	mulberry_transfer *transfer = arg;

	if (!transfer->allow_private && mb_address_is_literal_private(peer))
	{
		transfer->address_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

/* Appends a header; false when memory is out. */
static bool
add_header(mulberry_transfer *transfer, const char *line)
{
	struct curl_slist *list = curl_slist_append(transfer->headers, line);

	if (list == NULL)
		return false;
	transfer->headers = list;
	return true;
}

static bool
add_bearer(mulberry_transfer *transfer, const char *token)
{
	static const char prefix[] = "Authorization: Bearer ";
	size_t size = sizeof prefix + strlen(token);
	char *line = malloc(size);
	bool ok;

	if (line == NULL)
		return false;
	snprintf(line, size, "%s%s", prefix, token);
	ok = add_header(transfer, line);
	explicit_bzero(line, size);
	free(line);
	return ok;
}

/* Basic authentication as a header of ours, because curl's own copies outlive the transfer. */
static bool
add_basic(mulberry_transfer *transfer, const char *user, const char *password)
{
	static const char prefix[] = "Authorization: Basic ";
	size_t plain_size = strlen(user) + strlen(password) + 2;
	size_t size = sizeof prefix + pg_b64_enc_len((int) plain_size);
	char *plain = malloc(plain_size);
	char *line = malloc(size);
	int length = -1;
	bool ok = false;

	if (plain && line)
	{
		snprintf(plain, plain_size, "%s:%s", user, password);
		memcpy(line, prefix, sizeof prefix - 1);
		length = pg_b64_encode((const void *) plain, (int) plain_size - 1, line + sizeof prefix - 1,
							   (int) (size - sizeof prefix));
		if (length >= 0)
		{
			line[sizeof prefix - 1 + length] = '\0';
			ok = add_header(transfer, line);
		}
	}
	if (plain)
		explicit_bzero(plain, plain_size);
	if (line)
		explicit_bzero(line, size);
	free(plain);
	free(line);
	return ok;
}

static bool
add_part(mulberry_transfer *transfer, const mulberry_http_part *part)
{
	curl_mimepart *mime_part = curl_mime_addpart(transfer->mime);
	part_reader *reader;

	if (mime_part == NULL || curl_mime_name(mime_part, part->name) != CURLE_OK)
		return false;
	if (part->filename && curl_mime_filename(mime_part, part->filename) != CURLE_OK)
		return false;
	if (part->content_type && curl_mime_type(mime_part, part->content_type) != CURLE_OK)
		return false;
	if (part->filename == NULL)
		return curl_mime_data(mime_part, part->data, part->size) == CURLE_OK;

	/* A file is read from the caller's memory, not copied. */
	reader = malloc(sizeof(part_reader));
	if (reader == NULL)
		return false;
	*reader = (part_reader){ part->data, part->size, 0 };
	if (curl_mime_data_cb(mime_part, (curl_off_t) part->size, read_part, seek_part, free, reader) ==
		CURLE_OK)
		return true;
	free(reader);
	return false;
}

bool
mulberry_transfer_set_up(mulberry_transfer *transfer, const mulberry_http_request *request)
{
	CURL *easy = transfer->easy;
	bool ok = true;

	transfer->owner = request->owner;
	transfer->max_response = request->max_response;
	transfer->allow_private = request->allow_private;
	transfer->bytes = request->bytes;
	if (request->secret)
	{
		transfer->secret = strdup(request->secret);
		ok = transfer->secret != NULL;
	}

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK)
	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_URL, request->url);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, request->allow_http ? "http,https" : "https");
#else
	SET(CURLOPT_PROTOCOLS,
		request->allow_http ? (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS) : (long) CURLPROTO_HTTPS);
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	if (request->once)
		SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_PROXY, ""); /* nor one from the environment */
	SET(CURLOPT_USERAGENT, "mulberry/1.0");
	SET(CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) Min(request->timeout_ms, CONNECT_TIMEOUT_MS));
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, transfer);
	SET(CURLOPT_PREREQFUNCTION, on_before_request);
	SET(CURLOPT_PREREQDATA, transfer);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_ACCEPT_ENCODING, ""); /* any that curl can undo, asked for or not */

	/* Waiting for "100 Continue" costs a second with servers that never send it. */
	ok = ok && add_header(transfer, "Expect:");
	if (request->secret && request->user)
		ok = ok && add_basic(transfer, request->user, request->secret);
	else if (request->secret)
		ok = ok && add_bearer(transfer, request->secret);
	if (request->accept)
	{
		char line[256];

		snprintf(line, sizeof line, "Accept: %s", request->accept);
		ok = ok && add_header(transfer, line);
	}
	if (request->method == MULBERRY_HTTP_GET)
		SET(CURLOPT_HTTPGET, 1L);
	else if (request->method == MULBERRY_HTTP_DELETE)
		SET(CURLOPT_CUSTOMREQUEST, "DELETE");
	else if (request->nparts > 0)
	{
		transfer->mime = curl_mime_init(easy);
		ok = ok && transfer->mime != NULL;
		for (int i = 0; ok && i < request->nparts; i++)
			ok = add_part(transfer, &request->parts[i]);
		SET(CURLOPT_MIMEPOST, transfer->mime);
	}
	else
	{
		char line[256];

		snprintf(line, sizeof line, "Content-Type: %s", request->content_type);
		ok = ok && add_header(transfer, line);
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, request->body);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_size);
	}
	SET(CURLOPT_HTTPHEADER, transfer->headers);
#undef SET
	return ok;
}

void
mulberry_transfer_clear(mulberry_transfer *transfer)
{
	curl_easy_reset(transfer->easy);
	curl_mime_free(transfer->mime);
	for (struct curl_slist *header = transfer->headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer->headers);
	free(transfer->body);
	if (transfer->secret)
		explicit_bzero(transfer->secret, strlen(transfer->secret));
	free(transfer->secret);
	transfer->secret = NULL;
	transfer->mime = NULL;
	transfer->headers = NULL;
	transfer->body = NULL;
}

/* What a curl error means for the one who asked. */
static mulberry_http_outcome
classify(const mulberry_transfer *transfer, CURLcode code)
{
	curl_off_t sent = 0;

	if (transfer->too_large)
		return MULBERRY_HTTP_TOO_LARGE;
	if (transfer->address_refused)
		return MULBERRY_HTTP_UNREACHABLE;
	switch (code)
	{
		case CURLE_OK:
			return MULBERRY_HTTP_ANSWERED;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_UNSUPPORTED_PROTOCOL:
			return MULBERRY_HTTP_UNREACHABLE;
		case CURLE_OPERATION_TIMEDOUT:
			/* while connecting, or while waiting for the answer? */
			curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
			return sent == 0 ? MULBERRY_HTTP_UNREACHABLE : MULBERRY_HTTP_BROKEN;
		default:
			return MULBERRY_HTTP_BROKEN;
	}
}

/* Takes the secret out of all that a service has said. */
static void
blot_answer(mulberry_transfer *transfer, bool is_text)
{
	size_t length = transfer->secret ? strlen(transfer->secret) : 0;

	if (length == 0)
		return;
	if (is_text && transfer->body_size > 0)
		mb_blot_out(transfer->body, transfer->body_size, transfer->secret, length);
	mb_blot_out(transfer->error, strlen(transfer->error), transfer->secret, length);
	mb_blot_out(transfer->request_id, strlen(transfer->request_id), transfer->secret, length);
}

/* Takes the addresses out of curl's sentence that are not in the URL. */
static void
hide_addresses(mulberry_transfer *transfer)
{
	char *url = NULL;

	curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
	mb_hide_addresses(transfer->error, url ? url : "");
}

/* What the service calls the body, as far as it is printable; a secret would be blotted out. */
static void
copy_content_type(mulberry_transfer *transfer, mulberry_http_answer *answer)
{
	char *type = NULL;
	size_t length;

	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
	strlcpy(answer->content_type, type ? type : "", sizeof answer->content_type);
	length = strlen(answer->content_type);
	if (transfer->secret && transfer->secret[0])
		mb_blot_out(answer->content_type, length, transfer->secret, strlen(transfer->secret));
	for (char *c = answer->content_type; *c; c++)
	{
		if ((unsigned char) *c >= 0x7f || (unsigned char) *c < ' ')
			*c = '?';
	}
}

void
mulberry_transfer_answer(mulberry_transfer *transfer, CURLcode code, mulberry_http_answer *answer)
{
	curl_off_t value = 0;

	memset(answer, 0, sizeof *answer);
	answer->transfer = transfer;
	answer->owner = transfer->owner;
	answer->outcome = classify(transfer, code);
	answer->timed_out = code == CURLE_OPERATION_TIMEDOUT && answer->outcome == MULBERRY_HTTP_BROKEN;
	curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &value);
	answer->duration_ms = (int) (value / 1000);
	if (answer->outcome == MULBERRY_HTTP_ANSWERED)
	{
		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &answer->status);
		blot_answer(transfer, !transfer->bytes || answer->status < 200 || answer->status > 299);
		value = 0;
		curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &value);
		answer->retry_after = value;
		if (value == 0 && answer->status == 429)
			answer->retry_after = transfer->reset_delay;
		answer->body = transfer->body;
		answer->body_size = transfer->body_size;
		strlcpy(answer->request_id, transfer->request_id, sizeof answer->request_id);
		copy_content_type(transfer, answer);
		return;
	}
	blot_answer(transfer, true);
	hide_addresses(transfer);
	if (transfer->too_large)
		answer->error = "the answer is larger than mulberry.max_response_size";
	else if (transfer->address_refused)
		answer->error =
			"its address is not public and the endpoint does not allow private addresses";
	else if (transfer->out_of_memory)
		answer->error = "out of memory while reading the answer";
	else
		answer->error = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
}
