/*
 * dtmf_state.h
 *	  What a DTMF receiver remembers.  Included by dtmf.h, so that callers can own the
 *	  memory; no caller may look inside.
 *
 * Time is counted in hops of 32 samples at 8 kHz (4 ms).
 */
#ifndef MB_DTMF_STATE_H
#define MB_DTMF_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/audio/resample.h"

#define DTMF_BAND_TAPS 24 /* band filter, 8 kHz in, 4 kHz out */
#define DTMF_BIN_TAPS 28  /* a half window: 7 ms at 4 kHz */
#define DTMF_HOP 32		  /* samples at 8 kHz */
#define DTMF_HALF_HOP 16  /* the same at 4 kHz */
#define DTMF_DISTANCE 2	  /* hops between the two half windows of a window */
#define DTMF_WINDOW 4	  /* hops that a window spans */
#define DTMF_BLOCK 16	  /* hops that the buffers hold before they are moved up */

/* Samples before a hop that its filters reach back to; hops of results likewise. */
#define DTMF_INPUT_HISTORY (DTMF_BAND_TAPS - 2)
#define DTMF_BAND_HISTORY (DTMF_BIN_TAPS - DTMF_HALF_HOP)
#define DTMF_BIN_HISTORY 10

/* Hops of one burst that are kept for the judgement: 128 ms and what led to them. */
#define DTMF_TRACK_HOPS 44
/* Of the last ones of a longer burst the power alone: a power of two. */
#define DTMF_TAIL_HOPS 16

/* What is kept of one hop of a burst. */
typedef struct dtmf_track_hop
{
	int32_t re[2], im[2]; /* low and high tone's bins, the half window's */
	float power[2];		  /* their squared magnitudes */
	uint32_t window;	  /* energy of the band over the window that ends here */
} dtmf_track_hop;

/* A burst of one digit, from its first window on to the silence that ends it. */
typedef struct dtmf_track
{
	int symbol;					  /* 4 * row + column; -1: there is none */
	int64_t first_hop;			  /* of hop[0] */
	int n;						  /* hops kept */
	int length;					  /* hops seen, kept or not */
	int n_valid;				  /* kept hops whose window looked like the digit */
	int last_on;				  /* last hop (from first_hop) that was loud enough */
	int last_valid;				  /* last one whose window looked like the digit */
	float peak;					  /* highest power of both tones */
	float valid_power;			  /* of both tones, added up over the kept hops that are valid */
	int other;					  /* another digit that began while this one went on ... */
	int n_other;				  /* ... and the hops it has lasted */
	float power[DTMF_TRACK_HOPS]; /* of both tones in the half window */
	float tail[DTMF_TAIL_HOPS]; /* of hop i, once DTMF_TRACK_HOPS are kept: at i % DTMF_TAIL_HOPS */
	uint8_t valid[DTMF_TRACK_HOPS];
	dtmf_track_hop hop[DTMF_TRACK_HOPS];
	/* Energies of all kept hops before one: of the band, and of the input in the same unit */
	uint64_t energy_before[DTMF_TRACK_HOPS + 1];
	uint64_t total_before[DTMF_TRACK_HOPS + 1];
} dtmf_track;

/* Input and filter outputs over a block, with the history that the next hop needs in front. */
typedef struct dtmf_block
{
	_Alignas(32) int32_t bin[DTMF_BIN_HISTORY + DTMF_BLOCK][16]; /* 8 real, 8 imaginary parts */
	_Alignas(32) float power[DTMF_BIN_HISTORY + DTMF_BLOCK][8];	 /* their squared magnitudes */
	int8_t best[DTMF_BLOCK]; /* 4 * row + column where the window is mostly two tones; else -1 */
	uint32_t window[DTMF_BIN_HISTORY + DTMF_BLOCK]; /* energy of the band over the window */
	uint32_t energy[DTMF_BIN_HISTORY + DTMF_BLOCK]; /* of the band, per hop */
	uint32_t total[DTMF_BIN_HISTORY + DTMF_BLOCK];	/* of the input, same unit */
	int16_t band[DTMF_BAND_HISTORY + DTMF_BLOCK * DTMF_HALF_HOP];
	int16_t input[DTMF_INPUT_HISTORY + DTMF_BLOCK * DTMF_HOP];
} dtmf_block;

struct mb_dtmf_event;

typedef struct mb_dtmf
{
	dtmf_block block;
	dtmf_track track;
	char last_digit;					/* the one told last, ... */
	uint64_t last_end;					/* ... the sample after it, at 8 kHz, ... */
	uint64_t last_onset, last_duration; /* ... and the rest, as at first told */
	float last_level;
	float company;		   /* hops that looked like two tones and were of no digit, fading ... */
	int64_t company_since; /* ... since this hop */
	int n_input;		   /* samples in block.input behind the history */
	int n_done;			   /* hops in the block that are done */
	bool was_loud;		   /* the last hop done had a sample above the gate */
	uint32_t was_active;   /* which of the DTMF_DISTANCE last ones had bins, as bits */
	int64_t hop;		   /* hops done before the block */
	int path;			   /* which kernel; see dtmf_internal.h */
	int sample_rate;
	int input_gate;		   /* samples below this power of two are silence */
	uint32_t energy_floor; /* of the band over a window */
	float power_floor;	   /* of both tones over a window */
	float floor_dbm0;
	void (*on_digit)(void *arg, const struct mb_dtmf_event *event);
	void *arg;
	mb_resampler *resampler;			 /* NULL at 8 kHz */
	mb_resampler_to_8k resampler_memory; /* last: not there at 8 kHz */
} mb_dtmf;

#endif /* MB_DTMF_STATE_H */
