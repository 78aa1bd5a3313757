/*
 * v253.c
 *	  "v253:PORT": the audio of a landline voice modem, on the port of its commands, in one direction at a time.
 *
 * To hear is +VRX, until we send DLE ! and the modem ends with DLE ETX and OK; to speak is +VTX, until we send DLE ETX and the
 * modem says OK, once it has spoken all. Turning around takes the modem 100 to 400 ms; what was said meanwhile nobody
 * hears, and the next block says how much that is. We keep little more than LEAD in the modem, so that what
 * is spoken can be dropped, and is known to have been spoken.
 *
 * A caller who hangs up is seldom told in words: DLE b or DLE d, busy or dial tone, for a second, is the end.
 */
#include "drivers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/modem/dle.h"
#include "core/modem/vsm.h"
#include "port.h"

#define RATE 8000
#define BLOCK (RATE / 1000 * EDGE_BLOCK_MS)
#define MILLISECOND INT64_C(1000000)
#define SECOND (1000 * MILLISECOND)
#define SAMPLE (SECOND / RATE)
#define ANSWER_MS 3000
/* The modem speaks what it has before it says OK. */
#define SPOKEN_MS 5000
#define LEAD (200 * MILLISECOND)
#define GONE_AFTER SECOND
#define CAN 0x18

typedef enum mode
{
	COMMANDS,
	HEARING,
	SPEAKING
} mode;

typedef struct v253
{
	edge_port *port;
	mb_vsm_form form;
	mode mode;
	mb_dle dle;
	char detail[80];
	int64_t begun;		/* when what is heard, or spoken, began */
	uint64_t heard;		/* samples since */
	uint64_t spoken;	/* samples since that were written */
	uint64_t before;	/* samples that were spoken in earlier turns */
	int64_t deaf_since; /* 0: nothing was missed */
	int64_t gone_at;	/* when the caller is taken to be gone; 0: is there */
	bool ended;
	bool restarted;
	size_t filled;
	int16_t block[BLOCK];
} v253;

static edge_audio_status
gone(edge_audio *audio)
{
	return edge_audio_say(audio, EDGE_AUDIO_AWAY, "the modem's port is gone");
}

/* What nobody asked for, in command mode or in the stream. */
static void
take_code(edge_audio *audio, v253 *modem, uint8_t code)
{
	switch (mb_dle_kind_of(code))
	{
		case MB_DLE_BUSY:
		case MB_DLE_DIAL_TONE:
			if (modem->gone_at == 0)
				modem->gone_at = edge_clock() + GONE_AFTER;
			break;
		case MB_DLE_OVERRUN:
			audio->position.overruns++;
			break;
		case MB_DLE_DATA_CALL:
		case MB_DLE_FAX:
			/* a tone of a machine, or speech that the modem takes for one: it is no end */
			break;
		default:
			break;
	}
}

/* Waits for the result of a command, after a sentence of the other kind: MB_AT_TEXT when there is none in time. */
static mb_at_kind
result_of(edge_audio *audio, v253 *modem, int timeout)
{
	int64_t until = edge_clock() + timeout * MILLISECOND;
	mb_at_event event;

	for (;;)
	{
		int64_t left = (until - edge_clock()) / MILLISECOND;
		int state = edge_port_hear(modem->port, &event, left > 0 ? (int) left : 0);

		if (state < 0)
			modem->ended = true;
		if (state <= 0)
			return MB_AT_TEXT;
		switch (event.kind)
		{
			case MB_AT_OK:
			case MB_AT_ERROR:
			case MB_AT_CONNECT:
			case MB_AT_VCON:
				return event.kind;
			case MB_AT_NO_CARRIER:
			case MB_AT_BUSY:
			case MB_AT_NO_ANSWER:
			case MB_AT_NO_DIALTONE:
				modem->ended = true;
				return event.kind;
			case MB_AT_RESTARTED:
				modem->ended = modem->restarted = true;
				return event.kind;
			case MB_AT_SHIELDED:
				take_code(audio, modem, event.code);
				break;
			default:
				break;
		}
	}
}

