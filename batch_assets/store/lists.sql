-- What people list, the newest first.

-- name: batches
SELECT
    b.id,
    coalesce(b.openai_batch_id, '') AS openai_batch_id,
    b.company_id,
    coalesce(c.name, b.company_id) AS company,
    coalesce(b.model, '') AS model,
    b.state,
    coalesce(b.server_status, '') AS server_status,
    b.kind,
    b.requests,
    b.completed,
    b.failed,
    b.cost_eur,
    b.estimated_cost_eur,
    b.run_id,
    b.claimed_at,
    b.ended_at
FROM batch_assets.batch AS b
LEFT JOIN public."Company" AS c ON c.id = b.company_id
WHERE (CAST(:company_id AS text) IS NULL OR b.company_id = :company_id)
    AND (CAST(:states AS text[]) IS NULL OR b.state = ANY(CAST(:states AS text[])))
    AND (CAST(:since AS timestamptz) IS NULL OR b.claimed_at >= :since)
ORDER BY b.claimed_at DESC, b.id DESC
LIMIT :limit

-- name: companies
-- Each with the moment at which something was sent for it last.
SELECT c.id, c.name, CAST(c.status AS text) AS status, s.sent_at
FROM public."Company" AS c
LEFT JOIN LATERAL (
    SELECT b.claimed_at AS sent_at
    FROM batch_assets.batch AS b
    WHERE b.company_id = c.id
    ORDER BY b.claimed_at DESC
    LIMIT 1
) AS s ON true
WHERE (CAST(:company_id AS text) IS NULL OR c.id = :company_id)
    AND (CAST(:status AS text) IS NULL OR CAST(c.status AS text) = :status)
    AND (CAST(:since AS timestamptz) IS NULL OR s.sent_at >= :since)
ORDER BY c.name, c.id

-- name: runs_of
-- The runs that have sent something for a company, or read it.
SELECT b.run_id FROM batch_assets.batch AS b WHERE b.company_id = :company_id AND b.run_id <> ''
UNION
SELECT b.read_run_id
FROM batch_assets.batch AS b
WHERE b.company_id = :company_id AND b.read_run_id <> ''

-- name: alerts
SELECT a.name, a.is_raised, a.severity, a.summary, a.since
FROM batch_assets.alert AS a
ORDER BY a.is_raised DESC, a.since DESC, a.name

-- name: behind
-- The active companies whose oldest request has waited longest, of what runs have noticed.
SELECT
    w.company_id,
    w.company,
    w.requests,
    extract(epoch FROM clock_timestamp() - w.oldest_at)::float8 AS oldest_wait_seconds
FROM (
    SELECT c.id AS company_id, c.name AS company, count(*) AS requests, min(i.requested_at) AS oldest_at
    FROM batch_assets.intake AS i
    JOIN public."Company" AS c ON c.id = i.company_id
    WHERE CAST(c.status AS text) = 'ACTIVE'
    GROUP BY c.id, c.name
    ORDER BY min(i.requested_at), c.id
    LIMIT :limit
) AS w
ORDER BY w.oldest_at, w.company_id
