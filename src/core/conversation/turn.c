/*
 * turn.c
 *	  The turn engine; see turn.h.  Here inputs are taken and time passes.
 *
 * After each input everything that time may bring is looked at, in one order.
 */
#include "core/conversation/turn_internal.h"

#include <string.h>

/* Without a frame for this long the line's clock goes on with ours, that far behind. */
#define CLOCK_LAG_MS 100

/* A time stamp so far from the one before is of another counting. */
#define STAMP_JUMP_MS 2000

void
mb_turn_init(mb_turn *turn, const mb_turn_settings *settings, const mb_line *line,
			 mb_turn_callback decide, void *arg)
{
	memset(turn, 0, sizeof(*turn));
	turn->settings = settings;
	turn->decide = decide;
	turn->arg = arg;
	turn->pause_average = settings->number[MB_TURN_PAUSE_REFERENCE] * 16;
	turn->weight = MB_WEIGHT_EMPTY;
	turn->text_class = MB_TEXT_NONE;
	turn->digit_at = INT32_MIN / 2;
	turn->speech_end = INT32_MIN / 2;
	turn->committed_end = INT32_MIN / 4;
	mb_ledger_init(&turn->ledger, line);
}

void
mb_turn_end(mb_turn *turn, mb_turn_reason reason)
{
	mb_turn_decision decision;

	if (turn->over)
		return;
	turn->over = true;
	mb_caller_end(turn);
	decision = mb_turn_new_decision(turn, MB_DO_END);
	decision.reason = reason;
	mb_turn_decide(turn, &decision);
	mb_ledger_end(&turn->ledger, turn->clock);
	mb_agent_tell_heard(turn);
}

/* A frame moves the line's clock to its own end. */
static void
clock_frame(mb_turn *turn, uint32_t media_ms)
{
	int32_t step = (int32_t) (media_ms - turn->media_ms);

	if (!turn->framed || step < -STAMP_JUMP_MS ||
		step > STAMP_JUMP_MS + (turn->at - turn->frame_at))
	{
		turn->framed = true;
		turn->media_offset = turn->clock;
		turn->media_base = media_ms;
	}
	turn->media_ms = media_ms;
	turn->frame_at = turn->at;
	step = (int32_t) (media_ms - turn->media_base) + MB_TURN_FRAME_MS;
	if (turn->media_offset + step > turn->clock)
		turn->clock = turn->media_offset + step;
}

static void
clock_time(mb_turn *turn)
{
	int32_t behind = turn->at - turn->frame_at - CLOCK_LAG_MS;
	int32_t clock = turn->media_offset + behind;

	if (turn->framed)
		clock += (int32_t) (turn->media_ms - turn->media_base) + MB_TURN_FRAME_MS;
	if (behind > 0 && clock > turn->clock)
		turn->clock = clock;
}

static void
watch_media(mb_turn *turn)
{
	int32_t without = turn->at - turn->frame_at;
	mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_MEDIA_LOST);

	if (turn->speaking && without >= mb_turn_setting(turn, MB_TURN_MEDIA_GAP))
		mb_caller_lost(turn);
	if (!turn->media_lost && without >= mb_turn_setting(turn, MB_TURN_MEDIA_HOLD))
	{
		turn->media_lost = true;
		mb_turn_decide(turn, &decision);
	}
	if (without >= mb_turn_setting(turn, MB_TURN_MEDIA_END))
		mb_turn_end(turn, MB_WHY_NO_MEDIA);
}

static void
take_frame(mb_turn *turn, const mb_turn_input *input)
{
	int32_t before = turn->clock;

	clock_frame(turn, input->media_ms);
	if (turn->media_lost)
	{
		mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_MEDIA_BACK);

		turn->media_lost = false;
		turn->quiet_since = turn->clock;
		mb_turn_decide(turn, &decision);
	}
	/* one that comes again, or too late, was counted as silence already */
	if (turn->clock > before)
		mb_caller_frame(turn, input->flags);
}

static void
take_digit(mb_turn *turn, char digit, bool heard)
{
	mb_turn_decision decision = mb_turn_new_decision(turn, MB_DO_DIGIT);
	bool twin = turn->last_digit == digit && turn->digit_heard != heard && !turn->digit_paired &&
				turn->clock - turn->digit_at <= mb_turn_setting(turn, MB_TURN_DIGIT_TWIN);

	if (twin)
	{
		turn->digit_paired = true;
		return;
	}
	turn->last_digit = digit;
	turn->digit_heard = heard;
	turn->digit_paired = false;
	turn->digit_at = turn->clock;
	turn->prompts = 0;
	turn->quiet_since = turn->clock;
	decision.digit = digit;
	mb_turn_decide(turn, &decision);
	mb_probe_digit(turn);
}

