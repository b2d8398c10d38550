-- name: seen
-- What only the database knows at the end of a run, and the companies that are furthest behind; one
-- row, which goes into the run's. It reads what is open, what the last day has finalized, and of what
-- waits only the companies of which the run has sent something: the others are handed in as they
-- were counted before.
WITH recounted AS MATERIALIZED (
    SELECT
        t.company_id,
        w.requests,
        extract(epoch FROM statement_timestamp() - w.oldest_at)::float8 AS wait_seconds
    FROM unnest(CAST(:sent_companies AS text[])) AS t (company_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS requests, min(i.requested_at) AS oldest_at
        FROM batch_assets.intake AS i
        WHERE i.company_id = t.company_id
        OFFSET 0
    ) AS w
    WHERE w.requests > 0
), waiting AS MATERIALIZED (
    SELECT u.company_id, u.requests, u.wait_seconds
    FROM unnest(
        CAST(:other_companies AS text[]),
        CAST(:other_requests AS bigint[]),
        CAST(:other_wait_seconds AS float8[])
    ) AS u (company_id, requests, wait_seconds)
    UNION ALL
    SELECT r.company_id, r.requests, r.wait_seconds
    FROM recounted AS r
), open_batch AS MATERIALIZED (
    SELECT
        b.company_id, b.state, b.kind, b.submitted_at, b.cost_eur,
        b.requests - b.completed - b.failed - b.returned - b.discarded AS requests
    FROM batch_assets.batch AS b
    WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
), finalized AS MATERIALIZED (
    SELECT
        b.id, b.company_id, b.installation_id, b.kind, b.server_status, b.submitted_at, b.ended_at,
        b.finalized_at, b.cost_eur, b.unattributed_eur, b.read_run_id, b.run_id, b.unpriced,
        b.price IS NOT NULL AND b.estimated_cost_eur > 0 AS has_estimate, b.estimated_cost_eur,
        b.forecast_p90_seconds
    FROM batch_assets.batch AS b
    WHERE b.finalized_at > statement_timestamp() - interval '1 day'
), paid_today AS MATERIALIZED (
    SELECT p.company_id, sum(p.cost_eur) AS cost_eur
    FROM (
        SELECT s.company_id, s.cost_eur + s.unattributed_eur AS cost_eur
        FROM finalized AS s
        WHERE s.finalized_at >= date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC')
            AT TIME ZONE 'UTC'
        UNION ALL
        SELECT o.company_id, o.cost_eur
        FROM open_batch AS o
        UNION ALL
        SELECT b.company_id, g.wasted_cost_eur AS cost_eur
        FROM batch_assets.abandoned_batch AS g
        JOIN batch_assets.batch AS b ON b.id = g.batch_id
        WHERE g.booked_at >= date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC')
            AT TIME ZONE 'UTC'
    ) AS p
    GROUP BY p.company_id
), turnaround AS (
    -- Not of what an operator has given up: when it ended, nobody knows. Nor of what a clock that was put
    -- back lets end before it was submitted, or in the future.
    SELECT
        count(*) AS batches,
        percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (
            ORDER BY extract(epoch FROM s.ended_at - s.submitted_at)::float8
        ) AS seconds,
        percentile_cont(0.9) WITHIN GROUP (
            ORDER BY
                extract(epoch FROM s.ended_at - s.submitted_at)::float8
                / nullif(s.forecast_p90_seconds, 0)
        ) AS of_forecast,
        sum(s.cost_eur + s.unattributed_eur)
            FILTER (WHERE s.has_estimate AND s.unpriced = 0 AND s.server_status = 'completed')
            / sum(s.estimated_cost_eur)
            FILTER (WHERE s.has_estimate AND s.unpriced = 0 AND s.server_status = 'completed')
            AS of_estimate
    FROM finalized AS s
    WHERE s.kind = 'batch'
        AND s.installation_id IS NOT NULL
        AND s.server_status NOT IN ('lost', 'abandoned')
        AND s.ended_at BETWEEN s.submitted_at AND statement_timestamp()
), pace AS (
    -- A call's seconds, of the last 20 runs that used an implementation. Where probes have given both
    -- the same, the ratio is theirs, by the item: the original does but a part. The rows are compared
    -- whole, so that only the index that begins with the operation has the order: by their date alone
    -- all would be read.
    SELECT
        t.operation,
        coalesce(optimized.worked * known.ratio, original.worked) AS original,
        coalesce(optimized.worked, original.worked / known.ratio) AS optimized
    FROM unnest(CAST(:operations AS text[])) AS t (operation)
    CROSS JOIN LATERAL (
        SELECT
            sum(l.seconds) FILTER (WHERE l.purpose = 'work')
                / sum(l.calls) FILTER (WHERE l.purpose = 'work') AS worked,
            sum(l.seconds) FILTER (WHERE l.purpose = 'probe' AND l.rows > 0)
                / nullif(sum(l.rows) FILTER (WHERE l.purpose = 'probe'), 0) AS probed
        FROM (
            SELECT r.purpose, r.seconds, r.calls, r.rows, r.failures
            FROM batch_assets.operation_run AS r
            WHERE (r.operation, r.implementation, r.recorded_at)
                BETWEEN (t.operation, 'original', CAST('-infinity' AS timestamptz))
                AND (t.operation, 'original', CAST('infinity' AS timestamptz))
            ORDER BY r.operation DESC, r.implementation DESC, r.recorded_at DESC
            LIMIT 20
        ) AS l
        WHERE l.failures = 0 AND l.calls > 0
    ) AS original
    CROSS JOIN LATERAL (
        SELECT
            sum(l.seconds) FILTER (WHERE l.purpose = 'work')
                / sum(l.calls) FILTER (WHERE l.purpose = 'work') AS worked,
            sum(l.seconds) FILTER (WHERE l.purpose = 'probe' AND l.rows > 0)
                / nullif(sum(l.rows) FILTER (WHERE l.purpose = 'probe'), 0) AS probed
        FROM (
            SELECT r.purpose, r.seconds, r.calls, r.rows, r.failures
            FROM batch_assets.operation_run AS r
            WHERE (r.operation, r.implementation, r.recorded_at)
                BETWEEN (t.operation, 'optimized', CAST('-infinity' AS timestamptz))
                AND (t.operation, 'optimized', CAST('infinity' AS timestamptz))
                AND coalesce(original.worked, original.probed) IS NOT NULL
            ORDER BY r.operation DESC, r.implementation DESC, r.recorded_at DESC
            LIMIT 20
        ) AS l
        WHERE l.failures = 0 AND l.calls > 0
    ) AS optimized
    CROSS JOIN LATERAL (
        SELECT coalesce(
            original.probed / nullif(optimized.probed, 0),
            original.worked / nullif(optimized.worked, 0)
        ) AS ratio
    ) AS known
    WHERE known.ratio > 0
), looked_up AS (
    -- A run that comes after a pause has to ask: its answer could have been remembered by no other.
    SELECT
        coalesce(sum(m.hits), 0) + :own_lookup_hits AS hits,
        coalesce(sum(m.misses), 0) + CASE
            WHEN max(m.recorded_at) < statement_timestamp() - interval '5 minutes' THEN 0
            ELSE :own_lookup_misses
        END AS misses
    FROM (
        SELECT
            r.recorded_at,
            r.lookup_hits AS hits,
            CASE
                WHEN r.recorded_at - lag(r.recorded_at) OVER (ORDER BY r.recorded_at)
                    > interval '5 minutes'
                THEN 0
                ELSE r.lookup_misses
            END AS misses
        FROM batch_assets.run_metric AS r
        WHERE r.recorded_at > statement_timestamp() - interval '1 day' AND r.run_id <> :own_run_id
    ) AS m
), retrying AS MATERIALIZED (
    SELECT f.company_id, count(*) AS requests
    FROM batch_assets.retry AS f
    GROUP BY f.company_id
), dead AS MATERIALIZED (
    SELECT d.company_id, count(*) AS requests
    FROM batch_assets.dead_letter AS d
    GROUP BY d.company_id
), in_batches AS MATERIALIZED (
    SELECT o.company_id, sum(o.requests)::bigint AS requests
    FROM open_batch AS o
    GROUP BY o.company_id
), ranked AS MATERIALIZED (
    SELECT
        k.company_id,
        coalesce(w.requests, 0) AS waiting_requests,
        coalesce(w.wait_seconds, 0) AS oldest_wait_seconds,
        coalesce(b.requests, 0) AS requests_in_batches,
        coalesce(f.requests, 0) AS retry_requests
    FROM (
        SELECT w.company_id FROM waiting AS w
        UNION
        SELECT b.company_id FROM in_batches AS b
        UNION
        SELECT f.company_id FROM retrying AS f
    ) AS k
    LEFT JOIN waiting AS w ON w.company_id = k.company_id
    LEFT JOIN in_batches AS b ON b.company_id = k.company_id
    LEFT JOIN retrying AS f ON f.company_id = k.company_id
    ORDER BY oldest_wait_seconds DESC, requests_in_batches DESC, k.company_id
    LIMIT :most_companies
)
SELECT
    CASE WHEN :has_counted THEN
        :other_requests_in_all + (SELECT coalesce(sum(r.requests), 0) FROM recounted AS r)
    END::bigint AS waiting_requests,
    CASE WHEN :has_counted THEN
        :other_companies_in_all + (SELECT count(*) FROM recounted AS r)
    END::bigint AS waiting_companies,
    CASE WHEN :has_counted THEN
        (SELECT coalesce(max(w.wait_seconds), 0) FROM waiting AS w)
    END::float8 AS oldest_wait_seconds,
    (SELECT coalesce(sum(o.requests), 0)::bigint FROM open_batch AS o) AS requests_in_batches,
    (
        SELECT count(*) FROM open_batch AS o WHERE o.state = 'submitted'
    ) AS batches_in_flight,
    (SELECT count(*) FROM open_batch AS o WHERE o.state = 'ended') AS batches_to_read,
    (SELECT count(*) FROM batch_assets.follower AS w) AS following_requests,
    (SELECT coalesce(sum(f.requests), 0)::bigint FROM retrying AS f) AS retry_requests,
    (SELECT coalesce(sum(d.requests), 0)::bigint FROM dead AS d) AS dead_letters,
    (
        SELECT sum(p.original) / nullif(sum(p.optimized), 0) FROM pace AS p
    )::float8 AS original_to_optimized_ratio,
    (
        SELECT 100.0 * l.hits / nullif(l.hits + l.misses, 0) FROM looked_up AS l
    )::float8 AS lookup_hit_rate_percent,
    (
        SELECT coalesce(sum(coalesce(d.cost_eur, d.estimated_cost_eur)), 0)
        FROM batch_assets.duplicate_batch AS d
        WHERE d.found_at >= statement_timestamp() - make_interval(secs => :since_seconds)
            AND CAST(:is_alone AS boolean)
    )::float8 AS wasted_duplicates_eur,
    (
        SELECT coalesce(sum(s.unattributed_eur), 0)
        FROM finalized AS s
        WHERE s.finalized_at >= statement_timestamp() - make_interval(secs => :since_seconds)
            AND coalesce(nullif(s.read_run_id, ''), s.run_id) = :own_run_id
    )::float8 AS wasted_unattributed_eur,
    (
        SELECT 100 * sum(l.off_eur) / nullif(sum(l.billed_eur), 0)
        FROM batch_assets.learnt_usage AS l
        WHERE l.billed_eur > 1e-9
    ) AS estimate_error_percent,
    (
        SELECT coalesce(sum(b.requests), 0)
        FROM batch_assets.batch AS b
        WHERE b.claimed_at >= statement_timestamp() - make_interval(secs => :since_seconds)
            AND b.kind = 'synchronous'
            AND b.run_id = :own_run_id
    )::bigint AS synchronous_requests,
    (SELECT coalesce(sum(p.cost_eur), 0) FROM paid_today AS p)::float8 AS day_cost_eur,
    (100 * (t.of_estimate - 1))::float8 AS forecast_cost_error_percent,
    (
        SELECT count(*)
        FROM batch_assets.dead_letter AS d
        WHERE d.dead_at >= statement_timestamp() - make_interval(secs => :since_seconds)
            AND d.failure_kind = 'indeterminate'
            AND (
                CAST(:is_alone AS boolean)
                OR (SELECT b.run_id FROM batch_assets.batch AS b WHERE b.id = d.batch_id)
                    = :own_run_id
            )
    ) AS indeterminate_failures,
    (SELECT count(*) FROM batch_assets.breaker AS k WHERE k.state <> 'closed') AS open_breakers,
    (
        SELECT count(*) FROM batch_assets.model_cooldown AS p WHERE p.until > statement_timestamp()
    ) AS models_in_cooldown,
    (
        SELECT count(*) FROM batch_assets.unknown_batch AS u WHERE u.acknowledged_at IS NULL
    ) AS unknown_batches,
    t.batches AS turnaround_batches,
    t.seconds[1] AS turnaround_p50_seconds,
    t.seconds[2] AS turnaround_p90_seconds,
    t.seconds[3] AS turnaround_p99_seconds,
    (
        SELECT coalesce(max(extract(epoch FROM statement_timestamp() - o.submitted_at)), 0)
        FROM open_batch AS o
        WHERE o.state = 'submitted'
    )::float8 AS oldest_in_flight_seconds,
    (100 * (t.of_forecast - 1))::float8 AS forecast_turnaround_error_percent,
    (
        SELECT 100.0 * sum(c.unknown) / nullif(sum(c.calls), 0)
        FROM finalized AS s
        CROSS JOIN LATERAL (
            SELECT
                count(*) AS calls,
                count(*) FILTER (WHERE a.code = 'indeterminate_live') AS unknown
            FROM batch_assets.attempt AS a
            WHERE a.batch_id = s.id
                AND a.called_at IS NOT NULL
                AND a.outcome IN ('completed', 'failed', 'discarded')
                AND a.shares_answer_of IS NULL
        ) AS c
        WHERE s.kind = 'synchronous'
    )::float8 AS unknown_calls_percent,
    (
        SELECT json_agg(json_build_object(
            'company_id', r.company_id,
            'company', c.name,
            'waiting_requests', r.waiting_requests,
            'oldest_wait_seconds', r.oldest_wait_seconds,
            'requests_in_batches', r.requests_in_batches,
            'retry_requests', r.retry_requests,
            'dead_letters', coalesce(d.requests, 0),
            'day_cost_eur', coalesce(p.cost_eur, 0)
        ) ORDER BY r.oldest_wait_seconds DESC, r.requests_in_batches DESC, r.company_id)
        FROM ranked AS r
        JOIN public."Company" AS c ON c.id = r.company_id
        LEFT JOIN dead AS d ON d.company_id = r.company_id
        LEFT JOIN paid_today AS p ON p.company_id = r.company_id
    ) AS companies,
    -- here: allowances_in_use
    AS allowances
