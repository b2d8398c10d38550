-- name: sessions
-- As LiveDash's import leaves them: the stages before are done, and the analysis is to be.
WITH made AS (
    INSERT INTO public."Session" (
        "id", "companyId", "startTime", "endTime", "createdAt", "updatedAt"
    )
    SELECT s.id, s.company_id, clock_timestamp() - interval '1 hour', clock_timestamp(),
        clock_timestamp(), clock_timestamp()
    FROM unnest(CAST(:ids AS text[]), CAST(:company_ids AS text[])) AS s (id, company_id)
    RETURNING id
)
INSERT INTO public."SessionProcessingStatus" ("id", "sessionId", "stage", "status")
SELECT gen_random_uuid()::text, m.id, CAST(p.stage AS public."ProcessingStage"),
    CAST(p.status AS public."ProcessingStatus")
FROM made AS m
CROSS JOIN (VALUES ('SESSION_CREATION', 'COMPLETED'), ('AI_ANALYSIS', 'PENDING')) AS p (stage, status);

-- name: stages
-- What the live path left of the analysis of these.
UPDATE public."SessionProcessingStatus"
SET "status" = CAST(:status AS public."ProcessingStatus"), "startedAt" = clock_timestamp(),
    "completedAt" = clock_timestamp()
WHERE "sessionId" = ANY(CAST(:ids AS text[])) AND "stage" = 'AI_ANALYSIS';

-- name: earlier_requests
-- Requests that LiveDash made some time ago, and whose sessions were set back since then.
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
    "requestedAt"
)
SELECT r.id, r.session_id, :model, 0, 0, 0, 0, 0, 0, 'session_analysis', false,
    clock_timestamp() - interval '1 hour'
FROM unnest(CAST(:ids AS text[]), CAST(:session_ids AS text[])) AS r (id, session_id);

-- name: our_batches
SELECT b.id, b.state FROM batch_assets.batch AS b;

-- name: our_rows
-- What has to be out of the timers' reach, and what is dead.
SELECT a.request_id AS id, 'in flight' AS place FROM batch_assets.attempt AS a
WHERE a.outcome IS NULL
UNION ALL
SELECT f.request_id, 'waiting for a retry' FROM batch_assets.retry AS f
UNION ALL
SELECT d.request_id, 'dead' FROM batch_assets.dead_letter AS d;

-- name: requests
SELECT r.id, r."sessionId" AS session_id, r."processingType" AS processing_type, r.model,
    r."processingStatus"::text AS status, r."batchId" AS batch_id
FROM public."AIProcessingRequest" AS r;

-- name: stage_of_sessions
SELECT p."sessionId" AS session_id, p.status::text AS status
FROM public."SessionProcessingStatus" AS p
WHERE p.stage = 'AI_ANALYSIS';

-- name: left_over
-- What is open of ours; history, which stays PENDING_BATCHING for ever, is none of it.
SELECT (
    SELECT count(*) FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" IN ('PENDING_BATCHING', 'BATCHING_IN_PROGRESS')
        AND r.id <> ALL(CAST(:history AS text[]))
) + (SELECT count(*) FROM batch_assets.retry)
+ (SELECT count(*) FROM batch_assets.batch AS b WHERE b.state NOT IN ('finalized', 'released'))
    AS requests;

-- name: models_in_cooldown
-- Models for which the server had no room.
SELECT p.model FROM batch_assets.model_cooldown AS p;

-- name: happened
-- How much of each kind of trouble there was.
SELECT
    (SELECT count(*) FROM batch_assets.attempt AS a WHERE a.outcome = 'failed') AS failed,
    (SELECT count(*) FROM batch_assets.attempt AS a WHERE a.outcome = 'unanswered') AS unanswered,
    (SELECT count(*) FROM batch_assets.batch AS b WHERE b.server_status = 'expired') AS expired,
    (SELECT count(*) FROM batch_assets.batch AS b WHERE b.server_status = 'failed') AS refused,
    (SELECT count(*) FROM batch_assets.dead_letter) AS dead,
    (
        SELECT count(*) FROM (
            SELECT a.request_id FROM batch_assets.attempt AS a
            GROUP BY a.request_id HAVING count(*) > 1
        ) AS again
    ) AS tried_again;

-- name: show_failures
-- A bug: what waits for its next try looks as if LiveDash had to try it.
UPDATE public."AIProcessingRequest" AS r SET "processingStatus" = 'PROCESSING_FAILED'
FROM batch_assets.retry AS f WHERE f.request_id = r.id;

-- name: show_batches
-- A bug: batches say how they are on the server.
UPDATE public."AIBatchRequest" AS l
SET "status" = CASE WHEN b.state = 'ended' THEN 'COMPLETED' ELSE 'IN_PROGRESS' END
        ::public."AIBatchRequestStatus",
    "outputFileId" = coalesce(l."outputFileId", 'file-of-the-bug')
FROM batch_assets.batch AS b WHERE b.id = l.id AND b.state IN ('submitted', 'ended');

-- name: ask_again
-- A bug: while something of a session is open, its analysis is said to be PENDING.
UPDATE public."SessionProcessingStatus" AS p SET "status" = 'PENDING'
FROM batch_assets.attempt AS a
JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
WHERE a.outcome IS NULL AND p."sessionId" = r."sessionId" AND p."stage" = 'AI_ANALYSIS';
