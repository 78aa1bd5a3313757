/*
 * gate.h
 *	  When a call begins and ends that nobody rings for: with a voice, with digits, or never.
 */
#ifndef EDGE_GATE_H
#define EDGE_GATE_H

#include "audio.h"

typedef struct edge_gate edge_gate;

/*
 * By its name: off, voice or dtmf; it opens at once where it is off, and else closes when it has heard nothing for "hangover" seconds.
 * NULL: there is no gate of that name, or none at that rate.
 */
extern edge_gate *edge_gate_new(const char *name, int sample_rate, int hangover);
extern void edge_gate_free(edge_gate *gate);

/* Hears so many samples of one channel, every so manyth; whether the gate is open after that. */
extern bool edge_gate_hear(edge_gate *gate, const int16_t *samples, size_t n, int stride);

#endif /* EDGE_GATE_H */
