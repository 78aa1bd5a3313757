-- What holds for every object of the extension, whoever adds it.  Each query
-- lists the objects that break a rule, so each must return nothing.

-- Everything below looks at the members of the extension.
CREATE TEMP VIEW members AS
    SELECT d.classid, d.objid
      FROM pg_depend d
      JOIN pg_extension e ON e.oid = d.refobjid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'mulberry';

-- (and there are some to look at)
SELECT count(*) > 20 AS many FROM members WHERE classid = 'pg_proc'::regclass;

-- All of them are in the two schemas.
SELECT pg_describe_object(classid, objid, 0) AS outside_the_schemas
  FROM members m
 WHERE NOT EXISTS (SELECT FROM pg_identify_object(m.classid, m.objid, 0) o
                    WHERE o.schema IN ('mulberry', 'mulberry_internal')
                       OR (o.schema IS NULL AND o.identity ~ '\mmulberry(_internal)?\M'))
 ORDER BY 1;

-- Nothing is for PUBLIC.
SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0) AS function_for_public
  FROM pg_proc p
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
 ORDER BY 1;
SELECT pg_describe_object('pg_class'::regclass, c.oid, 0) AS relation_for_public
  FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)
 ORDER BY 1;
SELECT pg_describe_object('pg_type'::regclass, t.oid, 0) AS type_for_public
  FROM pg_type t
 WHERE t.typnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
   AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
   AND EXISTS (SELECT FROM aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a WHERE a.grantee = 0)
 ORDER BY 1;
SELECT n.nspname AS schema_for_public
  FROM pg_namespace n
 WHERE n.nspname IN ('mulberry', 'mulberry_internal') AND EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.grantee = 0);

-- Functions that run with the owner's rights look only where the owner alone can put something.
SELECT p.oid::regprocedure AS security_definer_without_search_path
  FROM pg_proc p
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND (p.prosecdef OR p.prolang = (SELECT l.oid FROM pg_language l WHERE l.lanname = 'mulberry'))
   AND NOT coalesce('search_path=pg_catalog, mulberry, mulberry_internal, pg_temp' = ANY (p.proconfig), false)
 ORDER BY 1;

-- Internal functions that can be reached by another way than through one that pins the path pin it
-- themselves.  (The others do without: it costs more than most of their bodies.  make lint looks at what C calls.)
SELECT p.oid::regprocedure AS reachable_without_search_path
  FROM pg_proc p
  JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
 WHERE p.pronamespace = 'mulberry_internal'::regnamespace AND p.prosqlbody IS NULL
   AND NOT coalesce('search_path=pg_catalog, mulberry, mulberry_internal, pg_temp' = ANY (p.proconfig), false)
   AND (EXISTS (SELECT FROM mulberry.access_objects() o WHERE o.object ~ format('[.]%s[(]', p.proname))
        OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid)
        OR EXISTS (SELECT FROM pg_depend d
                    WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
                      AND d.classid IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_index'::regclass)))
 ORDER BY 1;

-- What C calls mulberry_x() is x() in SQL; mulberry_x_sql() is it where C has a function x of its own.
SELECT p.oid::regprocedure AS called_otherwise_in_c, p.prosrc
  FROM pg_proc p
  JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND p.prosrc NOT IN ('mulberry_' || p.proname, 'mulberry_' || p.proname || '_sql')
 ORDER BY 1;

-- A name means a variable or a column, never both: nothing decides between them. (plpgsql_check, in make lint, finds what is ambiguous.)
SELECT p.oid::regprocedure AS decides_between_variables_and_columns
  FROM pg_proc p
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND (p.prosrc ~ '#\s*variable_conflict' OR p.proconfig::text ~ 'variable_conflict')
 ORDER BY 1;

-- What a letter, a digit or a space is, and what sorts where, does not depend on the language of the database: texts
-- of tables have the collation "C", and what is in the language mulberry has it whatever its arguments have
-- (callers.c).  The rest says so where it matters.  (Ranges such as [a-z] go by the code in every language.)
SELECT format('%s.%s', a.attrelid::regclass, a.attname) AS of_the_databases_language
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind IN ('r', 'p')
   AND a.attcollation NOT IN (0, (SELECT l.oid FROM pg_collation l WHERE l.collname = 'C' AND l.collnamespace = 'pg_catalog'::regnamespace))
 ORDER BY 1;
SELECT p.oid::regprocedure AS spells_by_the_databases_language, trim(line) AS line
  FROM pg_proc p
  JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
 CROSS JOIN string_to_table(p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), ''), E'\n') AS line
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND line ~* '\m(lower|upper|initcap)\(|~\*|\milike\M|\msimilar to\M|\[\[:|\\[dws]'
   AND line !~ 'COLLATE "C"'
 ORDER BY 1, 2;
