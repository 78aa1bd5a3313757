/*
 * test_address.c
 *	  Which addresses count as public: the ends of every special range and
 *	  their neighbours outside, and IPv4 addresses in IPv6 clothes.
 */
#include "core/web/address.h"

#include <arpa/inet.h>

#include "check.h"

static bool
is_public(const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		return mb_ipv4_is_public(bytes);
	if (inet_pton(AF_INET6, text, bytes) == 1)
		return mb_ipv6_is_public(bytes);
	printf("# \"%s\" is no address\n", text);
	check(false);
	return false;
}

static void
check_all(const char *const *addresses, bool expected)
{
	for (int i = 0; addresses[i]; i++)
	{
		if (is_public(addresses[i]) != expected)
			printf("# %s\n", addresses[i]);
		check(is_public(addresses[i]) == expected);
		check(mb_address_is_literal_private(addresses[i]) == !expected);
	}
}

static void
special_ipv4_is_not_public(void)
{
	static const char *const addresses[] = {
		"0.0.0.0",		   "0.255.255.255",	  "10.0.0.0",		 "10.255.255.255",
		"100.64.0.0",	   "100.127.255.255", "127.0.0.1",		 "127.255.255.255",
		"169.254.0.0",	   "169.254.169.254", "169.254.255.255", "172.16.0.0",
		"172.31.255.255",  "192.0.0.0",		  "192.0.0.255",	 "192.0.2.1",
		"192.88.99.1",	   "192.168.0.0",	  "192.168.255.255", "198.18.0.0",
		"198.19.255.255",  "198.51.100.1",	  "203.0.113.1",	 "224.0.0.0",
		"239.255.255.255", "240.0.0.0",		  "255.255.255.255", NULL
	};

	check_all(addresses, false);
}

static void
neighbours_of_special_ipv4_are_public(void)
{
	static const char *const addresses[] = {
		"1.0.0.0",		   "9.255.255.255",	  "11.0.0.0",
		"100.63.255.255",  "100.128.0.0",	  "126.255.255.255",
		"128.0.0.0",	   "169.253.255.255", "169.255.0.0",
		"172.15.255.255",  "172.32.0.0",	  "191.255.255.255",
		"192.0.1.0",	   "192.0.3.0",		  "192.88.98.255",
		"192.88.100.0",	   "192.167.255.255", "192.169.0.0",
		"198.17.255.255",  "198.20.0.0",	  "198.51.99.255",
		"198.51.101.0",	   "203.0.112.255",	  "203.0.114.0",
		"223.255.255.255", "8.8.8.8",		  NULL
	};

	check_all(addresses, true);
}

static void
special_ipv6_is_not_public(void)
{
	static const char *const addresses[] = {
		"::",	   "::1",		 "100::1",			"64:ff9b:1::1", "1fff:ffff::",
		"2001::1", "2001:10::1", "2001:1ff:ffff::", "2001:db8::",	"2001:db8:ffff::1",
		"3fff::1", "3fff:fff::", "4000::",			"fc00::1",		"fdff::1",
		"fe80::1", "febf::1",	 "fec0::1",			"ff00::",		"ff02::1",
		NULL
	};

	check_all(addresses, false);
}

static void
global_ipv6_is_public(void)
{
	static const char *const addresses[] = { "2000::1",			 "2001:200::1",
											 "2001:db7:ffff::1", "2001:db9::1",
											 "2606:4700::1111",	 "3ffe::1",
											 "3fff:1000::1",	 NULL };

	check_all(addresses, true);
}

static void
embedded_ipv4_counts_as_itself(void)
{
	static const char *const hidden[] = { "::ffff:127.0.0.1",		"::ffff:10.0.0.1",
										  "::ffff:169.254.169.254", "::10.0.0.1",
										  "64:ff9b::192.168.1.1",	"2002:7f00:1::1",
										  "2002:a9fe:a9fe::",		NULL };
	static const char *const open[] = { "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::8.8.8.8",
										"2002:808:808::1", NULL };

	check_all(hidden, false);
	check_all(open, true);
}

static void
names_are_no_addresses(void)
{
	static const char *const names[] = { "",		  "localhost", "example.com",  "127.1",
										 "1.2.3.4.5", "[::1]",	   "fe80::1%eth0", NULL };

	for (int i = 0; names[i]; i++)
		check(!mb_address_is_literal_private(names[i]));
}

static void
check_hidden(const char *text, const char *known, const char *expected)
{
	char copy[300];

	snprintf(copy, sizeof copy, "%s", text);
	mb_hide_addresses(copy, known);
	check_string(copy, expected);
}

static void
addresses_in_sentences_are_hidden(void)
{
	check_hidden("connect to 10.1.2.3 port 80 failed", "https://inside.example",
				 "connect to ******** port 80 failed");
	check_hidden("connect to 10.1.2.3 port 80 failed", "http://10.1.2.3/v1",
				 "connect to 10.1.2.3 port 80 failed");
	check_hidden("[fd00::1]:443, 192.168.0.1:80.", "https://x", "[*******]:443, ***********:80.");
	check_hidden("peer 10.0.0.1.", "https://x", "peer ********.");
	check_hidden("host=10.0.0.1;fe80::1%eth0", "https://x", "host=********;*******%eth0");
	check_hidden("::1", "", "***");
	check_hidden("10.0.0.1", "", "********");
	check_hidden("after 10.5 ms, libcurl/7.88.1, error 7: dead beef: fed", "x",
				 "after 10.5 ms, libcurl/7.88.1, error 7: dead beef: fed");
	check_hidden("Failed to connect to db.inside.example port 5432 after 0 ms: Couldn't connect",
				 "x",
				 "Failed to connect to db.inside.example port 5432 after 0 ms: Couldn't connect");
	check_hidden("", "x", "");
}

int
main(void)
{
	check_run("special IPv4 addresses are not public", special_ipv4_is_not_public);
	check_run("their neighbours are", neighbours_of_special_ipv4_are_public);
	check_run("special IPv6 addresses are not public", special_ipv6_is_not_public);
	check_run("global IPv6 addresses are", global_ipv6_is_public);
	check_run("an embedded IPv4 address counts as itself", embedded_ipv4_counts_as_itself);
	check_run("names are no addresses", names_are_no_addresses);
	check_run("addresses in sentences are hidden", addresses_in_sentences_are_hidden);
	return check_done();
}
