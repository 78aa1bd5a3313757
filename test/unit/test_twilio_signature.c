/*
 * test_twilio_signature.c
 *	  X-Twilio-Signature against the vectors of Twilio's own libraries and values that they
 *	  computed, and against what must not pass.
 */
#include "check.h"
#include "core/web/form.h"
#include "core/web/twilio_signature.h"

#define TOKEN "12345"
#define U "https://mycompany.com/myapp.php?foo=1&bar=2"
#define P                                                                                          \
	"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%"         \
	"2B18005551212"
#define BODY "{\"property\": \"value\", \"boolean\": true}"
#define BODY_HASH "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
#define EMPTY_HASH "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define EXAMPLE "https://example.com/twilio/voice"

#define MAX_FIELDS 64

/* Form text decoded, as it comes in a body. */
typedef struct form
{
	char storage[4096];
	mb_form_field fields[MAX_FIELDS];
	size_t n;
} form;

static void
read_form(const char *text, form *f)
{
	if (strlen(text) > sizeof(f->storage) ||
		mb_form_parse(text, strlen(text), f->storage, f->fields, MAX_FIELDS, &f->n) != MB_OK)
		abort();
}

static mb_twilio_proof
proof_of(const char *signature)
{
	mb_twilio_proof proof = { TOKEN, strlen(TOKEN), signature, strlen(signature) };

	return proof;
}

static mb_twilio_verdict
check_form_as(const char *url, const char *text, const char *signature, unsigned *how)
{
	mb_twilio_proof proof = proof_of(signature);
	form f;

	read_form(text, &f);
	return mb_twilio_check_form(&proof, url, strlen(url), f.fields, f.n, how);
}

static mb_twilio_verdict
check_websocket_as(const char *url, const char *signature, unsigned *how)
{
	mb_twilio_proof proof = proof_of(signature);

	return mb_twilio_check_websocket(&proof, url, strlen(url), how);
}

static mb_twilio_verdict
check_body_as(const char *url, const char *body, const char *signature)
{
	mb_twilio_proof proof = proof_of(signature);

	return mb_twilio_check_body(&proof, url, strlen(url), body, strlen(body), NULL);
}

