#!/bin/sh
# False digits in synthetic speech (docs/dtmf.md, "Speech").
#
#     dtmf_speech.sh tuning|judging HOURS COUNTER
#
# Makes about HOURS of speech at 8 kHz by espeak-ng and flite, a file of text at a time in as many
# processes as there are processors, pipes it into COUNTER (bench/dtmf_count.c) and prints one
# line a voice and the sum.  No audio is kept.
#
# The sets share neither voice nor text: see the voices below and dtmf_speech_text.py.
set -eu

set_name=$1
hours=$2
counter=$3
here=$(cd "$(dirname "$0")" && pwd)

# voice:pitch:speed for espeak-ng, name for flite; one part of each is roughly ten minutes.
case $set_name in
    tuning)
        voices='en-us de es fr-fr en-us+f2 en-us+m3 de+f4 cs'
        flite_voices='kal'
        ;;
    judging)
        voices='en-gb en-gb-scotland en-gb-x-rp+f1 it nl pt-br+f5 pl sv+m7 ru hu+f3 tr el+m5 fi da+m2'
        flite_voices='slt awb rms'
        ;;
    *)
        echo "usage: $0 tuning|judging HOURS COUNTER" >&2
        exit 2
        ;;
esac

# One part: ENGINE VOICE PITCH SPEED SEED
if [ "${4:-}" = part ]; then
    engine=$5 voice=$6 pitch=$7 speed=$8 seed=$9
    text() { python3 "$here/dtmf_speech_text.py" "$set_name" "$seed" 120; }
    if [ "$engine" = espeak ]; then
        text | espeak-ng -v "$voice" -p "$pitch" -s "$speed" --stdout
    else
        # flite seeks in what it writes, so it needs a file
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        text > "$work/text"
        flite -voice "$voice" -f "$work/text" -o "$work/speech.wav"
        cat "$work/speech.wav"
    fi | sox -V1 -t wav - -t raw -r 8000 -e signed -b 16 -c 1 - gain -n -4 2> /dev/null |
        "$counter" | sed "s/^/$voice $pitch $speed $seed /"
    exit 0
fi

parts=$(awk -v h="$hours" 'BEGIN { print int(h * 6 + 0.999) }')

# as many parts as asked for, voices in turn, pitch and speed changing with each round
awk -v parts="$parts" -v voices="$voices" -v flites="$flite_voices" 'BEGIN {
    n = split(voices, espeak, " "); m = split(flites, flite, " ");
    for (i = 0; i < parts; i++) {
        k = i % (n + m); round = int(i / (n + m));
        if (k < n)
            print "espeak", espeak[k + 1], 20 + (round * 23 + k * 11) % 75, 120 + (round * 29 + k * 17) % 90, i
        else
            print "flite", flite[k - n + 1], 0, 0, i
    }
}' | nice -n 5 xargs -P "$(nproc)" -L 1 "$0" "$set_name" "$hours" "$counter" part |
    awk '{ seconds[$1] += $6; digits[$1] += $8; s += $6; d += $8; if ($9 != "") heard[$1] = heard[$1] $9 }
         END {
             for (v in seconds)
                 printf "%-20s %6.2f h %4d false digits %s\n", v, seconds[v] / 3600, digits[v], heard[v] | "sort";
             close("sort");
             printf "%-20s %6.2f h %4d false digits, %.2f an hour\n", "all", s / 3600, d, s ? d * 3600 / s : 0;
         }'
