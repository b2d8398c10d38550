-- name: one_split_at_a_time
-- Two lots of one refused batch could otherwise both take its last submissions.
SELECT pg_advisory_xact_lock(hashtextextended('batch_assets.suspects', 0))

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

-- name: hold
SELECT b.id, coalesce(b.suspect_of, b.id) AS root_batch_id
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
JOIN batch_assets.batch AS b ON b.id = g.id AND b.fence = g.fence
WHERE b.state = 'ended'
ORDER BY b.id
FOR UPDATE OF b

-- name: forget_gone
-- What no longer waits is nobody's suspect: deleted with its session, or moved by LiveDash.
DELETE FROM batch_assets.suspect AS q
WHERE NOT EXISTS (
    SELECT
    FROM public."AIProcessingRequest" AS r
    WHERE r.id = q.request_id
        AND CAST(r."processingStatus" AS text) IN ('PENDING_BATCHING', 'BATCHING_IN_PROGRESS')
)

-- name: submissions
-- What was sent of each refused batch again, and what is about to be: lots whose rows wait, or will
-- as soon as the batch in which they were found is settled. Lots of the batches that are being split
-- now do not count: a crash may have left them, and they are made anew.
SELECT g.root_batch_id, coalesce(sent.batches, 0) + coalesce(due.lots, 0) AS submissions
FROM unnest((SELECT CAST(:root_batch_ids AS text[]))) AS g (root_batch_id)
LEFT JOIN (
    SELECT b.suspect_of, count(*) AS batches
    FROM batch_assets.batch AS b
    WHERE b.suspect_of = ANY(CAST(:root_batch_ids AS text[])) AND b.state <> 'released'
    GROUP BY b.suspect_of
) AS sent ON sent.suspect_of = g.root_batch_id
LEFT JOIN (
    SELECT q.root_batch_id, count(DISTINCT q.lot) AS lots
    FROM batch_assets.suspect AS q
    JOIN public."AIProcessingRequest" AS r ON r.id = q.request_id
    WHERE q.root_batch_id = ANY(CAST(:root_batch_ids AS text[]))
        AND q.found_in <> ALL(CAST(:batch_ids AS text[]))
        AND coalesce(r."batchId", q.found_in) = q.found_in
    GROUP BY q.root_batch_id
) AS due ON due.root_batch_id = g.root_batch_id

-- name: suspect
INSERT INTO batch_assets.suspect (request_id, company_id, lot, root_batch_id, found_in)
SELECT g.request_id, b.company_id, g.lot, coalesce(b.suspect_of, b.id), b.id
FROM unnest(
    (SELECT CAST(:request_ids AS text[])),
    (SELECT CAST(:lots AS text[])),
    (SELECT CAST(:of_batches AS text[]))
) AS g (request_id, lot, batch_id)
JOIN batch_assets.batch AS b ON b.id = g.batch_id
ON CONFLICT (request_id) DO UPDATE
SET company_id = excluded.company_id,
    lot = excluded.lot,
    root_batch_id = excluded.root_batch_id,
    found_in = excluded.found_in,
    suspected_at = excluded.suspected_at
