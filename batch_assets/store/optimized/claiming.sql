-- name: forget_gone
-- What LiveDash took back, deleted or finished itself no longer waits for us.
DELETE FROM batch_assets.intake AS i
WHERE i.company_id = ANY(CAST(:company_ids AS text[]))
    AND NOT EXISTS (
        SELECT
        FROM public."AIProcessingRequest" AS r
        JOIN public."Session" AS s ON s.id = r."sessionId"
        WHERE r.id = i.request_id
            AND s."companyId" = i.company_id
            AND r."processingStatus" = 'PENDING_BATCHING'
            AND r."batchId" IS NULL
    )

-- name: notice_pending
INSERT INTO batch_assets.intake (request_id, company_id, requested_at)
SELECT fresh.id, c.company_id, fresh."requestedAt"
FROM unnest(CAST(:company_ids AS text[])) AS c (company_id)
CROSS JOIN LATERAL (
    SELECT r.id, r."requestedAt"
    FROM public."Session" AS s
    JOIN public."AIProcessingRequest" AS r ON r."sessionId" = s.id
    WHERE s."companyId" = c.company_id
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
        AND NOT EXISTS (SELECT FROM batch_assets.intake AS i WHERE i.request_id = r.id)
    ORDER BY r."requestedAt", r.id
    LIMIT :limit
) AS fresh
ON CONFLICT (request_id) DO NOTHING

-- name: pending_by_company
SELECT
    i.company_id,
    count(*) AS requests,
    extract(epoch FROM clock_timestamp() - min(i.requested_at))::float8 AS oldest_wait_seconds
FROM batch_assets.intake AS i
WHERE i.company_id = ANY(CAST(:company_ids AS text[]))
GROUP BY i.company_id
ORDER BY min(i.requested_at)

-- name: candidates
-- Company by company in the given order, each with its oldest requests first: the live rows and the
-- live company decide, the intake only says where to look. A model that rests is passed over.
SELECT
    c.company_id,
    w.request_id,
    w.session_id,
    w.model,
    w.processing_type,
    w.message_count,
    w.content_bytes
FROM unnest(CAST(:company_ids AS text[])) WITH ORDINALITY AS c (company_id, position)
CROSS JOIN LATERAL (
    SELECT
        r.id AS request_id,
        s.id AS session_id,
        r.model,
        r."processingType" AS processing_type,
        m.message_count,
        m.content_bytes
    FROM batch_assets.intake AS i
    JOIN public."AIProcessingRequest" AS r ON r.id = i.request_id
    JOIN public."Session" AS s ON s.id = r."sessionId" AND s."companyId" = i.company_id
    JOIN public."Company" AS live ON live.id = s."companyId"
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS message_count,
            coalesce(sum(octet_length(m.content)), 0)::bigint AS content_bytes
        FROM public."Message" AS m
        WHERE m."sessionId" = s.id
    ) AS m
    WHERE i.company_id = c.company_id
        AND live.status = 'ACTIVE'
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
        AND NOT EXISTS (
            SELECT
            FROM unnest(CAST(:resting_companies AS text[]), CAST(:resting_models AS text[]))
                AS p (company_id, model)
            WHERE p.company_id = c.company_id AND p.model = r.model
        )
    ORDER BY i.requested_at, i.request_id
    LIMIT :limit
    FOR UPDATE OF r SKIP LOCKED
) AS w
LIMIT :limit

-- name: used
-- What caps, allowances and rests depend on, in one row. Batches of LiveDash's own count for nothing.
SELECT
    (
        SELECT coalesce(json_object_agg(t.company_id, json_build_array(t.requests, t.cost)), '{}')
        FROM (
            SELECT b.company_id, sum(b.requests) AS requests, sum(b.estimated_cost_eur) AS cost
            FROM batch_assets.batch AS b
            WHERE b.claimed_at >= date_trunc('day', CURRENT_TIMESTAMP, 'UTC')
                AND b.state <> 'released'
                AND b.installation_id IS NOT NULL
            GROUP BY b.company_id
        ) AS t
    ) AS today,
    (
        SELECT coalesce(json_object_agg(q.model, q.tokens), '{}')
        FROM (
            SELECT b.model, sum(b.estimated_tokens) AS tokens
            FROM batch_assets.batch AS b
            WHERE b.state IN ('claimed', 'uploaded', 'submitted') AND b.model IS NOT NULL
            GROUP BY b.model
        ) AS q
    ) AS enqueued,
    (
        SELECT coalesce(json_object_agg(p.model, p.reason), '{}')
        FROM batch_assets.model_pause AS p
        WHERE p.until > clock_timestamp()
    ) AS paused

-- name: resting
SELECT i.company_id, r.model, count(*) AS requests
FROM unnest(CAST(:resting_companies AS text[]), CAST(:resting_models AS text[]))
    AS p (company_id, model)
JOIN batch_assets.intake AS i ON i.company_id = p.company_id
JOIN public."AIProcessingRequest" AS r ON r.id = i.request_id AND r.model = p.model
JOIN public."Session" AS s ON s.id = r."sessionId" AND s."companyId" = i.company_id
JOIN public."Company" AS c ON c.id = s."companyId"
WHERE c.status = 'ACTIVE'
    AND r."processingStatus" = 'PENDING_BATCHING'
    AND r."batchId" IS NULL
GROUP BY i.company_id, r.model

