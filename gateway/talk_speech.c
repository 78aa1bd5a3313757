/*
 * talk_speech.c
 *	  From pieces of text to what the peer plays.
 *
 * A piece sounds as the database remembers it, or by a service that speaks, the next one when it fails.  One piece is made ahead of
 * the one that comes in.  What is made of a reply that is not certain yet is kept; what is certain goes to the playback as it comes, and
 * stays
 * here until it was heard, so that it can be said again from any place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "log.h"
#include "talk_internal.h"

#define AHEAD 2 /* pieces that are made at a time */
#define MAX_KEPT 960000
#define SLICE 960

enum
{
	NEW,
	LOOKING, /* in the database */
	MAKING,
	WHOLE
};

/* A look into the cache; its piece may be gone when it ends. */
typedef struct look
{
	gw_unit unit;
	gw_talk *talk;
	uint32_t generation;
	uint16_t id; /* of the piece */
	char *text;
	char *voice_key;
	char *tenant;
	uint8_t *audio; /* that is to be kept */
} look;

static void make(talk_piece *piece);
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
	program_text_free(&piece->audio);
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
	size_t n = piece->audio.length - piece->queued;

	if (n == 0 || !piece->given || talk->session == NULL)
		return;
	gw_play_say_tagged(&talk->session->play, http_blob_new(piece->audio.data + piece->queued, n),
					   tag_of(piece), piece->queued / mb_encoding_sample_size(talk->encoding));
	piece->queued = piece->audio.length;
}

/* There is something better to say already. */
static void
leave_out(talk_piece *piece)
{
	talk_race_cancel(&piece->race);
	piece->whole = true;
	piece->state = WHOLE;
}

