/*
 * dtmf_track.c
 *	  Follows the bursts of the DTMF receiver: sees where a window looks like a
 *	  digit, collects what is measured on it, and says when the burst is over.
 *
 * It is generous on purpose: whether a burst was a digit is judged as a whole, by
 * dtmf_judge.c.
 */
#include "core/audio/dtmf_internal.h"

/* Twist of a window that looks like a digit, as ratios of power: low over high and the reverse. */
#define VALID_TWIST 20.0f
#define VALID_REVERSE_TWIST 10.0f
/* Power against the burst's peak below which it is interrupted. */
#define ON_SHARE 0.2f
/* Rise of its power over the peak so far with which a burst begins anew: noise led to it. */
#define RESTART_SHARE 4.0f
/* Hops in which every onset rises, so that those begin nothing anew. */
#define ONSET_HOPS 4
/* Hops without a window that looks like the digit after which it is none, loud or not. */
#define MAX_INVALID_HOPS 16
/* Hops after which another digit is believed to have taken over. */
#define OTHER_HOPS 3
/* Its tone's power over that of the tone it replaces. */
#define OTHER_POWER 1.1f
/* An echo comes within that many samples of the digit's onset (600 ms), at least that many dB weaker ... */
#define ECHO_DELAY 4800
#define ECHO_LOSS 7.5f
/* ... and of the same length within that many samples (10 ms) and an eighth. */
#define ECHO_LENGTH 80
/* Hops that looked like two tones fade as exp(-t / 4.3 s), in hops: half are left after 3 s. */
#define COMPANY_FADES 1082.0f

/*
 * The digit that the window ending at hop i looks like, -1 for none.
 */
static inline int
looks_like(const mb_dtmf *dtmf, int i)
{
	const dtmf_block *b = &dtmf->block;
	const float *now = b->power[DTMF_BIN_HISTORY + i];
	const float *then = b->power[DTMF_BIN_HISTORY + i - DTMF_DISTANCE];
	int symbol = b->best[i];
	float low, high;

	if (symbol < 0)
		return -1;
	low = now[dtmf_row(symbol)] + then[dtmf_row(symbol)];
	high = now[dtmf_column(symbol)] + then[dtmf_column(symbol)];
	if (low + high < dtmf->power_floor / 2 || low > VALID_TWIST * high ||
		high > VALID_REVERSE_TWIST * low)
		return -1;
	return symbol;
}

/* Power of both tones in the half window that ends at hop i. */
static inline float
power_at(const mb_dtmf *dtmf, int i, int symbol)
{
	const float *power = dtmf->block.power[DTMF_BIN_HISTORY + i];

	return power[dtmf_row(symbol)] + power[dtmf_column(symbol)];
}

/* Keeps what is measured on hop i, which may be negative, to -DTMF_BIN_HISTORY. */
static inline void
keep_hop(mb_dtmf *dtmf, int i, bool valid)
{
	dtmf_track *track = &dtmf->track;
	const dtmf_block *b = &dtmf->block;
	int row = dtmf_row(track->symbol);
	int column = dtmf_column(track->symbol);
	const float *powers = b->power[DTMF_BIN_HISTORY + i];
	const int32_t *bins = b->bin[DTMF_BIN_HISTORY + i];
	int n = track->n++;
	dtmf_track_hop *hop = &track->hop[n];

	hop->re[0] = bins[row];
	hop->re[1] = bins[column];
	hop->im[0] = bins[row + 8];
	hop->im[1] = bins[column + 8];
	hop->power[0] = powers[row];
	hop->power[1] = powers[column];
	hop->window = b->window[DTMF_BIN_HISTORY + i];
	track->energy_before[n + 1] = track->energy_before[n] + b->energy[DTMF_BIN_HISTORY + i];
	track->total_before[n + 1] = track->total_before[n] + b->total[DTMF_BIN_HISTORY + i];
	track->power[n] = powers[row] + powers[column];
	track->valid[n] = valid;
}

/* Adds hop i to the track. */
static inline void
add_hop(mb_dtmf *dtmf, int i, bool valid)
{
	dtmf_track *track = &dtmf->track;
	float power = power_at(dtmf, i, track->symbol);

	if (valid)
	{
		track->last_valid = track->length;
		track->peak = power > track->peak ? power : track->peak;
	}
	if (power >= ON_SHARE * track->peak && track->peak > 0)
		track->last_on = track->length;
	if (track->n < DTMF_TRACK_HOPS)
	{
		keep_hop(dtmf, i, valid);
		track->n_valid += valid;
		track->valid_power += valid ? power : 0;
	}
	else
		track->tail[track->length % DTMF_TAIL_HOPS] = power;
	track->length++;
}

/* Begins a track at hop i, which looks like symbol. */
static void
begin(mb_dtmf *dtmf, int i, int symbol)
{
	dtmf_track *track = &dtmf->track;

	track->symbol = symbol;
	track->n = track->n_valid = 0;
	track->last_on = 0;
	track->peak = track->valid_power = 0;
	track->n_other = 0;
	track->energy_before[0] = track->total_before[0] = 0;
	track->first_hop = dtmf->hop + i - DTMF_BIN_HISTORY;
	for (int k = i - DTMF_BIN_HISTORY; k < i; k++)
		keep_hop(dtmf, k, false);
	track->length = track->n;
	add_hop(dtmf, i, true);
}

static inline uint64_t
larger_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Whether the digit told last comes back as an echo: soon, much weaker and as long.  Who presses a key twice
 * presses it alike.
 */
