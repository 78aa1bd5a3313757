/*
 * vad_measures.h
 *	  What voice activity measures of a frame: power above 250 Hz, of all of it and of its quietest parts, power of the band of
 *	  voices, voicing.  For vad.c alone, which judges them.
 */
#ifndef MB_VAD_MEASURES_H
#define MB_VAD_MEASURES_H

#include "core/audio/vad.h"

/* Once, for the detector's rate. */
extern void mb_vad_design_filters(mb_vad *vad);

/* Forgets all signal. */
extern void mb_vad_forget_measures(mb_vad *vad);

/* Takes samples of the current frame, and begins the next. */
extern void mb_vad_measure(mb_vad *vad, const int16_t *samples, int n);
extern void mb_vad_begin_frame(mb_vad *vad);

/* The power of the quietest parts of the whole frame: of noise about half that of all of it, of an impulse far less. */
extern double mb_vad_lasting_power(const mb_vad *vad);

/*
 * How much the last 40 ms of the band repeat themselves: the largest normalized
 * correlation with themselves over the periods of 60 to 400 Hz, 0 … 1.
 */
extern double mb_vad_voicing(const mb_vad *vad);

#endif /* MB_VAD_MEASURES_H */
