-- name: to_make
-- The first :most of those whose analysis is PENDING, and of these the ones with messages: sessions
-- without any take places that they do not use.
WITH first AS MATERIALIZED (
    SELECT s.id, s."companyId", s."createdAt"
    FROM public."SessionProcessingStatus" AS p
    JOIN public."Session" AS s ON s.id = p."sessionId"
    JOIN public."Company" AS c ON c.id = s."companyId"
    WHERE p.stage = 'AI_ANALYSIS' AND p.status = 'PENDING' AND c.status = 'ACTIVE'
    ORDER BY s."createdAt"
    LIMIT :most
)
SELECT f.id AS session_id, f."companyId" AS company_id
FROM first AS f
WHERE EXISTS (SELECT FROM public."Message" AS m WHERE m."sessionId" = f.id)
ORDER BY f."createdAt", f.id;

-- name: to_create_of_company
SELECT r.id, r."sessionId" AS session_id, s."companyId" AS company_id, r.model,
    r."processingType" AS processing_type
FROM public."AIProcessingRequest" AS r
JOIN public."Session" AS s ON s.id = r."sessionId"
WHERE s."companyId" = :company_id AND r."processingStatus" = 'PENDING_BATCHING'
    AND r."batchId" IS NULL
ORDER BY r."requestedAt"
LIMIT :most;

-- name: to_create_of_all
SELECT r.id, r."sessionId" AS session_id, s."companyId" AS company_id, r.model,
    r."processingType" AS processing_type
FROM public."AIProcessingRequest" AS r
JOIN public."Session" AS s ON s.id = r."sessionId"
JOIN public."Company" AS c ON c.id = s."companyId"
WHERE c.status = 'ACTIVE' AND r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL
ORDER BY r."requestedAt";

-- name: oldest_wait_seconds
-- Of all that is PENDING_BATCHING, also of what has a batch.
SELECT extract(epoch FROM clock_timestamp() - min(r."requestedAt"))::float8 AS seconds
FROM public."AIProcessingRequest" AS r
JOIN public."Session" AS s ON s.id = r."sessionId"
WHERE s."companyId" = :company_id AND r."processingStatus" = 'PENDING_BATCHING';

-- name: to_check
SELECT b.id, b."openaiBatchId" AS openai_batch_id
FROM public."AIBatchRequest" AS b
JOIN public."Company" AS c ON c.id = b."companyId"
WHERE c.status = 'ACTIVE' AND b.status IN ('IN_PROGRESS', 'VALIDATING', 'FINALIZING');

-- name: to_process
SELECT b.id, b."outputFileId" AS output_file_id
FROM public."AIBatchRequest" AS b
JOIN public."Company" AS c ON c.id = b."companyId"
WHERE c.status = 'ACTIVE' AND b.status = 'COMPLETED' AND b."outputFileId" IS NOT NULL;

-- name: to_retry
-- LiveDash asks for ten and names no order; Prisma orders by the id where a number is asked for.
SELECT r.id, r."sessionId" AS session_id, s."companyId" AS company_id, r.model,
    r."processingType" AS processing_type
FROM public."Company" AS c
CROSS JOIN LATERAL (
    SELECT q.id, q."sessionId", q.model, q."processingType"
    FROM public."AIProcessingRequest" AS q
    JOIN public."Session" AS t ON t.id = q."sessionId"
    WHERE t."companyId" = c.id AND q."processingStatus" = 'PROCESSING_FAILED'
    ORDER BY q.id
    LIMIT :most
) AS r
JOIN public."Session" AS s ON s.id = r."sessionId"
WHERE c.status = 'ACTIVE';

-- name: active_companies
SELECT c.id FROM public."Company" AS c WHERE c.status = 'ACTIVE';
