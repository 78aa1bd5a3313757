/*
 * test_ledger.c
 *	  The playback ledger against a peer behind a network: to which word something was heard.
 */
#include "turn_peer.h"

static const mb_line marks_line = { .clear = true, .marks = true };

/* Words of made-up lengths, whose times are known. */
typedef struct script
{
	char text[400];
	int words;
	int32_t ends[60]; /* ms */
	mb_ledger_point points[60];
	int32_t ms;
} script;

static void
make_script(script *s, check_random *random, int words)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < words; i++)
	{
		int letters = 2 + (int) check_random_below(random, 8);

		if (i > 0)
			strcat(s->text, " ");
		for (int k = 0; k < letters; k++)
			strcat(s->text, "x");
		s->ms += 100 + letters * 30 + (int32_t) check_random_below(random, 120);
		s->ends[i] = s->ms;
		s->points[i] = (mb_ledger_point){ s->ms, (uint16_t) strlen(s->text) };
	}
	s->words = words;
}

static int
words_in(const char *text, size_t n)
{
	int words = n > 0;

	for (size_t i = 0; i < n; i++)
		words += text[i] == ' ';
	return words;
}

/* Plays items with a lead until a moment, clears there, and compares what the ledger says was heard. */
static void
interrupt_at(const mb_line *line, int up, int down, int jitter, int32_t moment, bool points,
			 uint64_t seed, int *worst, int *late)
{
	static peer p;
	static mb_ledger ledger;
	script scripts[4];
	check_random random = { seed };
	int32_t clock = 0;
	uint32_t name = 0;
	int item = 0;
	int32_t in_item = 0;
	int32_t fed = 0;
	int32_t began = 600;
	int told = 0;
	int heard[4] = { 0 };
	bool cut = false;

	peer_begin(&p, up, down, jitter, seed);
	mb_ledger_init(&ledger, line);
	for (int i = 0; i < 4; i++)
	{
		make_script(&scripts[i], &random, 4 + (int) check_random_below(&random, 9));
		REQUIRE(mb_ledger_add(&ledger, 7, (uint16_t) i, MB_ITEM_REPLY, scripts[i].text,
							  strlen(scripts[i].text), scripts[i].ms, scripts[i].points,
							  points && seed % 2 == 0 ? scripts[i].words : 0) == MB_OK);
	}
	/* or as they come, those of several items in turn */
	for (int word = 0; points && seed % 2 == 1 && word < 12; word++)
	{
		for (uint16_t i = 0; i < 4; i++)
			REQUIRE(word >= scripts[i].words ||
					mb_ledger_time(&ledger, 7, i, scripts[i].points[word]) == MB_OK);
	}
	/* a mark on an empty buffer, for the round trip */
	if (line->marks)
	{
		peer_send(&p, (peer_message){ .kind = PEER_MARK, .generation = 7, .name = ++name });
		mb_ledger_mark_sent(&ledger, 7, name, 0);
	}
	for (int32_t now = 0; now < moment + 3000; now++)
	{
		peer_message *message;

		peer_step(&p);
		while ((message = peer_pop(&p.to_us, p.now)) != NULL)
		{
			if (message->kind == PEER_FRAME)
				clock = (int32_t) message->stamp + 20;
			else if (line->marks)
				check(mb_ledger_echo(&ledger, message->generation, message->name, false, clock));
		}
		/* 20 ms at a time, 300 ms ahead of playback, a mark each 200 ms */
		while (!cut && item < 4 && now >= began && fed < now - began + 300)
		{
			int32_t piece = scripts[item].ms - in_item < 20 ? scripts[item].ms - in_item : 20;

			peer_send(&p, (peer_message){ .kind = PEER_AUDIO,
										  .generation = 7,
										  .name = (uint32_t) item,
										  .from = in_item,
										  .to = in_item + piece });
			in_item += piece;
			fed += piece;
			check(mb_ledger_sent(&ledger, 7, (uint16_t) item, in_item, clock));
			if (line->marks && (fed / 200 != (fed - piece) / 200 || in_item == scripts[item].ms))
			{
				peer_send(&p, (peer_message){ .kind = PEER_MARK, .generation = 7, .name = ++name });
				mb_ledger_mark_sent(&ledger, 7, name, clock);
			}
			if (in_item == scripts[item].ms)
			{
				item++;
				in_item = 0;
			}
		}
		if (now == moment)
		{
			uint32_t barrier = mb_ledger_clear(&ledger, 7, clock);

			if (line->marks)
				peer_send(&p,
						  (peer_message){ .kind = PEER_MARK, .generation = 7, .name = barrier });
			peer_send(&p, (peer_message){ .kind = PEER_CLEAR });
			mb_ledger_drop(&ledger, 7);
			cut = true;
		}
		mb_ledger_tick(&ledger, 1000, 2000, clock);
		for (const mb_ledger_item *i; (i = mb_ledger_settled(&ledger)) != NULL;)
		{
			heard[i->number] = (int) mb_ledger_bytes_at(&ledger, i, i->heard);
			check(i->cut || heard[i->number] == i->bytes);
			told++;
			mb_ledger_take(&ledger);
		}
	}
	check_int(told, 4);
	check_int(ledger.n_text, 0);
	check_int(ledger.n_points, 0);
	check_int(ledger.underruns, 0);
	for (int i = 0; i < 4; i++)
	{
		int32_t to = peer_heard_of(&p, 7, (uint32_t) i);
		int truth = 0;
		int off;

		while (truth < scripts[i].words && scripts[i].ends[truth] <= to)
			truth++;
		off = abs(words_in(scripts[i].text, (size_t) heard[i]) - truth);
		*worst = off > *worst ? off : *worst;
		*late += off > 0;
	}
}

