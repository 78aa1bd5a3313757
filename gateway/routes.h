/*
 * routes.h
 *	  What can be asked for: the one list of it.
 *
 * To add a route: an action in the file of its subject, declared in gateway.h, and a line here.  What runs one statement
 * for one request needs no code but its plan (query.h).
 */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include "route.h"

/* Targets are of gw_action.  For clients, and for those who watch health and metrics. */
extern const http_route gw_client_routes[];
extern const size_t gw_n_client_routes;
extern const http_route gw_admin_routes[];
extern const size_t gw_n_admin_routes;

#endif /* GATEWAY_ROUTES_H */
