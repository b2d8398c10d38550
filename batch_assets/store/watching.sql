-- part: cooling_models
SELECT m.model, m.until
FROM batch_assets.model_cooldown AS m
WHERE m.account_name = :account_name AND m.until > :now

-- part: oldest_of_each
-- Of the intake the oldest entry of each company and model, found by steps from one pair to the next,
-- so that a backlog costs no more than the pairs in it. The query around it calls itself `step`.
(
    SELECT i.company_id, i.model, i.requested_at
    FROM batch_assets.intake AS i
    ORDER BY i.company_id, i.model, i.requested_at
    LIMIT 1
)
UNION ALL
SELECT n.company_id, n.model, n.requested_at
FROM step
CROSS JOIN LATERAL (
    SELECT i.company_id, i.model, i.requested_at
    FROM batch_assets.intake AS i
    WHERE (i.company_id, i.model) > (step.company_id, step.model)
    ORDER BY i.company_id, i.model, i.requested_at
    LIMIT 1
) AS n

-- part: as_noticed
-- The date of a waiting row (n), as the intake will say it: nothing was asked for after it was noticed.
CASE
    WHEN n."requestedAt"
        BETWEEN '0001-01-02 00:00+00' AND CAST(:now AS timestamptz) + interval '1 day'
    THEN n."requestedAt"
    ELSE :now
END

-- part: is_of_active
-- Of a company that the account serves.
(
    SELECT CAST(c.status AS text) FROM public."Company" AS c WHERE c.id = w.company_id
) = 'ACTIVE'
AND coalesce(
    (
        SELECT g.account_name
        FROM batch_assets.company_account AS g
        WHERE g.company_id = w.company_id
    ),
    'default'
) = :account_name

-- part: few_noticed
-- How many entries of a company (w) count, as far as it matters.
(
    SELECT count(*)
    FROM (
        SELECT
        FROM batch_assets.intake AS i
        WHERE i.company_id = w.company_id
            AND i.model <> ALL(ARRAY(SELECT m.model FROM cooling AS m))
        LIMIT :min_requests
    ) AS few
)

-- part: is_due_as_noticed
-- Whether the company of an entry (w) is due by what was noticed of a model that is in no cooldown.
w.model <> ALL(ARRAY(SELECT m.model FROM cooling AS m))
AND
-- here: is_of_active
AND (
    w.requested_at <= b.too_old
    OR
    -- here: few_noticed
    >= :min_requests
)

