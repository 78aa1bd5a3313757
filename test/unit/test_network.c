/*
 * test_network.c
 *	  Networks, what counts as one client, and the client whom X-Forwarded-For names.
 */
#include "core/web/network.h"

#include <arpa/inet.h>

#include "check.h"

static mb_network
network(const char *text)
{
	mb_network n = { 0 };

	if (!mb_network_parse(text, &n))
		check_report(false, __FILE__, __LINE__, "\"%s\" is no network", text);
	return n;
}

static bool
lies_in(const char *address, const char *text)
{
	mb_network n = network(text);
	mb_network a = network(address);

	return mb_network_contains(&n, a.address);
}

static void
networks_contain_what_they_should(void)
{
	check(lies_in("10.0.0.0", "10.0.0.0/8"));
	check(lies_in("10.255.255.255", "10.0.0.0/8"));
	check(!lies_in("11.0.0.0", "10.0.0.0/8"));
	check(!lies_in("9.255.255.255", "10.0.0.0/8"));
	check(lies_in("192.168.5.129", "192.168.5.128/25"));
	check(!lies_in("192.168.5.127", "192.168.5.128/25"));
	check(lies_in("1.2.3.4", "1.2.3.4"));
	check(!lies_in("1.2.3.5", "1.2.3.4"));
	check(lies_in("1.2.3.4", "0.0.0.0/0"));
	check(!lies_in("2001:db8::1", "0.0.0.0/0"));
	check(lies_in("::ffff:1.2.3.4", "1.2.3.0/24"));
	check(lies_in("1.2.3.4", "::/0"));
	check(lies_in("2001:db8::1", "2001:db8::/32"));
	check(!lies_in("2001:db9::1", "2001:db8::/32"));
	check(lies_in("2001:db8:0:7fff::", "2001:db8::/49"));
	check(!lies_in("2001:db8:0:8000::", "2001:db8::/49"));
	check(lies_in("::1", "::1/128"));
}

static void
what_is_no_network_is_refused(void)
{
	static const char *const texts[] = { "",
										 "/8",
										 "10.0.0.0/",
										 "10.0.0.0/33",
										 "10.0.0.0/-1",
										 "10.0.0.0/8x",
										 "10.0.0.0/ 8",
										 "10.0.0/8",
										 "10.0.0.0.0/8",
										 "010.0.0.0/8",
										 "::1/129",
										 ":::/1",
										 "::1%eth0",
										 "localhost",
										 "10.0.0.0/8/8",
										 "10.0.0.0/0x8",
										 " 10.0.0.0",
										 "[::1]",
										 "10.0.0.0:80",
										 "::/99999999",
										 "1.2.3.4/99999",
										 "10.0.0.0/000008",
										 NULL };
	mb_network n;

	for (int i = 0; texts[i] != NULL; i++)
		check_report(!mb_network_parse(texts[i], &n), __FILE__, __LINE__, "\"%s\" passes",
					 texts[i]);
}

static void
an_ipv6_customer_is_one_client(void)
{
	uint8_t one[16];
	uint8_t other[16];

	mb_address_fold(network("2001:db8:1:2:3:4:5:6").address, one);
	mb_address_fold(network("2001:db8:1:2:ffff::").address, other);
	check_bytes(one, other, 16);
	mb_address_fold(network("2001:db8:1:3:3:4:5:6").address, other);
	check(memcmp(one, other, 16) != 0);
	mb_address_fold(network("1.2.3.4").address, one);
	mb_address_fold(network("1.2.3.5").address, other);
	check(memcmp(one, other, 16) != 0);
	check_bytes(one, network("1.2.3.4").address, 16);
}

/* The client as text, or what else it says; proxies are 10.0.0.0/8, ::1 and 2001:db8:f::/48. */
static const char *
client(const char *list)
{
	static char text[INET6_ADDRSTRLEN];
	const mb_network proxies[] = { network("10.0.0.0/8"), network("::1"),
								   network("2001:db8:f::/48") };
	char *copy = malloc(strlen(list) + 1);
	uint8_t address[16] = { 0 };
	mb_forwarded outcome;

	/* of its own size, so that a read beyond it is seen */
	memcpy(copy, list, strlen(list));
	outcome = mb_forwarded_for(copy, strlen(list), proxies, 3, address);
	free(copy);
	if (outcome != MB_FORWARDED_CLIENT)
		return outcome == MB_FORWARDED_NOBODY ? "nobody" : "malformed";
	inet_ntop(AF_INET6, address, text, sizeof(text));
	if (strncmp(text, "::ffff:", 7) == 0)
		memmove(text, text + 7, strlen(text + 7) + 1);
	return text;
}

