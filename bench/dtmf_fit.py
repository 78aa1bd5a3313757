#!/usr/bin/python3
"""Fits the DTMF receiver's decision and prints src/core/audio/dtmf_model.c.

    dtmf_fit.py PROGRAM [FILE] > src/core/audio/dtmf_model.c		(PROGRAM: build/bench/dtmf_values; or make -C bench dtmf-fit)

A logistic model: each value that the receiver measures of a burst counts by a function that never falls, linear between
knots.  Digits are those of test/unit/dtmf_conditions.h, with other seeds than the tests and benchmarks
have, and mixtures of their faults; what is no digit are the training sets of dtmf_sets.py.  No judging set is looked at.
Needs numpy and scipy; what a run found is told on standard error.  FILE keeps what was measured, and is taken instead of
measuring where it is there: for trying other costs.
"""
import os
import subprocess
import sys

import numpy as np
from scipy.optimize import minimize

import dtmf_sets

SYMBOLS, SEED = 1500, 500000
HOURS = {"people": 9, "speech": 4, "vowels": 1, "music": 24, "records": 12}

VALUES = 16
KNOTS = 4       # DTMF_KNOTS: of a value, each with the slope up to the next one
# The company (DTMF_COMPANY) that a digit comes in is no matter of the line it comes by: most come in next to none, so many
# in that of some burst of music.
COMPANY, IN_COMPANY = 15, 0.01
# What an error costs: a burst that is none, and a digit
COST_NONE = {"people": 4.0, "speech": 4.0, "vowels": 4.0, "music": 4.0, "records": 4.0}
COST = {"must": 3.0, "target": 2.0, "mixture": 0.1}
RIDGE = 0.5
# The figure at which a burst is a digit: between the worst digit that must be received and speech
MARGIN = 0.0


def table(text):
    """Kinds, conditions and values of the program's lines."""
    lines = [line.split() for line in text.decode().splitlines()]
    return (np.array([line[0] for line in lines]), np.array([int(line[1]) for line in lines]),
            np.array([line[2:] for line in lines], dtype=float).reshape(-1, VALUES))


def gather(program):
    kinds, conditions, digits = table(dtmf_sets.run([program, "digits", str(SYMBOLS), str(SEED)]))
    sets = {}
    for kind, hours in HOURS.items():
        found, samples = [], 0
        for _, raw in dtmf_sets.parts("training", kind, hours):
            found.append(table(dtmf_sets.run([program, "heard"], raw))[2])
            samples += len(raw) // 2
        if samples < hours * 3600 * dtmf_sets.RATE:
            sys.exit("dtmf_fit.py: too little of %s to fit to" % kind)
        sets[kind] = np.concatenate(found)
        print("%s: %d bursts in %g hours" % (kind, len(sets[kind]), hours), file=sys.stderr)
    return kinds, conditions, digits, sets


def choose_knots(kinds, digits):
    """Where most digits, nearly all, all but the worst lie, of each value."""
    known = digits[kinds != "mixture"]
    knots = np.array([np.percentile(known, q, axis=0) for q in (50, 90, 99, 99.9)])
    # as far apart as numbers of the receiver's precision can tell
    for k in range(1, KNOTS):
        knots[k] = np.maximum(knots[k], knots[k - 1] + 1e-3 * (np.abs(knots[k - 1]) + digits.std(axis=0)) + 1e-6)
    return knots.astype(np.float32).astype(float)


def ramps(values, knots):
    """From each knot to the next one, and from the last one on without end."""
    parts = [np.clip(values - knots[k], 0, knots[k + 1] - knots[k]) for k in range(KNOTS - 1)]
    return np.concatenate(parts + [np.maximum(0, values - knots[-1])], axis=1)


def fit(x, none, cost):
    scale = x.std(axis=0) + 1e-9
    z = x / scale
    n = z.shape[1]

    def loss(p):
        logit = z @ p[:n] + p[n]
        error = cost * (1 / (1 + np.exp(-np.clip(logit, -500, 500))) - none)
        value = (cost * np.logaddexp(0, np.where(none, -logit, logit))).sum() + RIDGE / 2 * (p[:n] ** 2).sum()
        return value, np.append(z.T @ error + RIDGE * p[:n], error.sum())

    found = minimize(loss, np.zeros(n + 1), jac=True, method="L-BFGS-B", bounds=[(0, None)] * n + [(None, None)],
                     options={"maxiter": 5000, "maxfun": 8000})
    return found.x[:n] / scale, found.x[n]


def numbers(values):
    lines = []
    for i in range(0, len(values), 8):
        lines.append("\t\t" + " ".join("%.6ef," % v for v in values[i:i + 8]))
    return "\n".join(lines)


def write(bias, knots, slopes):
    # slopes of ramps become what the slope changes by at each knot
    changes = slopes.copy()
    changes[1:] -= slopes[:-1]
    print("""/*
 * dtmf_model.c
 *	  Weights of the DTMF receiver's decision.  Made by bench/dtmf_fit.py; change that, not this.
 *
 * Constants only; what they mean is said in dtmf_internal.h.
 */
#include "core/audio/dtmf_internal.h"

/* clang-format off */
const float mb_dtmf_bias = %.6ef;
""" % bias)
    for name, rows in (("knots", knots), ("weights", changes)):
        print("const float mb_dtmf_%s[DTMF_KNOTS][DTMF_VALUES] = {" % name)
        for row in rows:
            print("\t{\n%s\n\t}," % numbers(row))
        print("};" + ("\n" if name == "knots" else ""))


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    kept = sys.argv[2] if len(sys.argv) > 2 else ""
    if os.path.exists(kept):
        measured = np.load(kept)
        kinds, conditions, digits = (measured[name] for name in ("kinds", "conditions", "digits"))
        sets = {kind: measured[kind] for kind in HOURS}
    else:
        kinds, conditions, digits, sets = gather(sys.argv[1])
        if kept:
            np.savez(kept, kinds=kinds, conditions=conditions, digits=digits, **sets)
    chance = np.random.default_rng(SEED)
    digits = digits.copy()
    digits[:, COMPANY] = np.where(chance.random(len(digits)) < IN_COMPANY,
                                  chance.choice(sets["music"][:, COMPANY], len(digits)), digits[:, COMPANY])
    knots = choose_knots(kinds, digits)
    others = np.concatenate(list(sets.values()))
    values = np.concatenate([others, digits])
    none = np.arange(len(values)) < len(others)
    cost = np.concatenate([np.full(len(bursts), COST_NONE[kind]) for kind, bursts in sets.items()] +
                          [np.array([COST[k] for k in kinds])])
    weights, bias = fit(ramps(values, knots), none, cost)
    bias -= MARGIN

    logit = ramps(digits, knots) @ weights + bias
    for c in sorted(set(conditions)):
        here = (conditions == c) & (kinds != "mixture")
        if here.any() and logit[here].max() > -3:
            print("condition %d, %s: worst %.2f, lost %d of %d" % (c, kinds[here][0], logit[here].max(),
                                                                   (logit[here] > 0).sum(), here.sum()), file=sys.stderr)
    mixed = kinds == "mixture"
    print("mixtures: lost %d of %d" % ((logit[mixed] > 0).sum(), mixed.sum()), file=sys.stderr)
    for kind, bursts in sets.items():
        figures = np.sort(ramps(bursts, knots) @ weights + bias)
        print("%s: taken for a digit %d, next %s" % (kind, (figures <= 0).sum(), figures[:6].round(2)), file=sys.stderr)
    write(bias, knots, weights.reshape(KNOTS, VALUES))


if __name__ == "__main__":
    main()
