-- part: differs
-- More than adding up in another order can. What one side does not know is not compared.
abs(f.first - f.second) > 1e-6 * greatest(abs(f.first), abs(f.second)) + 1e-9

-- part: of_batches
-- The differences of single batches, by day, company and model.
SELECT
    f.comparison,
    to_char(f.claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
    f.company_id,
    coalesce(f.model, '') AS model,
    CAST(NULL AS text) AS run_id,
    f.figure,
    sum(f.first) AS first,
    sum(f.second) AS second,
    count(*) AS things,
    (array_agg(f.id ORDER BY f.id))[1:20] AS ids
FROM found AS f
WHERE
    -- here: differs
GROUP BY 1, 2, 3, 4, 6
ORDER BY 2, 3, 4, 6

-- name: batches
-- Each batch against its attempts, against what runs have read of it, and against what the server says
-- that it has billed. Of attempts from before migration 0015 only EUR are known; of batches that were
-- begun to be read before migration 0018 not by which runs.
WITH tried AS MATERIALIZED (
    SELECT
        a.batch_id,
        bool_or(a.cost_eur > 0 AND a.cost_usd IS NULL) AS is_old,
        sum(a.cost_eur) AS cost_eur,
        sum(a.cost_usd) AS cost_usd,
        sum(a.synchronous_cost_eur) AS synchronous_cost_eur,
        sum(a.prompt_tokens) AS prompt_tokens,
        sum(a.cached_tokens) AS cached_tokens,
        sum(a.completion_tokens) AS completion_tokens,
        sum(a.reasoning_tokens) AS reasoning_tokens,
        count(*) FILTER (WHERE a.prompt_tokens IS NOT NULL AND a.cost_usd IS NULL) AS unpriced,
        count(*) FILTER (WHERE a.outcome = 'completed' AND a.shares_answer_of IS NULL)
            AS usable_answers,
        -- here: saved_eur
        AS saved_eur,
        sum(a.cost_eur) FILTER (WHERE a.outcome = 'failed') AS unusable_eur,
        sum(a.cost_eur) FILTER (WHERE a.outcome = 'discarded') AS discarded_eur,
        min(a.ended_at) FILTER (
            WHERE a.outcome IN ('completed', 'failed', 'discarded') AND a.shares_answer_of IS NULL
        ) AS answered_at
    FROM batch_assets.attempt AS a
    GROUP BY a.batch_id
), read AS MATERIALIZED (
    SELECT
        r.batch_id,
        min(r.began_at) AS began_at,
        sum(r.usable_answers) AS usable_answers,
        sum(r.unpriced_answers) AS unpriced_answers,
        sum(r.prompt_tokens) AS prompt_tokens,
        sum(r.cached_tokens) AS cached_tokens,
        sum(r.completion_tokens) AS completion_tokens,
        sum(r.reasoning_tokens) AS reasoning_tokens,
        sum(r.cost_usd) AS cost_usd,
        sum(r.cost_eur) AS cost_eur,
        sum(r.synchronous_cost_eur) AS synchronous_cost_eur,
        sum(r.saved_eur) AS saved_eur,
        sum(r.unusable_eur) AS unusable_eur,
        sum(r.discarded_eur) AS discarded_eur
    FROM batch_assets.run_reading AS r
    GROUP BY r.batch_id
), billed AS (
    SELECT
        b.id,
        (b.server_prompt_tokens - b.server_cached_tokens)
            * CAST(b.price -> 'batch' ->> 0 AS float8)
            + b.server_cached_tokens * CAST(b.price -> 'batch' ->> 1 AS float8)
            + b.server_completion_tokens * CAST(b.price -> 'batch' ->> 2 AS float8)
        AS usd
    FROM batch_assets.batch AS b
    WHERE b.state = 'finalized'
        AND b.kind = 'batch'
        AND b.server_status NOT IN ('lost', 'abandoned')
        AND NOT b.unattributed_is_estimated
), found AS (
    SELECT
        'batches_and_attempts' AS comparison, b.id, b.claimed_at, b.company_id, b.model, v.figure,
        v.first, v.second
    FROM batch_assets.batch AS b
    LEFT JOIN tried AS t ON t.batch_id = b.id
    CROSS JOIN LATERAL (
        VALUES
            ('cost_eur', b.cost_eur, coalesce(t.cost_eur, 0)),
            ('synchronous_cost_eur', b.synchronous_cost_eur, coalesce(t.synchronous_cost_eur, 0)),
            ('cost_usd', b.cost_usd, CASE WHEN NOT t.is_old THEN coalesce(t.cost_usd, 0) END),
            ('prompt_tokens', b.prompt_tokens,
                CASE WHEN b.cost_usd IS NOT NULL AND NOT t.is_old THEN t.prompt_tokens END),
            ('completion_tokens', b.completion_tokens,
                CASE WHEN b.cost_usd IS NOT NULL AND NOT t.is_old THEN t.completion_tokens END),
            ('unpriced_answers', b.unpriced,
                CASE WHEN b.cost_usd IS NOT NULL AND NOT t.is_old THEN t.unpriced END)
    ) AS v (figure, first, second)
    UNION ALL
    SELECT
        'batches_and_runs', b.id, b.claimed_at, b.company_id, b.model, v.figure, v.first, v.second
    FROM read AS r
    JOIN batch_assets.batch AS b ON b.id = r.batch_id
    LEFT JOIN tried AS t ON t.batch_id = b.id AND t.answered_at < r.began_at
    LEFT JOIN tried AS a ON a.batch_id = b.id
    CROSS JOIN LATERAL (
        VALUES
            ('cost_eur', b.cost_eur, r.cost_eur),
            ('cost_usd', b.cost_usd, r.cost_usd),
            ('synchronous_cost_eur', b.synchronous_cost_eur, r.synchronous_cost_eur),
            ('prompt_tokens', b.prompt_tokens, r.prompt_tokens),
            ('completion_tokens', b.completion_tokens, r.completion_tokens),
            ('cached_tokens', coalesce(a.cached_tokens, 0), r.cached_tokens),
            ('reasoning_tokens', coalesce(a.reasoning_tokens, 0), r.reasoning_tokens),
            ('usable_answers', b.completed, r.usable_answers),
            ('unpriced_answers', b.unpriced, r.unpriced_answers),
            ('saved_eur', coalesce(a.saved_eur, 0), r.saved_eur),
            ('unusable_eur', coalesce(a.unusable_eur, 0), r.unusable_eur),
            ('discarded_eur', coalesce(a.discarded_eur, 0), r.discarded_eur)
    ) AS v (figure, first, second)
    WHERE t.batch_id IS NULL
    UNION ALL
    SELECT
        'batches_and_server', b.id, b.claimed_at, b.company_id, b.model, 'billed_usd',
        b.cost_usd + b.unattributed_usd, greatest(u.usd, b.cost_usd)
    FROM billed AS u
    JOIN batch_assets.batch AS b ON b.id = u.id
    WHERE u.usd IS NOT NULL
)
-- here: of_batches

-- name: runs
-- Each run that has kept metrics against what it has read. What pruning has taken of both is gone.
WITH found AS (
    SELECT m.run_id, m.recorded_at, v.figure, v.first, v.second
    FROM (
        SELECT
            r.run_id,
            sum(r.unpriced_answers) AS unpriced_answers,
            sum(r.prompt_tokens) AS prompt_tokens,
            sum(r.cached_tokens) AS cached_tokens,
            sum(r.completion_tokens) AS completion_tokens,
            sum(r.reasoning_tokens) AS reasoning_tokens,
            sum(r.cost_eur) AS cost_eur,
            sum(r.synchronous_cost_eur) AS synchronous_cost_eur,
            sum(r.saved_eur) AS saved_eur,
            sum(r.unusable_eur) AS unusable_eur,
            sum(r.discarded_eur) AS discarded_eur
        FROM batch_assets.run_reading AS r
        GROUP BY r.run_id
    ) AS r
    JOIN batch_assets.run_metric AS m ON m.run_id = r.run_id
    CROSS JOIN LATERAL (
        VALUES
            ('cost_eur', m.cost_eur, r.cost_eur),
            ('synchronous_cost_eur', m.synchronous_cost_eur, r.synchronous_cost_eur),
            ('saved_eur', m.saved_eur, r.saved_eur),
            ('prompt_tokens', m.prompt_tokens, r.prompt_tokens),
            ('cached_tokens', m.cached_tokens, r.cached_tokens),
            ('completion_tokens', m.completion_tokens, r.completion_tokens),
            ('reasoning_tokens', m.reasoning_tokens, r.reasoning_tokens),
            ('unpriced_answers', m.unpriced_answers, r.unpriced_answers),
            ('unusable_eur', m.wasted_retries_eur, r.unusable_eur),
            ('discarded_eur', m.wasted_discarded_eur, r.discarded_eur)
    ) AS v (figure, first, second)
)
SELECT
    'metrics_and_runs' AS comparison,
    to_char(f.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
    CAST(NULL AS text) AS company_id,
    CAST(NULL AS text) AS model,
    f.run_id,
    f.figure,
    f.first,
    f.second,
    CAST(1 AS bigint) AS things,
    ARRAY[f.run_id] AS ids
FROM found AS f
WHERE
    -- here: differs
ORDER BY f.recorded_at, f.run_id, f.figure

-- name: days
-- What is kept of each day against what its batches come to now.
WITH chosen AS MATERIALIZED (
    SELECT b.id FROM batch_assets.batch AS b WHERE b.is_kept
), summed AS MATERIALIZED (
    -- here: sums_of_chosen
), found AS (
    SELECT
        coalesce(k.day, s.day) AS day,
        coalesce(k.company_id, s.company_id) AS company_id,
        coalesce(k.model, s.model) AS model,
        v.figure, v.first, v.second
    FROM batch_assets.daily_cost AS k
    FULL JOIN summed AS s
        ON s.day = k.day AND s.company_id = k.company_id AND s.model = k.model
    CROSS JOIN LATERAL (
        VALUES
            ('batches', coalesce(k.batches, 0), coalesce(s.batches, 0)),
            ('requests', coalesce(k.requests, 0), coalesce(s.requests, 0)),
            ('usable_answers', coalesce(k.usable_answers, 0), coalesce(s.usable_answers, 0)),
            ('unpriced_answers', coalesce(k.unpriced_answers, 0), coalesce(s.unpriced_answers, 0)),
            ('prompt_tokens', coalesce(k.prompt_tokens, 0), coalesce(s.prompt_tokens, 0)),
            ('cached_tokens', coalesce(k.cached_tokens, 0), coalesce(s.cached_tokens, 0)),
            ('completion_tokens', coalesce(k.completion_tokens, 0),
                coalesce(s.completion_tokens, 0)),
            ('reasoning_tokens', coalesce(k.reasoning_tokens, 0), coalesce(s.reasoning_tokens, 0)),
            ('cost_usd', coalesce(k.cost_usd, 0), coalesce(s.cost_usd, 0)),
            ('cost_eur', coalesce(k.cost_eur, 0), coalesce(s.cost_eur, 0)),
            ('synchronous_cost_eur', coalesce(k.synchronous_cost_eur, 0),
                coalesce(s.synchronous_cost_eur, 0)),
            ('saved_eur', coalesce(k.saved_eur, 0), coalesce(s.saved_eur, 0)),
            ('unusable_eur', coalesce(k.unusable_eur, 0), coalesce(s.unusable_eur, 0)),
            ('discarded_eur', coalesce(k.discarded_eur, 0), coalesce(s.discarded_eur, 0)),
            ('unattributed_usd', coalesce(k.unattributed_usd, 0), coalesce(s.unattributed_usd, 0)),
            ('unattributed_eur', coalesce(k.unattributed_eur, 0), coalesce(s.unattributed_eur, 0)),
            ('duplicates_usd', coalesce(k.duplicates_usd, 0), coalesce(s.duplicates_usd, 0)),
            ('duplicates_eur', coalesce(k.duplicates_eur, 0), coalesce(s.duplicates_eur, 0)),
            ('abandoned_usd', coalesce(k.abandoned_usd, 0), coalesce(s.abandoned_usd, 0)),
            ('abandoned_eur', coalesce(k.abandoned_eur, 0), coalesce(s.abandoned_eur, 0)),
            ('estimated_usd', coalesce(k.estimated_usd, 0), coalesce(s.estimated_usd, 0)),
            ('estimated_eur', coalesce(k.estimated_eur, 0), coalesce(s.estimated_eur, 0)),
            ('spent_eur', coalesce(k.spent_eur, 0), coalesce(s.spent_eur, 0))
    ) AS v (figure, first, second)
)
SELECT
    'days_and_batches' AS comparison,
    to_char(f.day, 'YYYY-MM-DD') AS day,
    f.company_id,
    f.model,
    CAST(NULL AS text) AS run_id,
    f.figure,
    f.first,
    f.second,
    CAST(1 AS bigint) AS things,
    CAST(ARRAY[] AS text[]) AS ids
FROM found AS f
WHERE
    -- here: differs
ORDER BY f.day, f.company_id, f.model, f.figure

-- name: livedash
-- LiveDash's rows against the attempts whose answers they have, by company. Its column has seven digits. Not
-- of what had attempts before migration 0015, when each answer's cost replaced the one before, nor of
-- what LiveDash has bought itself beside us.
WITH paid AS MATERIALIZED (
    SELECT a.request_id, min(a.company_id) AS company_id, sum(a.cost_eur) AS cost_eur
    FROM batch_assets.attempt AS a
    WHERE a.outcome IN ('completed', 'failed')
    GROUP BY a.request_id
    HAVING sum(a.cost_eur) > 0 AND NOT bool_or(a.cost_eur > 0 AND a.cost_usd IS NULL)
), found AS (
    SELECT
        r.id, p.company_id, CAST(r."totalCostEur" AS float8) AS first, p.cost_eur AS second
    FROM paid AS p
    JOIN public."AIProcessingRequest" AS r ON r.id = p.request_id
    WHERE NOT EXISTS (
        SELECT
        FROM batch_assets.livedash_act AS l
        WHERE l.request_id = p.request_id AND l.is_purchase
    )
)
SELECT
    'livedash_and_attempts' AS comparison,
    CAST(NULL AS text) AS day,
    f.company_id,
    CAST(NULL AS text) AS model,
    CAST(NULL AS text) AS run_id,
    'cost_eur' AS figure,
    sum(f.first) AS first,
    sum(f.second) AS second,
    count(*) AS things,
    (array_agg(f.id ORDER BY f.id))[1:20] AS ids
FROM found AS f
WHERE NOT coalesce(abs(f.first - f.second) <= 1e-5 * greatest(abs(f.first), abs(f.second)), false)
GROUP BY f.company_id
ORDER BY f.company_id
