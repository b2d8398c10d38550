-- part: is_pending
-- Of an alert (a) and a receiver (r) with what it was given last (d), if anything: whether the alert's
-- last change waits for it. That something is over is no news after a while, but to whoever has heard
-- that it began. What was refused waits again once the address or the key is another.
(
    d.since IS DISTINCT FROM a.since
    OR (d.delivered_at IS NULL AND d.refused_by IS DISTINCT FROM r.fingerprint)
)
AND (
    a.is_raised
    OR d.is_open
    OR a.since > statement_timestamp() - make_interval(secs => :news_seconds)
)

-- name: recent
-- One look: what the runs of the last day have recorded, and which alerts are raised. What it reads
-- are the day's runs by the index on recorded_at, whatever there was before. Sums without a run are
-- null, and so is what the newest run knew if that was too long ago.
SELECT
    -- here: livedash_lacks
    statement_timestamp() AS judged_at,
    i.id AS installation_id,
    current_database() AS database,
    s.runs,
    s.completed_requests,
    s.failed_requests,
    s.moved_requests,
    s.moving_seconds,
    s.failed_batches,
    s.query_operations,
    s.query_fallbacks,
    s.open_breakers,
    s.day_lookups,
    n.lookup_hit_rate_percent,
    n.oldest_wait_seconds,
    n.waiting_requests,
    n.dead_letters,
    n.oldest_in_flight_seconds,
    n.batches_in_flight,
    n.turnaround_batches,
    n.turnaround_p99_seconds,
    CASE
        WHEN date_trunc('day', n.recorded_at AT TIME ZONE 'UTC')
            = date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC')
        THEN n.day_cost_eur
    END AS day_cost_eur,
    (
        SELECT coalesce(sum(m.unpriced_answers), 0)::bigint
        FROM batch_assets.run_metric AS m
        WHERE m.recorded_at >= date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC')
            AT TIME ZONE 'UTC'
    ) AS day_unpriced_answers,
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM batch_assets.dead_letter AS d
            WHERE d.dead_at > statement_timestamp() - make_interval(secs => :window_seconds)
            LIMIT 10000
        ) AS newly_dead
    ) AS new_dead_letters,
    coalesce(
        (
            SELECT p.failed_runs FROM batch_assets.schedule_cooldown AS p WHERE p.until IS NOT NULL
        ),
        0
    ) AS in_cooldown_after_failed_runs,
    (
        SELECT coalesce(json_object_agg(t.timer, t.acts), '{}')
        FROM (
            SELECT a.timer, count(*) AS acts
            FROM batch_assets.livedash_act AS a
            WHERE a.noticed_at > statement_timestamp() - make_interval(secs => :livedash_seconds)
            GROUP BY a.timer
        ) AS t
    ) AS livedash_acts,
    (
        SELECT count(*) FROM batch_assets.unknown_batch AS u WHERE u.acknowledged_at IS NULL
    ) AS unknown_batches,
    -- A list that could not be read is asked for again, and shows elsewhere.
    (
        SELECT min(l.doubt)
        FROM (
            SELECT i.doubt FROM batch_assets.installation AS i
            UNION ALL
            SELECT k.doubt FROM batch_assets.account_look AS k
        ) AS l
        WHERE l.doubt <> 'unread'
    ) AS doubt,
    CAST((
        SELECT coalesce(max(extract(epoch FROM statement_timestamp() - b.sought_at)), 0)
        FROM batch_assets.batch AS b
        WHERE b.state IN ('claimed', 'uploaded')
    ) AS float8) AS unresolved_seconds,
    (
        SELECT count(*)
        FROM batch_assets.livedash_act AS a
        WHERE a.noticed_at > statement_timestamp() - make_interval(secs => :livedash_seconds)
            AND a.is_duplicate
    ) AS bought_twice,
    (
        SELECT json_agg(json_build_object(
            'name', a.name,
            'is_raised', a.is_raised,
            'severity', a.severity,
            'summary', a.summary,
            'since', a.since,
            'pending', (
                SELECT coalesce(json_agg(r.name), '[]')
                FROM unnest(
                    CAST(:receivers AS text[]), CAST(:fingerprints AS text[])
                ) AS r (name, fingerprint)
                LEFT JOIN batch_assets.alert_delivery AS d
                    ON d.receiver = r.name AND d.alert = a.name
                WHERE
                    -- here: is_pending
            )
        ))
        FROM batch_assets.alert AS a
    ) AS states,
    -- here: budgets
    AS budgets,
    CASE WHEN CAST(:with_days AS boolean) THEN (
        -- Nothing is added up where nobody asks for it.
        WITH
        -- here: all_sums
        SELECT json_agg(d)
        FROM (
            SELECT
                s.day,
                sum(s.cost_eur + s.unattributed_eur + s.duplicates_eur + s.abandoned_eur)
                    AS billed_eur,
                sum(s.saved_eur) AS saved_eur,
                sum(s.unusable_eur) AS unusable_eur,
                sum(s.discarded_eur) AS discarded_eur,
                sum(s.unattributed_eur) AS unattributed_eur,
                sum(s.duplicates_eur) AS duplicates_eur,
                sum(s.abandoned_eur) AS abandoned_eur,
                sum(s.open_batches) AS open_batches,
                sum(s.unpriced_answers) AS unpriced_answers
            FROM sums AS s
            WHERE s.day >= CAST(
                date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') AS date
            )
            GROUP BY s.day
        ) AS d
    ) END AS days
