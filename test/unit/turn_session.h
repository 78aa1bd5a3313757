/*
 * turn_session.h
 *	  A whole conversation in simulated time, for tests of the turn engine: a peer behind a network
 *	  (turn_peer.h), a caller who follows a script, a recogniser and an agent that answer after a while.
 *
 * A test writes the caller's script (say() with words and pauses, noise(), …), runs the session and
 * looks at the list of decisions.
 */
#ifndef TURN_SESSION_H
#define TURN_SESSION_H

#include "core/conversation/turn.h"
#include "turn_lists.h"
#include "turn_peer.h"

#define SESSION_EVENTS 200
#define SESSION_DECISIONS 4000
#define SESSION_SPEECH 40000 /* frames */
#define SESSION_REPLIES 64

typedef struct session_event
{
	int32_t at; /* at our side */
	mb_turn_input input;
	char text[300];
} session_event;

typedef struct session_decision
{
	mb_turn_decision decision;
	char text[300];
	int32_t now;
} session_decision;

/* What is being fed to the peer. */
typedef struct session_reply
{
	uint32_t generation;
	const char *text;
	mb_item_kind kind;
	int32_t ready; /* when its audio is there */
	int32_t ms;
	int32_t fed;
	bool given;
	bool committed;
	bool gone;
} session_reply;

typedef struct session
{
	mb_turn_settings settings;
	mb_line line;
	mb_turn engine;
	peer p;

	/* the caller */
	uint8_t speech
		[SESSION_SPEECH]; /* flags of the frame that begins at 20 times the index, at the peer */
	session_event events[SESSION_EVENTS];
	int n_events;
	int next_event;

	/* the agent */
	int32_t reply_ms;		/* from asking to the first audio */
	const char *replies[8]; /* texts in turn; the last for all that follow */
	int n_replies;
	bool replies_fail;
	bool never_replies;
	session_reply queue[SESSION_REPLIES];
	int n_queue;
	uint32_t playing;
	bool paused;
	uint32_t mark;
	int32_t lead;
	int32_t framed_at;

	session_decision decisions[SESSION_DECISIONS];
	int n_decisions;
	void (*tap)(void *arg, const mb_turn_input *input);
	void *tap_arg;
} session;

/* The caller's words take so long. */
#define SESSION_WORD_MS 300
/* The recogniser's partial texts are so late; a final text comes later. */
#define SESSION_PARTIAL_LAG 200

CHECK_UNUSED static session_reply *
session_reply_of(session *s, uint32_t generation)
{
	for (int i = 0; i < s->n_queue; i++)
		if (s->queue[i].generation == generation)
			return &s->queue[i];
	return NULL;
}

CHECK_UNUSED static void
session_ask(session *s, uint32_t generation, const char *text, mb_item_kind kind, int32_t after)
{
	session_reply *r;

	if (s->n_queue == SESSION_REPLIES)
		return;
	r = &s->queue[s->n_queue++];
	*r = (session_reply){
		.generation = generation, .text = text, .kind = kind, .ready = s->p.now + after
	};
	r->ms = (int32_t) strlen(text) * 60;
}

CHECK_UNUSED static const char *
session_next_reply(session *s)
{
	const char *text = s->replies[0];

	if (s->n_replies > 1)
	{
		memmove(s->replies, s->replies + 1, sizeof(s->replies) - sizeof(s->replies[0]));
		s->n_replies--;
	}
	return text;
}

