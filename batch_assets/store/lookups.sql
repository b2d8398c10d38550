-- name: companies
-- Names may be written in any case; who is called exactly so goes first.
SELECT
    c.id, c.name, CAST(c.status AS text) AS status, c.id = :wanted OR c.name = :wanted AS is_exact
FROM public."Company" AS c
WHERE c.id = :wanted OR lower(c.name) = lower(CAST(:wanted AS text))
ORDER BY c.id = :wanted OR c.name = :wanted DESC, c.id
LIMIT 2

-- name: company_names
SELECT c.name
FROM public."Company" AS c
ORDER BY c.name
LIMIT :limit

-- name: batches_called
-- Somebody has typed how an id begins; two are enough to say that it does not name one. It looks at
-- every batch, for one that is looked at by hand.
SELECT b.id
FROM batch_assets.batch AS b
WHERE starts_with(b.id, :beginning) OR starts_with(b.openai_batch_id, :beginning)
ORDER BY b.claimed_at DESC
LIMIT 2

-- name: batch
SELECT
    b.id,
    b.openai_batch_id,
    b.installation_id IS NOT DISTINCT FROM (
        SELECT i.id FROM batch_assets.installation AS i
    ) AS is_ours,
    b.company_id,
    (SELECT c.name FROM public."Company" AS c WHERE c.id = b.company_id) AS company,
    b.model,
    b.state,
    b.kind,
    b.server_status,
    b.server_status_since,
    b.server_errors,
    b.requests,
    (
        SELECT json_object_agg(o.outcome, o.requests)
        FROM (
            SELECT coalesce(a.outcome, 'open') AS outcome, count(*) AS requests
            FROM batch_assets.attempt AS a
            WHERE a.batch_id = b.id AND a.shares_answer_of IS NULL
            GROUP BY a.outcome
        ) AS o
    ) AS outcomes,
    (
        SELECT count(*)
        FROM batch_assets.attempt AS a
        WHERE a.batch_id = b.id AND a.shares_answer_of IS NOT NULL
    ) AS shared,
    b.estimated_tokens,
    b.prompt_tokens,
    b.completion_tokens,
    b.estimated_cost_eur,
    b.cost_eur,
    b.synchronous_cost_eur,
    b.unpriced,
    b.cost_usd,
    b.price,
    b.unattributed_usd,
    b.unattributed_eur,
    b.unattributed_is_estimated,
    b.run_id,
    b.read_run_id,
    b.claimed_at,
    b.submitted_at,
    b.cancelled_at,
    b.ended_at,
    b.finalized_at,
    b.released_at,
    g.abandoned_at,
    coalesce(g.answers, 0) AS late_answers,
    coalesce(g.wasted_cost_eur, 0) AS wasted_cost_eur
FROM batch_assets.batch AS b
LEFT JOIN batch_assets.abandoned_batch AS g ON g.batch_id = b.id
WHERE b.id = :wanted OR b.openai_batch_id = :wanted
ORDER BY b.claimed_at
LIMIT 1

-- name: open_batches
SELECT
    b.state,
    count(*) AS batches,
    sum(b.requests) AS requests,
    extract(epoch FROM clock_timestamp() - min(b.claimed_at))::float8 AS oldest_seconds,
    (array_agg(b.id ORDER BY b.claimed_at, b.id))[1] AS oldest_id,
    count(*) FILTER (WHERE b.state = 'ended' AND b.incomplete_since IS NOT NULL) AS incomplete
FROM batch_assets.batch AS b
WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
GROUP BY b.state

-- name: last_run
SELECT r.run_id, r.recorded_at
FROM batch_assets.operation_run AS r
WHERE r.run_id <> ''
ORDER BY r.recorded_at DESC
LIMIT 1

-- name: moved_by_run
SELECT r.submitted_requests, r.completed_requests, r.failed_requests, r.cost_eur
FROM batch_assets.run_metric AS r
WHERE r.run_id = :run_id

-- name: newest_rows
-- Some rows of the newest batches, whatever has become of them.
SELECT n.id AS batch_id, a.request_id
FROM (
    SELECT b.id
    FROM batch_assets.batch AS b
    ORDER BY b.claimed_at DESC
    LIMIT :batches
) AS n
CROSS JOIN LATERAL (
    SELECT a.request_id
    FROM batch_assets.attempt AS a
    WHERE a.batch_id = n.id
    ORDER BY a.request_id
    LIMIT :rows
) AS a
LIMIT :rows

