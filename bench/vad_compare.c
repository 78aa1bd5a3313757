/*
 * vad_compare.c
 *	  Voice activity beside another detector: mixes recorded speech with a noise at a
 *	  ratio, says which frames are speech, and counts what a detector missed and made up.
 *
 *	vad_compare mix NOISE SNR SECONDS WAV ... >PCM			16-bit at 8 kHz, and "PCM.labels" to descriptor 3
 *	vad_compare ours PCM LABELS								our decisions, then the counts
 *	vad_compare count PCM LABELS <DECISIONS					the counts of decisions, one digit a frame
 *
 * NOISE is one of recorded.h.  SNR is
 * that of the speech while it is active.  The reference is the clean recording: a frame of 20 ms is
 * speech when its power is within 25 dB of the loud frames' (95 %) of its file, and not speech when none within
 * 300 ms is; what lies between is not counted.
 */
#include "core/audio/vad.h"
#include "recorded.h"

#define GUARD 15 /* frames */

static int
mix(int argc, char **argv)
{
	const char *kind = argv[0];
	double level = sqrt(mb_power_from_dbfs(-26 - atof(argv[1])));
	size_t wanted = (size_t) atoi(argv[2]) * RATE;
	signal s = { 0 };
	signal speech = { 0 };
	FILE *labels = fdopen(3, "w");

	for (int i = 3; i < argc && s.n < wanted; i++)
		append_recording(&s, &speech, argv[i]);
	if (labels == NULL || s.n == 0)
		return 1;
	for (size_t i = 0; i < s.n; i++)
	{
		double value =
			s.samples[i] + (strcmp(kind, "none") == 0 ? 2 * normal() : level * noise(kind, &s, i));
		int16_t sample = (int16_t) lrint(fmax(-32768, fmin(32767, value)));

		fwrite(&sample, 2, 1, stdout);
	}
	for (size_t f = 0; f < speech.n; f++)
	{
		bool near = false;

		for (size_t g = f > GUARD ? f - GUARD : 0; g < speech.n && g <= f + GUARD; g++)
			near = near || speech.samples[g] > 0;
		fputc(speech.samples[f] > 0 ? '1' : near ? '-' : '0', labels);
	}
	return fclose(labels);
}

static void
count(const char *labels, const char *decisions, size_t n)
{
	size_t speech = 0;
	size_t missed = 0;
	size_t quiet = 0;
	size_t made_up = 0;

	/* two seconds to learn the line */
	for (size_t f = 100; f < n; f++)
	{
		speech += labels[f] == '1';
		missed += labels[f] == '1' && decisions[f] == '0';
		quiet += labels[f] == '0';
		made_up += labels[f] == '0' && decisions[f] == '1';
	}
	printf("%5.1f %5.1f", 100.0 * (double) missed / (double) speech,
		   100.0 * (double) made_up / (double) quiet);
}

static void
mark(void *arg, const mb_vad_event *event)
{
	char *decisions = arg;

	if (event->kind == MB_VAD_SPEECH_ENDED)
		memset(decisions + event->onset / FRAME, '1', (event->end - event->onset) / FRAME);
}

int
main(int argc, char **argv)
{
	size_t n;
	size_t bytes;
	char *labels;
	char *decisions;

	if (argc > 5 && strcmp(argv[1], "mix") == 0)
		return mix(argc - 2, argv + 2);
	if (argc != 4)
		return 2;
	labels = (char *) read_file(argv[3], &n);
	decisions = malloc(n + 2);
	memset(decisions, '0', n + 2);
	if (strcmp(argv[1], "ours") == 0)
	{
		mb_vad_options options = mb_vad_default_options;
		mb_vad vad;
		int16_t *samples = (int16_t *) (void *) read_file(argv[2], &bytes);

		options.on_event = mark;
		options.arg = decisions;
		if (mb_vad_init(&vad, RATE, &options) != MB_OK)
			return 1;
		mb_vad_feed(&vad, samples, bytes / 2);
		mb_vad_flush(&vad);
	}
	else if (fread(decisions, 1, n, stdin) != n)
		return 1;
	count(labels, decisions, n);
	return 0;
}
