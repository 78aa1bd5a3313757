/*
 * test_vad_noise.c
 *	  Voice activity in noise: the floor and what moves it, cars, talkers as quiet as the noise, and synthetic
 *	  speech where espeak-ng is installed.
 */
#include "vad_signals.h"

/* A noise that begins is noise after two seconds; one that ends leaves no deafness. */
static void
floor_follows_the_noise(void)
{
	signal s;
	heard h;

	begin(&s, 8000, 7);
	add_noise(&s, -65, 3000);
	add_noise(&s, -35, 6000); /* a car starts */
	add_tone(&s, -18, -35, 1000);
	add_noise(&s, -35, 2000);
	add_noise(&s, -65, 1000); /* and stops */
	add_tone(&s, -40, -65, 1000);
	add_noise(&s, -65, 1000);
	detect(&s, NULL, &h);
	REQUIRE(h.n == 6);
	check_range(ms_of(h.events[0].onset, 8000), 2980, 3020);
	check_range(ms_of(h.events[1].end - h.events[1].onset, 8000), 1700, 2200);
	check_range(ms_of(h.events[3].onset, 8000), 8980, 9020);
	check_range(ms_of(h.events[3].end, 8000), 9980, 10020);
	check_range(ms_of(h.events[5].onset, 8000), 12980, 13020);
	check_range(ms_of(h.events[5].end, 8000), 13980, 14020);
	drop(&s);
}

/* Noise that is there from the start is no speech; speech from the start is. */
static void
calls_may_begin_with_noise_or_speech(void)
{
	for (double level = -65; level <= -38; level += 3)
	{
		signal s;
		heard h;

		begin(&s, 8000, 8);
		add_noise(&s, level, 10000);
		detect(&s, NULL, &h);
		check_int(h.n, 0);
		drop(&s);
	}

	signal s;
	heard h;

	begin(&s, 8000, 9);
	add_tone(&s, -25, -60, 800);
	add_noise(&s, -60, 1000);
	detect(&s, NULL, &h);
	check_int(h.n, 2);
	check_int(h.events[0].onset, 0);
	check_range(ms_of(h.events[1].end, 8000), 780, 820);
	drop(&s);
}

/* Gaps of lost packets, filled with zeros, in a noisy call are no events. */
static void
lost_packets_do_not_lower_the_floor(void)
{
	signal s;
	heard h;

	begin(&s, 8000, 10);
	for (int i = 0; i < 20; i++)
	{
		add_noise(&s, -42, 700);
		add_silence(&s, 20 + 23 * i);
	}
	detect(&s, NULL, &h);
	check_int(h.n, 0);
	drop(&s);
}

static void
direct_current_is_no_sound(void)
{
	signal s;
	heard h;

	begin(&s, 8000, 11);
	add_noise(&s, -60, 1000);
	add_tone(&s, -35, -60, 500);
	add_noise(&s, -60, 1000);
	for (size_t i = 0; i < s.n; i++)
		s.samples[i] = (int16_t) (s.samples[i] + 8000);
	detect(&s, NULL, &h);
	REQUIRE(h.n == 2);
	check_range(ms_of(h.events[1].onset, 8000), 980, 1020);
	check_range(ms_of(h.events[1].end, 8000), 1480, 1520);
	drop(&s);
}

/* Noise of a car: white noise through four poles at 100 Hz. */
static void
add_car(signal *s, double dbfs, double ms)
{
	double k = 1 - exp(-2 * PI * 100 / s->rate);
	double low[4] = { 0 };
	/* the filter lets through about this much of its power */
	double gain = sqrt(mb_power_from_dbfs(dbfs) * s->rate / 8000) * 8.5;
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
	{
		/* gusts: its level swings by 12 dB */
		double swing = pow(10, 0.3 * sin(2 * PI * (double) i / s->rate / 1.3));

		low[0] += k * (check_random_normal(&s->random) - low[0]);
		for (int j = 1; j < 4; j++)
			low[j] += k * (low[j - 1] - low[j]);
		add_sample(s, swing * gain * low[3]);
	}
}

/* A vowel, harmonics of this pitch up to 1200 Hz with the same level together, in white noise of that one. */
static void
add_vowel(signal *s, double pitch, double dbfs, double noise_dbfs, double ms)
{
	int harmonics = (int) (1200 / pitch);
	double peak = sqrt(2 * mb_power_from_dbfs(dbfs) / harmonics);
	double noise = sqrt(mb_power_from_dbfs(noise_dbfs));
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
	{
		double value = noise * check_random_normal(&s->random);

		for (int h = 1; h <= harmonics; h++)
			value += peak * sin(2 * PI * h * pitch * (double) i / s->rate + h * h);
		add_sample(s, value);
	}
}

