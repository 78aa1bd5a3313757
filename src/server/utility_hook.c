/*
 * utility_hook.c
 *	  Looks at utility statements before and after they run: some need a database
 *	  without our processes, some give the launcher something to do.  launcher.c
 *	  has the table of them.
 *
 * It decides nothing about the statement: who may not run it gets the server's
 * own error, and does not stop anything on the way to it.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "server/catalog.h"
#include "server/holds.h"
#include "server/shared_state.h"
#include "server/utility_hook.h"
#include "server/xact.h"

/* Processes leave within milliseconds; this is for a server that is busy. */
#define HOLD_TIMEOUT 4500 /* ms */

static ProcessUtility_hook_type previous_hook = NULL;

static void
process_utility(PlannedStmt *planned, const char *text, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *destination, QueryCompletion *completion);
static void before_statement(Node *statement, bool top_level);
static int actions_after(Node *statement);
static void hold_named_database(const char *name, bool copied);
static bool may_copy(Oid database);
static bool drops_us(const DropStmt *statement);
static bool updates_us(const AlterExtensionStmt *statement);
static bool may_change_us(void);

void
mulberry_utility_hook_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *planned, const char *text, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *destination, QueryCompletion *completion)
{
	/* read now: the tree need not survive the statement */
	int actions = actions_after(planned->utilityStmt);

	before_statement(planned->utilityStmt, context == PROCESS_UTILITY_TOPLEVEL);
	if (previous_hook)
		previous_hook(planned, text, read_only_tree, context, params, environment, destination,
					  completion);
	else
		standard_ProcessUtility(planned, text, read_only_tree, context, params, environment,
								destination, completion);

	/* Some of these statements end their transaction and begin another one. */
	if (actions != 0 && IsTransactionState())
		mulberry_xact_at_commit(actions);
}

static void
before_statement(Node *statement, bool top_level)
{
	/* Statements about databases are errors inside of a transaction block. */
	bool alone = top_level && !IsTransactionBlock();

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			if (alone)
				hold_named_database(((DropdbStmt *) statement)->dbname, /* copied */ false);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				hold_named_database(((RenameStmt *) statement)->subname, /* copied */ false);
			break;
		case T_AlterDatabaseStmt:
		{
			AlterDatabaseStmt *alter = (AlterDatabaseStmt *) statement;
			ListCell *cell;

			foreach (cell, alter->options)
			{
				if (alone && strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
					hold_named_database(alter->dbname, /* copied */ false);
			}
			break;
		}
		case T_CreatedbStmt:
		{
			const char *template = "template1";
			ListCell *cell;

			foreach (cell, ((CreatedbStmt *) statement)->options)
			{
				DefElem *option = lfirst_node(DefElem, cell);

				if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
					template = defGetString(option);
			}
			if (alone)
				hold_named_database(template, /* copied */ true);
			break;
		}
		case T_DropStmt:
			if (drops_us((DropStmt *) statement))
				(void) mulberry_hold_database_and_win(MyDatabaseId, HOLD_TIMEOUT);
			break;
		case T_AlterExtensionStmt:
			if (updates_us((AlterExtensionStmt *) statement) && may_change_us())
				(void) mulberry_hold_database_and_win(MyDatabaseId, HOLD_TIMEOUT);
			break;
		default:
			break;
	}
}

/* What the commit of the statement's transaction tells the launcher. */
static int
actions_after(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
		case T_AlterDatabaseStmt:
			return MULBERRY_COMMIT_WAKE_LAUNCHER;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_DATABASE
					   ? MULBERRY_COMMIT_WAKE_LAUNCHER
					   : 0;
		case T_CreateExtensionStmt:
			return strcmp(((CreateExtensionStmt *) statement)->extname, MULBERRY_EXTENSION) == 0
					   ? MULBERRY_COMMIT_EXTENSION_CREATED
					   : 0;
		case T_AlterExtensionStmt:
			return updates_us((AlterExtensionStmt *) statement) ? MULBERRY_COMMIT_EXTENSION_CREATED
																: 0;
		default:
			return 0;
	}
}

/*
 * Holds the database, when it exists and the user may do to it what the
 * statement does.
 */
static void
hold_named_database(const char *name, bool copied)
{
	Oid database = get_database_oid(name, /* missing_ok */ true);

	if (!OidIsValid(database))
		return;
	if (copied ? !may_copy(database)
			   : !object_ownercheck(DatabaseRelationId, database, GetUserId()))
		return;
	(void) mulberry_hold_database(database, HOLD_TIMEOUT);
}

/* As CREATE DATABASE decides it. */
static bool
may_copy(Oid database)
{
	HeapTuple tuple;
	bool allowed;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	allowed = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!allowed || object_ownercheck(DatabaseRelationId, database, GetUserId()))
		return allowed;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	allowed = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return allowed;
}

/*
 * True for DROP EXTENSION of ours, or of any with CASCADE, which may take ours
 * along, by somebody who may.
 */
static bool
drops_us(const DropStmt *statement)
{
	ListCell *cell;
	bool named = false;

	if (statement->removeType != OBJECT_EXTENSION)
		return false;
	foreach (cell, statement->objects)
		named = named || strcmp(strVal(lfirst(cell)), MULBERRY_EXTENSION) == 0;
	if (!named && statement->behavior != DROP_CASCADE)
		return false;
	return may_change_us();
}

/* True for ALTER EXTENSION … UPDATE of ours. */
static bool
updates_us(const AlterExtensionStmt *statement)
{
	return strcmp(statement->extname, MULBERRY_EXTENSION) == 0;
}

static bool
may_change_us(void)
{
	Oid extension = get_extension_oid(MULBERRY_EXTENSION, /* missing_ok */ true);

	return OidIsValid(extension) &&
		   (superuser() || object_ownercheck(ExtensionRelationId, extension, GetUserId()) ||
			object_ownercheck(DatabaseRelationId, MyDatabaseId, GetUserId()));
}
