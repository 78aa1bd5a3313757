# kill -9 of the server during ingest, twenty times, see t/030_ingest_crash.pl.

CAMPAIGNS += ingest_crash

ingest_crash:
	MULBERRY_CRASHES=$(or $(CRASHES),20) TESTS=t/030_ingest_crash.pl $(top)/scripts/test tap
