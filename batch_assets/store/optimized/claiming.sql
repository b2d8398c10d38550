-- name: candidates
-- Company by company in the given order, each with its oldest requests first: the rows and the
-- company as they are now decide, the intake only says where to look. Of each company the models that wait are
-- found by steps from one to the next, so that nothing is read of those in a cooldown; each of the
-- others is read in its order, no further than needed. What is asked of the row itself stands in a
-- coalesce(), so that no index offers it and no statistics are asked: a row is always reached by its
-- key, from the intake.
SELECT
    c.company_id,
    w.request_id,
    w.session_id,
    w.model,
    w.processing_type,
    m.message_count,
    m.content_bytes,
    q.bisection_group,
    q.root_batch_id,
    w.leader_id,
    w.is_dated
FROM unnest(CAST(:company_ids AS text[])) AS c (company_id)
CROSS JOIN LATERAL (
    WITH RECURSIVE waiting AS (
        (
            SELECT i.model
            FROM batch_assets.intake AS i
            WHERE i.company_id = c.company_id
            ORDER BY i.model
            LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT i.model
            FROM batch_assets.intake AS i
            WHERE i.company_id = c.company_id AND i.model > waiting.model
            ORDER BY i.model
            LIMIT 1
        )
        FROM waiting
        WHERE waiting.model IS NOT NULL
    )
    SELECT o.request_id, o.session_id, o.model, o.processing_type, o.leader_id, o.is_dated
    FROM waiting
    CROSS JOIN LATERAL (
        SELECT
            r.id AS request_id,
            r."sessionId" AS session_id,
            r.model,
            r."processingType" AS processing_type,
            i.requested_at,
            -- here: is_dated
            -- here: leader_id
        FROM batch_assets.intake AS i
        JOIN public."AIProcessingRequest" AS r ON r.id = i.request_id
        WHERE i.company_id = c.company_id
            AND i.model = waiting.model
            AND (
                SELECT live.status FROM public."Company" AS live WHERE live.id = c.company_id
            ) = 'ACTIVE'
            AND r.model = i.model
            AND coalesce(
                r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL, false
            )
            -- here: is_fresh
            AND NOT coalesce(
                (
                    SELECT true
                    FROM batch_assets.attempt AS a
                    WHERE a.request_id = r.id AND a.outcome IS NULL
                    LIMIT 1
                ),
                false
            )
            AND (
                SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId"
            ) = c.company_id
            -- here: stage_is_free
        ORDER BY i.requested_at, i.request_id
        LIMIT :limit
        FOR UPDATE OF r SKIP LOCKED
    ) AS o
    WHERE waiting.model <> ALL(CAST(:models_in_cooldown AS text[]))
        AND (CAST(:only_model AS text) IS NULL OR waiting.model = CAST(:only_model AS text))
    ORDER BY o.requested_at, o.request_id
    LIMIT :limit
) AS w
CROSS JOIN LATERAL (
    SELECT
        count(*) AS message_count,
        coalesce(sum(octet_length(m.content)), 0)::bigint AS content_bytes
    FROM public."Message" AS m
    WHERE m."sessionId" = w.session_id
) AS m
LEFT JOIN LATERAL (
    SELECT s.bisection_group, s.root_batch_id
    FROM batch_assets.bisection_request AS s
    WHERE s.request_id = w.request_id
    OFFSET 0
) AS q ON true
WHERE NOT EXISTS (SELECT FROM batch_assets.drain AS d)
    AND
    -- here: account_of_company
    = :account_name
LIMIT :limit

-- name: passed_over
-- Only how many there are is asked: the intake knows, if not to the last one.
SELECT w.company_id, w.model, count(*) AS requests
FROM (
    SELECT p.company_id, p.model
    FROM unnest(CAST(:company_ids AS text[]), CAST(:models AS text[])) AS p (company_id, model)
    CROSS JOIN LATERAL (
        SELECT
        FROM batch_assets.intake AS i
        WHERE i.company_id = p.company_id
            AND i.model = p.model
            AND (
                SELECT live.status FROM public."Company" AS live WHERE live.id = p.company_id
            ) = 'ACTIVE'
        OFFSET 0
    ) AS waiting
    LIMIT :limit
) AS w
GROUP BY w.company_id, w.model

