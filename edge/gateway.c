/*
 * gateway.c
 *	  Requests to a gateway, and what counts for an answer of one; see gateway.h.
 */
#include "gateway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define MAX_ANSWER (16 * 1024 * 1024)
#define MAX_TOKEN 256
#define CONNECT_SECONDS 15
#define MAX_RETRY_AFTER 3600

static edge_exit say(edge_gateway *gateway, edge_exit status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static edge_exit
say(edge_gateway *gateway, edge_exit status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(gateway->problem, sizeof(gateway->problem), format, list);
	va_end(list);
	return status;
}

/* Whether a host is this machine, whoever else listens: then nothing leaves it. */
static bool
is_loopback(const char *host)
{
	struct in_addr address;

	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
		   (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

static edge_exit
check_url(edge_gateway *gateway)
{
	CURLU *url = curl_url();
	char *scheme = NULL;
	char *host = NULL;
	char *more = NULL;
	edge_exit status = EDGE_EXIT_OK;

	if (url == NULL)
		return say(gateway, EDGE_EXIT_FAILED, "out of memory");
	if (curl_url_set(url, CURLUPART_URL, gateway->url, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		(strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		status = say(gateway, EDGE_EXIT_USAGE,
					 "gateway: \"%s\" is no URL such as https://host:port", gateway->url);
	else if (curl_url_get(url, CURLUPART_USER, &more, 0) == CURLUE_OK ||
			 curl_url_get(url, CURLUPART_QUERY, &more, 0) == CURLUE_OK ||
			 curl_url_get(url, CURLUPART_FRAGMENT, &more, 0) == CURLUE_OK)
		status = say(gateway, EDGE_EXIT_USAGE,
					 "gateway: the URL has a user, a query or a fragment, which it must not");
	else if (strcmp(scheme, "http") == 0 && !is_loopback(host))
		status = say(gateway, EDGE_EXIT_USAGE,
					 "gateway: http:// would show the token to the network, say https://%s", host);
	curl_free(scheme);
	curl_free(host);
	curl_free(more);
	curl_url_cleanup(url);
	return status;
}

/* Reads the token into "Authorization: Bearer ...". */
static edge_exit
read_token(edge_gateway *gateway, char header[static 32 + MAX_TOKEN])
{
	FILE *file = fopen(gateway->token_file, "re");
	char token[MAX_TOKEN + 2] = "";
	struct stat found;

	if (file == NULL)
		return say(gateway, EDGE_EXIT_CREDENTIALS, "token-file \"%s\": %s", gateway->token_file,
				   strerror(errno));
	if (fstat(fileno(file), &found) == 0 && (found.st_mode & S_IRWXO) != 0)
	{
		fclose(file);
		return say(gateway, EDGE_EXIT_CREDENTIALS,
				   "token-file \"%s\" can be read by everybody: chmod 600", gateway->token_file);
	}
	if (fgets(token, sizeof(token), file) == NULL)
		token[0] = '\0';
	fclose(file);
	token[strcspn(token, " \t\r\n")] = '\0';
	if (token[0] == '\0' || strlen(token) > MAX_TOKEN)
		return say(gateway, EDGE_EXIT_CREDENTIALS,
				   "token-file \"%s\" has no token in its first line", gateway->token_file);
	snprintf(header, 32 + MAX_TOKEN, "Authorization: Bearer %s", token);
	explicit_bzero(token, sizeof(token));
	return EDGE_EXIT_OK;
}

static size_t
take(char *data, size_t size, size_t n, void *arg)
{
	edge_gateway_body *body = arg;

	n *= size;
	if (body->length + n > MAX_ANSWER)
		return 0;
	if (body->length + n >= body->room)
	{
		size_t room = 2 * (body->length + n) + 1024;
		char *grown = realloc(body->text, room);

		if (grown == NULL)
			return 0;
		body->text = grown;
		body->room = room;
	}
	memcpy(body->text + body->length, data, n);
	body->length += n;
	body->text[body->length] = '\0';
	return n;
}

/* What curl asks now and then, whether to give up. */
static int
wants_to_stop(void *arg, curl_off_t total_in, curl_off_t in, curl_off_t total_out, curl_off_t out)
{
	const edge_gateway *gateway = arg;

	return (gateway->stop != NULL && *gateway->stop != 0) ||
		   (gateway->deadline != NULL && *gateway->deadline != 0 &&
			edge_clock() >= *gateway->deadline);
}

edge_exit
edge_gateway_open(edge_gateway *gateway)
{
	char header[32 + MAX_TOKEN];
	edge_exit status = check_url(gateway);

	if (status == EDGE_EXIT_OK)
		status = read_token(gateway, header);
	explicit_bzero(header, sizeof(header));
	if (status != EDGE_EXIT_OK)
		return status;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		(gateway->curl = edge_gateway_request(gateway, &gateway->body)) == NULL)
		return say(gateway, EDGE_EXIT_FAILED, "out of memory");
	return EDGE_EXIT_OK;
}

bool
edge_gateway_aim(edge_gateway *gateway, CURL *request, const char *path)
{
	size_t base = strlen(gateway->url);
	char url[2048];

	while (base > 0 && gateway->url[base - 1] == '/')
		base--;
	return snprintf(url, sizeof(url), "%.*s%s", (int) base, gateway->url, path) <
			   (int) sizeof(url) &&
		   curl_easy_setopt(request, CURLOPT_URL, url) == CURLE_OK;
}

CURL *
edge_gateway_request(edge_gateway *gateway, edge_gateway_body *body)
{
	CURL *curl = curl_easy_init();

	if (curl == NULL)
		return NULL;
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	/* what does not leave this machine goes by no proxy of the environment, which would see the token */
	if (strncasecmp(gateway->url, "https:", 6) != 0)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long) CONNECT_SECONDS);
	/* what goes through an address translator without a word is forgotten by it */
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 20L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 5L);
	if (gateway->ca_file != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, gateway->ca_file);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, wants_to_stop);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, gateway);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	return curl;
}

