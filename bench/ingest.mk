# Packet ingest against a bare INSERT, see ingest.sh.

BENCHES += ingest

ingest:
	$(here)/ingest.sh
