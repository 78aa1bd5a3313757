/*
 * documents.c
 *	  Answers that a client may have already, or keeps as a file.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "query.h"

#define MAX_NAME 256

/* A name as RFC 6266 has it: in ASCII for those who know no better, and as it is. */
static void
add_file_name(http_headers *headers, const char *pattern, const char *subject)
{
	const char *place = strstr(pattern, "%s");
	char plain[MAX_NAME + 1];
	char encoded[3 * MAX_NAME + 1];
	size_t n = 0;
	size_t m = 0;

	for (const unsigned char *at = (const unsigned char *) subject; *at != '\0' && n < MAX_NAME;
		 at++)
	{
		bool safe = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
					(*at >= '0' && *at <= '9') || *at == '-' || *at == '_' || *at == '.';

		plain[n++] = safe ? (char) *at : '_';
		m += (size_t) snprintf(encoded + m, sizeof(encoded) - m, safe ? "%c" : "%%%02X", *at);
	}
	plain[n] = '\0';
	encoded[m] = '\0';
	http_headers_add(headers, "Content-Disposition",
					 "inline; filename=\"%s%s\"; filename*=UTF-8''%s%s", plain, place + 2, encoded,
					 place + 2);
}

void
gw_document_headers(gw_query *query, const char *version, http_headers *headers)
{
	http_headers_add(headers, "ETag", "\"%s\"", version);
	http_headers_add(headers, "Cache-Control", "private, no-cache");
	http_headers_add(headers, "Vary", "Authorization");
	http_headers_add(headers, "X-Content-Type-Options", "nosniff");
	/* a picture may hold what somebody said: nothing in it is run */
	http_headers_add(headers, "Content-Security-Policy",
					 "default-src 'none'; style-src 'unsafe-inline'; sandbox");
	if (query->plan->file != NULL && query->subject != NULL)
		add_file_name(headers, query->plan->file, query->subject);
}

int
gw_document_named(const http_request *request, const char *header, const char *version)
{
	size_t n = strlen(version);
	mb_http_walk walk = { 0 };
	http_text token;
	int named = -1;

	while (http_request_next_token(request, header, &walk, &token))
	{
		named = named < 0 ? 0 : named;
		/* whether it is only much the same does not matter: it is either this or another one */
		if (token.length > 2 && memcmp(token.data, "W/", 2) == 0)
		{
			token.data += 2;
			token.length -= 2;
		}
		if ((token.length == 1 && token.data[0] == '*') ||
			(token.length == n + 2 && token.data[0] == '"' &&
			 memcmp(token.data + 1, version, n) == 0 && token.data[n + 1] == '"'))
			return 1;
	}
	return named;
}

void
gw_answer_document(gw_query *query, const PGresult *rows)
{
	http_request *request = http_request_find(query->gateway->server, query->id);
	http_headers headers = { 0 };
	http_answer answer = { .status = 200,
						   .content_type = query->plan->content_type == NULL
											   ? "application/json"
											   : query->plan->content_type,
						   .headers = &headers };
	unsigned char digest[EVP_MAX_MD_SIZE];
	char version[2 * 16 + 1];

	if (request == NULL)
		return;
	if (PQntuples(rows) == 0 || PQgetisnull(rows, 0, 0))
	{
		gw_query_answer_404(query, query->plan->absent);
		return;
	}
	answer.body = PQgetvalue(rows, 0, 0);
	answer.length = (size_t) PQgetlength(rows, 0, 0);
	/* what is long was digested where it was made */
	if (PQnfields(rows) > 1)
		snprintf(version, sizeof(version), "%.*s", PQgetlength(rows, 0, 1), PQgetvalue(rows, 0, 1));
	else if (EVP_Digest(answer.body, answer.length, digest, NULL, EVP_sha256(), NULL) == 1)
	{
		for (size_t i = 0; i < 16; i++)
			snprintf(version + 2 * i, 3, "%02x", digest[i]);
	}
	else
	{
		gw_answer_detail(query->gateway, query->id, 500, "Internal server error");
		return;
	}
	gw_document_headers(query, version, &headers);
	if (gw_document_named(request, "If-None-Match", version) == 1)
	{
		answer.status = 304;
		answer.length = 0;
	}
	http_respond(query->gateway->server, query->id, &answer);
}