edge_exit
edge_gateway_authorize(edge_gateway *gateway, struct curl_slist **headers)
{
	char authorization[32 + MAX_TOKEN];
	edge_exit status = read_token(gateway, authorization);
	struct curl_slist *longer;

	if (status != EDGE_EXIT_OK)
		return status;
	longer = curl_slist_append(*headers, authorization);
	explicit_bzero(authorization, sizeof(authorization));
	if (longer == NULL)
		return say(gateway, EDGE_EXIT_FAILED, "out of memory");
	*headers = longer;
	return EDGE_EXIT_OK;
}

void
edge_gateway_close(edge_gateway *gateway)
{
	curl_easy_cleanup(gateway->curl);
	gateway->curl = NULL;
	free(gateway->body.text);
	gateway->body = (edge_gateway_body){ NULL, 0, 0 };
}

/* What an answer says of itself, for people: at most so much of its text, without what is no text. */
static const char *
excerpt(const edge_gateway_body *body, char text[static 120])
{
	size_t n = 0;

	for (const char *c = body->length > 0 ? body->text : ""; *c != '\0' && n < 119; c++)
		text[n++] = (char) (*c >= ' ' && *c < 127 ? *c : ' ');
	text[n] = '\0';
	return text;
}

edge_exit
edge_gateway_judge(edge_gateway *gateway, CURL *request, CURLcode code,
				   const edge_gateway_body *body, const char *said)
{
	char text[120];
	long status = 0;
	const char *type = NULL;
	curl_off_t after = 0;
	bool json;

	gateway->retry_after = 0;
	gateway->status = 0;
	if (code != CURLE_OK)
		return say(gateway, EDGE_EXIT_UNREACHABLE, "%s: %s", gateway->url,
				   said[0] != '\0' ? said : curl_easy_strerror(code));
	curl_easy_getinfo(request, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(request, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(request, CURLINFO_RETRY_AFTER, &after);
	gateway->status = status;
	json = type != NULL && strncasecmp(type, "application/json", 16) == 0;
	if (status >= 200 && status <= 202 && json && body->length > 0)
		return EDGE_EXIT_OK;
	if (!json)
		return say(gateway, EDGE_EXIT_UNREACHABLE,
				   "%s was answered with status %ld and %s, which no gateway does", gateway->url,
				   status, type == NULL ? "no type" : type);
	gateway->retry_after = (int) (after > MAX_RETRY_AFTER ? MAX_RETRY_AFTER : after);
	if (status == 401 || status == 403)
		return say(gateway, EDGE_EXIT_CREDENTIALS, "the gateway says %ld: %s", status,
				   excerpt(body, text));
	if (status >= 400 && status < 500 && status != 408 && status != 429)
		return say(gateway, EDGE_EXIT_REFUSED, "the gateway says %ld: %s", status,
				   excerpt(body, text));
	return say(gateway, EDGE_EXIT_UNREACHABLE, "the gateway says %ld: %s", status,
			   excerpt(body, text));
}

/* With a text or without one, over the connection that the last one left, if it did. */
static edge_exit
ask(edge_gateway *gateway, const char *path, const char *text, int seconds)
{
	char said[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = NULL;
	edge_exit status = edge_gateway_authorize(gateway, &headers);
	CURLcode code;

	if (status != EDGE_EXIT_OK)
		return status;
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Cache-Control: no-store");
	headers = curl_slist_append(headers, "Expect:");
	gateway->body.length = 0;
	if (!edge_gateway_aim(gateway, gateway->curl, path))
	{
		curl_slist_free_all(headers);
		return say(gateway, EDGE_EXIT_USAGE, "gateway: the URL is too long");
	}
	if (text == NULL)
		curl_easy_setopt(gateway->curl, CURLOPT_HTTPGET, 1L);
	else
	{
		curl_easy_setopt(gateway->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(gateway->curl, CURLOPT_POSTFIELDS, text);
		curl_easy_setopt(gateway->curl, CURLOPT_POSTFIELDSIZE, (long) strlen(text));
	}
	curl_easy_setopt(gateway->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(gateway->curl, CURLOPT_TIMEOUT, (long) seconds);
	curl_easy_setopt(gateway->curl, CURLOPT_ERRORBUFFER, said);
	code = curl_easy_perform(gateway->curl);
	status = edge_gateway_judge(gateway, gateway->curl, code, &gateway->body, said);
	curl_easy_setopt(gateway->curl, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(gateway->curl, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	return status;
}

edge_exit
edge_gateway_look(edge_gateway *gateway)
{
	edge_exit status = edge_gateway_get(gateway, "/v1/call/mulberry-edge", CONNECT_SECONDS);

	return status == EDGE_EXIT_REFUSED && gateway->status == 404 ? EDGE_EXIT_OK : status;
}

edge_exit
edge_gateway_post(edge_gateway *gateway, const char *path, const char *body, int seconds)
{
	return ask(gateway, path, body, seconds);
}

edge_exit
edge_gateway_get(edge_gateway *gateway, const char *path, int seconds)
{
	return ask(gateway, path, NULL, seconds);
}
