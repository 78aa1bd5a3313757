/*
 * secrets.c
 *	  The table of secrets: seals what comes in, opens it for C code, and seals
 *	  everything anew when the key is rotated.
 *
 * How values get here without being logged is secret_entry.c's subject, the key
 * file is secret_key.c's.  No function here gives a plain value to SQL.
 */
#include "server/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "access/access.h"
#include "access/callers.h"
#include "server/catalog.h"
#include "server/columns.h"
#include "server/xact.h"
#include "secrets/secret_key.h"
#include "secrets/secrets.h"

/* Begins the additional data of every seal, so that a later form can be told apart. */
static const char seal_domain[] = "mulberry secret v1";

/* Attribute numbers of the table, in the order of its columns. */
enum secrets_column
{
	SECRETS_TENANT = 1,
	SECRETS_NAME,
	SECRETS_NONCE,
	SECRETS_CIPHERTEXT,
	SECRETS_TAG,
	SECRETS_KEY_FINGERPRINT
};

/* A row of secrets; pointers go into palloc'd copies. */
typedef struct sealed_secret
{
	pg_uuid_t tenant;
	char *name;
	bytea *nonce;
	bytea *ciphertext;
	bytea *tag;
	char *fingerprint;
} sealed_secret;

PG_FUNCTION_INFO_V1(mulberry_check_secrets);
PG_FUNCTION_INFO_V1(mulberry_rotate_secret_key);
PG_FUNCTION_INFO_V1(mulberry_forget_secret_keys);

static void additional_data(StringInfo data, const pg_uuid_t *tenant, const char *name);
static sealed_secret *seal(const mulberry_secret_keys *keys, const pg_uuid_t *tenant,
						   const char *name, const char *value, Size length);
static char *
open_sealed(const mulberry_secret_keys *keys, const sealed_secret *sealed, const char **problem);
static sealed_secret *sealed_from_tuple(Relation rel, HeapTuple tuple);
static List *all_sealed(void);
static void get_keys_for_storing(mulberry_secret_keys *keys);
static void write_sealed(const sealed_secret *sealed);
static void check_name(const char *name);

/* ---------------------------------------------------------------------------
 * For C code
 * ---------------------------------------------------------------------------
 */

char *
mulberry_secret_read(const pg_uuid_t *tenant, const char *name, Size *length)
{
	const char *problem;
	char *value = mulberry_secret_try_read(tenant, name, length, &problem);

	if (value == NULL && problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIG_FILE_ERROR),
						errmsg("secret \"%s\" cannot be read: %s", name, problem),
						errhint("mulberry.health() says which key file is needed.")));
	return value;
}

