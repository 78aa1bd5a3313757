/*
 * installation.c
 *	  Compares what the table "installation" says with the server we run on.  It
 *	  must not change the table: CREATE EXTENSION, a restored dump and
 *	  resume_outbound() do.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "server/catalog.h"
#include "server/columns.h"

enum installation_column
{
	INSTALLATION_SYSTEM_IDENTIFIER = 1,
	INSTALLATION_DATABASE
};

PG_FUNCTION_INFO_V1(mulberry_outbound_allowed);

/*
 * outbound_allowed() → boolean: true while the table names this server and this database and
 * nothing else.  False in a restored dump, a copied database and an upgraded server, until
 * resume_outbound().  Needs no snapshot and no rights on the table.  To be asked in the
 * transaction that claims outgoing work.
 */
Datum
mulberry_outbound_allowed(PG_FUNCTION_ARGS)
{
	Relation rel = table_open(mulberry_relation_oid("installation"), AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	int rows = 0;
	bool ours = true;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc desc = RelationGetDescr(rel);
		uint64 server;
		Oid database;

		server =
			(uint64) DatumGetInt64(mulberry_column(tuple, desc, INSTALLATION_SYSTEM_IDENTIFIER));
		database = DatumGetObjectId(mulberry_column(tuple, desc, INSTALLATION_DATABASE));
		ours = ours && server == GetSystemIdentifier() && database == MyDatabaseId;
		rows++;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	/* a second row has come with a dump, even when it says the same */
	PG_RETURN_BOOL(rows == 1 && ours);
}