FROM turnaround AS t

-- name: companies
-- By the batches whose results were read to their end in a time: what each company's requests came
-- to, and what they cost. The sums of all companies are those of the runs, but for what runs have
-- read of batches that were not read to their end.
SELECT
    b.company_id,
    c.name AS company,
    count(*) AS finalized_batches,
    sum(b.completed)::bigint AS completed_requests,
    sum(b.failed)::bigint AS failed_requests,
    sum(b.returned)::bigint AS returned_requests,
    sum(b.discarded)::bigint AS discarded_requests,
    sum(b.prompt_tokens)::bigint AS prompt_tokens,
    sum(b.completion_tokens)::bigint AS completion_tokens,
    sum(b.cost_eur) AS cost_eur,
    sum(b.synchronous_cost_eur) AS synchronous_cost_eur,
    coalesce(sum(t.saved_eur), 0) AS saved_eur,
    sum(b.unpriced)::bigint AS unpriced_answers,
    sum(b.unattributed_eur) AS unattributed_eur
FROM batch_assets.batch AS b
LEFT JOIN public."Company" AS c ON c.id = b.company_id
LEFT JOIN LATERAL (
    SELECT
        -- here: saved_eur
        AS saved_eur
    FROM batch_assets.attempt AS a
    WHERE a.batch_id = b.id
) AS t ON true
WHERE b.finalized_at >= :since AND b.finalized_at < :until
GROUP BY b.company_id, c.name
ORDER BY sum(b.cost_eur) DESC, b.company_id

