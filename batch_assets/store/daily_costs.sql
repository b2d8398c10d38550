-- part: keeping_lock
-- Held by whoever writes sums of days, until its transaction ends: they are of what was committed then.
pg_advisory_xact_lock(hashtextextended('batch_assets.daily_cost', 0))

-- part: sums_of_chosen
-- What the batches of `chosen` have come to, by the UTC day of their claim, company and model. What was
-- spent on answers that could not be used, or were not wanted any more, is among their cost; what is
-- unattributed, of second batches or came too late is not. Of an estimate USD are known where the
-- batch was settled.
SELECT
    CAST(b.claimed_at AT TIME ZONE 'UTC' AS date) AS day,
    b.company_id,
    coalesce(b.model, '') AS model,
    count(*) FILTER (WHERE b.state <> 'released') AS batches,
    coalesce(sum(b.requests) FILTER (WHERE b.state <> 'released'), 0)::bigint AS requests,
    sum(b.completed)::bigint AS usable_answers,
    sum(b.unpriced)::bigint AS unpriced_answers,
    sum(b.prompt_tokens)::bigint AS prompt_tokens,
    coalesce(sum(t.cached_tokens), 0)::bigint AS cached_tokens,
    sum(b.completion_tokens)::bigint AS completion_tokens,
    coalesce(sum(t.reasoning_tokens), 0)::bigint AS reasoning_tokens,
    CASE
        WHEN bool_and(b.cost_usd IS NOT NULL OR b.cost_eur = 0) THEN coalesce(sum(b.cost_usd), 0)
    END AS cost_usd,
    sum(b.cost_eur) AS cost_eur,
    sum(b.synchronous_cost_eur) AS synchronous_cost_eur,
    coalesce(sum(t.saved_eur), 0) AS saved_eur,
    coalesce(sum(t.unusable_eur), 0) AS unusable_eur,
    coalesce(sum(t.discarded_eur), 0) AS discarded_eur,
    sum(b.unattributed_usd) AS unattributed_usd,
    sum(b.unattributed_eur) AS unattributed_eur,
    coalesce(sum(d.cost_usd), 0) AS duplicates_usd,
    coalesce(sum(d.cost_eur), 0) AS duplicates_eur,
    coalesce(sum(coalesce(g.wasted_cost_usd, g.wasted_cost_eur / b.usd_to_eur)), 0)
        AS abandoned_usd,
    coalesce(sum(g.wasted_cost_eur), 0) AS abandoned_eur,
    coalesce(sum(b.unattributed_usd) FILTER (WHERE b.unattributed_is_estimated), 0)
        + coalesce(sum(d.estimated_usd), 0) AS estimated_usd,
    coalesce(sum(b.unattributed_eur) FILTER (WHERE b.unattributed_is_estimated), 0)
        + coalesce(sum(d.estimated_eur), 0) AS estimated_eur,
    -- What counts against budgets, as those ask for it.
    coalesce(sum(spent.cost_eur) FILTER (WHERE b.installation_id IS NOT NULL), 0) AS spent_eur,
    count(*) FILTER (WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended'))
        AS open_batches
FROM chosen AS c
JOIN batch_assets.batch AS b ON b.id = c.id
-- here: spent
LEFT JOIN LATERAL (
    SELECT
        sum(a.cached_tokens) AS cached_tokens,
        sum(a.reasoning_tokens) AS reasoning_tokens,
        -- here: saved_eur
        AS saved_eur,
        sum(a.cost_eur) FILTER (WHERE a.outcome = 'failed') AS unusable_eur,
        sum(a.cost_eur) FILTER (WHERE a.outcome = 'discarded') AS discarded_eur
    FROM batch_assets.attempt AS a
    WHERE a.batch_id = b.id
) AS t ON true
LEFT JOIN LATERAL (
    SELECT
        sum(coalesce(s.cost_usd, s.estimated_cost_eur / b.usd_to_eur)) AS cost_usd,
        sum(coalesce(s.cost_eur, s.estimated_cost_eur)) AS cost_eur,
        sum(s.estimated_cost_eur / b.usd_to_eur) FILTER (WHERE s.cost_eur IS NULL)
            AS estimated_usd,
        sum(s.estimated_cost_eur) FILTER (WHERE s.cost_eur IS NULL) AS estimated_eur
    FROM batch_assets.duplicate_batch AS s
    WHERE s.batch_id = b.id
) AS d ON true
LEFT JOIN batch_assets.abandoned_batch AS g ON g.batch_id = b.id
GROUP BY 1, 2, 3

-- part: written_sums
-- Written anew whole: the same again changes nothing.
INSERT INTO batch_assets.daily_cost
    (day, company_id, model, batches, requests, usable_answers, unpriced_answers, prompt_tokens,
    cached_tokens, completion_tokens, reasoning_tokens, cost_usd, cost_eur, synchronous_cost_eur,
    saved_eur, unusable_eur, discarded_eur, unattributed_usd, unattributed_eur, duplicates_usd,
    duplicates_eur, abandoned_usd, abandoned_eur, estimated_usd, estimated_eur, spent_eur)
SELECT
    s.day, s.company_id, s.model, s.batches, s.requests, s.usable_answers, s.unpriced_answers,
    s.prompt_tokens, s.cached_tokens, s.completion_tokens, s.reasoning_tokens, s.cost_usd,
    s.cost_eur, s.synchronous_cost_eur, s.saved_eur, s.unusable_eur, s.discarded_eur,
    s.unattributed_usd, s.unattributed_eur, s.duplicates_usd, s.duplicates_eur, s.abandoned_usd,
    s.abandoned_eur, s.estimated_usd, s.estimated_eur, s.spent_eur
FROM summed AS s
ON CONFLICT (day, company_id, model) DO UPDATE
SET batches = excluded.batches,
    requests = excluded.requests,
    usable_answers = excluded.usable_answers,
    unpriced_answers = excluded.unpriced_answers,
    prompt_tokens = excluded.prompt_tokens,
    cached_tokens = excluded.cached_tokens,
    completion_tokens = excluded.completion_tokens,
    reasoning_tokens = excluded.reasoning_tokens,
    cost_usd = excluded.cost_usd,
    cost_eur = excluded.cost_eur,
    synchronous_cost_eur = excluded.synchronous_cost_eur,
    saved_eur = excluded.saved_eur,
    unusable_eur = excluded.unusable_eur,
    discarded_eur = excluded.discarded_eur,
    unattributed_usd = excluded.unattributed_usd,
    unattributed_eur = excluded.unattributed_eur,
    duplicates_usd = excluded.duplicates_usd,
    duplicates_eur = excluded.duplicates_eur,
    abandoned_usd = excluded.abandoned_usd,
    abandoned_eur = excluded.abandoned_eur,
    estimated_usd = excluded.estimated_usd,
    estimated_eur = excluded.estimated_eur,
    spent_eur = excluded.spent_eur,
    kept_at = excluded.kept_at

-- part: all_sums
-- Of every day, in rows that may have to be added up: what is kept, and the batches that are not.
chosen AS MATERIALIZED (
    SELECT b.id FROM batch_assets.batch AS b WHERE NOT b.is_kept
), sums AS MATERIALIZED (
    SELECT
        k.day, k.company_id, k.model, k.batches, k.requests, k.usable_answers, k.unpriced_answers,
        k.prompt_tokens, k.cached_tokens, k.completion_tokens, k.reasoning_tokens, k.cost_usd,
        k.cost_eur, k.synchronous_cost_eur, k.saved_eur, k.unusable_eur, k.discarded_eur,
        k.unattributed_usd, k.unattributed_eur, k.duplicates_usd, k.duplicates_eur,
        k.abandoned_usd, k.abandoned_eur, k.estimated_usd, k.estimated_eur, k.spent_eur,
        CAST(0 AS bigint) AS open_batches
    FROM batch_assets.daily_cost AS k
    UNION ALL
    -- here: sums_of_chosen
)

-- name: lock
-- The first time there may be years of them.
SELECT
    set_config('statement_timeout', '1800s', true),
    -- here: keeping_lock

-- name: keep
-- The first days before today of which nothing is open any more. What LiveDash has made, and was
-- found late, is added by keeping its day once more.
WITH ending AS MATERIALIZED (
    SELECT DISTINCT CAST(b.claimed_at AT TIME ZONE 'UTC' AS date) AS day
    FROM batch_assets.batch AS b
    WHERE NOT b.is_kept
        AND b.claimed_at < date_trunc('day', statement_timestamp(), 'UTC')
        AND NOT EXISTS (
            SELECT
            FROM batch_assets.batch AS o
            WHERE o.state IN ('claimed', 'uploaded', 'submitted', 'ended')
                AND CAST(o.claimed_at AT TIME ZONE 'UTC' AS date)
                    = CAST(b.claimed_at AT TIME ZONE 'UTC' AS date)
        )
    ORDER BY day
    LIMIT :days
), chosen AS MATERIALIZED (
    SELECT b.id
    FROM ending AS e
    JOIN batch_assets.batch AS b
        ON b.claimed_at >= CAST(e.day AS timestamp) AT TIME ZONE 'UTC'
        AND b.claimed_at < CAST(e.day + 1 AS timestamp) AT TIME ZONE 'UTC'
    ORDER BY b.id
    FOR UPDATE OF b
), summed AS MATERIALIZED (
    -- here: sums_of_chosen
), written AS (
    -- here: written_sums
), marked AS (
    UPDATE batch_assets.batch AS b
    SET is_kept = true
    FROM chosen AS c
    WHERE b.id = c.id AND NOT b.is_kept
)
SELECT count(*) FROM ending AS e

-- name: keep_again
-- The days of some batches, as far as they are kept: a second batch was found, or an answer came late.
WITH ending AS MATERIALIZED (
    SELECT DISTINCT CAST(b.claimed_at AT TIME ZONE 'UTC' AS date) AS day
    FROM batch_assets.batch AS b
    WHERE b.id = ANY(CAST(:batch_ids AS text[])) AND b.is_kept
), chosen AS MATERIALIZED (
    SELECT b.id
    FROM ending AS e
    JOIN batch_assets.batch AS b
        ON b.claimed_at >= CAST(e.day AS timestamp) AT TIME ZONE 'UTC'
        AND b.claimed_at < CAST(e.day + 1 AS timestamp) AT TIME ZONE 'UTC'
    WHERE b.is_kept
    ORDER BY b.id
    FOR UPDATE OF b
), summed AS MATERIALIZED (
    -- here: sums_of_chosen
)
-- here: written_sums

-- name: report
-- By what is asked for, what is not being NULL. USD are known where all of them are.
WITH
-- here: all_sums
SELECT
    CASE CAST(:period AS text)
        WHEN 'month' THEN to_char(s.day, 'YYYY-MM')
        WHEN 'day' THEN to_char(s.day, 'YYYY-MM-DD')
    END AS period,
    CASE WHEN :by_company THEN s.company_id END AS company_id,
    CASE WHEN :by_company THEN (
        SELECT c.name FROM public."Company" AS c WHERE c.id = min(s.company_id)
    ) END AS company,
    CASE WHEN :by_model THEN s.model END AS model,
    sum(s.batches)::bigint AS batches,
    sum(s.open_batches)::bigint AS open_batches,
    sum(s.requests)::bigint AS requests,
    sum(s.usable_answers)::bigint AS usable_answers,
    sum(s.unpriced_answers)::bigint AS unpriced_answers,
    sum(s.prompt_tokens)::bigint AS prompt_tokens,
    sum(s.cached_tokens)::bigint AS cached_tokens,
    sum(s.completion_tokens)::bigint AS completion_tokens,
    sum(s.reasoning_tokens)::bigint AS reasoning_tokens,
    CASE WHEN bool_and(s.cost_usd IS NOT NULL) THEN sum(s.cost_usd) END AS cost_usd,
    sum(s.cost_eur) AS cost_eur,
    sum(s.synchronous_cost_eur) AS synchronous_cost_eur,
    sum(s.saved_eur) AS saved_eur,
    sum(s.unusable_eur) AS unusable_eur,
    sum(s.discarded_eur) AS discarded_eur,
    sum(s.unattributed_usd) AS unattributed_usd,
    sum(s.unattributed_eur) AS unattributed_eur,
    sum(s.duplicates_usd) AS duplicates_usd,
    sum(s.duplicates_eur) AS duplicates_eur,
    sum(s.abandoned_usd) AS abandoned_usd,
    sum(s.abandoned_eur) AS abandoned_eur,
    sum(s.estimated_usd) AS estimated_usd,
    sum(s.estimated_eur) AS estimated_eur,
    CASE
        WHEN bool_and(s.cost_usd IS NOT NULL)
        THEN sum(s.cost_usd + s.unattributed_usd + s.duplicates_usd + s.abandoned_usd)
    END AS billed_usd,
    sum(s.cost_eur + s.unattributed_eur + s.duplicates_eur + s.abandoned_eur) AS billed_eur
FROM sums AS s
WHERE s.day >= coalesce(CAST(:since AS date), '-infinity')
    AND s.day < coalesce(CAST(:until AS date), 'infinity')
GROUP BY 1, 2, 4
ORDER BY 1, 2, 4

-- name: border
-- What was sent in a span and ended after it, and what was sent before it and ended in it, in USD. A batch
-- takes a day, and no more than some; what has no end as yet ends later.
SELECT
    coalesce(sum(b.usd) FILTER (WHERE b.was_sent AND NOT b.has_ended), 0) AS ended_after_usd,
    coalesce(sum(b.usd) FILTER (WHERE b.has_ended AND NOT b.was_sent), 0) AS sent_before_usd
FROM (
    SELECT
        coalesce(b.cost_usd, 0) + b.unattributed_usd AS usd,
        b.claimed_at >= CAST(:since AS timestamp) AT TIME ZONE 'UTC'
            AND b.claimed_at < CAST(:until AS timestamp) AT TIME ZONE 'UTC' AS was_sent,
        coalesce(
            b.ended_at >= CAST(:since AS timestamp) AT TIME ZONE 'UTC'
            AND b.ended_at < CAST(:until AS timestamp) AT TIME ZONE 'UTC',
            false
        ) AS has_ended
    FROM batch_assets.batch AS b
    WHERE b.claimed_at >= CAST(:since AS timestamp) AT TIME ZONE 'UTC' - interval '40 days'
        AND b.claimed_at < CAST(:until AS timestamp) AT TIME ZONE 'UTC'
) AS b
