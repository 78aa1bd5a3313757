/*
 * openapi.c
 *	  What can be asked for, told to programs (OpenAPI 3.1) and to people (a page that needs no script and nothing from
 *	  elsewhere): both from the list of routes and the parameters of their plans, and from nothing else.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "query.h"
#include "routes.h"
#include "schemas.h"

static const char style[] =
	"body{font:16px/1.5 sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222}"
	"h2{border-top:1px solid #ccc;padding-top:1em;font-size:1.1em}code{background:#f2f2f2}"
	"table{border-collapse:collapse}td,th{text-align:left;padding:.2em 1em .2em "
	"0;vertical-align:top}";

static const struct
{
	int status;
	const char *text;
} errors[] = {
	{ 400, "What is asked for cannot be done" },
	{ 401, "No token, or one that is not valid" },
	{ 403, "The token has not the access that this needs" },
	{ 404, "There is no such thing, or none that the token may know of" },
	{ 409, "It is not in a state for this" },
	{ 413, "The body is too large" },
	{ 429, "Too many requests: see Retry-After" },
	{ 503, "No database, or too much under way: see Retry-After" },
};

/* --- programs ------------------------------------------------------------------------- */

static void
put_string(program_text *text, const char *string)
{
	program_text_json(text, string, strlen(string));
}

static void
put_schema(program_text *text, const gw_parameter *p)
{
	static const char *const types[] = {
		[GW_STRING] = "\"type\":\"string\"",
		[GW_INTEGER] = "\"type\":\"integer\",\"format\":\"int64\"",
		[GW_NUMBER] = "\"type\":\"number\",\"exclusiveMinimum\":0",
		[GW_BOOLEAN] = "\"type\":\"boolean\"",
		[GW_TIME] = "\"type\":\"string\",\"format\":\"date-time\"",
		[GW_OBJECT] = "\"type\":\"object\"",
		[GW_STRINGS] = "\"type\":\"array\",\"items\":{\"type\":\"string\"}",
		[GW_LIST] = "\"type\":\"array\",\"items\":{}",
	};

	/* a query has an object as text */
	program_text_printf(
		text, "{%s", types[p->type == GW_OBJECT && p->place == GW_IN_QUERY ? GW_STRING : p->type]);
	if (p->type == GW_INTEGER)
		program_text_printf(text, ",\"minimum\":%lld,\"maximum\":%lld", (long long) p->least,
							(long long) p->most);
	if (p->type == GW_STRING && p->least > 0)
		program_text_printf(text, ",\"minLength\":%lld", (long long) p->least);
	if (p->type == GW_STRING && p->most > 0)
		program_text_printf(text, ",\"maxLength\":%lld", (long long) p->most);
	if (p->choices != NULL)
	{
		program_text_puts(text, ",\"enum\":[");
		for (int i = 0; p->choices[i] != NULL; i++)
		{
			program_text_puts(text, i > 0 ? "," : "");
			put_string(text, p->choices[i]);
		}
		program_text_puts(text, "]");
	}
	if (p->help != NULL && p->place == GW_IN_BODY)
	{
		program_text_puts(text, ",\"description\":");
		put_string(text, p->help);
	}
	program_text_puts(text, "}");
}

/* The parameter that stands for the nth name in braces; NULL when nobody says more of it. */
static const gw_parameter *
in_path(const gw_plan *plan, int n)
{
	for (int i = 0; plan != NULL && i < plan->n_parameters; i++)
	{
		if (plan->parameters[i].place == GW_IN_PATH && n-- == 0)
			return &plan->parameters[i];
	}
	return NULL;
}

static void
put_parameter(program_text *text, const char *name, size_t length, const char *place,
			  const gw_parameter *p)
{
	program_text_printf(
		text, "{\"name\":\"%.*s\",\"in\":\"%s\",\"required\":%s,\"schema\":", (int) length, name,
		place, place[0] == 'p' || (p != NULL && p->required) ? "true" : "false");
	if (p == NULL)
		program_text_puts(text, "{\"type\":\"string\"}");
	else
		put_schema(text, p);
	if (p != NULL && p->help != NULL)
	{
		program_text_puts(text, ",\"description\":");
		put_string(text, p->help);
	}
	program_text_puts(text, "}");
}

/* Those of the path are called as the path says. */
static void
put_parameters(program_text *text, const char *path, const gw_plan *plan)
{
	int n = 0;

	program_text_puts(text, ",\"parameters\":[");
	for (const char *at = strchr(path, '{'); at != NULL; at = strchr(at + 1, '{'))
	{
		program_text_puts(text, n > 0 ? "," : "");
		put_parameter(text, at + 1, strcspn(at + 1, "}"), "path", in_path(plan, n++));
	}
	for (int i = 0; plan != NULL && i < plan->n_parameters; i++)
	{
		const gw_parameter *p = &plan->parameters[i];

		if (p->place != GW_IN_QUERY && p->place != GW_IN_HEADER)
			continue;
		program_text_puts(text, n++ > 0 ? "," : "");
		put_parameter(text, p->name, strlen(p->name), p->place == GW_IN_QUERY ? "query" : "header",
					  p);
	}
	program_text_puts(text, "]");
}