static void
the_right_most_address_that_is_no_proxy_counts(void)
{
	check_string(client("203.0.113.5"), "203.0.113.5");
	check_string(client(" 203.0.113.5\t"), "203.0.113.5");
	check_string(client("1.1.1.1, 203.0.113.5"), "203.0.113.5");
	check_string(client("1.1.1.1,203.0.113.5,10.1.1.1"), "203.0.113.5");
	check_string(client("1.1.1.1, 203.0.113.5, 10.1.1.1, ::1, 2001:db8:f::9"), "203.0.113.5");
	check_string(client("2001:db8::7, 10.1.1.1"), "2001:db8::7");
	check_string(client("10.9.9.9, 10.1.1.1"), "10.9.9.9");
	check_string(client("::ffff:10.1.1.1"), "10.1.1.1");
	check_string(client("::ffff:203.0.113.5, ::ffff:10.1.1.1"), "203.0.113.5");
}

static void
what_anybody_may_have_written_does_not_count(void)
{
	check_string(client("nonsense, 203.0.113.5"), "203.0.113.5");
	check_string(client(",,, 203.0.113.5"), "203.0.113.5");
	check_string(client("10.1.1.1, 203.0.113.5"), "203.0.113.5");
	check_string(client("\", 203.0.113.5"), "203.0.113.5");
}

static void
ports_and_brackets_are_left_out(void)
{
	check_string(client("203.0.113.5:4711"), "203.0.113.5");
	check_string(client("[2001:db8::7]:4711"), "2001:db8::7");
	check_string(client("[2001:db8::7]"), "2001:db8::7");
	check_string(client("203.0.113.5:0, [::1]:65535"), "203.0.113.5");
}

static void
what_is_no_address_is_malformed(void)
{
	static const char *const lists[] = {
		"unknown",
		"_hidden",
		"203.0.113.5,",
		",",
		"203.0.113.256",
		"203.0.113.5:",
		"203.0.113.5:x",
		"203.0.113.5:65536",
		"[::2",
		"[]",
		"[",
		"]",
		"[::2]x",
		"[::2]:",
		"[::2]:-1",
		"::2]",
		"fe80::2%eth0",
		"1.1.1.1, unknown",
		"1.1.1.1,, 10.1.1.1",
		"1.1.1.1;2.2.2.2",
		"for=192.0.2.43",
		"203.0.113.5 x",
		"unknown, 10.1.1.1",
		"1.1.1.1 2.2.2.2",
		"[[::2]]",
		"0x1.1.1.1",
		"1.1.1",
		":",
		"[203.0.113.5]:1:1",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee",
		NULL
	};

	for (int i = 0; lists[i] != NULL; i++)
		check_report(strcmp(client(lists[i]), "malformed") == 0, __FILE__, __LINE__, "\"%s\" is %s",
					 lists[i], client(lists[i]));
	check_string(client(""), "nobody");
	check_string(client(" \t "), "nobody");
}

static void
a_nul_ends_no_address(void)
{
	uint8_t address[16];

	check_int(mb_forwarded_for("1.1.1.1\0.1", 10, NULL, 0, address), MB_FORWARDED_MALFORMED);
}

static void
many_addresses_are_walked_to_their_end(void)
{
	static char list[16384] = "203.0.113.5";
	size_t n = strlen(list);

	while (n + 11 < sizeof(list))
	{
		memcpy(list + n, ", 10.1.1.1", 11);
		n += 10;
	}
	check_string(client(list), "203.0.113.5");
}

int
main(void)
{
	check_run("networks contain what they should", networks_contain_what_they_should);
	check_run("what is no network is refused", what_is_no_network_is_refused);
	check_run("an IPv6 customer is one client", an_ipv6_customer_is_one_client);
	check_run("the right-most address that is no proxy counts",
			  the_right_most_address_that_is_no_proxy_counts);
	check_run("what anybody may have written does not count",
			  what_anybody_may_have_written_does_not_count);
	check_run("ports and brackets are left out", ports_and_brackets_are_left_out);
	check_run("what is no address is malformed", what_is_no_address_is_malformed);
	check_run("a NUL ends no address", a_nul_ends_no_address);
	check_run("many addresses are walked to their end", many_addresses_are_walked_to_their_end);
	return check_done();
}
