/*
 * schemas.h
 *	  The forms of answers, as members of an object in JSON Schema.
 */
#ifndef GATEWAY_SCHEMAS_H
#define GATEWAY_SCHEMAS_H

extern const char gw_schemas[];

/* schemas_mandates.c: of mandates, commands, agents and the telephone. */
extern const char gw_schemas_mandates[];

#endif /* GATEWAY_SCHEMAS_H */
