/*
 * dtmf_conditions.h
 *	  The conditions under which a DTMF receiver is measured, with the error rate that is
 *	  allowed: the requirements of docs/dtmf.md as a table.
 *
 * Data only; dtmf_signals.h makes the signals.
 */
#ifndef DTMF_CONDITIONS_H
#define DTMF_CONDITIONS_H

#include "dtmf_signals.h"

/* clang-format off */
#define ON40 .on_ms = 40, .off_ms = 40
#define ON50 .on_ms = 50, .off_ms = 50
#define ON70 .on_ms = 70, .off_ms = 60
#define AT15 .level = -15

CHECK_UNUSED static const signal_condition signal_conditions[] = {
	{ "40 ms on, 40 ms off", ON40, AT15 },
	{ "50 ms on, 50 ms off", ON50, AT15 },
	{ "100 ms on, 100 ms off", .on_ms = 100, .off_ms = 100, AT15 },
	{ "500 ms on, 50 ms off", .on_ms = 500, .off_ms = 50, AT15 },
	{ "level 0 dBm0", ON40, .level = 0 },
	{ "level 0 dBm0 each tone, clipped", ON40, .level = 3.01 },
	{ "level -30 dBm0", ON40, .level = -30 },
	{ "level -40 dBm0", ON40, .level = -40 },
	{ "level -45 dBm0", ON40, .level = -45, .target = true },
	{ "level -45 dBm0, mu-law", ON40, .level = -45, .codec = CODEC_MULAW, .target = true },
	{ "twist +8 dB", ON40, AT15, .twist = 8 },
	{ "twist -4 dB", ON40, AT15, .twist = -4 },
	{ "twist +10.2 dB", ON40, AT15, .twist = 10.2, .none = true },
	{ "twist -8.2 dB", ON40, AT15, .twist = -8.2, .none = true },
	{ "twist +14 dB", ON40, AT15, .twist = 14, .none = true },
	{ "twist -14 dB", ON40, AT15, .twist = -14, .none = true },
	{ "frequency +1.5 %", ON40, AT15, .error = { .015, .015 } },
	{ "frequency -1.5 %", ON40, AT15, .error = { -.015, -.015 } },
	{ "frequency ±1.5 %, opposite too", ON40, AT15, .error = { .015, .015 }, .both_signs = true },
	{ "frequency ±1.5 %, twist +8 dB", ON40, AT15, .error = { .015, .015 }, .both_signs = true, .twist = 8 },
	{ "frequency ±1.8 %", ON40, AT15, .error = { .018, .018 }, .both_signs = true, .target = true },
	{ "frequency ±3.5 %", ON40, AT15, .error = { .035, .035 }, .both_signs = true, .none = true },
	{ "frequency ±3.5 %, low tone only", ON40, AT15, .error = { .035, 0 }, .both_signs = true, .none = true },
	{ "frequency ±3.5 %, high tone only", ON40, AT15, .error = { 0, .035 }, .both_signs = true, .none = true },
	{ "frequency ±3.5 %, 100 ms", .on_ms = 100, .off_ms = 50, AT15, .error = { .035, .035 }, .both_signs = true, .none = true },
	{ "frequency ±3.5 % high only, 100 ms", .on_ms = 100, .off_ms = 50, AT15, .error = { 0, .035 }, .both_signs = true, .none = true },
	{ "tones of 15 ms", .on_ms = 15, .off_ms = 50, AT15, .none = true },
	{ "tones of 20 ms", .on_ms = 20, .off_ms = 50, AT15, .none = true },
	{ "tones of 23 ms", .on_ms = 23, .off_ms = 50, AT15, .none = true },
	{ "tones of 26 ms", .on_ms = 26, .off_ms = 50, AT15, .none = true, .target = true },
	{ "tones of 35 ms", .on_ms = 35, .off_ms = 40, AT15, .target = true },
	{ "noise at 20 dB SNR", ON40, AT15, .snr = 20 },
	{ "noise at 12 dB SNR", ON40, AT15, .snr = 12 },
	{ "noise at 6 dB SNR", ON40, AT15, .snr = 6, .target = true },
	{ "noise at 3 dB SNR", ON40, AT15, .snr = 3, .max_error = .05, .target = true },
	{ "noise at 12 dB SNR, twist +8, ±1.5 %", ON40, AT15, .snr = 12, .twist = 8, .error = { .015, .015 }, .both_signs = true, .max_error = .005, .target = true },
	{ "dial tone 350+440 at -10 dB", ON40, AT15, .has_other = true, .other_db = -10, .other_hz = { 350, 440 } },
	{ "dial tone 425 at -10 dB", ON40, AT15, .has_other = true, .other_db = -10, .other_hz = { 425 } },
	{ "dial tone 350+440 at 0 dB", ON40, AT15, .has_other = true, .other_db = 0, .other_hz = { 350, 440 }, .target = true },
	{ "dial tone 350+440 at +10 dB", ON40, AT15, .has_other = true, .other_db = 10, .other_hz = { 350, 440 }, .target = true },
	{ "dial tone 425 at +10 dB", ON40, AT15, .has_other = true, .other_db = 10, .other_hz = { 425 }, .target = true },
	{ "hum 50 Hz at 0 dB", ON40, AT15, .has_other = true, .other_db = 0, .other_hz = { 50 } },
	{ "hum 60 Hz at 0 dB", ON40, AT15, .has_other = true, .other_db = 0, .other_hz = { 60 } },
	{ "mu-law", ON40, AT15, .codec = CODEC_MULAW },
	{ "A-law", ON40, AT15, .codec = CODEC_ALAW },
	{ "A-law at -40 dBm0", ON40, .level = -40, .codec = CODEC_ALAW },
	{ "IMA ADPCM", ON40, AT15, .codec = CODEC_IMA },
	{ "G.726 at 32 kbit/s", ON40, AT15, .codec = CODEC_G726 },
	{ "GSM 06.10, 70 ms", ON70, AT15, .codec = CODEC_GSM, .max_error = .005 },
	{ "GSM 06.10, 100 ms", .on_ms = 100, .off_ms = 80, AT15, .codec = CODEC_GSM, .max_error = .005 },
	{ "echo of 20 ms at -10 dB", ON40, AT15, .echo_ms = 20, .echo_db = -10 },
	{ "echo of 5 ms at -14 dB, A-law", ON40, AT15, .echo_ms = 5, .echo_db = -14, .codec = CODEC_ALAW },
	{ "echo of 15 ms at -14 dB, A-law", ON40, AT15, .echo_ms = 15, .echo_db = -14, .codec = CODEC_ALAW },
	{ "echo of 30 ms at -14 dB, A-law", ON40, AT15, .echo_ms = 30, .echo_db = -14, .codec = CODEC_ALAW },
	{ "echo of 50 ms at -14 dB, A-law, 100 ms", .on_ms = 100, .off_ms = 100, AT15, .echo_ms = 50, .echo_db = -14, .codec = CODEC_ALAW },
	{ "echo of 15 ms at -14 dB, A-law, twist +8", ON40, AT15, .twist = 8, .echo_ms = 15, .echo_db = -14, .codec = CODEC_ALAW },
	{ "echo of 15 ms at -14 dB, A-law, twist -4", ON40, AT15, .twist = -4, .echo_ms = 15, .echo_db = -14, .codec = CODEC_ALAW },
	{ "echo after the digit, 150 ms, -10 dB", .on_ms = 60, .off_ms = 250, AT15, .echo_ms = 150, .echo_db = -10 },
	{ "echo after the digit, 90 ms, -10 dB", .on_ms = 50, .off_ms = 120, AT15, .echo_ms = 90, .echo_db = -10 },
	{ "clipped by 12 dB", ON40, AT15, .clip_db = 12 },
	{ "DC offset", ON40, AT15, .dc = 4000 },
	{ "dropout of 10 ms", .on_ms = 60, .off_ms = 40, AT15, .dropout_ms = 10 },
	{ "pause of 30 ms, same digit", ON40, AT15, .split_ms = 30 },
	{ "pause of 25 ms, same digit", ON40, AT15, .split_ms = 25 },
	{ "slips of 1 to 5 ms", .on_ms = 50, .off_ms = 40, AT15, .slip_ms = 5, .max_error = .005 },
	{ "2 % of packets repeated", .on_ms = 60, .off_ms = 60, AT15, .loss = .02, .max_error = .005 },
};
/* clang-format on */

#define SIGNAL_CONDITIONS ((int) (sizeof(signal_conditions) / sizeof(signal_conditions[0])))

#endif /* DTMF_CONDITIONS_H */
