-- name: company
INSERT INTO public."Company" (id, name, "csvUrl", "updatedAt")
VALUES ('company', 'Zorggroep Oost', 'https://example.com/sessions.csv', :long_ago)

-- name: sessions
INSERT INTO public."Session"
    (id, "companyId", "startTime", "endTime", "createdAt", "updatedAt", language, summary)
SELECT 's' || n, 'company', :long_ago, :long_ago, :long_ago, :long_ago, 'fr', 'Before.'
FROM generate_series(0, cardinality(CAST(:statuses AS text[])) - 1) AS n

-- name: statuses
INSERT INTO public."SessionProcessingStatus"
    (id, "sessionId", stage, status, "startedAt", "errorMessage", "retryCount")
SELECT 'p' || n, 's' || n - 1, 'AI_ANALYSIS', CAST(status AS public."ProcessingStatus"),
    :long_ago, CASE status WHEN 'FAILED' THEN 'Before.' END, 7
FROM unnest(CAST(:statuses AS text[])) WITH ORDINALITY AS g (status, n)
WHERE status IS NOT NULL

-- name: questions
INSERT INTO public."Question" (id, content)
VALUES ('q0', 'Who decides?'), ('q1', 'Only LiveDash asks this.')

-- name: questions_of_the_first_session
INSERT INTO public."SessionQuestion" (id, "sessionId", "questionId", "order")
VALUES ('a', 's0', 'q1', 0), ('b', 's0', 'q0', 1)

-- name: livedash_batches
INSERT INTO public."AIBatchRequest"
    (id, "companyId", "openaiBatchId", "inputFileId", status, "createdAt")
SELECT id, 'company', 'batch_' || id, 'file-' || id, 'COMPLETED', :long_ago
FROM unnest(ARRAY['batch', 'other']) AS id

-- name: batches
INSERT INTO batch_assets.batch
    (id, installation_id, company_id, model, state, requests, lease_owner, lease_expires_at,
    fence, openai_batch_id, input_file_id, server_status, server_status_since, claimed_at,
    submitted_at, ended_at)
SELECT id, 'installation', 'company', 'gpt-4o-mini', 'ended', 1, 'host:1', :long_ago,
    1, 'batch_' || id, 'file-' || id, 'completed', :long_ago, :long_ago, :long_ago, :long_ago
FROM unnest(ARRAY['batch', 'other']) AS id

-- name: requests
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt", "processingStatus", "batchId")
SELECT 'r' || n - 1, 's' || session, 'gpt-4o-mini', 0, 0, 0, 0, 0, 0, 'full_analysis', false,
    :long_ago, 'BATCHING_IN_PROGRESS', 'batch'
FROM unnest(CAST(:sessions AS integer[])) WITH ORDINALITY AS g (session, n)

-- name: request_of_another_batch
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt", "processingStatus", "batchId")
VALUES ('foreign', 's0', 'gpt-4o-mini', 0, 0, 0, 0, 0, 0, 'full_analysis', false,
    :long_ago, 'BATCHING_IN_PROGRESS', 'other')

-- name: attempts
INSERT INTO batch_assets.attempt (batch_id, request_id, company_id)
SELECT r."batchId", r.id, 'company' FROM public."AIProcessingRequest" AS r

-- name: earlier_batches
INSERT INTO batch_assets.batch (id, company_id, state, requests, released_at, claimed_at)
SELECT 'earlier' || n, 'company', 'released', 1, :long_ago, :long_ago
FROM generate_series(1, 3) AS n

-- name: earlier_attempts
INSERT INTO batch_assets.attempt
    (batch_id, request_id, company_id, outcome, counted, ended_at)
SELECT 'earlier' || earlier, 'r' || n - 1, 'company', 'failed', true, :long_ago
FROM unnest(CAST(:failed_before AS integer[])) WITH ORDINALITY AS g (failed_before, n)
CROSS JOIN generate_series(1, failed_before) AS earlier

-- name: reset
UPDATE public."AIProcessingRequest" SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL
WHERE id = ANY(CAST(:reset AS text[]))

-- name: finished
UPDATE public."AIProcessingRequest" SET "processingStatus" = 'PROCESSING_COMPLETE'
WHERE id = ANY(CAST(:finished AS text[]))

-- name: closed
UPDATE batch_assets.attempt SET outcome = 'failed', counted = true, ended_at = :long_ago
WHERE batch_id = 'batch' AND request_id = ANY(CAST(:closed AS text[]))

-- name: in_intake
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at, noticed_at)
SELECT id, 'company', 'before', :long_ago, :long_ago FROM unnest(CAST(:in_intake AS text[])) AS id

-- name: put_off
INSERT INTO batch_assets.retry
    (request_id, company_id, attempts, failure_kind, code, reason, failed_at, retry_at)
SELECT id, 'company', 1, 'transient', 'before', 'Before.', :long_ago, :long_ago
FROM unnest(CAST(:put_off AS text[])) AS id

-- name: given_up
INSERT INTO batch_assets.dead_letter
    (request_id, company_id, attempts, failure_kind, code, reason, dead_at)
SELECT id, 'company', 1, 'transient', 'before', 'Before.', :long_ago
FROM unnest(CAST(:put_off AS text[])) AS id

-- name: session_deleted
DELETE FROM public."Session" AS s
USING public."AIProcessingRequest" AS r
WHERE r."sessionId" = s.id AND r.id = ANY(CAST(:session_deleted AS text[]))
