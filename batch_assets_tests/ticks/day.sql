-- name: arrive
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
    "requestedAt"
)
VALUES (:id, :company_id, 'gpt-4o-mini', 0, 0, 0, 0, 0, 0, 'full_analysis', false, :at)

-- name: notice
WITH noticed AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT r.id, r."sessionId", r.model, r."requestedAt"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = 'PENDING_BATCHING'
    ON CONFLICT (request_id) DO NOTHING
)
INSERT INTO batch_assets.intake_progress AS p (noticed_until) VALUES (:at)
ON CONFLICT (only_row) DO UPDATE SET noticed_until = excluded.noticed_until

-- name: claim
WITH claimed AS (
    UPDATE public."AIProcessingRequest"
    SET "processingStatus" = 'BATCHING_IN_PROGRESS'
    WHERE "sessionId" = :company_id AND "processingStatus" = 'PENDING_BATCHING'
), forgotten AS (
    DELETE FROM batch_assets.intake WHERE company_id = :company_id
)
INSERT INTO batch_assets.batch (
    id, installation_id, company_id, state, requests, openai_batch_id, server_status,
    server_status_since, submitted_at
)
SELECT :id, i.id, :company_id, 'submitted', 1, :id, 'in_progress', :at, :at
FROM batch_assets.installation AS i

-- name: finalize
UPDATE batch_assets.batch
SET state = 'finalized', ended_at = :at, finalized_at = :at
WHERE id = ANY(:ids)
