# Audio in SQL beside the core alone, and the resampler beside speexdsp's.
#
#	make -C bench audio				both
#	make -C bench audio-sql			an hour decoded: time, memory, cancelling
#	make -C bench audio-resample	ns a sample for each pair of rates

BENCHES += audio

audio_build := $(top)/build/bench
audio_core := $(wildcard $(top)/src/core/audio/dtmf*.c) $(addprefix $(top)/src/core/,mb.c audio/g711.c audio/resample.c)
audio_headers := $(wildcard $(top)/src/core/*.h $(top)/src/core/audio/*.h)

$(audio_build)/audio_%: $(here)/audio_%.c $(audio_core) $(audio_headers)
	@mkdir -p $(@D)
	$(CC) -O2 -std=gnu11 -Wall -Wextra -Wno-sign-compare -I$(top)/src -o $@ $< $(audio_core) \
		$(if $(filter audio_resample,$(@F)),-lspeexdsp) -lm

audio: audio-resample audio-sql

audio-sql: $(audio_build)/audio_decode
	@$(here)/audio_sql.sh $<

audio-resample: $(audio_build)/audio_resample
	@$<

.PHONY: audio-sql audio-resample
