/*
 * activity.c
 *	  What a frame of a live call holds; see activity.h.
 *
 * Envelopes are amplitudes of frames of 20 ms.  That of our own voice is regressed against the inbound one
 * at each delay; where they go together best is the path, and the slope is its gain.
 * A caller who speaks at the same time makes that take longer, and does not bend it.
 */
#include "core/conversation/activity.h"

#include "core/audio/level.h"

#include <math.h>
#include <string.h>

/* What is no lower than this is played. */
#define PLAYED_DBFS (-60.0)

/* Frames in which the bar stands after we have played: 300 ms, behind the longest 400 ms that count. */
#define BAR_FRAMES 35

/* Memory of the correlation: four seconds. */
#define FORGET 0.995f

/* Frames that are heard before anything is believed of a path. */
#define FRAMES_TO_KNOW 50

/* Frames of a voice that are as loud as each other, about. */
#define SYLLABLE_FRAMES 6

/* A floor that was never learnt is not held: the first frame may be anything. */
#define FLOOR_FRAMES ((MB_VAD_FLOOR_BUCKETS + 1) * MB_VAD_BUCKET_FRAMES)

/* Of a slope's expected error, by which the highest of all delays may be off; where one delay is believed, once. */
#define ERRORS 2

/* What an echo has at most rises by no more than this (0.25 dB) with each look, ten frames: who speaks over us is unexplained, too. */
#define RISE 1.03f

/* Correlation of a path that is believed. */
#define CORRELATED 0.6f

/* Frames around the delay that are echo, too: half a frame more or less, and what lingers. */
#define SMEAR 2

/* Voicing from which a frame has a pitch. */
#define VOICED 0.5

/* Voices raise the receiver's hopes for a frame or two; what lasts is a tone, and all before it too short for speech. */
#define TONE_FRAMES 3

/* The receiver's doubt at the end of a tone. */
#define TONE_TAIL_FRAMES 3

const mb_activity_options mb_activity_default_options = {
	.vad = { .on_db = 9,
			 .off_db = 6,
			 .min_dbfs = -50,
			 .start_ms = 100,
			 .hangover_ms = 250,
			 .voicing = true },
	.margin_db = 6,
	.start_loss_db = 12,
	.noisy_dbfs = -38,
};

static double
amplitude(double dbfs)
{
	return isinf(dbfs) ? 0 : sqrt(mb_power_from_dbfs(dbfs));
}

static float
factor(double db)
{
	return (float) pow(10, db / 20);
}

static void
note_frame(void *arg, const mb_vad_frame *frame)
{
	mb_activity *activity = arg;

	activity->frame = *frame;
}

mb_status
mb_activity_init(mb_activity *activity, const mb_activity_options *options)
{
	mb_vad_options vad = options->vad;

	if (!(options->margin_db >= 0 && options->margin_db <= 30 && options->start_loss_db >= 0 &&
		  options->start_loss_db <= 60 && options->noisy_dbfs >= -90 && options->noisy_dbfs <= 0))
		return MB_ERR_RANGE;
	memset(activity, 0, sizeof(*activity));
	activity->options = *options;
	activity->echo.lag = -1;
	activity->echo.most = 1;
	activity->echo.since_played = BAR_FRAMES;
	vad.voicing = true;
	vad.on_event = NULL;
	vad.on_frame = note_frame;
	vad.arg = activity;
	return mb_vad_init(&activity->vad, 8000, &vad);
}

/* What was played so many frames ago. */
static float
played(const mb_echo *echo, int ago)
{
	return echo->played[(echo->now + MB_ECHO_HISTORY - ago) % MB_ECHO_HISTORY];
}

static float
loudest(const mb_echo *echo, int from, int to)
{
	float most = 0;

	for (int ago = from < 0 ? 0 : from; ago <= to && ago < MB_ECHO_HISTORY; ago++)
		most = fmaxf(most, played(echo, ago));
	return most;
}

/*
 * The delay at which in and out go together best; and what the echo's gain does not exceed, at that delay or, where
 * none can be believed, at any.
 */
static void
look_for_path(mb_echo *echo)
{
	float best = 0;
	float gain = 0;
	float most_at_best = 0;
	float most = 0;
	int lag = -1;
	float in = echo->in / echo->weight;
	float in_variance = fmaxf(echo->in_squares / echo->weight - in * in, 0);

	for (int i = 0; i < MB_ECHO_LAGS; i++)
	{
		float out = echo->out[i] / echo->weight;
		float out_variance = echo->out_squares[i] / echo->weight - out * out;
		float covariance = fmaxf(echo->products[i] / echo->weight - in * out, 0);
		float unexplained;
		float slope;
		float error;

		if (out_variance <= 0)
			continue;
		unexplained = fmaxf(in_variance - covariance * covariance / out_variance, 0);
		slope = covariance / out_variance;
		error = sqrtf(unexplained / out_variance * SYLLABLE_FRAMES / echo->weight);
		most = fmaxf(most, slope + ERRORS * error);
		if (in_variance > 0 && covariance / sqrtf(in_variance * out_variance) > best)
		{
			best = covariance / sqrtf(in_variance * out_variance);
			gain = slope;
			most_at_best = slope + error;
			lag = i;
		}
	}
	if (echo->heard < FRAMES_TO_KNOW)
		return;
	if (best >= CORRELATED)
	{
		echo->lag = lag;
		echo->gain = gain;
		echo->most = most_at_best;
	}
	else if (echo->lag < 0)
		echo->most = fminf(most, echo->most * RISE);
}

