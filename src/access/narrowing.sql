-- For whom a transaction of a gateway works.

CREATE OR REPLACE FUNCTION mulberry.authenticate(
    token text, OUT id uuid, OUT name text, OUT access text[], OUT tenant text, OUT expires_at timestamptz,
    OUT seconds_left double precision
)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_authenticate';
COMMENT ON FUNCTION mulberry.authenticate(text) IS
    'narrows the transaction, until its end, to the access and the tenant of a token, and says which those are (tenant null: all, '
    'expires_at null: never). Nothing takes it back: no savepoint, no role; a second call is an error (55000), and a token that is '
    'unknown or revoked (28P01) or has expired (28000) leaves nothing. Needs gateway access to the tenant';

CREATE OR REPLACE FUNCTION mulberry.authenticate_anonymous(access text, tenant text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_authenticate_anonymous';
COMMENT ON FUNCTION mulberry.authenticate_anonymous(text, text) IS
    'authenticate() for somebody who has no token: narrows the transaction to one access to one tenant, which the role itself must hold. '
    'Needs gateway access';

CREATE OR REPLACE FUNCTION mulberry.require_authentication() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_require_authentication';
COMMENT ON FUNCTION mulberry.require_authentication() IS
    'from now on, as long as the session lasts, its transactions hold nothing before they have called authenticate() or '
    'authenticate_anonymous(). Needs gateway access';