SELECT c.oid::regclass AS view_by_the_databases_language, trim(line) AS line
  FROM pg_class c
 CROSS JOIN string_to_table(pg_get_viewdef(c.oid), E'\n') AS line
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind = 'v'
   AND line ~* '\m(lower|upper|initcap)\(|~\*|\milike\M|\msimilar to\M|\[\[:|\\[dws]'
   AND line !~ 'COLLATE "C"'
 ORDER BY 1, 2;

-- Somebody has thought of what becomes of each time when the clock is set back.
SELECT format('%s.%s', c.relname, a.attname) AS time_without_meaning
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'mulberry_internal'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND a.attnum > 0 AND a.atttypid IN ('timestamptz'::regtype, 'timestamptz[]'::regtype, 'timestamp'::regtype)
   AND NOT EXISTS (SELECT FROM mulberry_internal.time_columns() t WHERE t.relation = c.relname AND t.name = a.attname)
 ORDER BY 1;
SELECT t.relation, t.name AS meaning_without_time
  FROM mulberry_internal.time_columns() t
 WHERE NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = to_regclass('mulberry_internal.' || t.relation) AND a.attname = t.name)
    OR (t.meaning = 'record') <> (t.remark IS NOT NULL)
 ORDER BY 1, 2;
SELECT t.relation, t.name AS twice FROM mulberry_internal.time_columns() t GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2;

-- A frame is taken apart once on its way: where it enters, and what follows gets the fields.
SELECT p.oid::regprocedure AS takes_frames_apart_again
  FROM pg_proc p
  JOIN pg_language l ON l.oid = p.prolang AND l.lanname <> 'c'
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND (p.prosrc ~ '(command|ack)_frame_parse\(' OR regexp_count(p.prosrc, 'take_(frame|ack)\(') > 1
        OR p.prosrc ~ 'take_(frame|ack)\('
           AND p.proname NOT IN ('handle_command_symbols', 'handle_call_audio', 'apply_agent_sync', 'settle_ack'))
 ORDER BY 1;

-- A parallel worker does not know what narrows the rights of the session.
SELECT p.oid::regprocedure AS asks_for_access_in_parallel_workers
  FROM pg_proc p
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND p.proparallel = 's'
   AND p.prosrc ~ '(current_tenants|has_access|require_access|resolve_tenant|held_access|outer_role)'
 ORDER BY 1;

-- Views let no function of the user see rows before they are filtered, and they filter.
SELECT c.oid::regclass AS view_without_security_barrier
  FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind = 'v'
   AND NOT coalesce('security_barrier=true' = ANY (c.reloptions) OR 'security_barrier=on' = ANY (c.reloptions), false)
   -- what is in views of ours only, and given to nobody
   AND (c.relnamespace = 'mulberry'::regnamespace
        OR EXISTS (SELECT FROM mulberry.access_objects() o WHERE o.object = format('mulberry_internal.%I', c.relname)))
 ORDER BY 1;
SELECT c.oid::regclass AS view_without_current_tenants
  FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind = 'v'
   AND pg_get_viewdef(c.oid) !~ 'mulberry\.current_tenants\('
   AND c.oid NOT IN ('mulberry.secret_entry'::regclass, 'mulberry.voice_key_entry'::regclass)     -- always empty
   AND EXISTS (SELECT FROM mulberry.access_objects() o WHERE o.object = format('mulberry.%I', c.relname))
 ORDER BY 1;

-- Every table has row level security; without policies nobody but the owner sees a row.
SELECT c.oid::regclass AS table_without_row_security
  FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
 ORDER BY 1;
SELECT p.polrelid::regclass AS table_with_policy, p.polname
  FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
 ORDER BY 1, 2;

-- Dumps bring every table and sequence; partitions are no members, or dumps would not.
SELECT c.oid::regclass AS not_in_dumps
  FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'S') AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'mulberry' AND c.oid = ANY (e.extconfig))
 ORDER BY 1;
SELECT c.oid::regclass AS partition_as_member
  FROM pg_class c
  JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
 WHERE c.relispartition
 ORDER BY 1;

-- Every object says what it is for.
SELECT pg_describe_object(m.classid, m.objid, 0) AS without_comment
  FROM members m
 WHERE obj_description(m.objid, m.classid::regclass::name) IS NULL
   -- types of tables and arrays are described by their tables and elements
   AND NOT EXISTS (SELECT FROM pg_type t
                    WHERE m.classid = 'pg_type'::regclass AND t.oid = m.objid
                      AND (t.typrelid <> 0 AND (SELECT c.relkind <> 'c' FROM pg_class c WHERE c.oid = t.typrelid)
                           OR t.typcategory = 'A'))
   -- a composite type's comment is on the type
   AND NOT EXISTS (SELECT FROM pg_class c WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind = 'c')
   -- the sequence of an identity column is described by its column's table
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE m.classid = 'pg_class'::regclass AND d.classid = m.classid AND d.objid = m.objid
                      AND d.deptype = 'i' AND d.refclassid = 'pg_class'::regclass)
 ORDER BY 1;

