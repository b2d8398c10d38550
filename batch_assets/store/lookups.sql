-- name: companies
SELECT c.id, c.name, CAST(c.status AS text) AS status
FROM public."Company" AS c
WHERE c.id = :wanted OR c.name = :wanted
ORDER BY c.id
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
