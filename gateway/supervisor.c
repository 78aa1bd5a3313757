/*
 * supervisor.c
 *	  One WebSocket that hears of calls: what it wants to hear, and how it is told.
 */
#include "supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "past.h"

void
gw_supervisor_doubt(gw_supervisor *c)
{
	c->doubts++;
	c->behind = true;
	c->missed = true;
}

bool
gw_supervisor_is_doubted(const gw_supervisor *c)
{
	return c->doubts != c->denied;
}

bool
gw_supervisor_has_number(const gw_supervisor *c)
{
	return c->tenant[0] != '\0' && c->seq >= 0;
}

bool
gw_supervisor_wants(const gw_supervisor *c, const char *tenant, const char *event,
					const char *call_id)
{
	bool found = c->n_calls == 0;

	if (c->tenant[0] != '\0' && strcmp(c->tenant, tenant) != 0)
		return false;
	for (int i = 0; i < c->n_calls && !found; i++)
		found = call_id != NULL && strcmp(c->calls[i], call_id) == 0;
	if (!found)
		return false;
	found = c->n_kinds == 0;
	for (int i = 0; i < c->n_kinds && !found; i++)
		found = strcmp(c->kinds[i], event) == 0;
	return found;
}

/* A client that does not keep up loses what waits for it, and is told so once it reads again. */
static void
overflow(gw_supervisor *c)
{
	if (c->overflown)
		return;
	c->overflown = true;
	http_socket_drop_queue(c->gateway->server, c->id);
}

void
gw_supervisor_send_frame(gw_supervisor *c, http_blob *frame)
{
	if (!c->overflown && http_socket_send_frame(c->gateway->server, c->id, frame) == HTTP_FULL)
		overflow(c);
}

void
gw_supervisor_send(gw_supervisor *c, const char *text, size_t n)
{
	if (!c->overflown && http_socket_send(c->gateway->server, c->id, true, text, n) == HTTP_FULL)
		overflow(c);
}

void
gw_supervisor_send_resync(gw_supervisor *c)
{
	char text[128];

	if (c->seq >= 0)
		snprintf(text, sizeof(text), "{\"event\":\"resync\",\"seq\":%lld}", (long long) c->seq);
	else
		snprintf(text, sizeof(text), "{\"event\":\"resync\"}");
	gw_supervisor_send(c, text, strlen(text));
}

void
gw_supervisor_free(gw_supervisor *c)
{
	for (int i = 0; i < c->n_calls; i++)
		free(c->calls[i]);
	for (int i = 0; i < c->n_kinds; i++)
		free(c->kinds[i]);
	gw_identity_release(c->identity);
	free(c);
}
