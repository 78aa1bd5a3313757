/*
 * item.c
 *	  What goes through the outbox, and how it stands in the spool; see item.h.
 *
 * The bytes of a packet are its encoding (u8), the length of its tenant (u8), its rate (u32, little endian), the tenant, and the
 * audio. Those of a begin or an end are texts, each ended by a NUL: tenant, direction, from, to, attributes, encoding, rate,
 * and the names of the tracks; an empty one is none.
 */
#include "item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/text.h"

#define HEAD 6
#define TEXTS 7 /* before the tracks */

static bool
fits(size_t call_length, size_t track_length, size_t n)
{
	return call_length <= EDGE_MAX_CALL_ID && track_length <= MB_SPOOL_MAX_NAME &&
		   n <= MB_SPOOL_MAX_BYTES;
}

/* With room for a track's name and bytes. */
static edge_item *
make(edge_item_kind kind, const char *call_id, size_t call_length, const char *track,
	 size_t track_length, size_t n)
{
	edge_item *item;

	if (!fits(call_length, track_length, n))
		return NULL;
	item = calloc(1, sizeof(*item) + track_length + 1 + n);
	if (item == NULL)
		return NULL;
	item->kind = kind;
	memcpy(item->call_id, call_id, call_length);
	if (track_length > 0)
		item->track = memcpy(item->bytes, track, track_length);
	item->data = (uint8_t *) item->bytes + track_length + 1;
	item->n = n;
	item->wall = MB_SPOOL_NO_TIME;
	return item;
}

static uint8_t *
bytes_of(edge_item *item)
{
	return (uint8_t *) item->bytes + (item->data - (uint8_t *) item->bytes);
}

edge_item *
edge_item_packet(const char *call_id, const edge_packet *packet, const edge_call *call)
{
	size_t tenant = call->tenant == NULL ? 0 : strlen(call->tenant);
	size_t track = packet->track == NULL ? 0 : strlen(packet->track);
	mb_encoding encoding = MB_MULAW;
	uint32_t rate = call->sample_rate == NULL ? 0 : (uint32_t) atoi(call->sample_rate);
	edge_item *item;
	uint8_t *bytes;

	if (tenant > UINT8_MAX)
		return NULL;
	item = make(EDGE_ITEM_PACKET, call_id, strlen(call_id), packet->track, track,
				HEAD + tenant + packet->n);
	if (item == NULL)
		return NULL;
	if (call->encoding != NULL)
		(void) mb_encoding_from_name(call->encoding, &encoding);
	bytes = bytes_of(item);
	bytes[0] = (uint8_t) encoding;
	bytes[1] = (uint8_t) tenant;
	for (int i = 0; i < 4; i++)
		bytes[2 + i] = (uint8_t) (rate >> 8 * i);
	if (tenant > 0)
		memcpy(bytes + HEAD, call->tenant, tenant);
	memcpy(bytes + HEAD + tenant, packet->data, packet->n);
	item->sequence = packet->sequence;
	item->duration_us = EDGE_BLOCK_MS * 1000;
	item->time = packet->time;
	item->wall = packet->sent_at == 0 ? MB_SPOOL_NO_TIME : packet->sent_at;
	return item;
}

edge_item *
edge_item_of_call(edge_item_kind kind, const char *call_id, const edge_call *call,
				  const char *const *tracks, int n_tracks, int64_t total)
{
	const char *texts[TEXTS + EDGE_MAX_CHANNELS] = { call->tenant,	   call->direction,
													 call->from,	   call->to,
													 call->attributes, call->encoding,
													 call->sample_rate };
	program_text all = { 0 };
	edge_item *item = NULL;

	for (int i = 0; i < n_tracks; i++)
		texts[TEXTS + i] = tracks[i];
	for (int i = 0; i < TEXTS + n_tracks; i++)
	{
		const char *text = texts[i] == NULL ? "" : texts[i];

		program_text_add(&all, text, strlen(text) + 1);
	}
	if (!all.failed)
		item = make(kind, call_id, strlen(call_id), NULL, 0, all.length);
	if (item != NULL)
	{
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): each text has a byte at least */
		memcpy(bytes_of(item), all.data, all.length);
		item->sequence = total;
	}
	program_text_free(&all);
	return item;
}

