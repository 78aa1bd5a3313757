/*
 * fuzz_turn.c
 *	  The turn engine over arbitrary inputs: what it decides makes sense, and the inputs written down and
 *	  read again give the same decisions.
 *
 * The first byte says what the line can do, the second changes a setting; the rest are rows of
 * the log (turn_log.h), each behind two bytes with its length.
 *
 * Fuzz with: -max_len=20000
 */
#include "fuzz.h"
#include "core/conversation/turn_log.h"

#include <stdlib.h>
#include <string.h>

/* An engine, and a sum of all it has decided. */
typedef struct judged
{
	mb_turn engine;
	uint64_t sum;
	uint32_t decisions;
	uint32_t commits;
	uint32_t reopened;
	uint32_t heard;
	bool over;
	uint32_t turn;
	int32_t at;
} judged;

static void
add(judged *j, uint64_t value)
{
	j->sum = (j->sum ^ value) * 1099511628211u;
}

static void
judge(void *arg, const mb_turn_decision *d)
{
	judged *j = arg;

	require(mb_turn_decision_name(d->kind) != NULL && mb_turn_reason_name(d->reason) != NULL &&
			mb_text_class_name(d->text_class) != NULL);
	require(!j->over || d->kind == MB_DO_HEARD);
	require(d->turn >= j->turn && d->at >= j->at);
	require(d->generation <= j->engine.last_generation);
	j->turn = d->turn;
	j->at = d->at;
	j->decisions++;
	j->over = j->over || d->kind == MB_DO_END;
	j->commits += d->kind == MB_DO_COMMIT;
	j->reopened += d->kind == MB_DO_REOPEN;
	j->heard += d->kind == MB_DO_HEARD;
	/* a turn is committed once, and once more each time that it was reopened */
	require(j->commits <= d->turn + j->reopened);
	if (d->kind == MB_DO_PAUSE || d->kind == MB_DO_CLEAR)
		require(!j->engine.ledger.line.marks || d->mark != 0 || d->how != MB_PAUSE_CLEAR);
	add(j, (uint64_t) d->kind << 32 | (uint32_t) d->at);
	add(j, (uint64_t) d->turn << 32 | d->generation);
	add(j, (uint64_t) d->reason << 48 | (uint64_t) d->text_class << 40 | (uint64_t) d->how << 32 |
			   d->mark);
	add(j, (uint64_t) d->item_kind << 48 | (uint64_t) d->item << 32 | (uint32_t) d->ms);
	add(j, (uint64_t) d->onset << 32 | (uint32_t) d->end);
	add(j, (uint64_t) d->delay << 32 | (uint32_t) d->digit << 1 | d->flag);
	add(j, d->bytes);
	for (uint32_t i = 0; i < d->bytes; i++)
		add(j, (uint8_t) d->text[i]);
}

static void
replay_row(void *arg, int32_t second, const uint8_t *row, size_t n)
{
	judged *j = arg;
	mb_turn_log_reader reader;
	mb_turn_input input;
	mb_status status;

	require(n <= MB_TURN_LOG_ROW && second >= 0);
	require(mb_turn_log_open(&reader, row, n) == MB_OK);
	while ((status = mb_turn_log_read(&reader, &input)) == MB_OK)
		mb_turn_input_take(&j->engine, &input);
	require(status == MB_ERR_EMPTY);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static judged first;
	static judged again;
	static mb_turn_log log;
	mb_turn_settings settings;
	mb_line line;
	mb_turn_log_reader reader;
	mb_turn_input input;
	uint32_t pieces = 0;

	if (size < 3)
		return 0;
	mb_turn_settings_init(&settings);
	settings.list[MB_TURN_OPEN_ENDS] = "\nand\nthe\n";
	settings.list[MB_TURN_NUMBER_WORDS] = "\none\ntwo\n";
	settings.list[MB_TURN_CLOSED_ANSWERS] = "\nyes\n";
	settings.list[MB_TURN_BACKCHANNELS] = "\nmhm\ni see\n";
	settings.list[MB_TURN_NEVER] = "\nbless you\n";
	settings.list[MB_TURN_ALWAYS] = "\nstop\n";
	settings.list[MB_TURN_EMERGENCY] = "\nfire\n";
	line = (mb_line){ (data[0] & 1) != 0, (data[0] & 2) != 0,  (data[0] & 4) != 0,
					  (data[0] & 8) != 0, (data[0] & 16) != 0, (data[0] & 32) != 0 };
	if (data[1] < MB_TURN_NUMBERS * 2)
		settings.number[data[1] / 2] = data[1] % 2 != 0
										   ? mb_turn_number_kind_at(data[1] / 2)->maximum
										   : mb_turn_number_kind_at(data[1] / 2)->minimum;
	memset(&first, 0, sizeof(first));
	memset(&again, 0, sizeof(again));
	mb_turn_init(&first.engine, &settings, &line, judge, &first);
	mb_turn_init(&again.engine, &settings, &line, judge, &again);
	mb_turn_log_init(&log, replay_row, &again);
	for (size_t from = 2, n; from + 2 <= size; from += n)
	{
		n = data[from] | (size_t) data[from + 1] << 8;
		from += 2;
		n = n < size - from ? n : size - from;
		if (mb_turn_log_open(&reader, data + from, n) != MB_OK)
			continue;
		while (mb_turn_log_read(&reader, &input) == MB_OK)
		{
			const mb_turn_counts *counts = mb_turn_counted(&first.engine);
			uint32_t no = counts->stale + counts->refused;
			bool piece = input.kind == MB_IN_PIECE && !first.over;

			mb_turn_log_write(&log, &input);
			mb_turn_input_take(&first.engine, &input);
			/* every piece that was taken is told once */
			pieces += piece && no == counts->stale + counts->refused;
			require(first.heard + (uint32_t) first.engine.ledger.n_items == pieces);
			require(first.engine.n_text <= MB_TURN_TEXT_ROOM &&
					first.engine.base <= first.engine.n_text &&
					first.engine.final_from <= first.engine.n_text);
			require(mb_turn_clock(&first.engine) >= 0);
		}
	}
	mb_turn_log_flush(&log);
	require(first.sum == again.sum && first.decisions == again.decisions);
	if (first.over)
		require(first.engine.ledger.n_items == 0);
	return 0;
}
