/*
 * queue.h
 *	  The queue of units that wait for a connection.
 */
#ifndef GATEWAY_QUEUE_H
#define GATEWAY_QUEUE_H

#include "unit.h"

typedef struct gw_queue
{
	gw_unit *first;
	gw_unit **last;
	int n;
} gw_queue;

extern void gw_queue_init(gw_queue *queue);

/* At the end, or as the next to be taken. */
extern void gw_queue_add(gw_queue *queue, gw_unit *unit);
extern void gw_queue_put_back(gw_queue *queue, gw_unit *unit);

/* The next one; NULL when none waits. */
extern gw_unit *gw_queue_take(gw_queue *queue);

/*
 * Ends units that have waited too long and, when there is no hope of a connection, all that were never
 * sent.  Returns how many had waited too long.
 */
extern int gw_queue_give_up(gw_queue *queue, int64_t now, bool hopeless);

#endif /* GATEWAY_QUEUE_H */
