-- name: follow
-- These, which wait or are dead letters, share the answer of another one that is open. LiveDash's
-- create timer never takes what is in progress, and nobody else looks at what is in no batch.
WITH moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'BATCHING_IN_PROGRESS',
        "batchId" = NULL,
        success = false,
        "completedAt" = NULL
    FROM unnest(
        (SELECT CAST(:request_ids AS text[])),
        (SELECT CAST(:company_ids AS text[])),
        (SELECT CAST(:leader_ids AS text[]))
    ) AS g (request_id, company_id, leader_id)
    WHERE r.id = g.request_id
        AND (
            (
                CAST(r."processingStatus" AS text) = 'PENDING_BATCHING'
                AND coalesce(r."batchId", '') = ''
            )
            OR CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
        )
    RETURNING r.id, r."sessionId", r."requestedAt", g.company_id, g.leader_id
-- here: in_no_other_bucket
), following AS (
    INSERT INTO batch_assets.follower (request_id, company_id, leader_id, requested_at)
    SELECT moved.id, moved.company_id, moved.leader_id, moved."requestedAt"
    FROM moved
    ON CONFLICT (request_id) DO UPDATE SET leader_id = excluded.leader_id
)
-- here: stage_in_progress

-- name: leaders
SELECT DISTINCT f.leader_id FROM batch_assets.follower AS f ORDER BY f.leader_id

-- name: end
-- What becomes of those that follow one of these, or of all whose leader is not open any more. With
-- the leader's answer each is complete, at no tokens and no cost, by an attempt in the leader's batch
-- that names it. Where nobody knows whether the leader's live call was answered, and paid for, each is
-- a dead letter like it: it is not sent again unasked. Else the oldest takes the leader's place, and
-- the others follow it. One that was moved by somebody else is nobody's follower.
WITH led AS MATERIALIZED (
    SELECT
        f.request_id,
        f.leader_id,
        f.company_id,
        f.requested_at,
        o."openaiRequestId" AS openai_request_id,
        CASE
            WHEN CAST(o."processingStatus" AS text) = 'PROCESSING_COMPLETE' THEN 'answered'
            WHEN CAST(o."processingStatus" AS text) = 'PROCESSING_FAILED'
                AND EXISTS (
                    SELECT
                    FROM batch_assets.dead_letter AS t
                    WHERE t.request_id = o.id AND t.failure_kind = 'indeterminate'
                )
                THEN 'unknown'
            WHEN CAST(o."processingStatus" AS text) = 'PENDING_BATCHING'
                AND coalesce(o."batchId", '') = ''
                -- here: other_is_fresh
                THEN 'open'
            WHEN EXISTS (SELECT FROM batch_assets.follower AS t WHERE t.request_id = o.id)
                THEN 'open'
            WHEN CAST(o."processingStatus" AS text) IN ('PENDING_BATCHING', 'BATCHING_IN_PROGRESS')
                -- here: will_end
                THEN 'open'
            ELSE 'lost'
        END AS leader
    FROM batch_assets.follower AS f
    LEFT JOIN public."AIProcessingRequest" AS o ON o.id = f.leader_id
    WHERE CAST(:leader_ids AS text[]) IS NULL OR f.leader_id = ANY(CAST(:leader_ids AS text[]))
    ORDER BY f.request_id
    FOR UPDATE OF f
), heir AS MATERIALIZED (
    SELECT DISTINCT ON (e.leader_id) e.leader_id, e.request_id, e.company_id
    FROM (
        SELECT led.leader_id, led.request_id, led.company_id, led.requested_at
        FROM led
        WHERE led.leader = 'lost'
            AND coalesce((
                SELECT CAST(r."processingStatus" AS text) IN (
                        'BATCHING_IN_PROGRESS', 'PENDING_BATCHING'
                    )
                    AND coalesce(r."batchId", '') = ''
                FROM public."AIProcessingRequest" AS r
                WHERE r.id = led.request_id
            ), false)
    ) AS e
    ORDER BY e.leader_id, e.requested_at, e.request_id
), answered AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PROCESSING_COMPLETE',
        success = true,
        "errorMessage" = NULL,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt"),
        "openaiRequestId" = led.openai_request_id
    FROM led
    WHERE led.leader = 'answered'
        AND r.id = led.request_id
        AND CAST(r."processingStatus" AS text) IN ('BATCHING_IN_PROGRESS', 'PENDING_BATCHING')
        AND coalesce(r."batchId", '') = ''
    RETURNING r.id, r."sessionId", led.leader_id, led.company_id
), shared AS (
    INSERT INTO batch_assets.attempt
        (batch_id, request_id, company_id, outcome, ended_at, shares_answer_of)
    SELECT a.batch_id, answered.id, answered.company_id, 'completed', CURRENT_TIMESTAMP,
        answered.leader_id
    FROM answered
    CROSS JOIN LATERAL (
        SELECT t.batch_id
        FROM batch_assets.attempt AS t
        WHERE t.request_id = answered.leader_id AND t.outcome = 'completed'
        ORDER BY t.ended_at DESC
        LIMIT 1
    ) AS a
    ON CONFLICT (batch_id, request_id) DO NOTHING
), unknown AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PROCESSING_FAILED',
        "errorMessage" = d.reason,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt")
    FROM led
    JOIN batch_assets.dead_letter AS d ON d.request_id = led.leader_id
    WHERE led.leader = 'unknown'
        AND r.id = led.request_id
        AND CAST(r."processingStatus" AS text) IN ('BATCHING_IN_PROGRESS', 'PENDING_BATCHING')
        AND coalesce(r."batchId", '') = ''
    RETURNING
        r.id, r."sessionId", led.leader_id, led.company_id, d.failure_kind, d.code, d.reason
), dead AS (
    INSERT INTO batch_assets.dead_letter
        (request_id, company_id, attempts, failure_kind, code, reason)
    SELECT
        unknown.id, unknown.company_id, 0, unknown.failure_kind, unknown.code, unknown.reason
    FROM unknown
    ON CONFLICT (request_id) DO NOTHING
), promoted AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING'
    FROM heir
    WHERE r.id = heir.request_id
        AND CAST(r."processingStatus" AS text) IN ('BATCHING_IN_PROGRESS', 'PENDING_BATCHING')
        AND coalesce(r."batchId", '') = ''
    RETURNING r.id, r."sessionId", r.model, r."requestedAt", heir.leader_id, heir.company_id
), waiting AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT promoted.id, promoted.company_id, promoted.model, promoted."requestedAt"
    FROM promoted
    -- here: or_entered_anew
), led_by_heirs AS (
    UPDATE batch_assets.follower AS f
    SET leader_id = heir.request_id
    FROM heir
    WHERE f.leader_id = heir.leader_id AND f.request_id <> heir.request_id
), over AS (
    DELETE FROM batch_assets.follower AS f
    USING led
    WHERE f.request_id = led.request_id
        AND (
            led.leader IN ('answered', 'unknown')
            OR led.request_id IN (SELECT heir.request_id FROM heir)
            OR NOT coalesce((
                SELECT CAST(r."processingStatus" AS text) IN (
                    'BATCHING_IN_PROGRESS', 'PENDING_BATCHING'
                )
                FROM public."AIProcessingRequest" AS r
                WHERE r.id = led.request_id
            ), false)
        )
)
SELECT answered."sessionId" AS session_id, answered.leader_id, true AS is_shared FROM answered
UNION ALL
SELECT unknown."sessionId", unknown.leader_id, false FROM unknown
UNION ALL
SELECT promoted."sessionId", promoted.leader_id, false FROM promoted
