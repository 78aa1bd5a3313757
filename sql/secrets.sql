-- Secrets go in, are sealed, and do not come out.
SET client_min_messages = warning;
CREATE ROLE regress_admin;
CREATE ROLE regress_north_admin;
CREATE ROLE regress_operator;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT mulberry.create_tenant('north') IS NOT NULL AS made;
SELECT mulberry.grant_access('regress_admin', 'admin', NULL);
SELECT mulberry.grant_access('regress_north_admin', 'admin', 'north');
SELECT mulberry.grant_access('regress_operator', 'operator', 'north');

-- Entering: the tenant may be left out, a name entered again is replaced.
SET ROLE regress_north_admin;
COPY mulberry.secret_entry (name, value) FROM stdin;
twilio.auth-token	first value
speech-key	another value
\.
COPY mulberry.secret_entry (tenant, name, value) FROM stdin WITH (FORMAT csv);
north,twilio.auth-token,"second value, with a comma"
\.
SELECT tenant, name, size, rotated_at IS NOT NULL AS replaced FROM mulberry.secret_names ORDER BY name;
SELECT * FROM mulberry_internal.secrets;
RESET ROLE;

-- Nothing readable is stored, and no two ciphertexts are alike.
SELECT count(*) AS stored,
       count(*) FILTER (WHERE position('value'::bytea IN ciphertext) > 0) AS readable,
       count(DISTINCT nonce) AS nonces, count(DISTINCT key_fingerprint) AS keys
  FROM mulberry_internal.secrets;
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;

-- Who may not enter them.
SET ROLE regress_operator;
COPY mulberry.secret_entry (name, value) FROM stdin;
x	y
\.
SELECT * FROM mulberry.secret_names;
SET ROLE regress_north_admin;
-- another's tenant looks like none
COPY mulberry.secret_entry (tenant, name, value) FROM stdin;
default	x	y
\.
COPY mulberry.secret_entry (tenant, name, value) FROM stdin;
west	x	y
\.
RESET ROLE;

-- Bad input, each with its SQLSTATE; nothing is stored.
\set VERBOSITY sqlstate
COPY mulberry.secret_entry (name, value) FROM stdin;
Bad Name	x
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
.x	x
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
empty	
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
none	\N
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
\N	x
\.
COPY mulberry.secret_entry (name) FROM stdin;
only-a-name
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
extra	x	y
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
missing
\.
COPY mulberry.secret_entry (name, value) FROM stdin WITH (FORMAT csv, HEADER match);
nam,value
\.
INSERT INTO mulberry.secret_entry (name, value) VALUES ('plain', 'x');
INSERT INTO mulberry.secret_entry SELECT NULL, 'plain', 'x'::mulberry.secret_value;
PREPARE enter(text, text) AS INSERT INTO mulberry.secret_entry (name, value) VALUES ($1, $2::mulberry.secret_value);
EXECUTE enter('plain', 'x');
DEALLOCATE enter;
BEGIN READ ONLY;
COPY mulberry.secret_entry (name, value) FROM stdin;
x	y
\.
ROLLBACK;
\set VERBOSITY terse
SELECT count(*) FROM mulberry_internal.secrets;

-- The messages do not quote what was entered.
\set SHOW_CONTEXT always
\set VERBOSITY default
COPY mulberry.secret_entry (name, value) FROM stdin;
extra	secret one	secret two
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
secret three
\.
COPY mulberry.secret_entry (name, value) FROM stdin;
Bad Name	secret four
\.
COPY mulberry.secret_entry (name, value) FROM stdin WITH (FORMAT csv, HEADER match);
name,secret five
\.
COPY mulberry.secret_entry (name, value) FROM stdin WITH (FORMAT csv);
name,"secret six
\.
COPY mulberry.secret_entry (name, value) FROM stdin WHERE name::integer > 0;
secret-seven	x
\.
INSERT INTO mulberry.secret_entry (name, value) VALUES ('plain', 'secret eight');
\set VERBOSITY terse
\set SHOW_CONTEXT never

-- The type shows nothing.
SELECT 'x'::mulberry.secret_value;
SELECT * FROM mulberry.secret_entry;

-- An altered row, or one moved to another name or tenant, does not open.
BEGIN;
UPDATE mulberry_internal.secrets SET ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1) WHERE name = 'speech-key';
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;
SELECT status FROM mulberry.health() WHERE item = 'secrets';
SELECT mulberry.rotate_secret_key();
ROLLBACK;
BEGIN;
UPDATE mulberry_internal.secrets SET name = 'elsewhere' WHERE name = 'speech-key';
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;
ROLLBACK;
BEGIN;
UPDATE mulberry_internal.secrets SET tenant = '6d756c62-6572-7279-8000-000000000001' WHERE name = 'speech-key';
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;
ROLLBACK;
BEGIN;
UPDATE mulberry_internal.secrets SET key_fingerprint = repeat('0', 32) WHERE name = 'speech-key';
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;
SELECT status, hint FROM mulberry.health() WHERE item = 'secrets';
ROLLBACK;

-- Rotation seals everything anew, for admins of all tenants.
SET ROLE regress_north_admin;
SELECT mulberry.rotate_secret_key();
SELECT mulberry.forget_secret_keys();
SET ROLE regress_admin;
CREATE TEMP TABLE before AS SELECT tenant, name, key_fingerprint FROM mulberry.secret_names;
SELECT mulberry.rotate_secret_key();
SELECT count(*) AS sealed_anew
  FROM mulberry.secret_names n JOIN before b USING (tenant, name) WHERE n.key_fingerprint <> b.key_fingerprint;
SELECT mulberry.forget_secret_keys();
RESET ROLE;
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;
-- one that rolls back leaves what was; old keys stay until they are forgotten
BEGIN;
SELECT mulberry.rotate_secret_key();
SELECT mulberry.forget_secret_keys();
ROLLBACK;
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;
SELECT mulberry.forget_secret_keys() > 0 AS some_forgotten;
SELECT mulberry.forget_secret_keys();
SELECT name, problem FROM mulberry_internal.check_secrets() ORDER BY name;

-- From a file of the server: only for who may read those.
SET ROLE regress_admin;
SELECT mulberry.load_secret('pg-version', 'PG_VERSION');
RESET ROLE;
GRANT pg_read_server_files TO regress_admin, regress_north_admin;
SET ROLE regress_north_admin;
SELECT mulberry.load_secret('pg-version', 'PG_VERSION');
SET ROLE regress_admin;
SELECT mulberry.load_secret('pg-version', 'PG_VERSION', 'north');
-- "15" without the newline
SELECT tenant, name, size FROM mulberry.secret_names WHERE name = 'pg-version';
SELECT mulberry.load_secret('x', 'base');
SELECT mulberry.load_secret('x', 'no such file');
SELECT mulberry.load_secret('x', NULL);
SELECT mulberry.load_secret('x', 'PG_VERSION', 'west');
RESET ROLE;

-- Dropping.
SET ROLE regress_operator;
SELECT mulberry.drop_secret('speech-key', 'north');
SET ROLE regress_north_admin;
SELECT mulberry.drop_secret('speech-key');
SELECT mulberry.drop_secret('speech-key');
RESET ROLE;
SELECT mulberry.drop_secret(name, tenant) FROM mulberry.secret_names;
SELECT count(*) FROM mulberry_internal.secrets;

SELECT mulberry.revoke_access('regress_admin', 'admin', NULL);
SELECT mulberry.drop_tenant('north');
DROP TABLE before;
DROP ROLE regress_admin, regress_north_admin, regress_operator;
