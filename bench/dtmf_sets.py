#!/usr/bin/python3
"""Hours of signals without a digit, for what a DTMF receiver hears in them (docs/dtmf.md, "Talk-off").

    dtmf_sets.py training|judging|further KIND HOURS PROGRAM [ARGUMENT ...]

KIND is people, speech, vowels, music (played by a synthesiser) or records (of music).  Each part of a few minutes is made,
brought to 8 kHz and piped into PROGRAM as raw 16-bit samples; a line "PART: what PROGRAM printed" follows.  No audio is
kept.  The same part is the same samples wherever the same packages are installed; one that is not is complained of, and so
is a set that comes out shorter than was asked for.

The sets are kept apart by source: training and judging share no recording and no speaker, no synthetic voice, no
variant, no text, no instrument, no sound font and no piece of music.  "further" judges what nobody had seen when the
receiver was done: it shares none of that with either, but for the texts of judging, Festival's engine and the numbers of
instruments, which sound by other sound fonts.
"""
import fnmatch
import functools
import glob
import os
import random
import struct
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
RATE = 8000
PART_SECONDS = 300

# Recordings of people: where each Debian package has them; ARCHIVE!FILES are in one of those that members() knows.
PEOPLE = {
    "training": {
        "asterisk-core-sounds-en-wav": "/usr/share/asterisk/sounds/en_US_f_Allison/**/*.wav",
        "asterisk-core-sounds-es-wav": "/usr/share/asterisk/sounds/es_MX_f_Allison/**/*.wav",
        "asterisk-core-sounds-fr-wav": "/usr/share/asterisk/sounds/fr_CA_f_June/**/*.wav",
        "asterisk-prompt-fr-armelle": "/usr/share/asterisk/sounds/**/fr/*.gsm",
        "klettres-data": "/usr/share/klettres/**/*.ogg",
    },
    "judging": {
        "asterisk-core-sounds-it-wav": "/usr/share/asterisk/sounds/it_IT_m_Carlo/**/*.wav",
        "asterisk-core-sounds-ru-wav": "/usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU/**/*.wav",
        "asterisk-prompt-it-menardi-wav": "/usr/share/asterisk/sounds/it_IT_f_Menardi/**/*.wav",
        "asterisk-prompt-es-co": "/usr/share/asterisk/sounds/es/**/*.gsm",
        "hedgewars-data": "/usr/share/games/hedgewars/Data/Sounds/voices/*/*.ogg",
        "pocketsphinx-testdata": "/usr/share/pocketsphinx/test/data/*/*.wav",
    },
    "further": {
        # words in 18 languages, syllables of Mandarin, speech for trying codecs, actors
        "ktuberling-data": "/usr/share/ktuberling/sounds/[a-z][a-z]/*",
        "gcin-voice": "/usr/share/gcin-voice/ogg/*/*.ogg",
        "codec2-examples": "/usr/share/codec2/wav/*.wav",
        "flight-of-the-amazon-queen": "/usr/share/scummvm/flight-of-the-amazon-queen/queen.1c!*.SB",
    },
}
# Signals, not people, and a speech synthesiser's voice
NOT_PEOPLE = ("beep", "tone", "silence", "/Robot/")

# How much faster a recording is played: formants and pitch move with it.
SPEEDS = [1, 0.93, 1.08, 0.86, 1.17, 0.97, 1.04, 0.9, 1.12]

