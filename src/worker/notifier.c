/*
 * notifier.c
 *	  One process a database that tells subscribers what has happened: numbers
 *	  stored events in one transaction, then sends NOTIFY for them and for the
 *	  packet events of the ring in a second one, which writes nothing and so
 *	  flushes nothing while it has the server-wide lock of NOTIFY.
 *
 * It also keeps the audit log (audit_keeper.c), after the messages are out, so that they
 * do not wait for it.
 *
 * It works in ticks of mulberry.event_interval; the first event after a pause
 * goes out at once.  Between ticks it holds neither a transaction nor a snapshot.
 *
 * What it sends are hints.  Nothing that goes wrong here may lose a stored event
 * (it keeps its number and is found by events_since()), make others fail (the queue
 * of NOTIFY is never filled up), or end in a loop of restarts.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"

#include "access/access.h"
#include "events/event_kinds.h"
#include "events/event_message.h"
#include "events/event_ring.h"
#include "server/guc.h"
#include "server/monotonic.h"
#include "server/plans.h"
#include "server/shared_state.h"
#include "worker/audit_keeper.h"
#include "worker/channels.h"
#include "worker/process.h"

#define LOOK_INTERVAL 5000		 /* ms between looks for events that nobody announced */
#define EVENTS_AT_ONCE 200		 /* stored events of one turn */
#define NOTES_AT_ONCE 64		 /* notes copied out of the ring at a time */
#define MAX_FAILURE_DELAY 60000	 /* ms */
#define COMPLAINT_INTERVAL 60000 /* ms between warnings about the queue */
#define SINGLY_FOR 5000			 /* ms, after numbering all tenants at once has failed */

/*
 * How full the queue of NOTIFY may be before packet events, and before all events, are no
 * longer sent.  When it is full, every transaction that notifies fails, whosever
 * it is.
 */
#define QUEUE_LIMIT_PACKETS 0.5
#define QUEUE_LIMIT_EVENTS 0.8

/* A note of this turn; key is what notes are coalesced by. */
typedef struct note_key
{
	pg_uuid_t tenant;
	int32 kind;
	char call_id[MULBERRY_MAX_CALL_ID + 1];
	char track[MULBERRY_MAX_TRACK + 1];
} note_key;

typedef struct turn_note
{
	note_key key;
	mulberry_packet_note *note;
} turn_note;

typedef struct message
{
	pg_uuid_t tenant;
	char *text;
	bool for_all;		 /* about the subscription itself */
	int kind;			 /* mulberry_event_kind_number() */
	const char *call_id; /* NULL: about no call */
	int64 seq;			 /* 0: has no number */
} message;

static mulberry_slot *slot;
static uint32 wait_event;
static MemoryContext turn_context; /* reset before each turn */
static List *messages = NIL;	   /* of this turn, in turn_context */
static bool more_events = false;   /* the last batch was full */
static bool resync_due = true;	   /* subscribers may have missed something, as after our start */
static uint64 resync_lost = 0;
static TimestampTz last_look = 0;
static TimestampTz last_wants = 0; /* when we last looked who hears of packets */
static TimestampTz last_complaint = 0;
static TimestampTz singly_until = 0; /* each tenant's events by themselves */

extern PGDLLEXPORT void mulberry_notifier_main(Datum arg);

static bool turn(bool *worked);
static void read_channels(void);
static void number_events(void);
static void number_events_singly(void);
static void number(mulberry_statement *statement);
static char *text_of(HeapTuple tuple, TupleDesc desc, const char *tenant_name);
static int collect_notes(List **notes);
static void send_messages(void);
static void send_message(const message *m, mulberry_channel *channel);
static message *add_message(const pg_uuid_t *tenant, char *text);
static void complain_about_queue(double usage);
static void rest(TimestampTz until);
static void sleep_until_woken(void);

