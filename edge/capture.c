/*
 * capture.c
 *	  "mulberry-edge capture": what a device hears becomes calls, for as long as the program runs.
 *
 * Three threads: one moves samples from the device into a ring, this one makes packets of them, a third one posts. Only the
 * last one waits for the database.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "gate.h"
#include "outbox.h"
#include "packets.h"
#include "recorder.h"
#include "status.h"
#include "thread.h"

#define BEFORE 50 /* blocks before a gate opens that belong to the call: a second */
#define TURN 1000 /* milliseconds */
#define SHORT_TURN 20

typedef struct capture capture;

typedef struct channel
{
	capture *capture;
	const char *track; /* NULL: the call's first */
	edge_packets *packets;
} channel;

struct capture
{
	const edge_options *options;
	edge_recorder *recorder;
	edge_audio_traits traits;
	edge_outbox *outbox;
	edge_status *status;
	int64_t status_set; /* edge_clock() */
	edge_gate *gate;
	mb_encoding encoding;
	int sample_rate;
	char rate_text[8];
	channel channels[EDGE_MAX_CHANNELS];
	bool in_call;
	bool refused; /* the server does not take this call any more */
	char call_id[EDGE_CALL_ID + 1];
	int64_t call_time; /* edge_clock() of its first frame */
	uint64_t frames;   /* of the device, in all, those that were lost among them */
	uint64_t lost;
	bool waits; /* what the ring holds of a file waits for the database */

	/* what came last while the gate was closed */
	int16_t *before;
	edge_audio_block before_blocks[BEFORE];
	unsigned n_before;
	int signals;
};

static void
on_packet(void *arg, int64_t sequence, const uint8_t *data, size_t n)
{
	channel *c = arg;
	capture *s = c->capture;
	edge_packet packet = { .track = c->track,
						   .sequence = sequence,
						   .time = s->call_time + sequence * EDGE_BLOCK_MS * INT64_C(1000000),
						   .data = data,
						   .n = n };

	if (!edge_outbox_put(s->outbox, s->call_id, &packet))
		s->refused = true;
}

static void
end_call(capture *s)
{
	for (int i = 0; i < s->traits.channels; i++)
	{
		edge_packets_flush(s->channels[i].packets);
		if (i == s->traits.channels - 1 && !s->refused)
			edge_outbox_complete(s->outbox, s->call_id,
								 edge_packets_sequences(s->channels[i].packets));
		edge_packets_free(s->channels[i].packets);
		s->channels[i].packets = NULL;
	}
	s->in_call = false;
}

/* False: out of memory. */
static bool
begin_call(capture *s, int64_t time)
{
	edge_call_name(s->options->name, s->call_id);
	s->refused = false;
	s->call_time = time != 0 ? time : edge_clock();
	for (int i = 0; i < s->traits.channels; i++)
	{
		s->channels[i].packets = edge_packets_new(s->traits.sample_rate, s->sample_rate,
												  s->encoding, on_packet, &s->channels[i]);
		if (s->channels[i].packets == NULL)
			return false;
	}
	s->in_call = true;
	return true;
}

static void
feed(capture *s, const int16_t *samples, const edge_audio_block *block)
{
	for (int i = 0; i < s->traits.channels; i++)
	{
		if (block->lost > 0)
			edge_packets_lost(s->channels[i].packets, block->lost);
		edge_packets_feed(s->channels[i].packets, samples + i, block->frames, s->traits.channels);
	}
}

/* Keeps a block that may turn out to belong to a call. */
static void
keep(capture *s, const int16_t *samples, const edge_audio_block *block)
{
	unsigned place = s->n_before++ % BEFORE;

	s->before_blocks[place] = *block;
	memcpy(s->before + place * s->traits.block * (size_t) s->traits.channels, samples,
		   block->frames * (size_t) s->traits.channels * sizeof(int16_t));
}

static bool
begin_with_what_was_kept(capture *s)
{
	unsigned first = s->n_before > BEFORE ? s->n_before - BEFORE : 0;

	if (!begin_call(s, s->before_blocks[first % BEFORE].time))
		return false;
	for (unsigned i = first; i < s->n_before; i++)
	{
		edge_audio_block *block = &s->before_blocks[i % BEFORE];

		if (i == first)
			block->lost = 0;
		feed(s, s->before + i % BEFORE * s->traits.block * (size_t) s->traits.channels, block);
	}
	s->n_before = 0;
	return true;
}

/* Whether what is not live has to wait: a file for the database, so that nothing of it is dropped, a pipe only for the spool's disk. */
static bool
must_wait(const capture *s)
{
	edge_outbox_state posting;

	if (s->traits.pace != EDGE_PACED_BY_NOBODY)
		return false;
	edge_outbox_look(s->outbox, &posting);
	return s->traits.frames == 0 ? posting.disk_full : posting.full;
}

