/*
 * test_turn_log.c
 *	  Sessions written down and replayed: the same decisions, and other ones with other settings.
 */
#include "turn_session.h"

#include "core/conversation/turn_log.h"

#define LOG_BYTES 400000
#define LOG_ROWS 2000

static session s;

/* A log in memory. */
static struct
{
	mb_turn_log log;
	uint8_t bytes[LOG_BYTES];
	size_t n;
	struct
	{
		size_t from;
		size_t n;
		int32_t second;
	} rows[LOG_ROWS];
	int n_rows;
} kept;

static void
keep_row(void *arg, int32_t second, const uint8_t *row, size_t n)
{
	(void) arg;
	REQUIRE(kept.n_rows < LOG_ROWS && kept.n + n <= LOG_BYTES);
	memcpy(kept.bytes + kept.n, row, n);
	kept.rows[kept.n_rows].from = kept.n;
	kept.rows[kept.n_rows].n = n;
	kept.rows[kept.n_rows++].second = second;
	kept.n += n;
}

static void
tap(void *arg, const mb_turn_input *input)
{
	(void) arg;
	mb_turn_log_write(&kept.log, input);
}

static void
begin_logged(uint64_t seed)
{
	session_begin(&s, seed);
	kept.n = 0;
	kept.n_rows = 0;
	mb_turn_log_init(&kept.log, keep_row, NULL);
	s.tap = tap;
}

/* Everything of a decision, as text. */
typedef struct lines
{
	char text[600000];
	size_t n;
	int commits;
} lines;

static void
write_line(void *arg, const mb_turn_decision *d)
{
	lines *l = arg;

	l->commits += d->kind == MB_DO_COMMIT;
	if (l->n + 400 + d->bytes > sizeof(l->text))
		return;
	l->n +=
		(size_t) snprintf(l->text + l->n, 400, "%d %s %u %u %s %d %d %d %u %u %d %d %d %d %d %d ",
						  d->at, mb_turn_decision_name(d->kind), d->turn, d->generation,
						  mb_turn_reason_name(d->reason), d->text_class, d->how, d->item_kind,
						  d->item, d->mark, d->flag, d->digit, d->ms, d->onset, d->end, d->delay);
	memcpy(l->text + l->n, d->text != NULL ? d->text : "", d->bytes);
	l->n += d->bytes;
	l->text[l->n++] = '\n';
	l->text[l->n] = '\0';
}

static lines direct;
static lines replayed;

static void
decide_and_note(void *arg, const mb_turn_decision *d)
{
	write_line(&direct, d);
	session_decide(arg, d);
}

static void
replay(const mb_turn_settings *settings)
{
	static mb_turn engine;

	replayed.n = 0;
	replayed.commits = 0;
	mb_turn_init(&engine, settings, &s.line, write_line, &replayed);
	for (int i = 0; i < kept.n_rows; i++)
	{
		mb_turn_log_reader reader;
		mb_turn_input input;
		mb_status status;

		REQUIRE(mb_turn_log_open(&reader, kept.bytes + kept.rows[i].from, kept.rows[i].n) == MB_OK);
		while ((status = mb_turn_log_read(&reader, &input)) == MB_OK)
			mb_turn_input_take(&engine, &input);
		check_int(status, MB_ERR_EMPTY);
	}
}

