/*
 * gateway_call.c
 *	  A call behind a gateway; see gateway_call.h.
 */
#include "gateway_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "program/text.h"

#define ANSWER_SECONDS 60 /* beyond what the gateway waits for its database */

static edge_exit
out_of_memory(edge_gateway *gateway)
{
	snprintf(gateway->problem, sizeof(gateway->problem), "out of memory");
	return EDGE_EXIT_FAILED;
}

static edge_exit
refuse(edge_gateway *gateway, const char *what)
{
	snprintf(gateway->problem, sizeof(gateway->problem), "%s", what);
	return EDGE_EXIT_REFUSED;
}

bool
edge_gateway_call_path(char path[static EDGE_GATEWAY_PATH], const char *verb, const edge_call *call)
{
	char *id = curl_easy_escape(NULL, call->id, 0);
	bool fine = id != NULL && snprintf(path, EDGE_GATEWAY_PATH, "/v1/call/%s%s%s", verb,
									   *verb == '\0' ? "" : "/", id) < EDGE_GATEWAY_PATH;

	curl_free(id);
	return fine;
}

static edge_exit
post(edge_gateway *gateway, const char *verb, const edge_call *call, program_text *body)
{
	char path[EDGE_GATEWAY_PATH];
	edge_exit status;

	program_text_add(body, "", 1);
	if (body->failed)
		return out_of_memory(gateway);
	if (!edge_gateway_call_path(path, verb, call))
		return refuse(gateway, "the id of the call is too long");
	status = edge_gateway_post(gateway, path, body->data, ANSWER_SECONDS);
	return status;
}

static void
write_field(program_text *body, const char *name, const char *value)
{
	if (value == NULL)
		return;
	program_text_printf(body, "%s\"%s\":", body->length > 1 ? "," : "", name);
	program_text_json(body, value, strlen(value));
}

/* What is known of a call beside its audio. */
static void
write_details(program_text *body, const edge_call *call)
{
	program_text_puts(body, "{");
	write_field(body, "direction", call->direction);
	write_field(body, "from_number", call->from);
	write_field(body, "to_number", call->to);
	if (call->attributes != NULL)
		program_text_printf(body, "%s\"attributes\":%s", body->length > 1 ? "," : "",
							call->attributes);
}

static edge_exit
set_format(edge_gateway *gateway, edge_track *track, const char *encoding, int rate)
{
	track->sample_rate = rate;
	snprintf(track->rate, sizeof(track->rate), "%d", rate);
	return mb_encoding_from_name(encoding, &track->encoding) == MB_OK && mb_rate_supported(rate)
			   ? EDGE_EXIT_OK
			   : refuse(gateway, "the call holds no audio of ours");
}

/* The sequences that are missing; false when not all of them were told. */
static bool
read_gaps(edge_track *track, edge_json gaps, int64_t count)
{
	edge_json gap = { NULL, NULL };

	while (edge_json_element(gaps, &gap))
	{
		edge_json bound = { NULL, NULL };
		edge_range range = { 0, 0 };
		edge_range *more = realloc(track->missing, (size_t) (track->n_missing + 1) * sizeof(*more));

		if (more == NULL)
			return false;
		track->missing = more;
		if (edge_json_element(gap, &bound))
			range.first = edge_json_integer(bound, 0);
		if (edge_json_element(gap, &bound))
			range.last = edge_json_integer(bound, -1) + 1;
		track->missing[track->n_missing++] = range;
		count -= range.last - range.first;
	}
	return count == 0;
}

/* What a gateway has of a track, which is counted from 0. */
static edge_exit
read_track(edge_gateway *gateway, edge_track *track, edge_json found)
{
	int64_t received = edge_json_integer(edge_json_member(found, "total_received"), 0);
	int64_t missing = edge_json_integer(edge_json_member(found, "missing_count"), 0);
	edge_json encoding = edge_json_member(found, "encoding");
	char name[16] = "";

	if (encoding.begin != NULL && encoding.end - encoding.begin - 2 < (int) sizeof(name))
		snprintf(name, sizeof(name), "%.*s", (int) (encoding.end - encoding.begin - 2),
				 encoding.begin + 1);
	edge_track_free(track);
	track->next = received + missing;
	/* of more gaps than are told nothing is known: all of it is sent again */
	track->exists = read_gaps(track, edge_json_member(found, "gaps"), missing);
	return set_format(gateway, track, name,
					  (int) edge_json_integer(edge_json_member(found, "sample_rate"), 0));
}

