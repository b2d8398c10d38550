-- name: state
-- Whether the index is there and in force (no row: it is not there).
SELECT i.indisvalid AND i.indisready AND i.indislive AS valid
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
WHERE n.nspname = 'public' AND c.relname = :name;

-- name: note
-- Before the index is made, so that it is known as ours even if we die right after.
UPDATE batch_assets.provenance
SET indexes_made_here = array_append(indexes_made_here, :name)
WHERE NOT :name = ANY (indexes_made_here);

-- name: forget
UPDATE batch_assets.provenance
SET indexes_made_here = array_remove(indexes_made_here, :name);
