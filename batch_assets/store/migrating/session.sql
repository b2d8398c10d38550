-- name: make
CREATE SCHEMA IF NOT EXISTS batch_assets;

-- name: has_more_than_version
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'batch_assets' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND c.relname <> 'alembic_version'
);

-- name: drop_version
DROP TABLE IF EXISTS batch_assets.alembic_version;

-- name: drop
DROP SCHEMA IF EXISTS batch_assets;
