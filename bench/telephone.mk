# Voice commands by telephone, against the stand-in for Twilio.
#
#	make -C bench telephone-failures	1,000 revocations while 20 % of all requests fail, see t/094_telephone_campaign.pl
#	make -C bench telephone-crashes		kill -9 of a worker in each step of a call, 10 times, see t/092_telephone_crash.pl

CAMPAIGNS += telephone-failures telephone-crashes

telephone-failures:
	COMMANDS=$(or $(COMMANDS),1000) TESTS=t/094_telephone_campaign.pl $(top)/scripts/test tap

telephone-crashes:
	CRASH_ROUNDS=$(or $(ROUNDS),10) TESTS=t/092_telephone_crash.pl $(top)/scripts/test tap