static bool
command(edge_audio *audio, v253 *modem, const char *text, mb_at_kind wanted)
{
	return edge_port_send(modem->port, text) && result_of(audio, modem, ANSWER_MS) == wanted;
}

/* Asks which forms of audio there are, and chooses the best. */
static edge_audio_status
choose_form(edge_audio *audio, v253 *modem)
{
	char text[32];
	mb_at_event event;
	int number = 0;

	modem->form = MB_VSM_FORMS;
	if (!edge_port_send(modem->port, "AT+VSM=?"))
		return gone(audio);
	for (;;)
	{
		int state = edge_port_hear(modem->port, &event, ANSWER_MS);
		mb_vsm_form form;
		int found;

		if (state < 0)
			return gone(audio);
		if (state == 0 || event.kind == MB_AT_OK || event.kind == MB_AT_ERROR)
			break;
		form = mb_vsm_read(event.text, &found);
		if (form >= modem->form)
			continue;
		modem->form = form;
		number = found;
	}
	if (modem->form == MB_VSM_FORMS)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "the modem offers no audio of 8 bits at 8000 Hz, see AT+VSM=?");
	snprintf(text, sizeof(text), "AT+VSM=%d,%d", number, RATE);
	if (!command(audio, modem, text, MB_AT_OK))
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT, "the modem refuses %s", text);
	snprintf(modem->detail, sizeof(modem->detail),
			 "voice modem, form %d, 8000 Hz, one direction at a time", number);
	return EDGE_AUDIO_OK;
}

static edge_audio_status
v253_open(edge_audio *audio, const char *name, const edge_audio_request *request)
{
	v253 *modem;
	edge_audio_status status;
	edge_port *port;

	if ((request->sample_rate != 0 && request->sample_rate != RATE) || request->channels > 1)
		return edge_audio_say(audio, EDGE_AUDIO_FORMAT,
							  "v253: gives 8000 Hz and one channel, nothing else");
	status = edge_port_open(name, &port, audio->problem);
	if (status != EDGE_AUDIO_OK)
		return status;
	modem = calloc(1, sizeof(*modem));
	if (modem == NULL)
	{
		edge_port_close(port);
		return edge_audio_say(audio, EDGE_AUDIO_BUSY, "out of memory");
	}
	modem->port = port;
	edge_port_take(port);
	status = choose_form(audio, modem);
	if (status != EDGE_AUDIO_OK)
	{
		edge_port_give_back(port, modem->restarted);
		edge_port_close(port);
		free(modem);
		return status;
	}
	audio->state = modem;
	audio->traits.sample_rate = RATE;
	audio->traits.channels = 1;
	audio->traits.capture = request->capture;
	audio->traits.playback = request->playback;
	audio->traits.duplex = false;
	audio->traits.pace = EDGE_PACED_BY_DEVICE;
	audio->traits.buffer_ms = 0;
	audio->traits.jitter_ms = EDGE_BLOCK_MS;
	audio->traits.detail = modem->detail;
	return EDGE_AUDIO_OK;
}

static edge_audio_status
begin_hearing(edge_audio *audio, v253 *modem)
{
	if (!command(audio, modem, "AT+VRX", MB_AT_CONNECT))
		return modem->ended ? EDGE_AUDIO_END
							: edge_audio_say(audio, EDGE_AUDIO_AWAY, "the modem refuses AT+VRX");
	modem->mode = HEARING;
	modem->dle = (mb_dle){ 0 };
	modem->begun = edge_clock();
	modem->heard = 0;
	modem->filled = 0;
	edge_port_data_begin(modem->port, ANSWER_MS);
	return EDGE_AUDIO_OK;
}

