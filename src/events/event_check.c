/*
 * event_check.c
 *	  Holds events to their kinds, and shows these to SQL; see event_kinds.h.
 *
 * A check costs a look at each key of the payload, little beside the row's insertion: so it is made
 * always, and a subject that forgets to enter its event or field there cannot store it.
 */
#include "server/compat.h"

#include "fmgr.h"

#include "events/event_kinds.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_event_kinds);
PG_FUNCTION_INFO_V1(mulberry_event_fields);

static const char *const delivery_names[] = {
	[MULBERRY_EVENT_PACKET] = "packet",
	[MULBERRY_EVENT_STORED] = "stored",
	[MULBERRY_EVENT_CONTROL] = "control",
};

static const char *const type_names[] = {
	[MULBERRY_FIELD_STRING] = "string",	  [MULBERRY_FIELD_NUMBER] = "number",
	[MULBERRY_FIELD_BOOLEAN] = "boolean", [MULBERRY_FIELD_ARRAY] = "array",
	[MULBERRY_FIELD_OBJECT] = "object",
};

static const mulberry_event_kind *
find_stored(const char *name)
{
	const mulberry_event_kind *kind = mulberry_event_kind_at(mulberry_event_kind_number(name));

	return kind != NULL && kind->delivery == MULBERRY_EVENT_STORED ? kind : NULL;
}

/* Position of a field among those of an ended list, -1 when it is not there. */
static int
find_field(const mulberry_event_field *fields, const JsonbValue *key)
{
	for (int i = 0; fields && fields[i].name; i++)
		if (strlen(fields[i].name) == key->val.string.len &&
			memcmp(fields[i].name, key->val.string.val, key->val.string.len) == 0)
			return i;
	return -1;
}

static bool
has_type(const JsonbValue *value, mulberry_field_type type)
{
	switch (type)
	{
		case MULBERRY_FIELD_STRING:
			return value->type == jbvString;
		case MULBERRY_FIELD_NUMBER:
			return value->type == jbvNumeric;
		case MULBERRY_FIELD_BOOLEAN:
			return value->type == jbvBool;
		case MULBERRY_FIELD_ARRAY:
			return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
		case MULBERRY_FIELD_OBJECT:
			return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
	}
	return false;
}

static void
refuse(const char *event, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("event \"%s\" %s", event, problem),
			 errhint("event_fields() shows the fields of every event.")));
}

/* Checks a field, and marks it as seen. */
static void
check_field(const char *event, const mulberry_event_field *fields, int i, const JsonbValue *value,
			uint32 *seen)
{
	if (value->type == jbvNull && fields[i].optional)
		return;
	if (!has_type(value, fields[i].type))
		refuse(event, psprintf("has the field \"%s\", which is no %s", fields[i].name,
							   type_names[fields[i].type]));
	*seen |= UINT32_C(1) << i;
}

static void
require_fields(const char *event, const mulberry_event_field *fields, uint32 seen)
{
	for (int i = 0; fields && fields[i].name; i++)
		if (!fields[i].optional && (seen & (UINT32_C(1) << i)) == 0)
			refuse(event, psprintf("lacks the field \"%s\"", fields[i].name));
}

void
mulberry_check_event(const char *event, Jsonb *payload)
{
	const mulberry_event_kind *kind = find_stored(event);
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;
	uint32 seen_common = 0;
	uint32 seen = 0;

	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown event \"%s\"", event),
				 errhint("event_kinds() shows the events that can be stored.")));
	iterator = JsonbIteratorInit(&payload->root);
	(void) JsonbIteratorNext(&iterator, &key, false); /* WJB_BEGIN_OBJECT */
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		int i;

		(void) JsonbIteratorNext(&iterator, &value, /* skipNested */ true);
		if ((i = find_field(kind->fields, &key)) >= 0)
			check_field(event, kind->fields, i, &value, &seen);
		else if ((i = find_field(kind->common, &key)) >= 0)
			check_field(event, kind->common, i, &value, &seen_common);
		else if (!kind->open)
			refuse(event, psprintf("has no field \"%s\"",
								   pnstrdup(key.val.string.val, key.val.string.len)));
	}
	require_fields(event, kind->common, seen_common);
	require_fields(event, kind->fields, seen);
}

/* event_kinds() → setof (event, subject, delivery, evidence, meaning) */
Datum
mulberry_event_kinds(PG_FUNCTION_ARGS)
{
	const mulberry_event_kind *kind;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (kind = mulberry_event_kind_at(i)) != NULL; i++)
	{
		mulberry_row row;

		mulberry_row_begin(&row, fcinfo);
		mulberry_row_add_text(&row, kind->name);
		mulberry_row_add_text(&row, kind->subject);
		mulberry_row_add_text(&row, delivery_names[kind->delivery]);
		mulberry_row_add(&row, BoolGetDatum(kind->open));
		mulberry_row_add_text(&row, kind->meaning);
		mulberry_row_put(&row, fcinfo);
	}
	return (Datum) 0;
}

static void
put_fields(FunctionCallInfo fcinfo, const char *event, const mulberry_event_field *fields)
{
	for (int i = 0; fields && fields[i].name; i++)
	{
		mulberry_row row;

		mulberry_row_begin(&row, fcinfo);
		mulberry_row_add_text(&row, event);
		mulberry_row_add_text(&row, fields[i].name);
		mulberry_row_add_text(&row, type_names[fields[i].type]);
		mulberry_row_add(&row, BoolGetDatum(fields[i].optional));
		mulberry_row_add_text(&row, fields[i].meaning);
		mulberry_row_put(&row, fcinfo);
	}
}

/* event_fields() → setof (event, field, type, optional, meaning) */
Datum
mulberry_event_fields(PG_FUNCTION_ARGS)
{
	const mulberry_event_kind *kind;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (kind = mulberry_event_kind_at(i)) != NULL; i++)
	{
		put_fields(fcinfo, kind->name, kind->common);
		put_fields(fcinfo, kind->name, kind->fields);
	}
	return (Datum) 0;
}
