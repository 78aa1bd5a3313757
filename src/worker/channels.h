/*
 * channels.h
 *	  Where the notifier sends the events of each tenant.
 */
#ifndef MULBERRY_CHANNELS_H
#define MULBERRY_CHANNELS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/uuid.h"

/* A tenant to which somebody listens. */
typedef struct mulberry_audience
{
	pg_uuid_t tenant; /* hash key */
	NameData tenant_name;
	List *channels; /* char *, mostly one */
} mulberry_audience;

/* To be called once, when the notifier begins. */
extern void mulberry_channels_init(void);

/* True when somebody has subscribed, or rights have changed, since channels were read. */
extern bool mulberry_channels_are_stale(void);

/*
 * Within a transaction: takes channels out of use that a role knows which may not hear them any more,
 * and reads the others.  Forget them when that transaction fails.
 */
extern void mulberry_channels_read(void);
extern void mulberry_channels_forget(void);

/* Who hears a tenant, NULL when nobody does; of all tenants, a List of mulberry_audience. */
extern const mulberry_audience *mulberry_audience_of(const pg_uuid_t *tenant);
extern List *mulberry_audiences(void);

#endif /* MULBERRY_CHANNELS_H */
