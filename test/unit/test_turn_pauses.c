/*
 * test_turn_pauses.c
 *	  How many turns are cut off by pauses inside of sentences, and what is waited at their ends: with the
 *	  class of the text, and by plain silence of the same length.
 *
 * Pauses are drawn from a lognormal distribution fitted to what a public comparison reports of silence alone: of
 * pauses over 100 ms 56 % are longer than 300, 22 % than 600 and 5 % than 1,600 ms.  Where people pause, and that
 * the recogniser sees a full stop in one in ten, is our assumption.
 */
#include "turn_session.h"

#define TURNS 400

static session s;

/* Where the pause is, in hundredths, and what was said before it. */
static const struct
{
	int share;
	const char *before;
} places[] = {
	{ 25, "I would like to" },	 { 15, "I wanted to ask and" }, { 15, "well um" },
	{ 10, "it is about my" },	 { 10, "I called last week," }, { 10, "my number is five five" },
	{ 5, "I called last week" }, { 10, "I have a question." },
};

static int32_t
draw_pause(check_random *random)
{
	double pause;

	do
		pause = exp(5.78 + 0.9 * check_random_normal(random));
	while (pause < 100 || pause > 5000);
	return (int32_t) pause / 20 * 20;
}

/* Returns the share of turns that were cut off, and the mean of what was waited at their ends. */
static double
cut_offs(const mb_turn_settings *settings, double *waited)
{
	check_random random = { 4711 };
	int cut = 0;
	int ends = 0;

	*waited = 0;
	for (int i = 0; i < TURNS; i++)
	{
		int place = (int) check_random_below(&random, 100);
		int32_t pause = draw_pause(&random);
		bool stop = check_random_below(&random, 100) < 65;
		char whole[300];
		int32_t end;
		int32_t last;
		int at = 0;

		while (place >= places[at].share)
			place -= places[at++].share;
		session_begin(&s, (uint64_t) i);
		s.settings = *settings;
		end = session_say(&s, 1000, places[at].before, -1);
		snprintf(whole, sizeof(whole), "%s a table for two people%s", places[at].before,
				 stop ? "." : "");
		/* the second half is said behind the pause, its texts have both */
		for (int w = 0; w < 5; w++)
			session_sound(&s, end + pause + w * 300, 260, MB_FRAME_ACTIVE | MB_FRAME_VOICED);
		last = end + pause + 4 * 300 + 260;
		session_event_at(&s, end + pause + 400, (mb_turn_input){ .kind = MB_IN_PARTIAL }, whole);
		session_event_at(&s, last + 250, (mb_turn_input){ .kind = MB_IN_FINAL }, whole);
		/* the recogniser answers when it is asked in the pause */
		if (pause > 450)
			session_event_at(&s, end + 440, (mb_turn_input){ .kind = MB_IN_PARTIAL },
							 places[at].before);
		session_run(&s, last + 4000);
		for (int k = 0; k < s.n_decisions; k++)
		{
			const mb_turn_decision *d = &s.decisions[k].decision;

			if (d->kind != MB_DO_COMMIT)
				continue;
			if (d->at < end + pause + 20)
			{
				cut++;
				break;
			}
			*waited += d->delay;
			ends++;
			break;
		}
	}
	*waited /= ends > 0 ? ends : 1;
	return 100.0 * cut / TURNS;
}

static void
plain(mb_turn_settings *settings, int32_t ms)
{
	english(settings);
	for (int i = MB_TURN_COMMIT_ANSWER; i <= MB_TURN_COMMIT_NONE; i++)
		settings->number[i] = ms;
	settings->number[MB_TURN_FINAL_WAIT] = ms;
	settings->number[MB_TURN_FACTOR_MIN] = settings->number[MB_TURN_FACTOR_MAX] = 1000;
}

static void
by_class(mb_turn_settings *settings, int32_t ms)
{
	english(settings);
	for (int i = MB_TURN_COMMIT_ANSWER; i <= MB_TURN_COMMIT_NONE; i++)
		settings->number[i] = settings->number[i] * ms / 600;
}

static void
classes_cut_off_less_than_silence(void)
{
	static const int32_t settings_ms[] = { 600, 1000 };
	static const double allowed[] = { 15, 5 };

	for (int i = 0; i < 2; i++)
	{
		mb_turn_settings settings;
		double silence;
		double waited_silence;
		double classes;
		double waited;

		plain(&settings, settings_ms[i]);
		silence = cut_offs(&settings, &waited_silence);
		by_class(&settings, settings_ms[i]);
		classes = cut_offs(&settings, &waited);
		check_note(
			"%d ms: %.1f %% of %d turns cut off, %.0f ms waited; plain silence %.1f %%, %.0f ms",
			settings_ms[i], classes, TURNS, waited, silence, waited_silence);
		check_range(classes, 0, allowed[i]);
		check_range(classes, 0, silence * 0.7);
		check_range(waited, 100, waited_silence);
	}
}

int
main(void)
{
	check_run("fewer turns are cut off than by silence alone, and less is waited",
			  classes_cut_off_less_than_silence);
	return check_done();
}
