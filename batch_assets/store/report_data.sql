-- name: turnaround
-- How many batches of ours took how long, in steps each of which is a quarter longer than the one
-- before; the percentiles are the same in every row. When one that was given up ended, nobody knows.
WITH taken AS MATERIALIZED (
    SELECT greatest(extract(epoch FROM b.ended_at - b.submitted_at)::float8, 0.1) AS seconds
    FROM batch_assets.batch AS b
    WHERE b.settled_at > statement_timestamp() - make_interval(days => :days)
        AND b.installation_id IS NOT NULL
        AND b.kind = 'batch'
        AND b.server_status NOT IN ('lost', 'abandoned')
), percentiles AS (
    SELECT
        percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY t.seconds) AS seconds
    FROM taken AS t
)
SELECT
    power(1.25::float8, g.step) AS from_seconds,
    power(1.25::float8, g.step + 1) AS to_seconds,
    g.batches,
    p.seconds[1] AS p50_seconds,
    p.seconds[2] AS p90_seconds,
    p.seconds[3] AS p99_seconds
FROM (
    SELECT floor(ln(t.seconds) / ln(1.25::float8))::integer AS step, count(*) AS batches
    FROM taken AS t
    GROUP BY step
) AS g
CROSS JOIN percentiles AS p
ORDER BY g.step

-- name: cost_by_day
-- By the UTC day on which a batch was settled. Companies beyond those that cost most are one.
WITH spent AS MATERIALIZED (
    SELECT
        (b.settled_at AT TIME ZONE 'UTC')::date AS day,
        b.company_id,
        sum(b.cost_eur) AS cost_eur,
        sum(b.live_cost_eur) AS live_cost_eur,
        sum(b.unpriced)::bigint AS unpriced
    FROM batch_assets.batch AS b
    WHERE b.settled_at > statement_timestamp() - make_interval(days => :days)
    GROUP BY 1, 2
), most AS (
    SELECT s.company_id
    FROM spent AS s
    GROUP BY s.company_id
    HAVING sum(s.live_cost_eur) > 0
    ORDER BY sum(s.cost_eur) DESC, s.company_id
    LIMIT :companies
)
SELECT
    s.day,
    m.company_id,
    max(c.name) AS company,
    sum(s.cost_eur) AS cost_eur,
    sum(s.live_cost_eur) AS live_cost_eur,
    sum(s.unpriced)::bigint AS unpriced
FROM spent AS s
LEFT JOIN most AS m ON m.company_id = s.company_id
LEFT JOIN public."Company" AS c ON c.id = m.company_id
WHERE s.live_cost_eur > 0 OR s.unpriced > 0
GROUP BY s.day, m.company_id
ORDER BY s.day, m.company_id NULLS LAST

-- name: pace
-- A call's seconds. Of runs in which calls failed no time is counted: giving up soon is not being
-- fast. Where probes have given both the same, the ratio is theirs, by the item: the original does but
-- a part.
WITH pace AS (
    SELECT
        r.operation,
        r.implementation,
        sum(r.seconds) FILTER (WHERE r.purpose = 'work')
            / sum(r.calls) FILTER (WHERE r.purpose = 'work') AS worked,
        sum(r.seconds) FILTER (WHERE r.purpose = 'probe' AND r.rows > 0)
            / nullif(sum(r.rows) FILTER (WHERE r.purpose = 'probe'), 0) AS probed
    FROM batch_assets.operation_run AS r
    WHERE r.recorded_at > statement_timestamp() - make_interval(days => :days)
        AND r.failures = 0
        AND r.calls > 0
        AND r.operation = ANY(CAST(:operations AS text[]))
    GROUP BY r.operation, r.implementation
), beside AS (
    SELECT
        coalesce(original.operation, optimized.operation) AS operation,
        original.worked AS original,
        optimized.worked AS optimized,
        original.probed / nullif(optimized.probed, 0) AS ratio
    FROM (SELECT p.* FROM pace AS p WHERE p.implementation = 'original') AS original
    FULL JOIN (SELECT p.* FROM pace AS p WHERE p.implementation = 'optimized') AS optimized
        ON optimized.operation = original.operation
)
SELECT
    b.operation,
    coalesce(b.optimized * b.ratio, b.original) AS original_seconds,
    coalesce(b.optimized, b.original / nullif(b.ratio, 0)) AS optimized_seconds
FROM beside AS b
ORDER BY b.operation
