/*
 * talk_metrics.c
 *	  What conversations measure and count, for GET /metrics.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media_session.h"
#include "talk.h"
#include "talk_internal.h"
#include "talk_metrics.h"

#define BUCKETS 12
#define ENDPOINTS 64 /* of a stage; more are counted together */

typedef struct histogram
{
	char endpoint[64];
	uint64_t buckets[BUCKETS + 1];
	double sum;
	uint64_t n;
	struct histogram *next;
} histogram;

static const double seconds[BUCKETS] = { 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2, 4, 8 };
static const double milliseconds[BUCKETS] = { 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075,
											  0.01,	  0.015, 0.02,	0.05,  0.1,	  0.5 };
static const double rates[BUCKETS] = { 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 400, 800 };

static const struct
{
	const char *name;
	const double *bounds;
	const char *help;
} stages[TALK_STAGES] = {
	[TALK_EOU_DELAY] = { "eou_delay_seconds", seconds,
						 "End of speech to the decision that the turn is over." },
	[TALK_TRANSCRIPTION_DELAY] = { "transcription_delay_seconds", seconds,
								   "End of speech to the final text, where it came later." },
	[TALK_LLM_TTFT] = { "llm_ttft_seconds", seconds,
						"Language models: from the question to the first text." },
	[TALK_LLM_RATE] = { "llm_tokens_per_second", rates,
						"Language models: pieces of text a second, once it came." },
	[TALK_TTS_TTFB] = { "tts_ttfb_seconds", seconds,
						"Services that speak: from the text to the first audio." },
	[TALK_FIRST_FRAME_SENT] = { "first_frame_sent_seconds", seconds,
								"End of a turn to the first frame of the reply." },
	[TALK_VOICE_TO_VOICE] = { "voice_to_voice_seconds", seconds,
							  "End of speech to the first frame of the reply." },
	[TALK_INTERRUPTION_DETECTION] = { "interruption_detection_delay_seconds", seconds,
									  "Beginning of speech to the decision that it interrupts." },
	[TALK_CLEAR_TO_BURST] = { "clear_to_burst_seconds", seconds,
							  "Clearing what waits at the peer to the first that comes back." },
	[TALK_FRAME_TO_DECISION] = { "frame_to_decision_seconds", milliseconds,
								 "A frame of a caller that came, until what is decided by it is "
								 "carried out." },
};

static histogram *histograms[TALK_STAGES];

static histogram *
histogram_of(talk_stage stage, const char *endpoint)
{
	histogram **place = &histograms[stage];
	int n = 0;

	for (; *place != NULL; place = &(*place)->next)
	{
		if (strcmp((*place)->endpoint, endpoint) == 0 || n == ENDPOINTS)
			return *place;
		n++;
	}
	*place = calloc(1, sizeof(histogram));
	if (*place != NULL)
		snprintf((*place)->endpoint, sizeof((*place)->endpoint), "%s",
				 n == ENDPOINTS ? "(others)" : endpoint);
	return *place;
}

void
talk_measure(talk_stage stage, const char *endpoint, double value)
{
	histogram *h = histogram_of(stage, endpoint == NULL ? "" : endpoint);
	int i = 0;

	if (h == NULL)
		return;
	value = value < 0 ? 0 : value;
	while (i < BUCKETS && value > stages[stage].bounds[i])
		i++;
	h->buckets[i]++;
	h->sum += value;
	h->n++;
}

static void
family(program_text *text, const char *name, const char *type, const char *help)
{
	program_text_printf(text, "# HELP mulberry_gateway_%s %s\n# TYPE mulberry_gateway_%s %s\n",
						name, help, name, type);
}

static void
single(program_text *text, const char *name, const char *type, const char *help, uint64_t value)
{
	family(text, name, type, help);
	program_text_printf(text, "mulberry_gateway_%s %llu\n", name, (unsigned long long) value);
}

/* By what services are asked for, from one on. */
static void
by_kind(program_text *text, const char *name, const char *help, const uint64_t *values,
		gw_talk_kind first)
{
	static const char *const kinds[GW_TALK_KINDS] = {
		[GW_TALK_LISTEN] = "listen", [GW_TALK_REPLY] = "reply", [GW_TALK_SPEAK] = "speak"
	};

	family(text, name, "counter", help);
	for (int i = (int) first; i < GW_TALK_KINDS; i++)
		program_text_printf(text, "mulberry_gateway_%s{kind=\"%s\"} %llu\n", name, kinds[i],
							(unsigned long long) values[i]);
}