FROM batch_assets.installation AS i
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE m.is_recent) AS runs,
        CAST(sum(m.completed_requests) FILTER (WHERE m.is_recent) AS bigint) AS completed_requests,
        CAST(sum(m.failed_requests) FILTER (WHERE m.is_recent) AS bigint) AS failed_requests,
        CAST(sum(m.moved) FILTER (WHERE m.is_recent) AS bigint) AS moved_requests,
        -- Runs that moved nothing took their time, too, but say nothing about speed.
        sum(m.ingest_seconds + m.submit_seconds) FILTER (WHERE m.is_recent AND m.moved > 0)
            AS moving_seconds,
        CAST(sum(m.failed_batches) FILTER (WHERE m.is_recent) AS bigint) AS failed_batches,
        CAST(sum(m.query_operations) FILTER (WHERE m.is_recent) AS bigint) AS query_operations,
        CAST(sum(m.query_fallbacks) FILTER (WHERE m.is_recent) AS bigint) AS query_fallbacks,
        max(m.open_breakers) FILTER (
            WHERE m.recorded_at > statement_timestamp() - make_interval(secs => :breaker_seconds)
        ) AS open_breakers,
        CAST(sum(m.lookup_hits + m.lookup_misses) AS bigint) AS day_lookups
    FROM (
        SELECT
            r.recorded_at,
            r.recorded_at > statement_timestamp() - make_interval(secs => :window_seconds)
                AS is_recent,
            r.submitted_requests + r.completed_requests + r.failed_requests AS moved,
            r.completed_requests,
            r.failed_requests,
            r.ingest_seconds,
            r.submit_seconds,
            r.failed_batches,
            r.query_operations,
            r.query_fallbacks,
            r.open_breakers,
            r.lookup_hits,
            -- After a pause each run has to ask, as `looked_up` of metrics.sql has it.
            CASE
                WHEN r.recorded_at - lag(r.recorded_at) OVER (ORDER BY r.recorded_at)
                    > interval '5 minutes'
                THEN 0
                ELSE r.lookup_misses
            END AS lookup_misses
        FROM batch_assets.run_metric AS r
        WHERE r.recorded_at > statement_timestamp() - interval '1 day'
    ) AS m
) AS s
LEFT JOIN LATERAL (
    SELECT
        r.recorded_at,
        r.lookup_hit_rate_percent,
        r.oldest_wait_seconds,
        r.waiting_requests,
        r.dead_letters,
        r.oldest_in_flight_seconds,
        r.batches_in_flight,
        r.turnaround_batches,
        r.turnaround_p99_seconds,
        r.day_cost_eur
    FROM batch_assets.run_metric AS r
    WHERE r.recorded_at > statement_timestamp() - make_interval(secs => :window_seconds)
    ORDER BY r.recorded_at DESC
    LIMIT 1
) AS n ON true