/* Clicks at random, so many a second, of noise that begins at once and fades by these ms, some louder than others, in noise. */
static void
add_clicks(signal *s, double a_second, double fading_ms, double dbfs, double noise_dbfs, double ms)
{
	double peak = sqrt(mb_power_from_dbfs(dbfs));
	double noise = sqrt(mb_power_from_dbfs(noise_dbfs));
	double click = 0;
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
	{
		if (check_random_uniform(&s->random) < a_second / s->rate)
			click = peak * exp(check_random_normal(&s->random) / 2);
		add_sample(s, (click + noise) * check_random_normal(&s->random));
		click *= exp(-1000.0 / (fading_ms * s->rate));
	}
}

static double
heard_ms(const heard *h, int rate)
{
	uint64_t samples = 0;

	for (int i = 0; i < h->n; i++)
		if (h->events[i].kind == MB_VAD_SPEECH_ENDED)
			samples += h->events[i].end - h->events[i].onset;
	return ms_of(samples, rate);
}

/* Keys and drops, and a talker among them, who is told as soon as one on a quiet line. */
static void
clicks_are_no_speech(void)
{
	static const int rates[] = { 8000, 16000, 44100, 48000 };
	static const struct
	{
		double a_second;
		double fading_ms;
		double noise_dbfs;
	} clicks[] = { { 12, 6, -60 }, { 20, 2, -55 }, { 30, 3, -50 } };

	for (int r = 0; r < 4; r++)
		for (int c = 0; c < 3; c++)
		{
			signal s;
			heard h;
			size_t voice;
			bool told = false;

			begin(&s, rates[r], 21 + (uint64_t) c);
			add_clicks(&s, clicks[c].a_second, clicks[c].fading_ms, -18, clicks[c].noise_dbfs,
					   20000);
			detect(&s, NULL, &h);
			check_range(heard_ms(&h, s.rate), 0, 2000);
			voice = s.n;
			add_vowel(&s, 110, -16, clicks[c].noise_dbfs, 800);
			add_clicks(&s, clicks[c].a_second, clicks[c].fading_ms, -18, clicks[c].noise_dbfs,
					   1000);
			detect(&s, NULL, &h);
			for (int i = 0; i < h.n; i++)
				told = told ||
					   (h.events[i].kind == MB_VAD_SPEECH_STARTED && h.events[i].detected > voice &&
						h.events[i].detected <= voice + (size_t) s.rate * 120 / 1000);
			check(told);
			drop(&s);
		}
}

static void
cars_are_no_speech(void)
{
	static const int rates[] = { 8000, 16000, 44100, 48000 };

	for (int r = 0; r < 4; r++)
	{
		signal s;
		heard h;

		begin(&s, rates[r], 14);
		add_car(&s, -35, 10000);
		detect(&s, NULL, &h);
		check_int(h.n, 0);
		add_tone(&s, -30, -90, 800);
		add_car(&s, -35, 2000);
		detect(&s, NULL, &h);
		REQUIRE(h.n == 2);
		check_range(ms_of(h.events[1].onset, s.rate), 9980, 10020);
		check_range(ms_of(h.events[1].end, s.rate), 10780, 10820);
		drop(&s);
	}
}

typedef struct reasons
{
	int of[MB_VAD_VOICED + 1];
	uint64_t frames;
	uint64_t last;
} reasons;

static void
note_frame(void *arg, const mb_vad_frame *frame)
{
	reasons *r = arg;

	r->of[frame->reason]++;
	r->frames++;
	r->last = frame->position;
	check(frame->voicing == -1 || (frame->voicing >= 0 && frame->voicing <= 1));
	check_int(frame->voicing == -1 && frame->reason == MB_VAD_VOICED, 0);
}

/* A talker as loud as the noise raises the power by 3 dB only: the pitch tells. */
static void
talkers_are_heard_in_noise_by_their_pitch(void)
{
	for (double pitch = 80; pitch <= 320; pitch *= 1.26)
	{
		signal s;
		mb_vad vad;
		reasons noise = { 0 };
		reasons voice = { 0 };
		mb_vad_options options = mb_vad_default_options;

		begin(&s, 8000, (uint64_t) pitch);
		add_noise(&s, -40, 5000);
		add_vowel(&s, pitch, -40, -40, 1000);
		options.on_frame = note_frame;
		options.arg = &noise;
		REQUIRE(mb_vad_init(&vad, 8000, &options) == MB_OK);
		mb_vad_feed(&vad, s.samples, 40000);
		check(!mb_vad_speaking(&vad));
		check(noise.of[MB_VAD_QUIET] >= 249);
		check_int(noise.frames, 250);
		check_int(noise.last, 40000);
		vad.options.arg = &voice;
		mb_vad_feed(&vad, s.samples + 40000, 8000);
		check(mb_vad_speaking(&vad));
		check(voice.of[MB_VAD_QUIET] <= 5);
		check(voice.of[MB_VAD_VOICED] > voice.of[MB_VAD_ENERGY]);
		drop(&s);
	}
}

