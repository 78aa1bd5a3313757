/*
 * posted.c
 *	  A call that is being posted; see posted.h.
 */
#include "posted.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

bool
edge_posted_learn(edge_posted *posted, const edge_item *item)
{
	size_t behind = (size_t) (item->data - (const uint8_t *) item->bytes) + item->n;
	edge_item *told = malloc(sizeof(*told) + behind);

	if (told == NULL)
		return false;
	memcpy(told, item, sizeof(*told) + behind);
	told->data = (uint8_t *) told->bytes + (item->data - (const uint8_t *) item->bytes);
	if (!edge_item_read_call(told, &posted->known))
	{
		free(told);
		return false;
	}
	free(posted->told);
	posted->told = told;
	posted->known.call.id = told->call_id;
	posted->known.call.tenant = posted->known.tenant[0] == '\0' ? NULL : posted->known.tenant;
	posted->known.call.sample_rate =
		posted->known.sample_rate[0] == '\0' ? NULL : posted->known.sample_rate;
	for (int i = 0; i < posted->known.n_tracks; i++)
	{
		free((char *) posted->tracks[i].name);
		posted->tracks[i].name =
			posted->known.track[i] == NULL ? NULL : strdup(posted->known.track[i]);
	}
	if (posted->known.n_tracks > 0)
		posted->n_tracks = posted->known.n_tracks;
	return true;
}

static void
free_posted(edge_posted *posted)
{
	for (int i = 0; i < EDGE_MAX_CHANNELS; i++)
	{
		free((char *) posted->tracks[i].name);
		edge_track_free(&posted->tracks[i]);
	}
	free(posted->told);
	free(posted);
}

edge_posted *
edge_posted_find(edge_posted **list, const edge_item *item)
{
	edge_posted *posted = *list;

	while (posted != NULL && strcmp(posted->told->call_id, item->call_id) != 0)
		posted = posted->next;
	if (posted != NULL)
		return posted;
	posted = calloc(1, sizeof(*posted));
	if (posted == NULL)
		return NULL;
	if (!edge_posted_learn(posted, item))
	{
		free_posted(posted);
		return NULL;
	}
	posted->next = *list;
	*list = posted;
	return posted;
}

void
edge_posted_remove(edge_posted **list, edge_posted *posted)
{
	while (*list != posted)
		list = &(*list)->next;
	*list = posted->next;
	free_posted(posted);
}

edge_track *
edge_posted_track(edge_posted *posted, const char *name)
{
	for (int i = 0; i < posted->n_tracks; i++)
	{
		const char *own = posted->tracks[i].name;

		if (own == name || (own != NULL && name != NULL && strcmp(own, name) == 0))
			return &posted->tracks[i];
	}
	if (posted->n_tracks == EDGE_MAX_CHANNELS)
		return NULL;
	posted->tracks[posted->n_tracks].name = name == NULL ? NULL : strdup(name);
	return &posted->tracks[posted->n_tracks++];
}

int64_t
edge_posted_time(edge_posted *posted, const edge_item *item, int64_t latest)
{
	if (item->wall != MB_SPOOL_NO_TIME)
		return item->wall;
	if (item->time == 0)
		return 0;
	/* once for all of the call, whose times would jump else when the clock is set */
	if (!posted->looked)
	{
		posted->looked = true;
		posted->has_offset = edge_wall_is_known(latest);
		posted->offset_us = edge_wall_of(0);
	}
	return posted->has_offset ? posted->offset_us + item->time / 1000 : 0;
}

void
edge_posted_lose(edge_posted *posted, const edge_item *item)
{
	if (posted->lost == 0 || item->sequence < posted->first_lost)
		posted->first_lost = item->sequence;
	if (posted->lost == 0 || item->sequence > posted->last_lost)
		posted->last_lost = item->sequence;
	posted->lost++;
}

void
edge_posted_say_lost(edge_posted *posted)
{
	if (posted->lost > 0)
		edge_complain("call %s: %" PRIu64 " packets, from %" PRId64 " to %" PRId64
					  ", %.3f s, are dropped",
					  posted->told->call_id, posted->lost, posted->first_lost, posted->last_lost,
					  (double) posted->lost * EDGE_BLOCK_MS / 1000);
	posted->lost = 0;
}