ESPEAK = {
    "training": "en-us de es fr-fr cs af ar bg bs cmn cy eo et fa ga gu hi hy id is ja kn ko la lt mk mr "
                "ms nb or pa ro sk sq sw ta th ur vi yue".split(),
    "judging": "en-gb en-gb-scotland en-gb-x-rp it nl pt-br pl sv ru hu tr el fi da am az be bn ca en-029 es-419 eu "
               "fr-be gd he hr ht ia ka kk ku lb lv ml mt my ne pap pt sl sr te tt uk uz".split(),
    "further": "an as ba bpy chr-US-Qaaa-x-west cmn-latn-pinyin cv en-gb-x-gbclan en-gb-x-gbcwmd en-us-nyc fa-latn fr-ch gn "
               "grc hak haw hyw io jbo kl kok ky lfn ltg mi nci nog om py qu quc ru-lv sd shn si smj tk tn ug".split(),
}
VARIANTS = {
    "training": "f2 m3 f4 Alex Andy Denis Gene Hugo Lee Mario Mike Storm adam anika aunty boris caleb david edward "
                "fast grandpa iven iven3 john klatt klatt3 klatt5 m1 m4 m6 m8 max miguel pablo pedro rob steph "
                "steph3 victor zac".split(),
    "judging": "f1 f5 m7 f3 m5 m2 Alicia Andrea Annie Diogo Gene2 Henrique Jacky Marco Michael Nguyen RicishayMax "
               "Tweaky announcer antonio belinda benjamin ed edward2 grandma gustave iven2 iven4 kaukovalta klatt2 "
               "klatt4 klatt6 linda marcelo michel norbert paul quincy robert sandro shelby steph2 travis".split(),
    "further": "AnxiousAndy Demonic RicishayMax2 RicishayMax3 UniRobot anikaRobot croak robosoft robosoft2 robosoft3 robosoft4 "
               "robosoft5 robosoft6 robosoft7 robosoft8 whisper whisperf".split(),
}
FESTIVAL = {
    "training": "kal_diphone ked_diphone".split(),
    "judging": "czech_dita czech_machac lp_diphone pc_diphone suo_fi_lj_diphone hy_fi_mv_diphone upc_ca_ona_hts "
               "cmu_us_slt_arctic_hts".split(),
    "further": "czech_krb czech_ph".split(),
}
FLITE = {"training": ["kal"], "judging": ["slt", "awb", "rms"], "further": []}

# General MIDI: every other program each.  Drums are in both.
PROGRAMS = {"training": range(0, 104, 2), "judging": range(1, 104, 2), "further": range(104)}
SOUND_FONTS = {
    # timgm6mb-soundfont, csound-soundfont (samples), opl3-soundfont (an FM chip)
    "training": ["/usr/share/sounds/sf2/TimGM6mb.sf2", "/usr/share/sounds/sf2/sf_GMbank.sf2",
                 "/usr/share/sounds/sf2/OPL-3_FM_128M.sf2"],
    "judging": ["/usr/share/sounds/sf2/FluidR3_GM.sf2"],     # fluid-soundfont-gm
    # musescore-general-soundfont-small; freepats, which Timidity plays
    "further": ["/usr/share/sounds/sf3/MuseScore_General_Lite.sf3", "/etc/timidity/freepats.cfg"],
}
# Between the notes of a scale too, for training: a piece takes longer to play than to shift.
MUSIC_SPEEDS = {"training": (1, 0.93, 1.09, 1.19), "judging": (1,), "further": (1, 0.95, 1.12)}
# Pieces that people composed, as MIDI: for judging.
COMPOSED = {
    "training": {},
    "judging": {
        "openttd-openmsx": "/usr/share/games/openttd/baseset/openmsx/*.mid",
        "planetblupi-music-midi": "/usr/share/planetblupi/music/*.mid",
    },
    "further": {
        "simutrans-data": "/usr/share/games/simutrans/music/*.mid",
    },
}
# Recordings of music.
RECORDS = {
    "training": {
        "wesnoth-1.16-music": "/usr/share/games/wesnoth/1.16/data/core/music/*.ogg",
        "supertux-data": "/usr/share/games/supertux2/music/**/*.ogg",
        "hyperrogue-music": "/usr/share/hyperrogue/music/*.ogg",
        "drascula-music": "/usr/share/scummvm/drascula/audio/*.ogg",
    },
    "judging": {
        "asterisk-moh-opsound-wav": "/usr/share/asterisk/moh/*.wav",
        "singularity-music": "/usr/share/games/singularity/music/**/*.ogg",
        "hedgewars-data": "/usr/share/games/hedgewars/Data/Music/*.ogg",
        "frozen-bubble-data": "/usr/share/games/frozen-bubble/snd/*zik*.ogg",
        "extremetuxracer-data": "/usr/share/games/etr/music/*.ogg",
    },
    "further": {
        "warzone2100-music": "/usr/share/games/warzone2100/music/albums/*/*.opus",
        "ufoai-music": "/usr/share/games/ufoai/base/0music.pk3!*.ogg",
        "nexuiz-music": "/usr/share/games/nexuiz/data/music.pk3!*.ogg",
        "colobot-common-sounds": "/usr/share/games/colobot/music/*.ogg",
        "starfighter-data": "/usr/share/starfighter/music/*.ogg",
        "xmoto-data": "/usr/share/games/xmoto/Textures/Musics/*.ogg",
        "zaz-data": "/usr/share/games/zaz/*.ogg",
        "btanks-data": "/usr/share/games/btanks/data/tunes/*.ogg",
    },
}

