/*
 * talk_over_noise.c
 *	  How soon an agent pauses for who speaks over it on a noisy line that brings its own voice back, and how often for
 *	  nobody: the detector of activity and the turn engine, in simulated time, over recorded speech.
 *
 *	talk_over_noise NOISE SNR LOSS TRIALS SEED [NAME=NUMBER ...] WAV ...
 *
 * NOISE is one of recorded.h, SNR dB below the callers' speech, whose level is -20 dBFS while it is active, as is the agent's;
 * LOSS is that of the echo, which comes 120 ms later; 0: there is none.  NAME is a number of the turn engine's.  Half of
 * the recordings are the agent's.  In a trial the agent speaks for 4 to 12 s until somebody speaks or, in every fourth, coughs.
 * Printed: interruptions, those that were missed (no pause within 1.5 s), median and 95 % of the
 * time from the onset of speech to the pause, pauses for nobody in a minute, and coughs that made a pause.
 */
#include "core/audio/g711.h"
#include "core/conversation/activity.h"
#include "core/conversation/turn.h"
#include "recorded.h"

#define LEVEL (-20.0)
#define ECHO_LAG 6 /* frames */
#define LATEST 75  /* frames of a pause that belongs to speech */
#define QUIET 100  /* frames until the agent speaks, in which the line is learnt */
#define MAX_FILES 1000
#define MAX_TRIALS 100000

typedef struct line_state
{
	mb_activity activity;
	mb_turn turn;
	uint32_t generation;
	bool paused;
	int pauses;
	int32_t now;
	int32_t said; /* ms of the agent's audio that were sent */
	float echo[ECHO_LAG * FRAME];
	int echo_at;
} line_state;

static mb_turn_settings settings;

static void
decide(void *arg, const mb_turn_decision *decision)
{
	line_state *l = arg;

	switch (decision->kind)
	{
		case MB_DO_SAY:
			l->generation = decision->generation;
			break;
		case MB_DO_PAUSE:
			l->paused = true;
			l->pauses++;
			break;
		case MB_DO_RESUME:
			l->paused = false;
			break;
		default:
			break;
	}
}

static void
give(line_state *l, mb_turn_input input)
{
	input.at = l->now;
	input.generation = l->generation;
	mb_turn_input_take(&l->turn, &input);
}

static void
line_begin(line_state *l)
{
	static const mb_line line = { .clear = true, .we_pace = true };

	memset(l, 0, sizeof(*l));
	if (mb_activity_init(&l->activity, &mb_activity_default_options) != MB_OK)
		abort();
	mb_turn_init(&l->turn, &settings, &line, decide, l);
	give(l, (mb_turn_input){ .kind = MB_IN_SAY, .item_kind = MB_ITEM_GREETING });
	give(l, (mb_turn_input){ .kind = MB_IN_PIECE,
							 .item_kind = MB_ITEM_GREETING,
							 .text = "It is so.",
							 .bytes = 9,
							 .ms = 1000000 });
	give(l, (mb_turn_input){ .kind = MB_IN_REPLY_END });
}

/* 20 ms: what the caller and the noise sound like, and what the agent would say; the line takes it as mu-law. */
static void
line_frame(line_state *l, const float *caller, const float *agent, double loss)
{
	int16_t in[FRAME];
	double played = 0;
	mb_activity_frame frame;

	for (int i = 0; i < FRAME; i++)
	{
		float *echo = &l->echo[(l->echo_at + i) % (ECHO_LAG * FRAME)];
		float said = l->paused ? 0 : agent[i];
		double value = caller[i] + (loss > 0 ? *echo * pow(10, -loss / 20) : 0);

		played += (double) said * said / FRAME;
		*echo = said;
		in[i] = mb_mulaw_decode(mb_mulaw_encode((int16_t) lrint(fmax(-32768, fmin(32767, value)))));
	}
	l->echo_at = (l->echo_at + FRAME) % (ECHO_LAG * FRAME);
	l->now += MB_TURN_FRAME_MS;
	if (!l->paused)
	{
		l->said += MB_TURN_FRAME_MS;
		give(l, (mb_turn_input){ .kind = MB_IN_SENT, .ms = l->said });
	}
	frame = mb_activity_feed(&l->activity, in, played > 0 ? mb_dbfs_from_power(played) : -INFINITY,
							 false);
	give(l, (mb_turn_input){ .kind = MB_IN_FRAME,
							 .media_ms = (uint32_t) l->now,
							 .flags = frame.flags,
							 .level = frame.level });
}

/* Where its speech begins. */
static size_t
onset_of(const signal *speech)
{
	for (size_t f = 0; f < speech->n; f++)
		if (speech->samples[f] > 0)
			return f;
	return 0;
}

static double
at_share(double *values, int n, double share)
{
	if (n == 0)
		return NAN;
	qsort(values, n, sizeof(double), by_value);
	return values[(int) (share * (n - 1) + 0.5)];
}

/* Noise that fades, once or twice. */
static void
cough(float *samples, size_t n)
{
	double loud = sqrt(mb_power_from_dbfs(LEVEL)) * (1 + uniform() * 2);
	double fading = (0.03 + 0.05 * uniform()) * RATE;
	size_t again = uniform() < 0.5 ? (size_t) ((0.2 + 0.15 * uniform()) * RATE) : n;
	double low = 0;

	for (size_t i = 0; i < n; i++)
	{
		double age = (double) (i < again ? i : i - again);

		low += 0.5 * (normal() - low);
		samples[i] = (float) (1.7 * loud * low * fmin(1, age / 80) * exp(-age / fading));
	}
}

