-- name: lock
-- Nobody reads or writes from here on, so that "empty" stays true until the tables are gone.
LOCK TABLE
    public."Company",
    public."Session",
    public."Message",
    public."AIBatchRequest",
    public."AIProcessingRequest",
    public."AIModel",
    public."AIModelPricing",
    public."CompanyAIModel",
    public."SessionProcessingStatus",
    public."Question",
    public."SessionQuestion"
IN ACCESS EXCLUSIVE MODE;

-- name: has_rows
-- Every other table's rows belong to a row of one of these three.
SELECT
    EXISTS (SELECT FROM public."Company")
    OR EXISTS (SELECT FROM public."AIModel")
    OR EXISTS (SELECT FROM public."Question");

-- name: provenance
SELECT p.livedash_made_here, p.indexes_made_here
FROM batch_assets.provenance AS p;

-- name: note_made
INSERT INTO batch_assets.provenance (livedash_made_here, indexes_made_here)
VALUES (true, :indexes)
ON CONFLICT (only_row) DO UPDATE
SET
    livedash_made_here = excluded.livedash_made_here,
    indexes_made_here = excluded.indexes_made_here,
    noted_at = excluded.noted_at;

-- name: note_found
-- A row that is there stays: the tables that were found may be those that an upgrade before this
-- one made, and that a downgrade left because they held rows.
INSERT INTO batch_assets.provenance (livedash_made_here, indexes_made_here)
VALUES (false, '{}')
ON CONFLICT (only_row) DO NOTHING;

-- name: drop_provenance
DROP TABLE batch_assets.provenance;

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
