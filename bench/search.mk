# Search over transcripts, see search.sh.

BENCHES += search

search:
	$(here)/search.sh