char *
mulberry_secret_try_read(const pg_uuid_t *tenant, const char *name, Size *length,
						 const char **problem)
{
	Relation rel = table_open(mulberry_relation_oid("secrets"), AccessShareLock);
	sealed_secret *sealed = NULL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	mulberry_secret_keys file;
	char *value;

	*problem = NULL;
	ScanKeyInit(&keys[0], SECRETS_TENANT, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(tenant));
	ScanKeyInit(&keys[1], SECRETS_NAME, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
	scan = systable_beginscan(rel, mulberry_relation_oid("secrets_pkey"), true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		sealed = sealed_from_tuple(rel, tuple);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (sealed == NULL)
		return NULL;

	(void) mulberry_read_secret_keys(&file, false);
	value = open_sealed(&file, sealed, problem);
	explicit_bzero(&file, sizeof(file));
	*length = VARSIZE_ANY_EXHDR(sealed->ciphertext);
	return value;
}

void
mulberry_secret_read_none(void)
{
	static const uint8 nonce[MB_SEAL_NONCE_SIZE];
	static const uint8 tag[MB_SEAL_TAG_SIZE];
	static const char ciphertext[32]; /* as long as an auth token */
	char value[sizeof(ciphertext)];
	mulberry_secret_keys file;

	if (!mulberry_read_secret_keys(&file, true))
		return;
	(void) mb_seal_open(file.keys[0].key, nonce, seal_domain, sizeof(seal_domain), ciphertext,
						sizeof(ciphertext), tag, value);
	explicit_bzero(&file, sizeof(file));
	explicit_bzero(value, sizeof(value));
}

void
mulberry_secret_store(const pg_uuid_t *tenant, const char *name, const char *value, Size length)
{
	mulberry_secret_keys keys;
	sealed_secret *sealed;

	mulberry_require_writable("storing a secret");
	check_name(name);
	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a secret must not be empty")));
	if (length > MULBERRY_MAX_SECRET_SIZE)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a secret has at most %d bytes", MULBERRY_MAX_SECRET_SIZE)));

	get_keys_for_storing(&keys);
	sealed = seal(&keys, tenant, name, value, length);
	explicit_bzero(&keys, sizeof(keys));
	write_sealed(sealed);
}

/* ---------------------------------------------------------------------------
 * SQL
 * ---------------------------------------------------------------------------
 */

/*
 * check_secrets() → setof (tenant uuid, name text, key_fingerprint text,
 * problem text): each secret is opened and thrown away.
 */
Datum
mulberry_check_secrets(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	mulberry_secret_keys keys;
	List *all = all_sealed();
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (all == NIL)
		return (Datum) 0;

	(void) mulberry_read_secret_keys(&keys, false);
	foreach (cell, all)
	{
		sealed_secret *sealed = lfirst(cell);
		const char *problem = NULL;
		char *value = open_sealed(&keys, sealed, &problem);
		Datum values[4];
		bool nulls[4] = { false };

		if (value != NULL)
			explicit_bzero(value, VARSIZE_ANY_EXHDR(sealed->ciphertext));
		values[0] = UUIDPGetDatum(&sealed->tenant);
		values[1] = CStringGetTextDatum(sealed->name);
		values[2] = CStringGetTextDatum(sealed->fingerprint);
		nulls[3] = value != NULL;
		if (value == NULL)
			values[3] = CStringGetTextDatum(problem);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	explicit_bzero(&keys, sizeof(keys));
	return (Datum) 0;
}

/*
 * rotate_secret_key() → bigint: the number of secrets sealed anew.
 *
 * The file gets the new key before any row is sealed with it, and keeps the old
 * ones: whatever crashes or rolls back where, every row can be opened.
 */
Datum
mulberry_rotate_secret_key(PG_FUNCTION_ARGS)
{
	mulberry_secret_keys keys;
	List *all;
	ListCell *cell;

	mulberry_require_access_everywhere(MULBERRY_ACCESS_ADMIN);
	mulberry_require_writable("rotate_secret_key()");
	mulberry_lock_secret_keys();
	LockRelationOid(mulberry_relation_oid("secrets"), ShareRowExclusiveLock);
	(void) mulberry_read_secret_keys(&keys, false);
	all = all_sealed();

	/* nothing changes unless everything can be opened */
	foreach (cell, all)
	{
		sealed_secret *sealed = lfirst(cell);
		const char *problem;
		char *value = open_sealed(&keys, sealed, &problem);

		if (value == NULL)
		{
			explicit_bzero(&keys, sizeof(keys));
			ereport(ERROR,
					(errcode(ERRCODE_CONFIG_FILE_ERROR),
					 errmsg("the key cannot be rotated: secret \"%s\" cannot be read: %s",
							sealed->name, problem),
					 errhint("Bring back the key file that it was stored with, or drop it.")));
		}
		explicit_bzero(value, VARSIZE_ANY_EXHDR(sealed->ciphertext));
	}

	mulberry_add_secret_key(&keys);
	mulberry_replace_secret_key_file(&keys);
	foreach (cell, all)
	{
		sealed_secret *sealed = lfirst(cell);
		Size length = VARSIZE_ANY_EXHDR(sealed->ciphertext);
		const char *problem;
		char *value = open_sealed(&keys, sealed, &problem);

		if (value == NULL)
			elog(ERROR, "secret \"%s\" cannot be read: %s", sealed->name, problem);
		write_sealed(seal(&keys, &sealed->tenant, sealed->name, value, length));
		explicit_bzero(value, length);
	}
	explicit_bzero(&keys, sizeof(keys));
	PG_RETURN_INT64(list_length(all));
}

/*
 * forget_secret_keys() → integer: how many replaced keys have left the file.
 *
 * Only for a superuser, because other databases of the server share the file and
 * their secrets cannot be seen from here.
 */
Datum
mulberry_forget_secret_keys(PG_FUNCTION_ARGS)
{
	mulberry_secret_keys keys;
	mulberry_secret_keys kept;
	int forgotten;
	List *all;
	ListCell *cell;

	if (!mulberry_every_caller(superuser_arg))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only a superuser may remove keys"),
						errdetail("All databases of the server share the key file.")));
	mulberry_require_writable("forget_secret_keys()");
	/* what this transaction has sealed anew or dropped may roll back; the file does not */
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("forget_secret_keys() cannot run in a transaction that has written something"),
			 errhint("Commit first.")));
	mulberry_lock_secret_keys();
	LockRelationOid(mulberry_relation_oid("secrets"), ShareRowExclusiveLock);
	(void) mulberry_read_secret_keys(&keys, false);
	all = all_sealed();

	kept.count = 0;
	for (int i = 0; i < keys.count; i++)
	{
		bool used = i == 0;

		foreach (cell, all)
			if (strcmp(((sealed_secret *) lfirst(cell))->fingerprint, keys.keys[i].fingerprint) ==
				0)
				used = true;
		if (used)
			kept.keys[kept.count++] = keys.keys[i];
	}
	forgotten = keys.count - kept.count;
	if (forgotten > 0)
		mulberry_replace_secret_key_file(&kept);
	explicit_bzero(&keys, sizeof(keys));
	explicit_bzero(&kept, sizeof(kept));
	PG_RETURN_INT32(forgotten);
}

