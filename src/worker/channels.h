/*
 * channels.h
 *	  Where the notifier sends the events of each tenant, and which of them.
 */
#ifndef MULBERRY_CHANNELS_H
#define MULBERRY_CHANNELS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/uuid.h"

/* Beside the channel for all who want everything there are those of one session each, which wants some. */
typedef struct mulberry_channel
{
	char *name;
	int listener;	  /* process of the only session that listens, 0: whoever wants everything */
	uint64 kinds;	  /* bit i: wants mulberry_event_kind_at(i) */
	int ncalls;		  /* 0: wants to hear of every call */
	char **calls;	  /* their ids, sorted */
	int *subscribers; /* sessions that have subscribed; some may be gone */
	int nsubscribers;

	/*
	 * With a listener: the number of the last event that was sent there, or that its tenant had when we
	 * began to send there.  What it wants of what came later has been sent.
	 */
	int64 told;

	/* Whether the listener is still there, which is asked once a turn. */
	uint64 asked_in; /* turn */
	bool there;
} mulberry_channel;

/* A tenant to which somebody listens. */
typedef struct mulberry_audience
{
	pg_uuid_t tenant; /* hash key */
	NameData tenant_name;
	List *channels; /* mulberry_channel, mostly one */
} mulberry_audience;

/* To be called once, when the notifier begins. */
extern void mulberry_channels_init(void);

/* The notifier begins to look for what it sends. */
extern void mulberry_channels_begin_turn(void);

/* True when somebody has subscribed, or rights have changed, since channels were read. */
extern bool mulberry_channels_are_stale(void);

/*
 * Within a transaction: takes channels out of use that a role knows which may not hear them any more,
 * and reads the others.  Forget them when that transaction, or one that sent something, fails.
 */
extern void mulberry_channels_read(void);
extern void mulberry_channels_forget(void);

/*
 * Tells those who store packets whether somebody hears of them, also when a session that did has ended since: nobody says so.
 */
extern void mulberry_channels_tell_wants(void);

/* Who hears a tenant, NULL when nobody does; of all tenants, a List of mulberry_audience. */
extern const mulberry_audience *mulberry_audience_of(const pg_uuid_t *tenant);
extern List *mulberry_audiences(void);

/*
 * Whether an event is for a channel, and whether it is for any of an audience: its kind as
 * mulberry_event_kind_number() says, -1 for one that is not known; call_id NULL when it is about no call.
 */
extern bool mulberry_channel_wants(mulberry_channel *channel, int kind, const char *call_id);
extern bool
mulberry_audience_wants(const mulberry_audience *audience, int kind, const char *call_id);

#endif /* MULBERRY_CHANNELS_H */