/* Tells the engine what there is of a reply that is certain, in order, and has it played. */
static void
give(talk_reply *reply)
{
	gw_talk *talk = reply->talk;

	if (!reply->committed || reply->gone || talk->session == NULL)
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
				piece->state = WHOLE + 1;
		}
		talk->playing = reply->generation;
		gw_play_goes_on(&talk->session->play, true);
		queue(piece);
		if (piece->whole && piece->state == WHOLE)
		{
			piece->state = WHOLE + 1;
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
	if (reply->complete && !reply->told && reply->making == reply->n_pieces &&
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
 * The cache
 * ---------------------------------------------------------------------------
 */

static void
free_look(look *l)
{
	gw_talk *talk = l->talk;

	free(l->text);
	free(l->voice_key);
	free(l->tenant);
	free(l->audio);
	free(l);
	talk_release(talk);
}

static look *
new_look(const talk_piece *piece, const gw_statement *statement)
{
	gw_talk *talk = piece->reply->talk;
	look *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	talk->users++;
	l->talk = talk;
	l->generation = piece->reply->generation;
	l->id = piece->id;
	l->text = strdup(piece->text);
	l->voice_key = strdup(talk->voice_keys[piece->race.service]);
	l->tenant = strdup(talk->tenant);
	l->unit.statement = statement;
	l->unit.values[0] = l->text;
	l->unit.values[1] = l->voice_key;
	if (l->text != NULL && l->voice_key != NULL && l->tenant != NULL)
		return l;
	free_look(l);
	return NULL;
}

static talk_piece *
piece_of(const look *l)
{
	talk_reply *reply = talk_reply_find(l->talk, l->generation);

	for (int i = 0; reply != NULL && i < reply->n_pieces; i++)
	{
		if (reply->pieces[i]->id == l->id)
			return reply->pieces[i];
	}
	return NULL;
}

static void
finish_piece(talk_piece *piece)
{
	talk_reply *reply = piece->reply;

	piece->whole = true;
	piece->state = WHOLE;
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
		program_text_add(&piece->audio, bytes, part * mb_encoding_sample_size(encoding));
		samples += part;
		n -= part;
	}
}

static void
looked(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	look *l = (look *) unit;
	talk_piece *piece = piece_of(l);

	(void) identity;
	if (piece != NULL && piece->state == LOOKING)
	{
		if (outcome == GW_COMMITTED && !PQgetisnull(result, 0, 0))
		{
			const uint8_t *mulaw = (const uint8_t *) PQgetvalue(result, 0, 0);
			size_t n = (size_t) PQgetlength(result, 0, 0);

			for (size_t i = 0; i < n; i++)
			{
				int16_t sample = mb_mulaw_decode(mulaw[i]);

				add_linear(piece, &sample, 1);
			}
			finish_piece(piece);
		}
		else
			make(piece);
	}
	free_look(l);
}

static void
find(talk_piece *piece)
{
	static const gw_statement find_speech = { "find_speech",
											  "SELECT mulberry.find_speech($1, $2, $3)", true };
	look *l = new_look(piece, &find_speech);

	if (l == NULL)
	{
		make(piece);
		return;
	}
	piece->state = LOOKING;
	l->unit.values[2] = l->tenant;
	l->unit.n_parameters = 3;
	l->unit.binary = true;
	l->unit.done = looked;
	gw_media_ask(piece->reply->talk->media, &l->unit);
}

static void
kept(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	(void) outcome;
	(void) identity;
	(void) result;
	/* one that was not kept is made anew */
	free_look((look *) unit);
}

/* Replies are as many as there are callers: what is said again and again is short, or not a reply. */
static void
keep(talk_piece *piece)
{
	static const gw_statement keep_speech = { "keep_speech",
											  "SELECT mulberry.keep_speech($1, $2, $3::bytea, $4)",
											  true };
	gw_talk *talk = piece->reply->talk;
	size_t width = mb_encoding_sample_size(talk->encoding);
	size_t n = piece->audio.length / width;
	look *l = n > 0 && n <= MAX_KEPT && !piece->audio.failed ? new_look(piece, &keep_speech) : NULL;
	int16_t sample;

	if (l == NULL)
		return;
	l->audio = malloc(n);
	if (l->audio == NULL)
	{
		free_look(l);
		return;
	}
	for (size_t i = 0; i < n; i++)
	{
		(void) mb_audio_decode(talk->encoding, (const uint8_t *) piece->audio.data + i * width,
							   width, &sample);
		l->audio[i] = mb_mulaw_encode(sample);
	}
	l->unit.values[2] = (const char *) l->audio;
	l->unit.lengths[2] = (int) n;
	l->unit.formats[2] = 1;
	l->unit.values[3] = l->tenant;
	l->unit.n_parameters = 4;
	l->unit.behind = true;
	l->unit.done = kept;
	gw_media_ask(talk->media, &l->unit);
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
is_done(void *arg)
{
	talk_piece *piece = piece_of_lane(arg);

	talk_race_done(arg);
	keep(piece);
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
		   talk->speak[lane->service]->name, why);
	talk_note(talk, GW_TALK_SPEAK, MB_NOTE_FALLBACK);
}

static const gw_utterance_events events = {
	.audio = has_audio, .done = is_done, .failed = has_failed, .fell_back = fell_back
};

static void *
start_utterance(void *owner, talk_lane *lane)
{
	talk_piece *piece = owner;
	talk_reply *reply = piece->reply;
	bool alone = lane->hedge || piece->kind == MB_ITEM_FILLER;

	return gw_utterance_start(reply->talk->client, reply->talk->speak[lane->service],
							  alone ? NULL : &reply->contexts[lane->service], piece->text,
							  piece->length, &events, lane);
}

static void
cancel_utterance(void *request)
{
	gw_utterance_cancel(request);
}

static const talk_race_kind speakers = { .kind = GW_TALK_SPEAK,
										 .stage = TALK_TTS_TTFB,
										 .failure = "a service that speaks has failed",
										 .ask = start_utterance,
										 .cancel = cancel_utterance };

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

	while (i < reply->n_pieces && reply->pieces[i]->state > LOOKING)
		i++;
	if (reply->complete && i == reply->n_pieces)
		talk_speech_end(reply);
}

static void
make(talk_piece *piece)
{
	piece->state = MAKING;
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
		if (reply->pieces[i]->state == NEW && !reply->gone)
			find(reply->pieces[i]);
	}
	end_when_all_is_asked(reply);
	give(reply);
}
