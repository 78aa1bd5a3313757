/*
 * call_relations.c
 *	  The oids of the tables that calls and packets are written to without SQL.
 */
#include "server/compat.h"

#include "utils/inval.h"

#include "calls/call_relations.h"
#include "server/catalog.h"

static mulberry_relations relations;
static bool relations_valid = false;

/* Forgets the oids when one of the relations changes or goes. */
static void
relation_changed(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == relations.calls ||
		relation == relations.calls_id_key || relation == relations.calls_name_key ||
		relation == relations.call_number || relation == relations.tracks ||
		relation == relations.tracks_key || relation == relations.tracks_id_key ||
		relation == relations.tracks_name_key || relation == relations.call_details ||
		relation == relations.call_details_key || relation == relations.gaps ||
		relation == relations.gaps_key || relation == relations.packets ||
		relation == relations.segments || relation == relations.segments_key ||
		relation == relations.transcripts || relation == relations.transcripts_key)
		relations_valid = false;
}

const mulberry_relations *
mulberry_get_relations(void)
{
	static bool registered = false;
	mulberry_relations found;

	if (relations_valid)
		return &relations;
	if (!registered)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		registered = true;
	}

	/* Found first and stored then, because looking things up may invalidate. */
	found.calls = mulberry_relation_oid("calls");
	found.calls_id_key = mulberry_relation_oid("calls_pkey");
	found.calls_name_key = mulberry_relation_oid("calls_tenant_call_id_key");
	found.call_number = mulberry_relation_oid("call_number");
	found.tracks = mulberry_relation_oid("tracks");
	found.tracks_key = mulberry_relation_oid("tracks_pkey");
	found.tracks_id_key = mulberry_relation_oid("tracks_id_key");
	found.tracks_name_key = mulberry_relation_oid("tracks_call_name_key");
	found.call_details = mulberry_relation_oid("call_details");
	found.call_details_key = mulberry_relation_oid("call_details_pkey");
	found.gaps = mulberry_relation_oid("gaps");
	found.gaps_key = mulberry_relation_oid("gaps_pkey");
	found.packets = mulberry_relation_oid("packets");
	found.segments = mulberry_relation_oid("segments");
	found.segments_key = mulberry_relation_oid("segments_pkey");
	found.transcripts = mulberry_relation_oid("transcripts");
	found.transcripts_key = mulberry_relation_oid("transcripts_pkey");
	relations = found;
	relations_valid = true;
	return &relations;
}