static void
write_histogram(program_text *text, talk_stage stage, const histogram *h)
{
	const char *name = stages[stage].name;
	char label[96] = "";
	uint64_t n = 0;

	if (h->endpoint[0] != '\0')
		snprintf(label, sizeof(label), "endpoint=\"%s\"", h->endpoint);
	for (int i = 0; i <= BUCKETS; i++)
	{
		char bound[32] = "+Inf";

		n += h->buckets[i];
		if (i < BUCKETS)
			snprintf(bound, sizeof(bound), "%g", stages[stage].bounds[i]);
		program_text_printf(text, "mulberry_gateway_%s_bucket{%s%sle=\"%s\"} %llu\n", name, label,
							label[0] == '\0' ? "" : ",", bound, (unsigned long long) n);
	}
	program_text_printf(text,
						"mulberry_gateway_%s_sum%s%s%s %g\n"
						"mulberry_gateway_%s_count%s%s%s %llu\n",
						name, label[0] == '\0' ? "" : "{", label, label[0] == '\0' ? "" : "}",
						h->sum, name, label[0] == '\0' ? "" : "{", label,
						label[0] == '\0' ? "" : "}", (unsigned long long) h->n);
}

static void
write_streams(const gw_media *media, program_text *text)
{
	size_t kept = talk_audio_kept() + talk_cache_kept() + media->waiting_bytes;
	double sum = 0;
	int known = 0;

	for (const gw_media_session *s = media->sessions; s != NULL; s = s->next)
	{
		if (s->link == NULL || s->play.rtt < 0)
			continue;
		sum += (double) s->play.rtt / HTTP_SECOND;
		known++;
	}
	single(text, "media_sessions", "gauge", "Streams of calls, those too that are being stored.",
		   (uint64_t) media->n);
	single(text, "media_waiting_bytes", "gauge",
		   "Memory of packets of streams that the database does not have yet.",
		   media->waiting_bytes);
	single(text, "media_max_waiting_bytes", "gauge", "How much that may be.",
		   (uint64_t) media->gateway->options->max_waiting_audio);
	single(
		text, "media_kept_bytes", "gauge",
		"Memory of audio that is kept: heard and not yet known as text, to be said, said before, "
		"waiting for the database.",
		kept);
	single(text, "media_dropped_packets_total", "counter",
		   "Packets of streams that were not stored, and never will be: gaps of their calls.",
		   media->dropped);
	family(text, "media_round_trip_seconds", "gauge",
		   "Round trip to the peers of streams, the mean of those that know it; 0: none does.");
	program_text_printf(text, "mulberry_gateway_media_round_trip_seconds %g\n",
						known == 0 ? 0 : sum / known);
}

void
gw_talk_write_metrics(const gw_media *media, program_text *text)
{
	const gw_talk_counts *c = gw_talk_counted();

	write_streams(media, text);
	single(text, "conversations", "gauge", "Conversations that are going on.", (uint64_t) c->now);
	single(text, "conversations_total", "counter", "Conversations that were begun.",
		   c->conversations);
	single(text, "conversation_turns_total", "counter", "Turns of callers.", c->turns);
	single(text, "interruptions_total", "counter", "Times that a caller interrupted the agent.",
		   c->interruptions);
	single(text, "false_interruptions_total", "counter",
		   "Times that the agent paused and went on, because it was none.", c->false_interruptions);
	single(text, "false_cutoffs_total", "counter",
		   "Turns that went on after their reply had begun.", c->false_cutoffs);
	single(text, "backchannels_total", "counter", "Words of callers that only show they listen.",
		   c->backchannels);
	single(text, "silence_prompts_total", "counter",
		   "Times that a silent caller was asked whether he is there.", c->silence_prompts);
	single(text, "fillers_total", "counter", "Replies that took so long that time was filled.",
		   c->fillers);
	single(text, "apologies_total", "counter", "Times that nothing could be said but that.",
		   c->apologies);
	by_kind(text, "fallbacks_total", "Services that failed, so that another was asked.",
			c->fallbacks, GW_TALK_LISTEN);
	single(text, "whole_utterances_total", "counter",
		   "Utterances that were sent as a whole, for want of a stream.", c->whole_utterances);
	by_kind(text, "hedges_total", "Services that were slow, so that another was asked as well.",
			c->hedges, GW_TALK_REPLY);
	by_kind(text, "hedges_won_total", "Of them, those in which the other one answered first.",
			c->hedges_won, GW_TALK_REPLY);
	single(text, "underruns_total", "counter", "Times that the peer had nothing to play too soon.",
		   c->underruns);
	single(text, "stale_answers_total", "counter",
		   "Answers for something that was no longer wanted, which were dropped.", c->stale);
	single(text, "conversation_records_dropped_total", "counter",
		   "Seconds of the logs of conversations that the database did not take.",
		   c->records_dropped);
	family(text, "speculations_total", "counter",
		   "Replies that were prepared before the turn was over: kept, or dropped.");
	program_text_printf(text,
						"mulberry_gateway_speculations_total{kind=\"kept\"} %llu\n"
						"mulberry_gateway_speculations_total{kind=\"dropped\"} %llu\n",
						(unsigned long long) (c->speculations - c->speculations_dropped),
						(unsigned long long) c->speculations_dropped);
	for (int i = 0; i < TALK_STAGES; i++)
	{
		family(text, stages[i].name, "histogram", stages[i].help);
		for (const histogram *h = histograms[i]; h != NULL; h = h->next)
			write_histogram(text, (talk_stage) i, h);
	}
}