-- name: behind
-- Who or what is behind the alerts that are raised, the worst first, three of each. Each part is
-- carried out only for its own alert, and looks at what the window or the open batches hold.
WITH behind AS (
    SELECT
        'error_rate' AS alert, f.company_id, CAST(NULL AS text) AS subject,
        CAST(NULL AS text) AS label, f.failed AS amount, f.answered AS total, f.failed AS weight
    FROM (
        SELECT
            b.company_id,
            CAST(sum(b.failed) AS float8) AS failed,
            CAST(sum(b.failed + b.completed) AS float8) AS answered
        FROM batch_assets.batch AS b
        WHERE 'error_rate' = ANY(CAST(:alerts AS text[]))
            AND b.finalized_at > statement_timestamp() - make_interval(secs => :window_seconds)
        GROUP BY b.company_id
    ) AS f
    WHERE f.failed > 0
    UNION ALL
    SELECT
        'failed_batch', b.company_id, b.id, b.server_errors[1], NULL, NULL,
        CAST(extract(epoch FROM b.finalized_at) AS float8)
    FROM batch_assets.batch AS b
    WHERE 'failed_batch' = ANY(CAST(:alerts AS text[]))
        AND b.finalized_at > statement_timestamp() - make_interval(secs => :window_seconds)
        AND b.server_status = 'failed'
    UNION ALL
    SELECT 'batch_age', o.company_id, o.id, o.openai_batch_id, o.age, NULL, o.age
    FROM (
        SELECT
            b.company_id, b.id, b.openai_batch_id,
            CAST(extract(epoch FROM clock_timestamp() - b.submitted_at) AS float8) AS age
        FROM batch_assets.batch AS b
        WHERE 'batch_age' = ANY(CAST(:alerts AS text[])) AND b.state = 'submitted'
        ORDER BY b.claimed_at
        LIMIT 3
    ) AS o
    UNION ALL
    SELECT 'dead_letters', l.company_id, l.code, NULL, l.letters, NULL, l.letters
    FROM (
        SELECT n.company_id, n.code, CAST(count(*) AS float8) AS letters
        FROM (
            SELECT d.company_id, d.code
            FROM batch_assets.dead_letter AS d
            WHERE 'dead_letters' = ANY(CAST(:alerts AS text[]))
            ORDER BY d.dead_at DESC, d.request_id DESC
            LIMIT 10000
        ) AS n
        GROUP BY n.company_id, n.code
    ) AS l
    UNION ALL
    SELECT 'cost_above_budget', c.company_id, NULL, NULL, c.cost_eur, NULL, c.cost_eur
    FROM (
        SELECT b.company_id, sum(b.cost_eur) AS cost_eur
        FROM batch_assets.batch AS b
        WHERE 'cost_above_budget' = ANY(CAST(:alerts AS text[]))
            AND b.finalized_at
                >= date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        GROUP BY b.company_id
    ) AS c
    UNION ALL
    SELECT 'open_breaker', NULL, k.operation, k.code, k.failures, NULL, k.failures
    FROM batch_assets.breaker AS k
    WHERE 'open_breaker' = ANY(CAST(:alerts AS text[])) AND k.state <> 'closed'
    UNION ALL
    SELECT 'fallback_rate', NULL, q.operation, NULL, q.fallbacks, q.calls, q.fallbacks
    FROM (
        SELECT
            h.operation,
            CAST(sum(h.fallbacks) AS float8) AS fallbacks,
            CAST(sum(h.calls) AS float8) AS calls
        FROM batch_assets.operation_run AS h
        WHERE 'fallback_rate' = ANY(CAST(:alerts AS text[]))
            AND h.recorded_at > statement_timestamp() - make_interval(secs => :window_seconds)
        GROUP BY h.operation
    ) AS q
    WHERE q.fallbacks > 0
    UNION ALL
    SELECT 'backlog_age', w.company_id, NULL, NULL, w.wait, w.requests, w.wait
    FROM (
        SELECT
            c.id AS company_id,
            CAST(i.requests AS float8) AS requests,
            CAST(extract(epoch FROM clock_timestamp() - i.oldest) AS float8) AS wait
        FROM public."Company" AS c
        CROSS JOIN LATERAL (
            SELECT count(*) AS requests, min(t.requested_at) AS oldest
            FROM batch_assets.intake AS t
            WHERE t.company_id = c.id
        ) AS i
        WHERE 'backlog_age' = ANY(CAST(:alerts AS text[]))
            AND c.status = 'ACTIVE'
            AND i.requests > 0
    ) AS w
    UNION ALL
    SELECT
        'livedash_timers', a.company_id, coalesce(a.request_id, a.batch_id), a.timer,
        CAST(CAST(a.is_duplicate AS integer) AS float8), NULL,
        CAST(a.is_duplicate AS integer) * 1e12 + CAST(extract(epoch FROM a.noticed_at) AS float8)
    FROM batch_assets.livedash_act AS a
    WHERE 'livedash_timers' = ANY(CAST(:alerts AS text[]))
        AND a.noticed_at > statement_timestamp() - make_interval(secs => :window_seconds)
        AND a.timer <> 'unknown'
), ranked AS (
    SELECT
        p.alert, p.company_id, p.subject, p.label, p.amount, p.total,
        row_number() OVER (PARTITION BY p.alert ORDER BY p.weight DESC, p.subject) AS place
    FROM behind AS p
)
SELECT
    r.alert,
    r.company_id,
    c.name AS company,
    r.subject,
    r.label,
    CAST(r.amount AS float8) AS amount,
    CAST(r.total AS float8) AS total