void
mulberry_notifier_main(Datum arg)
{
	int failures = 0;

	slot = mulberry_process_begin();
	wait_event = name_wait_event("MulberryNotifier");
	mulberry_channels_init();
	turn_context =
		AllocSetContextCreate(TopMemoryContext, "mulberry notifier turn", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz started = mulberry_monotonic();
		bool worked = false;
		bool more_links;

		mulberry_process_check_interrupts();
		MemoryContextReset(turn_context);
		MemoryContextSwitchTo(turn_context);
		messages = NIL;

		if (turn(&worked))
		{
			failures = 0;
			more_links = mulberry_keep_audit(slot);
			if (more_events)
				continue;
			if (worked || more_links)
				rest(TimestampTzPlusMilliseconds(started, mulberry_event_interval));
			else
				sleep_until_woken();
		}
		else
		{
			int delay = failures >= 6 ? MAX_FAILURE_DELAY : 1000 << failures;

			failures++;
			resync_due = true;
			rest(TimestampTzPlusMilliseconds(mulberry_monotonic(), delay));
		}
	}
}

/*
 * False when a step failed; the error has been reported.  The events are
 * numbered before the ring is emptied, so that a packet comes before the end of its
 * call in the same turn.
 */
static bool
turn(bool *worked)
{
	List *notes = NIL;
	ListCell *cell;
	int nnotes;
	bool stored;
	bool left_out = false;
	double usage;

	mulberry_channels_begin_turn();
	if (mulberry_channels_are_stale() && !mulberry_process_try(read_channels, false))
	{
		mulberry_channels_forget();
		return false;
	}
	if (TimestampDifferenceExceeds(last_wants, mulberry_monotonic(), LOOK_INTERVAL))
	{
		mulberry_channels_tell_wants();
		last_wants = mulberry_monotonic();
	}

	stored = mulberry_notifier_take_events_stored(slot) || more_events ||
			 TimestampDifferenceExceeds(last_look, mulberry_monotonic(), LOOK_INTERVAL);
	more_events = false;
	if (stored)
	{
		bool done = mulberry_monotonic() >= singly_until &&
					mulberry_process_try(number_events, /* quiet */ true);

		if (!done)
		{
			/* somebody is in the way, or some tenant's events fail: the others go on */
			if (mulberry_monotonic() >= singly_until)
				singly_until = TimestampTzPlusMilliseconds(mulberry_monotonic(), SINGLY_FOR);
			MemoryContextSwitchTo(turn_context);
			done = mulberry_process_try(number_events_singly, /* quiet */ false);
		}
		if (!done)
		{
			mulberry_wake_notifier(slot, /* events_stored */ true, /* audit_recorded */ false,
								   /* channels_changed */ false);
			return false;
		}
		last_look = mulberry_monotonic();
	}

	nnotes = collect_notes(&notes);
	/* who has subscribed since is to hear of packets that came after that */
	if (nnotes > 0 && mulberry_channels_are_stale() && !mulberry_process_try(read_channels, false))
	{
		mulberry_channels_forget();
		return false;
	}
	*worked = nnotes > 0 || messages != NIL;
	if (!*worked && !resync_due)
		return true;

	usage = DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0));
	if (usage > QUEUE_LIMIT_PACKETS)
	{
		complain_about_queue(usage);
		if (nnotes > 0)
		{
			mulberry_ring_count_dropped(slot, nnotes);
			resync_lost += nnotes;
			resync_due = true;
		}
		notes = NIL;
	}
	if (usage > QUEUE_LIMIT_EVENTS)
	{
		mulberry_count_failed(list_length(messages));
		resync_due = resync_due || messages != NIL;
		left_out = messages != NIL;
		messages = NIL;
	}

	/* packet events first, in front of what is there */
	{
		List *events = messages;

		messages = NIL;
		if (resync_due && usage <= QUEUE_LIMIT_PACKETS)
		{
			foreach (cell, mulberry_audiences())
			{
				const mulberry_audience *audience = lfirst(cell);
				StringInfoData text;

				initStringInfo(&text);
				mulberry_resync_message(&text, NameStr(audience->tenant_name), resync_lost);
				add_message(&audience->tenant, text.data)->for_all = true;
			}
			resync_due = false;
			resync_lost = 0;
		}
		foreach (cell, notes)
		{
			const mulberry_packet_note *note = lfirst(cell);
			const mulberry_audience *audience = mulberry_audience_of(&note->tenant);

			if (audience != NULL && mulberry_audience_wants(audience, note->kind, note->call_id))
			{
				StringInfoData text;
				message *m;

				initStringInfo(&text);
				mulberry_packet_event_message(&text, note, NameStr(audience->tenant_name));
				m = add_message(&note->tenant, text.data);
				m->kind = note->kind;
				m->call_id = note->call_id;
			}
		}
		messages = list_concat(messages, events);
	}
	if (left_out)
		mulberry_channels_forget(); /* what they want has not all been sent */
	if (messages == NIL)
		return true;

	if (!mulberry_process_try(send_messages, false))
	{
		mulberry_channels_forget();
		mulberry_count_failed(list_length(messages));
		return false;
	}
	mulberry_count_done(list_length(messages));
	return true;
}

