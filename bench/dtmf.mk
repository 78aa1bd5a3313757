# The DTMF receiver beside libspandsp's and multimon-ng's (docs/dtmf.md).
#
#	make -C bench dtmf [DTMF_SYMBOLS=1000]		conditions and speed
#	make -C bench dtmf-speech [SPEECH_HOURS=8]	false digits in speech (espeak-ng, flite, sox)
#	make -C bench dtmf-speech-tuning			the same over the set that was tuned with
#
# Both are built for stock x86-64, as a package would be; AVX2 is chosen at run time.

BENCHES += dtmf
CAMPAIGNS += dtmf-speech

DTMF_SYMBOLS ?= 1000
SPEECH_HOURS ?= 8

dtmf_build := $(top)/build/bench
dtmf_core := $(wildcard $(top)/src/core/audio/dtmf*.c) $(top)/src/core/mb.c $(wildcard $(top)/src/core/audio/resample*.c)
dtmf_headers := $(wildcard $(top)/src/core/*.h $(top)/src/core/audio/*.h $(top)/test/unit/*.h)
dtmf_cflags := -O2 -std=gnu11 -Wall -Wextra -Wno-sign-compare -I$(top)/src -I$(top)/test/unit

$(dtmf_build)/dtmf_%: $(here)/dtmf_%.c $(dtmf_core) $(dtmf_headers)
	@mkdir -p $(@D)
	$(CC) $(dtmf_cflags) -o $@ $< $(dtmf_core) $(if $(filter dtmf_compare,$(@F)),-lspandsp) -lm

dtmf: $(dtmf_build)/dtmf_compare
	@$< $(DTMF_SYMBOLS)

dtmf-speech: $(dtmf_build)/dtmf_count
	@$(here)/dtmf_speech.sh judging $(SPEECH_HOURS) $<

dtmf-speech-tuning: $(dtmf_build)/dtmf_count
	@$(here)/dtmf_speech.sh tuning $(SPEECH_HOURS) $<

.PHONY: dtmf-speech-tuning
