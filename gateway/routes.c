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
#define OF_OPERATOR(name)                                                                          \
	{                                                                                              \
		.access = GW_ACCESS_OPERATOR, .handle = gw_handle_query, .plan = &name                     \
	}
#define OF_READER(name)                                                                            \
	{                                                                                              \
		.access = GW_ACCESS_OPERATOR | GW_ACCESS_AUDITOR, .handle = gw_handle_query, .plan = &name \
	}

static const gw_action revoke = OF_OPERATOR(gw_revoke);
static const gw_action suspend = OF_OPERATOR(gw_suspend);
static const gw_action resume = OF_OPERATOR(gw_resume);
static const gw_action extend = OF_OPERATOR(gw_extend);
static const gw_action query = OF_OPERATOR(gw_ask);
static const gw_action ping = OF_OPERATOR(gw_ping);
static const gw_action cancel = OF_OPERATOR(gw_cancel);
static const gw_action retry = OF_OPERATOR(gw_retry);
static const gw_action create_mandate = OF_OPERATOR(gw_create_mandate);
static const gw_action alter_mandate = OF_OPERATOR(gw_alter_mandate);
static const gw_action check_mandate = OF_OPERATOR(gw_check_mandate);
static const gw_action spend = OF_OPERATOR(gw_spend);
static const gw_action command = OF_READER(gw_command);
static const gw_action commands = OF_READER(gw_commands);
static const gw_action mandate = OF_READER(gw_mandate);
static const gw_action mandates = OF_READER(gw_mandates);
static const gw_action mandate_history = OF_READER(gw_mandate_history);
static const gw_action agent = OF_READER(gw_agent);
static const gw_action agents = OF_READER(gw_agents_list);
static const gw_action agent_sync = { .access = GW_ACCESS_AGENT, .handle = gw_handle_agent_sync };
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
	{ "POST", "/v1/agents/{agent}/sync", &agent_sync },
	{ "POST", "/v1/agents/{agent}/ping", &ping },
	{ "GET", "/v1/agents/{agent}", &agent },
	{ "GET", "/v1/agents", &agents },
	{ "POST", "/v1/mandates", &create_mandate },
	{ "GET", "/v1/mandates", &mandates },
	{ "GET", "/v1/mandates/{mandate_id}", &mandate },
	{ "PATCH", "/v1/mandates/{mandate_id}", &alter_mandate },
	{ "GET", "/v1/mandates/{mandate_id}/history", &mandate_history },
	{ "POST", "/v1/mandates/{mandate_id}/revoke", &revoke },
	{ "POST", "/v1/mandates/{mandate_id}/suspend", &suspend },
	{ "POST", "/v1/mandates/{mandate_id}/resume", &resume },
	{ "POST", "/v1/mandates/{mandate_id}/extend", &extend },
	{ "POST", "/v1/mandates/{mandate_id}/query", &query },
	{ "POST", "/v1/mandates/{mandate_id}/check", &check_mandate },
	{ "POST", "/v1/mandates/{mandate_id}/spend", &spend },
	{ "GET", "/v1/commands", &commands },
	{ "GET", "/v1/commands/{command_id}", &command },
	{ "POST", "/v1/commands/{command_id}/cancel", &cancel },
	{ "POST", "/v1/commands/{command_id}/retry", &retry },
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
