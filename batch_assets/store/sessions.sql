-- part: judged
-- What all requests of a session say together: something is open, or some answer is stored, or what
-- was tried has failed for good, by a dead letter or by LiveDash's own word. A failure never outweighs
-- an answer. `given` has the sessions.
), judged AS MATERIALIZED (
    SELECT
        s.id AS session_id,
        CASE
            WHEN q.is_open THEN 'IN_PROGRESS'
            WHEN q.is_answered THEN 'COMPLETED'
            WHEN d.id IS NOT NULL THEN 'FAILED'
        END AS status,
        d.reason,
        d.attempts,
        given.metadata
    FROM given
    JOIN public."Session" AS s ON s.id = given.id
    CROSS JOIN LATERAL (
        SELECT
            coalesce(bool_or(o.is_open), false) AS is_open,
            coalesce(bool_or(o.is_answered), false) AS is_answered
        FROM (
            SELECT
                CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
                OR (
                    CAST(r."processingStatus" AS text) = 'PENDING_BATCHING'
                    -- here: is_fresh
                ) AS is_open,
                r.success OR CAST(r."processingStatus" AS text) = 'PROCESSING_COMPLETE'
                    AS is_answered
            FROM public."AIProcessingRequest" AS r
            WHERE r."sessionId" = s.id
        ) AS o
    ) AS q
    LEFT JOIN LATERAL (
        SELECT r.id, coalesce(l.reason, r."errorMessage") AS reason, l.attempts
        FROM public."AIProcessingRequest" AS r
        LEFT JOIN batch_assets.dead_letter AS l ON l.request_id = r.id
        WHERE r."sessionId" = s.id
            AND NOT (q.is_open OR q.is_answered)
            AND CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
        ORDER BY l.dead_at DESC NULLS LAST, r.id DESC
        LIMIT 1
    ) AS d ON true
)

-- part: staged
-- A stage of which nothing is known stays as it is.
INSERT INTO public."SessionProcessingStatus" AS p
    (id, "sessionId", stage, status, "startedAt", "completedAt", "errorMessage", "retryCount",
    metadata)
SELECT
    gen_random_uuid()::text,
    judged.session_id,
    'AI_ANALYSIS',
    CAST(judged.status AS public."ProcessingStatus"),
    CURRENT_TIMESTAMP,
    CASE WHEN judged.status <> 'IN_PROGRESS' THEN CURRENT_TIMESTAMP END,
    judged.reason,
    coalesce(judged.attempts, 0),
    judged.metadata
FROM judged
WHERE judged.status IS NOT NULL
ORDER BY judged.session_id
ON CONFLICT ("sessionId", stage) DO UPDATE
SET status = excluded.status,
    "startedAt" = CASE
        WHEN excluded.status = 'IN_PROGRESS' AND p.status <> 'IN_PROGRESS'
        THEN excluded."startedAt"
        ELSE p."startedAt"
    END,
    "completedAt" = CASE
        WHEN excluded.status <> 'IN_PROGRESS' THEN greatest(CURRENT_TIMESTAMP, p."startedAt")
    END,
    "errorMessage" = excluded."errorMessage",
    "retryCount" = CASE
        WHEN excluded.status = 'FAILED' THEN excluded."retryCount" ELSE p."retryCount"
    END,
    metadata = CASE
        WHEN excluded.metadata IS NULL THEN p.metadata
        WHEN jsonb_typeof(p.metadata) = 'object' THEN p.metadata || excluded.metadata
        ELSE excluded.metadata
    END

-- part: extracted
-- The stage that follows, of sessions whose questions were looked for.
INSERT INTO public."SessionProcessingStatus" AS p
    (id, "sessionId", stage, status, "startedAt", "completedAt", metadata)
SELECT
    gen_random_uuid()::text, asked.id, 'QUESTION_EXTRACTION', 'COMPLETED', CURRENT_TIMESTAMP,
    CURRENT_TIMESTAMP, jsonb_build_object('questionsProcessed', asked.questions)
FROM asked
ORDER BY asked.id
ON CONFLICT ("sessionId", stage) DO UPDATE
SET status = excluded.status,
    "startedAt" = excluded."startedAt",
    "completedAt" = excluded."completedAt",
    "errorMessage" = NULL,
    metadata = CASE
        WHEN jsonb_typeof(p.metadata) = 'object' THEN p.metadata || excluded.metadata
        ELSE excluded.metadata
    END

-- part: measured
-- As LiveDash counts and looks: one message without a time leaves the session's end as it was, and so
-- does one with a time that nobody can hold.
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE m.role IN ('user', 'User')) AS messages_sent,
        CASE
            WHEN count(*) = count(*) FILTER (
                WHERE m."timestamp" BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
            ) THEN max(m."timestamp")
        END AS last_at
    FROM public."Message" AS m
    WHERE m."sessionId" = s.id
    OFFSET 0
) AS n

-- name: lock_sessions
-- In the order of their ids: two writers that have some in common never lock each other out.
SELECT s.id
FROM public."Session" AS s
WHERE s.id = ANY(ARRAY(
    SELECT r."sessionId"
    FROM unnest((SELECT CAST(:request_ids AS text[]))) AS g (request_id)
    JOIN public."AIProcessingRequest" AS r ON r.id = g.request_id
))
ORDER BY s.id
FOR NO KEY UPDATE

-- name: restage
-- After the rows of these sessions have moved, and with the sessions locked: what another writer has
-- moved meanwhile is seen, too.
WITH given AS MATERIALIZED (
    SELECT DISTINCT g.id, CAST(NULL AS jsonb) AS metadata
    FROM unnest((SELECT CAST(:session_ids AS text[]))) AS g (id)
-- here: judged
-- here: staged

-- name: orphaned
-- Stages that say that something is under way, while nothing of their session is open.
SELECT p."sessionId" AS session_id
FROM public."SessionProcessingStatus" AS p
WHERE p.stage = 'AI_ANALYSIS'
    AND p.status = 'IN_PROGRESS'
    AND NOT EXISTS (
        SELECT
        FROM public."AIProcessingRequest" AS r
        WHERE r."sessionId" = p."sessionId"
            -- here: is_open
    )
    AND p."sessionId" > :after
ORDER BY p."sessionId"
LIMIT :limit

-- name: unstaged
-- Sessions of which something is open, and whose stage does not say so.
SELECT DISTINCT r."sessionId" AS session_id
FROM public."AIProcessingRequest" AS r
JOIN public."SessionProcessingStatus" AS p
    ON p."sessionId" = r."sessionId" AND p.stage = 'AI_ANALYSIS'
WHERE p.status <> 'IN_PROGRESS'
    -- here: is_open
    AND r."sessionId" > :after
ORDER BY r."sessionId"
LIMIT :limit

-- name: reopen
-- What was asked for nothing, and has neither an answer nor a dead letter, LiveDash may ask again.
UPDATE public."SessionProcessingStatus" AS p
SET status = 'PENDING', "startedAt" = NULL, "completedAt" = NULL, "errorMessage" = NULL
WHERE p."sessionId" = ANY(CAST(:session_ids AS text[]))
    AND p.stage = 'AI_ANALYSIS'
    AND p.status = 'IN_PROGRESS'
    AND NOT EXISTS (
        SELECT
        FROM public."AIProcessingRequest" AS r
        WHERE r."sessionId" = p."sessionId"
            -- here: is_open
    )

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
-- that names it. Where nobody knows whether the leader's synchronous call was answered, and paid for, each is
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