/* It is about what is said or prepared now. */
static bool
is_current(mb_turn *turn, uint32_t generation)
{
	if (generation != 0 && ((generation == turn->generation && turn->agent != MB_AGENT_IDLE) ||
							generation == turn->next))
		return true;
	turn->counts.stale++;
	return false;
}

static void
take_piece(mb_turn *turn, const mb_turn_input *input)
{
	if (input->bytes > MB_TURN_PIECE_ROOM || input->n_points > MB_TURN_PIECE_POINTS ||
		mb_ledger_add(&turn->ledger, input->generation, input->item, input->item_kind, input->text,
					  input->bytes, input->ms, input->points, input->n_points) != MB_OK)
		turn->counts.refused++;
}

static void
take(mb_turn *turn, const mb_turn_input *input)
{
	switch (input->kind)
	{
		case MB_IN_TICK:
		case MB_IN_NOTE:
			break;
		case MB_IN_FRAME:
			take_frame(turn, input);
			break;
		case MB_IN_PARTIAL:
		case MB_IN_FINAL:
			mb_caller_text(turn, input->text, input->bytes, input->kind == MB_IN_FINAL,
						   input->flag);
			break;
		case MB_IN_DIGIT:
			take_digit(turn, input->digit, input->flag);
			break;
		case MB_IN_SAY:
			mb_agent_say(turn, input->item_kind, MB_DO_SAY, MB_WHY_NONE);
			break;
		case MB_IN_PIECE:
			if (is_current(turn, input->generation))
				take_piece(turn, input);
			break;
		case MB_IN_PIECE_END:
			if (is_current(turn, input->generation))
				mb_ledger_complete(&turn->ledger, input->generation, input->item, input->ms);
			break;
		case MB_IN_WORD:
			if (is_current(turn, input->generation) &&
				(input->bytes > UINT16_MAX ||
				 mb_ledger_time(&turn->ledger, input->generation, input->item,
								(mb_ledger_point){ .ms = input->ms,
												   .bytes = (uint16_t) input->bytes }) != MB_OK))
				turn->counts.refused++;
			break;
		case MB_IN_REPLY_END:
		case MB_IN_REPLY_FAILED:
			if (!is_current(turn, input->generation))
				break;
			if (input->generation == turn->next)
			{
				turn->next_ended = input->kind == MB_IN_REPLY_END;
				turn->next_failed = input->kind == MB_IN_REPLY_FAILED;
			}
			else
			{
				/* one that fails when it has begun ends there */
				turn->ended = input->kind == MB_IN_REPLY_END || turn->sent_reply;
				turn->failed = input->kind == MB_IN_REPLY_FAILED;
			}
			break;
		case MB_IN_SENT:
			if (input->generation == turn->generation && turn->agent != MB_AGENT_IDLE)
				mb_agent_sent(turn, input);
			else
				turn->counts.stale++;
			break;
		case MB_IN_MARK_SENT:
			mb_ledger_mark_sent(&turn->ledger, input->generation, input->mark, turn->clock);
			break;
		case MB_IN_MARK:
			mb_ledger_echo(&turn->ledger, input->generation, input->mark, input->flag, turn->clock);
			break;
		case MB_IN_QUEUE:
			mb_ledger_queued(&turn->ledger, input->ms, turn->clock);
			break;
		case MB_IN_EXPECT:
			turn->expectation = (mb_turn_expectation){ input->flag, input->ms };
			break;
		case MB_IN_HOLD:
			turn->hold = input->flag;
			turn->quiet_since = turn->clock;
			break;
		case MB_IN_STOP:
			mb_turn_end(turn, MB_WHY_STOPPED);
			break;
	}
}

void
mb_turn_input_take(mb_turn *turn, const mb_turn_input *input)
{
	int32_t longest = mb_turn_setting(turn, MB_TURN_MAX_DURATION);

	if (turn->over)
		return;
	if (input->at > turn->at && input->at <= MB_TURN_LONGEST_MS)
		turn->at = input->at;
	clock_time(turn);
	take(turn, input);
	if (!turn->over)
		watch_media(turn);
	if (!turn->over)
		mb_agent_time(turn);
	if (!turn->over)
		mb_probe_time(turn);
	if (!turn->over)
		mb_caller_time(turn);
	if (!turn->over && longest > 0 && turn->at >= longest)
		mb_turn_end(turn, MB_WHY_DURATION);
}

bool
mb_turn_agent_heard(const mb_turn *turn)
{
	return mb_ledger_left(&turn->ledger, turn->clock) > 0;
}

int32_t
mb_turn_clock(const mb_turn *turn)
{
	return turn->clock;
}

const mb_turn_counts *
mb_turn_counted(const mb_turn *turn)
{
	return &turn->counts;
}

int32_t
mb_turn_round_trip(const mb_turn *turn)
{
	return turn->ledger.round_trip;
}
