-- part: is_overtaken
-- LiveDash has moved it: in no batch, what is to be retried or follows is in progress.
coalesce((
    SELECT NOT (
        CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS' AND r."batchId" IS NULL
    )
    FROM public."AIProcessingRequest" AS r
    WHERE r.id = f.request_id
), false)

-- name: look
-- What is open (batches that are not finished, rows in a batch, retries) and what was finished in
-- the last :seconds; without a number of seconds, everything there ever was. One statement, so that
-- it sees one moment: a move is seen whole or not at all.
--
-- Rows are looked up one by one by their keys, in subqueries that no join can replace by reading
-- whole tables: rows of a batch change together, so statistics are always late.
WITH span AS MATERIALIZED (
    SELECT coalesce(
        statement_timestamp() - make_interval(secs => CAST(:seconds AS float8)), '-infinity'
    ) AS since
), looked AS MATERIALIZED (
    SELECT
        b.id, b.kind, b.company_id, b.installation_id, b.state, b.requests, b.completed, b.failed,
        b.returned, b.discarded
    FROM batch_assets.batch AS b
    WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
    UNION ALL
    SELECT
        b.id, b.kind, b.company_id, b.installation_id, b.state, b.requests, b.completed, b.failed,
        b.returned, b.discarded
    FROM batch_assets.batch AS b
    WHERE b.finalized_at >= (SELECT span.since FROM span)
    UNION ALL
    SELECT
        b.id, b.kind, b.company_id, b.installation_id, b.state, b.requests, b.completed, b.failed,
        b.returned, b.discarded
    FROM batch_assets.batch AS b
    WHERE b.released_at >= (SELECT span.since FROM span)
), lately_dead AS MATERIALIZED (
    -- With an end to the range, the planner expects few of them and takes the index.
    SELECT d.request_id
    FROM batch_assets.dead_letter AS d
    WHERE d.dead_at BETWEEN (SELECT span.since FROM span) AND 'infinity'
), tried AS MATERIALIZED (
    SELECT
        l.id AS batch_id, l.kind, l.state, l.company_id AS batch_company_id,
        l.installation_id IS NOT NULL AS is_ours,
        a.request_id, a.company_id, a.outcome, a.called_at
    FROM looked AS l
    CROSS JOIN LATERAL (
        SELECT t.request_id, t.company_id, t.outcome, t.called_at
        FROM batch_assets.attempt AS t
        WHERE t.batch_id = l.id AND t.shares_answer_of IS NULL
        OFFSET 0
    ) AS a
), open_attempts AS MATERIALIZED (
    SELECT t.batch_id, t.state, t.is_ours, t.batch_company_id, t.request_id, t.company_id
    FROM tried AS t
    WHERE t.outcome IS NULL
), in_batch AS MATERIALIZED (
    SELECT r.id, r."batchId" AS batch_id, r."sessionId" AS session_id
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
), paired AS MATERIALIZED (
    SELECT
        i.id, i.batch_id, i.session_id,
        o.request_id, o.state, o.is_ours, o.batch_company_id, o.company_id
    FROM in_batch AS i
    FULL JOIN open_attempts AS o ON o.request_id = i.id AND o.batch_id = i.batch_id
), counted AS MATERIALIZED (
    SELECT
        t.batch_id,
        count(*) FILTER (WHERE t.outcome IS NULL) AS open,
        count(*) FILTER (WHERE t.outcome = 'completed') AS completed,
        count(*) FILTER (WHERE t.outcome = 'failed') AS failed,
        count(*) FILTER (WHERE t.outcome = 'unanswered') AS unanswered,
        count(*) FILTER (WHERE t.outcome = 'discarded') AS discarded
    FROM tried AS t
    GROUP BY t.batch_id
), found AS (
    SELECT 'in_batch_without_batch' AS kind, p.id
    FROM paired AS p
    WHERE p.id IS NOT NULL
        AND p.batch_id IS NULL
        AND NOT coalesce((SELECT true FROM batch_assets.retry AS f WHERE f.request_id = p.id), false)
        AND NOT coalesce(
            (SELECT true FROM batch_assets.follower AS f WHERE f.request_id = p.id), false
        )
    UNION ALL
    -- A batch of LiveDash's that is not watched yet is none of ours.
    SELECT 'in_batch_without_attempt', p.id
    FROM paired AS p
    WHERE p.batch_id IS NOT NULL
        AND p.request_id IS NULL
        AND coalesce((SELECT true FROM batch_assets.batch AS b WHERE b.id = p.batch_id), false)
    UNION ALL
    -- Only with all there is: nothing that a run does can change it.
    SELECT 'left_by_livedash', p.id
    FROM paired AS p
    WHERE CAST(:seconds AS float8) IS NULL
        AND p.batch_id IS NOT NULL
        AND p.request_id IS NULL
        AND NOT coalesce((SELECT true FROM batch_assets.batch AS b WHERE b.id = p.batch_id), false)
        AND (
            SELECT l.status IN ('PROCESSED', 'FAILED', 'CANCELLED')
            FROM public."AIBatchRequest" AS l
            WHERE l.id = p.batch_id
        )
    UNION ALL
    -- LiveDash leaves no batch so: an earlier installation has, and its schema was lost.
    SELECT 'in_unwatched_batch', p.id
    FROM paired AS p
    WHERE CAST(:seconds AS float8) IS NULL
        AND p.batch_id IS NOT NULL
        AND p.request_id IS NULL
        AND NOT coalesce((SELECT true FROM batch_assets.batch AS b WHERE b.id = p.batch_id), false)
        AND (
            SELECT l.status IN ('PENDING', 'UPLOADING')
            FROM public."AIBatchRequest" AS l
            WHERE l.id = p.batch_id
        )
    UNION ALL
    -- A request that was deleted with its session is expected: its answer will be discarded. So is one
    -- in a batch of LiveDash's that we have answered meanwhile.
    SELECT 'attempt_without_row', p.request_id
    FROM paired AS p
    WHERE p.id IS NULL
        AND p.is_ours
        AND p.state NOT IN ('finalized', 'released')
        AND coalesce(
            (SELECT true FROM public."AIProcessingRequest" AS r WHERE r.id = p.request_id), false
        )
    UNION ALL
    SELECT 'open_in_finished_batch', p.request_id
    FROM paired AS p
    WHERE p.state IN ('finalized', 'released')
    UNION ALL
    SELECT 'of_another_company', p.id
    FROM paired AS p
    WHERE p.id IS NOT NULL
        AND p.request_id IS NOT NULL
        AND (
            p.company_id <> p.batch_company_id
            OR p.batch_company_id <> (
                SELECT s."companyId" FROM public."Session" AS s WHERE s.id = p.session_id
            )
        )
    UNION ALL
    -- Only with all there is: the planner may read everything that waits to find it.
    SELECT 'waiting_in_batch', r.id
    FROM public."AIProcessingRequest" AS r
    WHERE CAST(:seconds AS float8) IS NULL
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NOT NULL
    UNION ALL
    SELECT 'failed_without_entry', t.request_id
    FROM tried AS t
    WHERE t.outcome = 'failed'
        AND coalesce((
            SELECT CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
                AND r."batchId" = t.batch_id
            FROM public."AIProcessingRequest" AS r
            WHERE r.id = t.request_id
        ), false)
        AND NOT coalesce(
            (SELECT true FROM batch_assets.dead_letter AS d WHERE d.request_id = t.request_id),
            false
        )
    UNION ALL
    SELECT 'answered_uncalled', t.request_id
    FROM tried AS t
    WHERE t.kind = 'synchronous' AND t.outcome IN ('completed', 'failed', 'discarded') AND t.called_at IS NULL
    UNION ALL
    SELECT 'retry_and_dead', f.request_id
    FROM batch_assets.retry AS f
    WHERE coalesce(
        (SELECT true FROM batch_assets.dead_letter AS d WHERE d.request_id = f.request_id), false
    )
    UNION ALL
    SELECT 'retry_overtaken', f.request_id
    FROM batch_assets.retry AS f
    WHERE
        -- here: is_overtaken
    UNION ALL
    SELECT 'follower_overtaken', f.request_id
    FROM batch_assets.follower AS f
    WHERE
        -- here: is_overtaken
    UNION ALL
    SELECT 'leader_lost', f.request_id
    FROM batch_assets.follower AS f
    WHERE NOT coalesce((
        SELECT CAST(r."processingStatus" AS text) IN ('PENDING_BATCHING', 'BATCHING_IN_PROGRESS')
        FROM public."AIProcessingRequest" AS r
        WHERE r.id = f.leader_id
    ), false)
    UNION ALL
    SELECT 'retry_and_follows', f.request_id
    FROM batch_assets.follower AS f
    WHERE coalesce(
        (SELECT true FROM batch_assets.retry AS g WHERE g.request_id = f.request_id), false
    )
    UNION ALL
    -- Only with all there is: every session is read for it.
    SELECT 'stage_without_request', p."sessionId"
    FROM public."SessionProcessingStatus" AS p
    WHERE CAST(:seconds AS float8) IS NULL
        AND p.stage = 'AI_ANALYSIS'
        AND p.status = 'IN_PROGRESS'
        AND NOT EXISTS (
            SELECT
            FROM public."AIProcessingRequest" AS r
            WHERE r."sessionId" = p."sessionId"
                -- here: is_open
        )
    UNION ALL
    SELECT DISTINCT 'request_without_stage', r."sessionId"
    FROM public."AIProcessingRequest" AS r
    JOIN public."SessionProcessingStatus" AS p
        ON p."sessionId" = r."sessionId" AND p.stage = 'AI_ANALYSIS'
    WHERE CAST(:seconds AS float8) IS NULL
        AND p.status <> 'IN_PROGRESS'
        -- here: is_open
    UNION ALL
    SELECT 'dead_overtaken', d.request_id
    FROM lately_dead AS d
    WHERE coalesce((
        SELECT CAST(r."processingStatus" AS text) <> 'PROCESSING_FAILED'
        FROM public."AIProcessingRequest" AS r
        WHERE r.id = d.request_id
    ), false)
    UNION ALL
    -- A row that had gone when its batch was finalized ended unanswered and did not return. What a
    -- released batch held went back, and what LiveDash had done in its own was never counted.
    SELECT 'batch_counters', l.id
    FROM looked AS l
    LEFT JOIN counted AS c ON c.batch_id = l.id
    WHERE l.installation_id IS NOT NULL
        AND l.state <> 'released'
        AND (
            l.completed <> coalesce(c.completed, 0)
            OR l.failed <> coalesce(c.failed, 0)
            OR l.discarded <> coalesce(c.discarded, 0)
            OR l.returned > coalesce(c.unanswered, 0)
            OR l.requests <> coalesce(
                c.open + c.completed + c.failed + c.unanswered + c.discarded, 0
            )
        )
)
SELECT f.kind, count(*) AS things, (array_agg(f.id ORDER BY f.id))[1:20] AS ids
FROM found AS f
GROUP BY f.kind
UNION ALL
SELECT 'seen_rows_in_batch', count(*), '{}' FROM in_batch
UNION ALL
SELECT 'seen_open_attempts', count(*), '{}' FROM open_attempts
UNION ALL
SELECT 'seen_batches', count(*), '{}' FROM looked
UNION ALL
SELECT 'seen_retries', count(*), '{}' FROM batch_assets.retry AS f
UNION ALL
SELECT 'seen_followers', count(*), '{}' FROM batch_assets.follower AS f
UNION ALL
SELECT 'seen_dead_letters', count(*), '{}' FROM lately_dead