CHECK_UNUSED static void
session_decide(void *arg, const mb_turn_decision *decision)
{
	session *s = arg;
	session_decision *kept = &s->decisions[s->n_decisions];
	session_reply *reply = session_reply_of(s, decision->generation);

	if (s->n_decisions < SESSION_DECISIONS)
	{
		uint32_t n =
			decision->bytes < sizeof(kept->text) - 1 ? decision->bytes : sizeof(kept->text) - 1;

		kept->decision = *decision;
		kept->now = s->p.now;
		if (n > 0)
			memcpy(kept->text, decision->text, n);
		kept->text[n] = '\0';
		kept->decision.text = NULL;
		s->n_decisions++;
	}
	switch (decision->kind)
	{
		case MB_DO_SPECULATE:
			session_ask(s, decision->generation, s->replies[0], MB_ITEM_REPLY, s->reply_ms);
			break;
		case MB_DO_COMMIT:
			if (reply == NULL)
			{
				session_ask(s, decision->generation, s->replies[0], MB_ITEM_REPLY, s->reply_ms);
				reply = session_reply_of(s, decision->generation);
			}
			session_next_reply(s);
			if (reply != NULL)
				reply->committed = true;
			s->paused = false;
			break;
		case MB_DO_CANCEL:
			if (reply != NULL)
				reply->gone = true;
			s->paused = false;
			break;
		case MB_DO_PAUSE:
			s->paused = true;
			if (decision->how != MB_PAUSE_CLEAR)
				break;
			/* fall through */
		case MB_DO_CLEAR:
			if (s->line.marks)
				peer_send(&s->p, (peer_message){ .kind = PEER_MARK,
												 .generation = decision->generation,
												 .name = decision->mark });
			peer_send(&s->p, (peer_message){ .kind = PEER_CLEAR });
			break;
		case MB_DO_RESUME:
			s->paused = false;
			if (reply != NULL && decision->how == MB_PAUSE_CLEAR)
				reply->fed = decision->item == UINT16_MAX ? reply->ms : decision->ms;
			break;
		case MB_DO_SAY_FILLER:
			session_ask(s, decision->generation, "One moment.", MB_ITEM_FILLER, 20);
			s->queue[s->n_queue - 1].committed = true;
			break;
		case MB_DO_SAY_APOLOGY:
			session_ask(s, decision->generation, "I am sorry, something went wrong.",
						MB_ITEM_PROMPT, 20);
			s->queue[s->n_queue - 1].committed = true;
			break;
		case MB_DO_SAY_PROMPT:
			session_ask(s, decision->generation, "Are you still there?", MB_ITEM_PROMPT, 20);
			s->queue[s->n_queue - 1].committed = true;
			break;
		case MB_DO_SAY:
			session_ask(s, decision->generation, s->replies[0], decision->item_kind, 20);
			s->queue[s->n_queue - 1].committed = true;
			session_next_reply(s);
			break;
		default:
			break;
	}
}

CHECK_UNUSED static void
session_begin(session *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	english(&s->settings);
	s->line = (mb_line){ .clear = true, .marks = true };
	peer_begin(&s->p, 50, 50, 10, seed);
	s->reply_ms = 400;
	s->replies[0] = "Here is a reply of some length that goes on for a while.";
	s->n_replies = 1;
	s->lead = 300;
}

CHECK_UNUSED static void
session_event_at(session *s, int32_t at, mb_turn_input input, const char *text)
{
	int i;

	if (s->n_events == SESSION_EVENTS)
		return;
	/* in the order of time */
	for (i = s->n_events++; i > 0 && s->events[i - 1].at > at; i--)
		s->events[i] = s->events[i - 1];
	s->events[i].at = at;
	s->events[i].input = input;
	snprintf(s->events[i].text, sizeof(s->events[i].text), "%s", text);
}

/* The peer hears this from a time on, for so long. */
CHECK_UNUSED static void
session_sound(session *s, int32_t from, int32_t ms, uint8_t flags)
{
	for (int32_t i = from / 20; i < (from + ms) / 20 && i < SESSION_SPEECH; i++)
		s->speech[i] |= flags;
}

/*
 * The caller says a text from a time on; each word is heard, and its partial text comes a while after. Returns
 * when it ends.  final_after: the final text comes so long after that; negative: not at all.
 */
