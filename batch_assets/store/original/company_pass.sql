-- name: claimed_today
-- Batches of LiveDash's own are watched, not claimed: they count for nothing here.
SELECT
    coalesce(sum(spent.requests), 0)::bigint AS day_requests,
    coalesce(sum(spent.cost_eur), 0) AS day_cost_eur,
    coalesce(sum(spent.requests) FILTER (WHERE b.company_id = :company_id), 0)::bigint
        AS company_day_requests,
    coalesce(sum(spent.cost_eur) FILTER (WHERE b.company_id = :company_id), 0)
        AS company_day_cost_eur,
    -- here: budgets
    AS budgets,
    -- here: created_this_hour
    -- here: allowances
FROM batch_assets.batch AS b
-- here: spent
WHERE b.claimed_at >= date_trunc('day', CURRENT_TIMESTAMP, 'UTC')
    AND b.installation_id IS NOT NULL

-- name: enqueued_tokens
SELECT b.model, sum(b.estimated_tokens)::bigint AS tokens
FROM batch_assets.batch AS b
WHERE b.state IN ('claimed', 'uploaded', 'submitted')
    AND b.account_name = :account_name
    AND b.model IS NOT NULL
GROUP BY b.model

-- name: models_in_cooldown
SELECT p.model, p.reason
FROM batch_assets.model_cooldown AS p
WHERE p.account_name = :account_name AND p.until > clock_timestamp()

-- name: candidates
-- The rows and the company as they are now decide: the intake only says where to look.
SELECT
    w.request_id,
    w.session_id,
    w.company_id,
    w.model,
    w.processing_type,
    m.message_count,
    m.content_bytes,
    q.bisection_group,
    q.root_batch_id,
    w.leader_id,
    w.is_dated
FROM (
    SELECT
        r.id AS request_id,
        s.id AS session_id,
        s."companyId" AS company_id,
        r.model,
        r."processingType" AS processing_type,
        i.requested_at,
        -- here: is_dated
        -- here: leader_id
    FROM batch_assets.intake AS i
    JOIN public."AIProcessingRequest" AS r ON r.id = i.request_id
    JOIN public."Session" AS s ON s.id = r."sessionId" AND s."companyId" = i.company_id
    JOIN public."Company" AS c ON c.id = s."companyId"
    WHERE i.company_id = :company_id
        AND c.status = 'ACTIVE'
        AND coalesce(
            (
                SELECT g.account_name
                FROM batch_assets.company_account AS g
                WHERE g.company_id = i.company_id
            ),
            'default'
        ) = :account_name
        AND NOT EXISTS (SELECT FROM batch_assets.drain AS d)
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
        -- here: is_fresh
        AND NOT EXISTS (
            SELECT FROM batch_assets.attempt AS a WHERE a.request_id = r.id AND a.outcome IS NULL
        )
        AND r.model = i.model
        AND i.model <> ALL(:models_in_cooldown)
        AND (CAST(:only_model AS text) IS NULL OR i.model = CAST(:only_model AS text))
        -- here: stage_is_free
    ORDER BY i.requested_at, i.request_id
    LIMIT :limit
    FOR UPDATE OF r SKIP LOCKED
) AS w
CROSS JOIN LATERAL (
    SELECT
        count(*) AS message_count,
        coalesce(sum(octet_length(m.content)), 0)::bigint AS content_bytes
    FROM public."Message" AS m
    WHERE m."sessionId" = w.session_id
) AS m
LEFT JOIN batch_assets.bisection_request AS q ON q.request_id = w.request_id
ORDER BY w.requested_at, w.request_id

-- name: passed_over
-- Only how many there are is asked: the intake knows, if not to the last one.
SELECT count(*) AS requests
FROM (
    SELECT i.request_id
    FROM batch_assets.intake AS i
    JOIN public."Company" AS c ON c.id = i.company_id
    WHERE i.company_id = :company_id AND i.model = :model AND c.status = 'ACTIVE'
    LIMIT :limit
) AS w