/* Takes what is in the ring, or with "all" not set what there is room for; false: out of memory. */
static bool
take_blocks(capture *s, bool all)
{
	const int16_t *samples;
	edge_audio_block block;

	while (!(s->waits = !all && must_wait(s)) && edge_recorder_take(s->recorder, &samples, &block))
	{
		bool open = edge_gate_hear(s->gate, samples, block.frames, s->traits.channels);
		int64_t most = (int64_t) s->options->call_minutes * 60 * 1000 / EDGE_BLOCK_MS;
		bool fine = true;

		s->frames += block.frames + block.lost;
		s->lost += block.lost;
		if (s->in_call &&
			(!open || s->refused || edge_packets_sequences(s->channels[0].packets) >= most))
			end_call(s);
		if (s->in_call)
			feed(s, samples, &block);
		else
			keep(s, samples, &block);
		edge_recorder_done(s->recorder);
		if (!s->in_call && open)
			fine = begin_with_what_was_kept(s);
		if (!fine)
			return false;
	}
	return true;
}

/* On standard error, a line. */
static void
tell(capture *s)
{
	edge_recorder_state device;
	edge_outbox_state posting;

	char spool[128] = "";

	edge_recorder_look(s->recorder, &device);
	edge_outbox_look(s->outbox, &posting);
	if (posting.has_spool)
		snprintf(spool, sizeof(spool), "; spool %.1f MB, %" PRIu64 " records to be posted%s",
				 (double) posting.spool_bytes / 1048576, posting.spool_unposted,
				 posting.spool_error != 0 ? ", its disk takes nothing" : "");
	fprintf(stderr,
			"mulberry-edge: device %s, %s; heard %.3f s, lost %.3f s (overruns %u, suspends %u, "
			"departures %u, short reads %u, late %" PRIu64
			" samples); call %s; %s %s; acknowledged %" PRIu64 ", waiting %" PRIu64
			", dropped %" PRIu64 " packets%s%s%s\n",
			s->traits.detail,
			device.away	   ? "away"
			: device.ended ? "ended"
						   : "recording",
			(double) (s->frames - s->lost) / s->traits.sample_rate,
			(double) s->lost / s->traits.sample_rate, device.overruns, device.suspends,
			device.departures, device.short_reads, device.late, s->in_call ? s->call_id : "none",
			s->options->gateway != NULL ? "gateway" : "database",
			posting.connected ? "connected" : "away", posting.acknowledged, posting.waiting,
			posting.dropped, spool, posting.problem[0] == '\0' ? "" : "; ", posting.problem);
}

/* For the row in the database. */
static void
set_status(capture *s, const char *state)
{
	edge_recorder_state device;

	edge_recorder_look(s->recorder, &device);
	edge_status_set_device(
		s->status,
		&(edge_status_device){ .state = state != NULL ? state
										: device.away ? "device away"
													  : "recording",
							   .device = s->traits.detail,
							   .call_id = s->in_call ? s->call_id : NULL,
							   .heard = (double) (s->frames - s->lost) / s->traits.sample_rate,
							   .lost = (double) s->lost / s->traits.sample_rate,
							   .late = (double) device.late / s->traits.sample_rate,
							   .overruns = device.overruns,
							   .suspends = device.suspends,
							   .departures = device.departures });
	s->status_set = edge_clock();
}

/* What a signal asks for; whether it is to end. */
static bool
heed_signal(capture *s)
{
	int signal = edge_signals_next(s->signals);

	if (signal == SIGUSR1)
		tell(s);
	return signal != 0 && signal != SIGUSR1;
}

static edge_exit
serve(capture *s)
{
	uint64_t enough = (uint64_t) s->options->seconds * (uint64_t) s->traits.sample_rate;
	edge_recorder_state state = { 0 };
	bool was_away = false;
	bool stop = false;

	while (!stop)
	{
		struct pollfd ready[] = { { .fd = s->signals, .events = POLLIN },
								  { .fd = edge_recorder_fd(s->recorder), .events = POLLIN } };

		poll(ready, s->waits ? 1 : 2, s->waits ? SHORT_TURN : TURN);
		if ((ready[0].revents & POLLIN) != 0)
			stop = heed_signal(s);
		/* what is in the ring when it has ended is all there is */
		edge_recorder_look(s->recorder, &state);
		if (!take_blocks(s, false))
			return edge_fail(EDGE_EXIT_FAILED, "out of memory");
		if (state.away != was_away)
			edge_complain(state.away ? "the device is away" : "the device is back");
		was_away = state.away;
		if (edge_clock() - s->status_set >= TURN * INT64_C(1000000))
			set_status(s, NULL);
		stop = stop || (state.ended && !s->waits) || (enough > 0 && s->frames >= enough);
	}
	edge_recorder_stop(s->recorder);
	if (!take_blocks(s, true))
		return edge_fail(EDGE_EXIT_FAILED, "out of memory");
	if (s->in_call)
		end_call(s);
	edge_recorder_look(s->recorder, &state);
	if (edge_exit_of_audio(state.end) != EDGE_EXIT_OK)
		return edge_fail(edge_exit_of_audio(state.end), "%s", edge_recorder_problem(s->recorder));
	return EDGE_EXIT_OK;
}

