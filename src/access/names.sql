-- Functions of this section that ask who the user is are PARALLEL RESTRICTED:
-- what narrows a session's rights lives in the memory of its leader.

CREATE OR REPLACE FUNCTION access_names() RETURNS text[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_access_names';
COMMENT ON FUNCTION access_names() IS 'the accesses that grant_access() can give';

CREATE OR REPLACE FUNCTION access_includes(access text) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_access_includes';
COMMENT ON FUNCTION access_includes(text) IS 'the accesses that holding one access means, itself among them';