/* ---------------------------------------------------------------------------
 * Sealing
 * ---------------------------------------------------------------------------
 */

/* What binds a seal to its row: a ciphertext copied to another row does not open. */
static void
additional_data(StringInfo data, const pg_uuid_t *tenant, const char *name)
{
	initStringInfo(data);
	appendBinaryStringInfo(data, seal_domain, sizeof(seal_domain));
	appendBinaryStringInfo(data, (const char *) tenant->data, UUID_LEN);
	appendStringInfoString(data, name);
}

static bytea *
empty_bytea(Size size)
{
	bytea *result = palloc(VARHDRSZ + size);

	SET_VARSIZE(result, VARHDRSZ + size);
	return result;
}

static sealed_secret *
seal(const mulberry_secret_keys *keys, const pg_uuid_t *tenant, const char *name, const char *value,
	 Size length)
{
	sealed_secret *sealed = palloc0(sizeof(sealed_secret));
	StringInfoData additional;

	sealed->tenant = *tenant;
	sealed->name = pstrdup(name);
	sealed->nonce = empty_bytea(MB_SEAL_NONCE_SIZE);
	sealed->ciphertext = empty_bytea(length);
	sealed->tag = empty_bytea(MB_SEAL_TAG_SIZE);
	sealed->fingerprint = pstrdup(keys->keys[0].fingerprint);
	additional_data(&additional, tenant, name);

	if (!pg_strong_random(VARDATA(sealed->nonce), MB_SEAL_NONCE_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes")));
	if (mb_seal(keys->keys[0].key, (uint8 *) VARDATA(sealed->nonce), additional.data,
				additional.len, value, length, VARDATA(sealed->ciphertext),
				(uint8 *) VARDATA(sealed->tag)) != MB_SEAL_OK)
		elog(ERROR, "could not encrypt a secret");
	return sealed;
}

/* The plain value with a NUL behind it, or NULL and the problem. */
static char *
open_sealed(const mulberry_secret_keys *keys, const sealed_secret *sealed, const char **problem)
{
	const uint8 *key = mulberry_find_secret_key(keys, sealed->fingerprint);
	Size length = VARSIZE_ANY_EXHDR(sealed->ciphertext);
	StringInfoData additional;
	char *value;

	*problem = NULL;
	if (key == NULL)
	{
		*problem = psprintf("its key, fingerprint %s, is not in the key file", sealed->fingerprint);
		return NULL;
	}
	additional_data(&additional, &sealed->tenant, sealed->name);
	value = palloc(length + 1);
	value[length] = '\0';
	switch (mb_seal_open(key, (uint8 *) VARDATA_ANY(sealed->nonce), additional.data, additional.len,
						 VARDATA_ANY(sealed->ciphertext), length,
						 (uint8 *) VARDATA_ANY(sealed->tag), value))
	{
		case MB_SEAL_OK:
			break;
		case MB_SEAL_REFUSED:
			*problem = "its row has been altered";
			break;
		case MB_SEAL_RANGE:
		case MB_SEAL_UNAVAILABLE:
			*problem = "decryption failed";
			break;
	}
	return *problem == NULL ? value : NULL;
}

/* ---------------------------------------------------------------------------
 * The table
 * ---------------------------------------------------------------------------
 */

static bytea *
bytea_column(Relation rel, HeapTuple tuple, int column)
{
	return DatumGetByteaPCopy(mulberry_column(tuple, RelationGetDescr(rel), column));
}

static char *
text_column(Relation rel, HeapTuple tuple, int column)
{
	return TextDatumGetCString(mulberry_column(tuple, RelationGetDescr(rel), column));
}

static sealed_secret *
sealed_from_tuple(Relation rel, HeapTuple tuple)
{
	sealed_secret *sealed = palloc(sizeof(sealed_secret));

	sealed->tenant = *DatumGetUUIDP(mulberry_column(tuple, RelationGetDescr(rel), SECRETS_TENANT));
	sealed->name = text_column(rel, tuple, SECRETS_NAME);
	sealed->nonce = bytea_column(rel, tuple, SECRETS_NONCE);
	sealed->ciphertext = bytea_column(rel, tuple, SECRETS_CIPHERTEXT);
	sealed->tag = bytea_column(rel, tuple, SECRETS_TAG);
	sealed->fingerprint = text_column(rel, tuple, SECRETS_KEY_FINGERPRINT);
	return sealed;
}

/* Every secret, as committed now. */
static List *
all_sealed(void)
{
	Relation rel = table_open(mulberry_relation_oid("secrets"), AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List *all = NIL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		all = lappend(all, sealed_from_tuple(rel, tuple));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return all;
}

/*
 * The keys of the file, which stays as it is until the transaction ends: a key
 * that is being used must not be forgotten meanwhile.  Makes the file only while
 * nothing is stored, so that a lost one is noticed instead of being replaced by
 * one that opens nothing.
 */
static void
get_keys_for_storing(mulberry_secret_keys *keys)
{
	mulberry_lock_secret_keys();
	if (mulberry_read_secret_keys(keys, true))
		return;
	if (all_sealed() != NIL)
		(void) mulberry_read_secret_keys(keys, false); /* says what to do */
	mulberry_create_secret_key_file(keys);
}

/* Inserts or replaces a row, as the owner of the table. */
static void
write_sealed(const sealed_secret *sealed)
{
	Oid types[] = { UUIDOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID, TEXTOID };
	Datum values[lengthof(types)];
	mulberry_identity caller;

	values[0] = UUIDPGetDatum(&sealed->tenant);
	values[1] = CStringGetTextDatum(sealed->name);
	values[2] = PointerGetDatum(sealed->nonce);
	values[3] = PointerGetDatum(sealed->ciphertext);
	values[4] = PointerGetDatum(sealed->tag);
	values[5] = CStringGetTextDatum(sealed->fingerprint);

	caller = mulberry_become_owner();
	SPI_connect();
	if (SPI_execute_with_args(
			"INSERT INTO mulberry_internal.secrets AS s"
			" (tenant, name, nonce, ciphertext, tag, key_fingerprint)"
			" VALUES ($1, $2, $3, $4, $5, $6)"
			" ON CONFLICT (tenant, name) DO UPDATE"
			" SET nonce = EXCLUDED.nonce, ciphertext = EXCLUDED.ciphertext, tag = EXCLUDED.tag,"
			" key_fingerprint = EXCLUDED.key_fingerprint,"
			" rotated_at = pg_catalog.clock_timestamp()",
			lengthof(types), types, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not store a secret");
	SPI_finish();
	mulberry_leave_owner(caller);
}

/* The same limit as the CHECK of the table, said clearly. */
static void
check_name(const char *name)
{
	Size length = strlen(name);

	if (length == 0 || length > MULBERRY_MAX_SECRET_NAME ||
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != length ||
		strchr("_.-", name[0]) != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the name of a secret is 1 to %d lower case letters, digits, dots, "
							   "hyphens and underscores and begins with a letter or digit",
							   MULBERRY_MAX_SECRET_NAME)));
}
