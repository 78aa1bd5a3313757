/*
 * dtmf_receive.h
 *	  Runs the receiver over a signal and keeps what it says: for its tests and the
 *	  comparison in bench/.
 */
#ifndef DTMF_RECEIVE_H
#define DTMF_RECEIVE_H

#include "check.h"
#include "core/audio/dtmf_internal.h"

typedef struct received
{
	size_t n;
	size_t room;
	mb_dtmf_event *events;
	char *digits; /* NUL-terminated */
} received;

CHECK_UNUSED static void
received_add(void *arg, const mb_dtmf_event *event)
{
	received *r = arg;

	if (r->n + 1 >= r->room)
	{
		r->room = r->room * 2 + 64;
		r->events = realloc(r->events, r->room * sizeof(*r->events));
		r->digits = realloc(r->digits, r->room);
		if (r->events == NULL || r->digits == NULL)
			abort();
	}
	r->events[r->n] = *event;
	r->digits[r->n++] = event->digit;
	r->digits[r->n] = '\0';
}

CHECK_UNUSED static void
received_free(received *r)
{
	free(r->events);
	free(r->digits);
	memset(r, 0, sizeof(*r));
}

/* What was received, as a string. */
CHECK_UNUSED static const char *
received_digits(const received *r)
{
	return r->n > 0 ? r->digits : "";
}

/*
 * Receives n samples in portions (0: all at once) by one of the code paths (-1: the best).
 */
CHECK_UNUSED static received
receive(const int16_t *samples, size_t n, int sample_rate, size_t portion, int path)
{
	received r = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &r };
	mb_dtmf *dtmf = malloc(mb_dtmf_size(sample_rate));

	if (dtmf == NULL || mb_dtmf_init(dtmf, sample_rate, &options) != MB_OK ||
		(path >= 0 && !mb_dtmf_use_path(dtmf, (dtmf_path) path)))
		abort();
	if (portion == 0)
		portion = n;
	for (size_t i = 0; i < n; i += portion)
		mb_dtmf_feed(dtmf, samples + i, n - i < portion ? n - i : portion);
	mb_dtmf_flush(dtmf);
	free(dtmf);
	return r;
}

#endif /* DTMF_RECEIVE_H */
