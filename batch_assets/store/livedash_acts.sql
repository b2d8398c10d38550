-- name: notice
-- What has changed without us since a run last looked, put back as far as it can be.
--
-- A request of ours that is under way (in a batch, to be retried, following another one) is in
-- progress in LiveDash. One that waits there again was reset, as LiveDash's process timer does to all
-- requests of a session when it fails at a batch of its own: it is put back, and not bought. One that
-- is in a batch of LiveDash's was bought by its create timer. A dead letter that is complete, or has
-- LiveDash's own words for a failed retry, was bought by its retry timer; so many are looked at in
-- each run, round and round. And a session of which something is in progress has a stage that says so:
-- of those that are PENDING so many are looked at, since LiveDash is about to ask for them again, and
-- of those that are in progress here as many, now these and now those.
--
-- What another run is about to move is locked there, the entry before its request, and is left alone, and
-- so is what somebody else has locked, a request or a stage.
WITH open_attempts AS MATERIALIZED (
    SELECT a.batch_id, a.request_id, a.company_id
    FROM batch_assets.batch AS b
    CROSS JOIN LATERAL (
        SELECT t.batch_id, t.request_id, t.company_id
        FROM batch_assets.attempt AS t
        WHERE t.batch_id = b.id AND t.outcome IS NULL
        OFFSET 0
    ) AS a
    WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
        AND b.installation_id IS NOT NULL
), in_progress AS MATERIALIZED (
    SELECT r.id, coalesce(r."batchId", '') AS batch_id, r."sessionId" AS session_id
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
), ours AS MATERIALIZED (
    SELECT o.request_id, o.company_id, o.batch_id, CAST(NULL AS text) AS reason
    FROM open_attempts AS o
    UNION ALL
    SELECT f.request_id, f.company_id, '', f.reason
    FROM batch_assets.retry AS f
    UNION ALL
    SELECT w.request_id, w.company_id, '', NULL
    FROM batch_assets.follower AS w
), left_us AS MATERIALIZED (
    SELECT ours.request_id, ours.company_id, ours.batch_id, ours.reason
    FROM ours
    LEFT JOIN in_progress AS i ON i.id = ours.request_id AND i.batch_id = ours.batch_id
    WHERE i.id IS NULL
), seen AS MATERIALIZED (
    SELECT l.request_id, l.company_id, l.batch_id, l.reason, q.error
    FROM left_us AS l
    CROSS JOIN LATERAL (
        SELECT r."errorMessage" AS error
        FROM public."AIProcessingRequest" AS r
        WHERE r.id = l.request_id
            AND CAST(r."processingStatus" AS text) = 'PENDING_BATCHING'
            AND coalesce(r."batchId", '') = ''
            -- here: stage_is_free
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS q
), held_attempts AS MATERIALIZED (
    SELECT a.request_id
    FROM seen
    JOIN batch_assets.attempt AS a
        ON a.batch_id = seen.batch_id AND a.request_id = seen.request_id
    WHERE a.outcome IS NULL
    FOR UPDATE OF a SKIP LOCKED
), held_retries AS MATERIALIZED (
    SELECT f.request_id
    FROM seen
    JOIN batch_assets.retry AS f ON f.request_id = seen.request_id
    WHERE seen.batch_id = ''
    FOR UPDATE OF f SKIP LOCKED
), held_followers AS MATERIALIZED (
    SELECT w.request_id
    FROM seen
    JOIN batch_assets.follower AS w ON w.request_id = seen.request_id
    WHERE seen.batch_id = ''
    FOR UPDATE OF w SKIP LOCKED
), held AS MATERIALIZED (
    SELECT a.request_id FROM held_attempts AS a
    UNION
    SELECT f.request_id FROM held_retries AS f
    UNION
    SELECT w.request_id FROM held_followers AS w
), put_back AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'BATCHING_IN_PROGRESS',
        "batchId" = nullif(seen.batch_id, ''),
        success = false,
        "completedAt" = NULL,
        "errorMessage" = seen.reason
    FROM seen
    JOIN held ON held.request_id = seen.request_id
    WHERE r.id = seen.request_id
        AND CAST(r."processingStatus" AS text) = 'PENDING_BATCHING'
        AND coalesce(r."batchId", '') = ''
    RETURNING r.id, r."sessionId", seen.company_id, seen.batch_id, seen.error
), not_waiting AS (
    DELETE FROM batch_assets.intake AS i USING put_back WHERE i.request_id = put_back.id
), made AS MATERIALIZED (
    -- Batches of LiveDash's, of which one that began and ended between two runs is not seen.
    SELECT l.id, l.company_id
    FROM public."Company" AS c
    CROSS JOIN LATERAL (
        SELECT f.id, f."companyId" AS company_id
        FROM public."AIBatchRequest" AS f
        WHERE f."companyId" = c.id
            AND f.status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING', 'COMPLETED')
            AND f."createdAt" > CURRENT_TIMESTAMP - make_interval(secs => :quiet_seconds)
            AND f."createdAt" < CURRENT_TIMESTAMP + interval '1 day'
            AND NOT EXISTS (
                SELECT
                FROM batch_assets.batch AS b
                WHERE b.id = f.id AND coalesce(b.installation_id, b.account) IS NOT NULL
            )
        OFFSET 0
    ) AS l
    UNION
    SELECT b.id, b.company_id
    FROM batch_assets.batch AS b
    WHERE b.claimed_at > CURRENT_TIMESTAMP - make_interval(secs => :quiet_seconds)
        AND coalesce(b.installation_id, b.account) IS NULL
), bought_twice AS MATERIALIZED (
    -- The same request, or another one that asks the same of the same conversation, is or was bought
    -- by us.
    SELECT m.id AS batch_id, m.company_id, r.id AS request_id
    FROM made AS m
    CROSS JOIN LATERAL (
        SELECT q.id, q."sessionId", q.model, q."processingType"
        FROM public."AIProcessingRequest" AS q
        WHERE q."batchId" = m.id
        UNION
        -- Those that were in it when it was first watched, and that we have answered since.
        SELECT q.id, q."sessionId", q.model, q."processingType"
        FROM batch_assets.attempt AS t
        JOIN public."AIProcessingRequest" AS q ON q.id = t.request_id
        WHERE t.batch_id = m.id
        OFFSET 0
    ) AS r
    WHERE coalesce((
        SELECT true
        FROM public."AIProcessingRequest" AS o
        JOIN batch_assets.attempt AS a ON a.request_id = o.id
        JOIN batch_assets.batch AS b ON b.id = a.batch_id AND b.installation_id IS NOT NULL
        WHERE o."sessionId" = r."sessionId"
            AND coalesce(o.model, '') = r.model
            AND o."processingType" = r."processingType"
            AND a.shares_answer_of IS NULL
            AND coalesce(a.outcome, 'completed') IN ('completed', 'discarded')
        LIMIT 1
    ), false)
), progress AS MATERIALIZED (
    SELECT w.checked_id FROM batch_assets.livedash_watch AS w FOR UPDATE
), checked AS MATERIALIZED (
    SELECT d.request_id, d.company_id, d.reason
    FROM batch_assets.dead_letter AS d
    WHERE d.request_id > coalesce((SELECT progress.checked_id FROM progress), '')
    ORDER BY d.request_id
    LIMIT :letters
), retried AS MATERIALIZED (
    SELECT
        c.request_id, c.company_id, c.reason, r.session_id, r.is_complete,
        coalesce((
            SELECT true
            FROM public."AIProcessingRequest" AS o
            JOIN batch_assets.attempt AS a ON a.request_id = o.id AND a.cost_eur > 0
            WHERE o."sessionId" = r.session_id
                AND coalesce(o.model, '') = r.model
                AND o."processingType" = r.processing_type
            LIMIT 1
        ), false) AS was_bought
    FROM checked AS c
    CROSS JOIN LATERAL (
        SELECT
            q."sessionId" AS session_id,
            q.model,
            q."processingType" AS processing_type,
            CAST(q."processingStatus" AS text) = 'PROCESSING_COMPLETE' AS is_complete,
            CAST(q."processingStatus" AS text) = 'PROCESSING_FAILED'
                AND q."errorMessage" IS DISTINCT FROM c.reason
                AND (
                    q."errorMessage" LIKE 'Final retry failed:%'
                    OR q."errorMessage" = 'Failed to parse AI response'
                ) AS has_failed
        FROM public."AIProcessingRequest" AS q
        WHERE q.id = c.request_id
        OFFSET 0
    ) AS r
    WHERE r.is_complete OR r.has_failed
), resolved AS (
    DELETE FROM batch_assets.dead_letter AS d
    USING retried
    WHERE d.request_id = retried.request_id AND retried.is_complete
), restored AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "errorMessage" = retried.reason
    FROM retried
    WHERE r.id = retried.request_id
        AND NOT retried.is_complete
        AND CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
), watched AS (
    INSERT INTO batch_assets.livedash_watch AS w (checked_id)
    SELECT CASE WHEN count(*) = :letters THEN max(c.request_id) END
    FROM checked AS c
    ON CONFLICT (only_row) DO UPDATE
    SET checked_id = excluded.checked_id
    WHERE w.checked_id IS DISTINCT FROM excluded.checked_id
), moved AS (
    SELECT u.session_id AS "sessionId"
    FROM (
        SELECT i.session_id
        FROM (
            SELECT p."sessionId" AS session_id
            FROM public."SessionProcessingStatus" AS p
            WHERE p.stage = 'AI_ANALYSIS' AND p.status = 'PENDING'
            LIMIT :stages
        ) AS s
        JOIN in_progress AS i ON i.session_id = s.session_id
        UNION
        SELECT s.session_id
        FROM (SELECT i.session_id FROM in_progress AS i ORDER BY random() LIMIT :stages) AS s
    ) AS u
    WHERE coalesce((
        SELECT true
        FROM public."SessionProcessingStatus" AS p
        WHERE p."sessionId" = u.session_id
            AND p.stage = 'AI_ANALYSIS'
            AND CAST(p.status AS text) <> 'IN_PROGRESS'
        FOR NO KEY UPDATE SKIP LOCKED
    ), false)
    UNION
    SELECT put_back."sessionId" FROM put_back
), staged AS (
    -- here: stage_in_progress
), acts AS MATERIALIZED (
    SELECT
        'process:' || put_back.id || ':' || extract(epoch FROM clock_timestamp())::text AS id,
        CASE
            WHEN put_back.error LIKE 'Batch processing failed:%' THEN 'process' ELSE 'unknown'
        END AS timer,
        put_back.company_id,
        put_back.id AS request_id,
        nullif(put_back.batch_id, '') AS batch_id,
        false AS is_purchase,
        false AS is_duplicate
    FROM put_back
    UNION ALL
    SELECT 'create:' || m.id, 'create', m.company_id, NULL, m.id, true, false
    FROM made AS m
    UNION ALL
    SELECT
        'create:' || t.batch_id || ':' || t.request_id, 'create', t.company_id, t.request_id,
        t.batch_id, true, true
    FROM bought_twice AS t
    UNION ALL
    SELECT
        'retry:' || t.request_id || ':' || extract(epoch FROM clock_timestamp())::text, 'retry',
        t.company_id, t.request_id, NULL, true, t.was_bought
    FROM retried AS t
), kept AS (
    INSERT INTO batch_assets.livedash_act AS k
        (id, timer, company_id, request_id, batch_id, is_purchase, is_duplicate)
    SELECT a.id, a.timer, a.company_id, a.request_id, a.batch_id, a.is_purchase, a.is_duplicate
    FROM acts AS a
    ON CONFLICT (id) DO NOTHING
    RETURNING k.timer, k.request_id, k.is_purchase, k.is_duplicate
)
SELECT
    (
        SELECT coalesce(json_object_agg(t.timer, t.acts), '{}')
        FROM (SELECT kept.timer, count(*) AS acts FROM kept GROUP BY kept.timer) AS t
    ) AS acts,
    (SELECT count(*) FROM kept WHERE kept.is_duplicate) AS bought_twice,
    (SELECT count(*) FROM put_back) AS put_back,
    (
        SELECT coalesce(json_agg(DISTINCT retried.session_id), '[]')
        FROM retried
        WHERE retried.is_complete
    ) AS resolved_sessions

-- name: recent
-- What was noticed last, newest first.
SELECT
    a.timer, a.company_id, c.name AS company, a.request_id, a.batch_id, a.is_purchase, a.is_duplicate,
    a.noticed_at
FROM batch_assets.livedash_act AS a
LEFT JOIN public."Company" AS c ON c.id = a.company_id
WHERE a.noticed_at > statement_timestamp() - make_interval(secs => :within_seconds)
ORDER BY a.noticed_at DESC, a.id
LIMIT :limit
