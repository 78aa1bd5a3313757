/*
 * turn_record.c
 *	  One record a turn; see turn_record.h.
 *
 * A record stays open until the next turn starts, because only then it is known what became of its reply.
 */
#include "core/conversation/turn_record.h"

#include <string.h>

void
mb_turn_recorder_init(mb_turn_recorder *recorder, mb_turn_record_callback take, void *arg)
{
	memset(recorder, 0, sizeof(*recorder));
	recorder->take = take;
	recorder->arg = arg;
}

static void
hand_over(mb_turn_recorder *recorder, int which)
{
	if (recorder->open[which])
		recorder->take(recorder->arg, &recorder->records[which]);
	recorder->open[which] = false;
}

void
mb_turn_recorder_end(mb_turn_recorder *recorder)
{
	hand_over(recorder, 1 - recorder->now);
	hand_over(recorder, recorder->now);
}

/* The record of a generation, or NULL. */
static mb_turn_record *
record_of(mb_turn_recorder *recorder, uint32_t generation)
{
	for (int i = 0; i < 2; i++)
		if (recorder->open[i] && generation != 0 && recorder->records[i].generation == generation)
			return &recorder->records[i];
	return NULL;
}

static void
begin(mb_turn_recorder *recorder, const mb_turn_decision *decision)
{
	mb_turn_record *record;

	recorder->now = 1 - recorder->now;
	hand_over(recorder, recorder->now);
	recorder->open[recorder->now] = true;
	recorder->prepared = 0;
	record = &recorder->records[recorder->now];
	memset(record, 0, offsetof(mb_turn_record, said));
	record->n_said = 0;
	record->n_heard = 0;
	record->heard_cut = false;
	record->turn = decision->turn;
	record->onset = decision->onset;
	record->speech_end = record->final_text = record->asked = record->committed = -1;
	record->first_piece = record->first_sent = record->reply_end = -1;
	record->interrupted = record->interrupt_onset = -1;
	record->text_class = MB_TEXT_NONE;
}

void
mb_turn_recorder_input(mb_turn_recorder *recorder, const mb_turn_input *input, int32_t clock)
{
	mb_turn_record *now = &recorder->records[recorder->now];
	mb_turn_record *record = record_of(recorder, input->generation);

	if (input->kind == MB_IN_FINAL && recorder->open[recorder->now] && now->first_sent < 0)
		now->final_text = clock;
	else if (input->kind == MB_IN_NOTE && recorder->open[recorder->now] && input->ms >= 0 &&
			 input->ms < MB_NOTES)
		now->notes[input->ms]++;
	else if (input->kind == MB_IN_PIECE && input->item_kind == MB_ITEM_REPLY)
	{
		if (input->generation == recorder->prepared && recorder->prepared_piece < 0)
			recorder->prepared_piece = clock;
		if (record != NULL && record->first_piece < 0)
			record->first_piece = clock;
	}
	else if (input->kind == MB_IN_SENT && record != NULL && input->ms > 0 &&
			 record->first_sent < 0 && record->first_piece >= 0)
		record->first_sent = clock;
}

static void
take_said(mb_turn_record *record, const mb_turn_decision *decision)
{
	record->n_said = decision->bytes <= sizeof(record->said) ? decision->bytes : 0;
	if (record->n_said > 0)
		memcpy(record->said, decision->text, record->n_said);
}

static void
commit(mb_turn_recorder *recorder, mb_turn_record *record, const mb_turn_decision *decision)
{
	bool prepared = decision->generation == recorder->prepared;

	record->generation = decision->generation;
	record->committed = decision->at;
	record->speech_end = decision->end;
	record->text_class = decision->text_class;
	record->asked = prepared ? recorder->prepared_at : decision->at;
	record->first_piece = prepared ? recorder->prepared_piece : -1;
	record->first_sent = -1;
	record->reply_end = -1;
	record->n_heard = 0;
	record->heard_cut = false;
	take_said(record, decision);
}

static void
add_heard(mb_turn_record *record, const mb_turn_decision *decision)
{
	uint32_t room = (uint32_t) sizeof(record->heard) - record->n_heard;
	uint32_t n;

	record->heard_cut = record->heard_cut || decision->flag;
	/* where the sound was, whenever it was given up */
	if (decision->ms > 0)
		record->reply_end = decision->end;
	if (decision->bytes == 0 || room < 2)
		return;
	if (record->n_heard > 0)
	{
		record->heard[record->n_heard++] = ' ';
		room--;
	}
	n = mb_text_fitting(decision->text, decision->bytes, room);
	memcpy(record->heard + record->n_heard, decision->text, n);
	record->n_heard += n;
}

/* What concerns the reply of a turn, which need not be the current one. */
static void
decision_on_reply(mb_turn_record *record, const mb_turn_decision *decision)
{
	switch (decision->kind)
	{
		case MB_DO_INTERRUPTED:
			record->interrupted = decision->at;
			record->interrupt_onset = decision->onset;
			record->interrupt_reason = decision->reason;
			break;
		case MB_DO_PAUSE:
			record->pauses++;
			break;
		case MB_DO_RESUME:
			/* what was taken for an interruption was none */
			record->false_pauses += decision->flag;
			if (decision->flag)
				record->interrupted = record->interrupt_onset = -1;
			break;
		case MB_DO_HEARD:
			if (decision->item_kind != MB_ITEM_FILLER)
				add_heard(record, decision);
			break;
		case MB_DO_DRAINED:
		case MB_DO_CANCEL:
			if (record->reply_end < 0)
				record->reply_end = decision->at;
			break;
		default:
			break;
	}
}

void
mb_turn_recorder_decision(mb_turn_recorder *recorder, const mb_turn_decision *decision)
{
	mb_turn_record *record = record_of(recorder, decision->generation);
	mb_turn_record *now;

	if (record != NULL)
		decision_on_reply(record, decision);
	if (decision->kind == MB_DO_TURN_STARTED)
		begin(recorder, decision);
	if (!recorder->open[recorder->now])
		return;
	now = &recorder->records[recorder->now];
	switch (decision->kind)
	{
		case MB_DO_SPECULATE:
			now->speculations++;
			recorder->prepared = decision->generation;
			recorder->prepared_at = decision->at;
			recorder->prepared_piece = -1;
			break;
		case MB_DO_COMMIT:
			commit(recorder, now, decision);
			break;
		case MB_DO_AMEND:
			if (now->turn == decision->turn)
				take_said(now, decision);
			break;
		case MB_DO_REOPEN:
			now->reopened++;
			now->cut_offs += decision->flag;
			break;
		case MB_DO_BACKCHANNEL:
			now->backchannels++;
			break;
		case MB_DO_SAY_FILLER:
			now->filler = true;
			break;
		case MB_DO_SAY_APOLOGY:
			now->apology = true;
			break;
		default:
			break;
	}
}
