/*
 * test_vad.c
 *	  Voice activity: times, thresholds, hangover and floor on made signals, and
 *	  synthetic speech in noise where espeak-ng is installed.
 */
#include "check.h"
#include "core/audio/level.h"
#include "core/audio/vad.h"

#define PI 3.14159265358979323846
#define MAX_EVENTS 200

typedef struct heard
{
	int n;
	mb_vad_event events[MAX_EVENTS];
} heard;

static void
note_event(void *arg, const mb_vad_event *event)
{
	heard *h = arg;

	if (h->n < MAX_EVENTS)
		h->events[h->n++] = *event;
}

/* A signal under construction: parts of noise or tone, one after the other. */
typedef struct signal
{
	int rate;
	size_t n;
	size_t capacity;
	int16_t *samples;
	check_random random;
} signal;

static void
begin(signal *s, int rate, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->rate = rate;
	s->random.state = seed;
}

static void
add_sample(signal *s, double value)
{
	if (s->n == s->capacity)
	{
		s->capacity = s->capacity * 2 + 8000;
		s->samples = realloc(s->samples, s->capacity * sizeof(int16_t));
	}
	s->samples[s->n++] = (int16_t) lrint(fmax(-32768, fmin(32767, value)));
}

/* White noise of this RMS level. */
static void
add_noise(signal *s, double dbfs, double ms)
{
	double rms = sqrt(mb_power_from_dbfs(dbfs));
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
		add_sample(s, rms * check_random_normal(&s->random));
}

/* A tone of this RMS level over noise of that one. */
static void
add_tone(signal *s, double dbfs, double noise_dbfs, double ms)
{
	double peak = sqrt(2 * mb_power_from_dbfs(dbfs));
	double noise = sqrt(mb_power_from_dbfs(noise_dbfs));
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
		add_sample(s, peak * sin(2 * PI * 400 * (double) i / s->rate) +
						  noise * check_random_normal(&s->random));
}

static void
add_silence(signal *s, double ms)
{
	size_t n = (size_t) (ms * s->rate / 1000);

	for (size_t i = 0; i < n; i++)
		add_sample(s, 0);
}

static void
drop(signal *s)
{
	free(s->samples);
	s->samples = NULL;
}

static void
detect(const signal *s, const mb_vad_options *options, heard *h)
{
	mb_vad vad;
	mb_vad_options all = options != NULL ? *options : mb_vad_default_options;

	h->n = 0;
	all.on_event = note_event;
	all.arg = h;
	if (mb_vad_init(&vad, s->rate, &all) != MB_OK)
		abort();
	mb_vad_feed(&vad, s->samples, s->n);
	mb_vad_flush(&vad);
}

static double
ms_of(uint64_t position, int rate)
{
	return (double) position * 1000 / rate;
}

static void
segment_times_are_those_of_the_signal(void)
{
	static const int rates[] = { 8000, 16000, 44100, 48000 };

	for (int r = 0; r < 4; r++)
	{
		/* the segment falls anywhere on the frames */
		for (int shift = 0; shift < 20; shift += 3)
		{
			signal s;
			heard h;

			begin(&s, rates[r], 1);
			add_noise(&s, -60, 1000 + shift);
			add_tone(&s, -25, -60, 700);
			add_noise(&s, -60, 1000);
			detect(&s, NULL, &h);
			REQUIRE(h.n == 2);
			check_int(h.events[0].kind, MB_VAD_SPEECH_STARTED);
			check_int(h.events[1].kind, MB_VAD_SPEECH_ENDED);
			check_int(h.events[0].onset, h.events[1].onset);
			/* within the frame in which it begins and ends */
			check_range(ms_of(h.events[1].onset, s.rate), 1000 + shift - 20, 1000 + shift + 20);
			check_range(ms_of(h.events[1].end, s.rate), 1700 + shift - 20, 1700 + shift + 20);
			/* known after 100 ms of speech, and 250 ms (13 frames) after its end */
			check_near(ms_of(h.events[0].detected - h.events[0].onset, s.rate), 100, 0.01);
			check_near(ms_of(h.events[1].detected - h.events[1].end, s.rate), 260, 0.01);
			check_range(h.events[1].level_dbfs, -26, -24.9);
			drop(&s);
		}
	}
}

