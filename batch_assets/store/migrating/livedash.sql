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
