-- name: all
SELECT
    g.company_id,
    (SELECT c.name FROM public."Company" AS c WHERE c.id = g.company_id) AS company,
    g.account_name, g.assigned_by, g.assigned_at
FROM batch_assets.company_account AS g
ORDER BY g.account_name, g.company_id

-- name: of_company
SELECT
    -- here: account_of_company
    AS account_name
FROM (SELECT CAST(:company_id AS text) AS company_id) AS c

-- name: assign
INSERT INTO batch_assets.company_account AS g (company_id, account_name, assigned_by)
VALUES (:company_id, :account_name, :assigned_by)
ON CONFLICT (company_id) DO UPDATE
SET account_name = excluded.account_name,
    assigned_by = excluded.assigned_by,
    assigned_at = clock_timestamp()

-- name: unassign
DELETE FROM batch_assets.company_account AS g WHERE g.company_id = :company_id

-- name: of_batch
SELECT b.account_name
FROM batch_assets.batch AS b
WHERE b.id = :batch_id OR b.openai_batch_id = :batch_id

-- name: standing
-- Of each account that anything is of: how many companies were given to it, and what only its key can end:
-- batches under way, files that are still to be deleted, and batches that run on though they were given up.
SELECT n.account_name, n.companies, n.batches
FROM (
    SELECT
        account_name,
        coalesce(g.companies, 0) AS companies,
        coalesce(b.batches, 0) AS batches
    FROM (
        SELECT g.account_name, count(*) AS companies
        FROM batch_assets.company_account AS g
        GROUP BY g.account_name
    ) AS g
    FULL JOIN (
        SELECT o.account_name, count(*) AS batches
        FROM (
            SELECT b.account_name, b.id
            FROM batch_assets.batch AS b
            WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
            UNION
            SELECT b.account_name, b.id
            FROM batch_assets.batch AS b
            WHERE b.state IN ('finalized', 'released')
                AND b.installation_id IS NOT NULL
                AND b.input_file_id IS NOT NULL
                AND b.files_deleted_at IS NULL
            UNION
            SELECT b.account_name, b.id
            FROM batch_assets.abandoned_batch AS g
            JOIN batch_assets.batch AS b ON b.id = g.batch_id
            WHERE g.poll_at IS NOT NULL
        ) AS o
        GROUP BY o.account_name
    ) AS b USING (account_name)
) AS n
ORDER BY n.account_name
