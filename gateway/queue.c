/*
 * queue.c
 *	  The queue of units that wait for a connection.
 */
#include "queue.h"

#include <stddef.h>

void
gw_queue_init(gw_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
	queue->n = 0;
}

void
gw_queue_add(gw_queue *queue, gw_unit *unit)
{
	unit->next = NULL;
	*queue->last = unit;
	queue->last = &unit->next;
	queue->n++;
}

void
gw_queue_put_back(gw_queue *queue, gw_unit *unit)
{
	unit->next = queue->first;
	if (queue->first == NULL)
		queue->last = &unit->next;
	queue->first = unit;
	queue->n++;
}

gw_unit *
gw_queue_take(gw_queue *queue)
{
	gw_unit *unit = queue->first;

	if (unit == NULL)
		return NULL;
	queue->first = unit->next;
	if (queue->first == NULL)
		queue->last = &queue->first;
	unit->next = NULL;
	queue->n--;
	return unit;
}

/* Whoever is told may add units: the queue is emptied first, and filled with what goes on waiting. */
int
gw_queue_give_up(gw_queue *queue, int64_t now, bool hopeless)
{
	gw_unit *waiting = queue->first;
	int n = queue->n;
	int late = 0;

	gw_queue_init(queue);
	while (n-- > 0)
	{
		gw_unit *unit = waiting;

		waiting = unit->next;
		if (now < unit->give_up && (unit->again || !hopeless))
		{
			gw_queue_add(queue, unit);
			continue;
		}
		late += now >= unit->give_up;
		unit->done(unit, unit->again ? GW_UNKNOWN : GW_UNAVAILABLE, NULL, NULL);
	}
	return late;
}
