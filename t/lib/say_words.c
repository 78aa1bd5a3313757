/*
 * say_words.c
 *	  Speaks a text with a voice of flite, and tells when each word is said: the truth that
 *	  transcripts are measured by.
 *
 * usage: say_words VOICE TEXT FILE	(rms or slt; FILE gets 16-bit samples at 16 kHz)
 * Each line of the output is a word, its begin and its end in seconds.
 */
#include <flite/flite.h>

#include <stdio.h>
#include <string.h>

extern cst_voice *register_cmu_us_rms(const char *directory);
extern cst_voice *register_cmu_us_slt(const char *directory);

int
main(int argc, char **argv)
{
	cst_voice *voice;
	cst_utterance *utterance;
	const cst_wave *wave;
	FILE *file;

	if (argc != 4 || flite_init() < 0)
		return 2;
	voice = strcmp(argv[1], "rms") == 0 ? register_cmu_us_rms(NULL) : register_cmu_us_slt(NULL);
	utterance = flite_synth_text(argv[2], voice);
	if (utterance == NULL)
		return 2;
	for (const cst_item *word = relation_head(utt_relation(utterance, "Word")); word != NULL;
		 word = item_next(word))
		printf("%s %.3f %.3f\n", item_name(word),
			   ffeature_float(word, "R:SylStructure.daughter1.daughter1.R:Segment.p.end"),
			   ffeature_float(word, "R:SylStructure.daughtern.daughtern.R:Segment.end"));
	wave = utt_wave(utterance);
	file = fopen(argv[3], "wb");
	if (file == NULL || cst_wave_sample_rate(wave) != 16000 ||
		fwrite(cst_wave_samples(wave), 2, (size_t) cst_wave_num_samples(wave), file) !=
			(size_t) cst_wave_num_samples(wave) ||
		fclose(file) != 0)
		return 2;
	return 0;
}