CHECK_UNUSED static int32_t
session_say(session *s, int32_t from, const char *text, int32_t final_after)
{
	char so_far[300] = "";
	int32_t at = from;
	size_t i = 0;

	while (text[i] != '\0')
	{
		size_t n = strcspn(text + i, " ");

		strncat(so_far, text + i, n);
		i += n;
		session_sound(s, at, SESSION_WORD_MS - 40, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
		at += SESSION_WORD_MS;
		session_event_at(s, at + SESSION_PARTIAL_LAG, (mb_turn_input){ .kind = MB_IN_PARTIAL },
						 so_far);
		while (text[i] == ' ')
			i++;
		if (text[i] != '\0')
			strcat(so_far, " ");
	}
	at -= 40;
	if (final_after >= 0)
		session_event_at(s, at + final_after, (mb_turn_input){ .kind = MB_IN_FINAL }, text);
	return at;
}

CHECK_UNUSED static void
session_input(session *s, mb_turn_input input)
{
	input.at = s->p.now;
	if (s->tap != NULL)
		s->tap(s->tap_arg, &input);
	mb_turn_input_take(&s->engine, &input);
}

CHECK_UNUSED static void
session_feed(session *s)
{
	for (int i = 0; i < s->n_queue; i++)
	{
		session_reply *r = &s->queue[i];

		if (r->gone || s->never_replies || r->ready > s->p.now)
			continue;
		if (!r->given)
		{
			r->given = true;
			if (s->replies_fail && r->kind == MB_ITEM_REPLY)
			{
				session_input(
					s, (mb_turn_input){ .kind = MB_IN_REPLY_FAILED, .generation = r->generation });
				r->gone = true;
				continue;
			}
			session_input(s, (mb_turn_input){ .kind = MB_IN_PIECE,
											  .generation = r->generation,
											  .item = r->kind == MB_ITEM_FILLER ? 100 : 0,
											  .item_kind = r->kind,
											  .text = r->text,
											  .bytes = (uint32_t) strlen(r->text),
											  .ms = r->ms });
			if (r->kind != MB_ITEM_FILLER)
				session_input(
					s, (mb_turn_input){ .kind = MB_IN_REPLY_END, .generation = r->generation });
		}
		while (r->committed && !r->gone && !s->paused && r->fed < r->ms &&
			   mb_ledger_left(&s->engine.ledger, mb_turn_clock(&s->engine)) < s->lead)
		{
			int32_t piece = r->ms - r->fed < 20 ? r->ms - r->fed : 20;
			uint32_t item = r->kind == MB_ITEM_FILLER ? 100 : 0;

			peer_send(&s->p, (peer_message){ .kind = PEER_AUDIO,
											 .generation = r->generation,
											 .name = item,
											 .from = r->fed,
											 .to = r->fed + piece });
			r->fed += piece;
			session_input(s, (mb_turn_input){ .kind = MB_IN_SENT,
											  .generation = r->generation,
											  .item = (uint16_t) item,
											  .ms = r->fed });
			if (r->fed / 200 != (r->fed - piece) / 200 || r->fed == r->ms)
			{
				peer_send(&s->p, (peer_message){ .kind = PEER_MARK,
												 .generation = r->generation,
												 .name = ++s->mark });
				session_input(s, (mb_turn_input){ .kind = MB_IN_MARK_SENT,
												  .generation = r->generation,
												  .mark = s->mark });
			}
		}
	}
}

/* To that time of ours. */
CHECK_UNUSED static void
session_run(session *s, int32_t until)
{
	if (s->p.now == 0)
		mb_turn_init(&s->engine, &s->settings, &s->line, session_decide, s);
	while (s->p.now < until)
	{
		peer_message *message;

		peer_step(&s->p);
		while ((message = peer_pop(&s->p.to_us, s->p.now)) != NULL)
		{
			if (message->kind == PEER_FRAME)
			{
				s->framed_at = s->p.now;
				session_input(s, (mb_turn_input){ .kind = MB_IN_FRAME,
												  .media_ms = message->stamp,
												  .flags = message->stamp / 20 < SESSION_SPEECH
															   ? s->speech[message->stamp / 20]
															   : 0,
												  .level = -60 });
			}
			else if (message->kind == PEER_MARK)
				session_input(s, (mb_turn_input){ .kind = MB_IN_MARK,
												  .generation = message->generation,
												  .mark = message->name });
		}
		while (s->next_event < s->n_events && s->events[s->next_event].at <= s->p.now)
		{
			session_event *event = &s->events[s->next_event++];
			mb_turn_input input = event->input;

			input.text = event->text;
			input.bytes = (uint32_t) strlen(event->text);
			session_input(s, input);
		}
		if (s->p.now % 20 == 0 && s->p.now - s->framed_at > 40)
			session_input(s, (mb_turn_input){ .kind = MB_IN_TICK });
		session_feed(s);
	}
}

/* How many decisions of a kind there were; the nth of them, from 0, or NULL. */
CHECK_UNUSED static int
session_count(const session *s, mb_turn_decision_kind kind)
{
	int n = 0;

	for (int i = 0; i < s->n_decisions; i++)
		n += s->decisions[i].decision.kind == kind;
	return n;
}

CHECK_UNUSED static const session_decision *
session_nth(const session *s, mb_turn_decision_kind kind, int nth)
{
	for (int i = 0; i < s->n_decisions; i++)
		if (s->decisions[i].decision.kind == kind && nth-- == 0)
			return &s->decisions[i];
	return NULL;
}

CHECK_UNUSED static void
session_print(const session *s)
{
	for (int i = 0; i < s->n_decisions; i++)
	{
		const mb_turn_decision *d = &s->decisions[i].decision;

		check_note("%6d %6d %-12s turn %u gen %u %s ms %d delay %d flag %d \"%s\"",
				   s->decisions[i].now, d->at, mb_turn_decision_name(d->kind), d->turn,
				   d->generation, mb_turn_reason_name(d->reason), d->ms, d->delay, d->flag,
				   s->decisions[i].text);
	}
}

#endif /* TURN_SESSION_H */