-- name: insert_batches
-- LiveDash's two ids are NOT NULL: the placeholders can never be an id of the server's.
WITH given AS (
    SELECT g.*
    FROM unnest(
        CAST(:batch_ids AS text[]), CAST(:company_ids AS text[]), CAST(:models AS text[]),
        CAST(:requests AS integer[]), CAST(:tokens AS bigint[]), CAST(:costs_eur AS float8[])
    ) AS g (id, company_id, model, requests, tokens, cost_eur)
), told AS (
    INSERT INTO public."AIBatchRequest"
        (id, "companyId", "openaiBatchId", "inputFileId", status, "createdAt")
    SELECT
        g.id, g.company_id, 'unsent:' || g.id, 'unsent:' || g.id, 'PENDING', CURRENT_TIMESTAMP
    FROM given AS g
)
INSERT INTO batch_assets.batch
    (id, installation_id, company_id, model, state, run_id, lease_owner, lease_expires_at, fence,
    requests, estimated_tokens, estimated_cost_eur)
SELECT
    g.id, :installation_id, g.company_id, g.model, 'claimed', :run_id, :owner,
    clock_timestamp() + make_interval(secs => :lease_seconds), 1,
    g.requests, g.tokens, g.cost_eur
FROM given AS g

-- name: claim_rows
-- LiveDash may have reset rows that we had given up or put off: each is in one bucket only.
WITH given AS (
    SELECT g.*
    FROM unnest(
        CAST(:request_ids AS text[]), CAST(:of_batches AS text[]), CAST(:of_companies AS text[])
    ) AS g (request_id, batch_id, company_id)
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'BATCHING_IN_PROGRESS', "batchId" = g.batch_id
    FROM given AS g
    WHERE r.id = g.request_id
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId", g.batch_id, g.company_id
), forgotten AS (
    DELETE FROM batch_assets.intake AS i USING moved WHERE i.request_id = moved.id
), not_put_off AS (
    DELETE FROM batch_assets.retry AS f USING moved WHERE f.request_id = moved.id
), not_dead AS (
    DELETE FROM batch_assets.dead_letter AS d USING moved WHERE d.request_id = moved.id
), begun AS (
    INSERT INTO public."SessionProcessingStatus" AS p
        (id, "sessionId", stage, status, "startedAt", "completedAt", "errorMessage")
    SELECT
        gen_random_uuid()::text, s.id, 'AI_ANALYSIS', 'IN_PROGRESS', CURRENT_TIMESTAMP, NULL, NULL
    FROM (SELECT DISTINCT moved."sessionId" AS id FROM moved) AS s
    ON CONFLICT ("sessionId", stage) DO UPDATE
    SET status = excluded.status,
        "startedAt" = excluded."startedAt",
        "completedAt" = NULL,
        "errorMessage" = NULL
)
INSERT INTO batch_assets.attempt (batch_id, request_id, company_id)
SELECT moved.batch_id, moved.id, moved.company_id
FROM moved

-- name: reject_rows
WITH given AS (
    SELECT g.*
    FROM unnest(
        CAST(:request_ids AS text[]), CAST(:company_ids AS text[]), CAST(:codes AS text[]),
        CAST(:reasons AS text[])
    ) AS g (request_id, company_id, code, reason)
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PROCESSING_FAILED',
        success = false,
        "errorMessage" = g.reason,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt")
    FROM given AS g
    WHERE r.id = g.request_id
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId", r."requestedAt", g.company_id, g.code, g.reason
), forgotten AS (
    DELETE FROM batch_assets.intake AS i USING moved WHERE i.request_id = moved.id
), not_put_off AS (
    DELETE FROM batch_assets.retry AS f USING moved WHERE f.request_id = moved.id
), failed AS (
    INSERT INTO public."SessionProcessingStatus" AS p
        (id, "sessionId", stage, status, "completedAt", "errorMessage", "retryCount")
    SELECT
        gen_random_uuid()::text, s."sessionId", 'AI_ANALYSIS', 'FAILED', CURRENT_TIMESTAMP,
        s.reason, 0
    FROM (
        SELECT DISTINCT ON (moved."sessionId") moved."sessionId", moved.reason
        FROM moved
        ORDER BY moved."sessionId", moved."requestedAt" DESC, moved.id DESC
    ) AS s
    ON CONFLICT ("sessionId", stage) DO UPDATE
    SET status = excluded.status,
        "completedAt" = excluded."completedAt",
        "errorMessage" = excluded."errorMessage"
)
INSERT INTO batch_assets.dead_letter
    (request_id, company_id, attempts, failure_kind, code, reason)
SELECT moved.id, moved.company_id, 0, 'permanent', moved.code, moved.reason
FROM moved
ON CONFLICT (request_id) DO UPDATE
SET batch_id = excluded.batch_id,
    attempts = excluded.attempts,
    failure_kind = excluded.failure_kind,
    code = excluded.code,
    reason = excluded.reason,
    dead_at = excluded.dead_at

-- name: conversations
-- The requests are put in order before their messages are joined, so that nothing large is sorted.
SELECT
    h.request_id,
    h.session_id,
    h.model,
    h.processing_type,
    m.roles,
    m.contents
FROM (
    SELECT
        r.id AS request_id,
        r."sessionId" AS session_id,
        r.model,
        r."processingType" AS processing_type,
        r."requestedAt" AS requested_at
    FROM batch_assets.attempt AS a
    JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
    WHERE a.batch_id = :batch_id AND a.outcome IS NULL
    ORDER BY r."requestedAt", r.id
) AS h
CROSS JOIN LATERAL (
    SELECT
        array_agg(m.role::text ORDER BY m."order") AS roles,
        array_agg(m.content ORDER BY m."order") AS contents
    FROM public."Message" AS m
    WHERE m."sessionId" = h.session_id
) AS m
ORDER BY h.requested_at, h.request_id
