/*
 * modem.c
 *	  build/edge-modem: a modem of mulberry-edge under the hands of a test.  It answers calls, hears what is said and plays what it is
 *	  told to; what happens is told on standard output, a line each.
 *
 *		play BLOCKS		of 20 ms
 *		drop			what is not played yet
 *		hang up
 *		quit
 *
 *	usage: edge-modem PROFILE PORT AUDIO STEP [SETTING=VALUE ...]
 *
 * What is said, and played, counts up by STEP from sample to sample, so that it is known what is missing.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modem.h"

#define BLOCK 160

static edge_audio audio;
static bool open_now;
static const char *audio_name;
static edge_modem *modem;
static int step;

/* What was heard in this call. */
static uint64_t samples;
static uint64_t breaks;
static uint64_t lost;
static bool any;
static int16_t last;

/* What is to be played. */
static int to_play;
static int16_t next_sample;

static void
say(const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	(void) !write(STDOUT_FILENO, line, (size_t) n);
}

static void
close_audio(void)
{
	edge_audio_position position;

	if (!open_now)
		return;
	edge_audio_where(&audio, &position);
	edge_audio_close(&audio);
	open_now = false;
	say("heard %llu breaks %llu lost %llu written %llu\n", (unsigned long long) samples,
		(unsigned long long) breaks, (unsigned long long) lost,
		(unsigned long long) position.written);
}

static void
tell(void *context, const mb_modem_news *news)
{
	static const char *const names[] = {
		"ready",   "called",   "ended",		"missed", "refused", "limited",
		"waiting", "no audio", "restarted", "digit",  "problem",
	};

	(void) context;
	if (news->what == MB_MODEM_ENDED)
		close_audio();
	say("%s %s%s\n", names[news->what], news->text != NULL ? news->text : "", news->caller->number);
	if (news->what == MB_MODEM_CALLED)
	{
		const edge_audio_request request = { .capture = true, .playback = true };

		samples = breaks = lost = 0;
		any = false;
		to_play = 0;
		open_now = edge_audio_open(&audio, audio_name, &request) == EDGE_AUDIO_OK;
		say("audio %s\n", open_now ? audio.traits.detail : audio.problem);
	}
}

static void
hear(void)
{
	int16_t block[BLOCK];
	edge_audio_block what;
	edge_audio_status status = edge_audio_read(&audio, block, &what, 20);

	if (status == EDGE_AUDIO_END || status == EDGE_AUDIO_AWAY)
	{
		say("audio %s\n", status == EDGE_AUDIO_END ? "ends" : "is away");
		close_audio();
		edge_modem_hang_up(modem);
		return;
	}
	if (status != EDGE_AUDIO_OK)
		return;
	edge_modem_heard(modem);
	lost += what.lost;
	if (what.lost > 0)
		say("gap %llu\n", (unsigned long long) what.lost);
	for (size_t i = 0; i < what.frames; i++)
	{
		if (any && block[i] != (int16_t) (last + step) && !(i == 0 && what.lost > 0))
			breaks++;
		last = block[i];
		any = true;
	}
	if (samples / 8000 != (samples + what.frames) / 8000)
		say("second %llu\n", (unsigned long long) ((samples + what.frames) / 8000));
	samples += what.frames;
}

static void
play(void)
{
	while (to_play > 0)
	{
		int16_t block[BLOCK];

		for (int i = 0; i < BLOCK; i++)
			block[i] = (int16_t) (next_sample + i * step);
		if (edge_audio_write(&audio, block, BLOCK, audio.traits.duplex ? 0 : 500) != EDGE_AUDIO_OK)
			break;
		next_sample = (int16_t) (next_sample + BLOCK * step);
		if (--to_play > 0)
			continue;
		if (!audio.traits.duplex)
			edge_audio_drain(&audio);
		say("written\n");
	}
}

/* False for "quit", and when nobody says anything any more. */
static bool
obey(void)
{
	static char line[256];
	static size_t n;
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	while (poll(&input, 1, 0) > 0)
	{
		if (read(STDIN_FILENO, &c, 1) != 1)
			return false;
		if (c != '\n')
		{
			line[n < sizeof(line) - 1 ? n++ : n] = c;
			continue;
		}
		line[n] = '\0';
		n = 0;
		if (sscanf(line, "play %d", &to_play) == 1)
			continue;
		if (strcmp(line, "drop") == 0)
			edge_audio_drop(&audio);
		else if (strcmp(line, "hang up") == 0)
			edge_modem_hang_up(modem);
		else
			return false;
	}
	return true;
}

static void
set(edge_modem_options *options, char *setting)
{
	char *value = strchr(setting, '=');

	*value++ = '\0';
	if (strcmp(setting, "allowed") == 0)
		options->rules.allowed = value;
	else if (strcmp(setting, "answers") == 0)
		options->rules.answers = atoi(value);
	else if (strcmp(setting, "watchdog") == 0)
		options->rules.watchdog_ms = atoi(value);
	else if (strcmp(setting, "init") == 0)
		options->profile.init = value;
	else
		exit(2);
}

int
main(int argc, char **argv)
{
	edge_modem_options options = { .tell = tell };
	char problem[256];

	if (argc < 5)
		return 2;
	options.profile = *mb_modem_profile_of(argv[1]);
	options.port = argv[2];
	options.rules.watchdog_ms = 2000;
	audio_name = argv[3];
	step = atoi(argv[4]);
	for (int i = 5; i < argc; i++)
		set(&options, argv[i]);
	if (edge_modem_open(&options, &modem, problem) != EDGE_AUDIO_OK)
	{
		say("not opened: %s\n", problem);
		return 1;
	}
	while (obey())
	{
		if (open_now && to_play > 0)
			play();
		if (open_now)
			hear();
		edge_modem_turn(modem, open_now ? 0 : 20);
	}
	edge_modem_close(modem);
	say("done\n");
	return 0;
}
