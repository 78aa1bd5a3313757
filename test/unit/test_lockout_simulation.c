/*
 * test_lockout_simulation.c
 *	  A genuine revocation against a second line: whatever that plays, and however fast, the
 *	  revocation gets through within two calls.
 *
 * The edge here is the core's judge, ladder and ages of challenges, with what SQL stores kept in
 * memory.  The second line knows all that was ever played, and what the edge has answered; it has not
 * got the key.  Its calls are hung up as the ladder says, and it dials again without losing time.
 */
#include "check.h"
#include "command_receiver.h"
#include "command_setup.h"
#include "core/command/command_judge.h"
#include "core/command/lockout.h"

#define MS (MB_SECOND_US / 1000)
#define S MB_SECOND_US
#define MANDATE "12345678"
#define RECORDED 64

typedef struct call
{
	int forgeries;
	int decode_errors;
	bool over;
} call;

typedef struct edge
{
	receiver key;
	mb_lockout lockout;
	mb_command_challenge challenge;
	bool challenged;
	int64_t drawn;
	int64_t played;
	bool revoked;
	bool one_a_minute; /* the rule that deafened, to see that this test would notice */
	check_random *random;
} edge;

/* What the edge says to a frame. */
typedef struct answer
{
	int verdict; /* an mb_verdict, or NO_FRAME */
	bool judged;
	char nonce[MB_NONCE_LENGTH + 1]; /* empty: no challenge is played */
} answer;

static void
draw_challenge(edge *e, const mb_judgement *judgement, int64_t now)
{
	e->challenge.command = e->key.frame.command;
	e->challenge.counter = judgement->counter;
	snprintf(e->challenge.nonce, sizeof(e->challenge.nonce), "%06u",
			 (unsigned) check_random_below(e->random, 1000000));
	e->challenged = true;
	e->drawn = e->played = now;
}

/* As receive_frame() of SQL. */
static answer
hear(edge *e, call *c, const char *symbols, int64_t now)
{
	mb_judgement judgement;
	mb_challenge_age age = MB_CHALLENGE_FORGOTTEN;
	mb_lockout_mode mode = mb_lockout_mode_at(&e->lockout, now);
	answer a = { MB_VERDICT_NOT_JUDGED, false, "" };

	if (c->over)
		return a;
	if (e->challenged && e->challenge.counter == e->key.state.last_counter)
		age = mb_challenge_age_at(e->drawn, e->played, now);
	e->challenge.expired = age != MB_CHALLENGE_HOLDS;
	e->key.state.challenge = age == MB_CHALLENGE_FORGOTTEN ? NULL : &e->challenge;
	e->key.state.challenge_all = mode != MB_LOCKOUT_NORMAL;
	if (e->one_a_minute && mode == MB_LOCKOUT_STRICT && age != MB_CHALLENGE_HOLDS &&
		e->lockout.forgeries[0] > now - 60 * S)
		return a;

	a.judged = true;
	a.verdict = receive(&e->key, symbols, strlen(symbols), &judgement);
	switch (a.verdict)
	{
		case MB_VERDICT_FORGERY:
			mb_lockout_forgery(&e->lockout, now);
			c->forgeries++;
			break;
		case NO_FRAME:
			c->decode_errors++;
			break;
		case MB_VERDICT_DUPLICATE:
			/* digests[0] is that of the frame that was accepted last */
			if (age == MB_CHALLENGE_HOLDS && judgement.duplicate_of == 0)
			{
				e->played = now;
				memcpy(a.nonce, e->challenge.nonce, sizeof(a.nonce));
			}
			break;
		case MB_VERDICT_ACCEPTED:
			e->lockout.in_row = 0;
			e->challenged = false;
			if (judgement.challenge_wanted)
			{
				draw_challenge(e, &judgement, now);
				memcpy(a.nonce, e->challenge.nonce, sizeof(a.nonce));
			}
			else if (e->key.frame.command.code == MB_COMMAND_REVOKE &&
					 strcmp(e->key.frame.command.mandate, MANDATE) == 0)
				e->revoked = true;
			break;
		case MB_VERDICT_STALE:
		case MB_VERDICT_NOT_JUDGED:
			break;
	}
	c->over = mb_call_is_over(c->forgeries, c->decode_errors, mb_lockout_mode_at(&e->lockout, now));
	return a;
}

