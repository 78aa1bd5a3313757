# Voice commands by telephone, against the stand-in for Twilio.
#
#	make -C bench telephone-latency		from revoke_mandate() to confirmed, without the ringing
#	make -C bench telephone-failures	1,000 revocations while 20 % of all requests fail
#	make -C bench telephone-crashes		kill -9 of a worker in each step of a call, 10 times

CAMPAIGNS += telephone-latency telephone-failures telephone-crashes

telephone-latency:
	@$(here)/telephone latency

telephone-failures:
	@$(here)/telephone failures

telephone-crashes:
	@$(here)/telephone crashes