# Formants of vowels, Hz: men's for training (Peterson and Barney, 1952), women's of another language (Swedish long
# vowels, Fant, 1973) for judging, children's (Peterson and Barney) further.
FORMANTS = {
    "training": [(270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
                 (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690)],
    "judging": [(275, 2520, 3360), (290, 2390, 3160), (380, 2600, 3180), (500, 2300, 2950), (650, 1100, 2960),
                (440, 780, 2880), (400, 770, 2700), (290, 640, 2600), (300, 2050, 2680), (420, 1950, 2560)],
    "further": [(370, 3200, 3730), (530, 2730, 3600), (690, 2610, 3570), (1010, 2320, 3320), (1030, 1370, 3170),
                (680, 1060, 3180), (560, 1410, 3310), (430, 1170, 3260), (850, 1590, 3360), (560, 1820, 2160)],
}
VOWEL_PHONEMES = "i: e: E a A: O o: u: y: I U @ V 3: W".split()


def rng_of(*name):
    return random.Random(" ".join(str(x) for x in name))


def run(command, data=b""):
    """Standard output of a command; what it says of errors is of no use here."""
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout


def to_samples(raw):
    return np.frombuffer(raw[:len(raw) // 2 * 2], dtype="<i2").astype(np.float64)


def sox(source, speed, data=b""):
    """Samples at 8 kHz of files, or of a WAV given as data."""
    effects = ["speed", "%.3f" % speed] if speed != 1 else []
    return to_samples(run(["sox", "-V1", "-R"] + source + ["-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-"] +
                          ["gain", "-3"] + effects + ["rate", str(RATE)], data))


@functools.lru_cache(None)
def members(archive):
    """Names in a zip file, or in ScummVM's form of a game with speech as MP3: with the place of each in the latter."""
    if not archive.endswith(".1c"):
        return {name: None for name in zipfile.ZipFile(archive).namelist()}
    with open(archive, "rb") as f:
        n = struct.unpack(">13xH", f.read(15))[0]
        entries = [struct.unpack(">12sxII", f.read(21)) for _ in range(n)]
    return {name.partition(b"\0")[0].decode(): (offset, size) for name, offset, size in entries}


def recording(name, speed):
    """Samples of one file, also of what sox does not read by itself."""
    archive, _, inside = name.partition("!")
    if inside:
        place = members(archive)[inside]
        if place:
            with open(archive, "rb") as f:
                f.seek(place[0])
                return sox(["-t", "mp3", "-"], speed, f.read(place[1]))
        with zipfile.ZipFile(archive) as z:
            return sox(["-t", inside.rpartition(".")[2], "-"], speed, z.read(inside))
    if name.endswith(".opus"):
        return sox(["-t", "wav", "-"], speed, run(["opusdec", "--quiet", "--force-wav", "--no-dither", "--rate", "48000", name, "-"]))
    return sox([name], speed)


def at_level(x, rng):
    """The same at a random level: peaks of -3 to -21 dB."""
    peak = np.max(np.abs(x)) if len(x) else 0
    return x if peak == 0 else x * (32767 / peak * 10 ** (-rng.uniform(3, 21) / 20))


def texts(chosen, seed, lines):
    return run([sys.executable, os.path.join(HERE, "dtmf_speech_text.py"),
                "tuning" if chosen == "training" else "judging", str(seed), str(lines)])


def complain(text):
    print("dtmf_sets.py: %s" % text, file=sys.stderr, flush=True)


def files_of(packages, without=()):
    """A list of files for each package, those left out whose names have certain words in them."""
    found = []
    for package, pattern in packages.items():
        archive, _, inside = pattern.partition("!")
        files = [f for f in sorted(glob.glob(archive, recursive=True)) if not any(w in f for w in without)]
        if inside:
            files = ["%s!%s" % (f, n) for f in files for n in sorted(fnmatch.filter(members(f), inside))]
        if not files:
            complain("not installed: %s" % package)
        found.append(files)
    return found


def people(chosen):
    recordings = []
    for files in files_of(PEOPLE[chosen], NOT_PEOPLE):
        folders = {}
        for f in files:
            folders.setdefault(os.path.dirname(f), []).append(f)
        recordings += list(folders.items())
    for number in range(100000 if recordings else 0):
        speed = SPEEDS[number % len(SPEEDS)] * (1 if number < len(SPEEDS) else rng_of(number).uniform(0.98, 1.02))
        for folder, files in recordings:
            for i in range(0, len(files), 100):
                x = sox(files[i:i + 100], speed)
                if len(x) == 0:
                    # sox puts together but what agrees in rate and channels
                    x = np.concatenate([recording(f, speed) for f in files[i:i + 100]])
                yield "%s/%d x%.2f" % (folder, i, speed), at_level(x, rng_of(folder, i, number))


def spoken(chosen, number, lines, vowels):
    """One part of synthetic speech, or of vowels by the same voices."""
    rng = rng_of(chosen, number, vowels)
    kind = rng.random()
    speed = 1 if rng.random() < 0.5 else rng.uniform(0.85, 1.2)
    text = texts(chosen, number, lines)
    if vowels or kind < 0.75:
        voice = rng.choice(ESPEAK[chosen]) + ("" if rng.random() < 0.3 else "+" + rng.choice(VARIANTS[chosen]))
        if vowels:
            text = "".join("[[%s]].\n" % rng.choice(VOWEL_PHONEMES) for _ in range(lines)).encode()
        pitch, pace = rng.randint(10, 95), rng.randint(110, 220)
        wav = run(["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(pace), "--stdout"], text)
        return "espeak %s %d %d x%.2f" % (voice, pitch, pace, speed), sox(["-t", "wav", "-"], speed, wav)
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "text")
        with open(path, "wb") as f:
            f.write(text)
        if kind < 0.9 or not FLITE[chosen]:
            voice = rng.choice(FESTIVAL[chosen])
            run(["text2wave", "-eval", "(voice_%s)" % voice, "-o", path + ".wav", path])
        else:
            voice = rng.choice(FLITE[chosen])
            run(["flite", "-voice", voice, "-f", path, "-o", path + ".wav"])
        return "%s x%.2f" % (voice, speed), sox([path + ".wav"], speed)


def speech(chosen):
    for number in range(100000):
        name, x = spoken(chosen, number, 60, False)
        yield name, at_level(x, rng_of(chosen, number))


def resonator(x, hz, width):
    """Two poles, as a vowel's formant has them."""
    from scipy.signal import lfilter
    r = np.exp(-np.pi * width / RATE)
    a = [1, -2 * r * np.cos(2 * np.pi * hz / RATE), r * r]
    return lfilter([sum(a)], a, x)


def isolated_vowels(chosen, number):
    """Glottal pulses through formants: lengths of 30 to 400 ms, pitch of 75 to 800 Hz, every other one as steady as a
    machine's, the others gliding and wavering."""
    rng = rng_of(chosen, number, "formants")
    out = []
    for _ in range(500):
        n = int(RATE * rng.uniform(0.03, 0.4))
        t = np.arange(n) / RATE
        moving = rng.choice([0, 1])
        f0 = 75 * (800 / 75) ** rng.random() * (1 + moving * (rng.uniform(-0.2, 0.2) * t + 0.01 * rng.random() *
                                                              np.sin(2 * np.pi * 5 * t)))
        phase = np.cumsum(f0) / RATE
        # a pulse at each turn, rounded by the glottis
        x = np.diff(np.floor(phase), prepend=0.0)
        x = resonator(x, 0, rng.uniform(100, 400))
        scale = rng.uniform(0.8, 1.35)
        for hz, width in zip(rng.choice(FORMANTS[chosen]), (60, 90, 130)):
            x = resonator(x, hz * scale * rng.uniform(0.94, 1.06), width * rng.uniform(0.3, 1.3))
        edge = min(n // 2, int(RATE * rng.uniform(0.002, 0.03)))
        x[:edge] *= np.arange(edge) / max(edge, 1)
        x[n - edge:] *= np.arange(edge, 0, -1) / max(edge, 1)
        x = at_level(x, rng)
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 3, n + int(RATE * rng.uniform(0.03, 0.2)))
        noise[:n] += x
        out.append(noise)
    return np.concatenate(out)


def vowels(chosen):
    for number in range(100000):
        if number % 2 == 0:
            yield "formants %d" % number, isolated_vowels(chosen, number)
        else:
            name, x = spoken(chosen, number, 200, True)
            yield name, at_level(x, rng_of(chosen, number))


def midi(chosen, number):
    """A piece of a few minutes: chords, a melody, a bass, now and then drums; solo, in two parts or all."""
    rng = rng_of(chosen, number, "piece")
    programs = [rng.choice(PROGRAMS[chosen]) for _ in range(3)]
    voices = rng.choice([(1,), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 9)])
    events = []     # (time in ticks, status, data)
    for channel, program in enumerate(programs):
        events.append((0, 0xC0 | channel, (program,)))

    def note(at, length, channel, key, velocity):
        events.append((at, 0x90 | channel, (key, velocity)))
        events.append((at + length, 0x80 | channel, (key, 0)))

    tempo = rng.randint(250000, 900000)
    beat, at, key = 96, 0, 60
    scale = [0, 2, 4, 5, 7, 9, 11]
    while at * tempo / 96 < PART_SECONDS * 1e6:
        if at % (beat * 64) == 0:
            key = rng.randint(48, 72)
        root = rng.choice([0, 3, 4, 5])
        if 0 in voices:
            for degree in (root, root + 2, root + 4)[:rng.randint(2, 3)]:
                note(at, beat * 4 - 4, 0, key + scale[degree % 7] + 12 * (degree // 7) + 12 * rng.randint(0, 1), 70)
        if 1 in voices:
            t = 0
            while t < beat * 4:
                length = beat // rng.choice([1, 1, 2, 2, 4, 8])
                for _ in range(rng.choice([1, 1, 2])):
                    degree = rng.randint(0, 13)
                    note(at + t, max(6, length - rng.randint(0, length // 2)), 1,
                         key + 12 + scale[degree % 7] + 12 * (degree // 7), rng.randint(60, 110))
                t += length
        if 2 in voices:
            for t in (0, 2):
                note(at + t * beat, beat, 2, key - 24 + scale[root % 7], 90)
        if 9 in voices:
            for t in range(8):
                note(at + t * beat // 2, beat // 4, 9, rng.choice([36, 38, 42, 46]), rng.randint(50, 100))
        at += beat * 4
    events.sort(key=lambda e: (e[0], e[1] & 0xF0 != 0x80))
    track = b"\0\xff\x51\x03" + struct.pack(">I", tempo)[1:]
    now = 0
    for when, status, data in events:
        delta = when - now
        now = when
        length = bytes([delta & 0x7F])
        while delta > 0x7F:
            delta >>= 7
            length = bytes([0x80 | delta & 0x7F]) + length
        track += length + bytes([status]) + bytes(data)
    track += b"\0\xff\x2f\0"
    name = "midi %s in %d" % (" ".join(str(p) for p in programs), len(voices))
    return name, (b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track)


def played(piece, font):
    """A wave file of a MIDI piece."""
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "piece")
        with open(path + ".mid", "wb") as f:
            f.write(piece)
        if font.endswith(".cfg"):
            run(["timidity", "-c", font, "-Ow", "-s", "22050", "-o", path + ".wav", path + ".mid"])
        else:
            run(["fluidsynth", "-niq", "-g", "0.5", "-r", "22050", "-F", path + ".wav", font, path + ".mid"])
        with open(path + ".wav", "rb") as f:
            return f.read()


def music(chosen):
    """Pieces by the script; every other one composed by people, as long as there are any."""
    composed = [f for files in files_of(COMPOSED[chosen]) for f in files]
    fonts = SOUND_FONTS[chosen]
    for number in range(100000):
        if number % 2 and number // 2 < len(composed):
            name = composed[number // 2]
            with open(name, "rb") as f:
                piece = f.read()
        else:
            name, piece = midi(chosen, number)
        # composed pieces are the odd ones: each font plays both kinds
        wav = played(piece, fonts[number // (2 if composed else 1) % len(fonts)])
        for speed in MUSIC_SPEEDS[chosen]:
            yield "%s x%.2f" % (name, speed), at_level(sox(["-t", "wav", "-"], speed, wav), rng_of(chosen, number, speed))


def records(chosen):
    """Pieces of one package after another's, so that no hour is of one alone; then all again, faster or slower."""
    lists = files_of(RECORDS[chosen])
    longest = max(len(files) for files in lists)
    # evenly spread, however many pieces a package has
    order = sorted((i * longest // len(files), name) for files in lists for i, name in enumerate(files))
    for number in range(100000 if order else 0):
        speed = SPEEDS[number % len(SPEEDS)]
        for _, name in order:
            # a piece of twenty minutes is no more than others
            x = recording(name, speed)[:2 * PART_SECONDS * RATE]
            if len(x) > 0:
                yield "%s x%.2f" % (name, speed), at_level(x, rng_of(name, number))


KINDS = {"people": people, "speech": speech, "vowels": vowels, "music": music, "records": records}


def parts(chosen, kind, hours):
    """Names and raw samples until there are so many hours."""
    left = hours * 3600
    for name, x in KINDS[kind](chosen):
        if left <= 0:
            return
        x = x[:int(left * RATE) + 1]
        if len(x) == 0:
            complain("nothing came: %s" % name)
            left -= 1
            continue
        left -= len(x) / RATE
        yield name, np.clip(np.rint(x), -32768, 32767).astype("<i2").tobytes()
    if left > 0:
        complain("%.2f of %g hours of %s are missing" % (left / 3600, hours, kind))


def main():
    if len(sys.argv) < 5 or sys.argv[1] not in PEOPLE or sys.argv[2] not in KINDS:
        sys.exit(__doc__)
    for name, raw in parts(sys.argv[1], sys.argv[2], float(sys.argv[3])):
        print("%s: %s" % (name, run(sys.argv[4:], raw).decode().strip()), flush=True)


if __name__ == "__main__":
    main()