-- name: newly_due
-- Which companies have become due since a run last looked, by what nobody has noticed yet or by the
-- clock. What was due when a run looked, and is still there, that run has left: it does not count. The
-- rule is that of `domain/due_rule.py`, to which a property test holds this.
--
-- Of LiveDash's rows the newest that wait are read, back to a little before the last reading, and no
-- more than a bound: what is late, or put back among the waiting, is for others to find. Each row is
-- looked up by its key; what is asked of it stands where no index offers it, since statistics of what
-- waits are always wrong.
WITH RECURSIVE bounds AS MATERIALIZED (
    SELECT
        CAST('PENDING_BATCHING' AS public."AIRequestStatus") AS waiting,
        coalesce(p.noticed_until, '-infinity') AS noticed_until,
        coalesce(p.noticed_until - make_interval(secs => :overlap_seconds), '-infinity')
            AS tail_from,
        CAST(:now AS timestamptz) - make_interval(secs => :wait_seconds) AS too_old
    FROM (SELECT) AS nothing
    LEFT JOIN batch_assets.intake_progress AS p ON true
), cooling AS MATERIALIZED (
    -- here: cooling_models
), step AS (
    -- here: oldest_of_each
), newest AS MATERIALIZED (
    SELECT r.id, r."sessionId", r.model, r."requestedAt"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
        AND r."requestedAt" >= (SELECT b.tail_from FROM bounds AS b)
        AND NOT coalesce(r."batchId", '') > ''
        -- here: is_fresh
    ORDER BY r."processingStatus" DESC, r."requestedAt" DESC
    LIMIT :rows
), unnoticed AS MATERIALIZED (
    SELECT
        (
            SELECT s."companyId" FROM public."Session" AS s WHERE s.id = n."sessionId"
        ) AS company_id,
        -- here: as_noticed
        AS requested_at
    FROM newest AS n
    WHERE NOT coalesce(
            (SELECT true FROM batch_assets.intake AS i WHERE i.request_id = n.id), false
        )
        AND n.model <> ALL(ARRAY(SELECT m.model FROM cooling AS m))
), noticed AS MATERIALIZED (
    SELECT step.company_id, min(step.requested_at) AS oldest
    FROM step
    WHERE step.model <> ALL(ARRAY(SELECT m.model FROM cooling AS m))
    GROUP BY step.company_id
), fresh AS MATERIALIZED (
    SELECT
        u.company_id,
        count(*) AS requests,
        min(u.requested_at) AS oldest,
        array_agg(u.requested_at ORDER BY u.requested_at) AS dates
    FROM unnoticed AS u
    GROUP BY u.company_id
), waiting AS MATERIALIZED (
    SELECT
        w.company_id, w.noticed_oldest, w.fresh_oldest, w.fresh_requests, w.dates,
        CASE
            WHEN w.fresh_requests > 0 THEN
                -- here: few_noticed
            ELSE 0
        END AS noticed_requests
    FROM (
        SELECT
            company_id,
            o.oldest AS noticed_oldest,
            f.oldest AS fresh_oldest,
            coalesce(f.requests, 0) AS fresh_requests,
            f.dates
        FROM noticed AS o
        FULL JOIN fresh AS f USING (company_id)
    ) AS w
    WHERE
        -- here: is_of_active
), judged AS MATERIALIZED (
    SELECT
        w.company_id,
        w.noticed_requests + w.fresh_requests AS requests,
        least(w.noticed_oldest, w.fresh_oldest) AS oldest,
        CASE
            WHEN w.noticed_requests < :min_requests
                AND w.noticed_requests + w.fresh_requests >= :min_requests
            THEN w.dates[:min_requests - w.noticed_requests]
        END AS large_at,
        CASE
            WHEN w.fresh_oldest <= b.too_old THEN w.fresh_oldest
            WHEN w.noticed_oldest <= b.too_old
                AND w.noticed_oldest + make_interval(secs => :wait_seconds) > b.noticed_until
            THEN w.noticed_oldest
        END + make_interval(secs => :wait_seconds) AS old_at
    FROM waiting AS w
    CROSS JOIN bounds AS b
), due AS MATERIALIZED (
    SELECT j.company_id, j.requests, j.large_at, j.old_at, greatest(j.large_at, j.old_at) AS due_at
    FROM judged AS j
    WHERE coalesce(j.large_at, j.old_at) IS NOT NULL
)
SELECT
    (SELECT count(*) FROM due) AS companies,
    (SELECT count(due.large_at) FROM due) AS large_companies,
    (SELECT coalesce(sum(due.requests), 0)::bigint FROM due) AS requests,
    (
        SELECT md5(string_agg(
            due.company_id || ' ' || extract(epoch FROM due.due_at)::text,
            ',' ORDER BY due.company_id
        ))
        FROM due
    ) AS fingerprint,
    (SELECT count(*) FROM judged) AS waiting_companies,
    (
        SELECT min(j.oldest) + make_interval(secs => :wait_seconds)
        FROM judged AS j
        CROSS JOIN bounds AS b
        WHERE j.oldest > b.too_old
    ) AS next_due_at,
    (SELECT array_agg(m.model ORDER BY m.model) FROM cooling AS m) AS models_in_cooldown,
    (SELECT max(m.until) FROM cooling AS m) AS cooling_until

-- name: left_to_do
-- What else a run would do now, beside what the work snapshot shows. A company is due by the rule of
-- `domain/due_rule.py`, to which a property test holds this: by what was noticed and left alone, which
-- takes a few rows of each company and model, or with what nobody has noticed yet. Of that the newest
-- rows and the oldest are read, whatever their date, and no more than a bound of each; more new ones
-- than that are work in any case. What has an end is for a run to judge: it may be of the history.
--
-- Each part is read only if those before it have found nothing.
WITH RECURSIVE bounds AS MATERIALIZED (
    SELECT
        CAST('PENDING_BATCHING' AS public."AIRequestStatus") AS waiting,
        CAST(:now AS timestamptz) - make_interval(secs => :wait_seconds) AS too_old
), cooling AS MATERIALIZED (
    -- here: cooling_models
), step AS (
    -- here: oldest_of_each
), newest AS MATERIALIZED (
    SELECT
        r.id, r."sessionId", r.model, r."requestedAt",
        r.success OR r."completedAt" IS NOT NULL AS has_end
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
        AND NOT coalesce(r."batchId", '') > ''
    ORDER BY r."processingStatus" DESC, r."requestedAt" DESC
    LIMIT :rows
), oldest AS MATERIALIZED (
    SELECT
        r.id, r."sessionId", r.model, r."requestedAt",
        r.success OR r."completedAt" IS NOT NULL AS has_end
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
        AND NOT coalesce(r."batchId", '') > ''
    ORDER BY r."processingStatus", r."requestedAt"
    LIMIT :rows
), seen AS MATERIALIZED (
    SELECT n.id, n."sessionId", n.model, n."requestedAt" FROM newest AS n WHERE NOT n.has_end
    UNION
    SELECT o.id, o."sessionId", o.model, o."requestedAt" FROM oldest AS o WHERE NOT o.has_end
), unnoticed AS MATERIALIZED (
    SELECT
        (
            SELECT s."companyId" FROM public."Session" AS s WHERE s.id = n."sessionId"
        ) AS company_id,
        -- here: as_noticed
        AS requested_at
    FROM seen AS n
    WHERE NOT coalesce(
            (SELECT true FROM batch_assets.intake AS i WHERE i.request_id = n.id), false
        )
        AND n.model <> ALL(ARRAY(SELECT m.model FROM cooling AS m))
), fresh AS MATERIALIZED (
    SELECT u.company_id, count(*) AS requests, min(u.requested_at) AS oldest
    FROM unnoticed AS u
    GROUP BY u.company_id
)
SELECT
    EXISTS (
        SELECT
        FROM step AS w
        CROSS JOIN bounds AS b
        WHERE w.company_id <> ALL(CAST(:but_of AS text[]))
            AND
            -- here: is_due_as_noticed
    )
    OR (SELECT count(*) FROM unnoticed) >= :rows
    OR EXISTS (
        SELECT
        FROM fresh AS w
        CROSS JOIN bounds AS b
        WHERE w.company_id <> ALL(CAST(:but_of AS text[]))
            AND
            -- here: is_of_active
            AND (
                w.oldest <= b.too_old
                OR w.requests >= :min_requests -
                -- here: few_noticed
            )
    ) AS is_due,
    EXISTS (SELECT FROM batch_assets.retry AS f) AS has_put_off,
    EXISTS (
        SELECT
        FROM batch_assets.alert AS a
        CROSS JOIN unnest(
            CAST(:receivers AS text[]), CAST(:fingerprints AS text[])
        ) AS r (name, fingerprint)
        LEFT JOIN batch_assets.alert_delivery AS d
            ON d.receiver = r.name AND d.alert = a.name
        WHERE
            -- here: is_pending
    ) AS has_alerts,
    -- here: allowances_in_use
    AS in_use

