/*
 * secret_key.c
 *	  Reads and writes the file of mulberry.secret_key_file.  It knows nothing
 *	  of the table of secrets.
 *
 * The file's path is for the server's log only: who stores a secret need not
 * know where the key lies.
 */
#include "server/compat.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/fd.h"
#include "storage/lock.h"

#include "server/guc.h"
#include "secrets/secret_key.h"

#define KEY_DIGITS (2 * MB_SEAL_KEY_SIZE)
#define MAX_FILE_SIZE (MULBERRY_MAX_SECRET_KEYS * (KEY_DIGITS + 2))

/*
 * Advisory lock tags have four fields and SQL uses 1 and 2 in the last; no
 * database is in ours, because the file is the whole server's.
 */
#define LOCK_FIELD 0x6d756c62
#define LOCK_CLASS 0x6b65

static void new_key(mulberry_secret_keys *keys, int i);
static void write_keys(const char *path, const mulberry_secret_keys *keys);
static void sync_directory_of(const char *path);

/* The path that is set; an error when none is. */
static const char *
key_file_path(void)
{
	if (mulberry_secret_key_file == NULL || mulberry_secret_key_file[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("no key file for secrets is set"),
				 errhint("Set mulberry.secret_key_file.")));
	return mulberry_secret_key_file;
}

static void
complain(const char *path, const char *problem, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("the key file for secrets cannot be used: %s", problem),
			 errdetail_log("mulberry.secret_key_file is \"%s\".", path), errhint("%s", hint)));
}

static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

/* False when the text is anything but lines of KEY_DIGITS digits. */
static bool
parse_keys(const char *text, int size, mulberry_secret_keys *keys)
{
	int at = 0;

	keys->count = 0;
	while (at < size)
	{
		if (keys->count == MULBERRY_MAX_SECRET_KEYS || size - at < KEY_DIGITS)
			return false;
		for (int i = 0; i < MB_SEAL_KEY_SIZE; i++, at += 2)
		{
			int high = hex_value(text[at]);
			int low = hex_value(text[at + 1]);

			if (high < 0 || low < 0)
				return false;
			keys->keys[keys->count].key[i] = high << 4 | low;
		}
		/* the last line may lack its end, after a copy through a clipboard */
		if (at < size && text[at++] != '\n')
			return false;
		if (mb_seal_fingerprint(keys->keys[keys->count].key, keys->keys[keys->count].fingerprint) !=
			MB_SEAL_OK)
			elog(ERROR, "could not compute the fingerprint of a key");
		keys->count++;
	}
	return keys->count > 0;
}

void
mulberry_stamp_key_file(mulberry_key_file_stamp *stamp)
{
	struct stat status;

	memset(stamp, 0, sizeof(*stamp));
	if (stat(key_file_path(), &status) != 0)
		return;
	stamp->device = status.st_dev;
	stamp->inode = status.st_ino;
	stamp->size = status.st_size;
	stamp->mode = status.st_mode;
	stamp->owner = status.st_uid;
	stamp->changed_s = status.st_ctim.tv_sec;
	stamp->changed_ns = status.st_ctim.tv_nsec;
}

