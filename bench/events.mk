# How long a packet takes from its commit to a supervisor's socket.
BENCHES += events

events:
	@$(here)/events
