/*
 * test_blot.c
 *	  Secrets in every form in which a service may repeat them, and text that is left alone.
 */
#include "core/web/blot.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* The text after blotting. */
static const char *
blotted(const char *text, const char *secret)
{
	static char kept[2048];
	size_t n = strlen(text);
	char *copy = malloc(n + 1);

	memcpy(copy, text, n + 1);
	mb_blot_out(copy, n, secret, strlen(secret));
	check_int(strlen(copy), n);
	snprintf(kept, sizeof kept, "%s", copy);
	free(copy);
	return kept;
}

/* All of "form" is gone, and what stands around it is not. */
static void
check_gone(const char *form, const char *secret)
{
	char text[1024];
	char expected[1024];

	snprintf(text, sizeof text, "key <%s> twice <%s>", form, form);
	snprintf(expected, sizeof expected, "key <%s> twice <%s>", form, form);
	for (char *c = expected, *at = strchr(expected, '<'); at; at = strchr(c, '<'))
	{
		memset(at + 1, '*', strlen(form));
		c = at + 1 + strlen(form);
	}
	check_string(blotted(text, secret), expected);
}

static void
plain(void)
{
	check_gone("sk-very-secret", "sk-very-secret");
	check_string(blotted("sk-very-secre", "sk-very-secret"), "sk-very-secre");
	check_string(blotted("abcabcabd", "abcabd"), "abc******");
	check_string(blotted("", "abcd"), "");
	check_string(blotted("abc", "abc"), "abc");
	check_string(blotted("nothing of that", "abcd"), "nothing of that");
}

static void
percent(void)
{
	check_gone("a%2Bb%2fc%3D%25", "a+b/c=%");
	check_gone("%61%62%63%64", "abcd");
	check_gone("a%252Bb%25252fc", "a+b/c");
	check_gone("a+b+cd", "a b cd");
	check_gone("na%C3%AFve", "na\xc3\xafve");
	check_gone("100%25", "100%25");
	check_gone("100%2525", "100%25");
	check_string(blotted("a%2", "a%2Bb"), "a%2");
	check_string(blotted("abc%6", "abcd"), "abc%6");
}

static void
json(void)
{
	check_gone("a\\\"b\\\\c\\/d", "a\"b\\c/d");
	check_gone("a\\\\\\\"b\\\\\\\\c\\\\/d", "a\"b\\c/d");
	check_gone("\\u0061bc\\u0064", "abcd");
	check_gone("\\\\u0061bc\\\\u0064", "abcd");
	check_gone("na\\u00efve \\ud83d\\ude00", "na\xc3\xafve \xf0\x9f\x98\x80");
	/* each byte taken for a character of Latin-1 */
	check_gone("na\xc3\x83\xc2\xafve", "na\xc3\xafve");
	check_gone("\xc3\x83\xc2\xafve", "\xc3\xafve");
	check_gone("na\\u00c3\\u00afve", "na\xc3\xafve");
	check_gone("na&#195;&#175;ve", "na\xc3\xafve");
	check_gone("tab\\tbed", "tab\tbed");
	check_string(blotted("abc\\u006", "abcd"), "abc\\u006");
	check_string(blotted("abc\\", "abcd"), "abc\\");
}

static void
html(void)
{
	check_gone("a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'");
	check_gone("a&#38;b&#x3c;&#X3E;", "a&b<>");
	check_gone("a&amp;b", "a&amp;b");
	check_gone("na&#239;ve", "na\xc3\xafve");
	check_string(blotted("abc&#100", "abcd"), "abc&#100");
	check_string(blotted("abc&#99999999999;", "abcd"), "abc&#99999999999;");
}

/* What is left of the base64 of text that holds the secret: nothing of it can be decoded. */
static void
check_base64(const char *before, const char *secret, const char *after, bool for_urls)
{
	char plain_text[512];
	char encoded[1024];
	char text[1100];
	size_t first;
	size_t last;
	const char *result;

	snprintf(plain_text, sizeof plain_text, "%s%s%s", before, secret, after);
	EVP_EncodeBlock((unsigned char *) encoded, (unsigned char *) plain_text,
					(int) strlen(plain_text));
	for (char *c = encoded; for_urls && *c; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	snprintf(text, sizeof text, "Basic %s.", encoded);
	result = blotted(text, secret);
	first = strlen(before) * 8 / 6;
	last = ((strlen(before) + strlen(secret)) * 8 - 1) / 6;
	for (size_t i = first; i <= last; i++)
		check_int(result[strlen("Basic ") + i], '*');
	check(strncmp(result, "Basic ", 6) == 0 && result[strlen(result) - 1] == '.');
}

static void
base64(void)
{
	static const char *const secrets[] = { "abcd", "abcde", "abcdef", "sk-\xff\xfe\xfd~~~?\?\?>>>",
										   NULL };
	static const char *const others[] = { "", "A", "AC", "AC:", "AC0123:", NULL };

	for (int i = 0; secrets[i]; i++)
	{
		for (int k = 0; others[k]; k++)
		{
			for (int l = 0; others[l]; l++)
			{
				check_base64(others[k], secrets[i], others[l], false);
				check_base64(others[k], secrets[i], others[l], true);
			}
		}
	}
	/* percent-encoded on top of it: "?\?>>?\?>>" is Pz8+Pj8/Pj4= */
	check_string(blotted("=Pz8%2BPj8%2FPj4%3D&", "?\?>>?\?>>"), "=***************%3D&");
	check_string(blotted("=Pz8+Pj8\\/Pj4=&", "?\?>>?\?>>"), "=************=&");
}

int
main(void)
{
	check_run("as it is", plain);
	check_run("percent-encoded", percent);
	check_run("in JSON", json);
	check_run("in HTML", html);
	check_run("in base64", base64);
	return check_done();
}
