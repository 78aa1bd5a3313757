#!/usr/bin/env python3
"""The peer of `make -C bench commands`: what the original Mulberry Voice Protocol does, timed.

DTMFGenerator.verify, DTMFDecoder and the constants are the functions of the original's
dtmf_generator.py and dtmf_decoder.py, statement by statement; only the current time is an
argument of the constructor, so that both sides verify the same minute, and what is not timed
(scipy, which the original imports and does not use; logging) is left out.

usage: commands_original.py verify REPETITIONS MINUTE < sequences, one a line
       commands_original.py decode REPETITIONS < raw 16-bit samples at 8 kHz

Prints the microseconds that one call took.
"""
import hashlib
import hmac
import sys
import time
from typing import List, Optional, Tuple

SECRET = "test_secret_key"


class DTMFGenerator:
    COMMAND_CODES = {
        "REVOKE": "01",
        "SUSPEND": "02",
        "EXTEND": "03",
        "QUERY": "04",
        "PING": "99",
    }

    def __init__(self, secret_key: str, now=time.time):
        self.secret_key = secret_key.encode()
        self.now = now

    def verify(self, dtmf_sequence: str, time_window_minutes: int = 5) -> Tuple[bool, dict]:
        # Parse sequence
        if not dtmf_sequence.startswith("*#") or not dtmf_sequence.endswith("##"):
            return False, {"error": "Invalid format"}

        # Remove markers
        content = dtmf_sequence[2:-2]

        # Split components
        parts = content.split("-")
        if len(parts) != 3:
            return False, {"error": "Invalid structure"}

        command_code, mandate_id, received_hmac = parts

        # Reverse lookup command name
        command_name = None
        for name, code in self.COMMAND_CODES.items():
            if code == command_code:
                command_name = name
                break

        if not command_name:
            return False, {"error": "Unknown command code"}

        # Try all timestamps in window
        current_time = int(self.now() / 60)

        for t in range(current_time - time_window_minutes, current_time + 1):
            payload = f"{command_code}{mandate_id}{t}"

            h = hmac.new(
                self.secret_key,
                payload.encode(),
                hashlib.sha256
            )
            expected_hmac = h.hexdigest()[:4].upper()

            if hmac.compare_digest(expected_hmac, received_hmac):
                return True, {
                    "command": command_name,
                    "command_code": command_code,
                    "mandate_id": mandate_id,
                    "timestamp": t,
                    "verified": True
                }

        return False, {"error": "HMAC mismatch or expired"}


class DTMFDecoder:
    FREQUENCIES = {
        ('697', '1209'): '1', ('697', '1336'): '2', ('697', '1477'): '3',
        ('770', '1209'): '4', ('770', '1336'): '5', ('770', '1477'): '6',
        ('852', '1209'): '7', ('852', '1336'): '8', ('852', '1477'): '9',
        ('941', '1209'): '*', ('941', '1336'): '0', ('941', '1477'): '#',
    }

    LOW_FREQS = [697, 770, 852, 941]
    HIGH_FREQS = [1209, 1336, 1477]

    def __init__(self, sample_rate: int = 8000):
        self.sample_rate = sample_rate
        self.window_size = int(0.05 * sample_rate)  # 50ms windows

    def decode_audio(self, audio_data: "np.ndarray") -> str:
        digits: List[str] = []

        # Process in windows
        for i in range(0, len(audio_data) - self.window_size, self.window_size // 2):
            window = audio_data[i:i + self.window_size]
            digit = self._decode_window(window)
            if digit and (not digits or digit != digits[-1]):
                digits.append(digit)

        return ''.join(digits)

    def _decode_window(self, window: "np.ndarray") -> Optional[str]:
        # Apply Goertzel algorithm for each frequency
        low_powers = [self._goertzel(window, freq) for freq in self.LOW_FREQS]
        high_powers = [self._goertzel(window, freq) for freq in self.HIGH_FREQS]

        # Find dominant frequencies
        low_idx = np.argmax(low_powers)
        high_idx = np.argmax(high_powers)

        # Check if energy is sufficient
        if low_powers[low_idx] < 1e6 or high_powers[high_idx] < 1e6:
            return None

        # Map to digit
        low_freq = str(self.LOW_FREQS[low_idx])
        high_freq = str(self.HIGH_FREQS[high_idx])

        return self.FREQUENCIES.get((low_freq, high_freq))

    def _goertzel(self, samples: "np.ndarray", target_freq: float) -> float:
        N = len(samples)
        k = int(0.5 + (N * target_freq) / self.sample_rate)
        omega = (2.0 * np.pi * k) / N
        coeff = 2.0 * np.cos(omega)

        q0 = 0.0
        q1 = 0.0
        q2 = 0.0

        for sample in samples:
            q0 = coeff * q1 - q2 + sample
            q2 = q1
            q1 = q0

        power = q1 * q1 + q2 * q2 - q1 * q2 * coeff
        return power


def main():
    repetitions = int(sys.argv[2])
    if sys.argv[1] == "verify":
        minute = int(sys.argv[3])
        sequences = sys.stdin.read().split()
        generator = DTMFGenerator(SECRET, now=lambda: minute * 60)
        start = time.perf_counter()
        for _ in range(repetitions):
            for sequence in sequences:
                valid, _result = generator.verify(sequence)
                assert valid
        calls = repetitions * len(sequences)
    else:
        audio = np.frombuffer(sys.stdin.buffer.read(), dtype=np.int16)
        decoder = DTMFDecoder()
        generator = DTMFGenerator(SECRET)
        start = time.perf_counter()
        for _ in range(repetitions):
            # handle_incoming_call(): decode, then verify
            generator.verify(decoder.decode_audio(audio))
        calls = repetitions
    print("%.3f" % ((time.perf_counter() - start) / calls * 1e6))


if __name__ == "__main__":
    if sys.argv[1] == "decode":
        import numpy as np
    main()
