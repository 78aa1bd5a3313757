/*
 * vad.c
 *	  Voice activity: see vad.h for what is active and what is speech.
 *
 * What a turn of a conversation is, and what counts as an interruption, is decided elsewhere.
 */
#include "core/audio/vad.h"

#include "core/audio/vad_measures.h"

#include "core/audio/level.h"

#include <math.h>

/* A pause that does not end the suspicion of speech, in frames. */
#define START_PAUSE_FRAMES 2

/* Floor of a call of which nothing is known, and the highest that its first frame can set. */
#define FIRST_FLOOR_DBFS (-45.0)

/* A narrower band's lowest power lies further below its mean. */
#define BAND_FACTOR 2.0

/*
 * Voicing that starts speech and that goes on with it, and how far the band must stand above its
 * floor then.  Noise in a band of 1150 Hz over 40 ms repeats itself to 0.45 once in a thousand frames.
 */
#define VOICED_START 0.5
#define VOICED_ON 0.42
#define VOICED_FACTOR 1.8

/*
 * A frame is an impulse when the power of its quietest parts is so much below what would make it active, or below its own.  In noise it
 * is about half of that, in a voice at 80 Hz a quarter now and then, and voices have a pitch.
 */
#define LASTING_FACTOR 0.5
#define LASTING_SHARE 0.28

/* Impulses that make further ones of no account, and what is left of one after each frame: a third in two seconds. */
#define MANY_IMPULSES 4
#define IMPULSE_FADING 0.99

/* How far below what could matter for the floor a frame is digital silence. */
#define SILENCE_MARGIN_DB 6.0

const mb_vad_options mb_vad_default_options = {
	.on_db = 9,
	.off_db = 6,
	.min_dbfs = -50,
	.start_ms = 100,
	.hangover_ms = 250,
};

static double
factor_from_db(double db)
{
	return pow(10, db / 10);
}

static int
frames_from_ms(int ms)
{
	return (ms + MB_VAD_FRAME_MS - 1) / MB_VAD_FRAME_MS;
}

/* Written so that NaN is out of range. */
static bool
in_range(double value, double low, double high)
{
	return value >= low && value <= high;
}

static void
reset_floor(mb_vad_floor *floor)
{
	*floor = (mb_vad_floor){ .pending = -1, .power = mb_power_from_dbfs(FIRST_FLOOR_DBFS) };
	for (int i = 0; i < MB_VAD_FLOOR_BUCKETS; i++)
		floor->buckets[i] = INFINITY;
}

/* Forgets the signal. */
static void
reset(mb_vad *vad)
{
	mb_vad_forget_measures(vad);
	vad->impulses = 0;
	vad->in_a_row = 0;
	vad->left_out = false;
	vad->silent_frames = 0;
	reset_floor(&vad->floor);
	reset_floor(&vad->band_floor);
	vad->suspected = false;
	vad->speaking = false;
	vad->position = 0;
	vad->onset = 0;
	vad->end = 0;
	vad->active_frames = 0;
	vad->quiet_frames = 0;
	vad->active_power = 0;
	vad->last_power = 0;
}

mb_status
mb_vad_init(mb_vad *vad, int sample_rate, const mb_vad_options *options)
{
	if (!mb_rate_supported(sample_rate))
		return MB_ERR_RATE;
	if (!in_range(options->on_db, 3, 40) || !in_range(options->off_db, 1, options->on_db) ||
		!in_range(options->min_dbfs, -90, 0) || !in_range(options->start_ms, 20, 1000) ||
		!in_range(options->hangover_ms, 20, 10000))
		return MB_ERR_RANGE;
	*vad = (mb_vad){ .options = *options, .sample_rate = sample_rate };
	vad->frame_samples = sample_rate * MB_VAD_FRAME_MS / 1000;
	vad->start_frames = frames_from_ms(options->start_ms);
	vad->hangover_frames = frames_from_ms(options->hangover_ms);
	vad->on_factor = factor_from_db(options->on_db);
	vad->off_factor = factor_from_db(options->off_db);
	vad->min_power = mb_power_from_dbfs(options->min_dbfs);
	mb_vad_design_filters(vad);
	vad->silence_power = mb_power_from_dbfs(options->min_dbfs - options->on_db - SILENCE_MARGIN_DB);
	reset(vad);
	return MB_OK;
}

/*
 * Enters a frame into a floor.  The window is a ring of buckets, each with the
 * lowest power of its frames; it slides by whole buckets.
 */
