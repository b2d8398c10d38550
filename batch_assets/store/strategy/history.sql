-- name: history
-- Added up by the server, so that a few rows an operation come back, however many runs there were.
-- Of runs with failures no time is counted: giving up soon is not being fast. What an implementation
-- failed at before it was chosen again is forgiven.
WITH measured AS (
    SELECT
        r.operation,
        r.implementation,
        r.purpose,
        r.run_id,
        r.calls,
        r.failures,
        r.seconds,
        r.rows,
        r.recorded_at,
        sum(r.calls) OVER later - r.calls < :last_calls
            AND (c.implementation IS DISTINCT FROM r.implementation OR r.recorded_at >= c.since)
            AS is_recent
    FROM batch_assets.operation_run AS r
    LEFT JOIN batch_assets.operation_choice AS c ON c.operation = r.operation
    WHERE r.recorded_at > CURRENT_TIMESTAMP - make_interval(hours => :hours)
        AND r.calls > 0
    WINDOW later AS (
        PARTITION BY r.operation, r.implementation, r.purpose
        ORDER BY r.recorded_at DESC, r.id DESC
        ROWS UNBOUNDED PRECEDING
    )
), probed AS (
    -- A probe and the work that it repeats are written together, by one statement.
    SELECT
        m.operation,
        m.recorded_at,
        max(m.seconds / m.rows) FILTER (WHERE m.implementation = 'original')
            / max(m.seconds / m.rows) FILTER (WHERE m.implementation = 'optimized') AS ratio
    FROM measured AS m
    WHERE m.purpose = 'probe' AND m.failures = 0 AND m.rows > 0 AND m.seconds > 0
    GROUP BY m.operation, m.run_id, m.recorded_at
), last_probed AS (
    SELECT
        p.operation,
        p.ratio,
        row_number() OVER (PARTITION BY p.operation ORDER BY p.recorded_at DESC) AS number
    FROM probed AS p
    WHERE p.ratio IS NOT NULL
)
SELECT
    m.operation,
    m.implementation,
    m.purpose,
    sum(m.calls) FILTER (WHERE m.is_recent)::bigint AS recent_calls,
    sum(m.failures) FILTER (WHERE m.is_recent)::bigint AS recent_failures,
    sum(m.calls) FILTER (WHERE m.failures = 0)::bigint AS calls,
    sum(m.seconds) FILTER (WHERE m.failures = 0) AS seconds,
    sum(m.rows) FILTER (WHERE m.failures = 0)::bigint AS rows,
    extract(
        epoch FROM CURRENT_TIMESTAMP - max(m.recorded_at) FILTER (WHERE m.failures > 0)
    )::float8 AS given_up_seconds,
    extract(epoch FROM CURRENT_TIMESTAMP - max(m.recorded_at))::float8 AS age_seconds
FROM measured AS m
GROUP BY m.operation, m.implementation, m.purpose
UNION ALL
SELECT
    l.operation,
    'original',
    'paired',
    0,
    0,
    count(*),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY l.ratio),
    0,
    NULL,
    0
FROM last_probed AS l
WHERE l.number <= :last_probes
GROUP BY l.operation
UNION ALL
SELECT
    c.operation,
    c.implementation,
    'choice',
    0,
    0,
    0,
    0,
    0,
    NULL,
    extract(epoch FROM CURRENT_TIMESTAMP - c.since)::float8
FROM batch_assets.operation_choice AS c

-- name: record
-- One statement for everything that a process has to say at its end. A choice that stays keeps its
-- date. A few of the oldest measurements go for those that come.
WITH added AS (
    INSERT INTO batch_assets.operation_run (
        run_id, operation, implementation, purpose,
        calls, failures, fallbacks, seconds, statements, rows
    )
    SELECT
        :run_id, m.operation, m.implementation, m.purpose,
        m.calls, m.failures, m.fallbacks, m.seconds, m.statements, m.rows
    FROM unnest(
        CAST(:operations AS text[]),
        CAST(:implementations AS text[]),
        CAST(:purposes AS text[]),
        CAST(:calls AS bigint[]),
        CAST(:failures AS bigint[]),
        CAST(:fallbacks AS bigint[]),
        CAST(:seconds AS float8[]),
        CAST(:statements AS bigint[]),
        CAST(:rows AS bigint[])
    ) AS m (
        operation, implementation, purpose, calls, failures, fallbacks, seconds, statements, rows
    )
), forgotten AS (
    DELETE FROM batch_assets.operation_run AS r
    USING (
        SELECT o.id FROM batch_assets.operation_run AS o ORDER BY o.id LIMIT 200
    ) AS oldest
    WHERE r.id = oldest.id
        AND r.recorded_at < CURRENT_TIMESTAMP - make_interval(days => :kept_days)
)
INSERT INTO batch_assets.operation_choice AS c (operation, implementation, reason)
SELECT chosen.operation, chosen.implementation, chosen.reason
FROM unnest(
    CAST(:chosen_operations AS text[]),
    CAST(:chosen_implementations AS text[]),
    CAST(:chosen_reasons AS text[])
) AS chosen (operation, implementation, reason)
ORDER BY chosen.operation
ON CONFLICT (operation) DO UPDATE
SET implementation = excluded.implementation,
    reason = excluded.reason,
    since = CASE
        WHEN c.implementation = excluded.implementation THEN c.since ELSE CURRENT_TIMESTAMP
    END

-- name: read
SELECT m.mode, m.chosen_by, m.chosen_at
FROM batch_assets.query_mode AS m

-- name: keep
INSERT INTO batch_assets.query_mode AS m (mode, chosen_by, chosen_at)
VALUES (:mode, :chosen_by, clock_timestamp())
ON CONFLICT (only_row) DO UPDATE
SET mode = excluded.mode, chosen_by = excluded.chosen_by, chosen_at = excluded.chosen_at
RETURNING m.mode, m.chosen_by, m.chosen_at

-- name: forget
DELETE FROM batch_assets.query_mode
