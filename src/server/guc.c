/*
 * guc.c
 *	  Defines the settings of Mulberry, sorted by name.  It holds no logic that
 *	  uses them; each subject reads its own.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/guc.h"

#include "server/guc.h"

int mulberry_max_packet_size;
int mulberry_max_gap;
int mulberry_max_batch_calls;
int mulberry_max_batch_packets;
int mulberry_grace_period;
int mulberry_event_interval;
int mulberry_event_ring_size;
char *mulberry_databases;
int mulberry_max_databases;
int mulberry_workers;
char *mulberry_worker_role;
int mulberry_http_concurrency;
int mulberry_max_response_size;
int mulberry_maintenance_interval;
int mulberry_ai_max_attempts;
char *mulberry_secret_key_file;

/* Read in SQL, by current_setting(). */
static int agent_online_time;
static int ai_retry_delay;
static int command_max_attempts;
static int command_online_wait;
static int command_retry_delay;
static int endpoint_patience;
static int http_timeout;
static int idle_call_timeout;
static int job_retention;
static int lease_time;
static int partitions_ahead;
static char *retention;

/*
 * mulberry.retention is what check_tenant_settings() takes for a tenant's own: an interval longer
 * than nothing, of at most 1000 years, with no negative part.  Each part has its unit, or '90' would
 * be 90 seconds.  Runs without a transaction and must not raise errors.
 */
static bool
check_retention(char **newval, void **extra, GucSource source)
{
	char buffer[MAXDATELEN * 2];
	char *field[MAXDATEFIELDS];
	int type[MAXDATEFIELDS];
	int nfields;
	int kind;
	int error;
	struct pg_itm_in span;
	double days;

	if (**newval == '\0')
		return true;
	error = ParseDateTime(*newval, buffer, sizeof(buffer), field, type, MAXDATEFIELDS, &nfields);
	if (error == 0)
		error = DecodeInterval(field, type, nfields, INTERVAL_FULL_RANGE, &kind, &span);
	if (error == DTERR_BAD_FORMAT)
		error = DecodeISO8601Interval(*newval, &kind, &span);
	if (error != 0 || kind != DTK_DELTA)
	{
		GUC_check_errdetail("It is no interval.");
		GUC_check_errhint("Say for example \"90 days\"; empty keeps calls for ever.");
		return false;
	}
	if (strspn(*newval, "0123456789.+- ") == strlen(*newval))
	{
		GUC_check_errdetail("The interval has no unit.");
		GUC_check_errhint("Say for example \"90 days\".");
		return false;
	}
	days = span.tm_year * 360.0 + span.tm_mon * 30.0 + span.tm_mday +
		   (double) span.tm_usec / USECS_PER_DAY;
	if (span.tm_year < 0 || span.tm_mon < 0 || span.tm_mday < 0 || span.tm_usec < 0 || days <= 0 ||
		days > 1000 * 360.0)
	{
		GUC_check_errdetail("It must be longer than nothing and at most 1000 years, with no "
							"negative part.");
		return false;
	}
	return true;
}

/*
 * Defines every setting.  Settings that decide who may do what, or what an
 * acknowledgement promises, are PGC_SIGHUP or PGC_SUSET: an ordinary session
 * must not change them.
 */
