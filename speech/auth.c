/*
 * auth.c
 *	  Keys; see auth.h.
 */
#include "auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "log.h"

#define MAX_KEYS 100

static char *keys[MAX_KEYS];
static int n_keys;

bool
speech_auth_load(const char *path)
{
	FILE *file = fopen(path, "re");
	struct stat status;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;
	bool ok = true;

	if (file == NULL)
	{
		speech_log_error("could not open API key file \"%s\": %s", path, strerror(errno));
		return false;
	}
	if (fstat(fileno(file), &status) == 0 && (status.st_mode & (S_IROTH | S_IWOTH)) != 0)
		speech_log_error("API key file \"%s\" is open to every user; chmod 600 it", path);
	while (ok && (length = getline(&line, &capacity, file)) > 0)
	{
		while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
			line[--length] = '\0';
		if (length == 0 || line[0] == '#')
			continue;
		if (n_keys == MAX_KEYS)
		{
			speech_log_error("API key file \"%s\" has more than %d keys", path, MAX_KEYS);
			ok = false;
			break;
		}
		keys[n_keys] = strdup(line);
		ok = keys[n_keys] != NULL;
		n_keys += ok ? 1 : 0;
	}
	if (line != NULL)
		OPENSSL_cleanse(line, capacity);
	free(line);
	fclose(file);
	if (ok && n_keys == 0)
		speech_log_error("API key file \"%s\" holds no key", path);
	return ok && n_keys > 0;
}

bool
speech_auth_required(void)
{
	return n_keys > 0;
}

/* Compares with every key in full, so that the time tells nothing but lengths. */
bool
speech_auth_check(const char *authorization, size_t n)
{
	static const char *const schemes[] = { "Bearer ", "Token " };
	size_t scheme = 0;
	bool found = false;

	if (n_keys == 0)
		return true;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (n > strlen(schemes[i]) &&
			strncasecmp(authorization, schemes[i], strlen(schemes[i])) == 0)
			scheme = strlen(schemes[i]);
	if (scheme == 0)
		return false;
	authorization += scheme;
	n -= scheme;
	for (; n > 0 && *authorization == ' '; n--)
		authorization++;
	for (int i = 0; i < n_keys; i++)
		if (strlen(keys[i]) == n && CRYPTO_memcmp(keys[i], authorization, n) == 0)
			found = true;
	return found;
}

void
speech_auth_free(void)
{
	for (int i = 0; i < n_keys; i++)
	{
		OPENSSL_cleanse(keys[i], strlen(keys[i]));
		free(keys[i]);
	}
	n_keys = 0;
}
