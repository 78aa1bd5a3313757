/*
 * dtmf_spandsp.h
 *	  What tests and the comparison borrow from libspandsp: the codecs that
 *	  dtmf_signals.h does not write itself, and its DTMF receiver as a peer.
 */
#ifndef DTMF_SPANDSP_H
#define DTMF_SPANDSP_H

#include <spandsp.h>

#include "dtmf_signals.h"

#define GSM_FRAME 160

/* GSM 06.10 and G.726 there and back; see signal_codec_hook. */
CHECK_UNUSED static bool
spandsp_codec(signal_codec codec, int16_t *samples, size_t n)
{
	if (codec == CODEC_GSM)
	{
		gsm0610_state_t *encoder = gsm0610_init(NULL, GSM0610_PACKING_NONE);
		gsm0610_state_t *decoder = gsm0610_init(NULL, GSM0610_PACKING_NONE);
		uint8_t code[2 * GSM_FRAME];

		for (size_t i = 0; i + GSM_FRAME <= n; i += GSM_FRAME)
			gsm0610_decode(decoder, samples + i, code,
						   gsm0610_encode(encoder, code, samples + i, GSM_FRAME));
		gsm0610_free(encoder);
		gsm0610_free(decoder);
		return true;
	}
	if (codec == CODEC_G726)
	{
		g726_state_t *encoder = g726_init(NULL, 32000, G726_ENCODING_LINEAR, G726_PACKING_NONE);
		g726_state_t *decoder = g726_init(NULL, 32000, G726_ENCODING_LINEAR, G726_PACKING_NONE);
		uint8_t *code = malloc(n);

		if (code == NULL)
			abort();
		g726_decode(decoder, samples, code, g726_encode(encoder, code, samples, (int) n));
		free(code);
		g726_free(encoder);
		g726_free(decoder);
		return true;
	}
	return false;
}

/* The digits that libspandsp's receiver hears with its default settings; digits has room bytes. */
CHECK_UNUSED static void
spandsp_receive(const int16_t *samples, size_t n, char *digits, size_t room)
{
	dtmf_rx_state_t *receiver = dtmf_rx_init(NULL, NULL, NULL);
	size_t got = 0;

	for (size_t i = 0; i < n; i += 160)
	{
		dtmf_rx(receiver, samples + i, n - i < 160 ? (int) (n - i) : 160);
		if (got + 1 < room)
			got += dtmf_rx_get(receiver, digits + got, (int) (room - got - 1));
	}
	digits[got] = '\0';
	dtmf_rx_free(receiver);
}

#endif /* DTMF_SPANDSP_H */