-- part: dead_as_asked
WHERE (CAST(:request_ids AS text[]) IS NULL OR d.request_id = ANY(CAST(:request_ids AS text[])))
    AND (CAST(:company_id AS text) IS NULL OR d.company_id = :company_id)
    AND (CAST(:code AS text) IS NULL OR d.code = :code)
    AND (CAST(:kind AS text) IS NULL OR d.failure_kind = :kind)
    AND (CAST(:older_than AS timestamptz) IS NULL OR d.dead_at < :older_than)
    AND (CAST(:newer_than AS timestamptz) IS NULL OR d.dead_at >= :newer_than)

-- part: put_off_as_asked
-- Those whose date has come are due anyway.
WHERE f.retry_at > statement_timestamp()
    AND (CAST(:request_ids AS text[]) IS NULL OR f.request_id = ANY(CAST(:request_ids AS text[])))
    AND (CAST(:company_id AS text) IS NULL OR f.company_id = :company_id)
    AND (CAST(:code AS text) IS NULL OR f.code = :code)
    AND (CAST(:kind AS text) IS NULL OR f.failure_kind = :kind)
    AND (CAST(:older_than AS timestamptz) IS NULL OR f.failed_at < :older_than)
    AND (CAST(:newer_than AS timestamptz) IS NULL OR f.failed_at >= :newer_than)

-- part: failed_elsewhere_as_asked
-- Failed requests of which we have no entry. An attempt of ours that failed does not make one ours:
-- LiveDash may have tried it again since.
WHERE r."processingStatus" = 'PROCESSING_FAILED'
    AND (CAST(:request_ids AS text[]) IS NULL OR r.id = ANY(CAST(:request_ids AS text[])))
    AND (CAST(:company_id AS text) IS NULL OR s."companyId" = :company_id)
    AND (
        CAST(:older_than AS timestamptz) IS NULL
        OR coalesce(r."completedAt", r."requestedAt") < :older_than
    )
    AND (
        CAST(:newer_than AS timestamptz) IS NULL
        OR coalesce(r."completedAt", r."requestedAt") >= :newer_than
    )
    AND NOT EXISTS (SELECT FROM batch_assets.dead_letter AS d WHERE d.request_id = r.id)