/* A body of JSON, as its fields say, or of a file. */
static void
put_body(program_text *text, const gw_action *action)
{
	static const char file[] = "{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}";
	const gw_plan *plan = action->plan;
	bool any = false;
	bool required = false;
	bool bytes = false;

	for (int i = 0; i < plan->n_parameters; i++)
	{
		bytes = bytes || plan->parameters[i].place == GW_IN_HEADER;
		any = any || plan->parameters[i].place == GW_IN_BODY;
		required =
			required || (plan->parameters[i].place == GW_IN_BODY && plan->parameters[i].required);
	}
	if (action->large)
		program_text_printf(
			text,
			",\"requestBody\":{\"required\":true,\"content\":{\"audio/wav\":%s,"
			"\"multipart/form-data\":{\"schema\":{\"type\":\"object\",\"required\":[\"file\"],"
			"\"properties\":{\"file\":{\"type\":\"string\",\"format\":\"binary\"}}}}}}",
			file);
	if (!any)
		return;
	program_text_printf(text, ",\"requestBody\":{\"required\":%s,\"content\":{",
						required ? "true" : "false");
	if (bytes)
		program_text_printf(text, "\"application/octet-stream\":%s,", file);
	program_text_puts(text,
					  "\"application/json\":{\"schema\":{\"type\":\"object\",\"properties\":{");
	any = false;
	for (int i = 0; i < plan->n_parameters; i++)
	{
		if (plan->parameters[i].place != GW_IN_BODY)
			continue;
		program_text_printf(text, "%s\"%s\":", any ? "," : "", plan->parameters[i].name);
		put_schema(text, &plan->parameters[i]);
		any = true;
	}
	program_text_puts(text, "}");
	any = false;
	for (int i = 0; i < plan->n_parameters; i++)
	{
		if (plan->parameters[i].place != GW_IN_BODY || !plan->parameters[i].required)
			continue;
		program_text_printf(text, "%s\"%s\"", any ? "," : ",\"required\":[",
							plan->parameters[i].name);
		any = true;
	}
	program_text_printf(text, "%s}}}}", any ? "]" : "");
}

/* An answer that is no error. */
static void
put_answer(program_text *text, const gw_action *action, int status)
{
	const gw_about *about = action->about;
	const char *type = action->plan == NULL || action->plan->content_type == NULL
						   ? "application/json"
						   : action->plan->content_type;

	program_text_printf(text, "\"%d\":{\"description\":\"%s\"", status,
						action->socket	? "The socket is open"
						: status == 202 ? "It was taken"
						: status == 503 ? "It is out of order"
										: "It was done");
	if (about->schema != NULL)
		program_text_printf(text,
							",\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
							"\"#/components/schemas/%s\"}}}",
							about->schema);
	else if (!action->socket)
		program_text_printf(text, ",\"content\":{\"%s\":{\"schema\":{\"type\":\"string\"}}}", type);
	program_text_puts(text, "}");
}

static void
put_responses(program_text *text, const gw_action *action)
{
	program_text_puts(text, ",\"responses\":{");
	put_answer(text, action, action->about->status);
	if (action->about->or_status != 0)
	{
		program_text_puts(text, ",");
		put_answer(text, action, action->about->or_status);
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]) && action->access != 0; i++)
	{
		program_text_printf(text, ",\"%d\":{\"description\":\"%s\"", errors[i].status,
							errors[i].text);
		if (errors[i].status == 429 || errors[i].status == 503)
			program_text_puts(text,
							  ",\"headers\":{\"Retry-After\":{\"schema\":{\"type\":\"integer\"}}}");
		program_text_puts(text, ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
								"\"#/components/schemas/Error\"}}}}");
	}
	if (action->access != 0)
		program_text_puts(
			text,
			",\"422\":{\"description\":\"Validation Error\",\"content\":{\"application/json\":"
			"{\"schema\":{\"$ref\":\"#/components/schemas/HTTPValidationError\"}}}}");
	program_text_puts(text, "}");
}

static void
put_operation(program_text *text, const http_route *route)
{
	const gw_action *action = route->target;
	const gw_about *about = action->about;

	program_text_puts(text, "\"");
	for (const char *c = route->method; *c != '\0'; c++)
		program_text_printf(text, "%c", *c | 0x20);
	program_text_printf(
		text, "\":{\"tags\":[\"%s\"],\"operationId\":\"%s\",\"summary\":", about->tag, about->id);
	put_string(text, about->summary);
	put_parameters(text, route->path, action->plan);
	if (action->plan != NULL)
		put_body(text, action);
	if (action->access != 0)
		program_text_puts(text, ",\"security\":[{\"bearer\":[]}]");
	put_responses(text, action);
	program_text_puts(text, "}");
}