/* The second line. */
typedef struct attacker
{
	edge *edge;
	call call;
	int64_t next;
	int64_t apart;	/* between two frames; 0: whenever it can */
	unsigned kinds; /* bits of what it plays */
	char recorded[RECORDED][MB_COMMAND_FRAME_LENGTH + 1];
	int n_recorded;
	unsigned long played;
	check_random *random;
} attacker;

enum
{
	PLAYS_FORGERIES,
	PLAYS_FORGED_ANSWERS,
	PLAYS_RECORDINGS,
	PLAYS_NOISE,
	N_PLAYS
};

static void
record(attacker *a, const char *frame)
{
	if (a->n_recorded < RECORDED)
		memcpy(a->recorded[a->n_recorded++], frame, MB_COMMAND_FRAME_LENGTH + 1);
}

/* The command with a counter, and a tag that it makes up. */
static void
forge(attacker *a, uint64_t counter, char *frame)
{
	mb_command command = make_command(7, MB_COMMAND_REVOKE, MANDATE, 0);

	sign_frame(&a->edge->key, &command, counter, NULL, frame);
	for (int i = 0; i < MB_COMMAND_TAG_LENGTH; i++)
		frame[19 + i] = (char) ('0' + check_random_below(a->random, 10));
	fix_check(frame, MB_COMMAND_FRAME_LENGTH);
}

static void
attack_once(attacker *a, int64_t now)
{
	uint64_t last = a->edge->key.state.last_counter;
	char frame[MB_COMMAND_FRAME_LENGTH + 1] = "*0#";
	answer said;
	unsigned kind;

	do
		kind = (unsigned) check_random_below(a->random, N_PLAYS);
	while ((a->kinds & 1u << kind) == 0);
	if (kind == PLAYS_FORGERIES)
		forge(a, last + 2 + check_random_below(a->random, 100), frame);
	else if (kind == PLAYS_FORGED_ANSWERS)
		forge(a, last + 1, frame);
	else if (kind == PLAYS_RECORDINGS && a->n_recorded > 0)
		memcpy(frame, a->recorded[check_random_below(a->random, a->n_recorded)], sizeof(frame));
	if (a->call.over)
		a->call = (call){ 0 };
	said = hear(a->edge, &a->call, frame, now);
	a->played++;
	(void) said; /* the digits are no secret, and of no use to it */
}

/* The second line goes on until then. */
static void
attack(attacker *a, int64_t until)
{
	int burst = 0;

	for (; a->next<until; a->next += a->apart> 0 ? a->apart : 20 * MS)
		attack_once(a, a->next);
	/* and right before a genuine frame */
	while (a->apart == 0 && burst++ < 25)
		attack_once(a, until);
}

typedef struct sender
{
	uint64_t counter;
	bool webhooks; /* it hears the challenge while the call lasts */
} sender;

/*
 * Revokes; returns the calls that it took, at most "most".  A frame takes 5 s to play.  Without
 * webhooks, the challenge is heard when the call is over, and answered by the next.
 */