static void
heard_text_is_at_most_one_word_off(void)
{
	check_random random = { 20 };
	int worst = 0;
	int off = 0;

	for (int i = 0; i < 300; i++)
		interrupt_at(&marks_line, 20 + (int) check_random_below(&random, 281),
					 20 + (int) check_random_below(&random, 281),
					 (int) check_random_below(&random, 40),
					 650 + (int32_t) check_random_below(&random, 9000), true, (uint64_t) i + 1,
					 &worst, &off);
	check_range(worst, 0, 1);
	check_note("300 interruptions: %d pieces off by a word, none by more", off);
	check_range(off, 0, 60);
}

/* One piece of ten words, 300 ms each, sent whole. */
static void
ten_words(mb_ledger *ledger, const mb_line *line)
{
	static const char text[] = "one two three four five six seven eight nine ten";
	mb_ledger_point points[10];
	int n = 0;

	for (uint16_t i = 1; i <= sizeof(text) - 1; i++)
		if (text[i] == ' ' || text[i] == '\0')
		{
			points[n] = (mb_ledger_point){ (n + 1) * 300, i };
			n++;
		}
	mb_ledger_init(ledger, line);
	ledger->round_trip = line->we_pace ? 0 : 100;
	check_int(mb_ledger_add(ledger, 1, 0, MB_ITEM_REPLY, text, sizeof(text) - 1, 3000, points, n),
			  MB_OK);
}

static void
check_heard(mb_ledger *ledger, const char *expected)
{
	const mb_ledger_item *item = mb_ledger_settled(ledger);
	char text[100] = "";

	REQUIRE(item != NULL);
	memcpy(text, mb_ledger_text(ledger, item), mb_ledger_bytes_at(ledger, item, item->heard));
	check_string(text, expected);
	mb_ledger_take(ledger);
	check_int(ledger->n_items, 0);
}

