/*
 * talk_race.h
 *	  A service that is asked: when it fails, the next one is; and when it does not begin to answer in time, another one as well, where the
 *	  tenant wants that.  Who begins first answers, and the other one is heard of no more.
 */
#ifndef GATEWAY_TALK_RACE_H
#define GATEWAY_TALK_RACE_H

#include "loop.h"
#include "talk.h"
#include "talk_metrics.h"

typedef struct talk_race talk_race;

/* Somebody who is asked. */
typedef struct talk_lane
{
	talk_race *race;
	void *request;		/* NULL: nobody */
	const void *within; /* of whoever asks: what the request belongs to; NULL: nothing else */
	int service;
	bool hedge; /* as well */
	int64_t asked_at;
} talk_lane;

typedef struct talk_race_kind
{
	gw_talk_kind kind;
	talk_stage stage;	 /* what is measured: asked to the beginning of the answer */
	const char *failure; /* what the log says of one that has failed */

	/* Asks the service of the lane, whose events go to the lane; NULL: it cannot be asked. */
	void *(*ask)(void *owner, talk_lane *lane);
	void (*cancel)(void *request);

	/* The lane has been cancelled because another one was sooner.  NULL: there is no more to it. */
	void (*lost)(void *owner, const talk_lane *lane);
} talk_race_kind;

struct talk_race
{
	const talk_race_kind *kind;
	gw_talk *talk;
	void *owner;
	talk_lane lanes[2];
	int next;	 /* who is asked when one has failed */
	int service; /* who answers; until then who was asked first */
	bool begun;
	bool hedged;
	http_timer patience;
};

extern void talk_race_init(talk_race *race, const talk_race_kind *kind, gw_talk *talk, void *owner);

/* Asks a service, or the first behind it that can be asked; false when there is none. */
extern bool talk_race_start(talk_race *race, int service);
extern bool talk_race_runs(const talk_race *race);

/* A lane begins to answer; nothing comes of another one from now on. */
extern void talk_race_begins(talk_lane *lane);

/* A lane is done. */
extern void talk_race_done(talk_lane *lane);

/* A lane has failed.  True when nobody is asked any more: none is left, or its answer had begun. */
extern bool talk_race_failed(talk_lane *lane, const char *why);
extern void talk_race_cancel(talk_race *race);

#endif /* GATEWAY_TALK_RACE_H */