-- name: killed_runs
-- What runs have read that have kept no metrics, as they were killed, and that nobody works on.
SELECT
    r.run_id,
    max(r.read_at) AS recorded_at,
    sum(r.prompt_tokens)::bigint AS prompt_tokens,
    sum(r.cached_tokens)::bigint AS cached_tokens,
    sum(r.completion_tokens)::bigint AS completion_tokens,
    sum(r.reasoning_tokens)::bigint AS reasoning_tokens,
    sum(r.cost_eur) AS cost_eur,
    sum(r.synchronous_cost_eur) AS synchronous_cost_eur,
    sum(r.saved_eur) AS saved_eur,
    sum(r.unpriced_answers)::bigint AS unpriced_answers,
    sum(r.unusable_eur) AS wasted_retries_eur,
    sum(r.discarded_eur) AS wasted_discarded_eur,
    coalesce(sum(b.unattributed_eur), 0) AS wasted_unattributed_eur
FROM batch_assets.run_reading AS r
LEFT JOIN batch_assets.batch AS b
    ON b.id = r.batch_id
    AND b.state = 'finalized'
    AND coalesce(nullif(b.read_run_id, ''), b.run_id) = r.run_id
WHERE NOT EXISTS (
        SELECT FROM batch_assets.run_metric AS m WHERE m.run_id = r.run_id
    )
    AND NOT EXISTS (
        SELECT
        FROM batch_assets.run_process AS p
        WHERE p.run_id = r.run_id
            AND p.ended_at IS NULL
            AND p.given_up_at IS NULL
            AND p.beat_at > statement_timestamp() - interval '5 minutes'
    )
