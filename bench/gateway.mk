# The gateway over loopback: load, one packet alone, the original beside it, supervisors, idle connections.
BENCHES += gateway

gateway:
	@$(here)/gateway

# kill -9 of the gateway, of a backend and of all of PostgreSQL under load, 50 times each.
CAMPAIGNS += gateway-crashes

gateway-crashes:
	@TESTS=t/111_gateway_crash.pl MULBERRY_KILLS=50 $(top)/scripts/test tap
