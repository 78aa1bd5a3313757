# The DTMF receiver beside libspandsp's and multimon-ng's (docs/dtmf.md).
#
#	make -C bench dtmf [DTMF_SYMBOLS=1000]		conditions and speed
#	make -C bench dtmf-speech [SPEECH_HOURS=8]	false digits in speech (espeak-ng, flite, sox)
#	make -C bench dtmf-speech-tuning			the same over the set that was tuned with
#	make -C bench dtmf-fit						fits the decision anew: src/core/audio/dtmf_model.c
#
# Both are built for stock x86-64, as a package would be; AVX2 is chosen at run time.

BENCHES += dtmf
CAMPAIGNS += dtmf-speech

DTMF_SYMBOLS ?= 1000
SPEECH_HOURS ?= 8

PROGRAMS += $(BUILD)/dtmf_compare $(BUILD)/dtmf_count $(BUILD)/dtmf_values

$(BUILD)/dtmf_%: $(here)/dtmf_%.c $(core)
	$(CC) -O2 -std=gnu11 -Wall -Wextra -Wno-sign-compare -I$(top)/src -I$(top)/test/unit -o $@ $^ $(if $(filter dtmf_compare dtmf_values,$(@F)),-lspandsp) -lm

dtmf: $(BUILD)/dtmf_compare
	@$< $(DTMF_SYMBOLS)

dtmf-speech: $(BUILD)/dtmf_count
	@$(here)/dtmf_speech.sh judging $(SPEECH_HOURS) $<

dtmf-speech-tuning: $(BUILD)/dtmf_count
	@$(here)/dtmf_speech.sh tuning $(SPEECH_HOURS) $<

dtmf-fit: $(BUILD)/dtmf_values
	@$(top)/scripts/install-packages bench talkoff-training
	@$(here)/dtmf_fit.py $< >$(BUILD)/dtmf_model.c
	@mv $(BUILD)/dtmf_model.c $(top)/src/core/audio/dtmf_model.c

.PHONY: dtmf-speech-tuning dtmf-fit
