# What the catalogs of a database say about the extension, as text: for tests that compare an
# update, a restore or an upgrade with what it must be the same as.
package Mulberry::Catalog;

use strict;
use warnings;

use Exporter 'import';
our @EXPORT = qw(catalog_of differences);

# Every member, function, column, constraint, index, trigger and table to be dumped, with rights and
# comments; a line each. Partitions are data.
sub catalog_of
{
    my ($node, $database) = @_;
    return $node->safe_psql($database, <<'SQL');
WITH ours AS (
    SELECT unnest('{mulberry,mulberry_internal}'::regnamespace[]) AS schema
), rights AS (
    -- no acl at all is the default one
    SELECT 'pg_proc'::regclass AS class, oid AS object, coalesce(proacl, acldefault('f', proowner)) AS acl FROM pg_proc
    UNION ALL SELECT 'pg_class'::regclass, oid, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)) FROM pg_class
    UNION ALL SELECT 'pg_type'::regclass, oid, coalesce(typacl, acldefault('T', typowner)) FROM pg_type
    UNION ALL SELECT 'pg_namespace'::regclass, oid, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
    UNION ALL SELECT 'pg_language'::regclass, oid, coalesce(lanacl, acldefault('l', lanowner)) FROM pg_language
)
SELECT line COLLATE "C" FROM (
    SELECT concat_ws(' | ', 'member', pg_describe_object(d.classid, d.objid, 0), obj_description(d.objid, d.classid::regclass::name),
                     (SELECT string_agg(format('%s=%s', a.grantee::regrole, a.privilege_type), ',' ORDER BY a.grantee::regrole::text, a.privilege_type)
                        FROM rights r, aclexplode(r.acl) a WHERE r.class = d.classid AND r.object = d.objid))
      FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
     WHERE e.extname = 'mulberry'
       -- types of rows and arrays are members of their own since 17
       AND NOT (d.classid = 'pg_type'::regclass
                AND EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
                             WHERE t.oid = d.objid AND (t.typcategory = 'A' OR c.relkind <> 'c')))
    UNION ALL
    SELECT concat_ws(' | ', 'function', p.oid::regprocedure, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid), p.prokind, p.prosecdef, p.provolatile,
                     p.proparallel, p.proisstrict, p.proconfig::text, md5(p.prosrc), p.probin)
      FROM pg_proc p JOIN ours ON p.pronamespace = ours.schema
    UNION ALL
    SELECT concat_ws(' | ', 'body', p.oid::regprocedure, translate(pg_get_function_sqlbody(p.oid), E'\n', ' '))
      FROM pg_proc p JOIN ours ON p.pronamespace = ours.schema WHERE p.prosqlbody IS NOT NULL
    UNION ALL
    SELECT concat_ws(' | ', 'relation', c.oid::regclass, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions::text, c.relreplident,
                     CASE WHEN c.relkind = 'v' THEN translate(pg_get_viewdef(c.oid), E'\n', ' ') END)
      FROM pg_class c JOIN ours ON c.relnamespace = ours.schema WHERE NOT c.relispartition AND c.relkind NOT IN ('i', 'I')
    UNION ALL
    SELECT concat_ws(' | ', 'column', c.oid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage,
                     pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
      FROM pg_class c JOIN ours ON c.relnamespace = ours.schema
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE NOT c.relispartition AND c.relkind NOT IN ('i', 'I')
    UNION ALL
    SELECT concat_ws(' | ', 'constraint', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
      FROM pg_constraint k JOIN ours ON k.connamespace = ours.schema
     WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = k.conrelid AND c.relispartition)
    UNION ALL
    SELECT concat_ws(' | ', 'index', pg_get_indexdef(i.indexrelid))
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid AND NOT c.relispartition JOIN ours ON c.relnamespace = ours.schema
    UNION ALL
    SELECT concat_ws(' | ', 'trigger', t.tgenabled, pg_get_triggerdef(t.oid))
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid AND NOT c.relispartition JOIN ours ON c.relnamespace = ours.schema WHERE NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(' | ', 'dumped', r.oid::regclass, x.condition)
      FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS x (relation, condition) JOIN pg_class r ON r.oid = x.relation
     WHERE e.extname = 'mulberry'
) AS lines (line) ORDER BY 1
SQL
}

# Lines that are in one alone, with their signs.
sub differences
{
    my ($left, $right) = @_;
    my (%left, %right);
    $left{$_}++ for split /\n/, $left;
    $right{$_}++ for split /\n/, $right;
    return [ (map { "- $_" } grep { !$right{$_} } sort keys %left), (map { "+ $_" } grep { !$left{$_} } sort keys %right) ];
}

1;
