#!/usr/bin/env python3
"""Designs the DTMF receiver's filters and prints src/core/audio/dtmf_tables.c.

    python3 bench/dtmf_tables.py > src/core/audio/dtmf_tables.c

Nothing but the standard library is used, so the tables can be made anew anywhere.
docs/dtmf.md explains what the two designs are for.
"""
import cmath
import math

RATE = 8000.0                   # Hz, input of the band filter
HALF_RATE = RATE / 2            # its output
BAND_TAPS = 24
BAND_SCALE = 1 << 14
BIN_TAPS = 28                   # at HALF_RATE: 7 ms
BIN_SCALE = 1 << 16
HALF_DISTANCE = 32              # at HALF_RATE, between the two half windows
HALF_HOP = 16
TONES = [697, 770, 852, 941, 1209, 1336, 1477, 1633]

# Band filter: (from Hz, to Hz, wanted gain, weight).  What is in none of these is free:
# the transitions, also around 2 kHz, where what is folded down meets no tone.
BAND_WANTED = [(0, 65, 0, 3), (65, 330, 0, 0.6), (330, 460, 0, 10),
               (676, 1675, 1, 2), (2300, 4000, 0, 0.5)]

# A bin of one group must not see the other group (Hz), nor any negative frequency.
LOW_GROUP = (675, 965)
HIGH_GROUP = (1185, 1680)
OTHER_GROUP_WEIGHT = 1.0
NEGATIVE_WEIGHT = 0.3
WHITE_NOISE_WEIGHT = 1.0


def solve(matrix, right):
    """Gaussian elimination with pivoting, real or complex."""
    n = len(right)
    rows = [row[:] + [value] for row, value in zip(matrix, right)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(i + 1, n):
            factor = rows[k][i] / rows[i][i]
            if factor != 0:
                for j in range(i, n + 1):
                    rows[k][j] -= factor * rows[i][j]
    x = [0] * n
    for i in reversed(range(n)):
        x[i] = (rows[i][n] - sum(rows[i][j] * x[j] for j in range(i + 1, n))) / rows[i][i]
    return x


def band_filter():
    """Symmetric filter of even length, weighted least squares on a 5 Hz grid."""
    half = BAND_TAPS // 2
    matrix = [[0.0] * half for _ in range(half)]
    right = [0.0] * half
    for low, high, wanted, weight in BAND_WANTED:
        for f in range(low, high + 1, 5):
            c = [2 * math.cos(2 * math.pi * f / RATE * (k + 0.5)) for k in range(half)]
            for i in range(half):
                right[i] += weight * wanted * c[i]
                for j in range(half):
                    matrix[i][j] += weight * c[i] * c[j]
    x = solve(matrix, right)
    return list(reversed(x)) + x


def band_gain(taps, f):
    middle = (BAND_TAPS - 1) / 2
    return sum(v * math.cos(2 * math.pi * f / RATE * (k - middle)) for k, v in enumerate(taps))


def tone_bin(index, gain):
    """The filter of least noise that has gain 1 / gain at the tone and nothing at the other group."""
    tone = TONES[index]
    stops = [((HIGH_GROUP if index < 4 else LOW_GROUP), OTHER_GROUP_WEIGHT),
             ((-HIGH_GROUP[1], -HIGH_GROUP[0]), NEGATIVE_WEIGHT),
             ((-LOW_GROUP[1], -LOW_GROUP[0]), NEGATIVE_WEIGHT)]
    correlation = [0j] * BIN_TAPS           # of distance a - b
    correlation[0] += WHITE_NOISE_WEIGHT
    for (low, high), weight in stops:
        for f in range(low, high + 1, 15):
            for d in range(BIN_TAPS):
                correlation[d] += weight * cmath.exp(2j * math.pi * f / HALF_RATE * d)
    matrix = [[correlation[a - b] if a >= b else correlation[b - a].conjugate()
               for b in range(BIN_TAPS)] for a in range(BIN_TAPS)]
    middle = (BIN_TAPS - 1) / 2
    steer = [cmath.exp(2j * math.pi * tone / HALF_RATE * (k - middle)) for k in range(BIN_TAPS)]
    h = solve(matrix, steer)
    norm = sum(a.conjugate() * b for a, b in zip(h, steer)).real
    return [a.conjugate() / norm / gain for a in h]


def print_rows(values, form, per_line):
    for i in range(0, len(values), per_line):
        print("\t" + ", ".join(form % v for v in values[i:i + per_line]) + ",")


def main():
    taps = band_filter()
    band = [round(v * BAND_SCALE) for v in taps]
    bins = [tone_bin(i, band_gain(taps, f)) for i, f in enumerate(TONES)]
    # the bins' real parts are symmetric about the middle, the imaginary ones antisymmetric:
    # half of each is enough
    for h in bins:
        assert all(abs(h[k] - h[-1 - k].conjugate()) < 1e-9 for k in range(BIN_TAPS))
    table = []
    for pair in range(BIN_TAPS // 4):
        for part in (lambda v: v.real, lambda v: v.imag):
            for h in bins:
                table += [round(part(h[2 * pair + k]) * BIN_SCALE) for k in (0, 1)]
    # the sums of dtmf_kernel.c must fit 32 bits for any input
    assert sum(map(abs, band)) * 32768 + (1 << 14) < 1 << 31
    for output in range(16):
        assert sum(abs(table[pair * 32 + output * 2 + k]) for pair in range(BIN_TAPS // 4)
                   for k in (0, 1)) * 32768 < 1 << 31
    turns = [cmath.exp(-2j * math.pi * f * HALF_DISTANCE / HALF_RATE) for f in TONES]
    hop_turns = [cmath.exp(-2j * math.pi * f * HALF_HOP / HALF_RATE) for f in TONES]

    print("""/*
 * dtmf_tables.c
 *	  The filters of the DTMF receiver.  Made by bench/dtmf_tables.py; change that, not this.
 *
 * Constants only; what they mean is said in dtmf_internal.h.
 */
#include "core/audio/dtmf_internal.h"

/* clang-format off */""")
    print("const int16_t mb_dtmf_band_taps[DTMF_BAND_TAPS] = {")
    print_rows(band, "%d", 12)
    print("};\n\n_Alignas(32) const int16_t mb_dtmf_bin_taps[DTMF_BIN_TAPS / 4 * 32] = {")
    print_rows(table, "%d", 16)
    print("};\n\nconst float mb_dtmf_turn_re[8] = {")
    print_rows([t.real for t in turns], "%.9ef", 4)
    print("};\n\nconst float mb_dtmf_turn_im[8] = {")
    print_rows([t.imag for t in turns], "%.9ef", 4)
    print("};\n\nconst float mb_dtmf_hop_turn_re[8] = {")
    print_rows([t.real for t in hop_turns], "%.9ef", 4)
    print("};\n\nconst float mb_dtmf_hop_turn_im[8] = {")
    print_rows([t.imag for t in hop_turns], "%.9ef", 4)
    print("};\n\nconst float mb_dtmf_band_gain[8] = {")
    print_rows([band_gain(taps, f) ** 2 for f in TONES], "%.9ef", 4)
    print("};")


if __name__ == "__main__":
    main()
