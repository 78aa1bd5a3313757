/*
 * talk_usual.h
 *	  How long services usually take to begin, each for a tenant by itself: what decides when another one is asked as well.
 */
#ifndef GATEWAY_TALK_USUAL_H
#define GATEWAY_TALK_USUAL_H

#include <stdint.h>

/* seconds: of an answer of a tenant's service, whose name is unique among those of a kind. */
extern void talk_usual_add(const char *tenant, int kind, const char *name, double seconds);

/*
 * The time, in seconds, that all but one in twenty of its latest answers did not exceed, about.  0: there were fewer than 20 of them, or
 * none for an hour.
 */
extern double talk_usual(const char *tenant, int kind, const char *name);

#endif /* GATEWAY_TALK_USUAL_H */
