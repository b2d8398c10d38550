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
SELECT
    count(DISTINCT r."sessionId") AS sessions,
    -- here: counted_buckets
FROM public."Session" AS s
JOIN public."AIProcessingRequest" AS r ON r."sessionId" = s.id
-- here: entries_of_requests
WHERE s."companyId" = :company_id

-- name: company_money
SELECT
    coalesce(sum(b.prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(b.completion_tokens), 0)::bigint AS completion_tokens,
    coalesce(sum(b.cost_eur), 0) AS cost_eur,
    coalesce(sum(b.live_cost_eur), 0) AS live_cost_eur,
    coalesce(sum(b.unpriced), 0)::bigint AS unpriced
FROM batch_assets.batch AS b
WHERE b.company_id = :company_id
