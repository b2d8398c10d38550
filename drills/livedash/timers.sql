-- name: start_stage
-- Metadata and completedAt stay as they are.
INSERT INTO public."SessionProcessingStatus" AS p ("id", "sessionId", "stage", "status", "startedAt")
VALUES (
    :id, :session_id, CAST(:stage AS public."ProcessingStage"), 'IN_PROGRESS',
    date_trunc('milliseconds', clock_timestamp())
)
ON CONFLICT ("sessionId", "stage") DO UPDATE
SET "status" = 'IN_PROGRESS', "startedAt" = excluded."startedAt", "errorMessage" = NULL;

-- name: default_model
SELECT m.name
FROM public."CompanyAIModel" AS c
JOIN public."AIModel" AS m ON m.id = c."aiModelId"
WHERE c."companyId" = :company_id AND c."isDefault"
LIMIT 1;

-- name: make_request
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
    "processingStatus", "requestedAt"
)
VALUES (
    :id, :session_id, :model, 0, 0, 0, 0, 0, 0, 'session_analysis', false, 'PENDING_BATCHING',
    date_trunc('milliseconds', clock_timestamp())
);

-- name: insert_batch
INSERT INTO public."AIBatchRequest" (
    "id", "companyId", "openaiBatchId", "inputFileId", "status", "createdAt"
)
VALUES (
    :id, :company_id, :openai_batch_id, :input_file_id, 'IN_PROGRESS',
    date_trunc('milliseconds', clock_timestamp())
);

-- name: put_in_batch
-- Whatever became of them since they were read.
UPDATE public."AIProcessingRequest"
SET "processingStatus" = 'BATCHING_IN_PROGRESS', "batchId" = :batch_id
WHERE id = ANY(CAST(:ids AS text[]));

-- name: batch_status
UPDATE public."AIBatchRequest"
SET "status" = CAST(:status AS public."AIBatchRequestStatus"), "outputFileId" = :output_file_id,
    "errorFileId" = :error_file_id,
    "completedAt" = date_trunc('milliseconds', CAST(:completed_at AS timestamptz))
WHERE id = :id;

-- name: rows_of_batch
SELECT r."sessionId" AS session_id FROM public."AIProcessingRequest" AS r
WHERE r."batchId" = :batch_id;
