/*
 * partitions.c
 *	  The partitions of "packets": their names and bounds, making them ahead or on
 *	  demand, and finding the one of a day without asking the catalogs each time.
 *
 * Dropping them is retention's (retention.c).  A partition is an ordinary table that
 * belongs to the extension's owner and never a member of the extension, because
 * pg_dump would leave it out.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "calls/call_relations.h"
#include "calls/calls.h"
#include "calls/partitions.h"
#include "server/catalog.h"
#include "server/locks.h"
#include "server/xact.h"

/* Days that one session remembers; a session rarely writes to more than two. */
#define REMEMBERED_DAYS 8

typedef struct known_partition
{
	int32 day;
	Oid table; /* InvalidOid: entry is empty */
	Oid key;
	bool only_key;
} known_partition;

static known_partition known_partitions[REMEMBERED_DAYS];

/* Forgets a partition when it or its indexes change; also when its creation is rolled back. */
static void
partition_changed(Datum arg, Oid relation)
{
	for (int i = 0; i < REMEMBERED_DAYS; i++)
		if (relation == InvalidOid || known_partitions[i].table == relation ||
			known_partitions[i].key == relation)
			known_partitions[i].table = InvalidOid;
}

static known_partition *
partition_entry(int32 day)
{
	return &known_partitions[day % REMEMBERED_DAYS];
}

static void
partition_name(int32 day, char name[NAMEDATALEN])
{
	int year, month, mday;

	j2date(day + UNIX_EPOCH_JDATE, &year, &month, &mday);
	snprintf(name, NAMEDATALEN, "packets_%04d%02d%02d", year, month, mday);
}

/* The valid, immediate, unique index on exactly (call, sequence), or InvalidOid. */
static Oid
find_key(Relation table, int *nindexes)
{
	List *indexes = RelationGetIndexList(table);
	ListCell *cell;
	Oid key = InvalidOid;

	*nindexes = list_length(indexes);
	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisunique && form->indimmediate && form->indisvalid && form->indisready &&
			form->indnatts == 2 && form->indnkeyatts == 2 && form->indkey.values[0] == 1 &&
			form->indkey.values[1] == 2 && RelationGetIndexPredicate(index) == NIL)
			key = RelationGetRelid(index);
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return key;
}

/* Finds the partition of a day and remembers it; false when there is none. */
static bool
find_partition(int32 day)
{
	static bool registered = false;
	known_partition *entry = partition_entry(day);
	char name[NAMEDATALEN];
	Oid oid;
	Oid key;
	int nindexes;
	Relation table;

	if (OidIsValid(entry->table) && entry->day == day)
		return true;
	if (!registered)
	{
		CacheRegisterRelcacheCallback(partition_changed, (Datum) 0);
		registered = true;
	}

	AcceptInvalidationMessages();
	partition_name(day, name);
	oid = get_relname_relid(name, mulberry_schema_oid());
	if (!OidIsValid(oid) || (table = try_table_open(oid, AccessShareLock)) == NULL)
		return false;
	if (!table->rd_rel->relispartition ||
		get_partition_parent(oid, true) != mulberry_get_relations()->packets)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "table \"mulberry_internal.%s\" is not attached to \"mulberry_internal.packets\"",
				 name),
			 errhint("Attach it again or rename it.")));
	key = find_key(table, &nindexes);
	if (!OidIsValid(key))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("partition \"mulberry_internal.%s\" lacks its unique index on (call, sequence)",
					name),
			 errhint("Create it: CREATE UNIQUE INDEX ON mulberry_internal.%s (call, sequence).",
					 name)));
	table_close(table, AccessShareLock);

	entry->day = day;
	entry->table = oid;
	entry->key = key;
	entry->only_key = nindexes == 1;
	return true;
}

/* Runs one command as part of making a partition. */
static void
run(const char *command)
{
	int result = SPI_execute(command, false, 0);

	if (result != SPI_OK_UTILITY)
		elog(ERROR, "could not make a partition: %s", SPI_result_code_string(result));
}

/*
 * CREATE and ATTACH, because CREATE ... PARTITION OF would lock readers and writers
 * of the parent out.  Runs as the owner, with settings of the session that could
 * put the table elsewhere set aside, and outside of any extension script that is running.
 */
