/*
 * kinds.c
 *	  The protocols of all kinds of endpoints; see kinds.h.
 */
#include "server/compat.h"

#include "worker/kinds.h"

static const mulberry_protocol *const protocols[] = {
	[MULBERRY_ENDPOINT_OPENAI] = &mulberry_openai,
	[MULBERRY_ENDPOINT_JSON] = &mulberry_json,
	[MULBERRY_ENDPOINT_TWILIO] = &mulberry_twilio,
	/* whom gateways ask: no job has one of their purposes */
	[MULBERRY_ENDPOINT_DEEPGRAM] = NULL,
	[MULBERRY_ENDPOINT_ELEVENLABS] = NULL,
};
StaticAssertDecl(lengthof(protocols) == MULBERRY_ENDPOINT_KINDS,
				 "every kind of endpoint has a protocol");

const mulberry_protocol *
mulberry_protocol_of(const mulberry_endpoint_kind *kind)
{
	return protocols[kind->id];
}