/* What was signed, exactly: TWILIO.md 1.5. */
static const struct
{
	const char *what;
	const char *url;
	const char *params;
	const char *signature;
} vectors[] = {
	{ "form POST", U, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8=" },
	{ "http port 1234", "http://mycompany.com:1234/myapp.php?foo=1&bar=2", P,
	  "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=" },
	{ "https :443", "https://mycompany.com:443/myapp.php?foo=1&bar=2", P,
	  "kvajT1Ptam85bY51eRf/AJRuM3w=" },
	{ "http :80", "http://mycompany.com:80/myapp.php?foo=1&bar=2", P,
	  "0ZXoZLH/DfblKGATFgpif+LLRf4=" },
	{ "user:pass", "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2", P,
	  "CukzLTc1tT5dXEDIHm/tKBanW10=" },
	{ "user", "https://user@mycompany.com/myapp.php?foo=1&bar=2", P,
	  "2YRLlVAflCqxaNicjMpJcSTgzSs=" },
	{ "user:pass :443", "https://user:pass@mycompany.com:443/myapp.php?foo=1&bar=2", P,
	  "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI=" },
	{ "repeated name", U,
	  "MessagingBinding.Address=%2B1415xxxxxxx&MessagingBinding.Address=%2B1325xxxxxxx",
	  "83O6e2vORAoJHUNzJjDWN1jz+BA=" },
	{ "repeated value", U, "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
	  "IK+Dwps556ElfBT0I3Rgjkr1wJU=" },
	{ "JSON", U "&bodySHA256=" BODY_HASH, "", "a9nBmqA0ju/hNViExpshrM61xv4=" },
	{ "JSON, hash alone", "https://mycompany.com/myapp.php?bodySHA256=" BODY_HASH, "",
	  "y77kIzt2vzLz71DgmJGsen2scGs=" },
	{ "JSON {}", U "&bodySHA256=" EMPTY_HASH, "", "rw/jVviOgicj2+kHZULvebnA4ag=" },
	{ "JSON {} :443", "https://mycompany.com:443/myapp.php?foo=1&bar=2&bodySHA256=" EMPTY_HASH, "",
	  "Ldidvp12m26NI7eqEvxnEpkd9Hc=" },
	{ "GET", U, "", "zYQTYrRWXE7LtzbG4PfP7/bkkGo=" },
	{ "no trailing slash", EXAMPLE, P, "dzw9jNxUcjXYN3aCP8o7xCY6CqM=" },
	{ "trailing slash", EXAMPLE "/", P, "o/3giKAROhwX3bMEvWkcq7K0E3o=" },
	{ "UTF-8", EXAMPLE, "Body=%EC%95%88%EB%85%95+%E2%98%8E+%C3%A9&From=%2B821012345678",
	  "FFUZnDzKKiHJGxW7dSm+3Pra8oQ=" },
	{ "empty value", EXAMPLE, "A=&B=x", "ob5YCi68rrmlofyZy6yFMFC1gbE=" },
	{ "case of names", EXAMPLE, "b=1&B=2&a=3&_x=4", "Ppl/7Fwwr++5UjAbhHTVXq8QICE=" },
	{ "WS", "wss://example.com/twilio/ws", "", "xoZgYpcwfrqx4dXhq1dlNlCveB4=" },
	{ "WS + slash", "wss://example.com/twilio/ws/", "", "maFQ5G7dxG8VMN7A++ACbDHuzYM=" },
	{ "WS :443", "wss://example.com:443/twilio/ws", "", "Q07YqslrYN9YKtigTpe50qXi4wI=" },
	{ "https spelling", "https://example.com/twilio/ws", "", "RwbewBMjo9nUglwuohcCq6TdZGw=" },
	{ "WS query as parameters", "wss://example.com/twilio/ws", "clinicId=c1&token=abc",
	  "VhLPH30+WcYJWpUS+KInwM1m69A=" },
	{ "WS query in the URL", "wss://example.com/twilio/ws?clinicId=c1&token=abc", "",
	  "QEF5ztSXkU73Et68doENiy8NMPg=" },
	/* computed with twilio-node 6.2 */
	{ "WS :80", "ws://example.com:80/twilio/ws", "", "Ih/CKU7/Gq7NB7/cwM6646uQrtE=" },
	{ "IPv6", "https://[2001:db8::1]/p", "", "Fy4GbKPzCPw8oi/QB9hr3pub2EA=" },
};

#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void
signatures_are_those_published(void)
{
	for (size_t i = 0; i < N_VECTORS; i++)
	{
		char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];
		form f;

		read_form(vectors[i].params, &f);
		check_int(mb_twilio_sign(TOKEN, strlen(TOKEN), vectors[i].url, strlen(vectors[i].url),
								 f.fields, f.n, signature),
				  MB_OK);
		check_report(strcmp(signature, vectors[i].signature) == 0, __FILE__, __LINE__,
					 "%s: %s, expected %s", vectors[i].what, signature, vectors[i].signature);
	}
}

static void
published_signatures_are_valid(void)
{
	for (size_t i = 0; i < N_VECTORS; i++)
	{
		bool websocket = vectors[i].url[0] == 'w';

		if (websocket)
			continue;
		check_report(check_form_as(vectors[i].url, vectors[i].params, vectors[i].signature, NULL) ==
						 MB_TWILIO_VALID,
					 __FILE__, __LINE__, "%s is not valid", vectors[i].what);
	}
}

