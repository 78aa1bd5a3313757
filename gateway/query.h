/*
 * query.h
 *	  One request, one prepared statement, one transaction, one answer: what most routes are.
 *
 * A plan says it all: where the parameters of the statement stand in a request and what they may be, and what
 * becomes of its rows.  gw_handle_query() takes the parameters (what is wrong with them is told in pydantic's form,
 * 422), runs the statement under the identity of the request, and answers: with the rows, or by the error's SQLSTATE.
 *
 *		static const gw_parameter of_tags[] = {
 *			{ GW_IN_PATH, "call_id", GW_STRING, .required = true },
 *			{ GW_IN_QUERY, "limit", GW_INTEGER, .least = 1, .most = 1000 },
 *		};
 *		static const gw_statement tags = { "tags", "SELECT mulberry.tags($1, $2::integer)", .repeatable = true };
 *		const gw_plan gw_tags = { .statement = &tags, GW_PARAMETERS(of_tags), .missing = "Call %s not found" };
 *
 * What a plan cannot say is said in code, by a handler of its own that begins with gw_query_new().
 */
#ifndef GATEWAY_QUERY_H
#define GATEWAY_QUERY_H

#include "fields.h"
#include "gateway.h"

typedef enum gw_place
{
	GW_IN_PATH, /* the next segment that stands for a name in braces */
	GW_IN_QUERY,
	GW_IN_HEADER, /* of a body of bytes, in place of fields: handlers of their own read them */
	GW_IN_BODY	  /* a field of an object in JSON */
} gw_place;

typedef enum gw_type
{
	GW_STRING,	/* from least to most characters (most 0: any number) */
	GW_INTEGER, /* from least to most */
	GW_NUMBER,	/* above 0; required */
	GW_BOOLEAN,
	GW_TIME,	/* for timestamptz, see time_text.h */
	GW_OBJECT,	/* for jsonb; as text in a query */
	GW_STRINGS, /* for text[]: a list, or several of that name in a query */
	GW_LIST		/* of a handler of its own: a list of anything */
} gw_type;

typedef struct gw_parameter
{
	gw_place place;
	const char *name;
	gw_type type;
	bool required; /* else null, when it is missing or null */
	int64_t least;
	int64_t most;
	bool above;					/* least is told as above the number before it, as pydantic does */
	const char *const *choices; /* the only texts that it may be, and NULL behind them; NULL: any */
	const char *help;
} gw_parameter;

typedef struct gw_query gw_query;

#define GW_PARAMETERS(list) .parameters = list, .n_parameters = sizeof(list) / sizeof((list)[0])

struct gw_plan
{
	const gw_statement *statement;
	const gw_parameter
		*parameters; /* $1, $2, …: those of the path, then of the query, then of the body */
	int n_parameters;
	int status; /* of its answer [200] */

	/*
	 * Answers with the rows.  NULL: the first column of the only row is the answer's body, in JSON, the second one, if
	 * there is one, its status; without a row, 404.
	 */
	void (*answer)(gw_query *query, const PGresult *rows);

	/* Answers in place of gw_answer_outcome(), or returns false.  NULL: never. */
	bool (*fail)(gw_query *query, gw_outcome outcome, const PGresult *error);

	/* what 404 says of the path's first segment, %s in it: when it is not there; NULL: what the database says */
	const char *missing;
	const char *absent; /* when there is no row, or a null; NULL: as above */

	/* of gw_answer_document(): a type of content, and a name for the file, with %s; NULL: JSON, and no file */
	const char *content_type;
	const char *file;
};

struct gw_query
{
	gw_unit unit;
	const gw_plan *plan;
	gw_gateway *gateway;
	gw_identity *identity; /* NULL where none was asked for */
	http_id id;			   /* of the request, which may be over */
	char *subject;		   /* the path's first segment; NULL without one */
	void *user;			   /* of a handler, freed by free() with the query */

	program_text text; /* the rest is query.c's: texts of parameters, one behind the other */
	size_t places[GW_MAX_PARAMETERS];
	void *memory;
};

/* What gw_handle_query() does, step by step.  NULL without memory, which has been answered. */
extern gw_query *gw_query_new(gw_call *call, const gw_plan *plan);

/*
 * The next parameter: a text, NULL for null; or n bytes within memory of malloc(), in binary, which it frees: one of
 * them at most, and it counts as an upload.
 */
extern void gw_query_add(gw_query *query, const char *text);
extern void gw_query_add_bytes(gw_query *query, void *memory, const char *bytes, size_t n);

/* For whom it works, when that is not whom the request is of; the texts must live as long as the query. */
extern void gw_query_for(gw_query *query, const char *access, const char *tenant);

/* A parameter that was added as a text; NULL for null. */
extern const char *gw_query_text(const gw_query *query, int i);

/* Adds the parameters of the plan; false when there is something wrong with them, which has been answered. */
extern bool gw_query_read(gw_query *query, gw_call *call);

/* Says of the path's first segment what a 404 says. */
extern void gw_query_answer_404(gw_query *query, const char *sentence);

/* documents.c: answers with the first column of the only row as it is, and with 304 who has it already. */
extern void gw_answer_document(gw_query *query, const PGresult *rows);

/* Headers of a document of that version: ETag and others.  And whether a header names it: -1 there is no such header. */
extern void gw_document_headers(gw_query *query, const char *version, http_headers *headers);
extern int gw_document_named(const http_request *request, const char *header, const char *version);

/* Sends it; it ends with its answer.  Or gives it up before. */
extern void gw_query_send(gw_query *query);
extern void gw_query_free(gw_query *query);

#endif /* GATEWAY_QUERY_H */
