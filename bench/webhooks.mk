# Twilio's webhooks over HTTP.
#
#	make -C bench webhooks			answers to /twilio/voice at 50 calls a second; wanted: p95 below 50 ms
BENCHES += webhooks

webhooks:
	@$(here)/webhooks.sh
