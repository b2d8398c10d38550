-- part: synchronous_today
-- Each request that was claimed to be sent synchronously counts for the day, whatever became of it, but for
-- one that found no room; an estimate is at the tier that was asked for.
SELECT
    coalesce(sum(spent.requests), 0)::bigint AS requests,
    coalesce(sum(spent.cost_eur), 0) AS cost_eur
FROM batch_assets.batch AS b
-- here: spent
WHERE b.claimed_at >= date_trunc('day', CURRENT_TIMESTAMP, 'UTC') AND b.kind = 'synchronous'

-- name: today
-- here: synchronous_today

-- part: waits_for_room
-- Whether flex had no room for a failed request (f) since it was asked for (q), and its retry date is to come.
f.retry_at > statement_timestamp()
AND EXISTS (
    SELECT
    FROM batch_assets.attempt AS t
    WHERE t.request_id = f.request_id
        AND t.failure_kind = 'capacity'
        AND t.called_at > q.asked_at
)

-- name: outlook
-- Of which models requests are asked for, or are due and late; of which of these flex would be asked now;
-- and what the day has used up.
WITH wanted AS MATERIALIZED (
    SELECT r.model, w.is_put_off
    FROM (
        SELECT
            q.request_id,
            true AS is_asked,
            EXISTS (
                SELECT
                FROM batch_assets.retry AS f
                WHERE f.request_id = q.request_id
                    AND
                    -- here: waits_for_room
            ) AS is_put_off
        FROM batch_assets.synchronous_request AS q
        UNION ALL
        SELECT f.request_id, false, false
        FROM batch_assets.retry AS f
        WHERE f.retry_at <= statement_timestamp()
    ) AS w
    JOIN public."AIProcessingRequest" AS r ON r.id = w.request_id
    WHERE w.is_asked
        OR r."requestedAt"
            <= statement_timestamp() - make_interval(secs => CAST(:late_after AS float8))
)
SELECT
    d.requests,
    d.cost_eur,
    ARRAY(SELECT DISTINCT w.model FROM wanted AS w ORDER BY w.model) AS models,
    ARRAY(
        SELECT DISTINCT w.model FROM wanted AS w WHERE NOT w.is_put_off ORDER BY w.model
    ) AS models_now
FROM (
    -- here: synchronous_today
) AS d

-- name: forget_moot
-- What was asked for and needs no call any more: complete, in a batch, deleted, or failed elsewhere.
DELETE FROM batch_assets.synchronous_request AS q
WHERE NOT coalesce((
    SELECT CASE CAST(r."processingStatus" AS text)
        WHEN 'PENDING_BATCHING' THEN true
        WHEN 'PROCESSING_FAILED' THEN
            EXISTS (SELECT FROM batch_assets.dead_letter AS d WHERE d.request_id = r.id)
        WHEN 'BATCHING_IN_PROGRESS' THEN
            EXISTS (SELECT FROM batch_assets.retry AS f WHERE f.request_id = r.id)
            OR EXISTS (
                SELECT FROM batch_assets.batch AS b WHERE b.id = r."batchId" AND b.kind = 'synchronous'
            )
    END
    FROM public."AIProcessingRequest" AS r
    WHERE r.id = q.request_id
), false)

-- part: of_active_company
-- One that is served by the account that is claimed for.
AND (
    SELECT CAST(c.status AS text)
    FROM public."Session" AS s
    JOIN public."Company" AS c ON c.id = s."companyId"
    WHERE s.id = r."sessionId"
        AND coalesce(
            (
                SELECT g.account_name
                FROM batch_assets.company_account AS g
                WHERE g.company_id = c.id
            ),
            'default'
        ) = :account_name
) = 'ACTIVE'

