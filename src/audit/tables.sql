-- The audit log: append-only, chained by hashes per tenant.  Rows are linked in the order of
-- their ids by one writer after commit, so that commands do not queue on the head of the chain.
-- core/audit_record.h says what is hashed.

CREATE SEQUENCE audit_id;
COMMENT ON SEQUENCE audit_id IS 'audit.id';
SELECT pg_catalog.pg_extension_config_dump('audit_id', '');

CREATE TABLE audit (
    id       bigint PRIMARY KEY DEFAULT nextval('audit_id'),
    tenant   uuid NOT NULL REFERENCES tenants (id),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    role     name NOT NULL,
    action   text COLLATE "C" NOT NULL,
    outcome  text COLLATE "C" NOT NULL,
    method   text COLLATE "C",
    mandate  text COLLATE "C",
    agent    uuid,
    command  bigint,
    evidence jsonb,
    seq      bigint,
    hash     bytea,
    UNIQUE (tenant, seq),
    CHECK ((seq IS NULL) = (hash IS NULL))
);
-- audit.c reads columns by position
CREATE INDEX audit_unlinked ON audit (id) WHERE seq IS NULL;
CREATE INDEX audit_mandate ON audit (tenant, mandate, id);
COMMENT ON TABLE audit IS 'who did what, when, with which outcome, by which way, and on which evidence; rows never change';
COMMENT ON COLUMN audit.role IS 'the database role that asked';
COMMENT ON COLUMN audit.seq IS 'number in the tenant''s chain, from 1 without gaps; null until it is linked';
COMMENT ON COLUMN audit.hash IS 'SHA-256 of the row and the hash before it';
SELECT pg_catalog.pg_extension_config_dump('audit', '');

CREATE TABLE audit_heads (
    tenant    uuid PRIMARY KEY REFERENCES tenants (id),
    last_seq  bigint NOT NULL CHECK (last_seq > 0),
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    linked_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON TABLE audit_heads IS 'the last row of each tenant''s audit log, so that one that is cut off is missed';
SELECT pg_catalog.pg_extension_config_dump('audit_heads', '');
