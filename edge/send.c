/*
 * send.c
 *	  "mulberry-edge send": a file, or what else there is to read, becomes a call. The server says what of it is there
 *	  already, and only the rest is sent, so a send that broke off is simply said again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "commands.h"
#include "packets.h"
#include "poster.h"

#define PATIENCE 1000 /* milliseconds of a read; then another one */

typedef struct sender sender;

typedef struct channel
{
	sender *sender;
	edge_track *track;
	edge_packets *packets;
	int64_t there; /* packets that need not be sent */
} channel;

struct sender
{
	const edge_options *options;
	edge_server server;
	edge_gateway gateway;
	edge_call call;
	edge_audio audio;
	int16_t samples[EDGE_MAX_BLOCK]; /* of the block that was read last */
	edge_audio_block block;
	edge_audio_status read;
	edge_track tracks[EDGE_MAX_CHANNELS];
	channel channels[EDGE_MAX_CHANNELS];
	int n;
	edge_poster *poster;
	edge_exit status;	 /* of the posting */
	int64_t missing;	 /* packets that the server has not got at the end */
	int64_t began;		 /* microseconds since 1970, of what comes at real pace; else 0 */
	int64_t last_shown;	 /* progress, on a terminal */
	char sample_rate[8]; /* that is asked for */
};

static int64_t
now_in_microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void
on_packet(void *arg, int64_t sequence, const uint8_t *data, size_t n)
{
	channel *c = arg;
	sender *s = c->sender;
	edge_packet packet = { .call = &s->call,
						   .track = c->track->name,
						   .sequence = c->track->first + sequence,
						   .data = data,
						   .n = n };

	if (s->began != 0)
		packet.sent_at = s->began + sequence * EDGE_BLOCK_MS * 1000;
	if (edge_track_has(c->track, packet.sequence))
		c->there++;
	else if (s->status == EDGE_EXIT_OK)
		s->status = edge_poster_add(s->poster, &packet);
}

/* How far it is, on a terminal, five times a second. */
static void
show_progress(sender *s)
{
	double rate = s->audio.traits.sample_rate;
	double seconds = (double) s->audio.position.captured / rate;
	int64_t now = edge_clock();

	if (!isatty(STDERR_FILENO) || now - s->last_shown < 200000000)
		return;
	s->last_shown = now;
	if (s->audio.traits.frames > 0)
		fprintf(stderr, "\r%.1f of %.1f s, %.0f %% ", seconds,
				(double) s->audio.traits.frames / rate,
				100 * (double) s->audio.position.captured / (double) s->audio.traits.frames);
	else
		fprintf(stderr, "\r%.1f s ", seconds);
}

static void
end_progress(const sender *s)
{
	if (s->last_shown != 0)
		fputs("\r\033[K", stderr);
}

static edge_exit
prepare(sender *s)
{
	edge_poster_options options = { .patience = s->options->patience };
	bool over_gateway = s->options->gateway != NULL;
	const char *names[EDGE_MAX_CHANNELS] = { NULL };
	edge_exit status;

	s->n = s->audio.traits.channels;
	if (!edge_options_tracks(s->options, s->n, names))
		return EDGE_EXIT_USAGE;
	for (int i = 0; i < s->n; i++)
		s->tracks[i].name = names[i];
	status = over_gateway ? edge_options_gateway(s->options, &s->gateway)
						  : edge_server_connect(&s->server);
	if (status == EDGE_EXIT_OK && over_gateway)
		status = edge_gateway_look(&s->gateway);
	if (status != EDGE_EXIT_OK)
		return edge_fail(status, "%s", over_gateway ? s->gateway.problem : s->server.problem);
	s->poster = over_gateway ? edge_poster_to_gateway(&s->gateway, &options)
							 : edge_poster_to_database(&s->server, &options);
	if (s->poster == NULL)
		return edge_fail(EDGE_EXIT_FAILED, "out of memory");
	status = edge_poster_begin(s->poster, &s->call, s->tracks, s->n);
	if (status != EDGE_EXIT_OK)
		return edge_fail(status, "%s", edge_poster_problem(s->poster));
	s->call.encoding = mb_encoding_name(s->tracks[0].encoding);
	s->call.sample_rate = s->tracks[0].rate;
	for (int i = 0; i < s->n; i++)
	{
		channel *c = &s->channels[i];

		*c = (channel){ .sender = s, .track = &s->tracks[i] };
		if (s->tracks[i].encoding != s->tracks[0].encoding ||
			s->tracks[i].sample_rate != s->tracks[0].sample_rate)
			return edge_fail(EDGE_EXIT_REFUSED, "the tracks of the call have different formats");
		c->packets = edge_packets_new(s->audio.traits.sample_rate, s->tracks[i].sample_rate,
									  s->tracks[i].encoding, on_packet, c);
		if (c->packets == NULL)
			return edge_fail(EDGE_EXIT_FORMAT, "%d Hz cannot be converted to the call's %d Hz",
							 s->audio.traits.sample_rate, s->tracks[i].sample_rate);
	}
	if (s->options->real_pace)
		s->began = now_in_microseconds();
	return EDGE_EXIT_OK;
}

/* Waits for the next block, or what comes in its place. */
static void
read_block(sender *s)
{
	do
		s->read = edge_audio_read(&s->audio, s->samples, &s->block, PATIENCE);
	while (s->read == EDGE_AUDIO_LATER);
}