/*
 * Synthetic speech with pauses, in noise: what is loud in the clean speech is found,
 * and the pauses are not.
 */
static void
speech_in_noise_is_found(void)
{
	static const char *const texts[] = {
		"Good morning, I would like to ask about my appointment on Thursday.",
		"Please cancel the payment to the hotel. My number is four seven one one.",
		"No, thank you, that is all I needed to know today.",
	};
	static const char *const voices[] = { "en-us", "en-gb+f3", "de" };

	if (system("command -v espeak-ng >/dev/null 2>&1 && command -v sox >/dev/null 2>&1") != 0)
		check_skip("espeak-ng or sox is not installed");
	for (int i = 0; i < 9; i++)
	{
		char command[512];
		int16_t buffer[800];
		signal clean;
		signal noisy;
		heard h;
		size_t n;
		FILE *pipe;
		size_t speech_frames = 0;
		size_t found_frames = 0;
		size_t pause_frames = 0;
		size_t false_frames = 0;

		begin(&clean, 8000, 14);
		for (int part = 0; part < 2; part++)
		{
			add_silence(&clean, 1500);
			snprintf(command, sizeof(command),
					 "espeak-ng -v %s --stdout \"%s\" | sox -D -V1 -t wav - -r 8000 -c 1 "
					 "-e signed -b 16 -t raw - norm -12",
					 voices[i / 3], texts[(i + part) % 3]);
			pipe = popen(command, "r");
			REQUIRE(pipe != NULL);
			while ((n = fread(buffer, 2, 800, pipe)) > 0)
			{
				for (size_t k = 0; k < n; k++)
					add_sample(&clean, buffer[k]);
			}
			pclose(pipe);
		}
		add_silence(&clean, 1500);
		REQUIRE(clean.n > 40000);

		begin(&noisy, 8000, 15);
		for (size_t k = 0; k < clean.n; k++)
			add_sample(&noisy, clean.samples[k] + sqrt(mb_power_from_dbfs(-48)) *
													  check_random_normal(&noisy.random));
		detect(&noisy, NULL, &h);
		for (size_t frame = 0; (frame + 1) * 160 <= clean.n; frame++)
		{
			mb_level level;
			mb_level around;
			bool found = false;
			size_t from = frame > 20 ? (frame - 20) * 160 : 0;
			size_t to = (frame + 20) * 160 < clean.n ? (frame + 20) * 160 : clean.n;

			mb_level_init(&level);
			mb_level_feed(&level, clean.samples + frame * 160, 160);
			mb_level_init(&around);
			mb_level_feed(&around, clean.samples + from, to - from);
			for (int e = 1; e < h.n; e += 2)
				found |= frame * 160 >= h.events[e].onset && (frame + 1) * 160 <= h.events[e].end;
			if (mb_level_rms_dbfs(&level) > -38)
			{
				speech_frames++;
				found_frames += found;
			}
			else if (mb_level_peak_dbfs(&around) < -60)
			{
				pause_frames++;
				false_frames += found;
			}
		}
		REQUIRE(speech_frames > 100 && pause_frames > 100);
		if (!check_range((double) found_frames / (double) speech_frames, 0.97, 1))
			check_note("voice %s, text %d", voices[i / 3], i % 3);
		check_int(false_frames, 0);
		drop(&clean);
		drop(&noisy);
	}
}

int
main(void)
{
	check_run("the floor follows the noise", floor_follows_the_noise);
	check_run("calls may begin with noise or speech", calls_may_begin_with_noise_or_speech);
	check_run("lost packets do not lower the floor", lost_packets_do_not_lower_the_floor);
	check_run("direct current is no sound", direct_current_is_no_sound);
	check_run("cars are no speech", cars_are_no_speech);
	check_run("clicks are no speech", clicks_are_no_speech);
	check_run("talkers are heard in noise by their pitch",
			  talkers_are_heard_in_noise_by_their_pitch);
	check_run("speech in noise is found, pauses are not", speech_in_noise_is_found);
	return check_done();
}
