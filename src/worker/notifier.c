/*
 * notifier.c
 *	  One process a database that tells subscribers what has happened: numbers
 *	  stored events in one transaction, then sends NOTIFY for them and for the
 *	  packet events of the ring in a second one, which writes nothing and so
 *	  flushes nothing while it has the server-wide lock of NOTIFY.
 *
 * It also links the audit log (audit.c), after the messages are out, so that they
 * do not wait for it, and stores refused commands in it (refusals.c).
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

#include "events/event_message.h"
#include "events/event_ring.h"
#include "server/guc.h"
#include "server/plans.h"
#include "server/shared_state.h"
#include "worker/channels.h"
#include "worker/process.h"

#define LOOK_INTERVAL 5000		 /* ms between looks for events that nobody announced */
#define EVENTS_AT_ONCE 200		 /* stored events of one turn */
#define NOTES_AT_ONCE 64		 /* notes copied out of the ring at a time */
#define MAX_FAILURE_DELAY 60000	 /* ms */
#define COMPLAINT_INTERVAL 60000 /* ms between warnings about the queue */
#define LINKS_AT_ONCE 1000		 /* rows of the audit log in a transaction */
#define LINK_RETRY_DELAY 60000	 /* ms, after linking has failed */
#define LINK_BUSY_DELAY 1000	 /* ms, after somebody else kept us from linking */

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
} message;

static mulberry_slot *slot;
static uint32 wait_event;
static MemoryContext turn_context; /* reset before each turn */
static List *messages = NIL;	   /* of this turn, in turn_context */
static bool more_events = false;   /* the last batch was full */
static bool resync_due = true;	   /* subscribers may have missed something, as after our start */
static uint64 resync_lost = 0;
static TimestampTz last_look = 0;
static TimestampTz last_complaint = 0;
static bool more_links = false; /* the last batch was full */
static TimestampTz last_link_look = 0;
static TimestampTz no_links_before = 0; /* after a failure */

extern PGDLLEXPORT void mulberry_notifier_main(Datum arg);

static bool turn(bool *worked);
static bool try_step(void (*step)(void));
static void read_channels(void);
static void number_events(void);
static void look_after_audit(void);
static void store_refusals(void);
static void link_audit(void);
static int collect_notes(List **notes);
static void send_messages(void);
static void add_message(const pg_uuid_t *tenant, char *text);
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
		TimestampTz started = GetCurrentTimestamp();
		bool worked = false;

		mulberry_process_check_interrupts();
		MemoryContextReset(turn_context);
		MemoryContextSwitchTo(turn_context);
		messages = NIL;

		if (turn(&worked))
		{
			failures = 0;
			look_after_audit();
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
			rest(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay));
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
	double usage;

	if (mulberry_channels_are_stale() && !try_step(read_channels))
	{
		mulberry_channels_forget();
		return false;
	}

	stored = mulberry_notifier_take_events_stored(slot) || more_events ||
			 TimestampDifferenceExceeds(last_look, GetCurrentTimestamp(), LOOK_INTERVAL);
	more_events = false;
	if (stored)
	{
		if (!try_step(number_events))
		{
			mulberry_wake_notifier(slot, /* events_stored */ true, /* audit_recorded */ false,
								   /* channels_changed */ false);
			return false;
		}
		last_look = GetCurrentTimestamp();
	}

	nnotes = collect_notes(&notes);
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

				add_message(
					&audience->tenant,
					psprintf(
						"{\"event\": \"resync\", \"tenant\": \"%s\", \"dropped\": " UINT64_FORMAT
						"}",
						NameStr(audience->tenant_name), resync_lost));
			}
			resync_due = false;
			resync_lost = 0;
		}
		foreach (cell, notes)
		{
			const mulberry_packet_note *note = lfirst(cell);
			const mulberry_audience *audience = mulberry_audience_of(&note->tenant);

			if (audience != NULL)
			{
				StringInfoData text;

				initStringInfo(&text);
				mulberry_packet_event_message(&text, note, NameStr(audience->tenant_name));
				add_message(&note->tenant, text.data);
			}
		}
		messages = list_concat(messages, events);
	}
	if (messages == NIL)
		return true;

	if (!try_step(send_messages))
	{
		mulberry_channels_forget();
		mulberry_count_failed(list_length(messages));
		return false;
	}
	mulberry_count_done(list_length(messages));
	return true;
}

