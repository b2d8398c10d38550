-- Which rights a role lacks, and the statement that gives each. Everything is found by its number in
-- the catalog, since a name cannot be looked up in a schema without the right to use that. What is
-- not there is not missed here: migrations make it, or LiveDash does.

-- part: asked
WITH asked AS (
    SELECT r.oid, r.rolname, r.rolsuper OR r.rolbypassrls AS sees_all
    FROM pg_catalog.pg_roles AS r
    WHERE r.rolname = coalesce(CAST(:role AS name), current_user)
),

-- part: of_dagster
    SELECT 3 AS step, 'TABLE' AS kind, format('%I.%I', n.nspname, t.relname) AS place,
        w.word, has_table_privilege(a.oid, t.oid, w.word) AS is_held
    FROM asked AS a, pg_catalog.pg_class AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS w (word)
    WHERE n.nspname = 'dagster' AND t.relkind IN ('r', 'p')
        AND (t.relname <> 'alembic_version' OR w.word = 'SELECT')
    UNION ALL
    SELECT 4, 'SEQUENCE', format('%I.%I', n.nspname, s.relname),
        'USAGE', has_sequence_privilege(a.oid, s.oid, 'USAGE')
    FROM asked AS a, pg_catalog.pg_class AS s
    JOIN pg_catalog.pg_namespace AS n ON n.oid = s.relnamespace
    WHERE n.nspname = 'dagster' AND s.relkind = 'S'

-- part: said
lacking AS (
    SELECT l.step, l.kind, l.place, string_agg(l.word, ', ' ORDER BY l.word) AS words
    FROM looked AS l
    WHERE NOT l.is_held
    GROUP BY l.step, l.kind, l.place
)
SELECT
    l.words || ' on ' || CASE WHEN l.kind = 'TABLE' THEN '' ELSE lower(l.kind) || ' ' END || l.place
        AS said,
    format('GRANT %s ON %s %s TO %I', l.words, l.kind, l.place, a.rolname) AS given_by
FROM lacking AS l, asked AS a
ORDER BY l.step, l.place

-- name: missing
-- here: asked
needed AS (
    SELECT n.schema_name, n.table_name, n.column_name, n.word
    FROM unnest(
        CAST(:schemas AS text[]), CAST(:tables AS text[]), CAST(:columns AS text[]),
        CAST(:words AS text[])
    ) AS n (schema_name, table_name, column_name, word)
), looked AS (
    SELECT 0 AS step, 'DATABASE' AS kind, quote_ident(d.datname) AS place,
        'CONNECT' AS word, has_database_privilege(a.oid, d.oid, 'CONNECT') AS is_held
    FROM asked AS a, pg_catalog.pg_database AS d
    WHERE d.datname = current_database()
    UNION ALL
    SELECT 1, 'SCHEMA', quote_ident(s.nspname),
        'USAGE', has_schema_privilege(a.oid, s.oid, 'USAGE')
    FROM asked AS a, pg_catalog.pg_namespace AS s
    WHERE s.nspname = 'dagster' OR s.nspname IN (SELECT n.schema_name FROM needed AS n)
    UNION ALL
    SELECT 2, 'TABLE', format('%I.%I', n.schema_name, n.table_name),
        n.word || coalesce(' (' || quote_ident(c.attname) || ')', ''),
        CASE
            WHEN n.column_name IS NULL THEN has_table_privilege(a.oid, t.oid, n.word)
            ELSE has_column_privilege(a.oid, t.oid, c.attnum, n.word)
        END
    FROM asked AS a, needed AS n
    JOIN pg_catalog.pg_namespace AS s ON s.nspname = n.schema_name
    JOIN pg_catalog.pg_class AS t ON t.relnamespace = s.oid AND t.relname = n.table_name
    LEFT JOIN pg_catalog.pg_attribute AS c
        ON c.attrelid = t.oid AND c.attname = n.column_name AND NOT c.attisdropped
    WHERE n.column_name IS NULL OR c.attnum IS NOT NULL
    UNION ALL
    -- here: of_dagster
),
-- here: said

-- name: missing_of_dagster
-- here: asked
looked AS (
    -- here: of_dagster
),
-- here: said

-- name: hidden
-- Tables of which a policy would hide rows.
-- here: asked
needed AS (
    SELECT DISTINCT n.schema_name, n.table_name
    FROM unnest(CAST(:schemas AS text[]), CAST(:tables AS text[])) AS n (schema_name, table_name)
)
SELECT format('%I.%I', n.schema_name, n.table_name) AS place
FROM asked AS a, needed AS n
JOIN pg_catalog.pg_namespace AS s ON s.nspname = n.schema_name
JOIN pg_catalog.pg_class AS t ON t.relnamespace = s.oid AND t.relname = n.table_name
WHERE t.relrowsecurity
    AND NOT a.sees_all
    AND (t.relforcerowsecurity OR NOT pg_has_role(a.oid, t.relowner, 'USAGE'))
ORDER BY place

-- name: who
SELECT current_user::text AS role

-- name: is_role
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = :role)

-- name: later
-- What this user makes later in our schemas, and in Dagster's, is given to the role as it is made.
SELECT format(
    'ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT %s TO %I', s.nspname, w.words, CAST(:role AS name)
) AS given_by
FROM pg_catalog.pg_namespace AS s
JOIN (
    VALUES
    ('batch_assets', 'SELECT, INSERT, UPDATE, DELETE ON TABLES'),
    ('dagster', 'SELECT, INSERT, UPDATE, DELETE ON TABLES'),
    ('dagster', 'USAGE ON SEQUENCES')
) AS w (schema_name, words) ON w.schema_name = s.nspname
ORDER BY s.nspname, w.words

-- name: given_later
SELECT DISTINCT quote_ident(g.rolname) AS role
FROM pg_catalog.pg_default_acl AS d
JOIN pg_catalog.pg_namespace AS s ON s.oid = d.defaclnamespace
CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
JOIN pg_catalog.pg_roles AS g ON g.oid = x.grantee
WHERE s.nspname = 'dagster' AND x.grantee <> d.defaclrole
ORDER BY role

-- name: missing_to_migrate
-- What the current user lacks to make our tables, and LiveDash's indexes or tables.
SELECT l.said
FROM (
    SELECT 1 AS step, format('CREATE on database %I', current_database()) AS said
    WHERE NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT 2, format('CREATE on schema %I', s.nspname)
    FROM pg_catalog.pg_namespace AS s
    WHERE s.nspname IN ('public', 'batch_assets') AND NOT has_schema_privilege(s.oid, 'CREATE')
    UNION ALL
    SELECT 3, 'ownership of ' || string_agg(o.said, ' and of ' ORDER BY o.nspname)
    FROM (
        SELECT s.nspname, CASE
            WHEN count(*) = 1 THEN min(format('%I.%I', s.nspname, t.relname))
            ELSE format('the %s tables of %I', count(*), s.nspname)
        END AS said
        FROM pg_catalog.pg_class AS t
        JOIN pg_catalog.pg_namespace AS s ON s.oid = t.relnamespace
        WHERE t.relkind IN ('r', 'p')
            AND (
                s.nspname = 'batch_assets'
                OR (s.nspname = 'public' AND t.relname = 'AIProcessingRequest')
            )
            AND NOT pg_has_role(t.relowner, 'USAGE')
        GROUP BY s.nspname
    ) AS o
    HAVING count(*) > 0
) AS l
ORDER BY l.step, l.said
