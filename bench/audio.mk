# Audio in SQL beside the core alone, and the resampler beside speexdsp's.
#
#	make -C bench audio				both
#	make -C bench audio-sql			an hour decoded: time, memory, cancelling
#	make -C bench audio-resample	ns a sample for each pair of rates

BENCHES += audio

PROGRAMS += $(BUILD)/audio_decode $(BUILD)/audio_resample

$(BUILD)/audio_%: $(here)/audio_%.c $(core)
	$(CC) -O2 -std=gnu11 -Wall -Wextra -Wno-sign-compare -I$(top)/src -o $@ $^ $(if $(filter audio_resample,$(@F)),-lspeexdsp) -lm

audio: audio-resample audio-sql

audio-sql: $(BUILD)/audio_decode
	@$(here)/audio_sql.sh $<

audio-resample: $(BUILD)/audio_resample
	@$<

.PHONY: audio-sql audio-resample
