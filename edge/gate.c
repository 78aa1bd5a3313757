/*
 * gate.c
 *	  When a call begins and ends that nobody rings for; see gate.h.
 */
#include "gate.h"

#include <stdlib.h>
#include <string.h>

#include "core/audio/dtmf.h"
#include "core/audio/vad.h"

typedef enum gate_kind
{
	GATE_OFF,
	GATE_VOICE,
	GATE_DTMF
} gate_kind;

struct edge_gate
{
	gate_kind kind;
	uint64_t hangover; /* samples */
	uint64_t quiet;	   /* since it was heard last */
	bool open;
	bool heard; /* a digit, in what was heard last */
	union
	{
		mb_vad vad;
		mb_dtmf dtmf;
	} detector;
	int16_t own[EDGE_MAX_BLOCK];
};

static void
on_digit(void *arg, const mb_dtmf_event *event)
{
	((edge_gate *) arg)->heard = true;
}

edge_gate *
edge_gate_new(const char *name, int sample_rate, int hangover)
{
	edge_gate *gate = calloc(1, sizeof(*gate));
	mb_dtmf_options dtmf = { .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
							 .on_digit = on_digit,
							 .arg = gate };
	bool fine = false;

	if (gate == NULL)
		return NULL;
	gate->hangover = (uint64_t) hangover * (uint64_t) sample_rate;
	if (strcmp(name, "off") == 0)
		fine = gate->open = true;
	else if (strcmp(name, "voice") == 0)
	{
		gate->kind = GATE_VOICE;
		fine = mb_vad_init(&gate->detector.vad, sample_rate, &mb_vad_default_options) == MB_OK;
	}
	else if (strcmp(name, "dtmf") == 0)
	{
		gate->kind = GATE_DTMF;
		fine = mb_dtmf_init(&gate->detector.dtmf, sample_rate, &dtmf) == MB_OK;
	}
	if (fine)
		return gate;
	free(gate);
	return NULL;
}

void
edge_gate_free(edge_gate *gate)
{
	free(gate);
}

bool
edge_gate_hear(edge_gate *gate, const int16_t *samples, size_t n, int stride)
{
	if (gate->kind == GATE_OFF)
		return true;
	for (size_t i = 0; i < n; i++)
		gate->own[i] = samples[i * (size_t) stride];
	gate->heard = false;
	if (gate->kind == GATE_VOICE)
	{
		mb_vad_feed(&gate->detector.vad, gate->own, n);
		gate->heard = mb_vad_speaking(&gate->detector.vad);
	}
	else
		mb_dtmf_feed(&gate->detector.dtmf, gate->own, n);
	gate->quiet = gate->heard ? 0 : gate->quiet + n;
	gate->open = gate->heard || (gate->open && gate->quiet < gate->hangover);
	return gate->open;
}
