/*
 * test_edge_line.c
 *	  When a line that is answered is hung up: a call costs money for as long as it lasts, whatever its device and its database do.
 *
 * Link with: -I.. -I/usr/include/postgresql
 */
#include "check.h"

#include "../../edge/ear.c"
#include "../../edge/line.c"
#include "../../edge/mouth.c"
#include "../../edge/packets.c"

#define RATE 8000
#define BLOCK (RATE * EDGE_BLOCK_MS / 1000)
#define MINUTES 2

/* A card whose clock is the machine's. */
static int64_t now;
static bool stalled;	/* it takes what is given to it, and plays nothing more */
static uint64_t played; /* what it had played when it was stalled */
static uint64_t loud;	/* samples it was given that are no silence */

static char answer[64];	   /* what the database says next; empty: nothing */
static int64_t said_total; /* of the call that ended last; -1: none has */

int64_t
edge_clock(void)
{
	return now;
}

/* Nothing is spoken here. */
void
edge_speech_ask(edge_speech *speech, const char *call_id, const char *text, int rate)
{
	(void) speech, (void) call_id, (void) text, (void) rate;
}

void
edge_speech_drop(edge_speech *speech)
{
	(void) speech;
}

bool
edge_speech_take(edge_speech *speech, const char *call_id, int16_t **samples, size_t *n)
{
	(void) speech, (void) call_id, (void) samples, (void) n;
	return false;
}

edge_audio_status
edge_audio_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	*audio = (edge_audio){ .traits = { .sample_rate = RATE,
									   .channels = 1,
									   .block = BLOCK,
									   .capture = request->capture,
									   .playback = request->playback,
									   .duplex = true,
									   .pace = EDGE_PACED_BY_DEVICE,
									   .detail = name } };
	return EDGE_AUDIO_OK;
}

edge_audio_status
edge_audio_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout)
{
	*block = (edge_audio_block){ .frames = audio->traits.block, .time = now };
	memset(samples, 0, audio->traits.block * sizeof(*samples));
	now += timeout * MILLISECOND;
	return EDGE_AUDIO_OK;
}

void
edge_audio_where(edge_audio *audio, edge_audio_position *position)
{
	uint64_t due = (uint64_t) (now - SECOND) * RATE / SECOND;

	if (!stalled)
		played = due < audio->position.written ? due : audio->position.written;
	audio->position.played = played;
	*position = audio->position;
}

edge_audio_status
edge_audio_write(edge_audio *audio, const int16_t *samples, size_t frames, int timeout)
{
	(void) timeout;
	/* as full as a card's buffer becomes */
	if (audio->position.written - played > RATE / 2)
		return EDGE_AUDIO_LATER;
	for (size_t i = 0; i < frames; i++)
		loud += samples[i] != 0;
	audio->position.written += frames;
	return EDGE_AUDIO_OK;
}

edge_audio_status
edge_audio_drain(edge_audio *audio)
{
	(void) audio;
	return EDGE_AUDIO_OK;
}

void
edge_audio_close(edge_audio *audio)
{
	(void) audio;
}

void
edge_call_name(const char *name, char id[static EDGE_CALL_ID + 1])
{
	snprintf(id, EDGE_CALL_ID + 1, "%s-1", name);
}

void
edge_judge_begin(edge_judge *judge, const edge_call *call, const char *const *tracks, int n_tracks)
{
	(void) judge, (void) call, (void) tracks, (void) n_tracks;
}

bool
edge_judge_ask(edge_judge *judge, const char *call_id, const char *caller, const char *symbols)
{
	(void) judge, (void) call_id, (void) caller, (void) symbols;
	return true;
}

bool
edge_judge_take(edge_judge *judge, edge_verdict *verdict)
{
	(void) judge;
	if (answer[0] == '\0')
		return false;
	*verdict = (edge_verdict){ .call_id = "line-1", .verdict = "accepted" };
	snprintf(verdict->tones, sizeof(verdict->tones), "%s", answer);
	answer[0] = '\0';
	return true;
}

