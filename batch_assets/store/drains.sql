-- name: begin
-- Under the lock of the claims: one that is under way ends first, and the next one sees this.
WITH alone AS MATERIALIZED (
    SELECT
        -- here: claim_lock
)
INSERT INTO batch_assets.drain (began_by)
SELECT :began_by
FROM alone
ON CONFLICT (only_row) DO NOTHING

-- name: lift
DELETE FROM batch_assets.drain

-- name: standing
-- What is ours and not at its end. LiveDash's own batches, and what was handed over to it, go on
-- without us; what an earlier installation has left half-made does not, whether it is watched or not.
SELECT
    (SELECT d.began_at FROM batch_assets.drain AS d) AS began_at,
    (SELECT d.began_by FROM batch_assets.drain AS d) AS began_by,
    count(*) FILTER (WHERE b.state IN ('claimed', 'uploaded')) AS unresolved,
    count(*) FILTER (WHERE b.state = 'submitted') AS running,
    count(*) FILTER (WHERE b.state = 'submitted' AND b.account_name = 'default') AS running_for_default,
    count(*) FILTER (WHERE b.state = 'ended') AS unread,
    (
        SELECT count(*)
        FROM public."AIBatchRequest" AS f
        WHERE
        -- here: is_half_made
    ) AS unwatched,
    (SELECT count(*) FROM batch_assets.retry AS f) AS put_off,
    (SELECT count(*) FROM batch_assets.follower AS w) AS following,
    (SELECT count(*) FROM batch_assets.dead_letter AS d) AS dead
FROM batch_assets.batch AS b
WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended') AND b.installation_id IS NOT NULL

-- name: send_back
-- What is to be tried again, whatever its date, and what follows another request wait for a batch like
-- new ones, whoever makes that. Not what follows one whose batch is still to be read: it will have its
-- answer.
WITH put_off AS (
    DELETE FROM batch_assets.retry AS f
    RETURNING f.request_id, f.company_id
), following AS (
    DELETE FROM batch_assets.follower AS w
    WHERE NOT EXISTS (
        SELECT
        FROM batch_assets.attempt AS a
        JOIN batch_assets.batch AS b ON b.id = a.batch_id AND b.installation_id IS NOT NULL
        WHERE a.request_id = w.leader_id AND a.outcome IS NULL
    )
    RETURNING w.request_id, w.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "completedAt" = NULL
    FROM (
        SELECT put_off.request_id, put_off.company_id FROM put_off
        UNION
        SELECT following.request_id, following.company_id FROM following
    ) AS g
    WHERE r.id = g.request_id
        AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId", g.company_id, r.model, r."requestedAt"
), staged AS (
    -- here: stage_in_progress
), waiting AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
    FROM moved
    -- here: or_entered_anew
)
SELECT count(*) FROM moved

-- name: hand_over
-- They are LiveDash's from now on, as if it had made them: its check timer looks at IN_PROGRESS. Who
-- holds a lease on one of them, and has slept over it, finds another fence. LiveDash has one key: those
-- of further accounts it could not find.
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET installation_id = NULL, fence = b.fence + 1
    WHERE b.state = 'submitted'
        AND b.kind = 'batch'
        AND b.installation_id IS NOT NULL
        AND b.account_name = 'default'
    RETURNING b.id, b.requests
), told AS (
    UPDATE public."AIBatchRequest" AS l
    SET status = 'IN_PROGRESS'
    FROM moved
    WHERE l.id = moved.id AND l.status IN ('PENDING', 'UPLOADING')
)
SELECT count(*) AS batches, coalesce(sum(moved.requests), 0)::bigint AS requests FROM moved
