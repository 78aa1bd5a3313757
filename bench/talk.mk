# Conversations with an agent, measured at the caller's ear.
#
#	make -C bench talk			300 turns of 10 callers at once: waits, interruptions, what interrupts for nothing
#	make -C bench talk-pauses	200 sentences with a pause inside, twice: who is cut off, beside silence alone
#	make -C bench talk-load		400 calls at once that talk: frames to decisions, gaps, memory
#	make -C bench talk-short	10,000 short calls: memory, and what is left of them
#	make -C bench talk-noise	who speaks over the agent on noisy lines with an echo, and who does not: in simulated time
CAMPAIGNS += talk talk-pauses talk-load talk-short talk-noise
PROGRAMS += $(BUILD)/talk_over_noise $(BUILD)/media_calls $(BUILD)/media_engines

http := $(BUILD)/libmulberry_http.a

# The library knows best what is new.
$(http): http
	@:

http: core
	@$(MAKE) -s -C $(top)/http library BUILD=$(BUILD) CC="$(CC)"

media_calls_parts := $(here)/media_caller.c $(here)/media_figures.c $(top)/gateway/base64.c

$(BUILD)/media_calls: $(media_calls_parts) $(here)/media_caller.h $(here)/media_figures.h

$(BUILD)/media_calls $(BUILD)/media_engines: $(wildcard $(top)/http/*.h)

$(BUILD)/media_%: $(here)/media_%.c $(http) $(core)
	$(CC) -O2 -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-sign-compare -I$(top) -I$(top)/src -I$(top)/http -o $@ $< $($(@F)_parts) \
		$(http) $(core) -lcurl -lwslay -lssl -lcrypto -lm -lpthread

$(BUILD)/talk_over_noise: $(here)/talk_over_noise.c $(here)/recorded.h $(core)
	$(CC) -O2 -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-sign-compare -I$(top)/src -o $@ $< $(core) -lm

talk:
	@$(here)/talk figures

talk-noise: $(BUILD)/talk_over_noise
	@$(here)/talk_noise $<

talk-pauses:
	@WAIT=600 $(here)/talk pauses 200
	@WAIT=1000 $(here)/talk pauses 200

talk-load talk-short: talk-%: $(BUILD)/media_calls $(BUILD)/media_engines
	@$(here)/talk_load $(BUILD) $*

.PHONY: talk talk-pauses talk-load talk-short talk-noise http
