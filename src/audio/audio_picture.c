/*
 * audio_picture.c
 *	  waveform_svg(): a recording as a picture with its digits and speech.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "audio/picture_lane.h"

PG_FUNCTION_INFO_V1(mulberry_waveform_svg);

static size_t
next_samples(void *arg, int16 *samples, int64 *lost)
{
	*lost = 0;
	return mulberry_audio_next(arg, samples);
}

static void
rewind_audio(void *arg)
{
	mulberry_audio_rewind(arg);
}

/* waveform_svg(audio, encoding, sample_rate, width, height, title) */
Datum
mulberry_waveform_svg(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	mb_waveform_lane lane = { 0 };
	mb_waveform_picture picture = { .lanes = &lane, .n_lanes = 1 };
	mulberry_lane_source source = { .next = next_samples, .rewind = rewind_audio, .arg = &audio };

	for (int i = 0; i < 5; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	mulberry_audio_open(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	picture.width = PG_GETARG_INT32(3);
	picture.height = PG_GETARG_INT32(4);
	mulberry_check_picture_size(picture.width, picture.height);
	if (!PG_ARGISNULL(5) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(5)) > 0)
		picture.title = mulberry_picture_text(PG_GETARG_TEXT_PP(5));
	source.sample_rate = audio.sample_rate;
	source.total = audio.n_samples;
	mulberry_fill_lane(&lane, &source, picture.width);
	PG_RETURN_TEXT_P(mulberry_draw_picture(&picture));
}
