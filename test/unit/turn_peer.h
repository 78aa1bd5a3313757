/*
 * turn_peer.h
 *	  A peer with a playback buffer behind a network, for tests: it plays in real time, sends a frame
 *	  each 20 ms, sends marks back when they are reached, and all that are pending at a clear.  Delays each way
 *	  have a base and jitter, and nothing overtakes anything.  It knows what it really played.
 */
#ifndef TURN_PEER_H
#define TURN_PEER_H

#include "check.h"
#include "core/conversation/ledger.h"

#define PEER_QUEUE 8192
#define PEER_ITEMS 512

typedef enum peer_message_kind
{
	PEER_AUDIO,
	PEER_MARK,
	PEER_CLEAR,
	PEER_FRAME
} peer_message_kind;

typedef struct peer_message
{
	peer_message_kind kind;
	int32_t arrives;
	uint32_t generation;
	uint32_t name; /* of a mark; number of an item */
	int32_t from;  /* of audio, in ms of the item */
	int32_t to;
	uint32_t stamp; /* of a frame */
} peer_message;

typedef struct peer_ring
{
	peer_message messages[PEER_QUEUE];
	unsigned head;
	unsigned tail;
	int32_t last; /* arrival */
} peer_ring;

typedef struct peer_heard
{
	uint32_t generation;
	uint32_t item;
	int32_t to; /* ms of it that were played, up to the last */
} peer_heard;

typedef struct peer
{
	int32_t now;
	int up; /* delays in ms */
	int down;
	int jitter;
	bool mute; /* sends no frames */
	check_random random;
	peer_ring to_peer;
	peer_ring to_us;
	peer_ring buffer;
	peer_heard heard[PEER_ITEMS];
	int n_heard;
	int32_t silent_for; /* ms since it played something */
} peer;

CHECK_UNUSED static void
peer_begin(peer *p, int up, int down, int jitter, uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	p->up = up;
	p->down = down;
	p->jitter = jitter;
	p->random.state = seed;
}

CHECK_UNUSED static void
peer_push(peer_ring *ring, peer_message message)
{
	if (message.arrives < ring->last)
		message.arrives = ring->last;
	ring->last = message.arrives;
	ring->messages[ring->tail++ % PEER_QUEUE] = message;
}

/* The next message that has arrived, taken away; NULL for none. */
CHECK_UNUSED static peer_message *
peer_pop(peer_ring *ring, int32_t now)
{
	if (ring->head == ring->tail || ring->messages[ring->head % PEER_QUEUE].arrives > now)
		return NULL;
	return &ring->messages[ring->head++ % PEER_QUEUE];
}

CHECK_UNUSED static int32_t
peer_delay(peer *p, int base)
{
	return p->now + base +
		   (p->jitter > 0 ? (int32_t) check_random_below(&p->random, (uint64_t) p->jitter) : 0);
}

/* We send to it. */
CHECK_UNUSED static void
peer_send(peer *p, peer_message message)
{
	message.arrives = peer_delay(p, p->down);
	peer_push(&p->to_peer, message);
}

CHECK_UNUSED static void
peer_answer(peer *p, peer_message message)
{
	message.arrives = peer_delay(p, p->up);
	peer_push(&p->to_us, message);
}

CHECK_UNUSED static int32_t
peer_heard_of(const peer *p, uint32_t generation, uint32_t item)
{
	for (int i = p->n_heard - 1; i >= 0; i--)
		if (p->heard[i].generation == generation && p->heard[i].item == item)
			return p->heard[i].to;
	return 0;
}

CHECK_UNUSED static void
peer_note(peer *p, uint32_t generation, uint32_t item, int32_t to)
{
	peer_heard *last = p->n_heard > 0 ? &p->heard[p->n_heard - 1] : NULL;

	if (last == NULL || last->generation != generation || last->item != item)
	{
		if (p->n_heard == PEER_ITEMS)
			return;
		last = &p->heard[p->n_heard++];
		last->generation = generation;
		last->item = item;
	}
	last->to = to;
}

/* Gives back the marks at the head of the buffer, which are reached. */
CHECK_UNUSED static void
peer_marks(peer *p)
{
	while (p->buffer.head != p->buffer.tail &&
		   p->buffer.messages[p->buffer.head % PEER_QUEUE].kind == PEER_MARK)
		peer_answer(p, p->buffer.messages[p->buffer.head++ % PEER_QUEUE]);
}

/* A millisecond passes. */
CHECK_UNUSED static void
peer_step(peer *p)
{
	peer_message *message;

	p->now++;
	while ((message = peer_pop(&p->to_peer, p->now)) != NULL)
	{
		if (message->kind != PEER_CLEAR)
			p->buffer.messages[p->buffer.tail++ % PEER_QUEUE] = *message;
		else
			for (; p->buffer.head != p->buffer.tail; p->buffer.head++)
				if (p->buffer.messages[p->buffer.head % PEER_QUEUE].kind == PEER_MARK)
					peer_answer(p, p->buffer.messages[p->buffer.head % PEER_QUEUE]);
	}
	peer_marks(p);
	p->silent_for++;
	if (p->buffer.head != p->buffer.tail)
	{
		message = &p->buffer.messages[p->buffer.head % PEER_QUEUE];
		p->silent_for = 0;
		peer_note(p, message->generation, message->name, ++message->from);
		if (message->from >= message->to)
			p->buffer.head++;
		peer_marks(p);
	}
	if (p->now % 20 == 0 && !p->mute)
		peer_answer(p, (peer_message){ .kind = PEER_FRAME, .stamp = (uint32_t) p->now - 20 });
}

#endif /* TURN_PEER_H */
