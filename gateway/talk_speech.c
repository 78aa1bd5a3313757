/*
 * talk_speech.c
 *	  From pieces of text to what the peer plays.
 *
 * A piece sounds as it is remembered (talk_cache.c), or by a service that speaks, the next one when it fails.  One piece is made ahead of
 * the one that comes in.  What is made of a reply that is not certain yet is kept; what is certain goes to the playback as it comes, and
 * stays here until it was heard, so that it can be said again from any place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "log.h"
#include "talk_internal.h"

#define AHEAD 2 /* pieces that are made at a time */
#define SLICE 960
#define WORDS_AT_ONCE 16

static const talk_race_kind speakers;

static uint64_t
tag_of(const talk_piece *piece)
{
	return (uint64_t) piece->reply->generation << 16 | piece->item;
}

static int32_t
ms_of(const gw_talk *talk, size_t bytes)
{
	return (int32_t) (bytes / mb_encoding_sample_size(talk->encoding) * 1000 / GW_MEDIA_RATE);
}

void
talk_piece_free(talk_piece *piece)
{
	talk_race_cancel(&piece->race);
	talk_cache_forget(piece);
	talk_audio_forget(&piece->audio);
	free(piece->words);
	free(piece->text);
	free(piece);
}

/* ---------------------------------------------------------------------------
 * To the playback
 * ---------------------------------------------------------------------------
 */

/* Gives what is here and was not given, once the engine knows of the piece. */
static void
queue(talk_piece *piece)
{
	gw_talk *talk = piece->reply->talk;

	if (piece->audio.length == piece->queued || !piece->given || talk->session == NULL)
		return;
	talk_audio_say(&piece->audio, piece->queued, &talk->session->play, tag_of(piece));
	piece->queued = piece->audio.length;
}

/* Tells the engine when words are over that it does not know yet. */
static void
tell_words(talk_piece *piece)
{
	const talk_reply *reply = piece->reply;

	for (; piece->given && piece->n_told < piece->n_words; piece->n_told++)
		talk_take(reply->talk, &(mb_turn_input){ .kind = MB_IN_WORD,
												 .generation = reply->generation,
												 .item = piece->item,
												 .ms = piece->words[piece->n_told].ms,
												 .bytes = piece->words[piece->n_told].bytes });
}

/* There is something better to say already. */
static void
leave_out(talk_piece *piece)
{
	talk_race_cancel(&piece->race);
	talk_cache_forget(piece);
	piece->whole = true;
	piece->state = TALK_PIECE_WHOLE;
}

/* Tells the engine what there is of a reply that is certain, in order, and has it played. */
static void
give(talk_reply *reply)
{
	gw_talk *talk = reply->talk;

	if (!reply->committed || reply->gone || reply->told || talk->session == NULL)
		return;
	for (int i = 0; i < reply->n_pieces; i++)
	{
		talk_piece *piece = reply->pieces[i];
		bool more = i + 1 < reply->n_pieces && reply->pieces[i + 1]->audio.length > 0;

		if (piece->kind == MB_ITEM_FILLER && piece->audio.length == 0 && more)
			leave_out(piece);
		if (piece->audio.length == 0 && !piece->whole)
			break;
		if (!piece->given)
		{
			piece->given = true;
			talk_take(talk, &(mb_turn_input){ .kind = MB_IN_PIECE,
											  .generation = reply->generation,
											  .item = piece->item,
											  .item_kind = piece->kind,
											  .text = piece->text,
											  .bytes = (uint32_t) piece->length,
											  .ms = piece->whole ? ms_of(talk, piece->audio.length)
																 : -1 });
			if (piece->whole)
				piece->state = TALK_PIECE_TOLD;
		}
		talk->playing = reply->generation;
		gw_play_goes_on(&talk->session->play, true);
		tell_words(piece);
		queue(piece);
		if (piece->whole && piece->state == TALK_PIECE_WHOLE)
		{
			piece->state = TALK_PIECE_TOLD;
			talk_take(talk, &(mb_turn_input){ .kind = MB_IN_PIECE_END,
											  .generation = reply->generation,
											  .item = piece->item,
											  .ms = ms_of(talk, piece->audio.length) });
		}
		if (!piece->whole)
			break;
		/* time is filled: nobody knows how long */
		if (piece->kind == MB_ITEM_FILLER && !more)
			gw_play_goes_on(&talk->session->play, false);
	}
	if (reply->complete && reply->making == reply->n_pieces &&
		(reply->n_pieces == 0 || reply->pieces[reply->n_pieces - 1]->given))
	{
		reply->told = true;
		gw_play_goes_on(&talk->session->play, false);
		talk_take(talk,
				  &(mb_turn_input){ .kind = MB_IN_REPLY_END, .generation = reply->generation });
	}
}