static void
enter_floor(mb_vad_floor *floor, double power)
{
	double lowest = INFINITY;

	if (!floor->heard)
	{
		floor->heard = true;
		power = fmin(power, mb_power_from_dbfs(FIRST_FLOOR_DBFS));
	}
	floor->buckets[floor->bucket] = fmin(floor->buckets[floor->bucket], power);
	if (++floor->bucket_frames >= MB_VAD_BUCKET_FRAMES)
	{
		floor->bucket = (floor->bucket + 1) % MB_VAD_FLOOR_BUCKETS;
		floor->buckets[floor->bucket] = INFINITY;
		floor->bucket_frames = 0;
	}
	for (int i = 0; i < MB_VAD_FLOOR_BUCKETS; i++)
		lowest = fmin(lowest, floor->buckets[i]);
	floor->power = lowest;
}

/*
 * Moves a floor by a frame.  A frame counts when the next one is known: beside
 * digital silence it may be partly silent itself and would look like a low floor.
 */
static void
track_floor(const mb_vad *vad, mb_vad_floor *floor, double power, bool silent)
{
	if (silent)
	{
		floor->pending = -1;
		if (vad->silent_frames >= MB_VAD_SILENCE_FRAMES)
			enter_floor(floor, power);
	}
	else if (vad->silent_frames == 0)
	{
		if (floor->pending >= 0)
			enter_floor(floor, floor->pending);
		floor->pending = power;
	}
}

static void
track_floors(mb_vad *vad, double power, double band)
{
	bool silent = power < vad->silence_power;

	if (vad->floor_held)
		return;
	track_floor(vad, &vad->floor, power, silent);
	track_floor(vad, &vad->band_floor, band, silent);
	if (!silent)
		vad->silent_frames = 0;
	else if (vad->silent_frames < MB_VAD_SILENCE_FRAMES)
		vad->silent_frames++;
}

static void
report(mb_vad *vad, mb_vad_event_kind kind)
{
	mb_vad_event event = {
		.kind = kind,
		.onset = vad->onset,
		.end = vad->end,
		.detected = vad->position,
		.level_dbfs = mb_dbfs_from_power(vad->active_power / (double) vad->active_frames),
	};

	if (vad->options.on_event != NULL)
		vad->options.on_event(vad->options.arg, &event);
}

/* Whether a frame is loud for a part of its time alone; the last one of a signal may be none. */
static bool
is_short(const mb_vad *vad, double power, double factor)
{
	double lasting = mb_vad_lasting_power(vad);

	return vad->n == vad->frame_samples && (lasting < vad->floor.power * factor * LASTING_FACTOR ||
											lasting < power * LASTING_SHARE);
}

/*
 * Why a frame of these powers is active, and whether it may be an impulse.  Pitch is looked for only where energy does not decide, or
 * somebody wants to know.
 */
static mb_vad_reason
judge(const mb_vad *vad, double power, double band, double *voicing, bool *impulse)
{
	double factor = vad->suspected ? vad->off_factor : vad->on_factor;
	mb_vad_reason loud = MB_VAD_QUIET;

	*voicing = -1;
	*impulse = false;
	if (power < vad->min_power)
		return MB_VAD_QUIET;
	if (power >= vad->floor.power * factor)
		loud = MB_VAD_ENERGY;
	else if (band >= vad->band_floor.power * factor * BAND_FACTOR)
		loud = MB_VAD_BAND;
	*impulse = loud == MB_VAD_ENERGY && is_short(vad, power, factor);
	if (vad->options.voicing || loud == MB_VAD_QUIET || *impulse)
		*voicing = mb_vad_voicing(vad);
	if (loud != MB_VAD_QUIET && !*impulse)
		return loud;
	if (*voicing < (vad->suspected ? VOICED_ON : VOICED_START) ||
		band < vad->band_floor.power * VOICED_FACTOR)
		return loud;
	*impulse = false;
	return loud != MB_VAD_QUIET ? loud : MB_VAD_VOICED;
}

/* Whether a frame is left out, as one of many impulses that is not the first one behind an active frame. */
static bool
leave_out(mb_vad *vad, bool impulse)
{
	vad->impulses = vad->impulses * IMPULSE_FADING + impulse;
	vad->in_a_row = impulse ? vad->in_a_row + 1 : 0;
	return impulse && vad->impulses >= MANY_IMPULSES &&
		   (!vad->suspected || vad->in_a_row > 1 || vad->quiet_frames > 0);
}