GROUP BY r.run_id
HAVING max(r.read_at) >= :since AND max(r.read_at) < :until
ORDER BY max(r.read_at), r.run_id

-- name: turnaround
-- How many batches of ours took how long, in steps each of which is a quarter longer than the one
-- before; the percentiles are the same in every row. When one that was given up ended, nobody knows.
WITH taken AS MATERIALIZED (
    SELECT greatest(extract(epoch FROM b.ended_at - b.submitted_at)::float8, 0.1) AS seconds
    FROM batch_assets.batch AS b
    WHERE b.finalized_at > statement_timestamp() - make_interval(days => :days)
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
-- By the UTC day on which a batch was claimed. Companies beyond those that cost most are one.
WITH
-- here: all_sums
, spent AS MATERIALIZED (
    SELECT
        s.day,
        s.company_id,
        sum(s.cost_eur) AS cost_eur,
        sum(s.synchronous_cost_eur) AS synchronous_cost_eur,
        sum(s.saved_eur) AS saved_eur,
        sum(s.unpriced_answers)::bigint AS unpriced
    FROM sums AS s
    WHERE s.day > CAST(statement_timestamp() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)
    GROUP BY s.day, s.company_id
), most AS (
    SELECT s.company_id
    FROM spent AS s
    GROUP BY s.company_id
    HAVING sum(s.synchronous_cost_eur) > 0
    ORDER BY sum(s.cost_eur) DESC, s.company_id
    LIMIT :companies
)
SELECT
    s.day,
    m.company_id,
    max(c.name) AS company,
    sum(s.cost_eur) AS cost_eur,
    sum(s.synchronous_cost_eur) AS synchronous_cost_eur,
    sum(s.saved_eur) AS saved_eur,
    sum(s.unpriced)::bigint AS unpriced
FROM spent AS s
LEFT JOIN most AS m ON m.company_id = s.company_id
LEFT JOIN public."Company" AS c ON c.id = m.company_id
WHERE s.synchronous_cost_eur > 0 OR s.unpriced > 0
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