static bool
is_echo(const mb_dtmf *dtmf, const mb_dtmf_event *event)
{
	uint64_t longer = larger_of(event->duration, dtmf->last_duration);
	uint64_t shorter = event->duration + dtmf->last_duration - longer;

	return event->digit == dtmf->last_digit && event->onset < dtmf->last_onset + ECHO_DELAY &&
		   event->level_dbm0 < dtmf->last_level - ECHO_LOSS &&
		   longer - shorter <= ECHO_LENGTH + longer / 8;
}

/*
 * Whether a digit goes on that has been told already: a codec can distort a tone so much that
 * another digit seems to take over for a while.  Remembers the event in any case.
 *
 * Of two digits that share a tone and have no pause between them each is measured into the other;
 * the second begins where the first has ended.
 */
static bool
continues(mb_dtmf *dtmf, mb_dtmf_event *event)
{
	uint64_t end = event->onset + event->duration;
	bool same =
		event->digit == dtmf->last_digit && event->onset < dtmf->last_end + DTMF_BRIDGE * DTMF_HOP;

	if (!same && event->onset < dtmf->last_end)
	{
		if (end <= dtmf->last_end)
			return true;
		event->onset = dtmf->last_end;
		event->duration = end - event->onset;
	}
	if (!same)
	{
		if (is_echo(dtmf, event))
			return true;
		dtmf->last_onset = event->onset;
		dtmf->last_duration = event->duration;
		dtmf->last_level = event->level_dbm0;
	}
	dtmf->last_digit = event->digit;
	dtmf->last_end = same && dtmf->last_end > end ? dtmf->last_end : end;
	return same;
}

/* The exponential as (1 + x / 4) to the power of -4: it is good for short times, which most are. */
float
mb_dtmf_company(const mb_dtmf *dtmf, int64_t hop)
{
	float share = 4 * COMPANY_FADES / (4 * COMPANY_FADES + (float) (hop - dtmf->company_since));

	share *= share;
	return dtmf->company * share * share;
}

static inline void
add_company(mb_dtmf *dtmf, int64_t hop, float hops)
{
	dtmf->company = mb_dtmf_company(dtmf, hop) + hops;
	dtmf->company_since = hop;
}

void
mb_dtmf_track_end(mb_dtmf *dtmf)
{
	const dtmf_track *track = &dtmf->track;
	dtmf_measures measures;
	mb_dtmf_event event;
	bool digit = false;

	if (track->symbol >= 0)
	{
		if (mb_dtmf_measure(dtmf, &measures))
			digit = mb_dtmf_judge(dtmf, &measures, &event);
		else
			add_company(dtmf, track->first_hop + track->length, (float) track->n_valid);
	}
	/* first the state, as the callback may not come back */
	dtmf->track.symbol = -1;
	if (!digit || continues(dtmf, &event))
		return;
	if (dtmf->sample_rate != 8000)
	{
		event.onset = event.onset * (uint64_t) dtmf->sample_rate / 8000;
		event.duration = event.duration * (uint64_t) dtmf->sample_rate / 8000;
	}
	dtmf->on_digit(dtmf->arg, &event);
}

/*
 * Counts how long another digit than the track's has been seen, and clearly so: in a window with
 * an edge in it neighbouring tones are alike.  True when it takes over.
 */
static bool
other_takes_over(mb_dtmf *dtmf, int i, int symbol)
{
	dtmf_track *track = &dtmf->track;
	const float *now = dtmf->block.power[DTMF_BIN_HISTORY + i];
	const float *then = dtmf->block.power[DTMF_BIN_HISTORY + i - DTMF_DISTANCE];
	int mine[2] = { dtmf_row(track->symbol), dtmf_column(track->symbol) };
	int others[2] = { dtmf_row(symbol), dtmf_column(symbol) };

	for (int k = 0; k < 2; k++)
		if (mine[k] != others[k] &&
			now[others[k]] + then[others[k]] < OTHER_POWER * (now[mine[k]] + then[mine[k]]))
			return false;
	if (track->n_other > 0 && track->other == symbol)
		track->n_other++;
	else
		track->n_other = 1;
	track->other = symbol;
	return track->n_other >= OTHER_HOPS;
}

void
mb_dtmf_track(mb_dtmf *dtmf, int first, int n, uint32_t tonal)
{
	dtmf_track *track = &dtmf->track;

	for (int i = first; i < first + n; i++)
	{
		int symbol;

		if (track->symbol < 0)
		{
			uint32_t left = tonal >> (i - first);

			/* most hops of speech and noise end here */
			if (left == 0)
				break;
			i += __builtin_ctz(left);
			if ((symbol = looks_like(dtmf, i)) >= 0)
				begin(dtmf, i, symbol);
			else
				add_company(dtmf, dtmf->hop + i, 1);
			continue;
		}
		symbol = looks_like(dtmf, i);
		if (symbol == track->symbol && track->length > DTMF_BIN_HISTORY + ONSET_HOPS &&
			power_at(dtmf, i, symbol) > RESTART_SHARE * track->peak)
		{
			begin(dtmf, i, symbol);
			continue;
		}
		add_hop(dtmf, i, symbol == track->symbol);
		if (symbol < 0 || symbol == track->symbol)
			track->n_other = 0;
		else if (other_takes_over(dtmf, i, symbol))
		{
			mb_dtmf_track_end(dtmf);
			begin(dtmf, i, symbol);
			continue;
		}
		if (track->length - 1 - track->last_on > DTMF_BRIDGE ||
			track->length - 1 - track->last_valid > MAX_INVALID_HOPS)
			mb_dtmf_track_end(dtmf);
	}
}