-- name: sampled
-- Of each company that is due by what was noticed, the oldest requests of each model, as a claim reads them,
-- but that nothing is locked: what has waited longest comes first. A row is reached by its key.
WITH RECURSIVE bounds AS MATERIALIZED (
    SELECT CAST(:now AS timestamptz) - make_interval(secs => :wait_seconds) AS too_old
), cooling AS MATERIALIZED (
    -- here: cooling_models
), step AS (
    -- here: oldest_of_each
), due AS MATERIALIZED (
    SELECT DISTINCT w.company_id
    FROM step AS w
    CROSS JOIN bounds AS b
    WHERE
        -- here: is_due_as_noticed
), oldest AS MATERIALIZED (
    SELECT o.*
    FROM step
    CROSS JOIN LATERAL (
        SELECT
            r.id AS request_id,
            r."sessionId" AS session_id,
            i.company_id,
            r.model,
            r."processingType" AS processing_type,
            i.requested_at,
            -- here: is_dated
            -- here: leader_id
        FROM batch_assets.intake AS i
        JOIN public."AIProcessingRequest" AS r ON r.id = i.request_id
        WHERE i.company_id = step.company_id
            AND i.model = step.model
            AND r.model = i.model
            AND coalesce(
                r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL, false
            )
            -- here: is_fresh
            AND NOT coalesce(
                (
                    SELECT true
                    FROM batch_assets.attempt AS a
                    WHERE a.request_id = r.id AND a.outcome IS NULL
                    LIMIT 1
                ),
                false
            )
            AND (
                SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId"
            ) = step.company_id
        ORDER BY i.requested_at, i.request_id
        LIMIT :sampled
    ) AS o
    WHERE step.company_id = ANY(ARRAY(SELECT d.company_id FROM due AS d))
        AND step.model <> ALL(ARRAY(SELECT m.model FROM cooling AS m))
)
SELECT
    w.request_id, w.session_id, w.company_id, w.model, w.processing_type,
    m.message_count, m.content_bytes, q.bisection_group, q.root_batch_id, w.leader_id, w.is_dated
FROM oldest AS w
CROSS JOIN LATERAL (
    SELECT
        count(*) AS message_count,
        coalesce(sum(octet_length(m.content)), 0)::bigint AS content_bytes
    FROM public."Message" AS m
    WHERE m."sessionId" = w.session_id
) AS m
LEFT JOIN LATERAL (
    SELECT s.bisection_group, s.root_batch_id
    FROM batch_assets.bisection_request AS s
    WHERE s.request_id = w.request_id
    OFFSET 0
) AS q ON true
ORDER BY min(w.requested_at) OVER (PARTITION BY w.company_id), w.company_id, w.requested_at, w.request_id

-- name: in_flight
-- What the server is asked about, and whether it is let alone.
SELECT
    count(*) AS batches,
    min(b.submitted_at) AS oldest_at,
    -- here: known_breakers
    AS breakers
FROM batch_assets.batch AS b
WHERE b.state = 'submitted' AND b.account_name = :account_name

-- name: in_flight_among
SELECT b.openai_batch_id
FROM batch_assets.batch AS b
WHERE b.openai_batch_id = ANY(CAST(:openai_batch_ids AS text[]))
    AND b.state = 'submitted'
    AND b.account_name = :account_name
ORDER BY b.openai_batch_id