static void
a_queue_that_is_told_is_believed(void)
{
	mb_line line = { .clear = true, .pause = true, .exact_queue = true };
	mb_ledger ledger;
	uint16_t number;
	int32_t ms;

	ten_words(&ledger, &line);
	mb_ledger_sent(&ledger, 1, 0, 3000, 1000);
	mb_ledger_pause(&ledger, 2000);
	check_int(mb_ledger_position(&ledger, 5000), 1000);
	/* it says 2,150 ms are left: two words, and a part of the third */
	mb_ledger_queued(&ledger, 2150, 2100);
	check_int(mb_ledger_position(&ledger, 5000), 850);
	mb_ledger_continue(&ledger, 5000);
	check_int(mb_ledger_position(&ledger, 5100), 850);
	check_int(mb_ledger_position(&ledger, 5200), 950);
	mb_ledger_clear(&ledger, 1, 5300);
	check(mb_ledger_clearing(&ledger));
	mb_ledger_queued(&ledger, 1700, 5400);
	check(!mb_ledger_clearing(&ledger));
	/* it can go on where the word began, or be over */
	check(mb_ledger_settled(&ledger) == NULL);
	check(mb_ledger_rewind(&ledger, 1, &number, &ms));
	check_int(number, 0);
	check_range(ms, 1200, 1299);
	mb_ledger_sent(&ledger, 1, 0, 1800, 6000);
	mb_ledger_clear(&ledger, 1, 7000);
	mb_ledger_queued(&ledger, 0, 7100);
	mb_ledger_drop(&ledger, 1);
	check_heard(&ledger, "one two three four five six");
}

static void
what_we_pace_was_heard(void)
{
	mb_line line = { .we_pace = true };
	mb_ledger ledger;

	ten_words(&ledger, &line);
	for (int32_t at = 0; at < 1600; at += 20)
		mb_ledger_sent(&ledger, 1, 0, at + 20, at);
	check_int(mb_ledger_left(&ledger, 1600), 0);
	mb_ledger_clear(&ledger, 1, 1600);
	check(!mb_ledger_clearing(&ledger));
	mb_ledger_drop(&ledger, 1);
	check_heard(&ledger, "one two three four five");
}

static void
marks_that_tell_are_believed(void)
{
	mb_line line = { .clear = true, .marks = true, .marks_tell = true };
	mb_ledger ledger;
	uint32_t barrier;

	ten_words(&ledger, &line);
	mb_ledger_sent(&ledger, 1, 0, 600, 0);
	mb_ledger_mark_sent(&ledger, 1, 1, 0);
	mb_ledger_sent(&ledger, 1, 0, 1200, 0);
	mb_ledger_mark_sent(&ledger, 1, 2, 0);
	mb_ledger_sent(&ledger, 1, 0, 3000, 0);
	barrier = mb_ledger_clear(&ledger, 1, 1200);
	/* reached in the same frame in which the clear arrived */
	check(mb_ledger_echo(&ledger, 1, 2, false, 1300));
	check(mb_ledger_echo(&ledger, 1, barrier, true, 1300));
	check(!mb_ledger_clearing(&ledger));
	mb_ledger_drop(&ledger, 1);
	check_heard(&ledger, "one two three four");
}

/* A peer that never answers, and one that has lost a mark. */
static void
silence_of_the_peer_is_survived(void)
{
	mb_ledger ledger;

	ten_words(&ledger, &marks_line);
	mb_ledger_sent(&ledger, 1, 0, 3000, 0);
	mb_ledger_mark_sent(&ledger, 1, 1, 0);
	mb_ledger_clear(&ledger, 1, 900);
	mb_ledger_drop(&ledger, 1);
	check(!mb_ledger_tick(&ledger, 1000, 2000, 1899));
	check(mb_ledger_clearing(&ledger));
	mb_ledger_tick(&ledger, 1000, 2000, 1900);
	/* by the clock: begun at 100, cut at 1,000 */
	check(!mb_ledger_clearing(&ledger));
	check_heard(&ledger, "one two three");
	check(!mb_ledger_echo(&ledger, 1, 1, false, 2000));
	check_int(ledger.stale_marks, 1);

	ten_words(&ledger, &marks_line);
	mb_ledger_sent(&ledger, 1, 0, 3000, 0);
	mb_ledger_mark_sent(&ledger, 1, 1, 0);
	check(!mb_ledger_tick(&ledger, 1000, 2000, 5000));
	/* it is interruptible until its mark is back */
	check(mb_ledger_left(&ledger, 5000) > 0);
	check(mb_ledger_settled(&ledger) == NULL);
	check(mb_ledger_tick(&ledger, 1000, 2000, 5100));
	check_int(ledger.resyncs, 1);
	check_int(mb_ledger_left(&ledger, 5100), 0);
	check_heard(&ledger, "one two three four five six seven eight nine ten");
}

