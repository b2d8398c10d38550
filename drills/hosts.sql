-- name: at_work
-- Runs that Dagster has under way, with the host that each is on.
SELECT r.run_id, CAST(t.value AS json) ->> 'host_name' AS host
FROM dagster.runs AS r
JOIN dagster.run_tags AS t ON t.run_id = r.run_id AND t.key = '.dagster/batch_assets_process'
WHERE r.status IN ('STARTED', 'STARTING', 'NOT_STARTED', 'CANCELING')

-- name: sent
-- Requests in batches that a run has made on the server.
SELECT coalesce(sum(b.requests), 0) AS requests
FROM batch_assets.batch AS b
WHERE b.run_id = :run_id AND b.submitted_at IS NOT NULL

-- name: done_elsewhere
-- What runs of other hosts have sent or read since.
SELECT b.id
FROM batch_assets.batch AS b
JOIN dagster.run_tags AS t
    ON t.run_id IN (
        CASE WHEN b.submitted_at > :since THEN b.run_id END,
        CASE WHEN b.finalized_at > :since THEN b.read_run_id END
    )
    AND t.key = '.dagster/batch_assets_process'
WHERE CAST(t.value AS json) ->> 'host_name' <> :host
LIMIT 1

-- name: now
SELECT clock_timestamp() AS now

-- name: open_requests
SELECT count(*) AS requests
FROM public."AIProcessingRequest" AS r
WHERE r."processingStatus" <> 'PROCESSING_COMPLETE'

-- name: by_host
-- How many requests the runs of each host have sent and read, and how many runs did so.
SELECT
    CAST(t.value AS json) ->> 'host_name' AS host,
    count(*) AS runs,
    coalesce(sum(s.requests), 0) AS sent,
    coalesce(sum(g.requests), 0) AS read
FROM dagster.run_tags AS t
LEFT JOIN LATERAL (
    SELECT sum(b.requests) AS requests
    FROM batch_assets.batch AS b
    WHERE b.run_id = t.run_id AND b.submitted_at IS NOT NULL
) AS s ON true
LEFT JOIN LATERAL (
    SELECT sum(r.usable_answers) AS requests
    FROM batch_assets.run_reading AS r
    WHERE r.run_id = t.run_id
) AS g ON true
WHERE t.key = '.dagster/batch_assets_process'
GROUP BY host
ORDER BY host

-- name: figures
-- What each run says that it has sent and read, beside what its batches say; `is_counted` is false of
-- one that has died before it could say anything.
SELECT
    k.run_id,
    m.run_id IS NOT NULL AS is_counted,
    m.submitted_requests AS said_sent,
    m.completed_requests AS said_read,
    (
        SELECT coalesce(sum(b.requests), 0)
        FROM batch_assets.batch AS b
        WHERE b.run_id = k.run_id AND b.submitted_at IS NOT NULL AND b.state <> 'released'
    ) AS sent,
    (
        SELECT coalesce(sum(r.usable_answers), 0)
        FROM batch_assets.run_reading AS r
        WHERE r.run_id = k.run_id
    ) AS read
FROM (
    SELECT b.run_id FROM batch_assets.batch AS b
    UNION
    SELECT r.run_id FROM batch_assets.run_reading AS r
    UNION
    SELECT m.run_id FROM batch_assets.run_metric AS m
) AS k
LEFT JOIN batch_assets.run_metric AS m ON m.run_id = k.run_id
