-- name: renew
UPDATE batch_assets.batch AS b
SET lease_expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE b.id = :batch_id AND b.fence = :fence AND b.lease_owner IS NOT NULL

-- name: expire
UPDATE batch_assets.batch AS b
SET lease_owner = NULL, lease_expires_at = NULL
WHERE b.id = :batch_id AND b.fence = :fence

-- part: is_in_batch
-- Also a row that LiveDash has put back among those that wait: as long as our attempt is open, nobody
-- else has sent it.
AND (
    (r."batchId" = :batch_id AND r."processingStatus" = 'BATCHING_IN_PROGRESS')
    OR (r."batchId" IS NULL AND r."processingStatus" = 'PENDING_BATCHING')
)

-- name: return_row
-- A row of a batch that gave it no answer waits again; it was not paid for and no attempt is counted.
-- It is open as before, and so its session's stage stays in progress.
WITH ended AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = :outcome, ended_at = CURRENT_TIMESTAMP
    WHERE a.batch_id = :batch_id AND a.request_id = :request_id AND a.outcome IS NULL
    RETURNING a.request_id, a.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL
    FROM ended
    WHERE r.id = ended.request_id
        -- here: is_in_batch
    RETURNING r.id, r."sessionId", r.model, r."requestedAt", ended.company_id
), staged AS (
    -- here: stage_in_progress
)
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
FROM moved
-- here: or_entered_anew

-- name: open_rows
SELECT a.request_id
FROM batch_assets.attempt AS a
WHERE a.batch_id = :batch_id AND a.outcome IS NULL
ORDER BY a.request_id
LIMIT :limit

-- name: uploaded
UPDATE batch_assets.batch AS b
SET state = 'uploaded',
    input_file_id = :input_file_id,
    input_bytes = :input_bytes,
    requests = b.requests - :dropped,
    uploaded_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE b.id = :batch_id

-- name: forget_positions
-- Rows are missing in the input file, and nobody knows which: no line of it can be told.
UPDATE batch_assets.attempt AS a
SET position = NULL
WHERE a.batch_id = ANY(CAST(:batch_ids AS text[]))

-- name: livedash_uploaded
UPDATE public."AIBatchRequest" AS l
SET status = 'UPLOADING', "inputFileId" = :input_file_id
WHERE l.id = :batch_id AND l.status = 'PENDING'

-- name: submitted
UPDATE batch_assets.batch AS b
SET state = 'submitted',
    openai_batch_id = :openai_batch_id,
    input_file_id = coalesce(:input_file_id, b.input_file_id),
    server_status = :server_status,
    server_status_since = clock_timestamp(),
    submitted_at = clock_timestamp(),
    lease_owner = NULL,
    lease_expires_at = NULL
WHERE b.id = :batch_id

-- name: livedash_submitted
-- LiveDash's timers never look at a batch that is UPLOADING: it stays so until every row has left it.
UPDATE public."AIBatchRequest" AS l
SET status = 'UPLOADING',
    "openaiBatchId" = :openai_batch_id,
    "inputFileId" = coalesce(:input_file_id, l."inputFileId")
WHERE l.id = :batch_id AND l.status IN ('PENDING', 'UPLOADING')

-- name: released
UPDATE batch_assets.batch AS b
SET state = 'released',
    released_at = clock_timestamp(),
    lease_owner = NULL,
    lease_expires_at = NULL
WHERE b.id = :batch_id

-- name: livedash_released
UPDATE public."AIBatchRequest" AS l
SET status = 'CANCELLED'
WHERE l.id = :batch_id AND l.status IN ('PENDING', 'UPLOADING')

-- name: status
-- A word that says nothing new changes nothing, so that an idle poll writes nothing.
UPDATE batch_assets.batch AS b
SET state = CASE WHEN :ended THEN 'ended' ELSE b.state END,
    ended_at = CASE WHEN :ended THEN clock_timestamp() END,
    server_status = :server_status,
    server_status_since = CASE
        WHEN b.server_status = :server_status THEN b.server_status_since
        ELSE clock_timestamp()
    END,
    server_errors = :server_errors,
    server_error_lines = :server_error_lines,
    server_answered = :server_answered,
    server_prompt_tokens = coalesce(CAST(:server_prompt_tokens AS bigint), b.server_prompt_tokens),
    server_cached_tokens = coalesce(CAST(:server_cached_tokens AS bigint), b.server_cached_tokens),
    server_completion_tokens = coalesce(
        CAST(:server_completion_tokens AS bigint), b.server_completion_tokens
    ),
    output_file_id = :output_file_id,
    error_file_id = :error_file_id
WHERE b.id = :batch_id
    AND b.state = 'submitted'
    AND b.fence = :fence
    AND (
        :ended
        OR b.server_status <> :server_status
        OR b.output_file_id IS DISTINCT FROM :output_file_id
        OR b.error_file_id IS DISTINCT FROM :error_file_id
    )

-- name: livedash_status
-- How a batch of ours is on the server is not for LiveDash's timers to know; its own they know best.
-- The server says whole seconds by its own clock: no batch ends before it was made.
UPDATE public."AIBatchRequest" AS l
SET status = CASE
        WHEN b.installation_id IS NULL THEN CAST(:status AS public."AIBatchRequestStatus")
        ELSE 'UPLOADING'
    END,
    "outputFileId" = :output_file_id,
    "errorFileId" = :error_file_id,
    "completedAt" = CASE
        WHEN CAST(:completed_at AS timestamptz) IS NULL THEN l."completedAt"
        ELSE greatest(CAST(:completed_at AS timestamptz), l."createdAt")
    END
FROM batch_assets.batch AS b
WHERE l.id = :batch_id AND b.id = l.id AND l.status NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')

-- name: absent
UPDATE batch_assets.batch AS b
SET absences = b.absences + 1,
    absent_since = coalesce(b.absent_since, clock_timestamp()),
    account = :account,
    lease_owner = NULL,
    lease_expires_at = NULL
WHERE b.id = :batch_id AND b.fence = :fence AND b.state IN ('claimed', 'uploaded')

-- name: external_batches
SELECT l.id
FROM public."AIBatchRequest" AS l
WHERE l.status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING', 'COMPLETED')
    AND NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = l.id)
ORDER BY l."createdAt", l.id

-- name: adopt_external
-- No installation id: it is read to the end like ours, but never cancelled and nothing is deleted.
WITH adopted AS (
    INSERT INTO batch_assets.batch
        (id, company_id, state, requests, input_file_id, openai_batch_id, server_status,
        server_status_since, claimed_at, submitted_at)
    SELECT
        l.id, l."companyId", 'submitted',
        (SELECT count(*) FROM public."AIProcessingRequest" AS r WHERE r."batchId" = l.id),
        l."inputFileId", l."openaiBatchId", 'in_progress',
        clock_timestamp(), d.made_at, d.made_at
    FROM public."AIBatchRequest" AS l
    -- here: made_at
    WHERE l.id = :batch_id
    ON CONFLICT DO NOTHING
    RETURNING id, company_id
)
INSERT INTO batch_assets.attempt (batch_id, request_id, company_id)
SELECT adopted.id, r.id, adopted.company_id
FROM adopted
JOIN public."AIProcessingRequest" AS r
    ON r."batchId" = adopted.id AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
