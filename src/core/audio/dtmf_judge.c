/*
 * dtmf_judge.c
 *	  Decides whether a burst that the DTMF receiver followed was a digit.
 *
 * The limits that no digit passes are kept by dtmf_measure.c.  What is left is told from speech by a sum: each
 * measure counts by so much as it exceeds each of its knots.  It is the logit of a logistic model, fitted to
 * digits under the conditions of test/unit/dtmf_conditions.h and mixtures of them, and to speech, vowels and music
 * (bench/dtmf_fit.py, docs/dtmf.md).
 */
#include "core/audio/dtmf_internal.h"

_Static_assert((DTMF_VALUES & (DTMF_VALUES - 1)) == 0, "lanes are added up by halves");

/* Lane by lane in a fixed order, so that compilers can make vectors of it without changing the sum. */
static float
unlikeness(const float *value)
{
	float lane[DTMF_VALUES] = { 0 };

	for (int k = 0; k < DTMF_KNOTS; k++)
		for (int i = 0; i < DTMF_VALUES; i++)
		{
			float excess = value[i] - mb_dtmf_knots[k][i];

			lane[i] += mb_dtmf_weights[k][i] * (excess > 0 ? excess : 0);
		}
	for (int half = DTMF_VALUES / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			lane[i] += lane[i + half];
	return mb_dtmf_bias + lane[0];
}

bool
mb_dtmf_judge(const mb_dtmf *dtmf, const dtmf_measures *m, mb_dtmf_event *event)
{
	const dtmf_track *track = &dtmf->track;
	double onset;

	if (unlikeness(m->value) > 0)
		return false;
	event->digit = MB_DTMF_SYMBOLS[track->symbol];
	onset = (double) track->first_hop * DTMF_HOP + (double) m->onset * DTMF_HOP - DTMF_DELAY;
	event->onset = onset > 0 ? (uint64_t) (onset + 0.5) : 0;
	event->duration = (uint64_t) (m->duration * DTMF_HOP + 0.5f);
	event->level_dbm0 = m->level;
	event->twist_db = m->twist;
	return true;
}