/* What a track will be that does not exist: as is asked for, or as the first one is. */
static edge_exit
foresee(edge_gateway *gateway, const edge_call *call, edge_track *track, edge_json list)
{
	edge_json first = { NULL, NULL };
	edge_track as = { 0 };
	edge_exit status = EDGE_EXIT_OK;

	track->exists = false;
	if (edge_json_element(list, &first))
		status = read_track(gateway, &as, first);
	edge_track_free(&as);
	return status != EDGE_EXIT_OK ? status
								  : set_format(gateway, track,
											   call->encoding != NULL ? call->encoding
											   : first.begin != NULL ? mb_encoding_name(as.encoding)
																	 : "mulaw",
											   call->sample_rate != NULL ? atoi(call->sample_rate)
											   : first.begin != NULL	 ? as.sample_rate
																		 : 8000);
}

/* Looks for the tracks of a call. */
static edge_exit
look(edge_gateway *gateway, const edge_call *call, edge_track *tracks, int n)
{
	edge_json element = { NULL, NULL };
	edge_json list = { NULL, NULL };
	edge_exit status = EDGE_EXIT_OK;
	char path[EDGE_GATEWAY_PATH];

	if (!edge_gateway_call_path(path, "", call))
		return refuse(gateway, "the id of the call is too long");
	status = edge_gateway_get(gateway, path, ANSWER_SECONDS);
	if (status == EDGE_EXIT_OK)
		list =
			edge_json_member(edge_json_value(gateway->body.text, gateway->body.length), "tracks");
	else if (status == EDGE_EXIT_REFUSED && gateway->status == 404)
		status = EDGE_EXIT_OK;
	for (int i = 0; i < n && status == EDGE_EXIT_OK; i++)
		status = foresee(gateway, call, &tracks[i], list);
	for (int place = 0; edge_json_element(list, &element) && status == EDGE_EXIT_OK; place++)
	{
		for (int i = 0; i < n && status == EDGE_EXIT_OK; i++)
		{
			if (tracks[i].name == NULL
					? place == 0
					: edge_json_is(edge_json_member(element, "track"), tracks[i].name))
				status = read_track(gateway, &tracks[i], element);
		}
	}
	return status;
}

edge_exit
edge_gateway_call_begin(edge_gateway *gateway, const edge_call *call, edge_track *tracks, int n)
{
	program_text body = { 0 };
	char text[40];
	struct tm began;
	edge_exit status = look(gateway, call, tracks, n);

	if (status != EDGE_EXIT_OK)
		return status;
	write_details(&body, call);
	write_field(&body, "encoding", mb_encoding_name(tracks[0].encoding));
	program_text_printf(&body, ",\"sample_rate\":%d", tracks[0].sample_rate);
	/* a track that has a name and is alone may get others beside it */
	if (tracks[0].name != NULL && (n > 1 || call->whole))
	{
		for (int i = 0; i < n; i++)
		{
			program_text_puts(&body, i > 0 ? "," : ",\"tracks\":[");
			program_text_json(&body, tracks[i].name, strlen(tracks[i].name));
		}
		program_text_puts(&body, "]");
	}
	if (call->started_at > 0 && gmtime_r(&(time_t){ call->started_at / 1000000 }, &began) != NULL &&
		strftime(text, sizeof(text), "%FT%T", &began) > 0)
		program_text_printf(&body, ",\"started_at\":\"%s.%06dZ\"", text,
							(int) (call->started_at % 1000000));
	program_text_puts(&body, "}");
	status = post(gateway, "begin", call, &body);
	program_text_free(&body);
	return status;
}

edge_exit
edge_gateway_call_describe(edge_gateway *gateway, const edge_call *call)
{
	program_text body = { 0 };
	edge_exit status = EDGE_EXIT_OK;

	write_details(&body, call);
	program_text_puts(&body, "}");
	if (body.length > 2)
		status = post(gateway, "describe", call, &body);
	program_text_free(&body);
	return status;
}

edge_exit
edge_gateway_call_complete(edge_gateway *gateway, const edge_call *call, const edge_track *tracks,
						   const int64_t *totals, int n)
{
	edge_exit status = EDGE_EXIT_OK;

	for (int i = 0; i < n && status == EDGE_EXIT_OK; i++)
	{
		program_text body = { 0 };

		program_text_printf(&body, "{\"total_packets\":%" PRId64, totals[i]);
		write_field(&body, "track", tracks[i].name);
		program_text_puts(&body, "}");
		status = post(gateway, "complete", call, &body);
		program_text_free(&body);
	}
	return status;
}
