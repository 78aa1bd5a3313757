/*
 * turn_whatif.c
 *	  What would have happened with other settings; see turn_whatif.h.
 */
#include "core/conversation/turn_whatif.h"

#include <string.h>

/* A reply of which nothing is recorded. */
#define USUAL_LATENCY 600
#define USUAL_MS 2500

/* An apology, a question whether somebody is there. */
#define PROMPT_LATENCY 100
#define PROMPT_MS 1500

/* A reply that ends with the recorded one is no shorter than this. */
#define SHORTEST_MS 300

#define NOT_OVER (INT32_MAX / 2)

void
mb_whatif_recorded_init(mb_whatif_recorded *recorded, mb_whatif_reply *replies, int room)
{
	memset(recorded, 0, sizeof(*recorded));
	recorded->replies = replies;
	recorded->room = room;
}

/* The entry of the generation that is being sent, or NULL. */
static mb_whatif_reply *
being_sent(mb_whatif_recorded *recorded, uint32_t generation)
{
	return recorded->n > 0 && recorded->generation == generation
			   ? &recorded->replies[recorded->n - 1]
			   : NULL;
}

void
mb_whatif_recorded_input(mb_whatif_recorded *recorded, const mb_turn_input *input,
						 const mb_turn *turn)
{
	mb_whatif_reply *reply;

	if (input->kind == MB_IN_PIECE)
	{
		recorded->piece_generation = input->generation;
		recorded->piece_asks = mb_text_asks(input->text, input->bytes);
		reply = being_sent(recorded, input->generation);
		if (reply != NULL)
			reply->asks = recorded->piece_asks;
	}
	if (input->kind != MB_IN_SENT || input->ms <= 0)
		return;
	recorded->round_trip = mb_turn_round_trip(turn);
	reply = being_sent(recorded, input->generation);
	if (reply == NULL)
	{
		if (recorded->n == recorded->room)
			return;
		reply = &recorded->replies[recorded->n++];
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where there is room, there are replies */
		*reply = (mb_whatif_reply){
			.latency = recorded->asked_generation == input->generation
						   ? mb_turn_clock(turn) - recorded->asked
						   : USUAL_LATENCY,
			.sent = mb_turn_clock(turn),
			.end = NOT_OVER,
			.asks = recorded->piece_generation == input->generation && recorded->piece_asks,
		};
		recorded->generation = input->generation;
		recorded->item = input->item;
		recorded->ms = 0;
	}
	if (input->item != recorded->item)
	{
		recorded->item = input->item;
		recorded->ms = 0;
	}
	if (input->ms > recorded->ms && reply->ms < NOT_OVER - (input->ms - recorded->ms))
		reply->ms += input->ms - recorded->ms;
	recorded->ms = input->ms;
}

void
mb_whatif_recorded_decision(mb_whatif_recorded *recorded, const mb_turn_decision *decision)
{
	mb_whatif_reply *reply = being_sent(recorded, decision->generation);

	switch (decision->kind)
	{
		case MB_DO_COMMIT:
			/* one that was prepared was asked for then */
			if (recorded->asked_generation == decision->generation)
				break;
			/* fall through */
		case MB_DO_SPECULATE:
		case MB_DO_SAY:
		case MB_DO_SAY_APOLOGY:
		case MB_DO_SAY_PROMPT:
			recorded->asked_generation = decision->generation;
			recorded->asked = decision->at;
			break;
		case MB_DO_CANCEL:
		case MB_DO_DRAINED:
			if (reply != NULL && reply->end == NOT_OVER)
				reply->end = decision->at;
			break;
		default:
			break;
	}
}

/* Something is to be said: what the recorded session has of that time. */
static void
schedule(mb_whatif *whatif, const mb_turn_decision *decision, int32_t asked, mb_item_kind kind)
{
	const mb_whatif_recorded *recorded = whatif->recorded;
	int32_t latency = USUAL_LATENCY;
	int32_t end = NOT_OVER;

	whatif->generation = decision->generation;
	whatif->kind = kind;
	whatif->ms = USUAL_MS;
	whatif->from = 0;
	whatif->asks = false;
	whatif->told = false;
	whatif->held = false;
	whatif->played_at = -1;
	if (kind == MB_ITEM_PROMPT)
	{
		latency = PROMPT_LATENCY;
		whatif->ms = PROMPT_MS;
	}
	for (int i = 0; i < recorded->n && kind != MB_ITEM_PROMPT; i++)
	{
		const mb_whatif_reply *reply = &recorded->replies[i];

		if (reply->end <= decision->at)
			continue;
		latency = reply->latency;
		whatif->ms = reply->ms;
		whatif->asks = reply->asks;
		end = reply->end;
		break;
	}
	whatif->ready_at = asked + latency > decision->at ? asked + latency : decision->at;
	/* what the caller said next was said to the end of the recorded one */
	if (end - recorded->round_trip - whatif->ready_at < whatif->ms)
		whatif->ms = end - recorded->round_trip - whatif->ready_at;
	if (whatif->ms < SHORTEST_MS)
		whatif->ms = SHORTEST_MS;
}

static void
note_clear(mb_whatif *whatif, const mb_turn_decision *decision)
{
	whatif->barrier = decision->mark;
	whatif->barrier_generation = decision->generation;
	whatif->barrier_at = decision->at + whatif->recorded->round_trip;
	whatif->played_at = -1;
}

