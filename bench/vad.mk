# Voice activity beside WebRTC's detector.
BENCHES += vad
PROGRAMS += $(BUILD)/vad_compare

$(BUILD)/vad_compare: $(here)/vad_compare.c $(here)/recorded.h $(core)
	$(CC) -O2 -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-sign-compare -I$(top)/src -o $@ $< $(core) -lm

vad: $(BUILD)/vad_compare
	@$(here)/vad $<
