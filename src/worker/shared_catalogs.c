/*
 * shared_catalogs.c
 *	  Looks names up by reading a catalog from its beginning, as the autovacuum
 *	  launcher does: a process without a database has no indexes of the shared
 *	  catalogs.  Within a transaction only.
 */
#include "server/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"

#include "worker/shared_catalogs.h"

Oid
mulberry_look_up_database(const char *name)
{
	Relation relation = table_open(DatabaseRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(relation, 0, NULL);
	HeapTuple tuple;
	Oid oid = InvalidOid;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);

		if (strcmp(NameStr(row->datname), name) == 0 && row->datallowconn)
			oid = row->oid;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	return oid;
}

Oid
mulberry_look_up_role(const char *name)
{
	Relation relation = table_open(AuthIdRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(relation, 0, NULL);
	HeapTuple tuple;
	Oid oid = InvalidOid;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_authid row = (Form_pg_authid) GETSTRUCT(tuple);

		if (strcmp(NameStr(row->rolname), name) == 0)
			oid = row->oid;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	return oid;
}