/* GET /openapi.json */
void
gw_handle_openapi(gw_call *call)
{
	program_text text = { 0 };
	bool first = true;

	program_text_printf(
		&text,
		"{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Mulberry\",\"version\":\"%s\","
		"\"description\":\"Calls, their packets, transcripts and audio. Events come over the "
		"WebSocket /ws/supervisor.\"},\"paths\":{",
		MULBERRY_VERSION);
	for (size_t i = 0; i < gw_n_client_routes; i++)
	{
		bool known = false;

		for (size_t j = 0; j < i; j++)
			known = known || strcmp(gw_client_routes[i].path, gw_client_routes[j].path) == 0;
		if (known)
			continue;
		program_text_printf(&text, "%s\"%s\":{", first ? "" : ",", gw_client_routes[i].path);
		first = false;
		for (size_t j = i; j < gw_n_client_routes; j++)
		{
			if (strcmp(gw_client_routes[i].path, gw_client_routes[j].path) != 0)
				continue;
			program_text_puts(&text, j > i ? "," : "");
			put_operation(&text, &gw_client_routes[j]);
		}
		program_text_puts(&text, "}");
	}
	program_text_puts(
		&text, "},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":"
			   "\"bearer\"}},\"schemas\":{");
	program_text_puts(&text, gw_schemas);
	program_text_puts(&text, ",");
	program_text_puts(&text, gw_schemas_mandates);
	program_text_puts(&text, "}}}");
	gw_answer(call->gateway, http_request_id(call->request), 200, &text);
	program_text_free(&text);
}

/* --- people ---------------------------------------------------------------------------- */

/* Nothing here comes from a client, but a < is a < all the same. */
static void
put_html(program_text *text, const char *string)
{
	for (; *string != '\0'; string++)
	{
		if (*string == '<')
			program_text_puts(text, "&lt;");
		else if (*string == '&')
			program_text_puts(text, "&amp;");
		else
			program_text_add(text, string, 1);
	}
}

static void
put_table(program_text *text, const gw_plan *plan)
{
	static const char *const places[] = { "path", "query", "header", "body" };
	static const char *const types[] = { "text", "integer", "number", "boolean",
										 "time", "object",	"texts",  "list" };

	if (plan == NULL || plan->n_parameters == 0)
		return;
	program_text_puts(text, "<table>");
	for (int i = 0; i < plan->n_parameters; i++)
	{
		const gw_parameter *p = &plan->parameters[i];

		program_text_printf(text, "<tr><td><code>%s</code><td>%s<td>%s%s<td>", p->name,
							places[p->place], types[p->type], p->required ? ", required" : "");
		put_html(text, p->help == NULL ? "" : p->help);
		for (int j = 0; p->choices != NULL && p->choices[j] != NULL; j++)
			program_text_printf(text, " <code>%s</code>", p->choices[j]);
	}
	program_text_puts(text, "</table>");
}

/* Its style is the only thing that the page may use, by its digest. */
static void
add_policy(http_headers *headers)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned char base64[64];

	if (EVP_Digest(style, sizeof(style) - 1, digest, NULL, EVP_sha256(), NULL) != 1)
		return;
	EVP_EncodeBlock(base64, digest, 32);
	http_headers_add(
		headers, "Content-Security-Policy",
		"default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; "
		"frame-ancestors 'none'",
		(const char *) base64);
	http_headers_add(headers, "X-Content-Type-Options", "nosniff");
	http_headers_add(headers, "Referrer-Policy", "no-referrer");
}

/* GET /docs */
void
gw_handle_docs(gw_call *call)
{
	http_headers headers = { 0 };
	http_answer answer = { .status = 200,
						   .content_type = "text/html; charset=utf-8",
						   .headers = &headers };
	program_text text = { 0 };

	program_text_printf(
		&text,
		"<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Mulberry %s</title>"
		"<style>%s</style><h1>Mulberry %s</h1><p>All of this, for programs, is in "
		"<a href=\"/openapi.json\">/openapi.json</a>. A token goes into the header "
		"<code>Authorization: Bearer …</code>.",
		MULBERRY_VERSION, style, MULBERRY_VERSION);
	for (size_t i = 0; i < gw_n_client_routes; i++)
	{
		const gw_action *action = gw_client_routes[i].target;

		program_text_printf(&text, "<h2><code>%s %s</code></h2><p>", gw_client_routes[i].method,
							gw_client_routes[i].path);
		put_html(&text, action->about->summary);
		put_table(&text, action->plan);
	}
	program_text_puts(&text, "</html>\n");
	add_policy(&headers);
	answer.body = text.data;
	answer.length = text.length;
	if (text.failed)
		http_abort(call->gateway->server, http_request_id(call->request));
	else
		http_respond(call->gateway->server, http_request_id(call->request), &answer);
	program_text_free(&text);
}