/* A caller who says this and that at random, interrupts, coughs, presses keys. */
static void
random_session(uint64_t seed, int32_t until)
{
	static const char *const texts[] = { "I would like a table.", "mhm",
										 "for two people and",	  "no",
										 "what is that",		  "five five five one",
										 "there is a fire here",  "stop it",
										 "right, I see" };
	check_random random = { seed };
	int32_t at = 800;

	begin_logged(seed);
	s.p.up = 20 + (int) check_random_below(&random, 281);
	s.p.down = 20 + (int) check_random_below(&random, 281);
	s.reply_ms = 100 + (int32_t) check_random_below(&random, 2000);
	direct.n = 0;
	direct.commits = 0;
	while (at < until - 5000)
	{
		switch (check_random_below(&random, 8))
		{
			case 0:
				session_sound(&s, at, 300, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
				break;
			case 1:
				session_event_at(&s, at, (mb_turn_input){ .kind = MB_IN_DIGIT, .digit = '1' }, "");
				break;
			default:
				at = session_say(&s, at, texts[check_random_below(&random, 9)],
								 check_random_below(&random, 5) == 0
									 ? -1
									 : 250 + (int32_t) check_random_below(&random, 300));
		}
		session_event_at(&s, at, (mb_turn_input){ .kind = MB_IN_NOTE, .ms = at % MB_NOTES }, "");
		at += 300 + (int32_t) check_random_below(&random, 5000);
	}
	session_run(&s, 20);
	s.engine.decide = decide_and_note;
	session_run(&s, until);
	session_input(&s, (mb_turn_input){ .kind = MB_IN_STOP });
	mb_turn_log_flush(&kept.log);
}

static void
replays_are_equal(void)
{
	int decisions = 0;

	for (uint64_t seed = 1; seed <= 25; seed++)
	{
		random_session(seed, 60000);
		replay(&s.settings);
		check_string(replayed.text, direct.text);
		check(direct.n > 500);
		decisions += s.n_decisions;
		/* one row a second, of a busy one two */
		check_range(kept.n_rows, 60, 66);
		for (int i = 1; i < kept.n_rows; i++)
			check(kept.rows[i].second >= kept.rows[i - 1].second);
	}
	check_note("25 minutes, %d decisions, %zu bytes a second", decisions, kept.n / 60);
	check_range((double) kept.n / 60, 50, 400);
}

static void
other_settings_decide_otherwise(void)
{
	mb_turn_settings other;
	int32_t end;

	begin_logged(77);
	s.reply_ms = 2500;
	end = session_say(&s, 1000, "I would like a table", -1);
	session_say(&s, end + 900, "for two", 250);
	session_run(&s, 8000);
	mb_turn_log_flush(&kept.log);
	other = s.settings;
	replay(&other);
	/* after 800 ms without a final text, and once more when the caller goes on */
	check_int(replayed.commits, 2);
	other.number[MB_TURN_COMMIT_NEUTRAL] = 1200;
	replay(&other);
	check_int(replayed.commits, 1);
}

/* One time that cannot be is not the time of all that follows, in the log as in the engine. */
static void
impossible_times_are_none(void)
{
	mb_turn_input later = { .kind = MB_IN_TICK, .at = INT32_MAX };

	begin_logged(5);
	direct.n = 0;
	session_say(&s, 1000, "I would like a table", 200);
	session_run(&s, 20);
	s.engine.decide = decide_and_note;
	session_run(&s, 2000);
	tap(NULL, &later);
	mb_turn_input_take(&s.engine, &later);
	session_run(&s, 8000);
	/* and frames stop, of which the clock alone tells */
	for (int32_t at = 9000; at <= 20000; at += 500)
	{
		later.at = at;
		tap(NULL, &later);
		mb_turn_input_take(&s.engine, &later);
	}
	mb_turn_log_flush(&kept.log);
	replay(&s.settings);
	check_int(replayed.commits, 1);
	check(strstr(direct.text, "media_lost") != NULL);
	check_string(replayed.text, direct.text);
}

static void
what_is_no_log_is_refused(void)
{
	uint8_t row[MB_TURN_LOG_ROW];
	mb_turn_log_reader reader;
	mb_turn_input input;
	size_t n;

	random_session(3, 10000);
	check_int(mb_turn_log_open(&reader, row, 0), MB_ERR_FORMAT);
	row[0] = 9;
	check_int(mb_turn_log_open(&reader, row, 1), MB_ERR_FORMAT);
	/* a row that was cut anywhere is read up to there */
	n = kept.rows[3].n;
	memcpy(row, kept.bytes + kept.rows[3].from, n);
	for (size_t cut = 1; cut < n; cut++)
	{
		mb_status status = mb_turn_log_open(&reader, row, cut);

		while (status == MB_OK)
			status = mb_turn_log_read(&reader, &input);
		check(status == MB_ERR_EMPTY || status == MB_ERR_TRUNCATED || status == MB_ERR_FORMAT);
	}
	row[n] = 0x3F;
	REQUIRE(mb_turn_log_open(&reader, row, n + 1) == MB_OK);
	while (mb_turn_log_read(&reader, &input) == MB_OK)
		;
	check_int(reader.position, n + 1);
}

/* Texts that are too long are cut alike for the engine and the log. */
static void
long_texts_are_cut_alike(void)
{
	static char text[3000];
	mb_ledger_point points[70] = { { 0, 0 } };

	begin_logged(5);
	direct.n = 0;
	session_run(&s, 20);
	s.engine.decide = decide_and_note;
	for (int i = 0; i < 2990; i += 3)
		memcpy(text + i, i % 30 == 0 ? "\xE2\x82\xAC" : "ab ", 3);
	for (int i = 0; i < 4; i++)
	{
		session_input(&s, (mb_turn_input){ .kind = MB_IN_FINAL, .text = text, .bytes = 2990 });
		session_run(&s, s.p.now + 300);
	}
	session_run(&s, 4000);
	session_input(&s, (mb_turn_input){ .kind = MB_IN_SAY });
	session_input(&s, (mb_turn_input){ .kind = MB_IN_PIECE,
									   .generation = s.engine.generation,
									   .text = text,
									   .bytes = 600,
									   .ms = 9 });
	session_input(&s, (mb_turn_input){ .kind = MB_IN_PIECE,
									   .generation = s.engine.generation,
									   .text = text,
									   .bytes = 100,
									   .ms = 9,
									   .points = points,
									   .n_points = 70 });
	check_int(mb_turn_counted(&s.engine)->refused, 2);
	session_input(&s, (mb_turn_input){ .kind = MB_IN_PIECE,
									   .generation = s.engine.generation,
									   .item = 1,
									   .text = "a b",
									   .bytes = 3,
									   .ms = -1 });
	session_input(&s, (mb_turn_input){ .kind = MB_IN_WORD,
									   .generation = s.engine.generation,
									   .item = 1,
									   .bytes = 1,
									   .ms = 300 });
	check_int(mb_turn_counted(&s.engine)->refused, 2);
	check_int(s.engine.ledger.n_points, 1);
	session_input(&s, (mb_turn_input){ .kind = MB_IN_WORD,
									   .generation = s.engine.generation,
									   .item = 1,
									   .bytes = 65537,
									   .ms = 400 });
	check_int(mb_turn_counted(&s.engine)->refused, 3);
	session_run(&s, 9000);
	mb_turn_log_flush(&kept.log);
	replay(&s.settings);
	check_string(replayed.text, direct.text);
}

int
main(void)
{
	check_run("a session that is replayed decides the same", replays_are_equal);
	check_run("with other settings it decides otherwise", other_settings_decide_otherwise);
	check_run("a time that cannot be is none", impossible_times_are_none);
	check_run("what is no log is refused", what_is_no_log_is_refused);
	check_run("texts that are too long are cut alike", long_texts_are_cut_alike);
	return check_done();
}