/* Runs a step; false when it raised an error, which is reported and over then. */
static bool
try_step(void (*step)(void))
{
	volatile bool done = true;

	PG_TRY();
	{
		step();
	}
	PG_CATCH();
	{
		mulberry_process_abort_unit();
		done = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(turn_context);
	return done;
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
		"SELECT tenant, seq, event, call_id, payload FROM mulberry_internal.number_events($1)",
		1,
		{ INT4OID }
	};
	List *numbered = NIL;
	Datum argument = Int32GetDatum(EVENTS_AT_ONCE);

	mulberry_process_begin_unit("numbering events");
	SPI_connect();
	(void) mulberry_statement_run(&statement, &argument, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool isnull;
		Datum tenant = SPI_getbinval(tuple, desc, 1, &isnull);
		const mulberry_audience *audience = mulberry_audience_of(DatumGetUUIDP(tenant));
		StringInfoData text;
		MemoryContext spi_context;
		message *m;

		if (audience == NULL)
			continue;
		spi_context = MemoryContextSwitchTo(turn_context);
		initStringInfo(&text);
		MemoryContextSwitchTo(spi_context);
		mulberry_stored_event_message(
			&text, SPI_getvalue(tuple, desc, 3), SPI_getvalue(tuple, desc, 4),
			NameStr(audience->tenant_name), DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull)),
			DatumGetJsonbP(SPI_getbinval(tuple, desc, 5, &isnull)), MULBERRY_MAX_MESSAGE);
		MemoryContextSwitchTo(turn_context);
		m = palloc(sizeof(message));
		m->tenant = audience->tenant;
		m->text = text.data;
		numbered = lappend(numbered, m);
		MemoryContextSwitchTo(spi_context);
	}
	more_events = SPI_processed == EVENTS_AT_ONCE;
	SPI_finish();
	mulberry_process_end_unit();
	messages = numbered;
}

/*
 * Links the audit log when rows were committed, and from time to time in case nobody said so.
 * When that fails the log is behind, which health() reports; events go on.
 */
static void
look_after_audit(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool due = mulberry_notifier_take_audit_recorded(slot) || more_links ||
			   TimestampDifferenceExceeds(last_link_look, now, LOOK_INTERVAL);

	if (!due || now < no_links_before)
		return;
	more_links = false;
	last_link_look = now;
	if (!try_step(store_refusals) || !try_step(link_audit))
		no_links_before = TimestampTzPlusMilliseconds(now, LINK_RETRY_DELAY);
}

/* Commands that were refused with an error, see refusals.h. */
static void
store_refusals(void)
{
	static SPIPlanPtr plan = NULL;

	mulberry_process_begin_unit("storing refusals");
	SPI_connect();
	if (plan == NULL)
		plan = mulberry_keep_plan("SELECT mulberry_internal.store_refusals()", 0, NULL);
	if (SPI_execute_plan(plan, NULL, NULL, /* read_only */ false, /* tcount */ 0) != SPI_OK_SELECT)
		elog(ERROR, "could not store refusals");
	SPI_finish();
	mulberry_process_end_unit();
}

static void
link_audit(void)
{
	static SPIPlanPtr plan = NULL;
	Datum argument = Int32GetDatum(LINKS_AT_ONCE);
	Datum linked;
	bool isnull;

	mulberry_process_begin_unit("linking the audit log");
	SPI_connect();
	if (plan == NULL)
		plan = mulberry_keep_plan("SELECT mulberry_internal.link_audit_soon($1)", 1,
								  (Oid[]){ INT4OID });
	if (SPI_execute_plan(plan, &argument, NULL, /* read_only */ false, /* tcount */ 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not link the audit log");
	linked = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		no_links_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LINK_BUSY_DELAY);
	else
		more_links = DatumGetInt64(linked) == LINKS_AT_ONCE;
	SPI_finish();
	mulberry_process_end_unit();
}

/*
 * Empties the ring into "notes", one for a call and kind, in the order in which
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
			Async_Notify(lfirst(channel), m->text);
	}
	mulberry_process_end_unit();
}

/* "text" lives in turn_context. */
static void
add_message(const pg_uuid_t *tenant, char *text)
{
	message *m = palloc(sizeof(message));

	m->tenant = *tenant;
	m->text = text;
	messages = lappend(messages, m);
}

static void
complain_about_queue(double usage)
{
	TimestampTz now = GetCurrentTimestamp();

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
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

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
