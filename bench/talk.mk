# Conversations with an agent, measured at the caller's ear.
#
#	make -C bench talk		300 turns of 10 callers at once: waits, interruptions, what interrupts for nothing
CAMPAIGNS += talk

talk:
	@$(here)/talk

.PHONY: talk
