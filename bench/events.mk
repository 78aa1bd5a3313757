# How long a packet takes from its commit to a supervisor's socket.
BENCHES += events

events:
	@$(here)/events

# kill -9 of the notifier under load, 20 times.
CAMPAIGNS += notifier-crashes

notifier-crashes:
	@TESTS=t/053_notifier_crash.pl MULBERRY_CRASHES=20 $(top)/scripts/test tap