static void
short_bursts_are_no_speech(void)
{
	for (int shift = 0; shift < 20; shift++)
	{
		signal s;
		heard h;

		begin(&s, 8000, 2);
		add_noise(&s, -60, 500 + shift);
		add_tone(&s, -20, -60, 60);
		add_noise(&s, -60, 500);
		add_tone(&s, -20, -60, 20);
		/* clicks further apart than a pause within speech do not add up */
		for (int i = 0; i < 8; i++)
		{
			add_noise(&s, -60, 85);
			add_tone(&s, -20, -60, 20);
		}
		detect(&s, NULL, &h);
		check_int(h.n, 0);
		add_noise(&s, -60, 500);
		add_tone(&s, -20, -60, 120);
		add_noise(&s, -60, 500);
		detect(&s, NULL, &h);
		check_int(h.n, 2);
		drop(&s);
	}
}

static void
pauses_up_to_the_hangover_are_bridged(void)
{
	for (int pause = 100; pause <= 400; pause += 20)
	{
		signal s;
		heard h;

		begin(&s, 8000, (uint64_t) pause);
		add_noise(&s, -60, 1000);
		add_tone(&s, -25, -60, 500);
		add_noise(&s, -60, pause);
		add_tone(&s, -25, -60, 500);
		add_noise(&s, -60, 1000);
		detect(&s, NULL, &h);
		if (pause <= 240)
		{
			check_int(h.n, 2);
			check_range(ms_of(h.events[1].end, 8000), 1980 + pause, 2020 + pause);
		}
		else if (pause >= 260)
			check_int(h.n, 4);
		drop(&s);
	}
}

/* Levels around the thresholds, 9 dB up and 6 dB up, and the absolute one. */
static void
thresholds_are_where_they_are_said_to_be(void)
{
	signal s;
	heard h;
	mb_vad vad;

	/* a floor of -50 dBFS: 7 dB above does not start, 12 dB does */
	begin(&s, 8000, 4);
	add_noise(&s, -50, 3000);
	add_noise(&s, -43, 500);
	detect(&s, NULL, &h);
	check_int(h.n, 0);
	add_noise(&s, -50, 3000);
	add_noise(&s, -38, 500);
	/* once started, 7.5 dB above the floor goes on, 3 dB does not */
	add_noise(&s, -42.5, 700);
	detect(&s, NULL, &h);
	check_int(h.n, 2);
	check_range(ms_of(h.events[1].end, 8000), 7680, 7700);
	add_noise(&s, -47, 500);
	detect(&s, NULL, &h);
	check_int(h.n, 2);
	check_range(ms_of(h.events[1].end, 8000), 7680, 7720);
	drop(&s);

	/* on a line of digital silence -52 dBFS is no speech, -48 is */
	begin(&s, 8000, 5);
	add_silence(&s, 2000);
	add_noise(&s, -52, 500);
	add_silence(&s, 2000);
	detect(&s, NULL, &h);
	check_int(h.n, 0);
	add_noise(&s, -48, 500);
	add_silence(&s, 2000);
	detect(&s, NULL, &h);
	check_int(h.n, 2);
	drop(&s);

	/* the floor that is told is the noise's */
	begin(&s, 8000, 6);
	add_noise(&s, -47, 4000);
	mb_vad_init(&vad, 8000, &mb_vad_default_options);
	mb_vad_feed(&vad, s.samples, s.n);
	check_range(mb_vad_floor_dbfs(&vad), -50, -46.9);
	check_range(mb_vad_level_dbfs(&vad), -48.5, -45.5);
	drop(&s);
}

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

static void
result_does_not_depend_on_chunking(void)
{
	static const size_t sizes[] = { 1, 13, 159, 160, 161, 1024 };
	signal s;
	heard whole;

	begin(&s, 8000, 12);
	for (int i = 0; i < 12; i++)
	{
		add_noise(&s, -55, 100 + 37 * i);
		add_tone(&s, -30, -55, 60 + 41 * i);
	}
	add_tone(&s, -30, -55, 11); /* a last frame that is not full */
	detect(&s, NULL, &whole);
	check(whole.n > 4);
	for (size_t k = 0; k <= sizeof(sizes) / sizeof(sizes[0]); k++)
	{
		mb_vad vad;
		heard h = { 0 };
		mb_vad_options options = mb_vad_default_options;
		size_t position = 0;

		options.on_event = note_event;
		options.arg = &h;
		REQUIRE(mb_vad_init(&vad, 8000, &options) == MB_OK);
		/* twice, to see that flush starts anew */
		for (int turn = 0; turn < 2; turn++)
		{
			h.n = 0;
			position = 0;
			while (position < s.n)
			{
				size_t size = k < sizeof(sizes) / sizeof(sizes[0])
								  ? sizes[k]
								  : check_random_below(&s.random, 700);

				if (size > s.n - position)
					size = s.n - position;
				mb_vad_feed(&vad, s.samples + position, size);
				position += size;
			}
			mb_vad_flush(&vad);
			REQUIRE(h.n == whole.n);
			for (int i = 0; i < h.n; i++)
			{
				check_int(h.events[i].kind, whole.events[i].kind);
				check_int(h.events[i].onset, whole.events[i].onset);
				check_int(h.events[i].end, whole.events[i].end);
				check_int(h.events[i].detected, whole.events[i].detected);
				check(h.events[i].level_dbfs == whole.events[i].level_dbfs);
			}
		}
	}
	drop(&s);
}

