/*
 * test_command_frames.c
 *	  A receiver under a flood of frames: damaged, foreign, old, repeated and invented ones, none of
 *	  which is ever accepted, and between them genuine ones, all of which are.
 *
 * MB_COMMAND_FRAMES in the environment says how many; 10,000,000 take about a minute.
 */
#include "check.h"
#include "core/command/command_judge.h"
#include "command_receiver.h"
#include "command_setup.h"

#define FRAMES_BY_DEFAULT 1000000

static void
random_digits(check_random *random, char *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char) ('0' + check_random_below(random, 10));
}

/* Writes the last four digits of a counter into a frame. */
static void
set_counter(char *frame, uint64_t counter)
{
	char digits[16];

	snprintf(digits, sizeof(digits), "%04u", (unsigned) (counter % 10000));
	memcpy(frame + 15, digits, 4);
}

#define REMEMBERED 1000 /* frames accepted, to be played again */

typedef struct campaign
{
	check_random random;
	receiver r;
	receiver foreign;
	mb_command next;						   /* the command whose turn it is */
	char genuine[MB_COMMAND_FRAME_LENGTH + 1]; /* its frame, the only one to accept */
	char remembered[REMEMBERED][MB_COMMAND_FRAME_LENGTH + 1];
	unsigned long verdicts[NO_FRAME + 1];
	unsigned long wrong_accepts;
	unsigned long lost_commands;
} campaign;

static void
next_command(campaign *c)
{
	c->next = random_command(&c->random);
	c->next.key_id = 7;
	sign_frame(&c->r, &c->next, c->r.state.last_counter + 1 + check_random_below(&c->random, 3),
			   NULL, c->genuine);
}

/* Makes one frame that is not to be accepted; its length is the result. */
static size_t
make_bad_frame(campaign *c, char *frame)
{
	static const char symbols[] = "0123456789*#ABCD";
	check_random *random = &c->random;
	uint64_t last = c->r.state.last_counter;
	size_t n = MB_COMMAND_FRAME_LENGTH;
	mb_command command;

	memcpy(frame, c->genuine, n + 1);
	switch (check_random_below(random, 10))
	{
		case 0: /* symbols at random */
			n = check_random_below(random, MB_COMMAND_FRAME_LENGTH + 8);
			for (size_t i = 0; i < n; i++)
				frame[i] = symbols[check_random_below(random, 16)];
			break;
		case 1: /* digits at random, check and counter right */
			random_digits(random, frame + 1, 30);
			memcpy(frame + 1, "07", 2);
			set_counter(frame, last + 1 + check_random_below(random, 5000));
			fix_check(frame, n);
			break;
		case 2: /* the genuine frame, some digits changed, check mended */
		case 3:
			for (uint64_t i = 1 + check_random_below(random, 4); i > 0; i--)
				random_digits(random, frame + 1 + check_random_below(random, 28), 1);
			fix_check(frame, n);
			break;
		case 4: /* another tag */
			random_digits(random, frame + 19, MB_COMMAND_TAG_LENGTH);
			fix_check(frame, n);
			break;
		case 5: /* symbols changed, check not mended */
			for (uint64_t i = 1 + check_random_below(random, 4); i > 0; i--)
				frame[check_random_below(random, n)] = symbols[check_random_below(random, 16)];
			break;
		case 6: /* other tenant's or edge's */
			sign_frame(&c->foreign, &c->next, last + 1, NULL, frame);
			break;
		case 7: /* ours, but long ago, too far ahead, or a turn of the counter later */
			command = random_command(random);
			command.key_id = 7;
			switch (check_random_below(random, 3))
			{
				case 0:
					if (last > 0)
						sign_frame(&c->r, &command, 1 + check_random_below(random, last), NULL,
								   frame);
					break;
				case 1:
					sign_frame(&c->r, &command, last + 5001 + check_random_below(random, 5000),
							   NULL, frame);
					break;
				default:
					sign_frame(&c->r, &command, last + 10001 + check_random_below(random, 100000),
							   NULL, frame);
					break;
			}
			break;
		case 8: /* accepted before */
			if (c->r.accepted > 0)
				memcpy(frame,
					   c->remembered[check_random_below(
						   random, c->r.accepted < REMEMBERED ? c->r.accepted : REMEMBERED)],
					   n + 1);
			break;
		default: /* a symbol lost, added, doubled or exchanged */
			switch (check_random_below(random, 4))
			{
				case 0:
				{
					size_t at = check_random_below(random, n);

					memmove(frame + at, frame + at + 1, n - at);
					n--;
					break;
				}
				case 1:
				{
					size_t at = check_random_below(random, n);

					memmove(frame + at + 1, frame + at, n - at + 1);
					n++;
					break;
				}
				case 2:
					frame[n++] = symbols[check_random_below(random, 16)];
					break;
				default:
				{
					size_t at = check_random_below(random, n - 1);
					char first = frame[at];

					frame[at] = frame[at + 1];
					frame[at + 1] = first;
					break;
				}
			}
			break;
	}
	return n;
}