void
mulberry_define_gucs(void)
{
	/*
	 * What sizes shared memory cannot change after the start.  Without
	 * preloading there is no shared memory to size, and the server refuses
	 * to define such a setting then.
	 */
	GucContext at_start =
		process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;

	DefineCustomIntVariable("mulberry.agent_online_time",
							"How long an agent counts as online after its last agent_sync().",
							"It should be at least twice the interval at which agents ask.",
							&agent_online_time, 60 * 1000, 1, 24 * 3600 * 1000, PGC_SUSET,
							GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.ai_max_attempts",
							"How often an AI job is tried before it is dead.", NULL,
							&mulberry_ai_max_attempts,
							/* boot, min, max */ 5, 1, 100, PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.ai_retry_delay",
		"Delay before the second attempt of an AI job; doubles with each further one.",
		"The sum of the delays of a job is at most 60 s.", &ai_retry_delay, 1000, 1, 60000,
		PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.command_max_attempts",
							"How often an agent is phoned with a command before a person must act.",
							NULL, &command_max_attempts, 3, 1, 20, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.command_online_wait",
		"How long a command waits for an agent that is online before the agent is phoned.", NULL,
		&command_online_wait, 10 * 1000, 0, 3600 * 1000, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.command_retry_delay",
		"Delay between a call that brought no acknowledgement and the next one.", NULL,
		&command_retry_delay, 30 * 1000, 0, 3600 * 1000, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"mulberry.databases", "Comma-separated databases that get a notifier and workers.",
		"The extension must exist there; a database that appears later is picked up.",
		&mulberry_databases, "", PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.endpoint_patience", "How long jobs wait for an endpoint that is out.",
		"Meanwhile they use up no attempts; afterwards they are dead.", &endpoint_patience,
		24 * 3600, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.event_interval", "How often the notifier sends what has happened.",
		"A longer time puts more packets of a call into one message, and wakes subscribers less "
		"often.",
		&mulberry_event_interval, 5, 1, 10000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.event_ring_size", "Packet events that wait for the notifier, a database.", NULL,
		&mulberry_event_ring_size, 4096, 64, 1048576, at_start, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.grace_period",
							"How long late packets are still taken after complete_call().", NULL,
							&mulberry_grace_period, 3000, 0, 3600 * 1000, PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.http_concurrency", "HTTP transfers that one worker runs at once.",
		"Every eighth slot again is kept for tenants and endpoints that have few under way.",
		&mulberry_http_concurrency, 64, 1, 1000, PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.http_timeout",
		"Longest duration of one HTTP transfer, unless its endpoint says otherwise.", NULL,
		&http_timeout, 120, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.idle_call_timeout",
		"A call that got no packet for this long is completed with what it has; 0 never.", NULL,
		&idle_call_timeout, 3600, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.job_retention", "How long finished jobs are kept.", NULL,
							&job_retention, 30 * 24 * 60, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.lease_time",
		"How long a claimed job belongs to its worker beyond the timeout of its transfer.", NULL,
		&lease_time, 30, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.maintenance_interval",
		"How often workers make partitions, apply retention and complete idle calls.", NULL,
		&mulberry_maintenance_interval, 60, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.max_batch_calls",
		"Different calls that one ingest_packets() may name and one transaction may change.", NULL,
		&mulberry_max_batch_calls, 250, 1, 10000, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.max_batch_packets", "Packets that one ingest_packets() may carry.", NULL,
		&mulberry_max_batch_packets, 10000, 1, 1000000, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.max_databases", "Databases that shared memory has room for.",
							NULL, &mulberry_max_databases, 4, 1, 64, at_start, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"mulberry.max_gap", "How far a packet's sequence may lie beyond the next expected one.",
		NULL, &mulberry_max_gap, 100000, 1, INT_MAX - 2, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.max_packet_size", "Largest packet.", NULL,
							&mulberry_max_packet_size, 1024 * 1024, 1, 64 * 1024 * 1024, PGC_SUSET,
							GUC_UNIT_BYTE, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.max_response_size",
							"Largest body that a worker takes from an endpoint.", NULL,
							&mulberry_max_response_size, 8 * 1024 * 1024, 1024, 256 * 1024 * 1024,
							PGC_SIGHUP, GUC_UNIT_BYTE, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.partitions_ahead",
							"Days for which partitions of packets are made in advance.", NULL,
							&partitions_ahead, 3, 0, 366, PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"mulberry.retention",
		"Interval for which finished calls and their packets are kept; empty keeps them for ever.",
		"A tenant's own retention wins.", &retention, "", PGC_SIGHUP, 0, check_retention, NULL,
		NULL);

	DefineCustomStringVariable(
		"mulberry.secret_key_file", "File (mode 0600) that holds the key of the stored secrets.",
		"Relative to the data directory. Made when the first secret is stored.",
		&mulberry_secret_key_file, "mulberry.key", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL,
		NULL);

	DefineCustomStringVariable(
		"mulberry.worker_role", "Role that the workers run as; empty: the extension's owner.",
		"A LOGIN role without superuser rights; see grant_access(role, 'worker', null).",
		&mulberry_worker_role, "", PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mulberry.workers", "Workers of each database.", NULL,
							&mulberry_workers, 1, 0, MULBERRY_MAX_WORKERS, PGC_SIGHUP, 0, NULL,
							NULL, NULL);

	MarkGUCPrefixReserved("mulberry");
}