static int
revoke(edge *e, sender *s, attacker *a, int64_t *now, int most)
{
	mb_command command = make_command(7, MB_COMMAND_REVOKE, MANDATE, 0);
	char nonce[MB_NONCE_LENGTH + 1] = "";
	char frame[MB_COMMAND_FRAME_LENGTH + 1];

	sign_frame(&e->key, &command, ++s->counter, NULL, frame);
	for (int calls = 1; calls <= most; calls++)
	{
		call line = { 0 };

		*now +=
			(8 + (int64_t) check_random_below(e->random, 8)) * S; /* dialling, and what is said */
		for (int repetition = 0; repetition < 3 && !e->revoked; repetition++)
		{
			answer said;

			*now += 5 * S;
			attack(a, *now);
			said = hear(e, &line, frame, *now);
			record(a, frame);
			if (said.nonce[0] != '\0')
			{
				memcpy(nonce, said.nonce, sizeof(nonce));
				if (s->webhooks)
				{
					sign_frame(&e->key, &command, ++s->counter, nonce, frame);
					nonce[0] = '\0';
				}
			}
			*now += 6 * S;
		}
		if (e->revoked)
			return calls;
		*now +=
			(2 + (int64_t) check_random_below(e->random, 10)) * S; /* the recording is fetched */
		if (nonce[0] != '\0')
		{
			sign_frame(&e->key, &command, ++s->counter, nonce, frame);
			nonce[0] = '\0';
		}
	}
	return most + 1;
}

/* One attack from a start that chance has chosen; how many calls the revocation took. */
static int
run(uint64_t seed, bool one_a_minute, int64_t apart, unsigned kinds, bool webhooks)
{
	static attacker a;
	check_random random = { seed };
	edge e = { .one_a_minute = one_a_minute, .random = &random };
	sender s = { .webhooks = webhooks };
	mb_command other = make_command(7, MB_COMMAND_SUSPEND, MANDATE, 0);
	int64_t now = INT64_C(800000000000000);
	char frame[MB_COMMAND_FRAME_LENGTH + 1];
	call line = { 0 };

	receiver_init(&e.key, 0);
	a = (attacker){ .edge = &e, .apart = apart, .kinds = kinds, .random = &random };
	/* what the edge has heard before, and what was sent, recorded by the second line and never heard */
	for (uint64_t i = check_random_below(&random, 5); i > 0; i--)
	{
		sign_frame(&e.key, &other, ++s.counter, NULL, frame);
		record(&a, frame);
		if (check_random_below(&random, 2) == 0)
			hear(&e, &line, frame, now);
		now += 30 * S;
	}
	/* the attack may have begun long ago or just now */
	a.next = now;
	now += (int64_t) check_random_below(&random, apart > 0 ? 600 : 60) * S;
	return revoke(&e, &s, &a, &now, 2);
}

static void
a_revocation_gets_through(void)
{
	static const int64_t pauses[] = { 0, 100 * MS, 500 * MS, 2 * S, 5 * S, 30 * S };
	int by_call[4] = { 0 };
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++)
		for (unsigned kinds = 1; kinds < 1u << N_PLAYS; kinds++)
			for (int webhooks = 0; webhooks < 2; webhooks++)
				for (int n = 0; n < 3; n++, seed++)
				{
					int calls = run(seed, false, pauses[i], kinds, webhooks != 0);

					by_call[calls]++;
					check_report(calls <= 2, __FILE__, __LINE__,
								 "seed %" PRIu64
								 ": not by the second call, against %u every %" PRId64 " ms",
								 seed, kinds, pauses[i] / MS);
				}
	check_note("by the first call %d, by the second %d, not at all %d", by_call[1], by_call[2],
			   by_call[3]);
	check(by_call[1] > 100 && by_call[2] > 100);
}

static void
the_simulation_would_notice(void)
{
	int deaf = 0;

	for (uint64_t seed = 1; seed <= 15; seed++)
		deaf += run(seed, true, 2 * S, 1u << PLAYS_FORGERIES, false) > 2;
	check_note("by the rule of one frame a minute: %d of 15 revocations were not heard", deaf);
	check(deaf > 7);
}

int
main(void)
{
	check_run("a revocation gets through within two calls, whatever a second line plays",
			  a_revocation_gets_through);
	check_run("... which a ladder that judges one frame a minute does not let happen",
			  the_simulation_would_notice);
	return check_done();
}
