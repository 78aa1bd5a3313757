CREATE OR REPLACE VIEW mulberry.telephony_status WITH (security_barrier) AS
    SELECT t.name AS tenant, v.version,
           v.version = (SELECT max(x.version) FROM mulberry_internal.telephony_versions x WHERE x.tenant = v.tenant) AS holds,
           v.settings, v.role, v.created_at
      FROM mulberry_internal.telephony_versions v
      JOIN mulberry_internal.tenants t ON t.id = v.tenant
     WHERE v.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.telephony_status IS
    'what callers of a tenant hear: the version of its telephony settings that holds, and earlier ones that calls ran under';

CREATE OR REPLACE VIEW mulberry.phone_number_status WITH (security_barrier) AS
    SELECT t.name AS tenant, n.number, n.created_at
      FROM mulberry_internal.phone_numbers n
      JOIN mulberry_internal.tenants t ON t.id = n.tenant
     WHERE n.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.phone_number_status IS 'the numbers that call a tenant';

CREATE OR REPLACE VIEW mulberry.inbound_call_status WITH (security_barrier) AS
    SELECT t.name AS tenant, i.sid AS call_sid, i.number AS to_number, i.caller AS from_number, i.state AS status,
           i.version AS settings_version, i.place->>'node' AS place, i.place->>'menu' AS menu, i.consent, i.recorded, i.recordings,
           i.transcript, i.created_at, i.ended_at
      FROM mulberry_internal.inbound_calls i
      JOIN mulberry_internal.tenants t ON t.id = i.tenant
     WHERE i.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.inbound_call_status IS
    'telephone calls that came in: where each stands; what was heard in it is the call of that name';