/* Reads what comes, up to the end of the block; true at the end of the stream. */
static bool
hear(edge_audio *audio, v253 *modem, int timeout)
{
	uint8_t bytes[2 * BLOCK];
	uint8_t out[BLOCK];
	int got = edge_port_read(modem->port, bytes, sizeof(bytes), timeout);
	size_t at = 0;

	if (got < 0)
		modem->ended = true;
	while (got > 0 && at < (size_t) got && modem->filled < BLOCK)
	{
		size_t used;
		size_t produced;
		uint8_t code;
		bool said = mb_dle_take(&modem->dle, bytes + at, (size_t) got - at, &used, out,
								BLOCK - modem->filled, &produced, &code);

		at += used;
		for (size_t i = 0; i < produced; i++)
			modem->block[modem->filled++] = mb_vsm_decode(modem->form, out[i]);
		if (said && mb_dle_kind_of(code) == MB_DLE_END)
		{
			edge_port_unread(modem->port, (size_t) got - at);
			return true;
		}
		if (said)
			take_code(audio, modem, code);
	}
	if (got > 0)
		edge_port_unread(modem->port, (size_t) got - at);
	return false;
}

/* The modem is to stop hearing: what it still has is thrown away. */
static void
end_hearing(edge_audio *audio, v253 *modem)
{
	static const uint8_t stop[] = { MB_DLE, '!' };
	int64_t until = edge_clock() + ANSWER_MS * MILLISECOND;

	modem->mode = COMMANDS;
	modem->deaf_since = modem->begun + (int64_t) modem->heard * SAMPLE;
	if (!edge_port_write(modem->port, stop, sizeof(stop), ANSWER_MS))
		return;
	while (!modem->ended && edge_clock() < until)
	{
		bool ended;

		modem->filled = 0;
		ended = hear(audio, modem, ANSWER_MS);
		if (!ended)
			continue;
		result_of(audio, modem, ANSWER_MS);
		break;
	}
	modem->filled = 0;
}

/* The modem is to say when it has spoken everything. */
static void
end_speaking(edge_audio *audio, v253 *modem)
{
	static const uint8_t end[] = { MB_DLE, MB_DLE_ETX };

	modem->mode = COMMANDS;
	modem->before += modem->spoken;
	modem->spoken = 0;
	if (edge_port_write(modem->port, end, sizeof(end), ANSWER_MS))
		result_of(audio, modem, SPOKEN_MS);
}

static edge_audio_status
v253_read(edge_audio *audio, int16_t *samples, edge_audio_block *block, int timeout)
{
	v253 *modem = audio->state;
	int64_t until = edge_clock() + timeout * MILLISECOND;

	if (modem->mode == SPEAKING)
		return edge_audio_say(audio, EDGE_AUDIO_UNABLE,
							  "v253: hears nothing before what it speaks is drained or dropped");
	if (modem->ended)
		return EDGE_AUDIO_END;
	if (modem->mode == COMMANDS)
	{
		edge_audio_status status = begin_hearing(audio, modem);

		if (status != EDGE_AUDIO_OK)
			return status;
	}
	while (modem->filled < BLOCK)
	{
		int64_t now = edge_clock();

		if (modem->gone_at != 0 && now >= modem->gone_at)
			modem->ended = true;
		if (modem->ended)
			return EDGE_AUDIO_END;
		if (now >= until)
			return EDGE_AUDIO_LATER;
		if (hear(audio, modem, (int) ((until - now + MILLISECOND - 1) / MILLISECOND)))
		{
			/* the modem ends by itself: the call is over, or what it says next tells why */
			modem->mode = COMMANDS;
			result_of(audio, modem, ANSWER_MS);
			modem->ended = true;
		}
	}
	memcpy(samples, modem->block, sizeof(modem->block));
	modem->filled = 0;
	block->frames = BLOCK;
	if (modem->deaf_since != 0)
	{
		int64_t deaf = edge_clock() - BLOCK * SAMPLE - modem->deaf_since;

		block->lost = deaf > 0 ? (uint64_t) (deaf / SAMPLE) : 0;
		modem->deaf_since = 0;
		modem->begun = edge_clock() - BLOCK * SAMPLE;
		modem->heard = 0;
	}
	block->time = modem->begun + (int64_t) modem->heard * SAMPLE;
	modem->heard += BLOCK;
	return EDGE_AUDIO_OK;
}