void
talk_speech_resume(gw_talk *talk, uint32_t generation, uint16_t item, int32_t ms)
{
	talk_reply *reply = talk_reply_find(talk, generation);
	size_t from =
		(size_t) (ms < 0 ? 0 : ms) * GW_MEDIA_RATE / 1000 * mb_encoding_sample_size(talk->encoding);

	if (reply == NULL)
		return;
	gw_play_goes_on(&talk->session->play, !reply->told);
	for (int i = 0; i < reply->n_pieces; i++)
	{
		talk_piece *piece = reply->pieces[i];

		if (piece->item < item || !piece->given)
			continue;
		piece->queued = piece->item > item			 ? 0
						: from < piece->audio.length ? from
													 : piece->audio.length;
		queue(piece);
	}
}

void
talk_speech_heard(gw_talk *talk, uint32_t generation, uint16_t item)
{
	talk_reply *reply = talk_reply_find(talk, generation);

	if (reply != NULL && item < reply->n_pieces && reply->pieces[item]->whole)
		talk_audio_forget(&reply->pieces[item]->audio);
}

/* How long the caller has waited for a reply whose first frame was sent. */
static void
measure_wait(gw_talk *talk, uint32_t generation, uint16_t item)
{
	talk_reply *reply = talk_reply_find(talk, generation);

	if (reply == NULL || reply->said == NULL || reply->measured ||
		reply->pieces[item]->kind == MB_ITEM_FILLER)
		return;
	reply->measured = true;
	talk_measure(TALK_FIRST_FRAME_SENT, NULL,
				 (double) (http_clock() - reply->committed_at) / HTTP_SECOND);
	talk_measure(TALK_VOICE_TO_VOICE, NULL,
				 (mb_turn_clock(&talk->turn) - talk->speech_end) / 1000.0);
}

void
talk_was_sent(void *session, uint64_t tag, uint64_t place)
{
	gw_talk *talk = ((gw_media_session *) session)->talk;

	if (talk == NULL)
		return;
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_SENT,
									  .generation = (uint32_t) (tag >> 16),
									  .item = (uint16_t) tag,
									  .ms = (int32_t) (place * 1000 / GW_MEDIA_RATE) });
	measure_wait(talk, (uint32_t) (tag >> 16), (uint16_t) tag);
}

void
talk_mark_was_sent(void *session, uint64_t tag, unsigned number)
{
	gw_talk *talk = ((gw_media_session *) session)->talk;

	if (talk == NULL)
		return;
	talk_mark_of(talk, number, (uint32_t) (tag >> 16));
	talk_take(talk, &(mb_turn_input){ .kind = MB_IN_MARK_SENT,
									  .generation = (uint32_t) (tag >> 16),
									  .mark = number });
}

/* ---------------------------------------------------------------------------
 * What is made
 * ---------------------------------------------------------------------------
 */

static void
finish_piece(talk_piece *piece)
{
	talk_reply *reply = piece->reply;

	piece->whole = true;
	piece->state = TALK_PIECE_WHOLE;
	while (reply->making < reply->n_pieces && reply->pieces[reply->making]->whole)
		reply->making++;
	talk_speech_go_on(reply);
}

