-- A partition that an administrator has dropped by hand: the calls of its day are still there.
-- Retention used to count them as removed without removing them, again and again, and erase_call()
-- could not remove them at all.
SET search_path = mulberry, mulberry_internal;
BEGIN;
SELECT alter_tenant('default', retention => '1 year');
INSERT INTO calls (id, tenant, call_id, encoding, sample_rate, state, finished_at)
SELECT (date '2001-04-05' - date '1970-01-01')::bigint << 40 | n, t.id, 'lost' || n, 'text', 8000, 'ARCHIVED', now() - interval '2 years'
  FROM tenants t, generate_series(1, 3) n WHERE t.name = 'default';
SELECT erase_call('lost1');
SELECT action, object, calls FROM retention() WHERE action = 'erase calls';
SELECT action, object, calls FROM retention() WHERE action = 'erase calls';
SELECT count(*) AS left_over FROM calls WHERE call_id LIKE 'lost%';
ROLLBACK;
