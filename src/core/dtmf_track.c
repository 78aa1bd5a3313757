/*
 * dtmf_track.c
 *	  Follows the bursts of the DTMF receiver: sees where a window looks like a
 *	  digit, collects what is measured on it, and says when the burst is over.
 *
 * It is generous on purpose: whether a burst was a digit is judged as a whole, by
 * dtmf_judge.c.
 */
#include "dtmf_internal.h"

/* Share of the band's power in both tones for a window that looks like a digit. */
#define VALID_PURITY 0.55f
/* Its twist, as ratios of power: low over high group and the reverse. */
#define VALID_TWIST 16.0f
#define VALID_REVERSE_TWIST 10.0f
/* Power against the burst's peak below which it is interrupted. */
#define ON_SHARE 0.2f
/* Hops after which another digit is believed to have taken over. */
#define OTHER_HOPS 3

/*
 * Whether the phase of a bin advances from one half of the window to the other about as that
 * of the nominal tone: within a quarter of a turn.
 */
static inline bool
advances(const dtmf_block *b, int i, int bin)
{
	float a = (float) b->bin[i][bin];
	float c = (float) b->bin[i][bin + 8];
	float d = (float) b->bin[i - DTMF_DISTANCE][bin];
	float e = (float) b->bin[i - DTMF_DISTANCE][bin + 8];

	return (a * d + c * e) * mb_dtmf_turn_re[bin] - (c * d - a * e) * mb_dtmf_turn_im[bin] > 0;
}

/* The digit that the window ending at hop i looks like, -1 for none. */
static int
looks_like(const mb_dtmf *dtmf, int i)
{
	const dtmf_block *b = &dtmf->block;
	float power[8];
	int row = 0;
	int column = 4;
	float sum;

	for (int k = 0; k < 8; k++)
		power[k] = b->power[i][k] + b->power[i - DTMF_DISTANCE][k];
	for (int k = 1; k < 4; k++)
	{
		row = power[k] > power[row] ? k : row;
		column = power[4 + k] > power[column] ? 4 + k : column;
	}
	sum = power[row] + power[column];
	if (sum < VALID_PURITY * DTMF_POWER_OVER_ENERGY * (float) b->window[i - DTMF_BIN_HISTORY] ||
		sum < dtmf->power_floor / 2 || power[row] > VALID_TWIST * power[column] ||
		power[column] > VALID_REVERSE_TWIST * power[row])
		return -1;
	if (!advances(b, i, row) || !advances(b, i, column))
		return -1;
	return 4 * row + column - 4;
}

/* Adds hop i to the track. */
static inline void
add_hop(mb_dtmf *dtmf, int i, bool valid)
{
	dtmf_track *track = &dtmf->track;
	const dtmf_block *b = &dtmf->block;
	int row = track->symbol / 4;
	int column = 4 + track->symbol % 4;
	float power = b->power[i][row] + b->power[i][column];

	if (valid && power > track->peak)
		track->peak = power;
	if (power >= ON_SHARE * track->peak && track->peak > 0)
		track->last_on = track->length;
	if (track->n < DTMF_TRACK_HOPS)
	{
		dtmf_track_hop *hop = &track->hop[track->n];

		hop->re[0] = (float) b->bin[i][row];
		hop->re[1] = (float) b->bin[i][column];
		hop->im[0] = (float) b->bin[i][row + 8];
		hop->im[1] = (float) b->bin[i][column + 8];
		hop->power[0] = b->power[i][row];
		hop->power[1] = b->power[i][column];
		hop->energy = (float) b->energy[i];
		hop->total = (float) b->total[i];
		track->valid[track->n++] = valid;
		track->n_valid += valid;
	}
	track->length++;
}

/* Begins a track at hop i, the hop number now, which looks like symbol. */
static void
begin(mb_dtmf *dtmf, int i, int64_t now, int symbol)
{
	dtmf_track *track = &dtmf->track;

	track->symbol = symbol;
	track->n = track->length = track->n_valid = 0;
	track->last_on = 0;
	track->peak = 0;
	track->n_other = 0;
	track->first_hop = now - DTMF_BIN_HISTORY;
	for (int k = i - DTMF_BIN_HISTORY; k < i; k++)
		add_hop(dtmf, k, false);
	add_hop(dtmf, i, true);
}

void
mb_dtmf_track_end(mb_dtmf *dtmf)
{
	mb_dtmf_event event;
	bool digit = dtmf->track.symbol >= 0 && mb_dtmf_judge(dtmf, &event);

	/* first the state, as the callback may not come back */
	dtmf->track.symbol = -1;
	if (!digit)
		return;
	if (dtmf->sample_rate != 8000)
	{
		event.onset = event.onset * (uint64_t) dtmf->sample_rate / 8000;
		event.duration = event.duration * (uint64_t) dtmf->sample_rate / 8000;
	}
	dtmf->on_digit(dtmf->arg, &event);
}

/* Counts how long another digit than the track's has been seen; true when it takes over. */
static bool
other_takes_over(dtmf_track *track, int symbol)
{
	if (symbol < 0 || symbol == track->symbol)
	{
		track->n_other = 0;
		return false;
	}
	if (track->n_other > 0 && track->other == symbol)
		track->n_other++;
	else
		track->n_other = 1;
	track->other = symbol;
	return track->n_other >= OTHER_HOPS;
}

void
mb_dtmf_track(mb_dtmf *dtmf, int first, int n)
{
	dtmf_track *track = &dtmf->track;

	for (int i = first; i < first + n; i++)
	{
		int symbol = looks_like(dtmf, i);

		if (track->symbol < 0)
		{
			if (symbol >= 0)
				begin(dtmf, i, dtmf->hop + i - first, symbol);
			continue;
		}
		add_hop(dtmf, i, symbol == track->symbol);
		if (other_takes_over(track, symbol))
		{
			mb_dtmf_track_end(dtmf);
			begin(dtmf, i, dtmf->hop + i - first, symbol);
		}
		else if (track->length - 1 - track->last_on > DTMF_BRIDGE)
			mb_dtmf_track_end(dtmf);
	}
}
