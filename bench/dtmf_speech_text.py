#!/usr/bin/env python3
"""Texts for the DTMF receiver's speech experiment (docs/dtmf.md).

    dtmf_speech_text.py tuning|judging SEED LINES

The two sets share no content word, no sentence frame and no syllable: whatever was looked at
while the receiver's thresholds were chosen came from "tuning", and "judging" is
heard only by a finished receiver.  The same seed gives the same text.
"""
import random
import sys

TUNING = {
    "noun": """mandate signature customer invoice meter window garden river kitchen doctor teacher
        motor engine bottle paper village harbour pension lawyer bicycle museum ticket railway
        blanket hospital lantern orchard pillow saddle timber uncle violin wagon yacht zebra
        account balance branch cousin daughter elbow feather glacier hammer island jacket""".split(),
    "verb": """revoke suspend carry borrow deliver finish gather honour imagine join kick loosen
        measure notice obey paint question remember sharpen throw unlock visit whisper yield
        answer believe climb decide enjoy follow guess hurry invite jump keep laugh""".split(),
    "adj": """ancient bitter clever dusty early famous gentle heavy idle jolly keen lazy modest
        narrow open proud quiet rapid silent tired useful vacant warm yellow zealous""".split(),
    "frame": ["please {verb} the {adj} {noun} before the {noun} can {verb}",
              "I wanted to {verb} a {noun}, but my {adj} {noun} did {verb} it",
              "we {verb} and {verb} every {noun} until the {noun} is {adj}",
              "is the {noun} {adj}? no, only the {noun} is",
              "they said {number}, then {number}, and {verb} {number} {noun}s"],
    "onset": "b d g l m n r st pr kl".split(),
    "vowel": "a e o ai oo ee".split(),
    "coda": ["", "n", "m", "l", "t"],
}

JUDGING = {
    "noun": """contract payment reference department manager telephone address mountain bridge
        castle dragon eagle forest grandmother horizon instrument journey kettle ladder mirror
        needle ocean parliament queue rainbow sister thunder umbrella vegetable waterfall
        assistant breakfast cathedral dentist evening furniture government holiday insurance
        journalist knowledge language medicine neighbour opinion passenger quarter""".split(),
    "verb": """confirm cancel authorise repeat extend explain arrange consider promise refuse
        schedule transfer understand choose forget organise prepare receive recommend
        translate wonder apologise complain discover examine improve inform lower maintain
        mention observe order postpone recognise reply separate""".split(),
    "adj": """available beautiful comfortable dangerous expensive foreign grateful happy
        important junior kind local medical nervous official personal regular serious terrible
        urgent valuable wonderful young blue cheap deep empty fresh green""".split(),
    "frame": ["could you {verb} your {adj} {noun}, or shall I {verb} the {noun}",
              "the {noun} of the {adj} {noun} would never {verb} her",
              "hello, this is the {noun} speaking, who will {verb} this {adj} {noun}",
              "my number is {digits}, extension {number}",
              "in {number} days we {verb} it, {adj} or not, said the {noun}",
              "if nobody can {verb} or {verb}, ask the {noun}'s {noun} at {number} o'clock"],
    "onset": "p t k f v s sh h w j bl tr sp gr".split(),
    "vowel": "i u ou au ea ia".split(),
    "coda": ["r", "s", "k", "nd", "ng", "p"],
}


def pseudo_word(rng, words):
    return "".join(rng.choice(words["onset"]) + rng.choice(words["vowel"]) + rng.choice(words["coda"])
                   for _ in range(rng.randint(1, 4)))


def sentence(rng, words):
    kind = rng.random()
    if kind < 0.2:
        return " ".join(pseudo_word(rng, words) for _ in range(rng.randint(4, 10)))
    text = rng.choice(words["frame"])
    while "{" in text:
        for slot in ("noun", "verb", "adj"):
            text = text.replace("{%s}" % slot, rng.choice(words[slot]), 1)
        text = text.replace("{number}", str(rng.randint(2, 9999)), 1)
        text = text.replace("{digits}", " ".join(str(rng.randint(0, 9)) for _ in range(8)), 1)
    return text


def main():
    words = {"tuning": TUNING, "judging": JUDGING}[sys.argv[1]]
    rng = random.Random("%s %s" % (sys.argv[1], sys.argv[2]))
    for _ in range(int(sys.argv[3])):
        print(sentence(rng, words) + rng.choice([".", ".", "!", "?", ","]))


if __name__ == "__main__":
    main()
