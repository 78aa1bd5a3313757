# The DTMF receiver beside libspandsp's and multimon-ng's (docs/dtmf.md).
#
#	make -C bench dtmf [DTMF_SYMBOLS=1000]		conditions, speed, Mitel's procedure and two hours or so of talk-off
#	make -C bench dtmf-mitel					the procedure of Mitel's test tape alone
#	make -C bench dtmf-talkoff [TALKOFF_HOURS="12.5 16 2 4 10"]	false digits in people, speech, vowels, music
#												played, music recorded
#	make -C bench dtmf-further [FURTHER_HOURS="6 4 1 6 6"]		the same of sources nobody had seen
#	make -C bench dtmf-fit						fits the decision anew: src/core/audio/dtmf_model.c
#
# All are built for stock x86-64, as a package would be; AVX2 is chosen at run time.

BENCHES += dtmf
CAMPAIGNS += dtmf-talkoff dtmf-further

DTMF_SYMBOLS ?= 1000
TALKOFF_HOURS ?= 12.5 16 2 4 10
FURTHER_HOURS ?= 6 4 1 6 6

PROGRAMS += $(BUILD)/dtmf_compare $(BUILD)/dtmf_count $(BUILD)/dtmf_mitel $(BUILD)/dtmf_values

$(BUILD)/dtmf_%: $(here)/dtmf_%.c $(core)
	$(CC) -O2 -std=gnu11 -Wall -Wextra -Wno-sign-compare -I$(top)/src -I$(top)/test/unit -o $@ $^ -lspandsp -lm

dtmf: $(BUILD)/dtmf_compare $(BUILD)/dtmf_count dtmf-mitel
	@$(top)/scripts/install-packages talkoff-judging
	@$(here)/dtmf_talkoff.py $(BUILD)/dtmf_count judging 1 0.5 0.2 0.3 0.3
	@$< $(DTMF_SYMBOLS)

dtmf-mitel: $(BUILD)/dtmf_mitel
	@$<

dtmf-talkoff: $(BUILD)/dtmf_count
	@$(top)/scripts/install-packages bench talkoff-judging
	@$(here)/dtmf_talkoff.py $< judging $(TALKOFF_HOURS)

dtmf-further: $(BUILD)/dtmf_count
	@$(top)/scripts/install-packages bench talkoff-further
	@$(here)/dtmf_talkoff.py $< further $(FURTHER_HOURS)

dtmf-fit: $(BUILD)/dtmf_values
	@$(top)/scripts/install-packages bench talkoff-training
	@$(here)/dtmf_fit.py $< >$(BUILD)/dtmf_model.c
	@mv $(BUILD)/dtmf_model.c $(top)/src/core/audio/dtmf_model.c

.PHONY: dtmf-mitel dtmf-further dtmf-fit