/* Judges the frame whose sums are complete; its last sample is the one before position. */
static void
judge_frame(mb_vad *vad)
{
	double n = vad->n;
	double mean = vad->sum / n;
	double full = fmax(vad->full_power / n - mean * mean, 0);
	/* the filters ring on when a loud signal has ended */
	double power = fmin(vad->power / n, full);
	double band = fmin(vad->band_new > 0 ? vad->band_power / vad->band_new : 0, full);
	double voicing;
	bool impulse;
	bool was_left_out = vad->left_out;
	double last_power = vad->last_power;
	mb_vad_reason reason;
	uint64_t frame_onset = vad->position - (uint64_t) vad->n;

	vad->last_power = full;
	track_floors(vad, power, band);
	reason = judge(vad, power, band, &voicing, &impulse);
	vad->left_out = leave_out(vad, impulse);
	if (vad->left_out)
		reason = MB_VAD_QUIET;
	mb_vad_begin_frame(vad);
	if (vad->options.on_frame != NULL)
	{
		mb_vad_frame frame = {
			.position = vad->position,
			.reason = reason,
			.level_dbfs = mb_dbfs_from_power(power),
			.floor_dbfs = mb_dbfs_from_power(vad->floor.power),
			.band_dbfs = mb_dbfs_from_power(band),
			.band_floor_dbfs = mb_dbfs_from_power(vad->band_floor.power),
			.voicing = voicing,
		};

		vad->options.on_frame(vad->options.arg, &frame);
	}
	if (reason != MB_VAD_QUIET)
	{
		if (!vad->suspected)
		{
			vad->suspected = true;
			vad->onset = frame_onset - (was_left_out ? (uint64_t) vad->frame_samples : 0);
			vad->active_frames = was_left_out;
			vad->active_power = was_left_out ? last_power : 0;
		}
		vad->end = vad->position;
		vad->active_frames++;
		vad->active_power += full;
		vad->quiet_frames = 0;
		if (!vad->speaking && vad->active_frames >= (uint64_t) vad->start_frames)
		{
			vad->speaking = true;
			report(vad, MB_VAD_SPEECH_STARTED);
		}
	}
	else if (vad->suspected)
	{
		vad->quiet_frames++;
		if (vad->speaking && vad->quiet_frames >= vad->hangover_frames)
		{
			vad->speaking = false;
			vad->suspected = false;
			report(vad, MB_VAD_SPEECH_ENDED);
		}
		else if (!vad->speaking && vad->quiet_frames > START_PAUSE_FRAMES)
			vad->suspected = false;
	}
}

void
mb_vad_feed(mb_vad *vad, const int16_t *samples, size_t n)
{
	while (n > 0)
	{
		size_t part = (size_t) (vad->frame_samples - vad->n);

		if (part > n)
			part = n;
		mb_vad_measure(vad, samples, (int) part);
		vad->position += part;
		samples += part;
		n -= part;
		if (vad->n == vad->frame_samples)
			judge_frame(vad);
	}
}

void
mb_vad_flush(mb_vad *vad)
{
	if (vad->n * 2 >= vad->frame_samples)
		judge_frame(vad);
	if (vad->speaking)
		report(vad, MB_VAD_SPEECH_ENDED);
	reset(vad);
}

void
mb_vad_hold_floor(mb_vad *vad, bool hold)
{
	/* a frame that waited for the next one to be counted has none */
	if (hold && !vad->floor_held)
		vad->floor.pending = vad->band_floor.pending = -1;
	vad->floor_held = hold;
}

bool
mb_vad_speaking(const mb_vad *vad)
{
	return vad->speaking;
}

int
mb_vad_speech_ms(const mb_vad *vad)
{
	uint64_t ms;

	if (!vad->suspected)
		return 0;
	ms = (vad->end - vad->onset) * 1000 / (uint64_t) vad->sample_rate;
	return ms > INT32_MAX ? INT32_MAX : (int) ms;
}

int
mb_vad_quiet_ms(const mb_vad *vad)
{
	return vad->suspected ? vad->quiet_frames * MB_VAD_FRAME_MS : 0;
}

double
mb_vad_floor_dbfs(const mb_vad *vad)
{
	return mb_dbfs_from_power(vad->floor.power);
}

double
mb_vad_level_dbfs(const mb_vad *vad)
{
	return mb_dbfs_from_power(vad->last_power);
}