/* A recording that a caller says, from its onset. */
typedef struct utterance
{
	signal audio;
	size_t onset; /* frames */
} utterance;

static struct
{
	const char *noise;
	double noise_level;
	double loss;
	double gain; /* of recordings */
	utterance callers[MAX_FILES];
	int n_callers;
	signal all; /* of them, for a babble */
	signal agent;
} on;

typedef struct figures
{
	int interruptions;
	int heard;
	int coughs;
	int coughed;
	int for_nobody;
	double minutes; /* in which nobody spoke */
	double times[MAX_TRIALS];
} figures;

static void
read_recordings(int n, char **paths)
{
	signal labels = { 0 };

	for (int i = 0; i < n && on.n_callers < MAX_FILES; i++)
	{
		utterance *said = &on.callers[on.n_callers];

		labels.n = 0;
		if (i % 2)
			append_recording(&on.agent, &labels, paths[i]);
		else
			append_recording(&said->audio, &labels, paths[i]);
		if (i % 2 || said->audio.n == 0)
			continue;
		said->onset = onset_of(&labels);
		for (size_t k = 0; k < said->audio.n; k++)
			append(&on.all, said->audio.samples[k]);
		on.n_callers++;
	}
	free(labels.samples);
}

/* A frame of the noise, from a place in its signal on. */
static void
noise_frame(float *samples, size_t place)
{
	for (int i = 0; i < FRAME; i++)
		samples[i] = (float) (strcmp(on.noise, "none") == 0
								  ? 2 * normal()
								  : on.noise_level * noise(on.noise, &on.all, place + i));
}

/* One call, up to the pause for who speaks or coughs in the end. */
static void
try_call(bool coughing, figures *f)
{
	line_state line;
	const utterance *said = &on.callers[(int) (uniform() * on.n_callers)];
	size_t place = (size_t) (uniform() * (double) on.agent.n);
	int begins = 200 + (int) (uniform() * 400); /* frames */
	float burst[RATE / 2];
	int at = -1;

	line_begin(&line);
	cough(burst, RATE / 2);
	f->minutes += begins / 3000.0;
	for (int frame = 0; frame < begins + LATEST && at < 0; frame++)
	{
		float in[FRAME];
		float out[FRAME];
		int into = frame - begins;
		int pauses = line.pauses;

		/* interrupted by nobody when somebody begins */
		if (into == 0 && line.paused)
			return;
		noise_frame(in, place + (size_t) frame * FRAME);
		for (int i = 0; i < FRAME; i++)
		{
			size_t sample = (size_t) frame * FRAME + i;
			size_t own = (said->onset + (size_t) into) * FRAME + i;

			out[i] = frame < QUIET
						 ? 0
						 : (float) on.gain * on.agent.samples[(place + sample) % on.agent.n];
			if (into >= 0 && coughing && into * FRAME + i < RATE / 2)
				in[i] += burst[into * FRAME + i];
			else if (into >= 0 && !coughing && own < said->audio.n)
				in[i] += (float) on.gain * said->audio.samples[own];
		}
		line_frame(&line, in, out, on.loss);
		if (line.pauses == pauses)
			continue;
		if (into >= 0)
			at = into + 1;
		else
			f->for_nobody++;
	}
	f->coughs += coughing;
	f->coughed += coughing && at >= 0;
	f->interruptions += !coughing;
	if (!coughing && at >= 0)
		f->times[f->heard++] = at * MB_TURN_FRAME_MS;
}

/* NAME=NUMBER; false for another argument. */
static bool
set_number(const char *argument)
{
	size_t n = strcspn(argument, "=");

	if (argument[n] == '\0')
		return false;
	for (int i = 0; i < MB_TURN_NUMBERS; i++)
	{
		const char *name = mb_turn_number_kind_at(i)->name;

		if (strncmp(name, argument, n) == 0 && name[n] == '\0')
			settings.number[i] = atoi(argument + n + 1);
	}
	return true;
}

int
main(int argc, char **argv)
{
	static figures f;
	int first = 6;
	int trials;

	if (argc < 8)
		return 2;
	on.noise = argv[1];
	on.noise_level = sqrt(mb_power_from_dbfs(LEVEL - atof(argv[2])));
	on.loss = atof(argv[3]);
	on.gain = sqrt(mb_power_from_dbfs(LEVEL) / mb_power_from_dbfs(-26));
	trials = atoi(argv[4]) < MAX_TRIALS ? atoi(argv[4]) : MAX_TRIALS;
	random_state ^= (uint64_t) atoll(argv[5]) * 0x9E3779B97F4A7C15u;
	mb_turn_settings_init(&settings);
	settings.number[MB_TURN_SILENCE_PROMPT] = 0;
	while (first < argc && set_number(argv[first]))
		first++;
	read_recordings(argc - first, argv + first);
	if (on.n_callers == 0 || on.agent.n == 0)
		return 1;
	for (int trial = 0; trial < trials; trial++)
		try_call(trial % 4 == 3, &f);
	printf("%4d %5.1f %%  %4.0f %4.0f ms   %5.2f/min   coughs %5.1f %%\n", f.interruptions,
		   100.0 * (f.interruptions - f.heard) / f.interruptions, at_share(f.times, f.heard, 0.5),
		   at_share(f.times, f.heard, 0.95), f.for_nobody / f.minutes,
		   100.0 * f.coughed / f.coughs);
	return 0;
}
