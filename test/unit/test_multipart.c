/*
 * test_multipart.c
 *	  Forms with files: the same parts however the body is cut, and what is no form.
 */
#include "check.h"
#include "core/web/multipart.h"

#define TYPE "multipart/form-data; boundary=XX"

static const size_t steps[] = { 1, 2, 3, 5, 11, 1000 };
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

/* Reads a body; what comes out is name=contents; with an exclamation mark before a file. */
static mb_status
parts_of(const char *type, const char *body, size_t n, size_t step, char *out, bool *whole)
{
	mb_multipart multipart;
	mb_status status = mb_multipart_begin(&multipart, type, strlen(type));
	size_t length = 0;
	int parts = 0;

	*whole = false;
	out[0] = '\0';
	if (status != MB_OK)
		return status;
	for (size_t i = 0; i < n;)
	{
		size_t size = n - i < step ? n - i : step;
		char *copy = malloc(size);
		size_t at = 0;
		mb_multipart_outcome outcome;

		memcpy(copy, body + i, size);
		do
		{
			const char *data;
			size_t used;
			size_t piece;

			outcome = mb_multipart_feed(&multipart, copy + at, size - at, &used, &data, &piece);
			at += used;
			if (outcome == MB_MULTIPART_PART)
				length += (size_t) sprintf(out + length, "%s%s%s=", parts++ > 0 ? ";" : "",
										   multipart.is_file ? "!" : "", multipart.name);
			else if (outcome == MB_MULTIPART_DATA)
			{
				memcpy(out + length, data, piece);
				length += piece;
			}
		} while (outcome == MB_MULTIPART_PART || outcome == MB_MULTIPART_DATA);
		out[length] = '\0';
		free(copy);
		i += size;
		if (outcome == MB_MULTIPART_REFUSED)
			return multipart.status;
	}
	*whole = mb_multipart_whole(&multipart);
	return MB_OK;
}

static void
expect(const char *type, const char *body, mb_status status, bool whole, const char *wanted)
{
	char out[20000];
	bool is_whole;

	for (size_t i = 0; i < N_STEPS; i++)
	{
		check_int(parts_of(type, body, strlen(body), steps[i], out, &is_whole), status);
		check_int(is_whole, whole);
		if (wanted != NULL)
			check_string(out, wanted);
	}
}

#define PART(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static void
good_forms(void)
{
	expect(TYPE, "--XX\r\n" PART("a") "1\r\n--XX\r\n" PART("b") "2\r\n--XX--\r\n", MB_OK, true,
		   "a=1;b=2");
	expect(TYPE, "--XX\r\n" PART("a") "\r\n--XX--", MB_OK, true, "a=");
	expect(TYPE, "--XX--\r\n", MB_OK, true, "");
	expect(TYPE, "preamble\r\n--X\r\n--XX \t\r\n" PART("a") "1\r\n--XX--\r\nepilogue\r\n--XX",
		   MB_OK, true, "a=1");
	expect(TYPE,
		   "--XX\r\nContent-Type: audio/wav\r\ncontent-disposition:form-data;filename=\"a;\\\"b\"; "
		   "name=file\r\n\r\nRIFF\r\n--X\r\r\n-XX--\r\n--XX--\r\n",
		   MB_OK, true, "!file=RIFF\r\n--X\r\r\n-XX--");
	expect("Multipart/Form-Data ;charset=utf-8; Boundary=\"a b\"",
		   "--a b\r\n" PART("q\\\"q") "x\r\n--a b--", MB_OK, true, "q\"q=x");
	expect("multipart/form-data; boundary=b", "--b\r\n" PART("a") "--b\r\r\n--b--", MB_OK, true,
		   "a=--b\r");
}

static void
bad_types(void)
{
	expect("application/json", "", MB_ERR_UNSUPPORTED, false, NULL);
	expect("multipart/form-dat; boundary=x", "", MB_ERR_UNSUPPORTED, false, NULL);
	expect("multipart/form-data", "", MB_ERR_FORMAT, false, NULL);
	expect("multipart/form-data; boundary=", "", MB_ERR_FORMAT, false, NULL);
	expect("multipart/form-data; boundary=\"x", "", MB_ERR_FORMAT, false, NULL);
	expect("multipart/form-data; boundary=\"\t\"", "", MB_ERR_FORMAT, false, NULL);
	expect("multipart/form-data; boundary="
		   "01234567890123456789012345678901234567890123456789012345678901234567890",
		   "", MB_ERR_FORMAT, false, NULL);
	expect("multipart/form-data; boundary="
		   "0123456789012345678901234567890123456789012345678901234567890123456789",
		   "--", MB_OK, false, "");
}

static void
bad_forms(void)
{
	static char body[MB_MULTIPART_MAX_HEAD + 200];

	expect(TYPE, "file=x", MB_OK, false, "");
	expect(TYPE, "--XX\r\n" PART("a") "1\r\n--XX\r\n", MB_OK, false, "a=1");
	expect(TYPE, "--XX\r\n" PART("a") "1\r\n--X", MB_OK, false, "a=1");
	expect(TYPE, "--XX\n" PART("a"), MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XXY\r\n" PART("a"), MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XX-\r\n", MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XX\r\n\r\nx\r\n--XX--", MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX--", MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n", MB_ERR_FORMAT, false,
		   NULL);
	expect(TYPE, "--XX\r\nContent-Disposition: form-data\r\n\r\n", MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XX\r\n" PART("a\" ; name=\"b"), MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XX\r\nno colon\r\n\r\n", MB_ERR_FORMAT, false, NULL);
	expect(TYPE, "--XX\r\nA: b\nC: d\r\n\r\n", MB_ERR_FORMAT, false, NULL);

	memset(body, 'x', sizeof(body) - 1);
	memcpy(body, "--XX\r\n", 6);
	expect(TYPE, body, MB_ERR_SPACE, false, NULL);
	sprintf(body, "--XX\r\nContent-Disposition: form-data; name=\"%0101d\"\r\n\r\n", 0);
	expect(TYPE, body, MB_ERR_SPACE, false, NULL);
}

int
main(void)
{
	check_run("parts come out, however the body is cut", good_forms);
	check_run("what is no type of a form, or has no boundary", bad_types);
	check_run("forms that are malformed or cut short", bad_forms);
	return check_done();
}
