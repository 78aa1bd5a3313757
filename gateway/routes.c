/*
 * routes.c
 *	  What can be asked for; see routes.h.
 */
#include "routes.h"

#include "gateway.h"

#define OF_INGEST (GW_ACCESS_INGEST | GW_ACCESS_OPERATOR)

static const gw_action packet = { .access = GW_ACCESS_INGEST, .handle = gw_handle_packet };
static const gw_action complete = { .access = OF_INGEST, .handle = gw_handle_complete };
static const gw_action supervisor = { .access = GW_ACCESS_SUPERVISOR | GW_ACCESS_AUDITOR,
									  .handle = gw_handle_supervisor,
									  .socket = true };
static const gw_action begin = { .access = GW_ACCESS_INGEST,
								 .handle = gw_handle_query,
								 .plan = &gw_begin };
static const gw_action describe = { .access = OF_INGEST,
									.handle = gw_handle_query,
									.plan = &gw_describe };
static const gw_action twilio_sessions = { .access = GW_ACCESS_SUPERVISOR | GW_ACCESS_OPERATOR |
													 GW_ACCESS_AUDITOR,
										   .handle = gw_handle_query,
										   .plan = &gw_twilio_sessions };
static const gw_action twilio_health = { .handle = gw_handle_twilio_health };
static const gw_action root = { .handle = gw_handle_root };
static const gw_action live = { .handle = gw_handle_live };
static const gw_action ready = { .handle = gw_handle_ready };
static const gw_action metrics = { .handle = gw_handle_metrics };

/* The first is looked for first. */
const http_route gw_client_routes[] = {
	{ "POST", "/v1/call/stream/{call_id}", &packet },
	{ "POST", "/v1/call/complete/{call_id}", &complete },
	{ "POST", "/v1/call/begin/{call_id}", &begin },
	{ "POST", "/v1/call/describe/{call_id}", &describe },
	{ "GET", "/ws/supervisor", &supervisor },
	{ "GET", "/twilio/sessions", &twilio_sessions },
	{ "GET", "/twilio/health", &twilio_health },
	{ "GET", "/", &root },
	{ "GET", "/health", &ready },
};
const size_t gw_n_client_routes = sizeof(gw_client_routes) / sizeof(gw_client_routes[0]);

const http_route gw_admin_routes[] = {
	{ "GET", "/health/live", &live },
	{ "GET", "/health/ready", &ready },
	{ "GET", "/metrics", &metrics },
};
const size_t gw_n_admin_routes = sizeof(gw_admin_routes) / sizeof(gw_admin_routes[0]);