/* What the settings say of calls and their tracks. */
static edge_exit
prepare(capture *s, edge_outbox_options *posting)
{
	const edge_options *options = s->options;

	posting->n_tracks = s->traits.channels;
	if (!edge_options_tracks(options, posting->n_tracks, posting->track))
		return EDGE_EXIT_USAGE;
	for (int i = 0; i < posting->n_tracks; i++)
		s->channels[i] = (channel){ .capture = s, .track = posting->track[i] };
	s->sample_rate = options->call_rate == 0 ? 8000 : options->call_rate;
	snprintf(s->rate_text, sizeof(s->rate_text), "%d", s->sample_rate);
	if (mb_encoding_from_name(options->call_encoding == NULL ? "mulaw" : options->call_encoding,
							  &s->encoding) != MB_OK)
		return edge_fail(EDGE_EXIT_USAGE, "call-encoding: must be mulaw, alaw or s16le");
	s->channels[0].packets =
		edge_packets_new(s->traits.sample_rate, s->sample_rate, s->encoding, on_packet, s);
	if (s->channels[0].packets == NULL)
		return edge_fail(EDGE_EXIT_FORMAT, "%d Hz cannot be converted to %d Hz",
						 s->traits.sample_rate, s->sample_rate);
	edge_packets_free(s->channels[0].packets);
	s->channels[0].packets = NULL;
	s->gate = edge_gate_new(options->gate, s->traits.sample_rate, options->hangover);
	if (s->gate == NULL)
		return edge_fail(EDGE_EXIT_USAGE,
						 "gate: must be off, voice or dtmf, at 8000, 16000, 44100 or 48000 Hz");
	s->before = malloc(BEFORE * s->traits.block * (size_t) s->traits.channels * sizeof(int16_t));
	posting->call = (edge_call){ .tenant = options->tenant,
								 .direction = options->direction,
								 .from = options->from,
								 .to = options->to,
								 .attributes = options->attributes,
								 .encoding = mb_encoding_name(s->encoding),
								 .sample_rate = s->rate_text,
								 .whole = true };
	posting->seconds = options->memory;
	posting->batch_ms = options->batch_ms;
	posting->grace = options->grace;
	posting->spool = options->spool;
	posting->spool_bytes = options->spool_bytes;
	posting->spool_free = options->spool_free;
	posting->spool_sync = options->spool_sync;
	posting->spool_pace = options->spool_pace;
	return s->before == NULL ? edge_fail(EDGE_EXIT_FAILED, "out of memory") : EDGE_EXIT_OK;
}

/* From the first sample to the last answer. */
static edge_exit
run(capture *s, edge_server *server, edge_gateway *gateway)
{
	edge_outbox_options posting = { .server = server, .gateway = gateway };
	edge_exit status = prepare(s, &posting);
	edge_exit posted;

	if (status != EDGE_EXIT_OK)
		return status;
	s->status = posting.status = edge_status_new("capture", s->options->name, s->options->tenant);
	if (s->status == NULL)
		return edge_fail(EDGE_EXIT_FAILED, "out of memory");
	s->outbox = edge_outbox_start(&posting, &status);
	if (s->outbox == NULL)
		return status;
	fprintf(stderr, "mulberry-edge: recording: %s\n", s->traits.detail);
	set_status(s, NULL);
	status = serve(s);
	tell(s);
	set_status(s, "ended");
	posted = edge_outbox_stop(s->outbox);
	return posted != EDGE_EXIT_OK ? posted : status;
}

edge_exit
edge_capture(const edge_options *options)
{
	static capture s;
	edge_audio_request request = edge_options_request(options);
	const char *name = options->n_words > 1 ? options->word[1] : options->device;
	edge_server server = { .conninfo = options->database };
	edge_gateway gateway = { 0 };
	bool over_gateway = options->gateway != NULL;
	edge_audio_status opened;
	char problem[256];
	edge_exit status;

	s = (capture){ .options = options };
	if (name == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "capture needs a device, such as alsa:hw:CARD=Device");
	/* What somebody has to do is said now; a server that is away may come. Before the device is opened, which would not wait. */
	status = over_gateway ? edge_options_gateway(options, &gateway) : edge_server_connect(&server);
	if (status == EDGE_EXIT_OK && over_gateway)
		status = edge_gateway_look(&gateway);
	if (status != EDGE_EXIT_OK)
		edge_complain("%s", over_gateway ? gateway.problem : server.problem);
	if (status != EDGE_EXIT_OK && status != EDGE_EXIT_UNREACHABLE)
	{
		edge_gateway_close(&gateway);
		return status;
	}
	/* before there are threads, which would take them */
	s.signals = edge_signals_catch();
	s.recorder = edge_recorder_start(name, &request, &opened, problem, sizeof(problem));
	if (s.recorder == NULL)
		status = edge_fail(edge_exit_of_audio(opened), "%s", problem);
	else
	{
		s.traits = *edge_recorder_traits(s.recorder);
		status = run(&s, &server, over_gateway ? &gateway : NULL);
	}
	edge_server_disconnect(&server);
	edge_gateway_close(&gateway);
	edge_status_free(s.status);
	edge_recorder_free(s.recorder);
	edge_gate_free(s.gate);
	free(s.before);
	close(s.signals);
	return status;
}