bool
mulberry_read_secret_keys(mulberry_secret_keys *keys, bool missing_ok)
{
	const char *path = key_file_path();
	char text[MAX_FILE_SIZE + 1];
	struct stat status;
	int file;
	int size;
	bool parsed;

	/* not blocking, in case somebody has put a FIFO there */
	file = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (file < 0)
	{
		if (errno == ENOENT && missing_ok)
			return false;
		if (errno == ENOENT)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIG_FILE_ERROR),
					 errmsg("the key file for secrets is missing"),
					 errdetail_log("mulberry.secret_key_file is \"%s\".", path),
					 errhint("Bring it back from where the server was before; without it the "
							 "stored secrets are lost and must be dropped and entered again.")));
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not open the key file for secrets: %m"),
				 errdetail_log("mulberry.secret_key_file is \"%s\".", path)));
	}
	if (fstat(file, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not stat the key file for secrets: %m")));
	if (!S_ISREG(status.st_mode))
		complain(path, "it is not a regular file", "Set mulberry.secret_key_file to a file.");
	if (status.st_uid != geteuid())
		complain(path, "it belongs to another user",
				 "The file must belong to the user that runs the server.");
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		complain(path, "others may read or write it", "Its permissions should be u=rw (0600).");

	size = read(file, text, sizeof(text));
	if (size < 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not read the key file for secrets: %m")));
	if (CloseTransientFile(file) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not close the key file for secrets: %m")));

	parsed = size <= MAX_FILE_SIZE && parse_keys(text, size, keys);
	explicit_bzero(text, sizeof(text));
	if (!parsed)
	{
		explicit_bzero(keys, sizeof(*keys));
		complain(path, "its content is not one to 16 lines of 64 hexadecimal digits",
				 "Bring back the file that the server made.");
	}
	return true;
}

const uint8 *
mulberry_find_secret_key(const mulberry_secret_keys *keys, const char *fingerprint)
{
	for (int i = 0; i < keys->count; i++)
		if (strcmp(keys->keys[i].fingerprint, fingerprint) == 0)
			return keys->keys[i].key;
	return NULL;
}

void
mulberry_lock_secret_keys(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, InvalidOid, LOCK_FIELD, 0, LOCK_CLASS);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * Written beside and linked into place: link() refuses when a file is there,
 * and a crash leaves either no key file or a whole one.
 */
void
mulberry_create_secret_key_file(mulberry_secret_keys *keys)
{
	const char *path = key_file_path();
	char *beside = psprintf("%s.new", path);

	keys->count = 1;
	new_key(keys, 0);
	write_keys(beside, keys);
	if (link(beside, path) != 0)
	{
		int why = errno;

		unlink(beside);
		errno = why;
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not make the key file for secrets: %m"),
				 errdetail_log("mulberry.secret_key_file is \"%s\".", path)));
	}
	if (unlink(beside) != 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not remove a temporary key file: %m"),
				 errdetail_log("The file is \"%s\".", beside)));
	sync_directory_of(path);
	ereport(LOG,
			(errmsg("made a key file for Mulberry's secrets"),
			 errdetail_log("The file is \"%s\"; standbys and restored servers need a copy of it.",
						   path)));
}

void
mulberry_add_secret_key(mulberry_secret_keys *keys)
{
	if (keys->count == MULBERRY_MAX_SECRET_KEYS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the key file for secrets holds %d keys already", keys->count),
						errhint("A superuser can remove those that are not used any more with "
								"mulberry.forget_secret_keys().")));
	memmove(&keys->keys[1], &keys->keys[0], keys->count * sizeof(keys->keys[0]));
	keys->count++;
	new_key(keys, 0);
}

void
mulberry_replace_secret_key_file(const mulberry_secret_keys *keys)
{
	const char *path = key_file_path();
	char *beside = psprintf("%s.new", path);

	write_keys(beside, keys);
	(void) durable_rename(beside, path, ERROR);
}

static void
new_key(mulberry_secret_keys *keys, int i)
{
	if (!pg_strong_random(keys->keys[i].key, MB_SEAL_KEY_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random key")));
	if (mb_seal_fingerprint(keys->keys[i].key, keys->keys[i].fingerprint) != MB_SEAL_OK)
		elog(ERROR, "could not compute the fingerprint of a key");
}

/*
 * Writes a file that only we can read, and has it on disk when it returns.  What
 * an earlier crash left under that name goes: the lock says nobody uses it.
 */
static void
write_keys(const char *path, const mulberry_secret_keys *keys)
{
	static const char digits[] = "0123456789abcdef";
	char text[MAX_FILE_SIZE];
	int size = 0;
	int file;
	int written;
	int why;

	for (int k = 0; k < keys->count; k++)
	{
		for (int i = 0; i < MB_SEAL_KEY_SIZE; i++)
		{
			text[size++] = digits[keys->keys[k].key[i] >> 4];
			text[size++] = digits[keys->keys[k].key[i] & 15];
		}
		text[size++] = '\n';
	}

	if (unlink(path) != 0 && errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not remove a temporary key file: %m"),
				 errdetail_log("The file is \"%s\".", path)));
	file = OpenTransientFilePerm(path, O_WRONLY | O_CREAT | O_EXCL | PG_BINARY, S_IRUSR | S_IWUSR);
	if (file < 0)
	{
		why = errno;
		explicit_bzero(text, sizeof(text));
		errno = why;
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not make the key file for secrets: %m"),
				 errdetail_log("The file is \"%s\".", path),
				 errhint("The directory of mulberry.secret_key_file must exist and be writable by "
						 "the server.")));
	}
	errno = 0;
	written = write(file, text, size);
	why = errno != 0 ? errno : ENOSPC;
	explicit_bzero(text, sizeof(text));
	errno = why;
	if (written != size || pg_fsync(file) != 0 || CloseTransientFile(file) != 0)
	{
		why = errno;
		unlink(path);
		errno = why;
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not write the key file for secrets: %m"),
				 errdetail_log("The file is \"%s\".", path)));
	}
}

/* So that the new name survives a crash. */
static void
sync_directory_of(const char *path)
{
	char directory[MAXPGPATH];

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	fsync_fname(directory[0] == '\0' ? "." : directory, true);
}
