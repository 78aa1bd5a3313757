/*
 * call_relations.h
 *	  Where the tables of calls and packets are.
 */
#ifndef MULBERRY_CALL_RELATIONS_H
#define MULBERRY_CALL_RELATIONS_H

#include "postgres.h"

/* Oids of what the ingest path opens. */
typedef struct mulberry_relations
{
	Oid calls;
	Oid calls_id_key;	/* (id) */
	Oid calls_name_key; /* (tenant, call_id) */
	Oid call_number;
	Oid tracks;
	Oid tracks_key;		 /* (call, number) */
	Oid tracks_id_key;	 /* (id) */
	Oid tracks_name_key; /* (call, name) */
	Oid call_details;
	Oid call_details_key; /* (call) */
	Oid gaps;
	Oid gaps_key; /* (call, first) */
	Oid packets;
	Oid segments;
	Oid segments_key; /* (call, track, number) */
	Oid transcripts;
	Oid transcripts_key; /* (call) */
} mulberry_relations;

/* The oids, from a cache that follows DROP and CREATE EXTENSION. */
extern const mulberry_relations *mulberry_get_relations(void);

#endif /* MULBERRY_CALL_RELATIONS_H */
