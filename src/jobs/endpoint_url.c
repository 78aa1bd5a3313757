/*
 * endpoint_url.c
 *	  Checks the base URL of an endpoint when an admin enters it.  It resolves no
 *	  names: what a name stands for is looked at when a worker connects
 *	  (worker/http.c).
 */
#include "server/compat.h"

#include <curl/curl.h>

#include "fmgr.h"
#include "utils/builtins.h"

#include "core/web/address.h"
#include "jobs/kinds.h"

PG_FUNCTION_INFO_V1(mulberry_normalize_endpoint_url);

#define MAX_URL 2048 /* bytes */

/* A part of the URL, palloc'd; NULL when it has none. */
static char *
url_part(CURLU *handle, CURLUPart part)
{
	char *value = NULL;
	char *copy = NULL;

	if (curl_url_get(handle, part, &value, 0) == CURLUE_OK && value != NULL)
		copy = pstrdup(value);
	curl_free(value);
	return copy;
}

/*
 * Takes the URL apart and returns it as curl writes it, palloc'd.  Raises
 * an error that says what is wrong with it.
 */
static char *
check_url(CURLU *handle, const char *url, bool allow_http, bool allow_private)
{
	CURLUcode code = curl_url_set(handle, CURLUPART_URL, url, 0);
	char *scheme;
	char *host;
	size_t length;

	if (code != CURLUE_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid base_url of an endpoint"),
				errdetail("It is no URL (%s).", code == CURLUE_UNSUPPORTED_SCHEME
													? "the scheme is not known"
													: "see RFC 3986"),
				errhint("Write it like https://api.example.com/v1"));

	scheme = url_part(handle, CURLUPART_SCHEME);
	if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the base_url of an endpoint must begin with https://"));
	if (strcmp(scheme, "http") == 0 && !allow_http)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("the base_url of an endpoint must begin with https://"),
			errhint("With allow_http => true it may be http://, and then nothing is encrypted."));
	if (url_part(handle, CURLUPART_USER) || url_part(handle, CURLUPART_PASSWORD))
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("the base_url of an endpoint must not hold a user or password"),
			errhint(
				"Store the key in mulberry.secret_entry and name it as the endpoint's secret."));
	if (url_part(handle, CURLUPART_QUERY) || url_part(handle, CURLUPART_FRAGMENT))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the base_url of an endpoint must not have a query or fragment"));

	host = url_part(handle, CURLUPART_HOST);
	length = host ? strlen(host) : 0;
	if (length == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the base_url of an endpoint must name a host"));
	if (length > 2 && host[0] == '[' && host[length - 1] == ']')
	{
		host[length - 1] = '\0';
		host++;
	}
	if (!allow_private && mb_address_is_literal_private(host))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("address %s is not public", host),
				errhint("An admin of all tenants may set allow_private => true."));
	return url_part(handle, CURLUPART_URL);
}

/* Refuses a URL that somebody has copied from an example of a request, and names the right one. */
static void
refuse_known_path(const mulberry_endpoint_kind *kind, char *url)
{
	size_t size = strlen(url);
	const char *path = kind->paths;

	while (path && *path)
	{
		size_t length = strcspn(path, " ");

		if (size > length && url[size - length - 1] == '/' &&
			pg_strncasecmp(url + size - length, path, length) == 0)
		{
			url[size - length - 1] = '\0';
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the base_url of an endpoint of kind %s must not end in /%.*s",
						   kind->name, (int) length, path),
					errdetail("Requests go to paths below it."),
					errhint("Here it is base_url => '%s'.", url));
		}
		path += length + strspn(path + length, " ");
	}
}

/*
 * normalize_endpoint_url(url text, allow_http boolean, allow_private boolean, kind text)
 * returns text
 */
Datum
mulberry_normalize_endpoint_url(PG_FUNCTION_ARGS)
{
	char *url = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const mulberry_endpoint_kind *kind =
		mulberry_endpoint_kind_by_name(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	CURLU *handle;
	char *normalized = NULL;
	size_t length;

	if (strlen(url) > MAX_URL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the base_url of an endpoint must not have more than %d bytes", MAX_URL));
	handle = curl_url();
	if (handle == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	PG_TRY();
	{
		normalized = check_url(handle, url, PG_GETARG_BOOL(1), PG_GETARG_BOOL(2));
	}
	PG_FINALLY();
	{
		curl_url_cleanup(handle);
	}
	PG_END_TRY();

	length = strlen(normalized);
	while (length > 0 && normalized[length - 1] == '/')
		normalized[--length] = '\0';
	if (kind)
		refuse_known_path(kind, normalized);
	PG_RETURN_TEXT_P(cstring_to_text(normalized));
}
