-- name: history
-- Added up by the server, so that one row an operation comes back, however many runs there were.
-- Of runs with failures no time is counted: giving up soon is not being fast.
SELECT
    m.operation,
    m.implementation,
    m.purpose,
    sum(m.calls) FILTER (WHERE m.is_recent)::bigint AS recent_calls,
    sum(m.failures) FILTER (WHERE m.is_recent)::bigint AS recent_failures,
    sum(m.calls) FILTER (WHERE m.failures = 0)::bigint AS calls,
    sum(m.seconds) FILTER (WHERE m.failures = 0) AS seconds,
    sum(m.rows) FILTER (WHERE m.failures = 0)::bigint AS rows,
    (array_agg(m.seconds / m.calls ORDER BY m.recorded_at DESC))[1] AS last_seconds,
    extract(epoch FROM CURRENT_TIMESTAMP - max(m.recorded_at))::float8 AS age_seconds
FROM (
    SELECT
        r.operation,
        r.implementation,
        r.purpose,
        r.calls,
        r.failures,
        r.seconds,
        r.rows,
        r.recorded_at,
        r.recorded_at > CURRENT_TIMESTAMP - make_interval(hours => :success_hours) AS is_recent
    FROM batch_assets.operation_run AS r
    WHERE r.recorded_at > CURRENT_TIMESTAMP - make_interval(hours => :speed_hours)
        AND r.calls > 0
) AS m
GROUP BY m.operation, m.implementation, m.purpose
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
    0,
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