FROM ranked AS r
LEFT JOIN public."Company" AS c ON c.id = r.company_id
WHERE r.place <= 3
ORDER BY r.alert, r.place

-- name: change
-- Keep what differs from what was raised before. Of two runs that see the same, the second changes
-- nothing; nor does one whose look is older than the state that it finds.
INSERT INTO batch_assets.alert AS a (name, is_raised, severity, summary, since)
SELECT c.name, c.is_raised, c.severity, c.summary, CAST(:judged_at AS timestamptz)
FROM unnest(
    CAST(:names AS text[]),
    CAST(:raised AS boolean[]),
    CAST(:severities AS text[]),
    CAST(:summaries AS text[])
) AS c (name, is_raised, severity, summary)
ORDER BY c.name
ON CONFLICT (name) DO UPDATE
SET is_raised = excluded.is_raised,
    severity = excluded.severity,
    summary = excluded.summary,
    since = excluded.since
WHERE a.since < excluded.since
    AND (
        a.is_raised <> excluded.is_raised
        OR (excluded.is_raised AND a.severity = 'WARN' AND excluded.severity = 'ERROR')
    )

-- name: claim_pending
-- Whoever claims a change delivers it; one that died before it could is replaced after that time. A
-- change waits while an earlier one is on its way, so that a receiver hears of them in their order.
WITH claimed AS (
    INSERT INTO batch_assets.alert_delivery AS c (receiver, alert, since, claimed_until)
    SELECT r.name, a.name, a.since, clock_timestamp() + make_interval(secs => :claim_seconds)
    FROM batch_assets.alert AS a
    CROSS JOIN (
        SELECT CAST(:receiver AS text) AS name, CAST(:fingerprint AS text) AS fingerprint
    ) AS r
    LEFT JOIN batch_assets.alert_delivery AS d ON d.receiver = r.name AND d.alert = a.name
    WHERE (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
        AND
        -- here: is_pending
    ORDER BY a.name
    ON CONFLICT (receiver, alert) DO UPDATE
    SET since = excluded.since,
        claimed_until = excluded.claimed_until,
        delivered_at = NULL,
        refused_by = NULL
    -- What another run has claimed or delivered meanwhile is its own.
    WHERE (c.claimed_until IS NULL OR c.claimed_until < clock_timestamp())
        AND (
            c.since < excluded.since
            OR (
                c.delivered_at IS NULL
                AND c.refused_by IS DISTINCT FROM CAST(:fingerprint AS text)
            )
        )
    RETURNING c.alert, c.since
)
SELECT a.name, a.is_raised, a.severity, a.summary, a.since
FROM claimed AS c
JOIN batch_assets.alert AS a ON a.name = c.alert AND a.since = c.since

-- name: record_deliveries
-- What is still pending may be claimed by the next run.
UPDATE batch_assets.alert_delivery AS d
SET claimed_until = NULL,
    delivered_at = CASE WHEN o.outcome = 'delivered' THEN clock_timestamp() END,
    refused_by = CASE WHEN o.outcome = 'refused' THEN CAST(:fingerprint AS text) END,
    is_open = CASE WHEN o.outcome = 'delivered' THEN o.is_raised ELSE d.is_open END
FROM unnest(
    CAST(:names AS text[]),
    CAST(:since AS timestamptz[]),
    CAST(:raised AS boolean[]),
    CAST(:outcomes AS text[])
) AS o (name, since, is_raised, outcome)
WHERE d.receiver = :receiver AND d.alert = o.name AND d.since = o.since AND d.delivered_at IS NULL
