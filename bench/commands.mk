# Voice commands.
#
#	make -C bench commands			verification and call audio beside the original's Python functions
#	make -C bench line-quality		1,000 frames through noise, twist and mu-law
BENCHES += commands
CAMPAIGNS += line-quality

PROGRAMS += $(BUILD)/commands_core

$(BUILD)/commands_core: $(here)/commands_core.c $(core)
	$(CC) -O2 -std=gnu11 -Wall -Wextra -Wno-sign-compare -I$(top)/src -o $@ $^ -lcrypto -lm

commands:
	@$(here)/commands

line-quality:
	@MULBERRY_LINE_FRAMES=1000 TESTS=t/095_line_quality.pl $(top)/scripts/test tap
