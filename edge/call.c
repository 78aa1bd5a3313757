/*
 * call.c
 *	  A call in the database; see call.h.
 */
#include "call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/text.h"

/* As functions take it: null is the role's only tenant, or the one called default. */
#define OF_TENANT                                                                                  \
	" AND (tenant = coalesce($2, 'default')"                                                       \
	" OR $2::text IS NULL AND cardinality(mulberry.current_tenants('ingest')) = 1)"

/* "{[3,5),[9,12)}" as PostgreSQL writes ranges of whole numbers; false when out of memory. */
static bool
read_ranges(edge_track *track, const char *text)
{
	int64_t first;
	int64_t last;

	for (const char *p = strchr(text, '['); p != NULL; p = strchr(p + 1, '['))
	{
		edge_range *more;

		if (sscanf(p, "[%" SCNd64 ",%" SCNd64 ")", &first, &last) != 2)
			continue;
		more = realloc(track->missing, (size_t) (track->n_missing + 1) * sizeof(*more));
		if (more == NULL)
			return false;
		track->missing = more;
		track->missing[track->n_missing++] = (edge_range){ first, last };
	}
	return true;
}

bool
edge_track_has(const edge_track *track, int64_t sequence)
{
	int low = 0;
	int high = track->n_missing;

	if (!track->exists || sequence >= track->next)
		return false;
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (sequence >= track->missing[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low == track->n_missing || sequence < track->missing[low].first;
}

void
edge_track_free(edge_track *track)
{
	free(track->missing);
	track->missing = NULL;
	track->n_missing = 0;
}

static edge_exit
set_format(edge_server *server, edge_track *track, const char *encoding, const char *rate)
{
	if (mb_encoding_from_name(encoding, &track->encoding) != MB_OK)
		return edge_server_say(server, EDGE_EXIT_REFUSED,
							   "the call's encoding is %s, which holds no audio of ours", encoding);
	track->sample_rate = atoi(rate);
	snprintf(track->rate, sizeof(track->rate), "%d", track->sample_rate);
	if (!mb_rate_supported(track->sample_rate))
		return edge_server_say(server, EDGE_EXIT_REFUSED, "a track cannot have %d Hz",
							   track->sample_rate);
	return EDGE_EXIT_OK;
}

/* What the server has of a track; *calls is how many tracks the call has. */
static edge_exit
look(edge_server *server, const edge_call *call, edge_track *track, int *tracks)
{
	const char *values[] = { call->id, call->tenant };
	PGresult *result;
	edge_exit status =
		edge_server_query(server, &result,
						  "SELECT track, encoding, sample_rate, coalesce(first_sequence, 0),"
						  "       coalesce(expected_next_sequence, 0), missing_sequences, "
						  "counter_bits, number"
						  "  FROM mulberry.call_tracks WHERE call_id = $1" OF_TENANT,
						  2, values);

	if (status != EDGE_EXIT_OK)
		return status;
	edge_track_free(track);
	track->exists = false;
	*tracks = PQntuples(result);
	for (int i = 0; i < *tracks && status == EDGE_EXIT_OK; i++)
	{
		if (track->name == NULL ? atoi(PQgetvalue(result, i, 7)) != 0
								: strcmp(track->name, PQgetvalue(result, i, 0)) != 0)
			continue;
		track->exists = true;
		track->first = strtoll(PQgetvalue(result, i, 3), NULL, 10);
		track->next = strtoll(PQgetvalue(result, i, 4), NULL, 10);
		if (!PQgetisnull(result, i, 6))
			status = edge_server_say(server, EDGE_EXIT_REFUSED,
									 "the packets of call \"%s\" are numbered by a counter that "
									 "wraps, and not by us",
									 call->id);
		else if (!read_ranges(track, PQgetvalue(result, i, 5)))
			status = edge_server_say(server, EDGE_EXIT_FAILED, "out of memory");
		else
			status = set_format(server, track, PQgetvalue(result, i, 1), PQgetvalue(result, i, 2));
	}
	PQclear(result);
	return status;
}

/* What a track will have that does not exist: what is asked for, or the call has, or its tenant's calls have. */
static edge_exit
foresee(edge_server *server, const edge_call *call, edge_track *track)
{
	const char *values[] = { call->id, call->tenant, call->encoding, call->sample_rate };
	PGresult *result;
	edge_exit status = edge_server_query(
		server, &result,
		"SELECT coalesce($3, c.encoding, t.default_encoding),"
		"       coalesce($4::integer, c.sample_rate, t.default_sample_rate)"
		"  FROM (SELECT name AS tenant, default_encoding, default_sample_rate FROM "
		"mulberry.tenant_access) AS t"
		"  LEFT JOIN (SELECT tenant, encoding, sample_rate FROM mulberry.call_status WHERE call_id "
		"= "
		"$1) AS c USING (tenant) WHERE true" OF_TENANT,
		4, values);

	if (status != EDGE_EXIT_OK)
		return status;
	if (PQntuples(result) == 0)
		status = edge_server_say(server, EDGE_EXIT_CREDENTIALS, "there is no tenant \"%s\" for us",
								 call->tenant == NULL ? "default" : call->tenant);
	else
		status = set_format(server, track, PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	PQclear(result);
	return status;
}

/* Names as an array of PostgreSQL, each in double quotes. */
static void
write_names(program_text *text, const edge_track *tracks, int n)
{
	program_text_puts(text, "{");
	for (int i = 0; i < n; i++)
	{
		program_text_puts(text, i == 0 ? "\"" : ",\"");
		for (const char *c = tracks[i].name; *c != '\0'; c++)
		{
			if (*c == '"' || *c == '\\')
				program_text_puts(text, "\\");
			program_text_add(text, c, 1);
		}
		program_text_puts(text, "\"");
	}
	program_text_puts(text, "}");
	program_text_add(text, "", 1);
}

static edge_exit
begin(edge_server *server, const edge_call *call, const edge_track *tracks, int n)
{
	program_text names = { 0 };
	char started_at[24];
	const char *values[] = {
		call->id,		call->direction,   call->from, call->to,	 call->attributes,
		call->encoding, call->sample_rate, NULL,	   call->tenant, NULL
	};
	PGresult *result = NULL;
	edge_exit status;

	if (tracks[0].name != NULL)
	{
		write_names(&names, tracks, n);
		values[7] = names.data;
	}
	if (call->started_at != 0)
	{
		snprintf(started_at, sizeof(started_at), "%" PRId64, call->started_at);
		values[9] = started_at;
	}
	status = names.failed
				 ? edge_server_say(server, EDGE_EXIT_FAILED, "out of memory")
				 : edge_server_query(server, &result,
									 "SELECT mulberry.begin_call($1, $2, $3, $4, $5::jsonb, $6, "
									 "$7::integer, $8::text[], timestamptz 'epoch' + "
									 "$10::bigint * interval '1 microsecond', $9)",
									 10, values);
	if (status == EDGE_EXIT_OK)
		PQclear(result);
	program_text_free(&names);
	return status;
}

static bool
has_details(const edge_call *call)
{
	return call->direction != NULL || call->from != NULL || call->to != NULL ||
		   call->attributes != NULL;
}

edge_exit
edge_call_begin(edge_server *server, const edge_call *call, edge_track *tracks, int n)
{
	bool alone = n == 1 && tracks[0].name != NULL && !call->whole; /* others may come to it */
	bool known = !has_details(call);
	int there = 0;
	edge_exit status = EDGE_EXIT_OK;

	for (int i = 0; i < n && status == EDGE_EXIT_OK; i++)
	{
		status = look(server, call, &tracks[i], &there);
		known = known && tracks[i].exists;
	}
	if (status == EDGE_EXIT_OK && !alone && !known)
		status = begin(server, call, tracks, n);
	for (int i = 0; i < n && status == EDGE_EXIT_OK; i++)
		status = look(server, call, &tracks[i], &there);
	for (int i = 0; i < n && status == EDGE_EXIT_OK; i++)
	{
		if (!tracks[i].exists)
			status = foresee(server, call, &tracks[i]);
	}
	return status;
}

edge_exit
edge_call_describe(edge_server *server, const edge_call *call)
{
	const char *values[] = { call->id, call->direction,	 call->from,
							 call->to, call->attributes, call->tenant };
	PGresult *result;
	edge_exit status;

	if (!has_details(call))
		return EDGE_EXIT_OK;
	status = edge_server_query(
		server, &result, "SELECT mulberry.describe_call($1, $2, $3, $4, $5::jsonb, $6)", 6, values);
	if (status == EDGE_EXIT_OK)
		PQclear(result);
	return status;
}

edge_exit
edge_call_complete(edge_server *server, const edge_call *call, const edge_track *tracks,
				   const int64_t *totals, int n, int64_t *missing)
{
	program_text all = { 0 };
	char total[24];
	const char *values[] = { call->id, NULL, call->tenant, NULL, NULL };
	PGresult *result = NULL;
	edge_exit status;

	if (n == 1)
	{
		snprintf(total, sizeof(total), "%" PRId64, totals[0]);
		values[1] = total;
		values[3] = tracks[0].name;
	}
	else
	{
		for (int i = 0; i < n; i++)
		{
			program_text_puts(&all, i == 0 ? "{" : ",");
			program_text_json(&all, tracks[i].name, strlen(tracks[i].name));
			program_text_printf(&all, ":%" PRId64, totals[i]);
		}
		program_text_add(&all, "}", 2);
		values[4] = all.data;
	}
	status = all.failed ? edge_server_say(server, EDGE_EXIT_FAILED, "out of memory")
						: edge_server_query(server, &result,
											"SELECT missing_count FROM mulberry.complete_call($1, "
											"$2::integer, $3, $4, $5::jsonb)",
											5, values);
	if (status == EDGE_EXIT_OK)
	{
		*missing = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
		PQclear(result);
	}
	program_text_free(&all);
	return status;
}