static void
add_linear(talk_piece *piece, const int16_t *samples, size_t n)
{
	mb_encoding encoding = piece->reply->talk->encoding;
	uint8_t bytes[SLICE * 2];

	while (n > 0)
	{
		size_t part = n < SLICE ? n : SLICE;

		if (mb_audio_encode(encoding, samples, part, bytes) != MB_OK)
			return;
		talk_audio_add(&piece->audio, bytes, part * mb_encoding_sample_size(encoding));
		samples += part;
		n -= part;
	}
}

void
talk_speech_found(talk_piece *piece, const uint8_t *mulaw, size_t n, const mb_ledger_point *words,
				  int n_words)
{
	int16_t samples[SLICE];

	piece->words = n_words == 0 ? NULL : calloc((size_t) n_words, sizeof(*words));
	if (piece->words != NULL)
	{
		memcpy(piece->words, words, (size_t) n_words * sizeof(*words));
		piece->n_words = n_words;
	}
	if (piece->reply->talk->encoding == MB_MULAW)
		talk_audio_add(&piece->audio, mulaw, n);
	else
	{
		while (n > 0)
		{
			size_t part = n < SLICE ? n : SLICE;

			(void) mb_audio_decode(MB_MULAW, mulaw, part, samples);
			add_linear(piece, samples, part);
			mulaw += part;
			n -= part;
		}
	}
	finish_piece(piece);
}

/* ---------------------------------------------------------------------------
 * Services
 * ---------------------------------------------------------------------------
 */

static talk_piece *
piece_of_lane(void *lane)
{
	return ((talk_lane *) lane)->race->owner;
}

static void
has_audio(void *arg, const int16_t *samples, size_t n)
{
	talk_piece *piece = piece_of_lane(arg);

	talk_race_begins(arg);
	add_linear(piece, samples, n);
	give(piece->reply);
}

static void
has_word(void *arg, size_t bytes, int32_t ms)
{
	talk_piece *piece = piece_of_lane(arg);
	mb_ledger_point *more;

	talk_race_begins(arg);
	if (piece->n_words % WORDS_AT_ONCE == 0)
	{
		more =
			piece->n_words == MB_TURN_PIECE_POINTS
				? NULL
				: realloc(piece->words, (size_t) (piece->n_words + WORDS_AT_ONCE) * sizeof(*more));
		/* without them the rest of the text is taken to be spread evenly */
		if (more == NULL)
			return;
		piece->words = more;
	}
	piece->words[piece->n_words++] = (mb_ledger_point){ .ms = ms, .bytes = (uint16_t) bytes };
}

static void
is_done(void *arg)
{
	talk_piece *piece = piece_of_lane(arg);

	talk_race_done(arg);
	talk_cache_keep(piece);
	finish_piece(piece);
}

/* Nobody can say it. */
static void
give_up(talk_piece *piece)
{
	if (piece->reply->said != NULL && piece->kind != MB_ITEM_FILLER)
		talk_reply_fail(piece->reply);
	else
		finish_piece(piece);
}

static void
has_failed(void *arg, const char *why)
{
	talk_piece *piece = piece_of_lane(arg);

	if (!talk_race_failed(arg, why))
		return;
	/* half a sentence in another voice is worse than half a sentence */
	if (piece->audio.length > 0)
		finish_piece(piece);
	else
		give_up(piece);
}

static void
fell_back(void *arg, const char *why)
{
	const talk_lane *lane = arg;
	gw_talk *talk = lane->race->talk;

	gw_log(GW_WARNING, "a service that speaks has no socket", "call %s, %s: %s", talk->call_id,
		   talk->plan->speak[lane->service]->name, why);
	talk_note(talk, GW_TALK_SPEAK, MB_NOTE_FALLBACK);
}

static const gw_utterance_events events = { .audio = has_audio,
											.done = is_done,
											.failed = has_failed,
											.fell_back = fell_back,
											.word = has_word };

