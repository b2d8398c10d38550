-- name: claim
WITH due AS (
    SELECT r."id"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL
    ORDER BY r."requestedAt"
    FOR UPDATE SKIP LOCKED
)
UPDATE public."AIProcessingRequest" AS r
SET "processingStatus" = 'BATCHING_IN_PROGRESS'
FROM due
WHERE r."id" = due."id"

-- name: read
SELECT r."id", m."role", m."content"
FROM public."AIProcessingRequest" AS r
JOIN public."Message" AS m ON m."sessionId" = r."sessionId"
WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
ORDER BY r."id", m."order"

-- name: make_staging
CREATE TEMPORARY TABLE staging (
    request_id        text,
    openai_request_id text,
    prompt_tokens     integer,
    completion_tokens integer,
    language          text,
    sentiment         public."SentimentCategory",
    category          public."SessionCategory",
    escalated         boolean,
    forwarded_hr      boolean,
    summary           text
) ON COMMIT DROP

-- name: copy
COPY staging FROM STDIN

-- name: write_requests
UPDATE public."AIProcessingRequest" AS r
SET "openaiRequestId" = s.openai_request_id,
    "promptTokens" = s.prompt_tokens,
    "completionTokens" = s.completion_tokens,
    "totalTokens" = s.prompt_tokens + s.completion_tokens,
    "success" = true,
    "completedAt" = CURRENT_TIMESTAMP,
    "processingStatus" = 'PROCESSING_COMPLETE'
FROM staging AS s
WHERE r."id" = s.request_id

-- name: write_sessions
UPDATE public."Session" AS c
SET "language" = s.language,
    "sentiment" = s.sentiment,
    "category" = s.category,
    "escalated" = s.escalated,
    "forwardedHr" = s.forwarded_hr,
    "summary" = s.summary,
    "updatedAt" = CURRENT_TIMESTAMP
FROM staging AS s
JOIN public."AIProcessingRequest" AS r ON r."id" = s.request_id
WHERE c."id" = r."sessionId"