-- part: not_passed_over
-- What earlier looks of this claim have found that cannot be sent now keeps nothing behind it waiting.
AND NOT (
    r.id = ANY(CAST(:passed_requests AS text[])) OR r.model = ANY(CAST(:passed_models AS text[]))
    OR (SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId")
        = ANY(CAST(:passed_companies AS text[]))
)

-- part: in_this_tier
-- Whether it is sent at the price that is claimed for now: by flex, or at the full one.
AND CAST(:is_flex AS boolean) = (
    r.model = ANY(CAST(:flex_models AS text[]))
    AND q.asked_at
        > statement_timestamp() - make_interval(secs => CAST(:flex_seconds AS float8))
)

-- part: open_twin
-- Another request that asks the same and is open.
(
    SELECT o.id
    FROM public."AIProcessingRequest" AS o
    WHERE
        -- here: asks_the_same
        AND (
            (
                CAST(o."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
                -- here: will_end
            )
            OR (
                CAST(o."processingStatus" AS text) = 'PENDING_BATCHING'
                AND NOT (o.success OR o."completedAt" IS NOT NULL)
            )
        )
    ORDER BY o."requestedAt", o.id
    LIMIT 1
)

-- part: asked_by_no_other
AND coalesce(
    -- here: open_twin
    , ''
) = ''

-- part: first_of_its_question
-- Of dead letters that ask the same, the one that was asked for first: the others will follow it.
AND NOT EXISTS (
    SELECT
    FROM public."AIProcessingRequest" AS o
    JOIN batch_assets.synchronous_request AS p ON p.request_id = o.id
    JOIN batch_assets.dead_letter AS e ON e.request_id = o.id
    WHERE o."sessionId" = r."sessionId"
        AND o.model = r.model
        AND o."processingType" = r."processingType"
        AND CAST(o."processingStatus" AS text) = 'PROCESSING_FAILED'
        AND (p.asked_at, p.request_id) < (q.asked_at, q.request_id)
)

-- part: last_refused_at
-- When the server last had no room for it: those come after all others, so that nobody waits behind them.
(
    SELECT max(t.called_at)
    FROM batch_assets.attempt AS t
    WHERE t.request_id = r.id AND t.failure_kind = 'capacity'
)

-- name: twins
-- Dead letters that were asked for, and ask what another request asks that is open.
SELECT
    w.request_id, w.session_id, w.company_id, w.model, w.processing_type,
    0 AS message_count, 0 AS content_bytes, w.leader_id
FROM (
    SELECT
        r.id AS request_id,
        r."sessionId" AS session_id,
        s."companyId" AS company_id,
        r.model,
        r."processingType" AS processing_type,
        -- here: open_twin
        AS leader_id
    FROM batch_assets.synchronous_request AS q
    JOIN batch_assets.dead_letter AS d ON d.request_id = q.request_id
    JOIN public."AIProcessingRequest" AS r ON r.id = q.request_id
    JOIN public."Session" AS s ON s.id = r."sessionId"
    WHERE CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
    ORDER BY q.request_id
    FOR UPDATE OF d, r SKIP LOCKED
) AS w
WHERE w.leader_id IS NOT NULL

-- name: candidates
-- What an operator has asked for, wherever it waits or has failed, longest asked first; then failed
-- requests that are due and so old that the next batch would come too late for them, oldest first. What
-- found no room before comes last, in turn.
-- An entry is locked before its request, as whoever requeues does, and what another one works on is
-- passed over: nobody waits here. The company as it is now decides. The states of rows are compared in forms
-- that no index offers, so that each is reached by its key.
WITH asked_waiting AS MATERIALIZED (
    SELECT
        r.id, r."requestedAt" AS requested_at, q.asked_at,
        -- here: last_refused_at
        AS refused_at
    FROM batch_assets.synchronous_request AS q
    JOIN public."AIProcessingRequest" AS r ON r.id = q.request_id
    WHERE coalesce(r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL, false)
        -- here: is_fresh
        -- here: in_this_tier
        -- here: of_active_company
        -- here: not_passed_over
        -- here: asked_by_no_other
    ORDER BY refused_at NULLS FIRST, q.asked_at, q.request_id
    LIMIT :limit
    FOR UPDATE OF r SKIP LOCKED
), asked_put_off AS MATERIALIZED (
    SELECT
        r.id, r."requestedAt" AS requested_at, q.asked_at,
        -- here: last_refused_at
        AS refused_at
    FROM batch_assets.synchronous_request AS q
    JOIN batch_assets.retry AS f ON f.request_id = q.request_id
    JOIN public."AIProcessingRequest" AS r ON r.id = q.request_id
    WHERE CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
        AND coalesce(r."batchId", '') = ''
        AND NOT (
            CAST(:is_flex AS boolean)
            AND
            -- here: waits_for_room
        )
        -- here: in_this_tier
        -- here: of_active_company
        -- here: not_passed_over
        -- here: asked_by_no_other
    ORDER BY refused_at NULLS FIRST, q.asked_at, q.request_id
    LIMIT :limit
    FOR UPDATE OF f, r SKIP LOCKED
), asked_dead AS MATERIALIZED (
    SELECT
        r.id, r."requestedAt" AS requested_at, q.asked_at,
        -- here: last_refused_at
        AS refused_at
    FROM batch_assets.synchronous_request AS q
    JOIN batch_assets.dead_letter AS d ON d.request_id = q.request_id
    JOIN public."AIProcessingRequest" AS r ON r.id = q.request_id
    WHERE CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
        -- here: in_this_tier
        -- here: of_active_company
        -- here: not_passed_over
        -- here: asked_by_no_other
        -- here: first_of_its_question
    ORDER BY refused_at NULLS FIRST, q.asked_at, q.request_id
    LIMIT :limit
    FOR UPDATE OF d, r SKIP LOCKED
), late AS MATERIALIZED (
    SELECT
        r.id, r."requestedAt" AS requested_at, CAST(NULL AS timestamptz) AS asked_at,
        -- here: last_refused_at
        AS refused_at
    FROM batch_assets.retry AS f
    JOIN public."AIProcessingRequest" AS r ON r.id = f.request_id
    WHERE f.retry_at <= statement_timestamp()
        AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
        AND coalesce(r."batchId", '') = ''
        AND coalesce(
            r."requestedAt"
                <= statement_timestamp() - make_interval(secs => CAST(:late_after AS float8)),
            false
        )
        AND CAST(:is_flex AS boolean) = (
            -- here: is_left_to_flex
        )
        -- here: of_active_company
        -- here: not_passed_over
        -- here: asked_by_no_other
    ORDER BY refused_at NULLS FIRST, r."requestedAt", f.request_id
    LIMIT :limit
    FOR UPDATE OF f, r SKIP LOCKED
), chosen AS (
    SELECT
        w.id, min(w.asked_at) AS asked_at, min(w.requested_at) AS requested_at,
        min(w.refused_at) AS refused_at
    FROM (
        SELECT a.id, a.requested_at, a.asked_at, a.refused_at FROM asked_waiting AS a
        UNION ALL
        SELECT a.id, a.requested_at, a.asked_at, a.refused_at FROM asked_put_off AS a
        UNION ALL
        SELECT a.id, a.requested_at, a.asked_at, a.refused_at FROM asked_dead AS a
        UNION ALL
        SELECT l.id, l.requested_at, l.asked_at, l.refused_at FROM late AS l
    ) AS w
    WHERE NOT EXISTS (SELECT FROM batch_assets.drain AS e)
    GROUP BY w.id
    ORDER BY
        min(w.refused_at) NULLS FIRST, min(w.asked_at) NULLS LAST, min(w.requested_at), w.id
    LIMIT :limit
)
SELECT
    r.id AS request_id,
    r."sessionId" AS session_id,
    (SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId") AS company_id,
    r.model,
    r."processingType" AS processing_type,
    m.message_count,
    m.content_bytes
FROM chosen AS w
JOIN public."AIProcessingRequest" AS r ON r.id = w.id
CROSS JOIN LATERAL (
    SELECT
        count(*) AS message_count,
        coalesce(sum(octet_length(m.content)), 0)::bigint AS content_bytes
    FROM public."Message" AS m
    WHERE m."sessionId" = r."sessionId"
) AS m
ORDER BY w.refused_at NULLS FIRST, w.asked_at NULLS LAST, w.requested_at, w.id

-- name: claim
-- The intents and their rows. A synchronous batch is born ended: the server will never know of it, and its
-- answers are written like those of any ended batch. LiveDash's two ids, which are NOT NULL, hold
-- what no id of the server's can be, and its status is none that LiveDash looks at.
WITH given AS (
    SELECT g.*
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])),
        (SELECT CAST(:company_ids AS text[])),
        (SELECT CAST(:models AS text[])),
        (SELECT CAST(:requests AS integer[])),
        (SELECT CAST(:tokens AS bigint[])),
        (SELECT CAST(:costs_eur AS float8[])),
        (SELECT CAST(:prices AS text[]))
    ) AS g (id, company_id, model, requests, tokens, cost_eur, price)
), told AS (
    INSERT INTO public."AIBatchRequest"
        (id, "companyId", "openaiBatchId", "inputFileId", status, "createdAt")
    SELECT g.id, g.company_id, 'live:' || g.id, 'live:' || g.id, 'PENDING', CURRENT_TIMESTAMP
    FROM given AS g
), intended AS (
    INSERT INTO batch_assets.batch
        (id, kind, installation_id, company_id, model, state, run_id, lease_owner,
        lease_expires_at, fence, requests, estimated_tokens, estimated_cost_eur, openai_batch_id,
        server_status, server_status_since, submitted_at, ended_at, price, account_name)
    SELECT
        g.id, 'synchronous', :installation_id, g.company_id, g.model, 'ended', :run_id, :owner,
        clock_timestamp() + make_interval(secs => :lease_seconds),
        1, g.requests, g.tokens, g.cost_eur, 'live:' || g.id,
        'synchronous', clock_timestamp(), clock_timestamp(), clock_timestamp(),
        CAST(g.price AS jsonb), :account_name
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
        AND (
            CAST(r."processingStatus" AS text) IN ('PENDING_BATCHING', 'PROCESSING_FAILED')
            OR (
                CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
                AND coalesce(r."batchId", '') = ''
            )
        )
    RETURNING
        r.id, r."sessionId", w.batch_id, w.company_id, w.position, w.text_bytes,
        w.estimated_cost_eur
-- here: moved_into_attempts

-- name: forget
DELETE FROM batch_assets.synchronous_request AS q
WHERE q.request_id = ANY(CAST(:request_ids AS text[]))

-- name: forget_unserved
-- What was asked for where nothing but flex may be used: of a model without it, or for too long.
DELETE FROM batch_assets.synchronous_request AS q
WHERE q.asked_at
        <= statement_timestamp() - make_interval(secs => CAST(:flex_seconds AS float8))
    OR NOT coalesce((
        SELECT r.model = ANY(CAST(:flex_models AS text[]))
        FROM public."AIProcessingRequest" AS r
        WHERE r.id = q.request_id
    ), false)

-- name: asks
SELECT q.request_id, q.company_id, q.asked_by, q.asked_at
FROM batch_assets.synchronous_request AS q
WHERE q.request_id = ANY(CAST(:request_ids AS text[]))

-- name: ask_again
-- What was asked for and found no room is still asked for, since when it was; unless it has gone meanwhile.
INSERT INTO batch_assets.synchronous_request (request_id, company_id, asked_by, asked_at)
SELECT g.request_id, g.company_id, g.asked_by, g.asked_at
FROM unnest(
    (SELECT CAST(:request_ids AS text[])), (SELECT CAST(:of_companies AS text[])),
    (SELECT CAST(:asked_by AS text[])), (SELECT CAST(:asked_at AS timestamptz[]))
) AS g (request_id, company_id, asked_by, asked_at)
ON CONFLICT (request_id) DO NOTHING

-- name: mark_called
-- Committed before the calls are made: what is not marked was never called. The lease is checked and
-- the batch locked first. A request that was deleted or moved meanwhile, or whose company was
-- suspended, is not called. What was asked for is done with this.
WITH held AS MATERIALIZED (
    SELECT b.id
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
    ) AS g (id, fence)
    JOIN batch_assets.batch AS b ON b.id = g.id AND b.fence = g.fence
    WHERE b.state = 'ended' AND b.kind = 'synchronous' AND b.lease_owner IS NOT NULL
    ORDER BY b.id
    FOR UPDATE OF b
), marked AS (
    UPDATE batch_assets.attempt AS a
    SET called_at = clock_timestamp()
    FROM held, unnest(
        (SELECT CAST(:of_batches AS text[])), (SELECT CAST(:request_ids AS text[]))
    ) AS w (batch_id, request_id)
    WHERE w.batch_id = held.id
        AND a.batch_id = w.batch_id
        AND a.request_id = w.request_id
        AND a.called_at IS NULL
        AND coalesce(a.outcome, '') = ''
        AND (
            SELECT r."batchId"
            FROM public."AIProcessingRequest" AS r
            WHERE r.id = a.request_id
                AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
        ) = a.batch_id
        AND (
            SELECT CAST(c.status AS text) FROM public."Company" AS c WHERE c.id = a.company_id
        ) = 'ACTIVE'
    RETURNING a.batch_id, a.request_id
), done AS (
    DELETE FROM batch_assets.synchronous_request AS q USING marked WHERE q.request_id = marked.request_id
)
SELECT marked.batch_id, marked.request_id FROM marked

-- name: called
-- Calls that were begun and whose outcome nobody has written.
SELECT a.batch_id, a.request_id
FROM batch_assets.attempt AS a
WHERE a.batch_id = ANY(CAST(:batch_ids AS text[]))
    AND a.called_at IS NOT NULL
    AND coalesce(a.outcome, '') = ''
ORDER BY a.batch_id, a.request_id

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
INSERT INTO batch_assets.synchronous_request (request_id, company_id, asked_by)
SELECT g.request_id, g.company_id, :asked_by
FROM unnest(
    (SELECT CAST(:request_ids AS text[])), (SELECT CAST(:of_companies AS text[]))
) AS g (request_id, company_id)
ON CONFLICT (request_id) DO NOTHING

-- name: standing
-- What was asked for and not yet called, and what was claimed to be sent synchronously today.
SELECT
    (SELECT count(*) FROM batch_assets.synchronous_request AS q) AS asked,
    d.requests AS today_requests,
    d.cost_eur AS today_cost_eur
FROM (
    -- here: synchronous_today
) AS d
