CREATE TABLE agents (
    tenant           uuid NOT NULL REFERENCES tenants (id),
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    name             text COLLATE "C" NOT NULL CHECK (name <> '' AND length(name) <= 100),
    phone            text COLLATE "C" CHECK (mulberry_internal.phone_valid(phone)),
    allowed_callers  text[] COLLATE "C" NOT NULL DEFAULT '{}',
    seen_at          timestamptz,
    online_until     timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue_changes    bigint NOT NULL DEFAULT 0,
    mandates_version bigint NOT NULL DEFAULT 0 CHECK (mandates_version >= 0),
    forged_acks      integer NOT NULL DEFAULT 0,
    forged_since     timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
);
COMMENT ON TABLE agents IS 'edge agents of a tenant; on the edge itself the one row that stands for it';
COMMENT ON COLUMN agents.id IS 'the edge in the signed frames: the same in the cloud and on the edge';
COMMENT ON COLUMN agents.phone IS 'number that commands are phoned to, E.164; null: it cannot be phoned';
COMMENT ON COLUMN agents.allowed_callers IS 'numbers from which the receiving side takes calls; empty: any. A filter, never a proof';
COMMENT ON COLUMN agents.seen_at IS 'last heartbeat on the online path';
COMMENT ON COLUMN agents.queue_changes IS 'grows whenever the lock of its commands is taken';
COMMENT ON COLUMN agents.online_until IS 'until when the online path is tried before the telephone; null: never seen';
COMMENT ON COLUMN agents.mandates_version IS 'counts the changes of its mandates, under the lock of this row';
COMMENT ON COLUMN agents.forged_acks IS 'forged acknowledgements on the online path in the hour that began at forged_since';
SELECT pg_catalog.pg_extension_config_dump('agents', '');

-- Mandates: what an agent may spend.  A trigger in C guards status and fixed columns, whoever
-- writes; it numbers each change in the mandate (version) and in its agent (agent_version).
-- Lock order: the agent's row, then the mandate's.

CREATE TABLE mandates (
    tenant        uuid NOT NULL REFERENCES tenants (id),
    id            text COLLATE "C" NOT NULL CHECK (id ~ '^[0-9]{8}$' AND id <> '00000000'),
    agent         uuid NOT NULL,
    sponsor       text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL DEFAULT 'ACTIVE'
                  CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REVOKED', 'EXPIRED')),
    max_amount    numeric(20, 4) NOT NULL CHECK (max_amount > 0 AND max_amount <> 'NaN'),
    spent         numeric(20, 4) NOT NULL DEFAULT 0 CHECK (spent >= 0 AND spent <= max_amount),
    currency      text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    expires_at    timestamptz NOT NULL CHECK (isfinite(expires_at)),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    agent_version bigint NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id)
) WITH (fillfactor = 70);
-- mandates.c reads columns by position: add new ones at the end
CREATE INDEX mandates_agent ON mandates (tenant, agent, agent_version);
CREATE INDEX mandates_active ON mandates (tenant, expires_at) WHERE status = 'ACTIVE';
COMMENT ON TABLE mandates IS 'permissions to spend, in the cloud (the registry) and on the edge that they are for';
COMMENT ON COLUMN mandates.id IS 'eight digits; 00000000 is the one that PING carries';
COMMENT ON COLUMN mandates.sponsor IS 'whose money it is';
COMMENT ON COLUMN mandates.status IS 'an ACTIVE mandate past expires_at becomes EXPIRED when somebody looks';
COMMENT ON COLUMN mandates.currency IS 'ISO 4217';
COMMENT ON COLUMN mandates.version IS 'grows with each change but spending';
COMMENT ON COLUMN mandates.agent_version IS 'mandates_version that its agent got by the last change but spending';
SELECT pg_catalog.pg_extension_config_dump('mandates', '');

CREATE TABLE mandate_versions (
    tenant      uuid NOT NULL REFERENCES tenants (id),
    mandate     text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    role        name NOT NULL,
    from_status text COLLATE "C",
    status      text COLLATE "C" NOT NULL,
    max_amount  numeric(20, 4) NOT NULL,
    expires_at  timestamptz NOT NULL,
    sponsor     text COLLATE "C" NOT NULL,
    cause       text COLLATE "C",
    command     bigint,
    PRIMARY KEY (tenant, mandate, version)
);
COMMENT ON TABLE mandate_versions IS 'what each mandate was after each of its changes but spending';
COMMENT ON COLUMN mandate_versions.role IS 'the database role that changed it';
COMMENT ON COLUMN mandate_versions.from_status IS 'null: the mandate was made';
COMMENT ON COLUMN mandate_versions.cause IS 'why it changed';
COMMENT ON COLUMN mandate_versions.command IS 'commands.id, when a command changed it';
SELECT pg_catalog.pg_extension_config_dump('mandate_versions', '');

CREATE TABLE spendings (
    tenant    uuid NOT NULL REFERENCES tenants (id),
    mandate   text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL CHECK (reference <> '' AND length(reference) <= 200),
    amount    numeric(20, 4) NOT NULL CHECK (amount > 0 AND amount <> 'NaN'),
    remaining numeric(20, 4) NOT NULL CHECK (remaining >= 0),
    role      name NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, mandate, reference),
    FOREIGN KEY (tenant, mandate) REFERENCES mandates (tenant, id)
);
COMMENT ON TABLE spendings IS 'what spend() has accepted, once for each reference';
COMMENT ON COLUMN spendings.reference IS 'the payment''s own name; the same one again is the same payment';
COMMENT ON COLUMN spendings.remaining IS 'of the mandate, after it';
SELECT pg_catalog.pg_extension_config_dump('spendings', '');

-- The latest time that this database has known.  A mandate's time does not come back when the clock of its server is set back.

CREATE TABLE mandate_clock (
    at timestamptz PRIMARY KEY CHECK (isfinite(at))
);
COMMENT ON TABLE mandate_clock IS
    'the latest time that this database has known, to the minute: what mandates expire by while the clock of the server is behind it';
COMMENT ON COLUMN mandate_clock.at IS 'the greatest counts: a restored dump brings a row of its own';
SELECT pg_catalog.pg_extension_config_dump('mandate_clock', '');