-- part: begun_anew
-- What was tried so far does not count any more: the request has all its tries again.
), requeued AS (
    UPDATE batch_assets.attempt AS a
    SET counted = false, requeued = true
    FROM moved
    WHERE a.request_id = moved.id AND NOT a.requeued AND a.outcome = 'failed'
), waiting AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
    FROM moved
    -- here: or_entered_anew
), staged AS (
    -- here: stage_in_progress

-- name: page
-- The newest first, from the place where the page before has ended.
SELECT
    d.request_id, d.company_id, c.name AS company, d.batch_id, d.attempts, d.failure_kind, d.code,
    d.reason, d.dead_at
FROM batch_assets.dead_letter AS d
LEFT JOIN public."Company" AS c ON c.id = d.company_id
-- here: dead_as_asked
    AND (
        CAST(:before_at AS timestamptz) IS NULL
        OR (d.dead_at, d.request_id) < (CAST(:before_at AS timestamptz), :before_id)
    )
ORDER BY d.dead_at DESC, d.request_id DESC
LIMIT :limit

-- name: groups
SELECT d.company_id, c.name AS company, d.code, 'dead' AS bucket, count(*) AS requests
FROM batch_assets.dead_letter AS d
LEFT JOIN public."Company" AS c ON c.id = d.company_id
-- here: dead_as_asked
GROUP BY d.company_id, c.name, d.code
ORDER BY count(*) DESC, c.name, d.company_id, d.code

-- name: external_groups
SELECT
    s."companyId" AS company_id,
    c.name AS company,
    NULL AS code,
    'failed_elsewhere' AS bucket,
    count(*) AS requests
FROM public."AIProcessingRequest" AS r
JOIN public."Session" AS s ON s.id = r."sessionId"
JOIN public."Company" AS c ON c.id = s."companyId"
-- here: failed_elsewhere_as_asked
GROUP BY s."companyId", c.name
ORDER BY count(*) DESC, c.name, s."companyId"

-- name: retry_groups
SELECT f.company_id, c.name AS company, f.code, 'retry' AS bucket, count(*) AS requests
FROM batch_assets.retry AS f
LEFT JOIN public."Company" AS c ON c.id = f.company_id
-- here: put_off_as_asked
GROUP BY f.company_id, c.name, f.code
ORDER BY count(*) DESC, c.name, f.company_id, f.code

-- name: hasten
-- Nothing moves here: the retry stage takes what is due, and what was tried so far still counts.
UPDATE batch_assets.retry AS f
SET retry_at = statement_timestamp()
-- here: put_off_as_asked

-- name: requests
-- What is known of each of these ids, so that a wrong one can be named.
SELECT
    w.id AS request_id,
    CAST(r."processingStatus" AS text) AS status,
    c.name AS company,
    EXISTS (SELECT FROM batch_assets.dead_letter AS d WHERE d.request_id = w.id) AS is_dead,
    EXISTS (SELECT FROM batch_assets.retry AS f WHERE f.request_id = w.id)
        AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL AS is_retried,
    (SELECT f.leader_id FROM batch_assets.follower AS f WHERE f.request_id = w.id) AS leader_id
FROM unnest((SELECT CAST(:request_ids AS text[]))) AS w (id)
LEFT JOIN public."AIProcessingRequest" AS r ON r.id = w.id
LEFT JOIN public."Session" AS s ON s.id = r."sessionId"
LEFT JOIN public."Company" AS c ON c.id = s."companyId"

-- name: attempts
SELECT
    a.batch_id, b.claimed_at, a.outcome, a.counted, a.code, a.reason, a.cost_eur, a.ended_at,
    a.prompt_tokens IS NOT NULL AND a.cost_usd IS NULL AS is_unpriced,
    a.shares_answer_of
FROM batch_assets.attempt AS a
JOIN batch_assets.batch AS b ON b.id = a.batch_id
WHERE a.request_id = :request_id
ORDER BY b.claimed_at, a.batch_id

-- name: requeue
-- One set in one transaction, in the order of the ids, from where the set before has ended. A row
-- that LiveDash changed meanwhile loses only our entry.
WITH chosen AS MATERIALIZED (
    SELECT d.request_id
    FROM batch_assets.dead_letter AS d
    -- here: dead_as_asked
        AND d.request_id > :after
    ORDER BY d.request_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM batch_assets.dead_letter AS d
    USING chosen
    WHERE d.request_id = chosen.request_id
    RETURNING d.request_id, d.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL, "completedAt" = NULL
    FROM taken
    WHERE r.id = taken.request_id
        AND CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
    RETURNING r.id, r."sessionId", r.model, r."requestedAt", taken.company_id
), not_retried AS (
    DELETE FROM batch_assets.retry AS f
    USING moved
    WHERE f.request_id = moved.id
-- here: begun_anew
)
SELECT
    (SELECT max(chosen.request_id) FROM chosen) AS last,
    (SELECT count(*) FROM chosen) AS chosen,
    (SELECT count(*) FROM taken) AS taken,
    (SELECT count(*) FROM moved) AS moved

-- name: requeue_external
-- The same for failed requests of which we have no entry. They are read in the order of their dates,
-- for which there is an index, and looked up again when they are moved.
WITH read AS MATERIALIZED (
    SELECT r.id, r."requestedAt" AS requested_at, s."companyId" AS company_id
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    -- here: failed_elsewhere_as_asked
        AND r."requestedAt" >= coalesce(CAST(:after_at AS timestamptz), '-infinity')
        AND (r."requestedAt", r.id)
            > (coalesce(CAST(:after_at AS timestamptz), '-infinity'), :after)
    ORDER BY r."requestedAt", r.id
    LIMIT :limit
    FOR UPDATE OF r SKIP LOCKED
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL, "completedAt" = NULL
    FROM read
    WHERE r.id = read.id AND CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
    RETURNING r.id, r."sessionId", r.model, r."requestedAt", read.company_id
-- here: begun_anew
), ended AS (
    SELECT read.id, read.requested_at
    FROM read
    ORDER BY read.requested_at DESC, read.id DESC
    LIMIT 1
)
SELECT
    (SELECT ended.id FROM ended) AS last,
    (SELECT ended.requested_at FROM ended) AS last_at,
    (SELECT count(*) FROM read) AS chosen,
    (SELECT count(*) FROM moved) AS moved