-- name: patience
-- Of a database of some age it may take longer than any other statement.
SELECT set_config('statement_timeout', '1800s', true)

-- name: buckets
-- Each bucket is counted by itself, so that a row in two of them, or in none, shows in the sum.
WITH counted AS (
    SELECT
        s."companyId" AS company_id,
        count(*) AS rows,
        -- here: counted_buckets
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    -- here: entries_of_requests
    GROUP BY s."companyId"
)
SELECT
    c.id AS company_id, c.name, q.rows, q.waiting, q.in_batch, q.follows, q.complete, q.retry,
    q.dead, q.failed_elsewhere, q.answered_before, q.failed_before
FROM counted AS q
JOIN public."Company" AS c ON c.id = q.company_id
ORDER BY q.rows DESC, c.id

-- name: rows_and_leftovers
-- What waits in the intake without need goes with a later notice; entries of requests that were
-- deleted with their sessions harm nobody.
SELECT
    (SELECT count(*) FROM public."AIProcessingRequest" AS r) AS rows,
    (
        SELECT count(*)
        FROM batch_assets.intake AS i
        LEFT JOIN public."AIProcessingRequest" AS r
            ON r.id = i.request_id AND CAST(r."processingStatus" AS text) = 'PENDING_BATCHING'
        WHERE r.id IS NULL
    ) AS intake_leftovers,
    (
        SELECT count(*)
        FROM (
            SELECT f.request_id FROM batch_assets.retry AS f
            UNION ALL
            SELECT f.request_id FROM batch_assets.follower AS f
            UNION ALL
            SELECT d.request_id FROM batch_assets.dead_letter AS d
        ) AS e
        LEFT JOIN public."AIProcessingRequest" AS r ON r.id = e.request_id
        WHERE r.id IS NULL
    ) AS entries_of_deleted
