/*
 * webhook.h
 *	  Twilio's webhooks: handed to SQL as they came, and answered with what SQL says, or with an apology.
 *
 * They have a server and connections to the database of their own, so that nothing that clients do keeps a caller
 * waiting.  Who sent them is known by their signature, which SQL checks: the connections work for the gateway's own role.
 */
#ifndef GATEWAY_WEBHOOK_H
#define GATEWAY_WEBHOOK_H

#include "database.h"
#include "options.h"

struct gw_gateway;

typedef struct gw_webhooks gw_webhooks;

typedef struct gw_webhook_counters
{
	uint64_t answered;	/* by SQL */
	uint64_t refused;	/* by SQL, or not understood: 4xx */
	uint64_t apologies; /* a caller was told that nobody can take the call */
	uint64_t put_off;	/* 503: Twilio is to come again */
	uint64_t late;		/* of the last two: those whose time was over */
} gw_webhook_counters;

/*
 * NULL, with a sentence in error, when the settings cannot be used or there is no memory.  With them "check" ends it:
 * nothing is connected.
 */
extern gw_webhooks *gw_webhooks_new(struct gw_gateway *gateway, char *error, size_t error_size);
extern void gw_webhooks_free(gw_webhooks *webhooks);

/* Connects to the database. */
extern bool gw_webhooks_start(gw_webhooks *webhooks);

/* Runs another unit of the gateway's own over their connections. */
extern void gw_webhooks_ask(gw_webhooks *webhooks, gw_unit *unit);

extern http_server *gw_webhooks_server(gw_webhooks *webhooks);
extern const gw_webhook_counters *gw_webhooks_count(const gw_webhooks *webhooks);


#endif /* GATEWAY_WEBHOOK_H */