static void
sleep_until(int64_t at)
{
	struct timespec time = { .tv_sec = at / SECOND, .tv_nsec = at % SECOND };

	clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &time, NULL);
}

/* When what was written so far has been spoken. */
static int64_t
spoken_at(const v253 *modem)
{
	return modem->begun + (int64_t) modem->spoken * SAMPLE;
}

static edge_audio_status
v253_write(edge_audio *audio, const int16_t *samples, size_t frames, int timeout)
{
	v253 *modem = audio->state;
	int64_t until = edge_clock() + timeout * MILLISECOND;
	uint8_t bytes[BLOCK];
	uint8_t shielded[2 * BLOCK];

	if (modem->mode == HEARING)
		end_hearing(audio, modem);
	if (modem->ended)
		return EDGE_AUDIO_END;
	if (modem->mode == COMMANDS)
	{
		if (!command(audio, modem, "AT+VTX", MB_AT_CONNECT))
			return modem->ended
					   ? EDGE_AUDIO_END
					   : edge_audio_say(audio, EDGE_AUDIO_AWAY, "the modem refuses AT+VTX");
		/* what comes now are codes, which the reader of lines knows */
		modem->mode = SPEAKING;
		modem->begun = edge_clock();
		modem->spoken = 0;
	}
	if (spoken_at(modem) < edge_clock())
	{
		/* there was a pause: time went on, and nothing was spoken */
		modem->before += modem->spoken;
		modem->spoken = 0;
		modem->begun = edge_clock();
	}
	if (spoken_at(modem) - LEAD > until)
	{
		sleep_until(until);
		return EDGE_AUDIO_LATER;
	}
	if (spoken_at(modem) - LEAD > edge_clock())
		sleep_until(spoken_at(modem) - LEAD);
	for (size_t at = 0; at < frames;)
	{
		size_t n = frames - at < BLOCK ? frames - at : BLOCK;

		for (size_t i = 0; i < n; i++)
			bytes[i] = mb_vsm_encode(modem->form, samples[at + i]);
		if (!edge_port_write(modem->port, shielded, mb_dle_shield(bytes, n, shielded), ANSWER_MS))
			return gone(audio);
		at += n;
	}
	modem->spoken += frames;
	return EDGE_AUDIO_OK;
}

static edge_audio_status
v253_drain(edge_audio *audio)
{
	v253 *modem = audio->state;

	if (modem->mode == SPEAKING)
		end_speaking(audio, modem);
	return EDGE_AUDIO_OK;
}

static void
v253_drop(edge_audio *audio)
{
	static const uint8_t clear[] = { MB_DLE, CAN };
	v253 *modem = audio->state;

	if (modem->mode != SPEAKING)
		return;
	edge_port_write(modem->port, clear, sizeof(clear), ANSWER_MS);
	end_speaking(audio, modem);
}

static void
v253_position(edge_audio *audio, edge_audio_position *position)
{
	v253 *modem = audio->state;
	int64_t since = modem->mode == SPEAKING ? (edge_clock() - modem->begun) / SAMPLE : 0;
	uint64_t now = since > 0 && (uint64_t) since < modem->spoken ? (uint64_t) since : modem->spoken;

	position->played = modem->before + (modem->mode == SPEAKING ? now : 0);
}

static void
v253_close(edge_audio *audio)
{
	v253 *modem = audio->state;

	if (modem->mode == HEARING)
		end_hearing(audio, modem);
	else
		v253_drop(audio);
	edge_port_give_back(modem->port, modem->restarted);
	edge_port_close(modem->port);
	free(modem);
}

const edge_audio_driver edge_v253_driver = {
	.kind = "v253",
	.naming = "a voice modem's port, /dev/ttyACM0",
	.open = v253_open,
	.read = v253_read,
	.write = v253_write,
	.drain = v253_drain,
	.drop = v253_drop,
	.position = v253_position,
	.close = v253_close,
};
