-- name: write_answer
UPDATE public."AIProcessingRequest"
SET "processingStatus" = 'PROCESSING_COMPLETE', "success" = true, "promptTokens" = :prompt_tokens,
    "completionTokens" = :completion_tokens, "totalTokens" = :total_tokens,
    "completedAt" = date_trunc('milliseconds', clock_timestamp())
WHERE id = :id;

-- name: write_session
-- A field that the answer does not have stays as it is; one that is null there becomes null.
UPDATE public."Session" AS s
SET "summary" = CASE WHEN jsonb_exists(f.found, 'summary')
        THEN f.found ->> 'summary' ELSE s."summary" END,
    "sentiment" = CASE WHEN jsonb_exists(f.found, 'sentiment')
        THEN CAST(f.found ->> 'sentiment' AS public."SentimentCategory") ELSE s."sentiment" END,
    "category" = CASE WHEN jsonb_exists(f.found, 'category')
        THEN CAST(f.found ->> 'category' AS public."SessionCategory") ELSE s."category" END,
    "language" = CASE WHEN jsonb_exists(f.found, 'language')
        THEN f.found ->> 'language' ELSE s."language" END,
    "updatedAt" = date_trunc('milliseconds', clock_timestamp())
FROM public."AIProcessingRequest" AS r
CROSS JOIN (SELECT CAST(:found AS jsonb) AS found) AS f
WHERE r.id = :id AND s.id = r."sessionId";

-- name: fail_request
UPDATE public."AIProcessingRequest"
SET "processingStatus" = 'PROCESSING_FAILED', "success" = false, "errorMessage" = :message,
    "completedAt" = date_trunc('milliseconds', clock_timestamp())
WHERE id = :id;

-- name: fail_retry
UPDATE public."AIProcessingRequest"
SET "processingStatus" = 'PROCESSING_FAILED', "errorMessage" = :message
WHERE id = :id;

-- name: batch_processed
UPDATE public."AIBatchRequest"
SET "status" = 'PROCESSED', "processedAt" = date_trunc('milliseconds', clock_timestamp())
WHERE id = :id;

-- name: fail_batch
UPDATE public."AIBatchRequest"
SET "status" = 'FAILED', "completedAt" = date_trunc('milliseconds', clock_timestamp())
WHERE id = :id;

-- name: fail_rows_of_batch
UPDATE public."AIProcessingRequest"
SET "processingStatus" = 'PROCESSING_FAILED', "batchId" = NULL, "errorMessage" = :message
WHERE "batchId" = :batch_id;

-- name: reset_rows_of_sessions
-- Whatever batch they are in, and whoever made it.
UPDATE public."AIProcessingRequest"
SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL, "errorMessage" = :message
WHERE "sessionId" = ANY(CAST(:session_ids AS text[]))
    AND "processingStatus" = 'BATCHING_IN_PROGRESS';
