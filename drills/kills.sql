-- name: open_runs
SELECT r.run_id
FROM dagster.runs AS r
WHERE r.status IN ('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING')

-- name: open_requests
SELECT r.id
FROM public."AIProcessingRequest" AS r
WHERE r."processingStatus" <> 'PROCESSING_COMPLETE'

-- name: unsent_requests
SELECT r.id
FROM public."AIProcessingRequest" AS r
WHERE r."processingStatus" = 'PENDING_BATCHING'

-- name: company
SELECT c.id FROM public."Company" AS c WHERE c.id = :company_id
