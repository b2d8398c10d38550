-- name: adopt
-- Batches that LiveDash's table has in a status in which LiveDash leaves none, and of which nothing is
-- here: an earlier installation has made them, whose schema was lost. How far each had come is in the
-- server's ids, which are placeholders until there are any. What is in such a batch is waited for; what
-- has left it with an answer, or failed, is counted with it, so that it is known to be read.
--
-- Whether the database that made them lives on cannot be known: so nothing of them is ever cancelled,
-- and of their files none is deleted but those of batches that are proved never to have been made.
WITH found AS MATERIALIZED (
    SELECT l.*, d.made_at
    FROM public."Company" AS c
    CROSS JOIN LATERAL (
        SELECT
            f.id, f."companyId" AS company_id, f."createdAt",
            f."openaiBatchId" AS openai_batch_id,
            nullif(f."inputFileId", 'unsent:' || f.id) AS input_file_id,
            CASE
                WHEN f."openaiBatchId" = 'live:' || f.id THEN 'ended'
                WHEN f."openaiBatchId" <> 'unsent:' || f.id THEN 'submitted'
                WHEN f."inputFileId" <> 'unsent:' || f.id THEN 'uploaded'
                ELSE 'claimed'
            END AS state
        FROM public."AIBatchRequest" AS f
        WHERE f."companyId" = c.id
            AND
            -- here: is_half_made
        OFFSET 0
    ) AS l
    -- here: made_at
), held AS MATERIALIZED (
    SELECT
        found.id AS batch_id, found.company_id, found.state, found.made_at, r.id AS request_id,
        r.model, r."totalCostEur" AS cost_eur,
        CASE
            WHEN r."completedAt" BETWEEN '0001-01-02 00:00+00' AND clock_timestamp()
                THEN r."completedAt"
        END AS completed_at,
        CASE CAST(r."processingStatus" AS text)
            WHEN 'PROCESSING_COMPLETE' THEN 'completed'
            WHEN 'PROCESSING_FAILED' THEN 'discarded'
        END AS outcome
    FROM found
    JOIN public."AIProcessingRequest" AS r ON r."batchId" = found.id
    WHERE CAST(r."processingStatus" AS text) <> 'PENDING_BATCHING'
), adopted AS (
    INSERT INTO batch_assets.batch
        (id, kind, installation_id, account, company_id, model, state, requests, completed,
        discarded, cost_eur, input_file_id, openai_batch_id, server_status, server_status_since,
        claimed_at, uploaded_at, submitted_at, ended_at, files_deleted_at)
    SELECT
        found.id,
        CASE WHEN found.state = 'ended' THEN 'synchronous' ELSE 'batch' END,
        'orphaned', 'orphaned', found.company_id, h.model, found.state, h.requests, h.completed,
        h.discarded, h.cost_eur, found.input_file_id,
        CASE WHEN found.state IN ('submitted', 'ended') THEN found.openai_batch_id END,
        CASE found.state WHEN 'submitted' THEN 'in_progress' WHEN 'ended' THEN 'synchronous' END,
        CASE WHEN found.state IN ('submitted', 'ended') THEN clock_timestamp() END,
        found.made_at,
        CASE WHEN found.state IN ('uploaded', 'submitted') THEN found.made_at END,
        CASE WHEN found.state IN ('submitted', 'ended') THEN found.made_at END,
        CASE WHEN found.state = 'ended' THEN clock_timestamp() END,
        clock_timestamp()
    FROM found
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS requests,
            count(*) FILTER (WHERE held.outcome = 'completed') AS completed,
            count(*) FILTER (WHERE held.outcome = 'discarded') AS discarded,
            coalesce(
                sum(CAST(held.cost_eur AS float8)) FILTER (WHERE held.outcome = 'completed'), 0
            ) AS cost_eur,
            max(held.model) AS model
        FROM held
        WHERE held.batch_id = found.id
    ) AS h
    ORDER BY found.made_at, found.id
    ON CONFLICT DO NOTHING
    RETURNING id
), awaited AS (
    -- What was sent synchronously cannot be looked up: whether it was called for is not known, so that it was
    -- is assumed.
    INSERT INTO batch_assets.attempt
        (batch_id, request_id, company_id, outcome, counted, cost_eur, ended_at, called_at)
    SELECT
        held.batch_id, held.request_id, held.company_id, held.outcome,
        coalesce(held.outcome = 'completed', false),
        CASE WHEN held.outcome = 'completed' THEN CAST(held.cost_eur AS float8) ELSE 0 END,
        CASE
            WHEN held.outcome IS NOT NULL THEN coalesce(held.completed_at, clock_timestamp())
        END,
        CASE WHEN held.state = 'ended' THEN held.made_at END
    FROM held
    JOIN adopted ON adopted.id = held.batch_id
)
SELECT count(*) FROM adopted

-- name: free
-- What waited for its next try there, or followed another request: it is in progress in no batch, and
-- nothing is here that would end it. Where one that asks the same is under way, it follows that one
-- again. Else nothing is under way for it, and it waits. All that is looked for once.
WITH sought AS (
    UPDATE batch_assets.installation AS i
    SET has_orphans = false
    WHERE i.has_orphans
    RETURNING i.id
), left_behind AS MATERIALIZED (
    SELECT
        r.id AS request_id, s."companyId" AS company_id, r."requestedAt" AS requested_at,
        -- here: leader_id
    FROM sought
    CROSS JOIN public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
        AND NOT EXISTS (SELECT FROM batch_assets.retry AS f WHERE f.request_id = r.id)
        AND NOT EXISTS (SELECT FROM batch_assets.follower AS w WHERE w.request_id = r.id)
        AND NOT EXISTS (
            SELECT FROM batch_assets.attempt AS a WHERE a.request_id = r.id AND a.outcome IS NULL
        )
), following AS (
    INSERT INTO batch_assets.follower (request_id, company_id, leader_id, requested_at)
    SELECT l.request_id, l.company_id, l.leader_id, l.requested_at
    FROM left_behind AS l
    WHERE l.leader_id IS NOT NULL
    ON CONFLICT (request_id) DO NOTHING
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "completedAt" = NULL
    FROM left_behind AS l
    WHERE r.id = l.request_id
        AND l.leader_id IS NULL
        AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId", l.company_id, r.model, r."requestedAt"
), staged AS (
    -- here: stage_in_progress
), waiting AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
    FROM moved
    -- here: or_entered_anew
)
SELECT count(*) FROM left_behind

-- name: are_named
-- Whether any of these batches on the server is named by a row of LiveDash's table, with both ids.
SELECT EXISTS (
    SELECT
    FROM unnest(
        (SELECT CAST(:openai_batch_ids AS text[])), (SELECT CAST(:batch_ids AS text[]))
    ) AS g (openai_batch_id, batch_id)
    JOIN public."AIBatchRequest" AS l
        ON l.id = g.batch_id AND l."openaiBatchId" = g.openai_batch_id
)

-- name: requests_of
SELECT r.id
FROM unnest((SELECT CAST(:request_ids AS text[]))) AS g (id)
JOIN public."AIProcessingRequest" AS r ON r.id = g.id
JOIN public."Session" AS s ON s.id = r."sessionId"
WHERE s."companyId" = :company_id