/* The old formula, time since the first chunk, counts pauses of the sender as heard. */
/* A mark that is sent when there was nothing to play for long has its own time to come back. */
static void
a_late_mark_is_not_overdue(void)
{
	static mb_ledger ledger;

	ten_words(&ledger, &marks_line);
	(void) mb_ledger_sent(&ledger, 1, 0, 3000, 0);
	(void) mb_ledger_mark_sent(&ledger, 1, 1, 0);
	(void) mb_ledger_echo(&ledger, 1, 1, false, 3200);
	(void) mb_ledger_mark_sent(&ledger, 1, 2, 9000);
	check(!mb_ledger_tick(&ledger, 1000, 2000, 9000));
	check(!mb_ledger_tick(&ledger, 1000, 2000, 10900));
	check(mb_ledger_tick(&ledger, 1000, 2000, 11000));
	check_int(ledger.resyncs, 1);
}

static void
pauses_of_the_sender_are_not_heard(void)
{
	mb_ledger ledger;

	ten_words(&ledger, &marks_line);
	mb_ledger_sent(&ledger, 1, 0, 300, 0);
	/* two seconds later */
	mb_ledger_sent(&ledger, 1, 0, 1200, 2000);
	check_int(mb_ledger_position(&ledger, 2100), 300);
	check_int(ledger.underruns, 1);
	check_int(mb_ledger_position(&ledger, 2400), 600);
	mb_ledger_end(&ledger, 2400);
	check_heard(&ledger, "one two");
}

static void
times_of_words_come_late(void)
{
	mb_ledger ledger;
	const mb_ledger_item *item;

	mb_ledger_init(&ledger, &marks_line);
	check_int(mb_ledger_add(&ledger, 1, 0, MB_ITEM_REPLY, "a b c", 5, 3000, NULL, 0), MB_OK);
	check_int(mb_ledger_add(&ledger, 1, 1, MB_ITEM_REPLY, "d e f", 5, 3000, NULL, 0), MB_OK);
	check_int(mb_ledger_time(&ledger, 1, 1, (mb_ledger_point){ 100, 1 }), MB_OK);
	check_int(mb_ledger_time(&ledger, 1, 0, (mb_ledger_point){ 200, 1 }), MB_OK);
	check_int(mb_ledger_time(&ledger, 1, 1, (mb_ledger_point){ 300, 3 }), MB_OK);
	check_int(mb_ledger_time(&ledger, 1, 0, (mb_ledger_point){ 2900, 3 }), MB_OK);
	/* what is not behind the last one, beyond the text, or of nothing */
	check_int(mb_ledger_time(&ledger, 1, 0, (mb_ledger_point){ 2800, 5 }), MB_ERR_RANGE);
	check_int(mb_ledger_time(&ledger, 1, 0, (mb_ledger_point){ 2950, 2 }), MB_ERR_RANGE);
	check_int(mb_ledger_time(&ledger, 1, 0, (mb_ledger_point){ 2950, 6 }), MB_ERR_RANGE);
	check_int(mb_ledger_time(&ledger, 1, 2, (mb_ledger_point){ 1, 1 }), MB_ERR_RANGE);
	check_int(ledger.n_points, 4);
	item = mb_ledger_item_of(&ledger, 1, 0);
	check_int((int) mb_ledger_bytes_at(&ledger, item, 199), 0);
	check_int((int) mb_ledger_bytes_at(&ledger, item, 200), 1);
	check_int((int) mb_ledger_bytes_at(&ledger, item, 2900), 3);
	item = mb_ledger_item_of(&ledger, 1, 1);
	check_int((int) mb_ledger_bytes_at(&ledger, item, 299), 1);
	check_int((int) mb_ledger_bytes_at(&ledger, item, 300), 3);
	for (int i = ledger.n_points; i < MB_LEDGER_POINTS; i++)
		check_int(mb_ledger_time(&ledger, 1, 1, (mb_ledger_point){ 300, 3 }), MB_OK);
	check_int(mb_ledger_time(&ledger, 1, 1, (mb_ledger_point){ 300, 3 }), MB_ERR_SPACE);
}

