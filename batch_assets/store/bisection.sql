-- name: one_split_at_a_time
-- Two groups of one refused batch could otherwise both take its last submissions.
SELECT pg_advisory_xact_lock(hashtextextended('batch_assets.bisection', 0))

-- name: refused_rows
-- The rows of refused batches in the order of their input files. A row's line is known where the upload
-- was recorded, with what was left out of the file, and no other row was lost on the way into it.
SELECT
    a.batch_id,
    a.request_id,
    a.outcome IS NULL AS is_open,
    CASE
        WHEN b.uploaded_at IS NOT NULL
            AND count(*) OVER of_batch = count(a.position) OVER of_batch
        THEN row_number() OVER (PARTITION BY a.batch_id ORDER BY a.position)
    END AS line
FROM unnest((SELECT CAST(:batch_ids AS text[]))) AS g (id)
JOIN batch_assets.batch AS b ON b.id = g.id
JOIN batch_assets.attempt AS a ON a.batch_id = b.id
WHERE a.outcome IS DISTINCT FROM 'released' AND a.shares_answer_of IS NULL
WINDOW of_batch AS (PARTITION BY a.batch_id)
ORDER BY a.batch_id, a.position, a.request_id

-- name: evidence
-- What the server has taken since it refused the batch of which this one is a group, or this one: the
-- other group, and any batch of the same model that it had taken before this one was sent. What is sent
-- together with this one proves nothing of one row: the server may have come to its senses in between.
-- Before its lines are checked a batch is not taken.
SELECT
    b.id AS batch_id,
    b.bisection_group,
    r.was_split AS is_suspected,
    coalesce(o.is_parted, false) AS is_parted,
    coalesce(o.was_taken, false) AS was_taken
FROM unnest((SELECT CAST(:batch_ids AS text[]))) AS g (id)
JOIN batch_assets.batch AS b ON b.id = g.id
JOIN batch_assets.batch AS r ON r.id = coalesce(split_part(b.bisection_group, '.', 1), b.id)
LEFT JOIN LATERAL (
    SELECT
        bool_or(
            t.root_batch_id = b.root_batch_id
            AND t.bisection_group = left(b.bisection_group, -1) || CASE right(b.bisection_group, 1) WHEN '1' THEN '2' ELSE '1' END
        ) AS is_parted,
        bool_or(coalesce(t.ended_at, t.server_status_since) <= b.submitted_at) AS was_taken
    FROM batch_assets.batch AS t
    WHERE t.claimed_at >= r.ended_at
        AND t.id <> b.id
        AND t.kind = 'batch'
        AND t.model = b.model
        AND t.installation_id = b.installation_id
        AND t.account IS NOT DISTINCT FROM b.account
        AND (
            t.server_status IN ('in_progress', 'finalizing', 'completed') OR t.server_answered > 0
        )
) AS o ON true

-- name: hold
SELECT b.id, coalesce(b.root_batch_id, b.id) AS root_batch_id
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
JOIN batch_assets.batch AS b ON b.id = g.id AND b.fence = g.fence
WHERE b.state = 'ended'
ORDER BY b.id
FOR UPDATE OF b

-- name: forget_gone
-- What no longer waits is in no group: deleted with its session, or moved by LiveDash.
DELETE FROM batch_assets.bisection_request AS q
WHERE NOT EXISTS (
    SELECT
    FROM public."AIProcessingRequest" AS r
    WHERE r.id = q.request_id
        AND CAST(r."processingStatus" AS text) IN ('PENDING_BATCHING', 'BATCHING_IN_PROGRESS')
)

-- name: submissions
-- Two for each group that was split further. What is split now does not count: a crash may have left it
-- so, and it is made anew.
SELECT b.root_batch_id, 2 * count(*) AS submissions
FROM batch_assets.batch AS b
WHERE b.root_batch_id = ANY(CAST(:root_batch_ids AS text[]))
    AND b.id <> ALL(CAST(:batch_ids AS text[]))
    AND b.was_split
GROUP BY b.root_batch_id

-- name: keep_groups
INSERT INTO batch_assets.bisection_request (request_id, company_id, bisection_group, root_batch_id)
SELECT g.request_id, b.company_id, g.bisection_group, coalesce(b.root_batch_id, b.id)
FROM unnest(
    (SELECT CAST(:request_ids AS text[])),
    (SELECT CAST(:groups AS text[])),
    (SELECT CAST(:of_batches AS text[]))
) AS g (request_id, bisection_group, batch_id)
JOIN batch_assets.batch AS b ON b.id = g.batch_id
ON CONFLICT (request_id) DO UPDATE
SET company_id = excluded.company_id,
    bisection_group = excluded.bisection_group,
    root_batch_id = excluded.root_batch_id,
    refused_at = excluded.refused_at

-- name: note_split
UPDATE batch_assets.batch AS b
SET was_split = true
WHERE b.id = ANY(CAST(:batch_ids AS text[]))

-- name: was_answered_since
-- Whether the server has answered others of the same model since it first had no room for the one
-- request of this batch. The first one is enough, and in their order they are read no further.
SELECT EXISTS (
    SELECT
    FROM batch_assets.batch AS b
    JOIN batch_assets.attempt AS a ON a.batch_id = b.id
    CROSS JOIN LATERAL (
        SELECT min(p.ended_at) AS since
        FROM batch_assets.attempt AS p
        WHERE p.request_id = a.request_id AND p.failure_kind = 'capacity' AND NOT p.requeued
    ) AS f
    CROSS JOIN LATERAL (
        SELECT
        FROM batch_assets.batch AS t
        WHERE t.claimed_at >= f.since
            AND t.id <> b.id
            AND t.kind = 'batch'
            AND t.model = b.model
            AND t.installation_id = b.installation_id
            AND t.account IS NOT DISTINCT FROM b.account
            AND t.completed > 0
            AND t.submitted_at <= b.submitted_at + interval '1 minute'
        ORDER BY t.claimed_at
        LIMIT 1
    ) AS answered
    WHERE b.id = :batch_id
)
