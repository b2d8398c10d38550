-- name: definitions
-- The indexes that a table can do without while many rows are written: all but primary keys.
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_catalog.pg_index AS i
WHERE NOT i.indisprimary
    AND i.indrelid IN (
        'public."Session"'::regclass,
        'public."Message"'::regclass,
        'public."AIProcessingRequest"'::regclass,
        'batch_assets.attempt'::regclass
    )

-- name: without_checks
-- The rows refer to each other rightly by construction: foreign keys need no look-ups.
SET LOCAL session_replication_role = replica

-- name: with_memory
SET LOCAL maintenance_work_mem = '256MB'