bool
edge_outbox_put(edge_outbox *outbox, const char *call_id, const edge_packet *packet)
{
	(void) outbox, (void) call_id, (void) packet;
	return true;
}

void
edge_outbox_complete(edge_outbox *outbox, const char *call_id, int64_t total)
{
	(void) outbox, (void) call_id;
	said_total = total;
}

/* A line with a call on it, which is silent for as long as it may be. */
static edge_line *
call(int silence)
{
	const edge_line_options options = { .name = "line",
										.encoding = MB_MULAW,
										.sample_rate = RATE,
										.silence = silence,
										.call_minutes = MINUTES };
	const edge_audio_request request = { 0 };
	char problem[256];
	edge_line *line = edge_line_new(&options);

	now = SECOND;
	stalled = false;
	played = loud = 0;
	answer[0] = '\0';
	said_total = -1;
	check(edge_line_open(line, "card", &request, problem) == EDGE_AUDIO_OK);
	check(edge_line_begin(line, NULL));
	return line;
}

/* Goes on until it is to be hung up, or so many seconds have passed; how many have since the call began. */
static int64_t
seconds_until_over(edge_line *line, int64_t most)
{
	while (!edge_line_is_over(line) && now < (1 + most) * SECOND)
		check(edge_line_turn(line) == EDGE_AUDIO_OK);
	return now / SECOND - 1;
}

static void
silence_ends_a_call(void)
{
	edge_line *line = call(30);

	check_int(seconds_until_over(line, 1000), 30);
	edge_line_end(line);
	check_int(said_total, 30 * 1000 / EDGE_BLOCK_MS);
	edge_line_free(line);
}

static void
its_minutes_end_a_call(void)
{
	edge_line *line = call(1000);

	check_int(seconds_until_over(line, 1000), MINUTES * 60);
	edge_line_free(line);
}

/* What is said is never heard to its end. */
static void
its_minutes_end_a_call_on_a_card_that_does_not_play(void)
{
	edge_line *line = call(30);

	snprintf(answer, sizeof(answer), "123456");
	check(edge_line_turn(line) == EDGE_AUDIO_OK);
	check(loud > 0);
	stalled = true;
	check_int(seconds_until_over(line, 1000), MINUTES * 60);
	edge_line_free(line);
}

/* Each frame begins to wait anew, and none is answered. */
static void
its_minutes_end_a_call_that_is_always_judged(void)
{
	edge_line *line = call(30);

	while (!edge_line_is_over(line) && now < 1000 * SECOND)
	{
		on_digit(line, '*');
		on_frame(line, "*1#");
		for (int i = 0; i < 50 && !edge_line_is_over(line); i++)
			check(edge_line_turn(line) == EDGE_AUDIO_OK);
	}
	check_int(now / SECOND - 1, MINUTES * 60);
	edge_line_free(line);
}

static void
what_was_to_be_said_is_not_said_to_the_next_caller(void)
{
	edge_line *line = call(30);

	snprintf(answer, sizeof(answer), "123456");
	check(edge_line_turn(line) == EDGE_AUDIO_OK);
	stalled = true;
	seconds_until_over(line, 1000);
	edge_line_end(line);
	stalled = false;
	check(edge_line_begin(line, NULL));
	loud = 0;
	for (int i = 0; i < 100; i++)
		check(edge_line_turn(line) == EDGE_AUDIO_OK);
	check_int(loud, 0);
	edge_line_free(line);
}

int
main(void)
{
	check_run("silence ends a call", silence_ends_a_call);
	check_run("its minutes end a call", its_minutes_end_a_call);
	check_run("they end it on a card that does not play",
			  its_minutes_end_a_call_on_a_card_that_does_not_play);
	check_run("they end one that is always judged", its_minutes_end_a_call_that_is_always_judged);
	check_run("what was to be said is not said to the next caller",
			  what_was_to_be_said_is_not_said_to_the_next_caller);
	return check_done();
}