/* As a request arrives and as it was signed are two things where ports are concerned. */
static void
ports_are_forgiven(void)
{
	static const struct
	{
		const char *url;
		const char *params;
		const char *signature;
		mb_twilio_verdict verdict;
		unsigned how;
	} cases[] = {
		{ "https://mycompany.com:1234/myapp.php?foo=1&bar=2", P,
		  "RSOYDt4T1cUTdK1PDd93/VVr8B8=", MB_TWILIO_VALID, 0 },
		{ U, P, "kvajT1Ptam85bY51eRf/AJRuM3w=", MB_TWILIO_VALID, MB_TWILIO_FORM_PORT },
		{ "http://mycompany.com/myapp.php?foo=1&bar=2", P,
		  "0ZXoZLH/DfblKGATFgpif+LLRf4=", MB_TWILIO_VALID, MB_TWILIO_FORM_PORT },
		{ "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2", P,
		  "ZQFR1PTIZXF2MXB8ZnKCvnnA+rI=", MB_TWILIO_VALID, MB_TWILIO_FORM_PORT },
		{ "https://[2001:db8::1]/p", "", "OMbgNdoNrV4440Uor6yxBZ3Xp80=", MB_TWILIO_VALID,
		  MB_TWILIO_FORM_PORT },
		{ "https://[2001:db8::1]:8443/p", "", "Fy4GbKPzCPw8oi/QB9hr3pub2EA=", MB_TWILIO_VALID, 0 },
		{ "https://[2001:db8::1]:8443/p", "", "Y2hNVkb4eaYfy23I0VOmEl/dDXM=", MB_TWILIO_VALID,
		  MB_TWILIO_FORM_PORT },
		/* signed with a port that we cannot know */
		{ "http://mycompany.com/myapp.php?foo=1&bar=2", P,
		  "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", MB_TWILIO_BAD_SIGNATURE, 0 },
		{ "https://[2001:db8::1]/p", "", "Y2hNVkb4eaYfy23I0VOmEl/dDXM=", MB_TWILIO_BAD_SIGNATURE,
		  0 },
		/* a fragment is never requested */
		{ U "#rc=2&rp=all", P, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", MB_TWILIO_VALID, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		unsigned how = 99;

		check_int(check_form_as(cases[i].url, cases[i].params, cases[i].signature, &how),
				  cases[i].verdict);
		check_int(how, cases[i].verdict == MB_TWILIO_VALID ? cases[i].how : 99);
	}
}

static void
characters_are_forgiven_as_in_the_library(void)
{
	unsigned how = 99;

	/* the library's vector: signed with ' encoded */
	check_int(check_form_as(U "&Body=It's+amazing", P, "TfZzewPq8wqrGlMfyAud8+/IvJ0=", &how),
			  MB_TWILIO_VALID);
	check_int(how, MB_TWILIO_FORM_NORMALISED);
	/* as received */
	check_int(check_form_as(U "&Body=It's+amazing", P, "dsq4Ehbj6cs+KdTkpF5sSSplOWw=", &how),
			  MB_TWILIO_VALID);
	check_int(how, 0);
	/* encoded anew */
	check_int(check_form_as(U "&Body=It's+amazing", P, "bD9iT2C/HNMwZ/yCH1s/5R2+wUs=", &how),
			  MB_TWILIO_VALID);
	check_int(how, MB_TWILIO_FORM_NORMALISED | MB_TWILIO_FORM_LEGACY_QUERY);
	check_int(check_form_as("https://mycompany.com/p?a=1&b=2&a=3&c", "",
							"0fOR7vmuVFi6BjVOrURWIGuJEHs=", &how),
			  MB_TWILIO_VALID);
	check_int(how, MB_TWILIO_FORM_NORMALISED | MB_TWILIO_FORM_LEGACY_QUERY);
	/* capitals in scheme and host, but not in path and query */
	check_int(
		check_form_as("HTTPS://MyCompany.COM/Path?x=A", "", "Xmq4xYiXIxl8bFjKDiXmnqSL+bY=", &how),
		MB_TWILIO_VALID);
	check_int(how, MB_TWILIO_FORM_NORMALISED);
	check_int(
		check_form_as("https://mycompany.com/path?x=A", "", "Xmq4xYiXIxl8bFjKDiXmnqSL+bY=", &how),
		MB_TWILIO_BAD_SIGNATURE);
	/* an empty path is / and that is all that is forgiven about slashes */
	check_int(check_form_as("https://mycompany.com", "", "7bhwr/KvdF/S0bLkS3ZixLRXTHA=", &how),
			  MB_TWILIO_VALID);
	check_int(check_form_as(EXAMPLE, P, "o/3giKAROhwX3bMEvWkcq7K0E3o=", &how),
			  MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as(EXAMPLE "/", P, "dzw9jNxUcjXYN3aCP8o7xCY6CqM=", &how),
			  MB_TWILIO_BAD_SIGNATURE);
	check_int(
		check_form_as("https://mycompany.com/p q/\"x\"", "", "xeuBbuN31OqtdzxapeUHz3ECRpQ=", &how),
		MB_TWILIO_VALID);
}

static void
order_and_repetition_of_parameters_do_not_matter(void)
{
	const char *signature = "83O6e2vORAoJHUNzJjDWN1jz+BA=";

	check_int(check_form_as(
				  U,
				  "MessagingBinding.Address=%2B1325xxxxxxx&MessagingBinding.Address=%2B1415xxxxxxx",
				  signature, NULL),
			  MB_TWILIO_VALID);
	check_int(check_form_as(U,
							"To=%2B18005551212&Digits=1234&From=%2B14158675309&Caller=%"
							"2B14158675309&CallSid=CA1234567890ABCDE&To=%2B18005551212",
							"RSOYDt4T1cUTdK1PDd93/VVr8B8=", NULL),
			  MB_TWILIO_VALID);
}

static void
what_was_not_signed_is_refused(void)
{
	const char *good = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
	char changed[MB_TWILIO_SIGNATURE_LENGTH + 1];
	unsigned how = 99;

	/* one parameter more, one less, one changed, one with white space */
	check_int(check_form_as(U, P "&Extra=1", good, &how), MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as(U, "CallSid=CA1234567890ABCDE", good, &how), MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as(U,
							"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1235&From=%"
							"2B14158675309&To=%2B18005551212",
							good, &how),
			  MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as(U, P "+", good, &how), MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as("https://mycompany.com/myapp.php?bar=2&foo=1", P, good, &how),
			  MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as("http://mycompany.com/myapp.php?foo=1&bar=2", P, good, &how),
			  MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as("https://mycompany.net/myapp.php?foo=1&bar=2", P, good, &how),
			  MB_TWILIO_BAD_SIGNATURE);

	/* every symbol of the signature matters, the spare bits of the last one too */
	for (size_t i = 0; i < MB_TWILIO_SIGNATURE_LENGTH; i++)
	{
		memcpy(changed, good, sizeof(changed));
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		check_int(check_form_as(U, P, changed, &how), MB_TWILIO_BAD_SIGNATURE);
	}
	memcpy(changed, good, sizeof(changed));
	changed[26]++; /* 8 and 9 decode to the same twenty bytes */
	check_int(check_form_as(U, P, changed, &how), MB_TWILIO_BAD_SIGNATURE);

	/* other lengths, the empty one among them */
	check_int(check_form_as(U, P, "", &how), MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as(U, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8", &how), MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as(U, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8= ", &how), MB_TWILIO_BAD_SIGNATURE);
	check_int(check_form_as(U, P, "rsoydt4t1cutdk1pdd93/vvr8b8=", &how), MB_TWILIO_BAD_SIGNATURE);
	check_int(how, 99);
}

static void
an_empty_token_proves_nothing(void)
{
	char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];
	mb_twilio_proof proof = { "", 0, signature, MB_TWILIO_SIGNATURE_LENGTH };
	mb_twilio_proof other = { "12346", 5, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", 28 };
	form f;

	check_int(mb_twilio_sign("", 0, U, strlen(U), NULL, 0, signature), MB_OK);
	check_int(mb_twilio_check_form(&proof, U, strlen(U), NULL, 0, NULL), MB_TWILIO_NO_TOKEN);
	check_int(mb_twilio_check_body(&proof, U, strlen(U), "", 0, NULL), MB_TWILIO_NO_TOKEN);
	check_int(mb_twilio_check_websocket(&proof, U, strlen(U), NULL), MB_TWILIO_NO_TOKEN);
	read_form(P, &f);
	check_int(mb_twilio_check_form(&other, U, strlen(U), f.fields, f.n, NULL),
			  MB_TWILIO_BAD_SIGNATURE);
}

static void
bodies_need_url_and_hash_to_be_right(void)
{
	const char *url = U "&bodySHA256=" BODY_HASH;
	const char *good = "a9nBmqA0ju/hNViExpshrM61xv4=";

	check_int(check_body_as(url, BODY, good), MB_TWILIO_VALID);
	check_int(check_body_as("https://mycompany.com/myapp.php?bodySHA256=" BODY_HASH, BODY,
							"y77kIzt2vzLz71DgmJGsen2scGs="),
			  MB_TWILIO_VALID);
	check_int(check_body_as(U "&bodySHA256=" EMPTY_HASH, "{}", "rw/jVviOgicj2+kHZULvebnA4ag="),
			  MB_TWILIO_VALID);
	check_int(check_body_as(U "&bodySHA256=" EMPTY_HASH, "{}", "Ldidvp12m26NI7eqEvxnEpkd9Hc="),
			  MB_TWILIO_VALID);

	check_int(check_body_as(url, BODY " ", good), MB_TWILIO_BODY_CHANGED);
	check_int(check_body_as(url, "", good), MB_TWILIO_BODY_CHANGED);
	check_int(check_body_as(url, BODY, "RSOYDt4T1cUTdK1PDd93/VVr8B8="), MB_TWILIO_BAD_SIGNATURE);
	/* the right hash of another body under the old signature */
	check_int(check_body_as(U "&bodySHA256=" EMPTY_HASH, "{}", good), MB_TWILIO_BAD_SIGNATURE);
	/* a genuine URL says nothing about a body that it does not name */
	check_int(check_body_as(U, BODY, "zYQTYrRWXE7LtzbG4PfP7/bkkGo="), MB_TWILIO_BODY_NOT_SIGNED);
}

/* The hash is the first of its name, in small letters, all of it. */
static void
the_hash_is_read_strictly(void)
{
	static const struct
	{
		const char *query;
		mb_twilio_verdict verdict;
	} cases[] = {
		{ "bodySHA256=" BODY_HASH, MB_TWILIO_VALID },
		{ "x=1&bodySHA256=" BODY_HASH "&bodySHA256=" EMPTY_HASH, MB_TWILIO_VALID },
		{ "bodySHA256=" EMPTY_HASH "&bodySHA256=" BODY_HASH, MB_TWILIO_BODY_CHANGED },
		{ "bodysha256=" BODY_HASH, MB_TWILIO_BODY_NOT_SIGNED },
		{ "xbodySHA256=" BODY_HASH, MB_TWILIO_BODY_NOT_SIGNED },
		{ "bodySHA256=", MB_TWILIO_BODY_CHANGED },
		{ "bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e662",
		  MB_TWILIO_BODY_CHANGED },
		{ "bodySHA256=0A1FF7634D9AB3B95DB5C9A2DFE9416E41502B283A80C7CF19632632F96E6620",
		  MB_TWILIO_BODY_CHANGED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char url[512];
		char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];

		snprintf(url, sizeof(url), "https://mycompany.com/p?%s", cases[i].query);
		REQUIRE(mb_twilio_sign(TOKEN, strlen(TOKEN), url, strlen(url), NULL, 0, signature) ==
				MB_OK);
		check_int(check_body_as(url, BODY, signature), cases[i].verdict);
	}
}

static void
websockets_are_signed_with_their_own_scheme(void)
{
	static const struct
	{
		const char *url;
		const char *signature;
		mb_twilio_verdict verdict;
		unsigned how;
	} cases[] = {
		{ "wss://example.com/twilio/ws", "xoZgYpcwfrqx4dXhq1dlNlCveB4=", MB_TWILIO_VALID, 0 },
		{ "https://example.com/twilio/ws", "xoZgYpcwfrqx4dXhq1dlNlCveB4=", MB_TWILIO_VALID, 0 },
		{ "wss://example.com:8443/twilio/ws", "xoZgYpcwfrqx4dXhq1dlNlCveB4=", MB_TWILIO_VALID, 0 },
		{ "wss://example.com/twilio/ws", "maFQ5G7dxG8VMN7A++ACbDHuzYM=", MB_TWILIO_VALID,
		  MB_TWILIO_FORM_SLASH },
		{ "wss://example.com/twilio/ws/", "maFQ5G7dxG8VMN7A++ACbDHuzYM=", MB_TWILIO_VALID, 0 },
		{ "wss://example.com", "hoaxtdkWNBxVYCmDLq7UdjDdXIg=", MB_TWILIO_VALID,
		  MB_TWILIO_FORM_SLASH },
		{ "wss://example.com/twilio/ws", "Q07YqslrYN9YKtigTpe50qXi4wI=", MB_TWILIO_VALID,
		  MB_TWILIO_FORM_PORT },
		{ "wss://example.com:8443/twilio/ws", "t61lzAR8xCD/REfEZGawYsjFtig=", MB_TWILIO_VALID,
		  MB_TWILIO_FORM_PORT },
		{ "http://example.com/twilio/ws", "Ih/CKU7/Gq7NB7/cwM6646uQrtE=", MB_TWILIO_VALID,
		  MB_TWILIO_FORM_PORT },
		{ "wss://example.com/twilio/ws?clinicId=c1&token=abc",
		  "VhLPH30+WcYJWpUS+KInwM1m69A=", MB_TWILIO_VALID, MB_TWILIO_FORM_QUERY_FIELDS },
		{ "wss://example.com/twilio/ws?token=abc&clinicId=c1",
		  "VhLPH30+WcYJWpUS+KInwM1m69A=", MB_TWILIO_VALID, MB_TWILIO_FORM_QUERY_FIELDS },
		{ "wss://example.com/twilio/ws?clinicId=c1&token=abc",
		  "QEF5ztSXkU73Et68doENiy8NMPg=", MB_TWILIO_VALID, 0 },
		/* the https spelling was signed for something else than a WebSocket */
		{ "wss://example.com/twilio/ws", "RwbewBMjo9nUglwuohcCq6TdZGw=", MB_TWILIO_BAD_SIGNATURE,
		  0 },
		{ "https://example.com/twilio/ws", "RwbewBMjo9nUglwuohcCq6TdZGw=", MB_TWILIO_BAD_SIGNATURE,
		  0 },
		{ "wss://example.com/twilio/ws?token=abd&clinicId=c1",
		  "VhLPH30+WcYJWpUS+KInwM1m69A=", MB_TWILIO_BAD_SIGNATURE, 0 },
		{ "wss://example.com/twilio/wss", "xoZgYpcwfrqx4dXhq1dlNlCveB4=", MB_TWILIO_BAD_SIGNATURE,
		  0 },
		{ "ftp://example.com/twilio/ws", "xoZgYpcwfrqx4dXhq1dlNlCveB4=", MB_TWILIO_BAD_URL, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		unsigned how = 99;

		check_report(check_websocket_as(cases[i].url, cases[i].signature, &how) == cases[i].verdict,
					 __FILE__, __LINE__, "case %zu: %s", i, cases[i].url);
		check_int(how, cases[i].verdict == MB_TWILIO_VALID ? cases[i].how : 99);
	}

	/* decoded, sorted, and with a slash: all at once */
	check_int(check_websocket_as("wss://example.com/twilio/ws?b=x+y&a=%31",
								 "iG0gUVJoegTmqRauDn5/hOZIYfA=", NULL),
			  MB_TWILIO_VALID);
}

static void
malformed_urls_are_refused(void)
{
	static const char *const urls[] = {
		"",			  "/path",			"example.com/path", "https:",	  "https://",
		"https:///p", "://example.com", "https://:443/p",	"https://?q", "https://u@/p"
	};
	static char long_url[MB_TWILIO_MAX_URL + 2];
	mb_twilio_proof proof;
	char signature[MB_TWILIO_SIGNATURE_LENGTH + 1];
	size_t n;

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
	{
		REQUIRE(mb_twilio_sign(TOKEN, strlen(TOKEN), urls[i], strlen(urls[i]), NULL, 0,
							   signature) == MB_OK);
		check_report(check_form_as(urls[i], "", signature, NULL) == MB_TWILIO_BAD_URL, __FILE__,
					 __LINE__, "\"%s\" is taken", urls[i]);
	}
	/* a NUL is in no URL, signed or not */
	REQUIRE(mb_twilio_sign(TOKEN, strlen(TOKEN), "https://h/\0x", 12, NULL, 0, signature) == MB_OK);
	proof = proof_of(signature);
	check_int(mb_twilio_check_form(&proof, "https://h/\0x", 12, NULL, 0, NULL), MB_TWILIO_BAD_URL);

	/* the longest, and one byte more */
	n = snprintf(long_url, sizeof(long_url), "https://example.com/");
	memset(long_url + n, 'x', sizeof(long_url) - n - 1);
	long_url[MB_TWILIO_MAX_URL] = '\0';
	REQUIRE(mb_twilio_sign(TOKEN, strlen(TOKEN), long_url, MB_TWILIO_MAX_URL, NULL, 0, signature) ==
			MB_OK);
	check_int(check_form_as(long_url, "", signature, NULL), MB_TWILIO_VALID);
	long_url[MB_TWILIO_MAX_URL] = 'x';
	check_int(check_form_as(long_url, "", signature, NULL), MB_TWILIO_BAD_URL);
	for (int verdict = MB_TWILIO_VALID; verdict <= MB_TWILIO_FAILURE; verdict++)
		check(strcmp(mb_twilio_verdict_message((mb_twilio_verdict) verdict), "unknown verdict") !=
			  0);
}

/* Many parameters of one name and of many, in any order, sign the same. */
static void
random_forms_sign_the_same_in_any_order(void)
{
	check_random random = { 11 };

	for (int round = 0; round < 500; round++)
	{
		mb_form_field fields[MAX_FIELDS];
		char storage[MAX_FIELDS][2][4];
		size_t n = check_random_below(&random, MAX_FIELDS + 1);
		char first[MB_TWILIO_SIGNATURE_LENGTH + 1];
		char second[MB_TWILIO_SIGNATURE_LENGTH + 1];

		for (size_t i = 0; i < n; i++)
		{
			fields[i] = (mb_form_field){ storage[i][0], check_random_below(&random, 4),
										 storage[i][1], check_random_below(&random, 4) };
			for (int j = 0; j < 4; j++)
			{
				storage[i][0][j] = (char) ('a' + check_random_below(&random, 2));
				storage[i][1][j] = (char) check_random_below(&random, 256);
			}
		}
		check_int(mb_twilio_sign(TOKEN, 5, U, strlen(U), fields, n, first), MB_OK);
		for (size_t i = n; i > 1; i--)
		{
			size_t j = check_random_below(&random, i);
			mb_form_field field = fields[i - 1];

			fields[i - 1] = fields[j];
			fields[j] = field;
		}
		check_int(mb_twilio_sign(TOKEN, 5, U, strlen(U), fields, n, second), MB_OK);
		check_string(second, first);
	}
}

/* --- forms -------------------------------------------------------------- */

static void
forms_are_decoded(void)
{
	static const struct
	{
		const char *text;
		size_t n;
		const char *last_name;
		const char *last_value;
	} cases[] = {
		{ "a=1", 1, "a", "1" },
		{ "a=1&b=2", 2, "b", "2" },
		{ "a", 1, "a", "" },
		{ "a=", 1, "a", "" },
		{ "=1", 1, "", "1" },
		{ "=", 1, "", "" },
		{ "a=b=c", 1, "a", "b=c" },
		{ "&&a=1&&", 1, "a", "1" },
		{ "a+b=c+d", 1, "a b", "c d" },
		{ "%41%3d=%2B%26", 1, "A=", "+&" },
		{ "a=%", 1, "a", "%" },
		{ "a=%4", 1, "a", "%4" },
		{ "a=%zz%4g%%41", 1, "a", "%zz%4g%A" },
		{ "a=1&a=2&a=1", 3, "a", "1" },
	};
	form f;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const mb_form_field *last;

		read_form(cases[i].text, &f);
		check_int(f.n, cases[i].n);
		if (f.n == 0)
			continue;
		last = &f.fields[f.n - 1];
		check(mb_form_field_is(last, cases[i].last_name));
		check_int(last->value_length, strlen(cases[i].last_value));
		check_bytes(last->value, cases[i].last_value, last->value_length);
	}
	read_form("", &f);
	check_int(f.n, 0);
	check_int(mb_form_parse("a&b&c", 5, f.storage, f.fields, 2, &f.n), MB_ERR_SPACE);
	check_int(f.n, 2);
	read_form("a=%00b", &f);
	check_int(f.fields[0].value_length, 2);
	check_bytes(f.fields[0].value, "\0b", 2);
}

int
main(void)
{
	check_run("signatures are those published", signatures_are_those_published);
	check_run("published signatures are valid", published_signatures_are_valid);
	check_run("ports are forgiven", ports_are_forgiven);
	check_run("characters are forgiven as in the library",
			  characters_are_forgiven_as_in_the_library);
	check_run("order and repetition of parameters do not matter",
			  order_and_repetition_of_parameters_do_not_matter);
	check_run("what was not signed is refused", what_was_not_signed_is_refused);
	check_run("an empty token proves nothing", an_empty_token_proves_nothing);
	check_run("bodies need URL and hash to be right", bodies_need_url_and_hash_to_be_right);
	check_run("the hash is read strictly", the_hash_is_read_strictly);
	check_run("WebSockets are signed with their own scheme",
			  websockets_are_signed_with_their_own_scheme);
	check_run("malformed URLs are refused", malformed_urls_are_refused);
	check_run("random forms sign the same in any order", random_forms_sign_the_same_in_any_order);
	check_run("forms are decoded", forms_are_decoded);
	return check_done();
}