edge_item *
edge_item_of_record(const mb_spool_record *record, const uint8_t *boot, bool *is_ours)
{
	edge_item *item;

	*is_ours = record->kind >= EDGE_ITEM_BEGIN && record->kind <= EDGE_ITEM_END &&
			   fits(record->call_length, record->track_length, record->length);
	if (!*is_ours)
		return NULL;
	item = make((edge_item_kind) record->kind, record->call, record->call_length, record->track,
				record->track_length, record->length);
	if (item == NULL)
		return NULL;
	memcpy(bytes_of(item), record->bytes, record->length);
	item->number = record->number;
	item->sequence = record->sequence;
	item->duration_us = record->duration_us;
	item->wall = record->wall_us;
	if (memcmp(record->boot, boot, MB_SPOOL_BOOT) == 0)
		item->time = record->monotonic_us * 1000;
	return item;
}

void
edge_item_to_record(const edge_item *item, const uint8_t *boot, mb_spool_record *record)
{
	*record = (mb_spool_record){ .kind = (uint8_t) item->kind,
								 .duration_us = item->duration_us,
								 .sequence = item->sequence,
								 .monotonic_us = item->time / 1000,
								 .wall_us = item->wall,
								 .call = item->call_id,
								 .call_length = strlen(item->call_id),
								 .track = item->track == NULL ? "" : item->track,
								 .track_length = item->track == NULL ? 0 : strlen(item->track),
								 .bytes = item->data,
								 .length = item->n };
	memcpy(record->boot, boot, MB_SPOOL_BOOT);
}

static bool
read_packet(const edge_item *item, edge_item_call *call)
{
	mb_encoding encoding;
	uint32_t rate = 0;

	if (item->n < HEAD || item->n < HEAD + (size_t) item->data[1])
		return false;
	encoding = (mb_encoding) item->data[0];
	if (encoding != MB_MULAW && encoding != MB_ALAW && encoding != MB_S16LE)
		return false;
	for (int i = 0; i < 4; i++)
		rate |= (uint32_t) item->data[2 + i] << 8 * i;
	memcpy(call->tenant, item->data + HEAD, item->data[1]);
	call->tenant[item->data[1]] = '\0';
	call->call.encoding = mb_encoding_name(encoding);
	snprintf(call->sample_rate, sizeof(call->sample_rate), "%u", rate);
	return true;
}

bool
edge_item_read_call(const edge_item *item, edge_item_call *call)
{
	const char *at = (const char *) item->data;
	const char *end = at + item->n;
	const char *texts[TEXTS + EDGE_MAX_CHANNELS] = { NULL };
	int n = 0;

	memset(call, 0, sizeof(*call));
	if (item->kind == EDGE_ITEM_PACKET)
		return read_packet(item, call);
	for (; n < TEXTS + EDGE_MAX_CHANNELS && at < end; n++)
	{
		const char *behind = memchr(at, '\0', (size_t) (end - at));

		if (behind == NULL)
			return false;
		texts[n] = *at == '\0' ? NULL : at;
		at = behind + 1;
	}
	if (at != end || n <= TEXTS)
		return false;
	if (texts[0] != NULL && strlen(texts[0]) >= sizeof(call->tenant))
		return false;
	snprintf(call->tenant, sizeof(call->tenant), "%s", texts[0] == NULL ? "" : texts[0]);
	call->call.direction = texts[1];
	call->call.from = texts[2];
	call->call.to = texts[3];
	call->call.attributes = texts[4];
	call->call.encoding = texts[5];
	call->call.whole = true;
	if (item->kind == EDGE_ITEM_BEGIN && item->wall != MB_SPOOL_NO_TIME)
		call->call.started_at = item->wall;
	snprintf(call->sample_rate, sizeof(call->sample_rate), "%s", texts[6] == NULL ? "" : texts[6]);
	call->n_tracks = n - TEXTS;
	for (int i = 0; i < call->n_tracks; i++)
		call->track[i] = texts[TEXTS + i];
	return true;
}

const uint8_t *
edge_item_audio(const edge_item *item, size_t *n)
{
	size_t before = item->n < HEAD ? item->n : HEAD + (size_t) item->data[1];

	before = before < item->n ? before : item->n;
	*n = item->n - before;
	return item->data + before;
}