static void
decided(void *arg, const mb_turn_decision *decision)
{
	mb_whatif *whatif = arg;
	bool own = decision->generation == whatif->generation;

	switch (decision->kind)
	{
		case MB_DO_SPECULATE:
			whatif->prepared = decision->generation;
			whatif->prepared_at = decision->at;
			break;
		case MB_DO_COMMIT:
			schedule(whatif, decision,
					 decision->generation == whatif->prepared ? whatif->prepared_at : decision->at,
					 MB_ITEM_REPLY);
			break;
		case MB_DO_SAY:
			schedule(whatif, decision, decision->at, decision->item_kind);
			break;
		case MB_DO_SAY_APOLOGY:
		case MB_DO_SAY_PROMPT:
			schedule(whatif, decision, decision->at, MB_ITEM_PROMPT);
			break;
		case MB_DO_PAUSE:
			if (decision->how == MB_PAUSE_HOLD)
				whatif->held = own;
			else if (decision->how == MB_PAUSE_CLEAR)
				note_clear(whatif, decision);
			break;
		case MB_DO_CLEAR:
			note_clear(whatif, decision);
			break;
		case MB_DO_RESUME:
			whatif->held = false;
			if (own && decision->how != MB_PAUSE_HOLD && decision->how != MB_PAUSE_STARVE)
			{
				whatif->from = decision->ms;
				whatif->ready_at = decision->item == UINT16_MAX ? -1 : decision->at;
			}
			break;
		case MB_DO_CANCEL:
			if (own)
			{
				whatif->generation = 0;
				whatif->ready_at = -1;
				whatif->played_at = -1;
			}
			break;
		default:
			break;
	}
	whatif->decide(whatif->arg, decision);
}

void
mb_whatif_init(mb_whatif *whatif, const mb_turn_settings *settings,
			   const mb_whatif_recorded *recorded, mb_turn_callback decide,
			   mb_whatif_callback given, void *arg)
{
	static const mb_line line = { .clear = true, .marks = true };

	memset(whatif, 0, sizeof(*whatif));
	whatif->recorded = recorded;
	whatif->decide = decide;
	whatif->given = given;
	whatif->arg = arg;
	whatif->ready_at = whatif->played_at = whatif->barrier_at = -1;
	mb_turn_init(&whatif->turn, settings, &line, decided, whatif);
}

static void
take(mb_whatif *whatif, const mb_turn_input *input)
{
	whatif->given(whatif->arg, input, mb_turn_clock(&whatif->turn));
	mb_turn_input_take(&whatif->turn, input);
}

static void
give(mb_whatif *whatif, int32_t at, mb_turn_input input)
{
	input.at = at;
	take(whatif, &input);
}

/* The audio begins to go out, all of it. */
static void
begin_to_play(mb_whatif *whatif, int32_t at)
{
	uint32_t generation = whatif->generation;

	whatif->ready_at = -1;
	if (!whatif->told)
	{
		whatif->told = true;
		give(whatif, at,
			 (mb_turn_input){ .kind = MB_IN_PIECE,
							  .generation = generation,
							  .item_kind = whatif->kind,
							  .text = whatif->asks ? "?" : ".",
							  .bytes = 1,
							  .ms = whatif->ms });
		give(whatif, at, (mb_turn_input){ .kind = MB_IN_REPLY_END, .generation = generation });
	}
	whatif->played_at =
		mb_turn_clock(&whatif->turn) + whatif->recorded->round_trip + whatif->ms - whatif->from;
	give(whatif, at,
		 (mb_turn_input){ .kind = MB_IN_SENT, .generation = generation, .ms = whatif->ms });
	give(whatif, at,
		 (mb_turn_input){
			 .kind = MB_IN_MARK_SENT, .generation = generation, .mark = ++whatif->mark });
}

static void
agent_time(mb_whatif *whatif, int32_t at)
{
	int32_t clock = mb_turn_clock(&whatif->turn);

	if (whatif->barrier_at >= 0 && clock >= whatif->barrier_at)
	{
		whatif->barrier_at = -1;
		give(whatif, at,
			 (mb_turn_input){ .kind = MB_IN_MARK,
							  .generation = whatif->barrier_generation,
							  .mark = whatif->barrier });
	}
	if (whatif->ready_at >= 0 && clock >= whatif->ready_at && !whatif->held &&
		whatif->generation != 0)
		begin_to_play(whatif, at);
	if (whatif->played_at >= 0 && clock >= whatif->played_at)
	{
		whatif->played_at = -1;
		give(whatif, at,
			 (mb_turn_input){
				 .kind = MB_IN_MARK, .generation = whatif->generation, .mark = whatif->mark });
	}
}

void
mb_whatif_input(mb_whatif *whatif, const mb_turn_input *input)
{
	agent_time(whatif, input->at);
	switch (input->kind)
	{
		case MB_IN_PIECE:
		case MB_IN_PIECE_END:
		case MB_IN_REPLY_END:
		case MB_IN_REPLY_FAILED:
		case MB_IN_SENT:
		case MB_IN_MARK_SENT:
		case MB_IN_MARK:
		case MB_IN_QUEUE:
		case MB_IN_WORD:
			give(whatif, input->at, (mb_turn_input){ .kind = MB_IN_TICK });
			break;
		default:
			take(whatif, input);
			break;
	}
}