static void
no_frame_is_wrongly_accepted(void)
{
	static campaign c;
	const char *setting = getenv("MB_COMMAND_FRAMES");
	unsigned long frames = setting != NULL ? strtoul(setting, NULL, 10) : FRAMES_BY_DEFAULT;

	c.random.state = 20260727;
	receiver_init(&c.r, 0);
	c.foreign = c.r;
	c.foreign.state.party.tenant[0] ^= 1;
	next_command(&c);
	for (unsigned long i = 0; i < frames; i++)
	{
		char frame[MB_COMMAND_FRAME_LENGTH + 12];
		bool due = check_random_below(&c.random, 100) == 0;
		size_t n = MB_COMMAND_FRAME_LENGTH;
		bool genuine;
		mb_judgement judgement;
		int verdict;

		if (due)
			memcpy(frame, c.genuine, n + 1);
		else
			n = make_bad_frame(&c, frame);
		/* a change may have changed nothing */
		genuine = n == MB_COMMAND_FRAME_LENGTH && memcmp(frame, c.genuine, n) == 0;

		if (c.r.accepted % 3 == 0)
			c.foreign.state.party.edge[0] ^= 1;
		verdict = receive(&c.r, frame, n, &judgement);
		c.verdicts[verdict]++;
		c.wrong_accepts += verdict == MB_VERDICT_ACCEPTED && !genuine;
		c.lost_commands += verdict != MB_VERDICT_ACCEPTED && genuine;
		if (verdict == MB_VERDICT_ACCEPTED)
		{
			memcpy(c.remembered[(c.r.accepted - 1) % REMEMBERED], frame,
				   MB_COMMAND_FRAME_LENGTH + 1);
			next_command(&c);
		}
	}
	check_int(c.wrong_accepts, 0);
	check_int(c.lost_commands, 0);
	check_int(c.verdicts[MB_VERDICT_NOT_JUDGED], 0);
	/* each kind of judgement was put to the test */
	for (int verdict = 0; verdict < MB_VERDICT_NOT_JUDGED; verdict++)
		check(c.verdicts[verdict] > frames / 200);
	check(c.verdicts[NO_FRAME] > frames / 200);
	check_note(
		"%lu frames: %lu accepted, %lu forgeries, %lu stale, %lu duplicates, %lu decode errors",
		frames, c.verdicts[MB_VERDICT_ACCEPTED], c.verdicts[MB_VERDICT_FORGERY],
		c.verdicts[MB_VERDICT_STALE], c.verdicts[MB_VERDICT_DUPLICATE], c.verdicts[NO_FRAME]);
}

int
main(void)
{
	check_run("no frame is wrongly accepted", no_frame_is_wrongly_accepted);
	return check_done();
}