/* All that there is from the block on that was read, or as much as was asked for. */
static edge_exit
send_all(sender *s)
{
	uint64_t enough = (uint64_t) s->options->seconds * (uint64_t) s->audio.traits.sample_rate;

	for (; s->read == EDGE_AUDIO_OK && s->status == EDGE_EXIT_OK; read_block(s))
	{
		for (int i = 0; i < s->n; i++)
		{
			if (s->block.lost > 0)
				edge_packets_lost(s->channels[i].packets, s->block.lost);
			edge_packets_feed(s->channels[i].packets, s->samples + i, s->block.frames, s->n);
		}
		show_progress(s);
		/* what is there at a time is sent at that time */
		if (s->audio.begun != 0 && s->status == EDGE_EXIT_OK)
			s->status = edge_poster_send(s->poster);
		if (enough > 0 && s->audio.position.captured >= enough)
			break;
	}
	for (int i = 0; i < s->n; i++)
		edge_packets_flush(s->channels[i].packets);
	if (s->status == EDGE_EXIT_OK)
		s->status = edge_poster_finish(s->poster);
	end_progress(s);
	if (s->status != EDGE_EXIT_OK)
		return edge_fail(s->status, "%s", edge_poster_problem(s->poster));
	if (s->read != EDGE_AUDIO_OK && s->read != EDGE_AUDIO_END)
		return edge_fail(edge_exit_of_audio(s->read), "%s", s->audio.problem);
	return EDGE_EXIT_OK;
}

/* What there is to say when all of it is there. */
static edge_exit
describe_and_complete(sender *s)
{
	int64_t totals[EDGE_MAX_CHANNELS] = { 0 };
	edge_exit status = EDGE_EXIT_OK;

	for (int i = 0; i < s->n; i++)
		totals[i] = edge_packets_sequences(s->channels[i].packets);
	if (s->n == 1 && s->tracks[0].name != NULL && !s->tracks[0].exists)
		status = edge_poster_describe(s->poster, &s->call);
	if (status == EDGE_EXIT_OK && s->options->complete)
		status = edge_poster_complete(s->poster, &s->call, s->tracks, totals, s->n, &s->missing);
	return status;
}

static edge_exit
complete(sender *s)
{
	int64_t there = 0;
	int64_t sent = (int64_t) edge_poster_count(s->poster)->sent;
	edge_exit status = describe_and_complete(s);

	for (int i = 0; i < s->n; i++)
		there += s->channels[i].there;
	if (status != EDGE_EXIT_OK)
		return edge_fail(status, "%s", edge_poster_problem(s->poster));
	printf("%s: %.3f s, %s %d Hz, %d track%s, %" PRId64 " packets sent, %" PRId64 " were there%s\n",
		   s->call.id, (double) s->audio.position.captured / s->audio.traits.sample_rate,
		   mb_encoding_name(s->tracks[0].encoding), s->tracks[0].sample_rate, s->n,
		   s->n == 1 ? "" : "s", sent, there, s->options->complete ? ", complete" : "");
	if (s->missing > 0)
		return edge_fail(EDGE_EXIT_REFUSED, "the server misses %" PRId64 " packets", s->missing);
	return EDGE_EXIT_OK;
}

edge_exit
edge_send(const edge_options *options)
{
	static sender s;
	edge_audio_request request = edge_options_request(options);
	const char *name = options->n_words > 1 ? options->word[1] : options->device;
	edge_audio_status opened;
	edge_exit status;

	s = (sender){ .options = options,
				  .server = { .conninfo = options->database },
				  .call = { .id = options->call,
							.tenant = options->tenant,
							.direction = options->direction,
							.from = options->from,
							.to = options->to,
							.attributes = options->attributes,
							.encoding = options->call_encoding } };
	if (options->call_rate != 0)
	{
		snprintf(s.sample_rate, sizeof(s.sample_rate), "%d", options->call_rate);
		s.call.sample_rate = s.sample_rate;
	}
	if (name == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "send needs a file, such as call.mp3");
	if (options->call == NULL)
		return edge_fail(EDGE_EXIT_USAGE, "send needs --call, the id that the call has or gets");
	opened = edge_audio_open(&s.audio, name, &request);
	if (opened != EDGE_AUDIO_OK)
		return edge_fail(edge_exit_of_audio(opened), "%s", s.audio.problem);
	read_block(&s);
	if (s.read == EDGE_AUDIO_END)
		status = edge_fail(EDGE_EXIT_FORMAT, "%s: there is no audio in it", name);
	else if (s.read != EDGE_AUDIO_OK)
		status = edge_fail(edge_exit_of_audio(s.read), "%s", s.audio.problem);
	else
		status = prepare(&s);
	if (status == EDGE_EXIT_OK)
		status = send_all(&s);
	if (status == EDGE_EXIT_OK)
		status = complete(&s);
	for (int i = 0; i < s.n; i++)
	{
		edge_packets_free(s.channels[i].packets);
		edge_track_free(&s.tracks[i]);
	}
	edge_poster_free(s.poster);
	edge_server_disconnect(&s.server);
	edge_gateway_close(&s.gateway);
	edge_audio_close(&s.audio);
	return status;
}
