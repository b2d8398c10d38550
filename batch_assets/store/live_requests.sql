-- name: choose
-- Failed requests that are to be retried or are dead, by what is said of them, and with nothing but
-- ids also those that wait; only of active companies, since nothing of others is sent.
WITH failed AS (
    SELECT
        f.request_id, f.company_id, f.code, f.failure_kind, f.failed_at,
        'BATCHING_IN_PROGRESS' AS status
    FROM batch_assets.retry AS f
    UNION ALL
    SELECT
        d.request_id, d.company_id, d.code, d.failure_kind, d.dead_at, 'PROCESSING_FAILED'
    FROM batch_assets.dead_letter AS d
), wanted AS (
    SELECT f.request_id, f.code
    FROM failed AS f
    JOIN public."AIProcessingRequest" AS r
        ON r.id = f.request_id AND CAST(r."processingStatus" AS text) = f.status
    WHERE (
            CAST(:request_ids AS text[]) IS NULL
            OR f.request_id = ANY(CAST(:request_ids AS text[]))
        )
        AND (CAST(:company_id AS text) IS NULL OR f.company_id = :company_id)
        AND (CAST(:code AS text) IS NULL OR f.code = :code)
        AND (CAST(:kind AS text) IS NULL OR f.failure_kind = :kind)
        AND (CAST(:older_than AS timestamptz) IS NULL OR f.failed_at < :older_than)
        AND (CAST(:newer_than AS timestamptz) IS NULL OR f.failed_at >= :newer_than)
    UNION ALL
    SELECT r.id, NULL
    FROM public."AIProcessingRequest" AS r
    WHERE r.id = ANY(CAST(:waiting_ids AS text[]))
        AND coalesce(r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL, false)
        -- here: is_fresh
)
SELECT
    w.request_id, s.id AS session_id, c.id AS company_id, c.name AS company, r.model,
    r."processingType" AS processing_type, m.message_count, m.content_bytes, w.code
FROM wanted AS w
JOIN public."AIProcessingRequest" AS r ON r.id = w.request_id
JOIN public."Session" AS s ON s.id = r."sessionId"
JOIN public."Company" AS c ON c.id = s."companyId" AND c.status = 'ACTIVE'
CROSS JOIN LATERAL (
    SELECT
        count(*) AS message_count,
        coalesce(sum(octet_length(m.content)), 0)::bigint AS content_bytes
    FROM public."Message" AS m
    WHERE m."sessionId" = s.id
) AS m
ORDER BY c.name, c.id, w.code NULLS LAST, w.request_id
LIMIT :limit

-- name: states
-- What is known of each of these ids, so that a wrong one can be named.
SELECT
    w.id AS request_id,
    CASE
        WHEN r."processingStatus" = 'PENDING_BATCHING' AND (r.success OR r."completedAt" IS NOT NULL)
            AND NOT EXISTS (SELECT FROM batch_assets.attempt AS t WHERE t.request_id = r.id)
            AND NOT EXISTS (SELECT FROM batch_assets.dead_letter AS t WHERE t.request_id = r.id)
        THEN CASE WHEN r.success THEN 'answered_before' ELSE 'failed_before' END
        WHEN EXISTS (SELECT FROM batch_assets.follower AS f WHERE f.request_id = w.id)
        THEN 'follows'
        ELSE CAST(r."processingStatus" AS text)
    END AS status,
    r."batchId" IS NOT NULL AS is_in_batch,
    coalesce(c.status = 'ACTIVE', false) AS is_active,
    EXISTS (SELECT FROM batch_assets.dead_letter AS d WHERE d.request_id = w.id)
        OR EXISTS (SELECT FROM batch_assets.retry AS f WHERE f.request_id = w.id) AS is_ours
FROM unnest((SELECT CAST(:request_ids AS text[]))) AS w (id)
LEFT JOIN public."AIProcessingRequest" AS r ON r.id = w.id
LEFT JOIN public."Session" AS s ON s.id = r."sessionId"
LEFT JOIN public."Company" AS c ON c.id = s."companyId"

-- name: ask
-- Who asked first stays.
INSERT INTO batch_assets.live_request (request_id, company_id, asked_by)
SELECT g.request_id, g.company_id, :asked_by
FROM unnest(
    (SELECT CAST(:request_ids AS text[])), (SELECT CAST(:of_companies AS text[]))
) AS g (request_id, company_id)
ON CONFLICT (request_id) DO NOTHING

-- name: standing
-- What was asked for and not yet called, and what was claimed to be sent live today.
SELECT
    (SELECT count(*) FROM batch_assets.live_request AS q) AS asked,
    coalesce(sum(b.requests), 0)::bigint AS today_requests,
    coalesce(sum(b.estimated_cost_eur), 0) AS today_cost_eur
FROM batch_assets.batch AS b
WHERE b.claimed_at >= date_trunc('day', CURRENT_TIMESTAMP, 'UTC') AND b.kind = 'live'