static void
create_partition(int32 day)
{
	char name[NAMEDATALEN];
	int gucs = NewGUCNestLevel();
	bool in_extension = creating_extension;
	mulberry_identity before;

	partition_name(day, name);
	(void) set_config_option("search_path", MULBERRY_SAFE_SEARCH_PATH, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("default_tablespace", "", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	before = mulberry_become_owner();
	creating_extension = false;
	PG_TRY();
	{
		SPI_connect();
		run(psprintf("CREATE TABLE mulberry_internal.%s"
					 " (LIKE mulberry_internal.packets INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
					 " INCLUDING STORAGE INCLUDING COMPRESSION) USING heap",
					 name));
		run(psprintf("CREATE UNIQUE INDEX %s_key ON mulberry_internal.%s (call, sequence)", name,
					 name));
		/* so that a publication can tell which packets were erased */
		run(psprintf("ALTER TABLE mulberry_internal.%s REPLICA IDENTITY USING INDEX %s_key", name,
					 name));
		run(psprintf("ALTER TABLE mulberry_internal.%s ENABLE ROW LEVEL SECURITY", name));
		run(psprintf("COMMENT ON TABLE mulberry_internal.%s IS 'packets of the calls that began on "
					 "that day (UTC)'",
					 name));
		run(psprintf("ALTER TABLE mulberry_internal.packets ATTACH PARTITION mulberry_internal.%s"
					 " FOR VALUES FROM (" INT64_FORMAT ") TO (" INT64_FORMAT ")",
					 name, mulberry_first_call_of_day(day), mulberry_first_call_of_day(day + 1)));
		SPI_finish();
	}
	PG_FINALLY();
	{
		creating_extension = in_extension;
	}
	PG_END_TRY();
	mulberry_leave_owner(before);
	AtEOXact_GUC(true, gucs);
	CommandCounterIncrement();
}

/* False also after somebody has dropped it by hand, with the packets of that day's calls. */
bool
mulberry_partition_exists(int32 day)
{
	return find_partition(day);
}

bool
mulberry_make_partition(int32 day)
{
	if (find_partition(day))
		return false;

	/* Whoever comes second waits for the first one's commit and finds its table. */
	mulberry_lock(MULBERRY_LOCK_PARTITION, (uint64) day, ExclusiveLock, true);
	if (find_partition(day))
		return false;
	create_partition(day);
	if (!find_partition(day))
		elog(ERROR, "a partition just created is not there");
	return true;
}

void
mulberry_open_partition(int32 day, LOCKMODE mode, mulberry_partition *partition)
{
	/* Waiting for the lock may bring the news that the partition is another one now. */
	while (find_partition(day))
	{
		known_partition entry = *partition_entry(day);

		partition->table = try_table_open(entry.table, mode);
		if (partition->table == NULL)
		{
			partition_changed((Datum) 0, entry.table);
			continue;
		}
		if (partition_entry(day)->table == entry.table && partition_entry(day)->day == day)
		{
			entry = *partition_entry(day);
			partition->key = index_open(entry.key, mode);
			partition->only_key = entry.only_key;
			return;
		}
		table_close(partition->table, mode);
	}

	char name[NAMEDATALEN];

	partition_name(day, name);
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("partition \"mulberry_internal.%s\" does not exist", name),
					errdetail("The call exists, but the packets of its day are gone.")));
}

void
mulberry_close_partition(mulberry_partition *partition)
{
	index_close(partition->key, NoLock);
	table_close(partition->table, NoLock);
}

mulberry_partition *
mulberry_partition_of_day(mulberry_open_partitions *open, int32 day)
{
	mulberry_partition *partition;
	ListCell *known;
	ListCell *cell;

	forboth(known, open->days, cell, open->partitions)
	{
		if (lfirst_int(known) == day)
			return lfirst(cell);
	}
	partition = palloc(sizeof(mulberry_partition));
	mulberry_open_partition(day, RowExclusiveLock, partition);
	open->days = lappend_int(open->days, day);
	open->partitions = lappend(open->partitions, partition);
	return partition;
}

void
mulberry_close_partitions(mulberry_open_partitions *open)
{
	ListCell *cell;

	foreach (cell, open->partitions)
		mulberry_close_partition(lfirst(cell));
	list_free(open->days);
	list_free_deep(open->partitions);
	open->days = open->partitions = NIL;
}

PG_FUNCTION_INFO_V1(mulberry_make_partition_sql);

/*
 * make_partition(day date) -> boolean: true when it was made.
 */
Datum
mulberry_make_partition_sql(PG_FUNCTION_ARGS)
{
	DateADT date = PG_GETARG_DATEADT(0);

	/* Calls are numbered by days since 1970; four digits of the year fit the name. */
	if (DATE_NOT_FINITE(date) || date + POSTGRES_EPOCH_JDATE < UNIX_EPOCH_JDATE ||
		date + POSTGRES_EPOCH_JDATE > date2j(9999, 12, 31))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("day must be between 1970-01-01 and 9999-12-31")));
	mulberry_require_writable("make_partition()");
	PG_RETURN_BOOL(mulberry_make_partition(date + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)));
}
