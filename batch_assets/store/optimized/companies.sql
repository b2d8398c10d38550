-- name: statistics
-- A failed request is ours to retry, a dead letter, or one that failed before or beside us.
WITH requests AS (
    SELECT
        s."companyId" AS company_id,
        count(DISTINCT s.id) AS sessions,
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
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    LEFT JOIN batch_assets.retry AS f ON f.request_id = r.id
    LEFT JOIN batch_assets.dead_letter AS d ON d.request_id = r.id
    GROUP BY s."companyId"
), money AS (
    SELECT
        b.company_id,
        sum(b.prompt_tokens)::bigint AS prompt_tokens,
        sum(b.completion_tokens)::bigint AS completion_tokens,
        sum(b.cost_eur) AS cost_eur,
        sum(b.live_cost_eur) AS live_cost_eur
    FROM batch_assets.batch AS b
    GROUP BY b.company_id
)
SELECT
    c.id AS company_id,
    c.name,
    c.status::text AS status,
    coalesce(q.sessions, 0) AS sessions,
    coalesce(q.waiting, 0) AS waiting,
    coalesce(q.in_batch, 0) AS in_batch,
    coalesce(q.complete, 0) AS complete,
    coalesce(q.retry, 0) AS retry,
    coalesce(q.dead, 0) AS dead,
    coalesce(q.failed_elsewhere, 0) AS failed_elsewhere,
    coalesce(m.prompt_tokens, 0) AS prompt_tokens,
    coalesce(m.completion_tokens, 0) AS completion_tokens,
    coalesce(m.cost_eur, 0) AS cost_eur,
    coalesce(m.live_cost_eur, 0) AS live_cost_eur
FROM public."Company" AS c
LEFT JOIN requests AS q ON q.company_id = c.id
LEFT JOIN money AS m ON m.company_id = c.id
ORDER BY coalesce(q.sessions, 0) DESC, c.id
