-- name: past_batches
SELECT t.model, t.requests, t.age_seconds, t.seconds, t.has_ended
FROM (
    -- here: past_batches
) AS t

-- name: settled
-- Of the batches that were read last, by company and model: what their requests were billed at, whether or
-- not an answer was read. What somebody has not counted, or has no price, tells nothing.
SELECT
    s.company_id,
    s.model,
    sum(s.requests)::bigint AS requests,
    sum(s.cost_eur + s.unattributed_eur) AS cost_eur
FROM (
    SELECT b.company_id, b.model, b.requests, b.cost_eur, b.unattributed_eur, b.unpriced
    FROM batch_assets.batch AS b
    WHERE b.finalized_at > statement_timestamp() - interval '30 days'
        AND b.kind = 'batch'
        AND b.installation_id IS NOT NULL
        AND b.server_status = 'completed'
    ORDER BY b.finalized_at DESC
    LIMIT 2000
) AS s
WHERE s.unpriced = 0 AND s.model IS NOT NULL
GROUP BY s.company_id, s.model

-- name: open
-- What seems to lie in the future was sent before a clock was put back: it is of now.
SELECT
    b.company_id,
    b.model,
    b.requests AS size,
    b.requests - b.completed - b.failed - b.returned - b.discarded AS requests,
    b.state <> 'ended' AS is_running,
    greatest(
        coalesce(extract(epoch FROM statement_timestamp() - b.submitted_at), 0), 0
    )::float8 AS age_seconds,
    greatest(d.today - (b.claimed_at AT TIME ZONE 'UTC')::date, 0) AS days_old,
    b.cost_eur,
    CASE WHEN b.price IS NOT NULL THEN
        -- here: open_eur
    END AS estimate_eur
FROM batch_assets.batch AS b
CROSS JOIN (SELECT (statement_timestamp() AT TIME ZONE 'UTC')::date AS today) AS d
WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended') AND b.kind = 'batch'

-- name: waiting
SELECT
    c.id AS company_id,
    r.model,
    count(*) AS requests,
    coalesce(
        extract(
            epoch FROM statement_timestamp() - min(r."requestedAt") FILTER (
                WHERE r."requestedAt" BETWEEN '0001-01-02 00:00+00' AND statement_timestamp()
            )
        ),
        0
    )::float8 AS oldest_wait_seconds
FROM public."AIProcessingRequest" AS r
JOIN public."Session" AS s ON s.id = r."sessionId"
JOIN public."Company" AS c ON c.id = s."companyId" AND c.status = 'ACTIVE'
WHERE r."processingStatus" = 'PENDING_BATCHING'
    AND r."batchId" IS NULL
    -- here: is_fresh
GROUP BY c.id, r.model

-- name: sizes
-- What waits of some models, by how long its conversation is.
SELECT w.company_id, w.model, w.processing_type, m.message_count, m.content_bytes, count(*) AS requests
FROM (
    SELECT c.id AS company_id, r.model, r."processingType" AS processing_type, s.id AS session_id
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    JOIN public."Company" AS c ON c.id = s."companyId" AND c.status = 'ACTIVE'
    WHERE r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
        AND r.model = ANY(CAST(:models AS text[]))
        -- here: is_fresh
    LIMIT :most
) AS w
CROSS JOIN LATERAL (
    SELECT
        count(*) AS message_count,
        coalesce(sum(octet_length(m.content)), 0)::bigint AS content_bytes
    FROM public."Message" AS m
    WHERE m."sessionId" = w.session_id
) AS m
GROUP BY 1, 2, 3, 4, 5

-- name: budgets
SELECT
    -- here: budgets
    AS budgets

-- name: used_today
-- What counts against the day's caps, as a claim sums it up.
SELECT b.company_id, sum(spent.requests)::float8 AS requests, sum(spent.cost_eur) AS cost_eur
FROM batch_assets.batch AS b
-- here: spent
WHERE b.claimed_at >= date_trunc('day', statement_timestamp(), 'UTC')
    AND b.installation_id IS NOT NULL
GROUP BY b.company_id

-- name: today
-- By the database's clock, and since when there are batches.
SELECT
    (statement_timestamp() AT TIME ZONE 'UTC')::date AS today,
    (
        SELECT (b.claimed_at AT TIME ZONE 'UTC')::date
        FROM batch_assets.batch AS b
        ORDER BY b.claimed_at
        LIMIT 1
    ) AS first_day

-- name: days
-- What each company's batches have cost that are finished, by the UTC day on which they were claimed: of
-- four weeks, or since the month began if that is longer ago. The sums of days are kept; batches are read
-- that are in none.
WITH since AS (
    SELECT least(
        date_trunc('day', statement_timestamp(), 'UTC') - interval '28 days',
        date_trunc('month', statement_timestamp(), 'UTC')
    ) AS moment
)
SELECT d.company_id, d.day, sum(d.cost_eur) AS cost_eur
FROM (
    SELECT k.company_id, k.day, k.spent_eur AS cost_eur
    FROM batch_assets.daily_cost AS k
    WHERE k.day >= (SELECT (s.moment AT TIME ZONE 'UTC')::date FROM since AS s)
    UNION ALL
    SELECT b.company_id, (b.claimed_at AT TIME ZONE 'UTC')::date AS day, spent.cost_eur
    FROM batch_assets.batch AS b
    -- here: spent
    WHERE NOT b.is_kept
        AND b.installation_id IS NOT NULL
        AND b.claimed_at >= (SELECT s.moment FROM since AS s)
        AND b.state IN ('finalized', 'released')
) AS d
GROUP BY d.company_id, d.day
HAVING sum(d.cost_eur) > 0

-- name: later
-- What was claimed after the time of day that it is now: on each of the last seven days, and on the days
-- of the same name of four weeks. What is still open counts as it is estimated.
SELECT
    o.company_id,
    d.day,
    sum(o.cost_eur) AS cost_eur
FROM (
    SELECT
        (statement_timestamp() AT TIME ZONE 'UTC')::date - n AS day,
        statement_timestamp() - make_interval(days => n) AS from_moment,
        date_trunc('day', statement_timestamp(), 'UTC') - make_interval(days => n - 1) AS to_moment
    FROM unnest(ARRAY[1, 2, 3, 4, 5, 6, 7, 14, 21, 28]) AS n
) AS d
CROSS JOIN LATERAL (
    SELECT b.company_id, spent.cost_eur
    FROM batch_assets.batch AS b
    -- here: spent
    WHERE b.claimed_at >= d.from_moment AND b.claimed_at < d.to_moment
    OFFSET 0
) AS o
GROUP BY o.company_id, d.day
HAVING sum(o.cost_eur) > 0

-- name: names
SELECT c.id, c.name FROM public."Company" AS c WHERE c.id = ANY(CAST(:company_ids AS text[]))