/* Where events go; to a tenant that nobody ever subscribed to, nowhere. */
static void
read_channels(void)
{
	mulberry_process_begin_unit("reading channels");
	mulberry_channels_read();
	mulberry_process_end_unit();
}

/* Transaction 1: numbers events, commits, and leaves their messages. */
static void
number_events(void)
{
	static mulberry_statement statement = {
		"SELECT tenant, seq, event, call_id, payload, created_at "
		"FROM mulberry_internal.number_events($1)",
		1,
		{ INT4OID }
	};

	mulberry_process_begin_unit("numbering events");
	number(&statement);
}

/* The same, each tenant by itself. */
static void
number_events_singly(void)
{
	static mulberry_statement statement = {
		"SELECT tenant, seq, event, call_id, payload, created_at "
		"FROM mulberry_internal.number_events_singly($1)",
		1,
		{ INT4OID }
	};

	mulberry_process_begin_unit("numbering events");
	number(&statement);
}

static void
number(mulberry_statement *statement)
{
	Datum argument = Int32GetDatum(EVENTS_AT_ONCE);
	bool anybody; /* may want them: who has subscribed since is known when they are sent */

	messages = NIL;

	SPI_connect();
	(void) mulberry_statement_run(statement, &argument, NULL);
	anybody = mulberry_channels_are_stale();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool isnull;
		Datum tenant = SPI_getbinval(tuple, desc, 1, &isnull);
		const mulberry_audience *audience = mulberry_audience_of(DatumGetUUIDP(tenant));
		const mulberry_tenant *owner;
		MemoryContext spi_context;
		int kind;
		char *call_id;

		if (audience == NULL && !anybody)
			continue;
		owner = mulberry_find_tenant(DatumGetUUIDP(tenant));
		if (owner == NULL)
			continue;
		spi_context = MemoryContextSwitchTo(turn_context);
		kind = mulberry_event_kind_number(SPI_getvalue(tuple, desc, 3));
		call_id = SPI_getvalue(tuple, desc, 4);
		if (anybody || mulberry_audience_wants(audience, kind, call_id))
		{
			message *m =
				add_message(DatumGetUUIDP(tenant), text_of(tuple, desc, NameStr(owner->name)));

			m->kind = kind;
			m->call_id = call_id;
			m->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
		}
		MemoryContextSwitchTo(spi_context);
	}
	more_events = SPI_processed >= EVENTS_AT_ONCE;
	SPI_finish();
	mulberry_process_end_unit();
}

/* What is long is taken out of its table in a memory context of its own. */
static char *
text_of(HeapTuple tuple, TupleDesc desc, const char *tenant_name)
{
	MemoryContext before = CurrentMemoryContext;
	MemoryContext row = AllocSetContextCreate(before, "mulberry event", ALLOCSET_DEFAULT_SIZES);
	StringInfoData text;
	bool isnull;
	char *copy;

	MemoryContextSwitchTo(row);
	initStringInfo(&text);
	mulberry_stored_event_message(
		&text, SPI_getvalue(tuple, desc, 3), SPI_getvalue(tuple, desc, 4), tenant_name,
		DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull)),
		DatumGetTimestampTz(SPI_getbinval(tuple, desc, 6, &isnull)),
		DatumGetJsonbP(SPI_getbinval(tuple, desc, 5, &isnull)), MULBERRY_MAX_MESSAGE);
	MemoryContextSwitchTo(before);
	copy = pnstrdup(text.data, text.len);
	MemoryContextDelete(row);
	return copy;
}

/*
 * Empties the ring into "notes", one for a track of a call and kind, in the order in which
 * they first came.  Returns how many packet events that were.
 */