-- (in ASCII, because the script must load into a database of any encoding)
SELECT pg_describe_object(d.classoid, d.objoid, d.objsubid) AS not_ascii
  FROM pg_description d
  JOIN members m ON m.classid = d.classoid AND m.objid = d.objoid
 WHERE d.description ~ '[^\x01-\x7f]'
 ORDER BY 1;

SELECT p.oid::regprocedure AS source_not_ascii
  FROM pg_proc p
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND p.prosrc ~ '[^\x01-\x7f]'
 ORDER BY 1;

-- What access_rules() names exists, has known accesses, and is named once.
SELECT r.object, r.privilege AS rule_without_object
  FROM mulberry_internal.access_rules() r
 WHERE NOT EXISTS (SELECT FROM mulberry.access_objects() o
                    WHERE o.privilege = r.privilege
                      AND (o.object ~ format('^(FUNCTION|PROCEDURE) mulberry(_internal)?[.]%s[(]', r.object)
                           OR o.object = 'mulberry.' || r.object))
 ORDER BY 1, 2;
SELECT r.object, a AS unknown_access
  FROM mulberry_internal.access_rules() r, string_to_table(r.accesses, ' ') a
 WHERE a <> ALL (mulberry_internal.access_names())
 ORDER BY 1, 2;
SELECT r.object, r.privilege AS named_twice
  FROM mulberry_internal.access_rules() r
 GROUP BY 1, 2 HAVING count(*) > 1
 ORDER BY 1, 2;

-- What is internal is for workers alone, by the rules and in fact.
SELECT o.object AS internal_for_users, o.access
  FROM mulberry.access_objects() o
 WHERE o.object ~ '\mmulberry_internal\M' AND o.access <> 'worker'
 ORDER BY 1, 2;
SELECT pg_describe_object(i.classid, i.objid, 0) AS internal_granted_to, a.grantee::regrole
  FROM (SELECT 'pg_proc'::regclass AS classid, oid AS objid, proacl AS acl FROM pg_proc WHERE pronamespace = 'mulberry_internal'::regnamespace
        UNION ALL SELECT 'pg_class'::regclass, oid, relacl FROM pg_class WHERE relnamespace = 'mulberry_internal'::regnamespace
        UNION ALL SELECT 'pg_type'::regclass, oid, typacl FROM pg_type WHERE typnamespace = 'mulberry_internal'::regnamespace
        UNION ALL SELECT 'pg_namespace'::regclass, oid, nspacl FROM pg_namespace WHERE nspname = 'mulberry_internal') i
 CROSS JOIN aclexplode(i.acl) a
 WHERE a.grantee <> (SELECT extowner FROM pg_extension WHERE extname = 'mulberry')
   AND NOT EXISTS (SELECT FROM mulberry_internal.members m WHERE m.role = a.grantee AND m.access = 'worker')
 ORDER BY 1, 2;
-- Tables are all internal, and the schema that users see has what the reference has.
SELECT c.oid::regclass AS table_among_what_users_see
  FROM pg_class c
 WHERE c.relnamespace = 'mulberry'::regnamespace AND c.relkind IN ('r', 'p', 'S')
 ORDER BY 1;
SELECT p.oid::regprocedure AS for_nobody_that_users_see
  FROM pg_proc p
 WHERE p.pronamespace = 'mulberry'::regnamespace
   AND NOT EXISTS (SELECT FROM mulberry_internal.access_rules() r WHERE r.object = p.proname)
 ORDER BY 1;

-- Nobody gets rights on a table.
SELECT o.object AS rights_on_a_table, o.privilege
  FROM mulberry.access_objects() o
  JOIN pg_class c ON o.object = format('%I.%I', c.relnamespace::regnamespace::text, c.relname)
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind <> 'v'
 ORDER BY 1, 2;

-- Every access of a tenant gets by with what its own tenant's rights allow:
-- functions with the owner's rights that a user may call ask who that is.
SELECT p.oid::regprocedure AS never_asks_who_calls
  FROM pg_proc p
 WHERE p.pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND (p.prosecdef OR p.prolang = (SELECT l.oid FROM pg_language l WHERE l.lanname = 'mulberry'))
   AND p.prosrc !~ '(current_tenants|has_access|require_access|resolve_tenant)'
   AND p.proname <> ALL ('{access_objects,health,unsubscribe}')     -- show nothing of a tenant, touch the session only
   AND EXISTS (SELECT FROM mulberry.access_objects() o
                WHERE o.object ~ format('[.]%s[(]', p.proname) AND o.access NOT IN ('worker'))
 ORDER BY 1;
