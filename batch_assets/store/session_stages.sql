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
