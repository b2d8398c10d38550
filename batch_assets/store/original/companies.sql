-- name: active_companies
SELECT c.id, c.name
FROM public."Company" AS c
WHERE c.status = 'ACTIVE'
ORDER BY c.id

-- name: model_prices
-- The price in effect now; of two that overlap the later one.
SELECT DISTINCT ON (m.name)
    m.name,
    p."promptTokenCost" AS prompt,
    p."completionTokenCost" AS completion
FROM public."AIModel" AS m
JOIN public."AIModelPricing" AS p ON p."aiModelId" = m.id
WHERE p."effectiveFrom" <= CURRENT_TIMESTAMP
    AND (p."effectiveUntil" IS NULL OR p."effectiveUntil" > CURRENT_TIMESTAMP)
ORDER BY m.name, p."effectiveFrom" DESC

-- name: all_companies
SELECT c.id, c.name, c.status::text AS status
FROM public."Company" AS c
ORDER BY c.id

-- name: company_requests
-- A failed request is ours to retry, a dead letter, or one that failed before or beside us.
SELECT
    count(DISTINCT r."sessionId") AS sessions,
    count(*) FILTER (WHERE r."processingStatus" = 'PENDING_BATCHING') AS waiting,
    count(*) FILTER (WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS') AS in_batch,
    count(*) FILTER (WHERE r."processingStatus" = 'PROCESSING_COMPLETE') AS complete,
    count(*) FILTER (
        WHERE r."processingStatus" = 'PROCESSING_FAILED' AND f.request_id IS NOT NULL
    ) AS retry,
    count(*) FILTER (
        WHERE r."processingStatus" = 'PROCESSING_FAILED' AND d.request_id IS NOT NULL
    ) AS dead,
    count(*) FILTER (
        WHERE r."processingStatus" = 'PROCESSING_FAILED'
            AND f.request_id IS NULL AND d.request_id IS NULL
    ) AS failed_elsewhere
FROM public."Session" AS s
JOIN public."AIProcessingRequest" AS r ON r."sessionId" = s.id
LEFT JOIN batch_assets.retry AS f ON f.request_id = r.id
LEFT JOIN batch_assets.dead_letter AS d ON d.request_id = r.id
WHERE s."companyId" = :company_id

-- name: company_money
SELECT
    coalesce(sum(b.prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(b.completion_tokens), 0)::bigint AS completion_tokens,
    coalesce(sum(b.cost_eur), 0) AS cost_eur,
    coalesce(sum(b.live_cost_eur), 0) AS live_cost_eur
FROM batch_assets.batch AS b
WHERE b.company_id = :company_id