/* What a conversation asks of the detector while it runs. */
static void
state_can_be_asked_at_any_time(void)
{
	signal s;
	mb_vad vad;

	begin(&s, 8000, 13);
	add_noise(&s, -60, 1000);
	add_tone(&s, -25, -60, 1000);
	add_noise(&s, -60, 1000);
	REQUIRE(mb_vad_init(&vad, 8000, &mb_vad_default_options) == MB_OK);
	for (int frame = 0; frame < 150; frame++)
	{
		int ms = 20 * (frame + 1);

		mb_vad_feed(&vad, s.samples + 160 * frame, 160);
		check_int(mb_vad_speaking(&vad), ms >= 1100 && ms < 2260);
		if (ms <= 1000 || ms >= 2260)
		{
			check_int(mb_vad_speech_ms(&vad), 0);
			check_int(mb_vad_quiet_ms(&vad), 0);
		}
		else
		{
			check_int(mb_vad_speech_ms(&vad), (ms < 2000 ? ms : 2000) - 1000);
			check_int(mb_vad_quiet_ms(&vad), ms < 2000 ? 0 : ms - 2000);
		}
	}
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

static void
bad_arguments_are_refused(void)
{
	mb_vad vad;
	mb_vad_options options = mb_vad_default_options;

	check_int(mb_vad_init(&vad, 11025, &options), MB_ERR_RATE);
	check_int(mb_vad_init(&vad, 0, &options), MB_ERR_RATE);
#define REFUSED(field, value)                                                                      \
	options = mb_vad_default_options;                                                              \
	options.field = (value);                                                                       \
	check_int(mb_vad_init(&vad, 8000, &options), MB_ERR_RANGE)
	REFUSED(on_db, 2.9);
	REFUSED(on_db, 41);
	REFUSED(on_db, NAN);
	REFUSED(off_db, 0.5);
	REFUSED(off_db, 9.5);
	REFUSED(off_db, NAN);
	REFUSED(min_dbfs, -91);
	REFUSED(min_dbfs, 1);
	REFUSED(min_dbfs, -INFINITY);
	REFUSED(start_ms, 19);
	REFUSED(start_ms, 1001);
	REFUSED(hangover_ms, 0);
	REFUSED(hangover_ms, 10001);
	/* without a callback the state can still be asked */
	check_int(mb_vad_init(&vad, 8000, &mb_vad_default_options), MB_OK);
	mb_vad_flush(&vad);
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
	check_run("segment times are those of the signal", segment_times_are_those_of_the_signal);
	check_run("short bursts are no speech", short_bursts_are_no_speech);
	check_run("pauses up to the hangover are bridged", pauses_up_to_the_hangover_are_bridged);
	check_run("thresholds are where they are said to be", thresholds_are_where_they_are_said_to_be);
	check_run("the floor follows the noise", floor_follows_the_noise);
	check_run("calls may begin with noise or speech", calls_may_begin_with_noise_or_speech);
	check_run("lost packets do not lower the floor", lost_packets_do_not_lower_the_floor);
	check_run("direct current is no sound", direct_current_is_no_sound);
	check_run("the result does not depend on chunking", result_does_not_depend_on_chunking);
	check_run("the state can be asked at any time", state_can_be_asked_at_any_time);
	check_run("cars are no speech", cars_are_no_speech);
	check_run("talkers are heard in noise by their pitch",
			  talkers_are_heard_in_noise_by_their_pitch);
	check_run("bad arguments are refused", bad_arguments_are_refused);
	check_run("speech in noise is found, pauses are not", speech_in_noise_is_found);
	return check_done();
}