static void *
start_utterance(void *owner, talk_lane *lane)
{
	talk_piece *piece = owner;
	talk_reply *reply = piece->reply;
	gw_context **context =
		lane->hedge || piece->kind == MB_ITEM_FILLER ? NULL : &reply->contexts[lane->service];
	gw_utterance *utterance;

	/* times that another service told of audio that never came */
	if (piece->audio.length == 0)
		piece->n_words = 0;
	utterance = gw_utterance_start(reply->talk->client, reply->talk->plan->speak[lane->service],
								   context, piece->text, piece->length, &events, lane);

	lane->within = context == NULL ? NULL : *context;
	return utterance;
}

static void
cancel_utterance(void *request)
{
	gw_utterance_cancel(request);
}

/* It goes on with what nobody wants, and what is said next would stand behind that. */
static void
was_too_slow(void *owner, const talk_lane *lane)
{
	talk_piece *piece = owner;
	gw_context **context = &piece->reply->contexts[lane->service];

	if (*context == NULL || *context != lane->within)
		return;
	gw_context_close(*context);
	*context = NULL;
}

static const talk_race_kind speakers = { .kind = GW_TALK_SPEAK,
										 .stage = TALK_TTS_TTFB,
										 .failure = "a service that speaks has failed",
										 .ask = start_utterance,
										 .cancel = cancel_utterance,
										 .lost = was_too_slow };

void
talk_speech_end(talk_reply *reply)
{
	for (int i = 0; i < TALK_SERVICES; i++)
	{
		if (reply->contexts[i] != NULL)
			gw_context_close(reply->contexts[i]);
		reply->contexts[i] = NULL;
	}
}

static void
end_when_all_is_asked(talk_reply *reply)
{
	int i = 0;

	while (i < reply->n_pieces && reply->pieces[i]->state > TALK_PIECE_LOOKING)
		i++;
	if (reply->complete && i == reply->n_pieces)
		talk_speech_end(reply);
}

void
talk_speech_make(talk_piece *piece)
{
	piece->state = TALK_PIECE_MAKING;
	if (!talk_race_start(&piece->race, 0))
		give_up(piece);
	else
		end_when_all_is_asked(piece->reply);
}

/* At a place of the reply, behind all that the engine knows of. */
static void
insert(talk_reply *reply, int place, mb_item_kind kind, const char *text, size_t n)
{
	talk_piece *piece;

	if (n == 0 || reply->n_pieces == TALK_PIECES)
		return;
	piece = calloc(1, sizeof(*piece));
	if (piece != NULL)
		piece->text = strndup(text, n);
	if (piece == NULL || piece->text == NULL)
	{
		free(piece);
		return;
	}
	talk_race_init(&piece->race, &speakers, reply->talk, piece);
	piece->length = n;
	piece->kind = kind;
	piece->reply = reply;
	piece->id = reply->ids++;
	for (int i = reply->n_pieces++; i > place; i--)
	{
		reply->pieces[i] = reply->pieces[i - 1];
		reply->pieces[i]->item = (uint16_t) i;
	}
	piece->item = (uint16_t) place;
	reply->pieces[place] = piece;
}

void
talk_speech_add(talk_reply *reply, mb_item_kind kind, const char *text, size_t n)
{
	insert(reply, reply->n_pieces, kind, text, n);
}

void
talk_speech_put_first(talk_reply *reply, mb_item_kind kind, const char *text, size_t n)
{
	int place = 0;

	while (place < reply->n_pieces && reply->pieces[place]->given)
		place++;
	insert(reply, place, kind, text, n);
	reply->making = place < reply->making ? place : reply->making;
}

void
talk_speech_go_on(talk_reply *reply)
{
	for (int i = reply->making; i < reply->n_pieces && i < reply->making + AHEAD; i++)
	{
		if (reply->pieces[i]->state == TALK_PIECE_NEW && !reply->gone)
			talk_cache_look(reply->pieces[i]);
	}
	end_when_all_is_asked(reply);
	give(reply);
}
