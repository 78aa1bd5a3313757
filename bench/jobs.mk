# Jobs and workers.
#
#	make -C bench jobs				from commit to the request at the service
#	make -C bench jobs-failures		10,000 jobs of which a quarter of the requests fails
#	make -C bench jobs-memory		workers' memory over 100,000 jobs
#	make -C bench jobs-crashes		kill -9 of a worker in each phase, 20 times
BENCHES += jobs
CAMPAIGNS += jobs-failures jobs-memory jobs-crashes

jobs:
	@$(here)/jobs latency

jobs-failures:
	@$(here)/jobs failures

jobs-memory:
	@$(here)/jobs memory

jobs-crashes:
	@$(here)/jobs crashes
