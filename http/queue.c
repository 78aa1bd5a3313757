/*
 * queue.c
 *	  Blobs, and the queue of them that waits to be sent.
 *
 * What is short is appended to the last blob where that has room and no other user, so that many small
 * frames leave in few pieces.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "internal.h"

/* Room of a blob that is made to be appended to. */
#define SMALL_ROOM 1024

_Static_assert(sizeof(http_blob) <= HTTP_BLOB_HEAD, "what users are told");

http_blob *
http_blob_new_in(void *memory, size_t size, void (*gone)(void *memory))
{
	http_blob *blob = memory;

	*blob = (http_blob){ .users = 1,
						 .room = size - HTTP_BLOB_HEAD,
						 .data = (char *) memory + HTTP_BLOB_HEAD,
						 .gone = gone };
	return blob;
}

/* A blob with its bytes behind it. */
static http_blob *
blob_with_room(size_t room)
{
	void *memory = malloc(HTTP_BLOB_HEAD + room);

	return memory == NULL ? NULL : http_blob_new_in(memory, HTTP_BLOB_HEAD + room, NULL);
}

http_blob *
http_blob_new(const void *bytes, size_t n)
{
	http_blob *blob = blob_with_room(n);

	if (blob == NULL)
		return NULL;
	if (n > 0)
		memcpy(blob->data, bytes, n);
	blob->length = n;
	return blob;
}

http_blob *
http_blob_take(void *bytes, size_t n)
{
	http_blob *blob = malloc(sizeof(*blob));

	if (blob == NULL)
	{
		free(bytes);
		return NULL;
	}
	*blob = (http_blob){ .users = 1, .length = n, .data = bytes };
	return blob;
}

http_blob *
http_blob_share(http_blob *blob)
{
	blob->users++;
	return blob;
}

void
http_blob_release(http_blob *blob)
{
	if (blob == NULL || --blob->users > 0)
		return;
	if (blob->data != (char *) blob + HTTP_BLOB_HEAD)
		free(blob->data);
	if (blob->gone != NULL)
		blob->gone(blob);
	else
		free(blob);
}

size_t
http_blob_add(http_blob *blob, const void *bytes, size_t n)
{
	size_t left = blob->room > blob->length ? blob->room - blob->length : 0;

	n = n < left ? n : left;
	if (n > 0)
		memcpy(blob->data + blob->length, bytes, n);
	blob->length += n;
	return n;
}

http_text
http_blob_text(const http_blob *blob)
{
	return (http_text){ blob->data, blob->length };
}

static queue_piece *
piece_at(const http_queue *queue, size_t i)
{
	return &queue->pieces[(queue->first + i) % queue->room];
}

/* Puts a blob behind the others and takes over its use; false, and nothing is taken, without memory. */
static bool
push(http_queue *queue, http_blob *blob)
{
	if (queue->n == queue->room)
	{
		size_t room = queue->room > 0 ? 2 * queue->room : 4;
		queue_piece *pieces = malloc(room * sizeof(*pieces));

		if (pieces == NULL)
			return false;
		for (size_t i = 0; i < queue->n; i++)
			pieces[i] = *piece_at(queue, i);
		free(queue->pieces);
		queue->pieces = pieces;
		queue->room = room;
		queue->first = 0;
	}
	queue->n++;
	*piece_at(queue, queue->n - 1) = (queue_piece){ blob, 0 };
	queue->bytes += blob->length;
	return true;
}

bool
http_queue_add(http_queue *queue, const void *bytes, size_t n)
{
	http_blob *blob = queue->n > 0 ? piece_at(queue, queue->n - 1)->blob : NULL;

	if (n == 0)
		return true;
	if (blob != NULL && blob->users == 1 && blob->room >= n && blob->room - n >= blob->length)
	{
		memcpy(blob->data + blob->length, bytes, n);
		blob->length += n;
		queue->bytes += n;
		return true;
	}
	blob = blob_with_room(n > SMALL_ROOM / 2 ? n : SMALL_ROOM);
	if (blob == NULL)
		return false;
	memcpy(blob->data, bytes, n);
	blob->length = n;
	if (push(queue, blob))
		return true;
	http_blob_release(blob);
	return false;
}

bool
http_queue_share(http_queue *queue, http_blob *blob)
{
	if (blob->length == 0)
		return true;
	if (!push(queue, blob))
		return false;
	http_blob_share(blob);
	return true;
}

int
http_queue_look(const http_queue *queue, struct iovec *pieces, int n)
{
	int i;

	for (i = 0; i < n && (size_t) i < queue->n; i++)
	{
		const queue_piece *piece = piece_at(queue, (size_t) i);

		pieces[i].iov_base = piece->blob->data + piece->at;
		pieces[i].iov_len = piece->blob->length - piece->at;
	}
	return i;
}

void
http_queue_sent(http_queue *queue, size_t n)
{
	queue->bytes -= n;
	while (n > 0)
	{
		queue_piece *piece = piece_at(queue, 0);
		size_t left = piece->blob->length - piece->at;

		if (n < left)
		{
			piece->at += n;
			return;
		}
		n -= left;
		http_blob_release(piece->blob);
		queue->first = (queue->first + 1) % queue->room;
		queue->n--;
	}
	if (queue->n == 0)
		http_queue_free(queue);
}

void
http_queue_drop(http_queue *queue, size_t keep)
{
	size_t kept = 0;
	size_t n = 0;

	while (n < queue->n && (kept < keep || piece_at(queue, n)->at > 0))
	{
		kept += piece_at(queue, n)->blob->length - piece_at(queue, n)->at;
		n++;
	}
	for (size_t i = n; i < queue->n; i++)
		http_blob_release(piece_at(queue, i)->blob);
	queue->n = n;
	queue->bytes = kept;
	if (n == 0)
		http_queue_free(queue);
}

void
http_queue_free(http_queue *queue)
{
	for (size_t i = 0; i < queue->n; i++)
		http_blob_release(piece_at(queue, i)->blob);
	free(queue->pieces);
	*queue = (http_queue){ 0 };
}