static void
learn(mb_echo *echo, float in)
{
	echo->heard++;
	echo->weight = echo->weight * FORGET + 1;
	echo->in = echo->in * FORGET + in;
	echo->in_squares = echo->in_squares * FORGET + in * in;
	for (int i = 0; i < MB_ECHO_LAGS; i++)
	{
		float out = played(echo, i);

		echo->out[i] = echo->out[i] * FORGET + out;
		echo->out_squares[i] = echo->out_squares[i] * FORGET + out * out;
		echo->products[i] = echo->products[i] * FORGET + in * out;
	}
	if (echo->heard % 10 == 0)
		look_for_path(echo);
}

/* Amplitude of what sounds on the line when nobody speaks. */
static float
noise(const mb_activity *activity)
{
	return (float) amplitude(mb_vad_floor_dbfs(&activity->vad));
}

/* Amplitude of what comes beside the noise of the line, whose power is added to it. */
static float
beside_noise(const mb_activity *activity, float in)
{
	float floor = noise(activity);

	return in > floor ? sqrtf(in * in - floor * floor) : 0;
}

/* Amplitude of our own voice, as it may come back now; 0 when we are silent. */
static float
own_voice(const mb_echo *echo)
{
	if (echo->since_played >= BAR_FRAMES)
		return 0;
	if (echo->lag >= 0)
		return loudest(echo, echo->lag - SMEAR, echo->lag + SMEAR) * echo->most;
	return loudest(echo, 0, BAR_FRAMES) * echo->most;
}

/* Below this a frame is our own voice. */
static float
bar(const mb_activity *activity, float own)
{
	const mb_echo *echo = &activity->echo;
	float margin = factor(activity->options.margin_db);
	float above = own * margin;

	if (echo->since_played >= BAR_FRAMES)
		return 0;
	if (echo->lag < 0)
		above =
			fminf(above, loudest(echo, 0, BAR_FRAMES) * factor(-activity->options.start_loss_db));
	return hypotf(above, noise(activity) * margin);
}

mb_activity_frame
mb_activity_feed(mb_activity *activity, const int16_t *samples, double played_dbfs, bool tone)
{
	mb_echo *echo = &activity->echo;
	mb_activity_frame frame = { 0, -100 };
	float own;
	float below;
	float in;

	echo->now = (echo->now + 1) % MB_ECHO_HISTORY;
	echo->played[echo->now] = played_dbfs >= PLAYED_DBFS ? (float) amplitude(played_dbfs) : 0;
	if (echo->played[echo->now] > 0)
		echo->since_played = 0;
	else if (echo->since_played < BAR_FRAMES)
		echo->since_played++;
	own = own_voice(echo);
	below = bar(activity, own);
	/* what is well under the floor does not raise it */
	mb_vad_hold_floor(&activity->vad,
					  own > noise(activity) * 0.5f && activity->floor_frames >= FLOOR_FRAMES);
	if (activity->floor_frames < FLOOR_FRAMES)
		activity->floor_frames++;
	mb_vad_feed(&activity->vad, samples, 160);
	in = (float) amplitude(activity->frame.level_dbfs);
	/* as long as something of ours may come back */
	if (loudest(echo, 0, MB_ECHO_LAGS - 1) > 0)
		learn(echo, beside_noise(activity, in));
	if (activity->frame.reason != MB_VAD_QUIET)
	{
		frame.flags |= MB_FRAME_ACTIVE;
		if (activity->frame.voicing >= VOICED)
			frame.flags |= MB_FRAME_VOICED;
		if (in <= below)
			frame.flags |= MB_FRAME_ECHO;
	}
	activity->tone_run = tone ? activity->tone_run + 1 : 0;
	if (activity->tone_run >= TONE_FRAMES)
		activity->tone_frames = TONE_TAIL_FRAMES;
	else if (activity->tone_frames > 0)
		activity->tone_frames--;
	if (activity->tone_frames > 0)
		frame.flags |= MB_FRAME_TONE;
	if (mb_vad_floor_dbfs(&activity->vad) > activity->options.noisy_dbfs)
		frame.flags |= MB_FRAME_NOISY;
	if (mb_vad_level_dbfs(&activity->vad) > -100)
		frame.level = (int8_t) lrint(fmin(mb_vad_level_dbfs(&activity->vad), 0));
	return frame;
}

bool
mb_activity_echo(const mb_activity *activity, int *delay_ms, double *loss_db)
{
	if (activity->echo.lag < 0)
		return false;
	*delay_ms = activity->echo.lag * MB_TURN_FRAME_MS;
	*loss_db = -20 * log10(activity->echo.gain);
	return true;
}
