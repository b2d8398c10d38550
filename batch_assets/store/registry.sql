-- name: installation
-- Read at once: who we are, whether this is still that database, and what LiveDash does beside us.
SELECT
    i.id,
    i.confirmed_at IS NOT NULL AS is_confirmed,
    i.database_name,
    i.database_name = current_database()
        AND i.system_identifier = (
            SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c
        ) AS is_at_home,
    (
        SELECT count(*)
        FROM public."AIBatchRequest" AS l
        WHERE l."createdAt" > CURRENT_TIMESTAMP - make_interval(secs => :quiet_seconds)
            AND NOT EXISTS (
                SELECT
                FROM batch_assets.batch AS b
                WHERE b.id = l.id AND b.installation_id IS NOT NULL
            )
    ) AS foreign_batches
FROM batch_assets.installation AS i

-- name: confirm
UPDATE batch_assets.installation AS i
SET confirmed_at = clock_timestamp(), confirmed_by = :confirmed_by

-- name: settle_here
-- A copy is another installation: what the original has under way is no longer ours to touch.
UPDATE batch_assets.installation AS i
SET id = CASE WHEN :as_copy THEN gen_random_uuid()::text ELSE i.id END,
    system_identifier = (
        SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c
    ),
    database_name = current_database()

-- name: leave_unresolved_to_the_original
-- What the original has not submitted yet is the original's to submit: the copy's rows are its own
-- and wait again. What the original has submitted is read here as well, and never touched.
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET state = 'released',
        released_at = clock_timestamp(),
        files_deleted_at = clock_timestamp(),
        fence = b.fence + 1,
        lease_owner = NULL,
        lease_expires_at = NULL
    WHERE b.state IN ('claimed', 'uploaded')
    RETURNING b.id
), told AS (
    UPDATE public."AIBatchRequest" AS l
    SET status = 'CANCELLED', "completedAt" = CURRENT_TIMESTAMP
    FROM moved
    WHERE l.id = moved.id AND l.status IN ('PENDING', 'UPLOADING')
)
SELECT moved.id FROM moved

-- name: pause_model
INSERT INTO batch_assets.model_pause (model, until, reason)
VALUES (:model, clock_timestamp() + make_interval(secs => :seconds), :reason)
ON CONFLICT (model) DO UPDATE
SET until = greatest(model_pause.until, excluded.until), reason = excluded.reason
