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
#include "calls/call_arguments.h"
#include "calls/call_audio.h"

PG_FUNCTION_INFO_V1(mulberry_call_dtmf);

/*
 * call_dtmf(call_id, tenant, floor_dbm0, track): the audio is heard as it is read, and never in
 * memory as a whole.  The receiver knows which packets are missing.
 */
Datum
mulberry_call_dtmf(PG_FUNCTION_ARGS)
{
	mulberry_track track;
	mulberry_call_samples *audio;
	mulberry_digit_sink sink;
	mb_dtmf_holes *holes;
	int16 *samples;
	int64 lost;
	size_t n;

	InitMaterializedSRF(fcinfo, 0);
	audio =
		mulberry_open_call_samples(mulberry_track_argument(fcinfo, 3, &track), GetActiveSnapshot());
	if (audio == NULL)
		elog(ERROR, "a call went away within a snapshot");
	sink = (mulberry_digit_sink){ .result = (ReturnSetInfo *) fcinfo->resultinfo,
								  .sample_rate = mulberry_call_sample_rate(audio),
								  .long_times = true };
	holes =
		mulberry_dtmf_holes_receiver(sink.sample_rate, &fcinfo->args[2], mulberry_put_digit, &sink);
	samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	while ((n = mulberry_next_heard_samples(audio, samples, &lost)) > 0 || lost > 0)
	{
		mb_dtmf_holes_lost(holes, lost);
		mb_dtmf_holes_feed(holes, samples, n);
	}
	mb_dtmf_holes_flush(holes);
	mulberry_close_call_samples(audio);
	return (Datum) 0;
}