static void
what_has_no_room_changes_nothing(void)
{
	mb_ledger ledger;
	mb_ledger_point back[2] = { { 200, 2 }, { 100, 3 } };
	char text[600];
	int n = 0;

	memset(text, 'x', sizeof(text));
	mb_ledger_init(&ledger, &marks_line);
	check_int(mb_ledger_add(&ledger, 1, 0, MB_ITEM_REPLY, "abc", 3, -1, back, 2), MB_ERR_RANGE);
	while (mb_ledger_add(&ledger, 1, (uint16_t) n, MB_ITEM_REPLY, text, sizeof(text), 1000, NULL,
						 0) == MB_OK)
		n++;
	check_int(n, MB_LEDGER_TEXT / 600);
	check_int(mb_ledger_add(&ledger, 1, 0, MB_ITEM_REPLY, "a", 1, 0, NULL, 0), MB_ERR_RANGE);
	for (int i = n; i < MB_LEDGER_ITEMS; i++)
		check_int(mb_ledger_add(&ledger, 1, (uint16_t) i, MB_ITEM_REPLY, "a", 1, 0, NULL, 0),
				  MB_OK);
	check_int(mb_ledger_add(&ledger, 1, 99, MB_ITEM_REPLY, "a", 1, 0, NULL, 0), MB_ERR_SPACE);
	/* dropped before anything was sent: nothing of it was heard */
	mb_ledger_drop(&ledger, 1);
	for (const mb_ledger_item *item; (item = mb_ledger_settled(&ledger)) != NULL;
		 mb_ledger_take(&ledger))
		check_int(mb_ledger_bytes_at(&ledger, item, item->heard), 0);
	check_int(ledger.n_items, 0);
	for (uint32_t i = 0; i < MB_LEDGER_MARKS; i++)
		check_int(mb_ledger_mark_sent(&ledger, 2, i, 0), MB_OK);
	check_int(mb_ledger_mark_sent(&ledger, 2, 99, 0), MB_ERR_SPACE);
}

int
main(void)
{
	check_run("a mark that is sent late is not overdue", a_late_mark_is_not_overdue);
	check_run("heard text is at most one word off at 300 random moments, 20 to 300 ms each way",
			  heard_text_is_at_most_one_word_off);
	check_run("a peer's length of its queue is believed", a_queue_that_is_told_is_believed);
	check_run("what we pace was heard as far as it was sent", what_we_pace_was_heard);
	check_run("marks that tell whether they were cleared are believed",
			  marks_that_tell_are_believed);
	check_run("a peer that does not answer is survived", silence_of_the_peer_is_survived);
	check_run("pauses of the sender are not heard", pauses_of_the_sender_are_not_heard);
	check_run("times of words come when their audio does", times_of_words_come_late);
	check_run("what has no room changes nothing", what_has_no_room_changes_nothing);
	return check_done();
}
