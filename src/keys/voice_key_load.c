/*
 * voice_key_load.c
 *	  Finds the keys of voice commands for C code: by their rows, with their bytes, and derived, from this process's
 *	  memory where they are in it.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "core/crypto/digest.h"
#include "keys/key_cache.h"
#include "keys/voice_keys.h"
#include "secrets/secrets.h"
#include "server/catalog.h"
#include "server/columns.h"

/* Attribute numbers of the table, in the order of its columns. */
enum voice_keys_column
{
	VOICE_KEYS_TENANT = 1,
	VOICE_KEYS_ROLE,
	VOICE_KEYS_AGENT,
	VOICE_KEYS_KEY_ID,
	VOICE_KEYS_PARTY_TENANT,
	VOICE_KEYS_SECRET,
	VOICE_KEYS_ENABLED
};

static const char *const role_names[] = { "sender", "receiver" };

mulberry_voice_role
mulberry_voice_role_from_name(const char *name)
{
	for (int i = 0; i < lengthof(role_names); i++)
		if (strcmp(role_names[i], name) == 0)
			return (mulberry_voice_role) i;
	elog(ERROR, "unknown role of a voice key \"%s\"", name);
}

/* What the row of an enabled key says, and the name of its secret. */
typedef struct key_row
{
	mulberry_voice_key key;
	char *secret;
} key_row;

