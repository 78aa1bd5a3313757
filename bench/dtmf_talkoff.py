#!/usr/bin/python3
"""Digits that DTMF receivers hear where there is none: ours, libspandsp's and multimon-ng's, over judging sets.

    dtmf_talkoff.py PROGRAM judging|further PEOPLE SPEECH VOWELS MUSIC RECORDS		(PROGRAM: build/bench/dtmf_count; hours of each)

A line a kind: hours, and false digits an hour of each receiver, beside what is wanted of ours.
"""
import subprocess
import sys

import dtmf_sets

KINDS = (("people", "recordings of people", "0.2"), ("speech", "synthetic speech", "1"),
         ("vowels", "isolated vowels", "2"), ("music", "music by synthesiser", "0"),
         ("records", "recordings of music", "0"))


def multimon(raw):
    """Digits that multimon-ng hears, -1 where it is not installed; it takes 22,050 samples a second."""
    try:
        line = dtmf_sets.run(["sox", "-V1", "-R", "-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", "-",
                              "-t", "raw", "-r", "22050", "-"], raw)
        text = subprocess.run(["multimon-ng", "-q", "-a", "DTMF", "-t", "raw", "-"], input=line, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False).stdout
        return text.count(b"DTMF:")
    except FileNotFoundError:
        return -1


def main():
    if len(sys.argv) != 3 + len(KINDS):
        sys.exit(__doc__)
    hours = [float(x) for x in sys.argv[3:]]
    print("%-28s %7s %9s %9s %9s %9s" % ("False digits an hour", "hours", "ours", "spandsp", "multimon", "wanted"))
    for (kind, name, wanted), length in zip(KINDS, hours):
        seconds, heard = 0, [0, 0, 0]
        for _, raw in dtmf_sets.parts(sys.argv[2], kind, length):
            words = dtmf_sets.run([sys.argv[1]], raw).decode().split()
            seconds += float(words[1])
            heard = [heard[0] + int(words[3]), heard[1] + int(words[5]), heard[2] + multimon(raw)]
        rates = [h * 3600 / max(seconds, 1) for h in heard]
        print("%-28s %7.2f %9.2f %9.2f %9s %9s" % (name, seconds / 3600, rates[0], rates[1],
                                                  "%.2f" % rates[2] if heard[2] >= 0 else "-", wanted), flush=True)


if __name__ == "__main__":
    main()
