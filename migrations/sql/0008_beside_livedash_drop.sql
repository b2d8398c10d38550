-- The versions before know no followers: these wait again, and each is bought. A batch says again how
-- it is on the server, and a request that waits for its next try that it has failed.
UPDATE public."AIProcessingRequest" AS r
SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL
FROM batch_assets.follower AS f
WHERE f.request_id = r.id
    AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
    AND r."batchId" IS NULL;

UPDATE public."SessionProcessingStatus" AS p
SET status = 'FAILED',
    "completedAt" = greatest(CURRENT_TIMESTAMP, p."startedAt"),
    "errorMessage" = f.reason,
    "retryCount" = f.attempts
FROM batch_assets.retry AS f
JOIN public."AIProcessingRequest" AS r ON r.id = f.request_id
WHERE p."sessionId" = r."sessionId"
    AND p.stage = 'AI_ANALYSIS'
    AND p.status = 'IN_PROGRESS'
    AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
    AND r."batchId" IS NULL;

UPDATE public."AIProcessingRequest" AS r
SET "processingStatus" = 'PROCESSING_FAILED',
    "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt")
FROM batch_assets.retry AS f
WHERE f.request_id = r.id
    AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
    AND r."batchId" IS NULL;

UPDATE public."AIBatchRequest" AS l
SET status = CASE
        WHEN b.state = 'ended' AND coalesce(b.output_file_id, b.error_file_id) IS NOT NULL
            THEN CAST('COMPLETED' AS public."AIBatchRequestStatus")
        WHEN b.state = 'ended' AND b.server_status IN ('cancelled', 'lost') THEN 'CANCELLED'
        WHEN b.state = 'ended' THEN 'FAILED'
        WHEN b.server_status = 'validating' THEN 'VALIDATING'
        WHEN b.server_status IN ('finalizing', 'completed') THEN 'FINALIZING'
        ELSE 'IN_PROGRESS'
    END
FROM batch_assets.batch AS b
WHERE b.id = l.id
    AND b.kind = 'batch'
    AND b.installation_id IS NOT NULL
    AND b.state IN ('submitted', 'ended');

ALTER TABLE batch_assets.run_metric
    DROP COLUMN saved_by_sharing_eur,
    DROP COLUMN shared_requests,
    DROP COLUMN following_requests;
DROP TABLE batch_assets.session_staging;
DROP TABLE batch_assets.livedash_watch;
DROP TABLE batch_assets.livedash_act;
-- These are no attempts: nothing was sent.
DELETE FROM batch_assets.attempt AS a WHERE a.shares_answer_of IS NOT NULL;
ALTER TABLE batch_assets.attempt DROP COLUMN shares_answer_of;
DROP TABLE batch_assets.follower;