/* The enabled keys of an agent, or, agent NULL, of all receivers of a tenant, whose ids are unique; how many. */
static int
read_rows(const pg_uuid_t *tenant, mulberry_voice_role role, const pg_uuid_t *agent,
		  key_row rows[MULBERRY_VOICE_KEY_IDS])
{
	Relation rel = table_open(mulberry_relation_oid("voice_keys"), AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	ScanKeyData keys[3];
	int n_keys = 0;
	SysScanDesc scan;
	HeapTuple tuple;
	int n = 0;

	ScanKeyInit(&keys[n_keys++], VOICE_KEYS_TENANT, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(tenant));
	ScanKeyInit(&keys[n_keys++], VOICE_KEYS_ROLE, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(role_names[role]));
	if (agent != NULL)
		ScanKeyInit(&keys[n_keys++], VOICE_KEYS_AGENT, BTEqualStrategyNumber, F_UUID_EQ,
					UUIDPGetDatum(agent));
	scan =
		systable_beginscan(rel, mulberry_relation_oid("voice_keys_pkey"), true, NULL, n_keys, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		key_row *row = &rows[n];

		if (!DatumGetBool(mulberry_column(tuple, desc, VOICE_KEYS_ENABLED)))
			continue;
		if (n++ == MULBERRY_VOICE_KEY_IDS)
			elog(ERROR, "there are more voice keys than ids");
		memset(row, 0, sizeof(*row));
		row->key.key_id = DatumGetInt32(mulberry_column(tuple, desc, VOICE_KEYS_KEY_ID));
		row->key.agent = *DatumGetUUIDP(mulberry_column(tuple, desc, VOICE_KEYS_AGENT));
		memcpy(row->key.party.tenant,
			   DatumGetUUIDP(mulberry_column(tuple, desc, VOICE_KEYS_PARTY_TENANT))->data,
			   MB_PARTY_ID_SIZE);
		memcpy(row->key.party.edge, row->key.agent.data, MB_PARTY_ID_SIZE);
		row->secret = TextDatumGetCString(mulberry_column(tuple, desc, VOICE_KEYS_SECRET));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return n;
}

/* The row of an enabled key; false when there is none. */
static bool
find_row(const pg_uuid_t *tenant, mulberry_voice_role role, const pg_uuid_t *agent, int key_id,
		 key_row *found)
{
	key_row *rows = palloc(sizeof(key_row) * MULBERRY_VOICE_KEY_IDS);
	int n = read_rows(tenant, role, agent, rows);
	bool any = false;

	for (int i = 0; i < n; i++)
	{
		if (rows[i].key.key_id != key_id)
			continue;
		*found = rows[i];
		any = true;
	}
	pfree(rows);
	return any;
}

/* Takes a value that mulberry_secret_read() gave, or NULL; false when those are not the bytes of a key. */
static bool
take_bytes(char *value, Size length, uint8 bytes[MB_COMMAND_KEY_SIZE])
{
	bool taken = value != NULL && length == MB_COMMAND_KEY_SIZE;

	if (taken)
		memcpy(bytes, value, MB_COMMAND_KEY_SIZE);
	if (value != NULL)
	{
		explicit_bzero(value, length);
		pfree(value);
	}
	return taken;
}

/* The 32 bytes of an enabled key; the caller wipes them. */
static void
read_bytes(const pg_uuid_t *tenant, const char *secret, uint8 bytes[MB_COMMAND_KEY_SIZE])
{
	Size length;
	char *value = mulberry_secret_read(tenant, secret, &length);

	if (!take_bytes(value, length, bytes))
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("the bytes of voice key \"%s\" are missing", secret),
				errhint("Make a new key with rotate_voice_key()."));
}

/* Fills in what is derived from the bytes of a key, which it wipes. */
static void
derive(mulberry_voice_key *key, uint8 bytes[MB_COMMAND_KEY_SIZE])
{
	mb_status status = mb_command_derive_keys(bytes, &key->keys);

	mb_forget(bytes, MB_COMMAND_KEY_SIZE);
	if (status != MB_OK)
		elog(ERROR, "could not derive a key: %s", mb_status_message(status));
	key->opened = true;
}

/* All keys of a ring; how many.  The caller wipes them, after an error too. */
static int
read_ring(const mulberry_key_ring *ring, mulberry_voice_key keys[MULBERRY_VOICE_KEY_IDS])
{
	key_row *rows = palloc(sizeof(key_row) * MULBERRY_VOICE_KEY_IDS);
	int n = read_rows(&ring->tenant, (mulberry_voice_role) ring->role,
					  ring->role == MULBERRY_VOICE_RECEIVER ? NULL : &ring->agent, rows);

	for (int i = 0; i < n; i++)
	{
		uint8 bytes[MB_COMMAND_KEY_SIZE];
		Size length;
		const char *problem;
		char *value = mulberry_secret_try_read(&ring->tenant, rows[i].secret, &length, &problem);

		keys[i] = rows[i].key;
		if (take_bytes(value, length, bytes))
			derive(&keys[i], bytes);
		pfree(rows[i].secret);
	}
	pfree(rows);
	return n;
}

/* A key by the whole ring, which is kept if that can be. */
static bool
load_from_ring(const mulberry_key_ring *ring, int key_id, mulberry_voice_key *key)
{
	uint64 generation = mulberry_key_cache_generation();
	size_t size = sizeof(mulberry_voice_key) * MULBERRY_VOICE_KEY_IDS;
	mulberry_voice_key *keys = palloc0(size);
	bool found = false;

	PG_TRY();
	{
		int n = read_ring(ring, keys);

		mulberry_key_cache_put(ring, keys, n, generation);
		for (int i = 0; i < n; i++)
		{
			if (keys[i].key_id != key_id)
				continue;
			*key = keys[i];
			found = true;
		}
	}
	PG_FINALLY();
	{
		mb_forget(keys, size);
	}
	PG_END_TRY();
	pfree(keys);
	return found;
}

bool
mulberry_voice_key_bytes(const pg_uuid_t *tenant, mulberry_voice_role role, const pg_uuid_t *agent,
						 int key_id, uint8 bytes[MB_COMMAND_KEY_SIZE], mb_command_party *party)
{
	key_row row;

	if (!find_row(tenant, role, agent, key_id, &row))
		return false;
	read_bytes(tenant, row.secret, bytes);
	*party = row.key.party;
	return true;
}

/* A key whose bytes could not be read with its ring: says why, or has it if it can be read by now. */
static void
load_alone(const pg_uuid_t *tenant, mulberry_voice_role role, mulberry_voice_key *key)
{
	uint8 bytes[MB_COMMAND_KEY_SIZE];
	key_row row;

	if (!find_row(tenant, role, &key->agent, key->key_id, &row))
		elog(ERROR, "voice key %d is there no more", key->key_id);
	read_bytes(tenant, row.secret, bytes);
	*key = row.key;
	derive(key, bytes);
}

bool
mulberry_voice_key_load(const pg_uuid_t *tenant, mulberry_voice_role role, const pg_uuid_t *agent,
						int key_id, mulberry_voice_key *key)
{
	mulberry_key_ring ring;
	bool found;

	Assert(agent != NULL || role == MULBERRY_VOICE_RECEIVER);
	memset(key, 0, sizeof(*key));
	memset(&ring, 0, sizeof(ring));
	ring.tenant = *tenant;
	ring.role = role;
	if (role == MULBERRY_VOICE_SENDER)
		ring.agent = *agent;
	if (!mulberry_key_cache_get(&ring, key_id, key, &found))
		found = load_from_ring(&ring, key_id, key);
	if (found && agent != NULL && memcmp(&key->agent, agent, sizeof(*agent)) != 0)
		found = false;
	if (found && !key->opened)
		load_alone(tenant, role, key);
	if (!found)
		mb_forget(key, sizeof(*key));
	return found;
}
