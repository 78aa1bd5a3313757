/*
 * call_dtmf.c
 *	  The digits in a call: its packets, put together, through the DTMF receiver.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/snapmgr.h"

#include "audio/audio_input.h"
#include "audio/dtmf.h"
#include "calls/call_audio.h"

PG_FUNCTION_INFO_V1(mulberry_call_dtmf);

/*
 * call_dtmf(call_id, tenant, floor_dbm0, track): the audio is heard as it is read, and never in
 * memory as a whole.
 */
Datum
mulberry_call_dtmf(PG_FUNCTION_ARGS)
{
	mulberry_track track;
	mulberry_call_samples *audio;
	mulberry_digit_sink sink;
	mb_dtmf *receiver;
	int16 *samples;
	size_t n;

	InitMaterializedSRF(fcinfo, 0);
	audio =
		mulberry_open_call_samples(mulberry_track_argument(fcinfo, 3, &track), GetActiveSnapshot());
	if (audio == NULL)
		elog(ERROR, "a call went away within a snapshot");
	sink = (mulberry_digit_sink){ .result = (ReturnSetInfo *) fcinfo->resultinfo,
								  .sample_rate = mulberry_call_sample_rate(audio),
								  .long_times = true };
	receiver =
		mulberry_dtmf_receiver(sink.sample_rate, &fcinfo->args[2], mulberry_put_digit, &sink);
	samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	while ((n = mulberry_next_call_samples(audio, samples)) > 0)
		mb_dtmf_feed(receiver, samples, n);
	mb_dtmf_flush(receiver);
	mulberry_close_call_samples(audio);
	return (Datum) 0;
}