-- name: claim
-- The intents and their rows. LiveDash's two ids are NOT NULL: the placeholders can never be an id
-- of the server's. How long the arrays are is hidden from the planner, which otherwise reads a table
-- once for every row of them.
WITH given AS (
    SELECT g.*
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])),
        (SELECT CAST(:company_ids AS text[])),
        (SELECT CAST(:models AS text[])),
        (SELECT CAST(:requests AS integer[])),
        (SELECT CAST(:tokens AS bigint[])),
        (SELECT CAST(:costs_eur AS float8[])),
        (SELECT CAST(:root_batch_id AS text[])),
        (SELECT CAST(:groups AS text[])),
        (SELECT CAST(:prices AS text[])),
        (SELECT CAST(:p50_seconds AS float8[])),
        (SELECT CAST(:p90_seconds AS float8[]))
    ) AS g (
        id, company_id, model, requests, tokens, cost_eur, root_batch_id, bisection_group, price,
        p50_seconds, p90_seconds
    )
), told AS (
    INSERT INTO public."AIBatchRequest"
        (id, "companyId", "openaiBatchId", "inputFileId", status, "createdAt")
    SELECT
        g.id, g.company_id, 'unsent:' || g.id, 'unsent:' || g.id, 'PENDING', CURRENT_TIMESTAMP
    FROM given AS g
), intended AS (
    INSERT INTO batch_assets.batch
        (id, installation_id, company_id, model, state, run_id, lease_owner, lease_expires_at,
        fence, requests, estimated_tokens, estimated_cost_eur, root_batch_id, bisection_group,
        account, account_name, price, forecast_p50_seconds, forecast_p90_seconds)
    SELECT
        g.id, :installation_id, g.company_id, g.model, 'claimed', :run_id, :owner,
        clock_timestamp() + make_interval(secs => :lease_seconds),
        1, g.requests, g.tokens, g.cost_eur, g.root_batch_id, g.bisection_group, :account,
        :account_name, CAST(g.price AS jsonb), g.p50_seconds, g.p90_seconds
    FROM given AS g
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'BATCHING_IN_PROGRESS',
        "batchId" = w.batch_id,
        success = false,
        "completedAt" = NULL
    FROM unnest(
        (SELECT CAST(:request_ids AS text[])),
        (SELECT CAST(:of_batches AS text[])),
        (SELECT CAST(:of_companies AS text[])),
        (SELECT CAST(:positions AS integer[])),
        (SELECT CAST(:texts_bytes AS integer[])),
        (SELECT CAST(:row_costs_eur AS float8[]))
    ) AS w (request_id, batch_id, company_id, position, text_bytes, estimated_cost_eur)
    WHERE r.id = w.request_id
        AND coalesce(r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL, false)
    RETURNING
        r.id, r."sessionId", w.batch_id, w.company_id, w.position, w.text_bytes,
        w.estimated_cost_eur
-- here: moved_into_attempts

-- name: reject_rows
WITH moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PROCESSING_FAILED',
        success = false,
        "errorMessage" = g.reason,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt")
    FROM unnest(
        (SELECT CAST(:request_ids AS text[])),
        (SELECT CAST(:company_ids AS text[])),
        (SELECT CAST(:codes AS text[])),
        (SELECT CAST(:reasons AS text[]))
    ) AS g (request_id, company_id, code, reason)
    WHERE r.id = g.request_id
        AND coalesce(r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL, false)
    RETURNING r.id, g.company_id, g.code, g.reason
), forgotten AS (
    DELETE FROM batch_assets.intake AS i USING moved WHERE i.request_id = moved.id
), not_put_off AS (
    DELETE FROM batch_assets.retry AS f USING moved WHERE f.request_id = moved.id
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