static int
collect_notes(List **notes)
{
	HTAB *known = NULL;
	int total = 0;
	int count;

	do
	{
		mulberry_packet_note *taken = palloc(sizeof(mulberry_packet_note) * NOTES_AT_ONCE);
		uint64 lost;

		count = mulberry_ring_take(slot, taken, NOTES_AT_ONCE, &lost);
		if (lost > 0)
		{
			resync_due = true;
			resync_lost += lost;
		}
		if (count > 0 && known == NULL)
		{
			HASHCTL control;

			memset(&control, 0, sizeof(control));
			control.keysize = sizeof(note_key);
			control.entrysize = sizeof(turn_note);
			control.hcxt = turn_context;
			known =
				hash_create("mulberry notes", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		}
		for (int i = 0; i < count; i++)
		{
			note_key key;
			turn_note *entry;
			bool found;

			memset(&key, 0, sizeof(key));
			key.tenant = taken[i].tenant;
			key.kind = taken[i].kind;
			strlcpy(key.call_id, taken[i].call_id, sizeof(key.call_id));
			strlcpy(key.track, taken[i].track, sizeof(key.track));
			entry = hash_search(known, &key, HASH_ENTER, &found);
			if (found)
			{
				int32 packets = entry->note->packets + taken[i].packets;

				mulberry_copy_note(entry->note, &taken[i]);
				entry->note->packets = packets;
			}
			else
			{
				entry->note = &taken[i];
				*notes = lappend(*notes, entry->note);
			}
		}
		total += count;
	} while (count == NOTES_AT_ONCE && total < mulberry_event_ring_size);
	return total;
}

/*
 * Transaction 2: NOTIFY and nothing else; but who lost the right to hear before an event
 * of this turn was committed is looked for now.
 */
static void
send_messages(void)
{
	ListCell *cell;

	mulberry_process_begin_unit("sending messages");
	if (mulberry_channels_are_stale())
		mulberry_channels_read();
	foreach (cell, messages)
	{
		const message *m = lfirst(cell);
		const mulberry_audience *audience = mulberry_audience_of(&m->tenant);
		ListCell *channel;

		if (audience == NULL)
			continue;
		foreach (channel, audience->channels)
			if (m->for_all || mulberry_channel_wants(lfirst(channel), m->kind, m->call_id))
				send_message(m, lfirst(channel));
	}
	mulberry_process_end_unit();
}

/*
 * To who hears only some of a tenant's events "prev" is the one before among these, or else he would
 * miss something each time.
 */
static void
send_message(const message *m, mulberry_channel *channel)
{
	StringInfoData text;

	if (channel->listener == 0 || m->seq == 0)
	{
		Async_Notify(channel->name, m->text);
		return;
	}
	initStringInfo(&text);
	mulberry_replace_prev(&text, m->text, Min(channel->told, m->seq - 1));
	Async_Notify(channel->name, text.data);
	pfree(text.data);
	channel->told = Max(channel->told, m->seq);
}

/* "text" lives in turn_context. */
static message *
add_message(const pg_uuid_t *tenant, char *text)
{
	message *m = palloc0(sizeof(message));

	m->tenant = *tenant;
	m->text = text;
	messages = lappend(messages, m);
	return m;
}

static void
complain_about_queue(double usage)
{
	TimestampTz now = mulberry_monotonic();

	if (!TimestampDifferenceExceeds(last_complaint, now, COMPLAINT_INTERVAL))
		return;
	last_complaint = now;
	ereport(WARNING,
			(errmsg("the queue of NOTIFY is %.0f%% full, events are not sent", usage * 100),
			 errdetail("Stored events are kept; subscribers find them by events_since()."),
			 errhint("A session that listens and stays in a transaction keeps the queue from being "
					 "emptied.")));
}

/* Until then, whoever sets the latch, but not without handling interrupts. */
static void
rest(TimestampTz until)
{
	for (;;)
	{
		long left = TimestampDifferenceMilliseconds(mulberry_monotonic(), until);

		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
						 wait_event);
		ResetLatch(MyLatch);
		mulberry_process_check_interrupts();
	}
}

/* Until somebody commits something for us, or it is time to look all the same. */
static void
sleep_until_woken(void)
{
	mulberry_notifier_fall_asleep(slot);
	if (!mulberry_notifier_has_work(slot) && mulberry_ring_is_empty(slot))
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_INTERVAL,
						 wait_event);
	mulberry_notifier_woke_up(slot);
	ResetLatch(MyLatch);
}
