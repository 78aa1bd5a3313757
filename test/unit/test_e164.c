/*
 * test_e164.c
 *	  International telephone numbers.
 */
#include "check.h"
#include "core/text/e164.h"

static void
numbers_are_e164(void)
{
	static const char *const good[] = { "+821012345678", "+12025550100", "+123456789012345",
										"+12" };
	static const char *const bad[] = { "",
									   "+",
									   "+1",
									   "+0821012345678",
									   "12025550100",
									   "+1234567890123456",
									   "+1202555010a",
									   "+1 2025550100",
									   "++12025550100",
									   "+12025550100 ",
									   "client:alice",
									   "+１２３４５６７" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_report(mb_e164_valid(good[i]), __FILE__, __LINE__, "%s is refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_report(!mb_e164_valid(bad[i]), __FILE__, __LINE__, "\"%s\" is taken", bad[i]);
}

int
main(void)
{
	check_run("numbers are E.164", numbers_are_e164);
	return check_done();
}
